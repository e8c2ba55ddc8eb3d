"""Samples beside what is rebuilt from their features."""

from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import axes_or_new, require_matplotlib
from skrep.displays.grid import (
    as_images,
    check_axes,
    check_same_shape,
    draw_images,
    draw_strips,
    first_rows,
    grid_size,
    unit_range,
)

__all__ = ["ReconstructionDisplay"]


class ReconstructionDisplay:
    """Samples, what an encoder rebuilds from their features, and the error of each.

    It is recommended to use :meth:`from_estimator`. Images stand above their reconstructions; rows of a table are
    strips beside theirs, one colour a column of the table, all on one colour scale.

    Parameters
    ----------
    originals : ndarray of shape (n_samples, height, width, channels) or (n_samples, n_features)
        Images (1 or 3 channels) or rows of a table.
    reconstructions : ndarray
        Of the shape and in the units of `originals`.

    Attributes
    ----------
    errors_ : ndarray of shape (n_samples,)
        Root of the mean squared error of each sample, in the units of the data.
    ax_ : matplotlib Axes
        Axes with the grid.
    figure_ : matplotlib Figure
        Figure that holds it.
    images_ : ndarray of matplotlib AxesImage
        The pictures, of shape (2, n_samples), or the strips, of shape (n_samples, 2): originals first.
    """

    def __init__(self, originals: np.ndarray, reconstructions: np.ndarray):
        self.originals = originals
        self.reconstructions = reconstructions

    def plot(self, ax: Any = None, **image_kw: Any) -> Self:
        """Draw the pairs.

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
        originals, rebuilt = columns = [np.asarray(array) for array in (self.originals, self.reconstructions)]
        check_axes(originals, name)
        check_same_shape(rebuilt, originals, name)
        n_samples = len(originals)
        difference = originals.astype(np.float64) - rebuilt
        self.errors_ = np.sqrt((difference.reshape(n_samples, -1) ** 2).mean(1))  # (n, h, w, c) -> (n, h * w * c)
        errors = [f"{error:#.2g}".rstrip(".") if error < 99.5 else f"{error:.0f}" for error in self.errors_]
        pair = ["original", "rebuilt"]
        if originals.ndim == 4:
            self.ax_ = axes_or_new(ax, name, grid_size(originals, 2, n_samples, label_inches=0.7))
            lines = [list(unit_range(column, like=originals)) for column in columns]
            self.images_ = draw_images(self.ax_, lines, **image_kw)
            self.ax_.set_xticks(self.ax_.get_xticks(), errors)
            self.ax_.set_yticks(self.ax_.get_yticks(), pair)
            self.ax_.set_xlabel("RMSE")
        else:
            self.ax_ = axes_or_new(ax, name, grid_size(originals, n_samples, 2, label_inches=0.8))
            self.images_ = draw_strips(self.ax_, list(zip(*columns, strict=True)), **image_kw)
            self.ax_.set_xticks(self.ax_.get_xticks(), pair)
            self.ax_.set_yticks(self.ax_.get_yticks(), [f"RMSE {error}" for error in errors])
            self.ax_.tick_params(labeltop=True, labelbottom=False)
        self.figure_ = self.ax_.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        n_samples: int = 10,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw samples and what an encoder makes of their features.

        Parameters
        ----------
        estimator : fitted transformer with ``inverse_transform``
            Drawn is ``inverse_transform(transform(X))``.
        X : array-like of shape (n_samples, height, width, channels) or (n_samples, n_features)
            Samples, of which the first `n_samples` are drawn.
        n_samples : int, default=10
            Number of samples.
        image_shape : tuple of int or None, default=None
            (height, width) or (height, width, channels) of the images that the rows of a table are; None draws them
            as strips.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        ReconstructionDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``inverse_transform``.
        ValueError
            If `X` is neither a table nor images, or `image_shape` does not fit it.
        """
        require_matplotlib(cls.__name__)
        if not hasattr(estimator, "inverse_transform"):
            raise TypeError(
                f"{type(estimator).__name__} has no inverse_transform, which {cls.__name__} draws; pass an encoder "
                "that rebuilds rows from features, such as AutoEncoderTransformer or PCAEncoder."
            )
        check_is_fitted(estimator)
        rows = first_rows(X, n_samples)
        originals = np.asarray(rows)
        check_axes(originals, cls.__name__)
        reconstructions = np.asarray(estimator.inverse_transform(estimator.transform(rows)))
        if image_shape is not None:
            originals, reconstructions = (as_images(a, image_shape) for a in (originals, reconstructions))
        return cls(originals, reconstructions).plot(ax, **image_kw)
