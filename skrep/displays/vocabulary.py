"""What displays of words need: their vectors, words that are there, and labels that can be drawn."""

from collections.abc import Iterable
from typing import Any

from sklearn.utils.validation import check_is_fitted

from skrep.text import WordVectors

__all__ = ["as_label", "require_vectors", "require_words", "shortened", "vectors_of"]

MOST_NAMED = 10  # unknown words in a message


def vectors_of(estimator: Any, name: str) -> WordVectors:
    """``vectors_`` of the estimator, or TypeError or NotFittedError on behalf of the display called `name`."""
    check_is_fitted(estimator)
    if not hasattr(estimator, "vectors_"):
        raise TypeError(
            f"{type(estimator).__name__} has no vectors_; {name} needs a fitted Word2VecTransformer. Of a Pipeline, "
            "pass that step."
        )
    return require_vectors(estimator.vectors_, name)


def require_vectors(vectors: Any, name: str) -> WordVectors:
    """Return the vectors, or raise TypeError if they are no WordVectors."""
    if not isinstance(vectors, WordVectors):
        raise TypeError(
            f"{name} got vectors of type {type(vectors).__name__}; expected skrep.text.WordVectors. Make them of words "
            "and an array: WordVectors(words, array)."
        )
    return vectors


def require_words(vectors: WordVectors, words: Any, name: str) -> list[str]:
    """Return the words as a list, a single one too, or raise ValueError if some are not there."""
    if not isinstance(words, (str, Iterable)):
        raise ValueError(f"{name} got words={words!r:.40}; expected a list of words.")
    listed = [words] if isinstance(words, str) else list(words)
    if not listed:
        raise ValueError(f"{name} got no words; pass at least one.")
    unknown = list(
        dict.fromkeys(f"{word!r:.40}" for word in listed if not isinstance(word, str) or word not in vectors)
    )
    if unknown:
        named = ", ".join(unknown[:MOST_NAMED])
        more = f" and {len(unknown) - MOST_NAMED} more" if len(unknown) > MOST_NAMED else ""
        raise ValueError(
            f"{name}: not among the {len(vectors)} words that have vectors: {named}{more}. Leave them out; ask with "
            "`word in vectors`."
        )
    return listed


def as_label(word: str) -> str:
    """The word with what cannot be drawn (line breaks, control characters, lone surrogates) as its escapes."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in word)


def shortened(text: Any, width: float) -> Any:
    """The text, cut to a width in pixels."""
    word = text.get_text()
    length = len(word)
    while length > 1 and text.get_window_extent().width > width:
        length = min(length - 1, int(length * width / text.get_window_extent().width) + 1)
        text.set_text(word[:length] + "…")
    return text
