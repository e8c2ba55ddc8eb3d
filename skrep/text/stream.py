"""Documents as one stream of numbered words, in memory or in a file."""

import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

__all__ = ["TokenStream"]

# Words that are kept in memory, at 4 bytes each; more are in a temporary file.
MOST_IN_MEMORY = 2**22

# Words that are worked on at a time.
CHUNK = 2**20


class TokenStream:
    """Words of documents, one behind the other, as int32 numbers; -1 is a word that has none.

    A long stream is kept in a temporary file, which is gone when the stream is.

    Attributes
    ----------
    ends : ndarray of shape (n_documents,), int64
        Where documents end.
    """

    def __init__(self) -> None:
        self.ends = np.empty(0, np.int64)
        self._parts: list[np.ndarray] = []
        self._ends: list[np.ndarray] = []
        self._n_tokens = 0
        self._file: Any = None

    def __len__(self) -> int:
        return self._n_tokens

    @property
    def n_documents(self) -> int:
        """How many documents there are."""
        return len(self.ends)

    @property
    def in_memory(self) -> bool:
        """Whether words are in memory, or in a file."""
        return self._file is None

    def append(self, tokens: np.ndarray, ends: np.ndarray) -> None:
        """Add documents; `ends` counts from the first of these `tokens`."""
        self._ends.append(ends + self._n_tokens)
        self._n_tokens += len(tokens)
        self._parts.append(tokens)
        if self._file is not None or self._n_tokens > MOST_IN_MEMORY:
            self._spill()

    def finish(self) -> "TokenStream":
        """No more documents follow."""
        self.ends = np.concatenate([self.ends, *self._ends])
        self._parts = [np.concatenate([np.empty(0, np.int32), *self._parts])] if self._file is None else []
        self._ends = []
        return self

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.NamedTemporaryFile(prefix="skrep-words-")  # noqa: SIM115
            weakref.finalize(self, self._file.close)  # also where it is part of a cycle
        for part in self._parts:
            self._file.write(part.tobytes())
        self._file.flush()
        self._parts = []

    def tokens(self, start: int, stop: int) -> np.ndarray:
        """The words at these places, (stop - start,) int32."""
        if self._file is None:
            return self._parts[0][start:stop]
        if start == stop:
            return np.empty(0, np.int32)
        # mapped anew each time: pages of an old map would stay in memory
        return np.memmap(self._file.name, np.int32, "r", offset=4 * start, shape=(stop - start,))

    def chunks(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The words in pieces of whole documents, each with the ends of its documents."""
        for first, last in self._pieces():
            start = int(self.ends[first - 1]) if first else 0
            yield self.tokens(start, int(self.ends[last - 1])), self.ends[first:last] - start

    def _pieces(self) -> Iterator[tuple[int, int]]:
        first = 0
        while first < self.n_documents:
            start = self.ends[first - 1] if first else 0
            last = max(first + 1, int(np.searchsorted(self.ends, start + CHUNK, side="right")))
            yield first, last
            first = last

    def renumbered(self, numbers: np.ndarray, none: int = -1) -> "TokenStream":
        """The stream with word i as ``numbers[i]`` and words without a number as `none`.

        Words that become -1 are gone, their documents are not.
        """
        stream = TokenStream()
        with_none = np.append(numbers, none).astype(np.int32)  # which -1 finds
        for tokens, ends in self.chunks():
            renumbered = with_none[tokens]
            stays = renumbered >= 0
            before = np.concatenate([[0], np.cumsum(stays)])
            stream.append(renumbered[stays], before[ends])
        return stream.finish()

    def followed_by(self, other: "TokenStream") -> "TokenStream":
        """The documents of both."""
        stream = TokenStream()
        for part in (self, other):
            for tokens, ends in part.chunks():
                stream.append(tokens, ends)
        return stream.finish()

    def documents(self, chosen: np.ndarray) -> "TokenStream":
        """The stream of some documents alone; `chosen` (n_documents,) is True for those."""
        stream = TokenStream()
        first = 0
        for tokens, ends in self.chunks():
            stays = chosen[first : first + len(ends)]
            lengths = np.diff(ends, prepend=0)
            stream.append(tokens[np.repeat(stays, lengths)], np.cumsum(lengths[stays]))
            first += len(ends)
        return stream.finish()

    def counts(self, n_words: int) -> tuple[np.ndarray, np.ndarray]:
        """How often words 0, ..., `n_words` - 1 occur, and in how many documents, (n_words,) each."""
        from skrep.solvers.scan import count_words

        occurrences, documents, last = np.zeros((3, n_words), np.int64)
        n_before = 0
        for tokens, ends in self.chunks():
            count_words(tokens, ends, n_before, occurrences, documents, last)
            n_before += len(ends)
        return occurrences, documents
