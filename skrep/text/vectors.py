"""Words and their vectors, with the verbs that gensim's ``KeyedVectors`` made common."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from skrep.text.word_files import read_analogies, read_binary, read_pairs, read_text, write_word2vec_format

__all__ = ["WordVectors"]

# Analogies that are answered at a time, for memory.
QUESTIONS = 256


class WordVectors:
    """Vectors of words.

    Parameters
    ----------
    words : sequence of str
        The words, each once; best in order of their frequency.
    vectors : ndarray of shape (n_words, n_components)
        Their vectors.
    counts : ndarray of shape (n_words,) or None, default=None
        How often words occurred in training.

    Attributes
    ----------
    words : list of str
        The words.
    vectors : ndarray of shape (n_words, n_components), float32
        Their vectors.
    counts : ndarray of shape (n_words,), int64, or None
        How often they occurred.
    index : dict of str to int
        The place of each word.

    Raises
    ------
    ValueError
        If there are not as many vectors as words, or a word stands twice.

    Notes
    -----
    ``vectors[word]`` of a word that is not there raises KeyError; ask with ``word in vectors``.

    Examples
    --------
    >>> import numpy as np
    >>> from skrep.text import WordVectors
    >>> vectors = WordVectors(["east", "north", "northeast"], np.array([[1.0, 0], [0, 1], [1, 1]]))
    >>> "west" in vectors
    False
    >>> vectors.most_similar("east", topn=1)
    [('northeast', 0.7071...)]
    """

    def __init__(self, words: Sequence[str], vectors: np.ndarray, counts: np.ndarray | None = None):
        self.words = list(words)
        self.vectors = np.asarray(vectors, np.float32)
        self.counts = None if counts is None else np.asarray(counts, np.int64)
        self._check()

    def _check(self) -> None:
        if not isinstance(self.words, list) or not all(isinstance(word, str) for word in self.words):
            raise ValueError("words are not a list of texts.")
        if self.vectors.ndim != 2 or len(self.vectors) != len(self.words):
            raise ValueError(f"{len(self.words)} words need as many vectors; got an array {self.vectors.shape}.")
        if self.counts is not None and self.counts.shape != (len(self.words),):
            raise ValueError(f"{len(self.words)} words need as many counts; got an array {self.counts.shape}.")
        self.index = dict(zip(self.words, range(len(self.words)), strict=True))
        if len(self.index) < len(self.words):
            twice = next(word for i, word in enumerate(self.words) if self.index[word] != i)
            raise ValueError(f"{twice!r} stands twice among the words.")
        self._unit: np.ndarray | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"words": self.words, "vectors": self.vectors, "counts": self.counts}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.words, self.vectors, self.counts = state["words"], state["vectors"], state["counts"]
        self._check()

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def __iter__(self) -> Iterator[str]:
        return iter(self.words)

    def __getitem__(self, word: Any) -> np.ndarray:
        """The vector of a word, (n_components,); of a list of words, (n, n_components)."""
        vector: np.ndarray = self.vectors[
            self._place(word) if isinstance(word, str) else [self._place(w) for w in word]
        ]
        return vector

    def __repr__(self) -> str:
        return f"WordVectors({len(self)} words, n_components={self.vectors.shape[1]})"

    def _place(self, word: str) -> int:
        try:
            return self.index[word]
        except (KeyError, TypeError):
            raise KeyError(f"{word!r} is not among the {len(self)} words; ask with `word in vectors`.") from None

    @property
    def unit_vectors(self) -> np.ndarray:
        """Vectors of length 1, (n_words, n_components); zeros stay zeros."""
        if self._unit is None:
            self._unit = self.vectors / np.maximum(np.linalg.norm(self.vectors, axis=1, keepdims=True), 1e-30)
        return self._unit

    def _mean(self, positive: Any, negative: Any) -> tuple[np.ndarray, list[int]]:
        """The mean direction, of length 1, and the words in it."""
        parts, places = [], []
        for sign, given in ((1.0, positive), (-1.0, negative)):
            single = isinstance(given, str) or (isinstance(given, np.ndarray) and given.ndim == 1)
            for item in [given] if single else given:
                if isinstance(item, str):
                    places.append(self._place(item))
                    parts.append(sign * self.unit_vectors[places[-1]])
                else:
                    vector = np.asarray(item, np.float32)
                    parts.append(sign * vector / max(float(np.linalg.norm(vector)), 1e-30))
        if not parts:
            raise ValueError("there is neither a positive nor a negative word; pass at least one.")
        mean = np.mean(parts, axis=0)
        return mean / max(float(np.linalg.norm(mean)), 1e-30), places

    def most_similar(
        self, positive: Any = (), negative: Any = (), topn: int | None = 10, restrict_vocab: int | None = None
    ) -> list[tuple[str, float]]:
        """The words nearest by cosine to the mean of some words, others subtracted.

        Parameters
        ----------
        positive, negative : str, vector, or list of them
            ``most_similar(["king", "woman"], ["man"])`` asks what is to a woman as a king is to a man.
        topn : int or None, default=10
            How many; None gives all.
        restrict_vocab : int or None, default=None
            Look only among this many first words.

        Returns
        -------
        list of (str, float)
            Words and their cosines, the nearest first; the words in question are not among them.

        Raises
        ------
        KeyError
            If a word is not there.
        """
        mean, places = self._mean(positive, negative)
        return self._nearest(self.unit_vectors[:restrict_vocab] @ mean, places, topn)

    def most_similar_cosmul(
        self, positive: Any = (), negative: Any = (), topn: int | None = 10, restrict_vocab: int | None = None
    ) -> list[tuple[str, float]]:
        """As :meth:`most_similar`, but cosines (moved into [0, 1]) are multiplied and divided, not added.

        No single word can then outweigh the others (Levy & Goldberg 2014, 3CosMul).

        Parameters
        ----------
        positive, negative : str, vector, or list of them
            Words.
        topn : int or None, default=10
            How many; None gives all.
        restrict_vocab : int or None, default=None
            Look only among this many first words.

        Returns
        -------
        list of (str, float)
            Words and the quotients.
        """
        places: list[int] = []
        self._mean(positive, negative)  # an error where there is nothing
        scores = np.ones(len(self.unit_vectors[:restrict_vocab]), np.float32)
        for given, is_positive in ((positive, True), (negative, False)):
            for item in [given] if isinstance(given, str) or getattr(given, "ndim", 0) == 1 else given:
                direction, at = self._mean([item], ())
                places += at
                shares = (1 + self.unit_vectors[:restrict_vocab] @ direction) / 2
                scores = scores * shares if is_positive else scores / (shares + 1e-6)
        return self._nearest(scores, places, topn)

    def _nearest(self, scores: np.ndarray, without: list[int], topn: int | None) -> list[tuple[str, float]]:
        scores = scores.copy()
        without = [place for place in without if place < len(scores)]
        scores[without] = -np.inf
        n = min(len(scores) if topn is None else topn, len(scores) - len(set(without)))
        if n <= 0:
            return []
        best = np.argpartition(-scores, n - 1)[:n]
        best = best[np.argsort(-scores[best], kind="stable")]
        return [(self.words[i], float(scores[i])) for i in best]

    def similarity(self, word: str, other: str) -> float:
        """Cosine between two words.

        Parameters
        ----------
        word, other : str
            The words.

        Returns
        -------
        float
            In [-1, 1].
        """
        return float(self.unit_vectors[self._place(word)] @ self.unit_vectors[self._place(other)])

    def doesnt_match(self, words: Iterable[str]) -> str:
        """The word that is farthest from the mean of all.

        Parameters
        ----------
        words : iterable of str
            Words; those that are not there are passed over.

        Returns
        -------
        str

        Raises
        ------
        ValueError
            If none of them is there.
        """
        places = [self.index[word] for word in words if word in self.index]
        if not places:
            raise ValueError("none of these words is there.")
        vectors = self.unit_vectors[places]
        return self.words[places[int(np.argmin(vectors @ vectors.mean(axis=0)))]]

    # --- against human judgement -----------------------------------------------------------------------------------

    def evaluate_word_pairs(
        self, pairs: Any, *, restrict_vocab: int | None = 300_000, case_insensitive: bool = True
    ) -> tuple[Any, Any, float]:
        """How cosines go with what people say of the likeness of words (WordSim-353, SimLex-999).

        Parameters
        ----------
        pairs : path-like or iterable of (str, str, float)
            Two words and a score; a file has one such triple a line, between tabs, and comments after ``#``.
        restrict_vocab : int or None, default=300000
            Only this many first words are known.
        case_insensitive : bool, default=True
            Whether case is ignored; of words that differ in it alone, the first is taken.

        Returns
        -------
        pearson, spearman : scipy.stats results
            Correlations, with their p-values.
        oov_ratio : float
            Percentage of the pairs that were left out, for a word that is not there.

        Raises
        ------
        ValueError
            If no pair is left, or a line is not a triple.
        """
        if isinstance(pairs, (str, os.PathLike)):
            pairs = read_pairs(Path(pairs))
        known = self._known(restrict_vocab, case_insensitive)
        fold = str.upper if case_insensitive else str
        cosines, scores, n = [], [], 0
        for word, other, score in pairs:
            n += 1
            places = known.get(fold(word)), known.get(fold(other))
            if None not in places:
                first, second = (self.unit_vectors[place] for place in places)
                cosines.append(float(first @ second))
                scores.append(float(score))
        if len(cosines) < 2:
            raise ValueError(f"of {n} pairs {len(cosines)} have both words among the {len(self)}; no correlation.")
        return pearsonr(scores, cosines), spearmanr(scores, cosines), 100 * (n - len(cosines)) / n

    def evaluate_word_analogies(
        self, analogies: Any, *, restrict_vocab: int | None = 300_000, case_insensitive: bool = True
    ) -> tuple[float, list[dict[str, Any]]]:
        """Share of questions "a is to b as c is to?" whose answer is the nearest word (Mikolov et al. 2013).

        Parameters
        ----------
        analogies : path-like
            Four words a line; a line ``: name`` begins a section.
        restrict_vocab : int or None, default=300000
            Only this many first words are known, and are looked among.
        case_insensitive : bool, default=True
            Whether case is ignored; of words that differ in it alone, the first is taken.

        Returns
        -------
        score : float
            Share of correct answers, of the questions of which all four words are there.
        sections : list of dict
            "section", and the questions that were "correct" and "incorrect", as tuples of words; the last one is of
            all.

        Raises
        ------
        ValueError
            If a line is not four words, or no question is left.
        """
        known = self._known(restrict_vocab, case_insensitive)
        fold = str.upper if case_insensitive else str
        unit = self.unit_vectors[:restrict_vocab]
        stands_for = np.arange(len(unit))  # the first word that is the same but for its case
        for place in range(len(unit)):
            stands_for[place] = known[fold(self.words[place])]
        sections: list[dict[str, Any]] = []
        for name, questions in read_analogies(Path(analogies)):
            asked = [[known.get(fold(word)) for word in question] for question in questions]
            places = np.array([place for place in asked if None not in place], np.int64).reshape(-1, 4)
            right: list[bool] = []
            for start in range(0, len(places), QUESTIONS):
                a, b, c, answer = places[start : start + QUESTIONS].T
                directions = unit[b] - unit[a] + unit[c]
                cosines = directions @ unit.T  # (n_questions, n_words)
                for given in (a, b, c):
                    cosines[stands_for == given[:, None]] = -np.inf
                right += ((stands_for[cosines.argmax(axis=1)] == answer) & (cosines.max(axis=1) > -np.inf)).tolist()
            words = [tuple(self.words[place] for place in question) for question in places]
            correct = [question for question, is_right in zip(words, right, strict=True) if is_right]
            incorrect = [question for question, is_right in zip(words, right, strict=True) if not is_right]
            sections.append({"section": name, "correct": correct, "incorrect": incorrect})
        total = {
            key: [question for section in sections for question in section[key]] for key in ("correct", "incorrect")
        }
        n_asked = len(total["correct"]) + len(total["incorrect"])
        if not n_asked:
            raise ValueError(f"no question has all four words among the {len(self)}.")
        return len(total["correct"]) / n_asked, [*sections, {"section": "Total accuracy", **total}]

    def _known(self, restrict_vocab: int | None, case_insensitive: bool) -> dict[str, int]:
        words = self.words[:restrict_vocab]
        if not case_insensitive:
            return {word: place for place, word in enumerate(words)}
        return {word.upper(): place for place, word in reversed(list(enumerate(words)))}

    # --- files -----------------------------------------------------------------------------------------------------

    def save_word2vec_format(self, path: str | os.PathLike, *, binary: bool = False) -> None:
        """Write the file that word2vec, gensim, fastText and spaCy read.

        Parameters
        ----------
        path : path-like
            The file.
        binary : bool, default=False
            Whether vectors are bytes, or text.

        Raises
        ------
        ValueError
            If a word is empty or holds white space, which separates words there.
        """
        write_word2vec_format(path, self.words, self.vectors, binary=binary)

    @classmethod
    def load_word2vec_format(
        cls, path: str | os.PathLike, *, binary: bool = False, limit: int | None = None, errors: str = "strict"
    ) -> "WordVectors":
        """Read a file of word2vec, gensim, fastText or (without its first line) GloVe.

        Parameters
        ----------
        path : path-like
            The file.
        binary : bool, default=False
            Whether vectors are bytes, or text.
        limit : int or None, default=None
            Read only this many first words.
        errors : {"strict", "ignore", "replace"}, default="strict"
            What to do about words that are not UTF-8.

        Returns
        -------
        WordVectors

        Raises
        ------
        ValueError
            If the file is not in that format; the message names the line.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"limit={limit}: expected a number of words, or None for all.")
        with open(path, "rb") as file:
            return cls(*(read_binary if binary else read_text)(file, Path(path), limit, errors))
