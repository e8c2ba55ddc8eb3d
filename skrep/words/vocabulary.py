"""Which words have vectors, and how often the others occurred so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from skrep.text import Tokenised

__all__ = ["Vocabulary", "find_vocabulary", "grown_vocabulary"]

# Where min_count is None: words of the corpus from which on a word has to occur that often.
MIN_COUNTS = ((300_000, 5), (10_000, 2), (0, 1))


@dataclass
class Vocabulary:
    """Words that have vectors, and words that are too rare so far.

    Attributes
    ----------
    words : list of str
        Those that have vectors.
    counts, in_documents : ndarray of shape (n_words,), int64
        How often they occurred, and in how many documents.
    rare_words : list of str
        The others.
    rare_counts : ndarray of shape (2, n_rare), int64
        How often these occurred, and in how many documents.
    min_count : int
        How often a word has to occur.
    """

    words: list[str]
    counts: np.ndarray
    in_documents: np.ndarray
    rare_words: list[str]
    rare_counts: np.ndarray
    min_count: int


def find_vocabulary(
    documents: Tokenised,
    given: Sequence[str] | None,
    min_count: int | None,
    most: int | None,
    are_stop_words: Callable[[list[str]], np.ndarray],
) -> Vocabulary:
    """The vocabulary of some documents.

    Parameters
    ----------
    documents : Tokenised
        The documents, with all words in them.
    given : sequence of str or None
        The words that have vectors; None finds the frequent ones.
    min_count : int or None
        How often a word has to occur; None goes with the number of words.
    most : int or None
        Words, at most.
    are_stop_words : callable
        Which of some words are left out, (n_words,) bool.

    Raises
    ------
    ValueError
        If no word is frequent enough.
    """
    counts, in_documents = documents.stream.counts(len(documents.words))
    n_words = int(counts.sum())
    least = min_count or next(least for size, least in MIN_COUNTS if n_words >= size)
    if given is not None:
        place = {word: number for number, word in enumerate(documents.words)}
        numbers = np.array([place.get(word, len(counts)) for word in given], np.int64)
        words, rare = list(given), np.empty(0, np.int64)
        counts, in_documents = np.append(counts, 0), np.append(in_documents, 0)  # of words that do not occur
    else:
        numbers, rare = _frequent(documents.words, counts, least, most, are_stop_words)
        if not len(numbers):
            raise ValueError(
                f"of the {n_words} words in {documents.stream.n_documents} documents none occurs min_count="
                f"{least} times or is no stop word. Pass documents with words, or a smaller min_count."
            )
        words = [documents.words[number] for number in numbers]
    rare_words = [documents.words[number] for number in rare]
    rare_counts = np.stack([counts[rare], in_documents[rare]])
    return Vocabulary(words, counts[numbers], in_documents[numbers], rare_words, rare_counts, least)


def grown_vocabulary(
    known: Vocabulary, documents: Tokenised, most: int | None, are_stop_words: Callable[[list[str]], np.ndarray]
) -> Vocabulary:
    """The vocabulary after more documents: words that have become frequent enough follow those that were there.

    Parameters
    ----------
    known : Vocabulary
        It is not changed.
    documents : Tokenised
        More documents; the first of their words are those of `known`, then its rare ones.
    most : int or None
        New words, at most.
    are_stop_words : callable
        As in :func:`find_vocabulary`.
    """
    n_old, n_seen = len(known.words), len(known.words) + len(known.rare_words)
    counts, in_documents = documents.stream.counts(len(documents.words))
    counts[:n_old] += known.counts
    in_documents[:n_old] += known.in_documents
    counts[n_old:n_seen] += known.rare_counts[0]
    in_documents[n_old:n_seen] += known.rare_counts[1]
    new, rare = _frequent(documents.words, counts, known.min_count, most, are_stop_words, n_old)
    return Vocabulary(
        [*known.words, *(documents.words[number] for number in new)],
        np.append(counts[:n_old], counts[new]),
        np.append(in_documents[:n_old], in_documents[new]),
        [documents.words[number] for number in rare],
        np.stack([counts[rare], in_documents[rare]]),
        known.min_count,
    )


def _frequent(
    words: list[str],
    counts: np.ndarray,
    min_count: int,
    most: int | None,
    are_stop_words: Callable[[list[str]], np.ndarray],
    first: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers, from `first` on, of words that are frequent enough, the most frequent first; and the others'."""
    order = first + np.argsort(-counts[first:], kind="stable")
    order = order[~are_stop_words(words)[order] & (counts[order] > 0)]
    n = int((counts[order] >= min_count).sum())
    n = n if most is None else min(n, most)
    return order[:n], order[n:]
