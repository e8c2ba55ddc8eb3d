"""Streams of words in memory and in a file, against plain lists of lists."""

import gc
import importlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skrep.text import TokenStream

module = importlib.import_module("skrep.text.stream")

N_WORDS = 6
DOCUMENTS = st.lists(st.lists(st.integers(0, N_WORDS - 1), max_size=9), max_size=12)
SOME_UNKNOWN = st.lists(st.lists(st.integers(-1, N_WORDS - 1), max_size=9), max_size=12)

# Words that are kept in memory, and how many are worked on at a time.
PLACES = pytest.mark.parametrize(
    ("most", "chunk"),
    [(10**6, 10**6), (10**6, 4), (-1, 10**6), (-1, 4), (0, 1), (12, 5)],
    ids=["memory", "memory-chunks", "file", "file-chunks", "file-words", "later-file"],
)


def made(documents, each=3):
    """A stream to which some documents were added at a time."""
    result = TokenStream()
    for first in range(0, len(documents), each):
        some = documents[first : first + each]
        tokens = np.array([word for document in some for word in document], np.int32)
        result.append(tokens, np.cumsum([len(document) for document in some]))
    return result.finish()


def listed(words):
    assert len(words) == (words.ends[-1] if words.n_documents else 0)
    starts = np.append(0, words.ends)
    return [words.tokens(int(a), int(b)).tolist() for a, b in zip(starts, words.ends, strict=False)]


def checked(most, chunk, check):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST_IN_MEMORY", most)
        patch.setattr(module, "CHUNK", chunk)
        check()


@PLACES
@given(documents=SOME_UNKNOWN)
def test_documents_come_back(most, chunk, documents):
    def check():
        words = made(documents)
        assert listed(words) == documents
        assert words.n_documents == len(documents)
        assert words.in_memory == (len(words) <= most or not documents)
        pieces = []
        for tokens, ends in words.chunks():
            assert tokens.dtype == np.int32
            assert len(ends)
            assert len(tokens) == ends[-1]
            assert len(tokens) <= chunk or len(ends) == 1  # a document is never cut
            pieces += [part.tolist() for part in np.split(tokens, ends[:-1])]
        assert pieces == documents

    checked(most, chunk, check)


@PLACES
@given(documents=SOME_UNKNOWN, numbers=st.lists(st.integers(-1, 20), min_size=N_WORDS, max_size=N_WORDS))
def test_renumbered(most, chunk, documents, numbers):
    """Words without a number, before or after, are gone."""

    def check():
        expected = [[numbers[word] for word in document if word >= 0] for document in documents]
        expected = [[word for word in document if word >= 0] for document in expected]
        assert listed(made(documents).renumbered(np.array(numbers, np.int32))) == expected

    checked(most, chunk, check)


@PLACES
@given(documents=DOCUMENTS, more=DOCUMENTS)
def test_followed_by(most, chunk, documents, more):
    def check():
        first, second = made(documents), made(more, 1)
        assert listed(first.followed_by(second)) == documents + more
        assert (listed(first), listed(second)) == (documents, more)

    checked(most, chunk, check)


@PLACES
@given(documents=SOME_UNKNOWN, seed=st.integers(0, 99))
def test_documents_that_are_chosen(most, chunk, documents, seed):
    def check():
        chosen = np.random.default_rng(seed).random(len(documents)) < 0.5
        expected = [document for document, stays in zip(documents, chosen, strict=True) if stays]
        assert listed(made(documents).documents(chosen)) == expected

    checked(most, chunk, check)


@PLACES
@given(documents=SOME_UNKNOWN)
def test_counts(most, chunk, documents):
    def check():
        occurrences, in_documents = made(documents).counts(N_WORDS)
        all_words = Counter(word for document in documents for word in document)
        once = Counter(word for document in documents for word in set(document))
        assert occurrences.tolist() == [all_words[word] for word in range(N_WORDS)]
        assert in_documents.tolist() == [once[word] for word in range(N_WORDS)]

    checked(most, chunk, check)


def test_more_documents_after_the_end(monkeypatch):
    for most in (10**6, 0):
        monkeypatch.setattr(module, "MOST_IN_MEMORY", most)
        words = made([[1, 2], [3]])
        words.append(np.array([4, 5], np.int32), np.array([0, 2]))
        assert listed(words.finish()) == [[1, 2], [3], [], [4, 5]]


def test_the_file_goes_with_the_stream(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 2)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    words = made([[1, 2, 3], [4, 5]])
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == 4 * 5
    kept = words.tokens(1, 4)
    others = words.renumbered(np.arange(6, dtype=np.int32))
    assert len(list(tmp_path.iterdir())) == 2
    del words
    gc.collect()
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    assert kept.tolist() == [2, 3, 4]  # pages that are mapped stay
    assert listed(others) == [[1, 2, 3], [4, 5]]


def test_a_file_gives_arrays_that_nobody_can_write_to(monkeypatch):
    monkeypatch.setattr(module, "MOST_IN_MEMORY", 0)
    tokens = made([[1, 2, 3]]).tokens(0, 3)
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 9


def test_nothing():
    for words in (TokenStream().finish(), made([[], []]).documents(np.zeros(2, bool))):
        assert len(words) == words.n_documents == 0
        assert list(words.chunks()) == []
        assert [counts.tolist() for counts in words.counts(2)] == [[0, 0], [0, 0]]
