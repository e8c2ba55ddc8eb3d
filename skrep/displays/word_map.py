"""Words in two dimensions."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.manifold import TSNE

from skrep.displays.figures import AXIS_LABELS, COLOURS, add_legend, axes_or_new, name_axes, require_matplotlib
from skrep.displays.vocabulary import as_label, require_vectors, require_words, vectors_of
from skrep.text import WordVectors

__all__ = ["WordMapDisplay"]

FONT_SIZE = 8
NO_GROUP = "0.65"  # colour
PERPLEXITY = 15  # half of t-SNE's usual: of a hundred words, few belong together

# Where a name may stand: its middle, in sizes of its box from the point; the first that is free is taken. Beside the
# point (right, left, above, below, at corners), then farther away, with a line to the point.
AROUND = np.array([(1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)], np.float64)
FARTHER = (1.0, 2.0, 3.0, 4.0, 5.0)  # heights of a name
ALONG = np.linspace(0, 1, 12)[:, None]  # places along a line, at which it must not cross a name


class WordMapDisplay:
    """Words in two dimensions, near one another where their vectors are.

    It is recommended to use :meth:`from_estimator` or :meth:`from_vectors`. A name stands beside its point, or a little
    away, with a line to it, where others are in the way. The words that come first choose first; those for whose names
    no room is left have only a point.

    Parameters
    ----------
    words : sequence of str
        The words.
    embedding : ndarray of shape (n_words, 2)
        Where each word is drawn.
    groups : sequence of length n_words or None, default=None
        Group of each word, for its colour; None is for words of no group, which are grey.
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
    texts_ : list of matplotlib Text
        The names for which there was room.
    lines_ : matplotlib LineCollection
        From points to the names that are not beside them.
    legend_ : matplotlib Legend or None
        The groups.
    """

    def __init__(self, words: Sequence[str], embedding: Any, groups: Any = None, method: str | None = None):
        self.words = words
        self.embedding = embedding
        self.groups = groups
        self.method = method

    def plot(self, ax: Any = None, **scatter_kw: Any) -> Self:
        """Draw the words.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure. Names are placed for the size that it has then.
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
            If there is not one place, or one group, a word.
        """
        require_matplotlib(type(self).__name__)
        embedding = np.asarray(self.embedding, np.float64)
        if embedding.shape != (len(self.words), 2):
            raise ValueError(
                f"{type(self).__name__} got {len(self.words)} words and an embedding of shape {embedding.shape}; "
                f"expected {(len(self.words), 2)}."
            )
        if self.groups is not None and len(self.groups) != len(self.words):
            raise ValueError(
                f"{type(self).__name__} got {len(self.words)} words and {len(self.groups)} groups; expected one a word."
            )
        side = float(np.clip(0.7 * len(self.words) ** 0.5, 4.5, 10))  # inches
        self.ax_ = axes_or_new(ax, type(self).__name__, (1.25 * side, side))
        self.figure_ = self.ax_.figure
        self.legend_ = None
        kw = {"s": 14, "linewidths": 0} | scatter_kw
        if self.groups is not None:
            kw = {"c": self._colours()} | kw
        self.scatter_ = self.ax_.scatter(embedding[:, 0], embedding[:, 1], **kw)
        self.ax_.margins(0.08)  # room for names at the edge
        self.ax_.set(xticks=[], yticks=[])
        name_axes(self.ax_, self.method)
        self.ax_.set_aspect("equal", adjustable="datalim")
        self.figure_.figure.draw_without_rendering()  # the layout, which decides how much room there is
        self._write_names(embedding)
        return self

    def _colours(self) -> list[Any]:
        """The colour of each word; adds the legend."""
        from matplotlib import colormaps

        names = list(dict.fromkeys(group for group in self.groups if group is not None))
        many = len(names) > len(COLOURS)
        palette = colormaps["turbo"](np.linspace(0.03, 0.97, len(names))) if many else COLOURS[: len(names)]
        colour_of = dict(zip(names, palette, strict=True))
        if names:
            self.legend_ = add_legend(self.ax_, names, palette)
        return [colour_of.get(group, NO_GROUP) for group in self.groups]

    def _write_names(self, embedding: np.ndarray) -> None:
        """Names where no other name is, and few points."""
        from matplotlib.collections import LineCollection

        pixels = self.ax_.transData.transform(embedding)  # (n_words, 2)
        back = self.ax_.transData.inverted()
        window = self.ax_.get_window_extent()
        # radius of a point, and a gap, in pixels
        dot = (0.5 * np.sqrt(self.scatter_.get_sizes().max()) + 1) * self.figure_.dpi / 72
        low, high = np.empty((0, 2)), np.empty((0, 2))  # corners of the names that stand
        drawn = np.empty((0, 2))  # places along the lines to them
        segments = []
        self.texts_: list[Any] = []
        for word, point in zip(self.words, pixels, strict=True):
            text = self.ax_.text(
                0, 0, as_label(word), size=FONT_SIZE, ha="center", va="center", color="0.1", parse_math=False
            )
            extent = text.get_window_extent()
            size = np.array([extent.width, extent.height])
            steps = [size / 2 + dot + far * extent.height for far in (0.0, *FARTHER)]
            centres = np.vstack([point + AROUND * step for step in steps])  # (n_places, 2)
            left, right = centres - size / 2, centres + size / 2
            ends = np.clip(point, left, right)  # where the box of the name is nearest
            lines = point + (ends - point)[:, np.newaxis] * ALONG  # (n_places, n_along, 2)
            has_line = np.arange(len(centres)) >= len(AROUND)
            bad = ((left < (window.x0, window.y0)) | (right > (window.x1, window.y1))).any(1)
            bad |= _boxes_meet(left, right, low, high).any(1) | _boxes_meet(left, right, drawn, drawn).any(1)
            bad |= has_line & _boxes_meet(lines, lines, low, high).any((1, 2))
            if bad.all():
                text.remove()
                continue
            # the nearest place but for those that cover other points
            covered = _boxes_meet(left, right, pixels - dot / 2, pixels + dot / 2).sum(1)
            cost = covered + np.arange(len(centres)) // len(AROUND)
            best = int(np.where(bad, np.inf, cost).argmin())
            text.set_position(back.transform(centres[best]))
            self.texts_.append(text)
            low, high = np.vstack([low, left[best]]), np.vstack([high, right[best]])
            if has_line[best]:
                drawn = np.vstack([drawn, lines[best]])
                segments.append(back.transform([point, ends[best]]))
        self.lines_ = self.ax_.add_collection(
            LineCollection(segments, colors="0.6", linewidths=0.6, zorder=0.9), autolim=False
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        words: Any = None,
        *,
        n_words: int = 150,
        stop_words: Any = None,
        method: str = "tsne",
        groups: Any = None,
        random_state: int = 0,
        ax: Any = None,
        **scatter_kw: Any,
    ) -> Self:
        """Draw words by the vectors that an estimator has learned.

        Parameters
        ----------
        estimator : fitted estimator
            With ``vectors_``, such as :class:`~skrep.Word2VecTransformer`.
        words, n_words, stop_words, method, groups, random_state, ax, **scatter_kw
            As in :meth:`from_vectors`.

        Returns
        -------
        WordMapDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``vectors_``.
        ValueError
            As :meth:`from_vectors`.
        """
        require_matplotlib(cls.__name__)
        return cls.from_vectors(
            vectors_of(estimator, cls.__name__),
            words,
            n_words=n_words,
            stop_words=stop_words,
            method=method,
            groups=groups,
            random_state=random_state,
            ax=ax,
            **scatter_kw,
        )

    @classmethod
    def from_vectors(
        cls,
        vectors: Any,
        words: Any = None,
        *,
        n_words: int = 150,
        stop_words: Any = None,
        method: str = "tsne",
        groups: Any = None,
        random_state: int = 0,
        ax: Any = None,
        **scatter_kw: Any,
    ) -> Self:
        """Draw words.

        Parameters
        ----------
        vectors : skrep.text.WordVectors
            The vectors; what is drawn are their directions (vectors of length 1).
        words : list of str or None, default=None
            The words; None takes the most frequent.
        n_words : int, default=150
            How many, where `words` are not named.
        stop_words : {"english"}, list of str or None, default=None
            Words that are passed over where `words` are not named; "english" is scikit-learn's list.
        method : {"pca", "tsne"}, default="tsne"
            How vectors become two numbers: by their first two principal components, or by t-SNE (van der Maaten &
            Hinton 2008), which shows who is beside whom, and not how far apart groups are.
        groups : dict of str to group, list of groups or None, default=None
            Group of each word: by word, of some words at least; or as a list beside `words`. Each has a colour.
        random_state : int, default=0
            Decides t-SNE.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        **scatter_kw
            Passed to matplotlib's ``scatter``.

        Returns
        -------
        WordMapDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError
            If `vectors` are no WordVectors.
        ValueError
            If some words have no vector (the message names them), there are fewer than two words, `groups` is a list
            without or of other length than `words`, or `method` or `stop_words` is unknown.
        """
        require_matplotlib(cls.__name__)
        if method not in AXIS_LABELS:
            raise ValueError(f"method={method!r}: expected 'pca' or 'tsne'.")
        vectors = require_vectors(vectors, cls.__name__)
        if words is None:
            if groups is not None and not isinstance(groups, Mapping):
                raise ValueError("groups as a list stand beside words, which are not named; pass words, or a dict.")
            words = _most_frequent(vectors, n_words, stop_words)
        else:
            words = require_words(vectors, words, cls.__name__)
        if len(set(words)) < 2:
            raise ValueError(f"{cls.__name__} got {len(set(words))} words; a map needs two or more.")
        if isinstance(groups, Mapping):
            groups = [groups.get(word) for word in words]
        elif groups is not None:
            groups = list(groups)
        places = [vectors.index[word] for word in words]
        embedding = _embed(vectors.unit_vectors[places].astype(np.float64), method, random_state)
        return cls(words, embedding, groups, method).plot(ax, **scatter_kw)


def _most_frequent(vectors: WordVectors, n_words: int, stop_words: Any) -> list[str]:
    if not isinstance(n_words, Integral) or n_words < 2:
        raise ValueError(f"n_words={n_words}: at least 2 are needed.")
    if isinstance(stop_words, str) and stop_words != "english":
        raise ValueError(f"stop_words={stop_words!r}: expected 'english', a list of words or None.")
    skipped = ENGLISH_STOP_WORDS if isinstance(stop_words, str) else frozenset(stop_words or ())
    words = vectors.words
    if vectors.counts is not None:
        words = [words[place] for place in np.argsort(-vectors.counts, kind="stable")]
    return [word for word in words if word not in skipped][:n_words]


def _embed(unit: np.ndarray, method: str, random_state: int) -> np.ndarray:
    """Unit vectors (n_words, n_components) in two dimensions."""
    if unit.shape[1] < 2 or not np.ptp(unit, axis=0).any():  # nothing to turn, or nothing that differs
        return np.column_stack([unit[:, 0], np.zeros(len(unit))])
    embedding: np.ndarray
    if method == "pca":
        embedding = PCA(2, random_state=random_state).fit_transform(unit)
    else:
        perplexity = min(PERPLEXITY, (len(unit) - 1) / 3)  # a number of neighbours, of which few words have few
        embedding = TSNE(2, perplexity=perplexity, random_state=random_state).fit_transform(unit)
    return embedding


def _boxes_meet(low: np.ndarray, high: np.ndarray, other_low: np.ndarray, other_high: np.ndarray) -> np.ndarray:
    """Whether boxes (..., 2), given by their corners, meet each of n others, (..., n)."""
    apart = (low[..., np.newaxis, :] >= other_high) | (high[..., np.newaxis, :] <= other_low)
    meet: np.ndarray = ~np.any(apart, axis=-1)
    return meet
