"""What a generative model draws, beside data."""

import inspect
import math
from itertools import zip_longest
from typing import Any, Self

import numpy as np
from sklearn.metrics import pairwise_distances_argmin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import COLOURS, axes_or_new, require_matplotlib
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

__all__ = ["SamplesDisplay"]


class SamplesDisplay:
    """Samples of a generative model under rows of data, and the data that each sample is nearest to.

    It is recommended to use :meth:`from_estimator` or :meth:`from_samples`. Images stand in lines: data, below a rule
    the samples, and below each line of samples the data nearest to them. Rows of a table are strips: columns of data,
    of samples and of nearest data, one colour a column of the table, all on one colour scale.

    Parameters
    ----------
    samples : ndarray of shape (n_samples, height, width, channels) or (n_samples, n_features)
        Images (1 or 3 channels) or rows of a table, in the units of the data. Black and white are those of the
        originals; without originals, those of the samples.
    originals : ndarray or None, default=None
        Any number of rows of data, each of the shape of a sample; None draws none.
    nearest_originals : ndarray or None, default=None
        For each sample the row of data that is nearest to it; None draws none.
    n_lines : int, default=2
        Lines that images of samples are broken into. Of a table, each line has one sample.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the grid.
    figure_ : matplotlib Figure
        Figure that holds it.
    images_ : ndarray of matplotlib AxesImage
        The pictures, of shape (lines, columns), from the top down; or the strips, of shape (lines, 1 to 3), with
        columns of data, samples and nearest data. Cells that are left over are transparent.
    """

    def __init__(
        self,
        samples: np.ndarray,
        originals: np.ndarray | None = None,
        nearest_originals: np.ndarray | None = None,
        *,
        n_lines: int = 2,
    ):
        self.samples = samples
        self.originals = originals
        self.nearest_originals = nearest_originals
        self.n_lines = n_lines

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
            If the samples are neither a table nor images, the data differ from them in shape, or `n_lines` is below 1.
        """
        name = type(self).__name__
        if self.n_lines < 1:
            raise ValueError(f"n_lines={self.n_lines}: at least one line is needed to draw.")
        samples = np.asarray(self.samples)
        given = {"data": self.originals, "samples": samples, "nearest": self.nearest_originals}
        blocks = {label: np.asarray(rows) for label, rows in given.items() if rows is not None}
        for rows in blocks.values():
            check_axes(rows, name)
        _check_alike(blocks.get("data", samples), samples, "originals", name)
        check_same_shape(samples, blocks.get("nearest", samples), name)
        if samples.ndim == 4:
            n_columns = math.ceil(len(samples) / self.n_lines)
            like = blocks.get("data", samples)
            pictures = {label: _break(unit_range(rows, like=like), n_columns) for label, rows in blocks.items()}
            lines = [("data", line) for line in pictures.pop("data", [])]
            n_data = len(lines)
            for i in range(len(pictures["samples"])):
                lines += [(label, pictures[label][i]) for label in pictures]
            self.ax_ = axes_or_new(ax, name, grid_size(samples, len(lines), n_columns, label_inches=0.8))
            self.images_ = draw_images(self.ax_, [line for _, line in lines], **image_kw)
            middles = self.ax_.get_yticks()
            self.ax_.set_yticks(middles, [label for label, _ in lines])
            if n_data:
                self.ax_.axhline(middles[n_data - 1 : n_data + 1].mean(), color=COLOURS[0], linewidth=2)
        else:
            absent = np.full(samples.shape[1], np.nan)  # no colour
            strips = list(zip_longest(*blocks.values(), fillvalue=absent))
            values = np.concatenate(list(blocks.values()))
            self.ax_ = axes_or_new(ax, name, grid_size(samples, len(strips), len(blocks)))
            self.images_ = draw_strips(self.ax_, strips, **{"vmin": values.min(), "vmax": values.max()} | image_kw)
            self.ax_.set_xticks(self.ax_.get_xticks(), list(blocks))
            self.ax_.tick_params(labeltop=True, labelbottom=False)
        self.figure_ = self.ax_.figure
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        n_samples: int = 10,
        n_lines: int = 2,
        nearest: bool = False,
        image_shape: tuple[int, ...] | None = None,
        random_state: int = 0,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw samples of a fitted model.

        Parameters
        ----------
        estimator : fitted estimator with ``sample``
            Drawn is ``sample(n_samples * n_lines, random_state=random_state)``; of a pair, as scikit-learn's mixtures
            give it, the first. Samples drawn with other arguments go to :meth:`from_samples`.
        X : array-like of shape (n_rows, height, width, channels), (n_rows, n_features) or None, default=None
            Data in the units of the samples, of which the first `n_samples` * `n_lines` are drawn; None draws none.
        n_samples : int, default=10
            Number of samples in each line.
        n_lines : int, default=2
            Number of lines of samples, and of data.
        nearest, image_shape
            As in :meth:`from_samples`.
        random_state : int, default=0
            Decides the samples of a model whose ``sample`` takes it. Others, such as scikit-learn's mixtures, draw by
            their own `random_state`.
        ax, **image_kw
            As in :meth:`from_samples`.

        Returns
        -------
        SamplesDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``sample``.
        ValueError
            If a number is below 1, and as :meth:`from_samples`.
        """
        require_matplotlib(cls.__name__)
        if not hasattr(estimator, "sample"):
            raise TypeError(
                f"{type(estimator).__name__} has no sample, which {cls.__name__} draws; pass a generative model, such "
                "as RBMEncoder or scikit-learn's KernelDensity, or samples that you have to from_samples."
            )
        check_is_fitted(estimator)
        if n_samples < 1 or n_lines < 1:
            raise ValueError(f"n_samples={n_samples}, n_lines={n_lines}: both must be at least 1 for anything to draw.")
        takes_seed = "random_state" in inspect.signature(estimator.sample).parameters
        seed = {"random_state": random_state} if takes_seed else {}
        drawn = estimator.sample(n_samples * n_lines, **seed)
        samples = drawn[0] if isinstance(drawn, tuple) else drawn
        return cls.from_samples(
            samples, X, n_lines=n_lines, nearest=nearest, image_shape=image_shape, ax=ax, **image_kw
        )

    @classmethod
    def from_samples(
        cls,
        samples: Any,
        X: Any = None,
        *,
        n_lines: int = 2,
        nearest: bool = False,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw samples that are there already.

        Parameters
        ----------
        samples : array-like of shape (n_samples, height, width, channels) or (n_samples, n_features)
            Finite numbers.
        X : array-like of shape (n_rows, height, width, channels), (n_rows, n_features) or None, default=None
            Data in the units of the samples, of which the first `n_samples` are drawn; None draws none.
        n_lines : int, default=2
            Lines that images of samples are broken into. Of a table, each line has one sample.
        nearest : bool, default=False
            Whether each sample has below it (in a table: beside it) the row of all of `X` that is nearest to it, by
            Euclidean distance. Where `X` is the training data, it tells samples that are new from copies.
        image_shape : tuple of int or None, default=None
            (height, width) or (height, width, channels) of the images that the rows of a table are; None draws them
            as strips.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        SamplesDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the samples are neither a table nor images, `X` differs from them in shape, `image_shape` does not fit,
            `n_lines` is below 1, or `nearest` has no `X`.
        """
        require_matplotlib(cls.__name__)
        if nearest and X is None:
            raise ValueError("nearest=True needs X, the rows among which the nearest are looked for.")
        samples = _read(samples, "samples", image_shape, cls.__name__)
        if X is None:
            return cls(samples, n_lines=n_lines).plot(ax, **image_kw)
        rows = _read(X if nearest else first_rows(X, len(samples)), "X", image_shape, cls.__name__)
        _check_alike(rows, samples, "X", cls.__name__)
        nearest_rows = rows[_find_nearest(samples, rows)] if nearest else None
        return cls(samples, rows[: len(samples)], nearest_rows, n_lines=n_lines).plot(ax, **image_kw)


def _read(rows: Any, label: str, image_shape: tuple[int, ...] | None, name: str) -> np.ndarray:
    """Finite rows as an array, folded into images where they have a shape."""
    array = check_array(rows, allow_nd=True, estimator=name, input_name=label)
    return array if image_shape is None else as_images(array, image_shape)


def _check_alike(rows: np.ndarray, samples: np.ndarray, label: str, name: str) -> None:
    """Raise ValueError unless each row has the shape of a sample."""
    if rows.shape[1:] != samples.shape[1:]:
        raise ValueError(
            f"{name} got {label} of shape {rows.shape} and samples of shape {samples.shape}; expected the same columns "
            "or images of the same shape in both."
        )


def _find_nearest(samples: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each sample, the position of the row at the least Euclidean distance."""
    # (n, h, w, c) -> (n, h * w * c)
    flat = [array.reshape(len(array), -1).astype(np.float32, copy=False) for array in (samples, rows)]
    return np.asarray(pairwise_distances_argmin(*flat))


def _break(images: np.ndarray, n_columns: int) -> list[list[np.ndarray]]:
    """Lines of `n_columns` images, the last one filled up with transparent ones."""
    transparent = np.zeros((*images.shape[1:3], 4))
    cells = [*images, *[transparent] * (-len(images) % n_columns)]
    return [cells[i : i + n_columns] for i in range(0, len(cells), n_columns)]
