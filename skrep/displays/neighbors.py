"""Rows of data beside those whose features are nearest to theirs."""

from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from skrep.displays.figures import COLOURS, axes_or_new, require_matplotlib, require_transformer
from skrep.displays.grid import as_images, check_axes, draw_images, draw_strips, grid_size, unit_range
from skrep.evaluation.neighbors import unit_rows

__all__ = ["NeighborsDisplay"]

TITLE_INCHES = 0.18  # room above each line of pictures
LEGEND_INCHES = 4.2  # width of the legend, with the gaps beside it
MOST_NAMES = 30  # columns of a table that are named

# Edge of a neighbour's frame by whether its class is the query's: told apart by colour and by line.
FRAMES: dict[bool, dict[str, Any]] = {
    True: {"edgecolor": COLOURS[0], "linestyle": "solid", "label": "class of the query"},
    False: {"edgecolor": COLOURS[2], "linestyle": (0, (2, 1.2)), "label": "another class"},
}


class NeighborsDisplay:
    """Rows of data ("queries"), each with its nearest neighbours in a space of features, the nearest first.

    It is recommended to use :meth:`from_estimator` or :meth:`from_features`. A query and its neighbours are pictures on
    one line, or rows of a table as strips below one another, one colour a column of the table. With each neighbour
    stands the cosine of the angle between its features and the query's. Where there are classes, its frame tells
    whether it has the query's (solid) or another (dashed).

    Parameters
    ----------
    rows : ndarray of shape (n_queries, 1 + n_neighbors, height, width, channels) or \
            (n_queries, 1 + n_neighbors, n_features)
        Each query, then its neighbours: images (1 or 3 channels), or rows of a table, whose colours span -3 to 3:
        standardise its columns.
    similarities : ndarray of shape (n_queries, n_neighbors)
        Cosine of each neighbour.
    classes : ndarray of shape (n_queries, 1 + n_neighbors) or None, default=None
        Class of each row; None draws no frames.
    feature_names : sequence of str or None, default=None
        Names of the columns of a table, written above up to 30 of them.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the grid.
    figure_ : matplotlib Figure
        Figure that holds it.
    images_ : ndarray of matplotlib AxesImage of shape (n_queries, 1 + n_neighbors)
        The pictures or strips; column 0 has the queries.
    frames_ : ndarray of matplotlib Rectangle of shape (n_queries, n_neighbors) or None
        The neighbours' frames.
    legend_ : matplotlib Legend or None
        What the frames say.
    texts_ : list of matplotlib Text
        What is written above pictures.
    """

    def __init__(
        self,
        rows: np.ndarray,
        similarities: np.ndarray,
        classes: np.ndarray | None = None,
        feature_names: Any = None,
    ):
        self.rows = rows
        self.similarities = similarities
        self.classes = classes
        self.feature_names = feature_names

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
            If the rows are neither of a table nor images, or the similarities or classes are not as many.
        """
        require_matplotlib(type(self).__name__)
        rows, similarities = np.asarray(self.rows), np.asarray(self.similarities)
        self._check(rows, similarities)
        self.texts_: list[Any] = []
        names = [[f"cos {similarity:.2f}" for similarity in line] for line in similarities]
        if rows.ndim == 5:
            self._plot_images(ax, rows, names, image_kw)
        else:
            self._plot_strips(ax, rows, names, image_kw)
        self.figure_ = self.ax_.figure
        self.frames_: np.ndarray | None = None
        self.legend_ = None
        if self.classes is not None:
            self._add_frames(np.asarray(self.classes))
        return self

    def _check(self, rows: np.ndarray, similarities: np.ndarray) -> None:
        name = type(self).__name__
        if rows.ndim not in (3, 5) or rows.shape[1] < 2:
            raise ValueError(
                f"{name} got rows of shape {rows.shape}; expected (n_queries, 1 + n_neighbors, n_features) or "
                "(n_queries, 1 + n_neighbors, height, width, channels), with at least one neighbour."
            )
        # (n_queries, 1 + k, ...) -> (n_queries * (1 + k), ...)
        check_axes(rows.reshape(-1, *rows.shape[2:]), name)
        n_queries, n_neighbors = rows.shape[0], rows.shape[1] - 1
        if similarities.shape != (n_queries, n_neighbors):
            raise ValueError(
                f"{name} got similarities of shape {similarities.shape}; expected {(n_queries, n_neighbors)}, one for "
                "each neighbour."
            )
        if self.classes is not None and np.shape(self.classes) != rows.shape[:2]:
            raise ValueError(
                f"{name} got classes of shape {np.shape(self.classes)}; expected {rows.shape[:2]}, one for each query "
                "and neighbour."
            )

    def _plot_images(self, ax: Any, rows: np.ndarray, names: list[list[str]], image_kw: dict[str, Any]) -> None:
        n_queries, n_columns = rows.shape[:2]
        width, height = grid_size(rows[0], n_queries, n_columns, label_inches=0.8, title_inches=TITLE_INCHES)
        if self.classes is not None:
            width = max(width, LEGEND_INCHES)
        self.ax_ = axes_or_new(ax, type(self).__name__, (width, height))
        self.images_ = draw_images(self.ax_, list(unit_range(rows, like=rows)), title_inches=TITLE_INCHES, **image_kw)
        for images, line in zip(self.images_, names, strict=True):
            for image, name in zip(images, ["query", *line], strict=True):
                left, right, _, top = image.get_extent()
                self.texts_.append(self.ax_.text((left + right) / 2, top - 0.05, name, size=8, ha="center"))
        self.ax_.set_ylim(top=-0.25)  # room for the first line's, or a title of the axes would cover it
        if self.classes is not None:
            self.ax_.set_yticks(self.ax_.get_yticks(), [f"{line[0]}" for line in self.classes])

    def _plot_strips(self, ax: Any, rows: np.ndarray, names: list[list[str]], image_kw: dict[str, Any]) -> None:
        n_queries, n_lines, n_features = rows.shape
        labels = self.feature_names if self.feature_names is not None and n_features <= MOST_NAMES else []
        width, height = grid_size(rows[0], n_queries * n_lines, 2, label_inches=0.8)
        height += 0.08 * max(map(len, map(str, labels)), default=0)
        self.ax_ = axes_or_new(ax, type(self).__name__, (width, height))
        strips = [[row] for row in rows.reshape(-1, n_features)]  # (n_queries, 1 + k, m) -> (n_queries * (1 + k), m)
        # no blue and no red, which frames have
        images = draw_strips(self.ax_, strips, **{"vmin": -3, "vmax": 3, "cmap": "PuOr_r"} | image_kw)
        images[0, 0].colorbar.set_label("standard deviations from the mean")
        self.images_ = images.reshape(n_queries, n_lines)
        classes = [""] * n_queries if self.classes is None else [f": {line[0]}" for line in self.classes]
        middles = self.ax_.get_yticks()
        self.ax_.set_yticks(
            middles, [name for line, of in zip(names, classes, strict=True) for name in [f"query{of}", *line]]
        )
        for i in range(n_lines, len(middles), n_lines):
            self.ax_.axhline(middles[i - 1 : i + 1].mean(), color="0.3", linewidth=1)
        self.ax_.set_xticks((np.arange(len(labels)) + 0.5) / n_features, labels, rotation=90)
        self.ax_.tick_params(labeltop=True, labelbottom=False)

    def _add_frames(self, classes: np.ndarray) -> None:
        from matplotlib.patches import Rectangle

        kw: dict[str, Any] = {"fill": False, "linewidth": 2.5, "clip_on": False}
        frames = np.empty((len(classes), classes.shape[1] - 1), dtype=object)
        for i, j in np.ndindex(frames.shape):
            left, right, bottom, top = self.images_[i, j + 1].get_extent()
            look = FRAMES[bool(classes[i, j + 1] == classes[i, 0])]
            frames[i, j] = self.ax_.add_patch(Rectangle((left, top), right - left, bottom - top, **kw, **look))
        self.frames_ = frames
        looks = [Rectangle((0, 0), 1, 1, **kw, **look) for look in FRAMES.values()]
        self.legend_ = self.ax_.legend(
            handles=looks, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, frameon=False
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        queries: Any = 5,
        n_neighbors: int = 5,
        image_shape: tuple[int, ...] | None = None,
        random_state: int = 0,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw rows and those that a transformer gives the most similar features.

        Parameters
        ----------
        estimator : fitted transformer
            Any; skrep's or not.
        X : array-like of shape (n_samples, height, width, channels) or (n_samples, n_features)
            Rows, among all of which neighbours are looked for.
        y : array-like of shape (n_samples,) or None, default=None
            Class of each row, for the frames.
        queries, n_neighbors, image_shape, random_state, ax, **image_kw
            As in :meth:`from_features`.

        Returns
        -------
        NeighborsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``transform``.
        ValueError
            As :meth:`from_features`.
        """
        require_matplotlib(cls.__name__)
        require_transformer(estimator, cls.__name__)
        return cls.from_features(
            estimator.transform(X),
            X,
            y,
            queries=queries,
            n_neighbors=n_neighbors,
            image_shape=image_shape,
            random_state=random_state,
            ax=ax,
            **image_kw,
        )

    @classmethod
    def from_features(
        cls,
        Z: Any,
        X: Any,
        y: Any = None,
        *,
        queries: Any = 5,
        n_neighbors: int = 5,
        image_shape: tuple[int, ...] | None = None,
        random_state: int = 0,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw rows and those with the most similar features.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)
            Features. Those that are all zero have the cosine 0 with any others.
        X : array-like of shape (n_samples, height, width, channels) or (n_samples, n_columns)
            The rows that they are of. Columns of a table are standardised, for the colours; a DataFrame's are named.
        y : array-like of shape (n_samples,) or None, default=None
            Class of each row, for the frames.
        queries : int or array-like of int, default=5
            Positions in `X` of the rows whose neighbours are drawn, or how many are drawn at random. A row is no
            neighbour of its own.
        n_neighbors : int, default=5
            Neighbours of each.
        image_shape : tuple of int or None, default=None
            (height, width) or (height, width, channels) of the images that the rows of a table are; None draws them
            as strips.
        random_state : int, default=0
            Decides the queries, where they are not named.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        NeighborsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If `Z`, `X` and `y` differ in length, `X` is neither a table nor images, `image_shape` does not fit, or
            there are not so many rows or none at such a position.
        """
        require_matplotlib(cls.__name__)
        names = getattr(X, "columns", None)
        rows = check_array(X, allow_nd=True, ensure_all_finite="allow-nan", estimator=cls.__name__, input_name="X")
        if image_shape is not None:
            rows = as_images(rows, image_shape)
        check_axes(rows, cls.__name__)
        units = unit_rows(Z, "Z", cls.__name__)
        check_consistent_length(units, rows, y)
        if not isinstance(n_neighbors, Integral) or not 1 <= n_neighbors < len(rows):
            raise ValueError(f"n_neighbors={n_neighbors}: a row has from 1 to {len(rows) - 1} others to show here.")
        chosen = _choose(queries, len(rows), random_state)
        similarities = units[chosen] @ units.T  # (n_queries, n_samples)
        others = similarities.copy()
        others[np.arange(len(chosen)), chosen] = -np.inf
        nearest = np.argsort(-others, axis=1, kind="stable")[:, :n_neighbors]
        shown = np.column_stack([chosen, nearest])
        drawn = rows[shown] if rows.ndim == 4 else _standardise(rows, shown)
        classes = None if y is None else column_or_1d(y)[shown]
        display = cls(drawn, np.take_along_axis(similarities, nearest, axis=1), classes, names)
        return display.plot(ax, **image_kw)


def _choose(queries: Any, n_samples: int, random_state: int) -> np.ndarray:
    """Positions of the queries."""
    if isinstance(queries, (int, np.integer)):
        if not 1 <= queries <= n_samples:
            raise ValueError(f"queries={queries}: from 1 to {n_samples} rows can be drawn.")
        return np.random.default_rng(random_state).choice(n_samples, size=queries, replace=False)
    positions = np.asarray(queries)
    if positions.ndim != 1 or positions.dtype.kind not in "iu" or not set(positions.tolist()) <= set(range(n_samples)):
        raise ValueError(f"queries={queries!r}: expected a number of rows or positions from 0 to {n_samples - 1}.")
    return positions


def _standardise(table: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Rows of the table, in standard deviations of its columns from their means."""
    spread = np.nanstd(table, axis=0, dtype=np.float64)
    centred: np.ndarray = table[shown] - np.nanmean(table, axis=0, dtype=np.float64)
    return centred / np.where(spread > 0, spread, 1)
