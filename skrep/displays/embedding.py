"""Features in two dimensions."""

from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.utils import check_array, check_consistent_length, column_or_1d, resample
from sklearn.utils.multiclass import type_of_target

from skrep.displays.figures import (
    AXIS_LABELS,
    COLOURS,
    add_legend,
    axes_or_new,
    name_axes,
    require_matplotlib,
    require_transformer,
)

__all__ = ["EmbeddingDisplay"]


class EmbeddingDisplay:
    """Features in two dimensions, coloured by class.

    It is recommended to use :meth:`from_estimator` or :meth:`from_features`. Up to ten classes are named in a legend
    beside the axes (for which a figure of several axes wants ``layout="constrained"``), more of them in the picture.

    Parameters
    ----------
    embedding : ndarray of shape (n_samples, 2)
        Where each sample is drawn.
    y : array-like of shape (n_samples,) or None, default=None
        Class of each sample, or a number to colour it by.
    method : {"pca", "tsne"} or None, default=None
        Where the embedding comes from, for the labels of the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the points.
    figure_ : matplotlib Figure
        Figure that holds them.
    scatter_ : matplotlib PathCollection
        The points.
    legend_ : matplotlib Legend or None
        Names of up to ten classes.
    texts_ : list of matplotlib Text
        Names of more than ten classes.
    """

    def __init__(self, embedding: np.ndarray, y: Any = None, method: str | None = None):
        self.embedding = embedding
        self.y = y
        self.method = method

    def plot(self, ax: Any = None, **scatter_kw: Any) -> Self:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        **scatter_kw
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If `y` does not have one value a sample.
        """
        require_matplotlib(type(self).__name__)
        check_consistent_length(self.embedding, self.y)
        self.ax_ = axes_or_new(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        self.legend_ = None
        self.texts_: list[Any] = []
        # fewer points are larger
        kw = {"s": np.clip(12_000 / len(self.embedding), 6, 36), "alpha": 0.8, "linewidths": 0} | scatter_kw
        if self.y is None:
            self.scatter_ = self._scatter(kw)
        elif type_of_target(self.y) == "continuous":
            self.scatter_ = self._scatter({"c": self.y, "cmap": "viridis"} | kw)
            self.figure_.colorbar(self.scatter_, ax=self.ax_, label="y")
        else:
            self._plot_classes(kw)
        name_axes(self.ax_, self.method)
        self.ax_.set(xticks=[], yticks=[])
        self.ax_.set_aspect("equal", adjustable="datalim")
        return self

    def _scatter(self, kw: dict[str, Any]) -> Any:
        return self.ax_.scatter(self.embedding[:, 0], self.embedding[:, 1], **kw)

    def _plot_classes(self, kw: dict[str, Any]) -> None:
        from matplotlib.colors import ListedColormap

        classes, codes = np.unique(column_or_1d(self.y), return_inverse=True)
        colours = _class_colours(len(classes))
        colour_kw = {"c": codes, "cmap": ListedColormap(colours), "vmin": -0.5, "vmax": len(classes) - 0.5}
        self.scatter_ = self._scatter(colour_kw | kw)
        if len(classes) <= len(COLOURS):
            self.legend_ = add_legend(self.ax_, classes, colours)
        else:
            self._name_in_place(classes, codes, colours)

    def _name_in_place(self, classes: np.ndarray, codes: np.ndarray, colours: Any) -> None:
        """Write each class's name on its point nearest its middle where it covers no other name, or else beside."""
        window = self.ax_.get_window_extent()
        pixel = (np.ptp(self.embedding, axis=0) / (window.width, window.height)).max()  # in units of the embedding
        ring = np.mgrid[-30:31, -30:31].reshape(2, -1).T / 2  # (2, 61, 61) -> (3721, 2), in sizes of a name
        centres, sizes = np.empty((0, 2)), np.empty((0, 2))
        for code, (name, colour) in enumerate(zip(classes, colours, strict=True)):
            text = self.ax_.text(0, 0, f"{name}", size=8, weight="bold", ha="center", va="center", clip_on=True)
            dark = colour[:3] @ [0.299, 0.587, 0.114] < 0.55
            text.set_color("white" if dark else "black")
            text.set_bbox({"boxstyle": "round,pad=0.15", "facecolor": colour, "edgecolor": "white"})
            extent = text.get_window_extent()
            size = pixel * np.array([extent.width + extent.height / 2, 1.5 * extent.height])  # with the box around it
            points = self.embedding[codes == code]
            points = _by_distance(points, np.median(points, axis=0))
            places = np.vstack([points, _by_distance(points[0] + ring * size, points[0])])
            apart = np.abs(places[:, np.newaxis] - centres) >= (size + sizes) / 2  # (n_places, n_named, 2)
            centre = places[apart.any(2).all(1).argmax()]
            text.set_position(centre)
            centres, sizes = np.vstack([centres, centre]), np.vstack([sizes, size])
            self.texts_.append(text)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        method: str = "pca",
        max_samples: int = 2000,
        random_state: int = 0,
        ax: Any = None,
        **scatter_kw: Any,
    ) -> Self:
        """Draw the features that a transformer gives to rows.

        Parameters
        ----------
        estimator : fitted transformer
            Any; skrep's or not.
        X : array-like of shape (n_samples, ...)
            Rows.
        y : array-like of shape (n_samples,) or None, default=None
            Class of each row, or a number to colour it by.
        method : {"pca", "tsne"}, default="pca"
            How the features become two: by their first two principal components, or by t-SNE (van der Maaten & Hinton
            2008), which shows who is beside whom, and not how far apart groups are.
        max_samples : int, default=2000
            Of more rows, as many are drawn at random: enough to see the groups, few enough for t-SNE to take seconds.
        random_state : int, default=0
            Decides the rows and t-SNE.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        **scatter_kw
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        EmbeddingDisplay
            Its points are in random order, so that no class lies on top of the others.

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``transform``.
        ValueError
            If `method` is unknown, or `X` and `y` differ in length.
        """
        require_matplotlib(cls.__name__)
        _check_choices(method, max_samples)
        require_transformer(estimator, cls.__name__)
        X, y = _draw_rows(X, y, max_samples, random_state)  # before the transform, which is what takes time
        return cls.from_features(
            estimator.transform(X),
            y,
            method=method,
            max_samples=max_samples,
            random_state=random_state,
            ax=ax,
            **scatter_kw,
        )

    @classmethod
    def from_features(
        cls,
        Z: Any,
        y: Any = None,
        *,
        method: str = "pca",
        max_samples: int = 2000,
        random_state: int = 0,
        ax: Any = None,
        **scatter_kw: Any,
    ) -> Self:
        """Draw features.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)
            At least two features of at least two samples.
        y : array-like of shape (n_samples,) or None, default=None
            Class of each sample, or a number to colour it by.
        method, max_samples, random_state, ax, **scatter_kw
            As in :meth:`from_estimator`.

        Returns
        -------
        EmbeddingDisplay
            Its points are in random order, so that no class lies on top of the others.

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If `method` is unknown, or `Z` and `y` differ in length.
        """
        require_matplotlib(cls.__name__)
        _check_choices(method, max_samples)
        Z = check_array(
            Z, dtype=np.float64, ensure_min_samples=2, ensure_min_features=2, estimator=cls.__name__, input_name="Z"
        )
        Z, y = _draw_rows(Z, y, max_samples, random_state)
        if not np.ptp(Z, axis=0).any():  # a collapsed representation: both methods would divide by its variance, 0
            embedding = np.zeros((len(Z), 2))
        elif method == "pca":
            embedding = PCA(2, random_state=random_state).fit_transform(Z)
        else:
            # perplexity is about a number of neighbours, of which small samples have few
            perplexity = min(30, (len(Z) - 1) / 3)
            centred = Z - Z.mean(0)
            scaled = centred / np.abs(centred).max()  # it computes in float32, where squares of small numbers vanish
            embedding = TSNE(2, perplexity=perplexity, random_state=random_state).fit_transform(scaled)
        return cls(embedding, y, method).plot(ax, **scatter_kw)


def _check_choices(method: str, max_samples: int) -> None:
    if method not in AXIS_LABELS:
        raise ValueError(f"method={method!r}: expected 'pca' or 'tsne'.")
    if max_samples < 2:
        raise ValueError(f"max_samples={max_samples}: at least 2 are needed.")


def _draw_rows(X: Any, y: Any, max_samples: int, random_state: int) -> tuple[Any, Any]:
    """At most `max_samples` rows, in random order."""
    check_consistent_length(X, y)
    n_samples = min(max_samples, len(X))
    if y is None:
        return resample(X, replace=False, n_samples=n_samples, random_state=random_state), None
    X, y = resample(X, y, replace=False, n_samples=n_samples, random_state=random_state)
    return X, y


def _by_distance(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The points (n, 2), the nearest to the centre first."""
    nearest_first: np.ndarray = points[((points - centre) ** 2).sum(1).argsort(kind="stable")]
    return nearest_first


def _class_colours(n_classes: int) -> Any:
    from matplotlib import colormaps

    if n_classes <= len(COLOURS):
        return list(COLOURS[:n_classes])
    return colormaps["turbo"](np.linspace(0.03, 0.97, n_classes))
