"""Words, their numbers and their n-grams in machine code, against plain Python."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skrep.solvers.scan import add_words, count_words, find_runs, find_words, ngram_rows, rehash

WORDS = st.lists(st.text("ab<é漢\ud800\0", max_size=8), max_size=6)


def points(words):
    characters = np.array([ord(character) for word in words for character in word], np.uint32)
    return characters, np.cumsum([len(word) for word in words], dtype=np.int64)


def fnv(text):
    """FNV-1a over code points, with the upper half mixed into the lower."""
    state = 0xCBF29CE484222325
    for character in text:
        state = ((state ^ ord(character)) * 0x100000001B3) % 2**64
    return state ^ (state >> 32)


def runs(texts, is_word, shortest):
    characters, ends = points(texts)
    most = len(characters) // 2 + len(ends)
    starts, lengths, hashes = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
    word_ends = np.empty(len(ends), np.int64)
    find_runs(characters, ends, is_word, shortest, starts, lengths, hashes, word_ends)
    n = int(word_ends[-1]) if len(word_ends) else 0
    return characters, starts[:n], lengths[:n], hashes[:n], word_ends


@given(texts=st.lists(st.text("ab -", max_size=12), max_size=6), shortest=st.integers(1, 3))
def test_runs(texts, shortest):
    is_word = np.zeros(0x110000, bool)
    is_word[[ord("a"), ord("b")]] = True
    characters, starts, lengths, hashes, word_ends = runs(texts, is_word, shortest)
    expected = [
        [word for word in text.replace("-", " ").split(" ") if len(word) >= shortest and word] for text in texts
    ]
    found = ["".join(map(chr, characters[a : a + n])) for a, n in zip(starts, lengths, strict=True)]
    assert found == [word for words in expected for word in words]
    assert word_ends.tolist() == np.cumsum([len(words) for words in expected], dtype=int).tolist()
    assert hashes.tolist() == [fnv(word) for word in found]


class Table:
    """Room for a few words."""

    def __init__(self, n_slots=8, n_words=4, n_characters=16):
        self.slots, self.known = np.full(n_slots, -1, np.int64), np.zeros(n_words, np.uint64)
        self.pool, self.ends = np.zeros(n_characters, np.uint32), np.zeros(n_words, np.int64)
        self.n = 0

    def arrays(self):
        return self.slots, self.known, self.pool, self.ends

    def add(self, words, hashes, first=0):
        characters, ends = points(words)
        starts, lengths = ends - [len(word) for word in words], np.array([len(word) for word in words])
        tokens = np.full(len(words), -9, np.int32)
        self.n, done = add_words(*self.arrays(), self.n, characters, starts, lengths, hashes, tokens, first)
        return tokens.tolist(), done

    def find(self, words, hashes):
        characters, ends = points(words)
        starts, lengths = ends - [len(word) for word in words], np.array([len(word) for word in words])
        tokens = np.full(len(words), -9, np.int32)
        find_words(*self.arrays(), characters, starts, lengths, hashes, tokens)
        return tokens.tolist()


@pytest.mark.parametrize("code", [0, 7, 2**63 + 5])
def test_words_of_one_hash_are_told_apart(code):
    """Nothing but their characters differs."""
    table = Table()
    hashes = np.full(5, code, np.uint64)
    assert table.add(["ab", "ba", "ab", "abc", "ba"], hashes) == ([0, 1, 0, 2, 1], 5)
    assert table.find(["abc", "ab", "ca", "a", ""], hashes) == [2, 0, -1, -1, -1]
    larger = np.full(32, -1, np.int64)
    rehash(larger, table.known, table.n)
    table.slots = larger
    assert table.find(["abc", "ab", "ca", "a", "ba"], hashes) == [2, 0, -1, -1, 1]


def test_a_full_table_says_where_it_stopped():
    hashes = np.arange(6, dtype=np.uint64)
    words = ["a", "b", "a", "c", "d", "e"]
    for table, n_done in ((Table(n_words=2), 3), (Table(n_slots=4), 3), (Table(n_characters=3), 4)):
        codes = hashes[[0, 1, 0, 3, 4, 5]]
        tokens, done = table.add(words, codes)
        assert done == n_done
        assert tokens[:done] == [0, 1, 0, 2][:done]
        assert tokens[done:] == [-9] * (6 - done)
        assert table.n == len(set(words[:done]))
        assert (table.slots < 0).any()  # or a search for a new word would not end


@given(
    documents=st.lists(st.lists(st.integers(-1, 4), max_size=6), max_size=6),
    more=st.lists(st.lists(st.integers(-1, 4), max_size=6), max_size=6),
)
def test_counts_add_up(documents, more):
    occurrences, in_documents, last = np.zeros(5, int), np.zeros(5, int), np.zeros(5, int)
    n_before = 0
    for part in (documents, more):
        tokens = np.array([word for document in part for word in document], np.int32)
        ends = np.cumsum([len(document) for document in part], dtype=np.int64)
        count_words(tokens, ends, n_before, occurrences, in_documents, last)
        n_before += len(part)
    every = Counter(word for document in documents + more for word in document)
    once = Counter(word for document in documents + more for word in set(document))
    assert occurrences.tolist() == [every[word] for word in range(5)]
    assert in_documents.tolist() == [once[word] for word in range(5)]


@given(words=WORDS, least=st.integers(1, 4), longer=st.integers(0, 4), has_own=st.booleans(), n=st.integers(1, 50))
def test_rows_of_ngrams(words, least, longer, has_own, n):
    most, first = least + longer, len(words) + 3
    expected = []
    for i, word in enumerate(words):
        marked = f"<{word}>"
        sizes = range(least, min(most, len(marked) - 1) + 1)  # the whole word is no part of itself
        grams = [marked[at : at + size] for at in range(len(marked)) for size in sizes if at + size <= len(marked)]
        expected.append([i] * has_own + [first + fnv(gram) % n for gram in grams])
    characters, ends = points([f"<{word}>" for word in words])
    rows, row_ends = np.full(1000, -9, np.int32), np.empty(len(words), np.int64)
    filled = ngram_rows(characters, ends, least, most, first, n, has_own, rows, row_ends)
    assert [part.tolist() for part in np.split(rows[:filled], row_ends[:-1])][: len(words)] == expected
    assert (rows[filled:] == -9).all()


def test_ngrams_of_the_paper():
    """Bojanowski et al. (2017), section 3.2: the 3-grams of "where"."""
    characters, ends = points(["<where>"])
    rows, row_ends = np.empty(99, np.int32), np.empty(1, np.int64)
    n = ngram_rows(characters, ends, 3, 3, 0, 2**20, False, rows, row_ends)
    assert rows[:n].tolist() == [fnv(gram) % 2**20 for gram in ("<wh", "whe", "her", "ere", "re>")]
