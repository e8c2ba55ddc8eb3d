"""Words beside those whose vectors are nearest to theirs."""

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np

from skrep.displays.figures import COLOURS, axes_or_new, require_matplotlib
from skrep.displays.vocabulary import as_label, require_vectors, require_words, shortened, vectors_of

__all__ = ["NearestWordsDisplay"]

MOST_COLUMNS = 5
FONT_SIZE = 9.0  # in points, where there is room
LINE_INCHES = 0.2
LETTER_INCHES = 0.085  # mean width of a letter, for the size of a new figure
GAP = 0.08  # between columns, of a column's width
WIDTH = 0.68  # of a bar as long as 1; the rest is for the cosine
EXTRA_LINES = 1.5  # of each table: its word, and the space above it


class NearestWordsDisplay:
    """Words, each above a table of the words nearest to it, with their cosines.

    It is recommended to use :meth:`from_estimator` or :meth:`from_vectors`. Behind each word of a table is a bar as
    long as its cosine; the grey behind it is as long as 1, and cosines below 0 have no bar.

    Parameters
    ----------
    words : sequence of str
        The words whose neighbours are drawn.
    neighbors : sequence of sequence of str, of shape (n_words, n_neighbors)
        Their neighbours, the nearest first.
    similarities : array-like of shape (n_words, n_neighbors)
        Cosine of each neighbour.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the tables.
    figure_ : matplotlib Figure
        Figure that holds them.
    bars_ : ndarray of matplotlib Rectangle of shape (n_words, n_neighbors)
        The bars.
    headings_ : list of matplotlib Text
        The words.
    names_ : ndarray of matplotlib Text of shape (n_words, n_neighbors)
        Their neighbours; a word that is too long for its column ends in "…".
    numbers_ : ndarray of matplotlib Text of shape (n_words, n_neighbors)
        The cosines.
    """

    def __init__(self, words: Sequence[str], neighbors: Sequence[Sequence[str]], similarities: Any):
        self.words = words
        self.neighbors = neighbors
        self.similarities = similarities

    def plot(self, ax: Any = None, **bar_kw: Any) -> Self:
        """Draw the tables.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the tables. Letters get smaller where there is
            less room.
        **bar_kw
            Passed to matplotlib's ``barh``.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If there is no word, or not one list of neighbours a word and one cosine a neighbour.
        """
        require_matplotlib(type(self).__name__)
        cosines = self._check()
        n_words, n_neighbors = cosines.shape
        n_rows = math.ceil(n_words / MOST_COLUMNS)  # of tables
        n_columns = math.ceil(n_words / n_rows)
        n_lines = n_neighbors + EXTRA_LINES
        self.ax_ = axes_or_new(ax, type(self).__name__, self._figure_size(n_rows, n_columns, n_lines))
        self.figure_ = self.ax_.figure
        self.ax_.set(xlim=(0, n_columns - GAP), ylim=(n_rows * n_lines, 0), xticks=[], yticks=[])
        self.ax_.spines[:].set_visible(False)
        if ax is None:
            self.figure_.draw_without_rendering()  # the layout, which decides how much room there is
        window = self.ax_.get_window_extent()
        points = 72 / self.figure_.dpi
        size = min(FONT_SIZE, 0.6 * window.height * points / (n_rows * n_lines))
        column = window.width / (n_columns - GAP)  # in pixels
        kw: dict[str, Any] = {"size": size, "va": "center_baseline", "clip_on": True, "parse_math": False}
        look = {"height": 0.84, "color": COLOURS[0], "alpha": 0.4, "linewidth": 0} | bar_kw
        self.headings_: list[Any] = []
        self.bars_, self.names_, self.numbers_ = (np.empty(cosines.shape, object) for _ in range(3))
        for i, word in enumerate(self.words):
            row, left = i // n_columns, i % n_columns
            y = row * n_lines + np.arange(n_neighbors) + EXTRA_LINES  # middles of lines
            heading = self.ax_.text(left, y[0] - 1, as_label(word), weight="bold", **kw)
            self.headings_.append(shortened(heading, (1 - GAP) * column))
            self.ax_.barh(y, WIDTH, left=left, height=look["height"], color="0.95")
            self.bars_[i] = list(self.ax_.barh(y, WIDTH * np.clip(cosines[i], 0, 1), left=left, **look))
            for j, neighbor in enumerate(self.neighbors[i]):
                name = self.ax_.text(left + GAP / 4, y[j], as_label(neighbor), **kw)
                self.names_[i, j] = shortened(name, (WIDTH - GAP / 4) * column)
                self.numbers_[i, j] = self.ax_.text(
                    left + 1 - GAP, y[j], f"{cosines[i, j]:.2f}", ha="right", color="0.35", **kw
                )
        return self

    def _check(self) -> np.ndarray:
        name = type(self).__name__
        cosines = np.asarray(self.similarities, np.float64)
        if not len(self.words):
            raise ValueError(f"{name} got no words; pass at least one.")
        if cosines.ndim != 2 or len(cosines) != len(self.words) or not cosines.shape[1]:
            raise ValueError(
                f"{name} got {len(self.words)} words and similarities of shape {cosines.shape}; expected "
                f"({len(self.words)}, n_neighbors)."
            )
        if [len(line) for line in self.neighbors] != [cosines.shape[1]] * len(cosines):
            raise ValueError(f"{name} got other numbers of neighbours than similarities; expected {cosines.shape}.")
        return cosines

    def _figure_size(self, n_rows: int, n_columns: int, n_lines: float) -> tuple[float, float]:
        longest = max(len(word) for line in self.neighbors for word in line)
        column = np.clip(LETTER_INCHES * longest + 0.5, 1.5, 2.6)
        return n_columns * column, n_rows * n_lines * LINE_INCHES + 0.1

    @classmethod
    def from_estimator(cls, estimator: Any, words: Any, *, n_neighbors: int = 8, ax: Any = None, **bar_kw: Any) -> Self:
        """Draw the words nearest to some, by the vectors that an estimator has learned.

        Parameters
        ----------
        estimator : fitted estimator
            With ``vectors_``, such as :class:`~skrep.Word2VecTransformer`.
        words, n_neighbors, ax, **bar_kw
            As in :meth:`from_vectors`.

        Returns
        -------
        NearestWordsDisplay

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
        return cls.from_vectors(vectors_of(estimator, cls.__name__), words, n_neighbors=n_neighbors, ax=ax, **bar_kw)

    @classmethod
    def from_vectors(cls, vectors: Any, words: Any, *, n_neighbors: int = 8, ax: Any = None, **bar_kw: Any) -> Self:
        """Draw the words nearest to some.

        Parameters
        ----------
        vectors : skrep.text.WordVectors
            The vectors, among all of which neighbours are looked for.
        words : list of str, or str
            The words whose neighbours are drawn.
        n_neighbors : int, default=8
            Neighbours of each.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the tables.
        **bar_kw
            Passed to matplotlib's ``barh``.

        Returns
        -------
        NearestWordsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        TypeError
            If `vectors` are no WordVectors.
        ValueError
            If there is no word, some have no vector (the message names them), or there are not so many neighbours.
        """
        require_matplotlib(cls.__name__)
        vectors = require_vectors(vectors, cls.__name__)
        words = require_words(vectors, words, cls.__name__)
        if not isinstance(n_neighbors, Integral) or not 1 <= n_neighbors < len(vectors):
            raise ValueError(f"n_neighbors={n_neighbors}: a word has from 1 to {len(vectors) - 1} others here.")
        nearest = [vectors.most_similar(word, topn=int(n_neighbors)) for word in words]
        neighbors = [[neighbor for neighbor, _ in line] for line in nearest]
        similarities = np.array([[cosine for _, cosine in line] for line in nearest])
        return cls(words, neighbors, similarities).plot(ax, **bar_kw)
