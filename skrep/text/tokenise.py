r"""Documents are cut into words once, and words become numbers.

The patterns ``\b\w+\b`` and ``\b\w\w+\b`` are found in machine code, on several threads; Hugging Face's tokenizers
have threads of their own; functions of the user's are run in several processes where there are many documents.
"""

import functools
import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone

from skrep.data import ahead
from skrep.text.reading import DocumentInput, is_iterator, read_documents
from skrep.text.stream import TokenStream
from skrep.text.subword_tokenizer import SubwordTokenizer, split_with, takes_batches

__all__ = ["Tokenised", "code_points", "learned_tokenizer", "tokenise"]

# Characters or words that are cut at a time.
BLOCK = 2**20

# Blocks from which on it pays to start processes.
MANY_BLOCKS = 8

# Patterns that are found in machine code, by the characters that a word has at least.
_COMPILED = {r"(?u)\b\w+\b": 1, r"\b\w+\b": 1, r"(?u)\b\w\w+\b": 2, r"\b\w\w+\b": 2}


@dataclass
class Tokenised:
    """Documents as numbers, and the words that the numbers stand for."""

    stream: TokenStream
    words: list[str]


def tokenise(
    texts: DocumentInput,
    X: Any,
    known: Sequence[str] = (),
    *,
    tokenizer: Any = None,
    grow: bool = True,
    n_jobs: int = 1,
) -> Tokenised:
    """Cut documents into words and number them.

    Parameters
    ----------
    texts : DocumentInput
        How documents are read and cut.
    X : iterable
        Documents; it is gone through once.
    known : sequence of str, default=()
        Words that have the numbers 0, 1, ...
    grow : bool, default=True
        Whether further words get the next numbers, in the order in which they come, or -1.
    tokenizer : object, default=None
        Instead of that of `texts`.
    n_jobs : int, default=1
        Threads or processes.

    Raises
    ------
    ValueError
        For what is not documents; the message names the first one.
    """
    tokenizer = texts.tokenizer if tokenizer is None else tokenizer
    documents = read_documents(texts, X)
    first = next(documents, None)
    if first is None:
        return Tokenised(TokenStream().finish(), list(known))
    blocks = _blocks(itertools.chain([first], documents))
    by_pattern = texts.analyzer == "word" and tokenizer is None and texts.token_pattern in _COMPILED
    if by_pattern and isinstance(first, str):
        return _scan(texts, blocks, known, grow, n_jobs)
    table: defaultdict[str, int] = defaultdict(int, zip(known, itertools.count()))
    table.default_factory = table.__len__  # the next number
    number = table.__getitem__ if grow else functools.partial(_or_unknown, table)
    stream = TokenStream()
    for words, ends in _cut(texts, tokenizer, blocks, n_jobs, isinstance(first, list)):
        stream.append(np.fromiter(map(number, words), np.int32, len(words)), ends)
    return Tokenised(stream.finish(), list(table))


def learned_tokenizer(texts: DocumentInput, tokenizer: Any, *collections: Any) -> SubwordTokenizer | None:
    """A copy of a tokenizer that learns, fitted to documents as `texts` reads them; None where it is no such one.

    Parameters
    ----------
    texts : DocumentInput
        How documents are read.
    tokenizer : object
        The tokenizer.
    *collections : iterables
        Documents; None is passed over.

    Raises
    ------
    ValueError
        If the documents can be gone through only once.
    """
    if not isinstance(tokenizer, SubwordTokenizer):
        return None
    given = [documents for documents in collections if documents is not None]
    if any(map(is_iterator, given)):
        raise ValueError(
            "a tokenizer that learns needs the documents twice, but X (or unlabeled) is an iterator, which can be "
            "gone through once. Pass a list or skrep.text.TextLines."
        )
    prepare = texts._vectorizer().build_preprocessor()
    read = itertools.chain.from_iterable(read_documents(texts, documents) for documents in given)
    fitted: SubwordTokenizer = clone(tokenizer).fit(prepare(_text(document)) for document in read)
    return fitted


def _text(document: Any) -> str:
    if not isinstance(document, str):
        raise ValueError("a tokenizer cuts texts, but X holds lists of words. Pass texts, or no tokenizer.")
    return document


def _or_unknown(table: dict[str, int], word: str) -> int:
    return table.get(word, -1)


def _blocks(documents: Iterable[Any]) -> Iterator[list[Any]]:
    block: list[Any] = []
    size = 0
    for document in documents:
        block.append(document)
        size += len(document) + 1
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


# --- by Python and by tokenizers -------------------------------------------------------------------------------------


def _cut(
    texts: DocumentInput, tokenizer: Any, blocks: Iterator[list[Any]], n_jobs: int, are_lists: bool
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Words of all documents of a block, and where documents end."""
    if are_lists and texts.analyzer == "word":
        for block in blocks:
            yield _joined(block)
        return
    vectorizer = texts._vectorizer()
    if texts.analyzer == "word" and takes_batches(tokenizer):
        prepare = vectorizer.build_preprocessor()
        for block in blocks:
            yield _joined(split_with(tokenizer, [prepare(text) for text in block]))
        return
    # stop words go with the rare ones
    analyse = texts.analyzer if callable(texts.analyzer) else _Analyzer(vectorizer)
    begin = list(itertools.islice(blocks, MANY_BLOCKS))
    for block in begin:
        yield _analysed(analyse, block)
    if n_jobs == 1 or len(begin) < MANY_BLOCKS:
        yield from (_analysed(analyse, block) for block in blocks)
        return
    parallel = joblib.Parallel(n_jobs=n_jobs, return_as="generator")
    yield from parallel(joblib.delayed(_analysed)(analyse, block) for block in blocks)


class _Analyzer:
    """Prepare a text and cut it."""

    def __init__(self, vectorizer: Any):
        self._prepare, self._cut = vectorizer.build_preprocessor(), vectorizer.build_tokenizer()

    def __call__(self, text: str) -> list[str]:
        words: list[str] = self._cut(self._prepare(text))
        return words


def _analysed(analyse: Callable[[Any], Any], block: list[Any]) -> tuple[list[str], np.ndarray]:
    return _joined([analyse(document) for document in block])


def _joined(documents: list[Any]) -> tuple[list[str], np.ndarray]:
    words = list(itertools.chain.from_iterable(documents))
    if not all(map(str.__instancecheck__, words)):
        bad = next(word for word in words if not isinstance(word, str))
        raise ValueError(f"the tokenizer or analyzer returned {bad!r:.40} ({type(bad).__name__}); expected words.")
    return words, np.cumsum([len(document) for document in documents])


# --- in machine code -------------------------------------------------------------------------------------------------


def _scan(
    texts: DocumentInput, blocks: Iterator[list[str]], known: Sequence[str], grow: bool, n_jobs: int
) -> Tokenised:
    find = functools.partial(_find_runs, texts._vectorizer().build_preprocessor(), _COMPILED[texts.token_pattern])
    table = _WordTable(known)
    stream = TokenStream()
    with closing(ahead(find, blocks, n_jobs)) as found:
        for characters, starts, lengths, hashes, ends in found:
            stream.append(table.number(characters, starts, lengths, hashes, grow), ends)
    return Tokenised(stream.finish(), table.words())


def code_points(documents: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Documents one behind the other as code points, (n_characters,) uint32, and where they end."""
    ends = np.cumsum([len(document) for document in documents], dtype=np.int64)
    return np.frombuffer("".join(documents).encode("utf-32-le", "surrogatepass"), np.uint32), ends


@functools.cache
def _word_characters() -> np.ndarray:
    r"""Which code points ``\w`` matches."""
    is_word = np.fromiter((chr(i).isalnum() for i in range(0x110000)), bool, 0x110000)
    is_word[ord("_")] = True
    return is_word


def _find_runs(prepare: Callable[[str], str], shortest: int, documents: list[str]) -> tuple[np.ndarray, ...]:
    from skrep.solvers.scan import find_runs

    characters, ends = code_points([prepare(document) for document in documents])
    most = len(characters) // 2 + len(ends)
    starts, lengths, hashes = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
    word_ends = np.empty(len(ends), np.int64)
    find_runs(characters, ends, _word_characters(), shortest, starts, lengths, hashes, word_ends)
    n = word_ends[-1]
    return characters, starts[:n], lengths[:n], hashes[:n], word_ends


class _WordTable:
    """Words that machine code finds by their characters."""

    def __init__(self, known: Sequence[str]):
        from skrep.solvers.scan import hash_words

        pool, ends = code_points(known)
        n = len(known)
        hashes = np.empty(n, np.uint64)
        if n:  # each is one word, whatever its characters
            hash_words(pool, ends, hashes)
        self._n_words = n
        self._pool, self._ends, self._known = pool.copy(), ends, hashes
        self._slots = np.empty(0, np.int64)
        self._make_room(1)

    def _make_room(self, n_characters: int) -> None:
        """Twice of all that is full."""
        from skrep.solvers.scan import rehash

        n = self._n_words
        used = int(self._ends[n - 1]) if n else 0
        if used + n_characters > len(self._pool):
            self._pool = _enlarged(self._pool, max(2 * len(self._pool), used + n_characters, 2**16))
        if n == len(self._known):
            self._known, self._ends = (_enlarged(array, max(2 * n, 2**12)) for array in (self._known, self._ends))
        if 2 * n >= len(self._slots):
            size = max(2**13, 1 << (4 * n).bit_length())
            self._slots = np.full(size, -1, np.int64)
            rehash(self._slots, self._known, n)

    def number(
        self, characters: np.ndarray, starts: np.ndarray, lengths: np.ndarray, hashes: np.ndarray, grow: bool
    ) -> np.ndarray:
        """Numbers of words, (n,) int32."""
        from skrep.solvers.scan import add_words, find_words

        tokens = np.empty(len(starts), np.int32)
        parts = characters, starts, lengths, hashes, tokens
        if not grow:
            find_words(self._slots, self._known, self._pool, self._ends, *parts)
            return tokens
        done = 0
        while True:
            table = self._slots, self._known, self._pool, self._ends, self._n_words
            self._n_words, done = add_words(*table, *parts, done)
            if done == len(tokens):
                return tokens
            self._make_room(int(lengths[done]))

    def words(self) -> list[str]:
        """The words, by their numbers."""
        n = self._n_words
        ends = self._ends[:n].tolist()
        text = self._pool[: ends[-1] if n else 0].tobytes().decode("utf-32-le", "surrogatepass")
        return [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _enlarged(array: np.ndarray, size: int) -> np.ndarray:
    larger = np.zeros(size, array.dtype)
    larger[: len(array)] = array
    return larger
