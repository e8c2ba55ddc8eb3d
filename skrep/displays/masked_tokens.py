"""A text with gaps, and what a network would put into them."""

import math
import re
from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import COLOURS, axes_or_new, require_matplotlib
from skrep.displays.vocabulary import as_label, shortened

__all__ = ["MaskedTokensDisplay"]

LEAST_COLUMNS, MOST_COLUMNS = 3, 5  # that have room beside one another, and that are drawn
FONT_SIZE = 9.0  # in points, where there is room
LEAST_SIZE = 1.0
LINE_INCHES = 0.2
LETTER_INCHES = 0.085  # mean width of a letter, for the size of a new figure
LEAST_INCHES = 5.5  # width of a new figure
SHARE = 0.6  # of a line's height, that letters have
GAP = 0.08  # between columns, of a column's width
WIDTH = 0.66  # of a bar as long as 1; the rest is for the probability
EXTRA_LINES = 1.5  # of each chart: its number, and the space above it

# What hides a token: in models of this package and BERT's, or in RoBERTa's too.
MASKS = (r"\[MASK\]", r"\[MASK\]|<mask>")


class MaskedTokensDisplay:
    """A text with numbered gaps, and for each gap the likeliest tokens with their probabilities.

    It is recommended to use :meth:`from_estimator`. Behind each token is a bar as long as its probability; the grey
    behind it is as long as 1.

    Parameters
    ----------
    parts : sequence of str, of length n_gaps + 1
        The text before the first gap, between gaps, and behind the last.
    guesses : sequence of sequence of (str, float), of shape (n_gaps, n_guesses)
        For each gap tokens and their probabilities, the likeliest first.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the text and the charts.
    figure_ : matplotlib Figure
        Figure that holds them.
    text_ : matplotlib Text
        The text, in as many lines as it needs.
    headings_ : list of matplotlib Text
        The gaps.
    bars_ : ndarray of matplotlib Rectangle of shape (n_gaps, n_guesses)
        The bars.
    names_ : ndarray of matplotlib Text of shape (n_gaps, n_guesses)
        The tokens; one that is too long for its column ends in "…".
    numbers_ : ndarray of matplotlib Text of shape (n_gaps, n_guesses)
        The probabilities.
    """

    def __init__(self, parts: Sequence[str], guesses: Sequence[Sequence[tuple[str, float]]]):
        self.parts = parts
        self.guesses = guesses

    def plot(self, ax: Any = None, **bar_kw: Any) -> Self:
        """Draw the text and the charts.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough. Letters get smaller where there is less room.
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
            If there is no gap, not one part of the text more than gaps, or not as many guesses for each.
        """
        require_matplotlib(type(self).__name__)
        probabilities = self._check()
        n_gaps, n_guesses = probabilities.shape
        n_rows = math.ceil(n_gaps / MOST_COLUMNS)  # of charts
        n_columns = math.ceil(n_gaps / n_rows)
        n_lines = n_guesses + EXTRA_LINES
        words = self._words()
        self.ax_ = axes_or_new(ax, type(self).__name__, self._figure_size(words, n_rows, n_columns, n_lines))
        self.figure_ = self.ax_.figure
        room = max(n_columns, LEAST_COLUMNS) - GAP
        self.ax_.set(xlim=(0, room), xticks=[], yticks=[])
        self.ax_.spines[:].set_visible(False)
        if ax is None:
            self.figure_.draw_without_rendering()  # the layout, which decides how much room there is
        window = self.ax_.get_window_extent()
        self.text_, n_text = self._write(words, window, n_rows * n_lines)
        self.ax_.set_ylim(n_text + n_rows * n_lines, 0)
        column = window.width / room  # in pixels
        kw: dict[str, Any] = {"size": self.text_.get_size(), "va": "center_baseline", "clip_on": True}
        kw["parse_math"] = False
        look = {"height": 0.84, "color": COLOURS[0], "alpha": 0.4, "linewidth": 0} | bar_kw
        self.headings_: list[Any] = []
        self.bars_, self.names_, self.numbers_ = (np.empty(probabilities.shape, object) for _ in range(3))
        for i, line in enumerate(self.guesses):
            row, left = i // n_columns, i % n_columns
            y = n_text + row * n_lines + np.arange(n_guesses) + EXTRA_LINES  # middles of lines
            self.headings_.append(self.ax_.text(left, y[0] - 1, _gap(i), weight="bold", **kw))
            self.ax_.barh(y, WIDTH, left=left, height=look["height"], color="0.95")
            self.bars_[i] = list(self.ax_.barh(y, WIDTH * probabilities[i].clip(0, 1), left=left, **look))
            for j, (token, probability) in enumerate(line):
                name = self.ax_.text(left + GAP / 4, y[j], as_label(token), **kw)
                self.names_[i, j] = shortened(name, (WIDTH - GAP / 4) * column)
                self.numbers_[i, j] = self.ax_.text(
                    left + 1 - GAP, y[j], f"{probability:.3f}", ha="right", color="0.35", **kw
                )
        return self

    def _check(self) -> np.ndarray:
        name = type(self).__name__
        if not len(self.guesses):
            raise ValueError(f"{name} got guesses for no gap; pass those of at least one.")
        lengths = {len(line) for line in self.guesses}
        if len(lengths) > 1 or not min(lengths):
            raise ValueError(
                f"{name} got {sorted(lengths)} guesses for gaps; expected as many for each, and one at least."
            )
        if len(self.parts) != len(self.guesses) + 1:
            raise ValueError(
                f"{name} got {len(self.parts)} parts of the text and {len(self.guesses)} gaps; expected one part more "
                "than gaps."
            )
        return np.array([[probability for _, probability in line] for line in self.guesses], np.float64)

    def _words(self) -> list[str]:
        text = "".join(part if i == 0 else f"{_gap(i - 1)}{part}" for i, part in enumerate(self.parts))
        return [as_label(word) for word in text.split()]

    def _figure_size(self, words: list[str], n_rows: int, n_columns: int, n_lines: float) -> tuple[float, float]:
        longest = max(len(token) for line in self.guesses for token, _ in line)
        width = max(LEAST_INCHES, n_columns * np.clip(LETTER_INCHES * longest + 0.7, 1.5, 2.6))
        n_text = math.ceil(1.2 * LETTER_INCHES * sum(len(word) + 1 for word in words) / width)
        return width, (n_text + n_rows * n_lines + 1) * LINE_INCHES

    def _write(self, words: list[str], window: Any, n_lines: float) -> tuple[Any, int]:
        """The text, and how many lines it takes, in letters so large that these and `n_lines` more have room."""
        text = self.ax_.text(0, 0, "", va="top", size=FONT_SIZE, linespacing=1.3, parse_math=False)
        height = SHARE * window.height * 72 / self.figure_.dpi  # in points, of the letters of all lines
        size = FONT_SIZE
        while True:
            text.set_size(size)
            lines = _wrapped(words, text, window.width)
            total = len(lines) + n_lines
            if size * total <= height or size <= LEAST_SIZE:
                break
            size = max(LEAST_SIZE, min(0.95 * size, height / total))
        text.set_text("\n".join(lines))
        return text, len(lines)

    @classmethod
    def from_estimator(
        cls, encoder: Any, text: str | Sequence[str], *, n_guesses: int = 5, ax: Any = None, **bar_kw: Any
    ) -> Self:
        """Draw what a masked language model predicts for masked tokens.

        Parameters
        ----------
        encoder : fitted estimator
            With ``fill_mask``, such as :class:`~skrep.MaskedLMTransformer`.
        text : str or list of str
            A text with "[MASK]" in the place of one or more tokens; or a list of words, where the network was trained
            on such.
        n_guesses : int, default=5
            Tokens for each gap.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough.
        **bar_kw
            Passed to matplotlib's ``barh``.

        Returns
        -------
        MaskedTokensDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``fill_mask``.
        ValueError
            If nothing is hidden, the text is longer than a sequence, or `n_guesses` is no number of tokens.
        """
        require_matplotlib(cls.__name__)
        check_is_fitted(encoder)
        if not hasattr(encoder, "fill_mask"):
            raise TypeError(
                f"{type(encoder).__name__} has no fill_mask; {cls.__name__} needs a fitted MaskedLMTransformer. Of a "
                "Pipeline, pass that step."
            )
        if not isinstance(n_guesses, Integral) or n_guesses < 1:
            raise ValueError(f"n_guesses={n_guesses}: expected a number of tokens, 1 at least.")
        guesses = encoder.fill_mask(text, int(n_guesses))
        return cls(_between_masks(text, len(guesses)), guesses).plot(ax, **bar_kw)


def _gap(i: int) -> str:
    return f"__{i + 1}__"


def _between_masks(text: str | Sequence[str], n_gaps: int) -> list[str]:
    """What is before, between and behind the gaps."""
    for pattern in MASKS:
        if isinstance(text, str):
            parts = re.split(pattern, text)
        else:
            parts = [""]
            for word in text:
                if re.fullmatch(pattern, word):
                    parts[-1] += " "
                    parts.append(" ")
                else:
                    parts[-1] += f" {word}" if parts[-1] else word
        if len(parts) == n_gaps + 1:
            break
    return parts


def _wrapped(words: list[str], text: Any, width: float) -> list[str]:
    """The words in lines that are no wider, in pixels, in the letters of `text`."""

    def fits(line: str) -> bool:
        text.set_text(line)
        return bool(text.get_window_extent().width <= width)

    lines = [""]
    for word in words:
        joined = f"{lines[-1]} {word}".strip()
        if fits(joined):
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        while len(word) > 1 and not fits(word):  # longer than a line: cut
            n = len(word)
            while n > 1 and not fits(word[:n]):
                n = max(1, min(n - 1, int(n * width / text.get_window_extent().width) + 1))
            lines[-1:] = [word[:n], ""]
            word = word[n:]
        lines[-1] = word
    return lines
