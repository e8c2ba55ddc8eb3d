"""Words of text in machine code: where they are, and which number each has.

Text comes as code points, words leave as numbers. Words are kept in a hash table with open addressing: `slots` holds
numbers of words or -1, a word's characters lie in `pool`.
"""

import numpy as np

from skrep.solvers.compiled import compiled

__all__ = ["add_words", "count_words", "find_runs", "find_words", "hash_words", "ngram_rows", "rehash"]

_BASIS, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SHIFT = np.uint64(32)


@compiled
def _hash(characters, start, length):  # type: ignore[no-untyped-def]
    """FNV-1a over code points, its upper half mixed into the lower, which chooses the slot."""
    state = _BASIS
    for at in range(start, start + length):
        state = (state ^ np.uint64(characters[at])) * _PRIME
    return state ^ (state >> _SHIFT)


@compiled
def hash_words(characters, ends, hashes):  # type: ignore[no-untyped-def]
    """Fill `hashes` (n_words,) with those of words that follow one another, and end at `ends`."""
    start = 0
    for word in range(len(ends)):
        hashes[word] = _hash(characters, start, ends[word] - start)
        start = ends[word]


@compiled
def find_runs(characters, ends, is_word, shortest, starts, lengths, hashes, word_ends):  # type: ignore[no-untyped-def]
    r"""The longest runs of word characters, as the pattern ``\b\w{shortest,}\b`` finds them.

    Parameters
    ----------
    characters : ndarray of shape (n_characters,), uint32
        Code points of documents that follow one another.
    ends : ndarray of shape (n_documents,), int64
        Where documents end.
    is_word : ndarray of shape (1114112,), bool
        Which code points are in words.
    shortest : int
        Characters of a word, at least.
    starts, lengths, hashes : ndarray of shape (n_characters // 2 + n_documents,); int64, int64, uint64
        Filled with the place, length and hash of each word.
    word_ends : ndarray of shape (n_documents,), int64
        Filled with where the words of documents end.
    """
    at, n = 0, 0
    for document in range(len(ends)):
        end = ends[document]
        while at < end:
            while at < end and not is_word[characters[at]]:
                at += 1
            start = at
            while at < end and is_word[characters[at]]:
                at += 1
            if at - start >= shortest:
                starts[n], lengths[n], hashes[n] = start, at - start, _hash(characters, start, at - start)
                n += 1
        word_ends[document] = n


@compiled
def _slot(slots, known, pool, pool_ends, characters, start, length, code):  # type: ignore[no-untyped-def]
    """The slot that holds a word, or the free one in which it would be."""
    mask = np.uint64(len(slots) - 1)
    slot = code & mask
    while slots[slot] >= 0:
        word = slots[slot]
        if known[word] == code:
            begin = pool_ends[word - 1] if word else 0
            if pool_ends[word] - begin == length:
                same = True
                for i in range(length):
                    if pool[begin + i] != characters[start + i]:
                        same = False
                        break
                if same:
                    return slot
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def find_words(  # type: ignore[no-untyped-def]
    slots, known, pool, pool_ends, characters, starts, lengths, hashes, tokens
):
    """Fill `tokens` with the numbers of words, -1 for those that are not in the table."""
    for i in range(len(tokens)):
        tokens[i] = slots[_slot(slots, known, pool, pool_ends, characters, starts[i], lengths[i], hashes[i])]


@compiled
def add_words(  # type: ignore[no-untyped-def]
    slots, known, pool, pool_ends, n_words, characters, starts, lengths, hashes, tokens, first
):
    """Number words from ``tokens[first]`` on; new ones are added as long as there is room.

    Returns
    -------
    n_words : int
        Words in the table.
    n_done : int
        Tokens that are numbered: less than all if there is no room.
    """
    for i in range(first, len(tokens)):
        start, length, code = starts[i], lengths[i], hashes[i]
        slot = _slot(slots, known, pool, pool_ends, characters, start, length, code)
        if slots[slot] < 0:
            used = pool_ends[n_words - 1] if n_words else 0
            if 2 * n_words >= len(slots) or n_words == len(known) or used + length > len(pool):
                return n_words, i
            for at in range(length):
                pool[used + at] = characters[start + at]
            pool_ends[n_words], known[n_words], slots[slot] = used + length, code, n_words
            n_words += 1
        tokens[i] = slots[slot]
    return n_words, len(tokens)


@compiled
def rehash(slots, known, n_words):  # type: ignore[no-untyped-def]
    """Put words into a larger table, which is empty (-1)."""
    mask = np.uint64(len(slots) - 1)
    for word in range(n_words):
        slot = known[word] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = word


@compiled
def count_words(tokens, ends, n_before, occurrences, documents, last):  # type: ignore[no-untyped-def]
    """Add up how often words occur, and in how many documents; -1 is passed over.

    `n_before` documents came before these; ``last[word]`` is the number of the last document that had the word, from 1.
    """
    start = 0
    for document in range(len(ends)):
        for at in range(start, ends[document]):
            word = tokens[at]
            if word >= 0:
                occurrences[word] += 1
                if last[word] != n_before + document + 1:
                    last[word] = n_before + document + 1
                    documents[word] += 1
        start = ends[document]


@compiled
def ngram_rows(  # type: ignore[no-untyped-def]
    characters, ends, least, most, first_bucket, n_buckets, has_own, rows, row_ends
):
    """Rows of the input weights that words are the mean of: the word's own, and those of its character n-grams.

    Parameters
    ----------
    characters : ndarray of shape (n_characters,), uint32
        Words one behind the other, each between ``<`` and ``>``.
    ends : ndarray of shape (n,), int64
        Where words end.
    least, most : int
        Characters of an n-gram.
    first_bucket : int
        The first of the rows of n-grams.
    has_own : bool
        Whether word i has row i besides.
    n_buckets : int
        Rows of n-grams, which share them by their hash.
    rows : ndarray, int32
        Filled; for each word one and as many as it has n-grams.
    row_ends : ndarray of shape (n,), int64
        Filled with where the rows of words end.

    Returns
    -------
    int
        Rows that were filled.
    """
    n, start = 0, 0
    for word in range(len(ends)):
        end = ends[word]
        if has_own:
            rows[n] = word
            n += 1
        for at in range(start, end):
            for length in range(least, min(most, end - at) + 1):
                if length < end - start:  # the word itself is no part
                    rows[n] = first_bucket + np.int64(_hash(characters, at, length) % np.uint64(n_buckets))
                    n += 1
        row_ends[word] = n
        start = end
    return n
