"""Which tokens of a text look at which."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import axes_or_new, require_matplotlib
from skrep.displays.vocabulary import as_label

__all__ = ["AttentionDisplay"]

FONT_SIZE = 9.0  # in points, where there is room
CELL_INCHES, MOST_INCHES = 0.22, 9.0  # side of a cell, and of the map at most, in a new figure
LETTER_INCHES = 0.085  # mean width of a letter, for the size of a new figure
LONGEST = 16  # letters of a token
SHARE = 0.7  # of the side of a cell, that letters have


class AttentionDisplay:
    """How much each token of a text looks at each, as a heat map.

    It is recommended to use :meth:`from_estimator`. A row is the token that looks, a column one that is looked at;
    rows sum to 1.

    Parameters
    ----------
    weights : array-like of shape (n_tokens, n_tokens)
        From the token of a row to that of a column.
    tokens : sequence of str, of length n_tokens
        The tokens.
    name : str or None, default=None
        Title: whose weights they are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the map.
    figure_ : matplotlib Figure
        Figure that holds them.
    image_ : matplotlib AxesImage
        The map.
    colorbar_ : matplotlib Colorbar
        What its colours mean.
    """

    def __init__(self, weights: Any, tokens: Sequence[str], name: str | None = None):
        self.weights = weights
        self.tokens = tokens
        self.name = name

    def plot(self, ax: Any = None, **image_kw: Any) -> Self:
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough. Letters get smaller where there is less room.
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
            If there is not one row and one column of weights a token.
        """
        require_matplotlib(type(self).__name__)
        weights = np.asarray(self.weights, np.float64)
        n = len(self.tokens)
        if not n or weights.shape != (n, n):
            raise ValueError(
                f"{type(self).__name__} got weights of shape {weights.shape} and {n} tokens; expected one row and one "
                "column a token."
            )
        labels = [_label(token) for token in self.tokens]
        side = min(n * CELL_INCHES, MOST_INCHES) + LETTER_INCHES * max(map(len, labels))
        self.ax_ = axes_or_new(ax, type(self).__name__, (max(3.5, side + 1.4), max(2.8, side + 0.7)))
        self.figure_ = self.ax_.figure
        self.image_ = self.ax_.imshow(weights, **{"cmap": "Blues", "vmin": 0} | image_kw)
        self.colorbar_ = self.figure_.colorbar(self.image_, ax=self.ax_, label="attention", shrink=0.8)
        kw: dict[str, Any] = {"size": FONT_SIZE, "parse_math": False}
        self.ax_.set_xticks(range(n), labels, rotation=90, **kw)
        self.ax_.set_yticks(range(n), labels, **kw)
        self.ax_.tick_params(length=0)
        self.ax_.set(xlabel="looked at", ylabel="looking", title=self.name or "")
        self._fit_letters(n)
        return self

    def _fit_letters(self, n: int) -> None:
        """Letters as large as cells have room for. Smaller ones leave more of it, so a second look is enough."""
        for _ in range(2):
            self.figure_.draw_without_rendering()
            box = self.ax_.get_window_extent()
            cell = min(box.width, box.height) / n * 72 / self.figure_.dpi  # in points
            for label in [*self.ax_.get_xticklabels(), *self.ax_.get_yticklabels()]:
                label.set_size(min(FONT_SIZE, SHARE * cell))

    @classmethod
    def from_estimator(
        cls,
        encoder: Any,
        text: str | Sequence[str],
        *,
        layer: int = -1,
        head: int | None = None,
        ax: Any = None,
        name: str | None = None,
        **image_kw: Any,
    ) -> Self:
        """Draw how a network's layer looks at a text.

        Parameters
        ----------
        encoder : fitted estimator
            With ``attention`` and ``tokenize``, such as :class:`~skrep.MaskedLMTransformer`.
        text : str or list of str
            The text, no longer than a sequence.
        layer : int, default=-1
            Which layer: 1 is the first, -1 the last.
        head : int or None, default=None
            Which of its heads, from 0; None takes the mean over all.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough.
        name : str or None, default=None
            Title; None says which layer and head.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        AttentionDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``attention``.
        ValueError
            If the text is longer than a sequence, or there is no such layer or head.
        """
        require_matplotlib(cls.__name__)
        check_is_fitted(encoder)
        if not (hasattr(encoder, "attention") and hasattr(encoder, "tokenize")):
            raise TypeError(
                f"{type(encoder).__name__} has no attention; {cls.__name__} needs a fitted MaskedLMTransformer. Of a "
                "Pipeline, pass that step."
            )
        maps = encoder.attention(text)  # (n_layers, n_heads, n_tokens, n_tokens)
        n_layers, n_heads = maps.shape[:2]
        if not isinstance(layer, Integral) or not 1 <= abs(layer) <= n_layers:
            raise ValueError(f"layer={layer}: the network has the layers 1 to {n_layers}, or -1 to -{n_layers}.")
        if head is not None and (not isinstance(head, Integral) or not -n_heads <= head < n_heads):
            raise ValueError(f"head={head}: a layer has the heads 0 to {n_heads - 1}; None is the mean over them.")
        number = int(layer) if layer > 0 else n_layers + 1 + int(layer)
        weights = maps[number - 1].mean(axis=0) if head is None else maps[number - 1, int(head)]
        if name is None:
            whose = f"head {int(head) % n_heads}" if head is not None else f"mean of {n_heads} heads"
            name = f"layer {number}, {whose if n_heads > 1 else 'its only head'}"
        return cls(weights, encoder.tokenize(text), name).plot(ax, **image_kw)


def _label(token: str) -> str:
    label = as_label(token)
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"
