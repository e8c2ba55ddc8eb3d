"""Samples beside the views that a network is trained on."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import axes_or_new, require_matplotlib
from skrep.displays.grid import (
    check_axes,
    check_same_shape,
    draw_images,
    draw_strips,
    first_rows,
    grid_size,
    unit_range,
)
from skrep.views import Chain, resolve_views

__all__ = ["ViewsDisplay"]


class ViewsDisplay:
    """Samples, each on a line with its views.

    It is recommended to use :meth:`from_estimator` or :meth:`from_views`. Rows of a table are strips, one colour a
    column of the table, all on one colour scale.

    Parameters
    ----------
    originals : ndarray of shape (n_samples, height, width, channels) or (n_samples, n_features)
        Images (uint8, or floats in [0, 1]; 1 or 3 channels) or rows of a table.
    views : sequence of ndarray
        One or more arrays, each of the shape of `originals`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the grid.
    figure_ : matplotlib Figure
        Figure that holds it.
    images_ : ndarray of matplotlib AxesImage of shape (n_samples, 1 + n_views)
        The pictures or strips; column 0 has the originals.
    """

    def __init__(self, originals: np.ndarray, views: Sequence[np.ndarray]):
        self.originals = originals
        self.views = views

    def plot(self, ax: Any = None, **image_kw: Any) -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the arrays are neither tables nor images, or differ in shape.
        """
        name = type(self).__name__
        columns = [np.asarray(array) for array in (self.originals, *self.views)]
        originals = columns[0]
        check_axes(originals, name)
        for view in columns[1:]:
            check_same_shape(view, originals, name)
        self.ax_ = axes_or_new(ax, name, grid_size(originals, len(originals), len(columns)))
        self.figure_ = self.ax_.figure
        if originals.ndim == 4:
            unit = np.ones(1)
            columns = [unit_range(array, like=array if array.dtype == np.uint8 else unit) for array in columns]
            self.images_ = draw_images(self.ax_, list(zip(*columns, strict=True)), **image_kw)
        else:
            self.images_ = draw_strips(self.ax_, list(zip(*columns, strict=True)), **image_kw)
        numbers = [""] if len(self.views) == 1 else [f" {i}" for i in range(1, len(columns))]
        self.ax_.set_xticks(self.ax_.get_xticks(), ["original", *(f"view{number}" for number in numbers)])
        self.ax_.tick_params(labeltop=True, labelbottom=False)
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, n_samples: int = 8, random_state: int = 0, ax: Any = None, **image_kw: Any
    ) -> Self:
        """Draw what an estimator's network is shown of samples in training.

        Parameters
        ----------
        estimator : fitted estimator with ``sample_views``
            Any skrep estimator that is trained on views.
        X : array-like of shape (n_samples, height, width, channels) or (n_samples, n_features)
            Samples, of which the first `n_samples` are drawn.
        n_samples : int, default=8
            Number of samples.
        random_state : int, default=0
            Decides the views.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        ViewsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``sample_views``.
        ValueError
            If `X` is neither a table nor images.
        """
        require_matplotlib(cls.__name__)
        if not hasattr(estimator, "sample_views"):
            raise TypeError(
                f"{type(estimator).__name__} has no sample_views, which {cls.__name__} draws; pass an estimator that "
                "is trained on views (of a Pipeline, the fitted step itself), or a view to from_views."
            )
        check_is_fitted(estimator)
        rows = first_rows(X, n_samples)
        originals = _read(rows, cls.__name__)
        views = [np.asarray(view) for view in estimator.sample_views(rows, random_state=random_state)]
        return cls(originals, views).plot(ax, **image_kw)

    @classmethod
    def from_views(
        cls,
        augment: Any,
        X: Any,
        *,
        n_samples: int = 8,
        n_views: int = 4,
        random_state: int = 0,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw what a view of :mod:`skrep.views` makes of samples.

        Parameters
        ----------
        augment : view, str or list of them
            Parts of :mod:`skrep.views` or their names, applied in order, as ``SimCLRTransformer(augment=...)`` takes
            them. A view gets a float32 tensor and a torch.Generator: images as (batch, channels, height, width) with
            values in [0, 1], rows of a table as (batch, n_features).
        X : array-like of shape (n_samples, height, width, channels) or (n_samples, n_features)
            Samples, of which the first `n_samples` are drawn. Images that are neither uint8 nor within [0, 1] are
            scaled from their least and greatest value; tables are taken as they are.
        n_samples : int, default=8
            Number of samples.
        n_views : int, default=4
            Number of views of each.
        random_state : int, default=0
            Decides the views.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        ViewsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If `X` is neither a table nor images, or a number is below 1.
        """
        require_matplotlib(cls.__name__)
        if n_views < 1:
            raise ValueError(f"n_views={n_views}: at least one view is needed to draw.")
        view = augment if callable(augment) else resolve_views(augment, Chain())
        originals = _read(first_rows(X, n_samples), cls.__name__)
        x = torch.tensor(originals, dtype=torch.float32)
        channels_last = originals.ndim == 4
        if channels_last:
            x = x.permute(0, 3, 1, 2).contiguous()  # (n, h, w, c) -> (n, c, h, w)
        generator = torch.Generator().manual_seed(random_state)
        with torch.inference_mode():
            views = [view(x, generator) for _ in range(n_views)]
        if channels_last:
            views = [seen.permute(0, 2, 3, 1) for seen in views]  # (n, c, h, w) -> (n, h, w, c)
        return cls(originals, [seen.numpy() for seen in views]).plot(ax, **image_kw)


def _read(rows: Any, name: str) -> np.ndarray:
    """Rows as a table of their own values, or as images with values in [0, 1]."""
    originals = np.asarray(rows)
    check_axes(originals, name)
    return unit_range(originals, like=originals) if originals.ndim == 4 else originals
