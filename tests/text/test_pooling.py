"""Vectors of documents against plain means, numpy's SVD and scikit-learn's inverse document frequencies."""

import importlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from skrep.solvers.pooling import pool_maximum, pool_mean
from skrep.text import POOLINGS, TokenStream, common_direction, means, pooled
from skrep.text.pooling import SIF, centre_and_distance, idf_weights, sif_weights

N_WORDS, WIDTH = 6, 4
DOCUMENTS = st.lists(st.lists(st.integers(-1, N_WORDS - 1), max_size=8), max_size=10)
SOME = [[0, 1, 1, 5], [], [2, -1, 2], [3], [-1, -1], [4, 0, 0, 0, 3, 2]]


def stream_of(documents):
    words = TokenStream()
    tokens = np.array([word for document in documents for word in document], np.int32)
    words.append(tokens, np.cumsum([len(document) for document in documents], dtype=np.int64))
    return words.finish()


def word_vectors(seed=0, n=N_WORDS):
    return np.random.default_rng(seed).normal(size=(n, WIDTH)).astype(np.float32)


COUNTS, IN_DOCUMENTS, N_DOCUMENTS = np.array([40, 30, 9, 3, 1]), np.array([8, 5, 3, 2, 1]), 10


def naive(documents, vectors, how, direction):
    """Each document by itself, in float64; words beyond the five that were counted have a count of zero."""
    vectors = vectors.astype(np.float64)
    share = np.append(COUNTS / COUNTS.sum(), 0)
    having = np.append(IN_DOCUMENTS, 0)
    features = np.zeros((len(documents), vectors.shape[1]))
    for feature, document in zip(features, documents, strict=True):
        words = [word for word in document if word >= 0]
        if not words:
            continue
        if how == "mean":
            feature[:] = vectors[words].mean(axis=0)
        elif how == "max":
            feature[:] = vectors[words].max(axis=0)
        elif how == "idf":
            idf = np.log((1 + N_DOCUMENTS) / (1 + having)) + 1
            feature[:] = np.average(vectors[words], axis=0, weights=idf[words])
        else:
            weights = 1e-3 / (1e-3 + share[words])
            mean = (weights[:, None] * vectors[words]).sum(axis=0) / len(words)
            feature[:] = mean - mean @ direction * direction
    return features


def ours(documents, vectors, how, direction, places=None):
    places = np.arange(N_WORDS, dtype=np.int32) if places is None else places
    chunks = pooled(
        stream_of(documents), places, vectors, how, COUNTS, IN_DOCUMENTS, N_DOCUMENTS, direction.astype(np.float32)
    )
    features = [np.empty((0, WIDTH), np.float32), *chunks]
    assert {chunk.dtype for chunk in features} == {np.dtype(np.float32)}
    return np.concatenate(features)


DIRECTION = np.array([0.5, -0.5, 0.1, 0.7]) / np.linalg.norm([0.5, -0.5, 0.1, 0.7])


@pytest.mark.parametrize("how", POOLINGS)
@given(documents=DOCUMENTS, chunk=st.sampled_from([1, 5, 1000]))
def test_every_pooling(how, documents, chunk):
    vectors = word_vectors()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.import_module("skrep.text.stream"), "CHUNK", chunk)
        got = ours(documents, vectors, how, DIRECTION)
    np.testing.assert_allclose(got, naive(documents, vectors, how, DIRECTION), atol=2e-6)
    for feature, document in zip(got, documents, strict=True):
        if max(document, default=-1) < 0:
            np.testing.assert_array_equal(feature, 0)


@pytest.mark.parametrize("how", POOLINGS)
def test_words_elsewhere_and_unknown_ones(how):
    """`places` says where a word's vector is; a number without one is passed over, and so is -1."""
    vectors = word_vectors()
    places = np.array([2, -1, 0, 5, -1, 1], np.int32)
    moved = [[places[word] if word >= 0 else -1 for word in document] for document in SOME]
    np.testing.assert_allclose(
        ours(SOME, vectors, how, DIRECTION, places), naive(moved, vectors, how, DIRECTION), atol=2e-6
    )


@pytest.mark.parametrize("how", POOLINGS)
def test_a_document_does_not_depend_on_those_beside_it(how):
    vectors = word_vectors()
    together = ours(SOME, vectors, how, DIRECTION)
    alone = np.concatenate([ours([document], vectors, how, DIRECTION) for document in SOME])
    np.testing.assert_array_equal(together, alone)


def test_the_largest_value_may_be_negative():
    vectors = -1 - np.abs(word_vectors())
    np.testing.assert_array_equal(ours([[0, 1], [2], []], vectors, "max", DIRECTION)[2], 0)
    assert (ours([[0, 1], [2]], vectors, "max", DIRECTION) <= -1).all()


def test_idf_is_scikit_learns():
    texts = ["a b b", "a c", "a", "d d d", ""]
    tfidf = TfidfVectorizer(token_pattern=r"\w+").fit(texts)
    in_documents = np.array([3, 1, 1, 1])
    np.testing.assert_allclose(idf_weights(in_documents, 5, 6)[:4], tfidf.idf_, rtol=1e-6)
    np.testing.assert_allclose(idf_weights(in_documents, 5, 6)[4:], np.log(6) + 1, rtol=1e-6)  # words never seen


def test_weights_of_sif():
    """Arora et al. (2017): a / (a + p(w)), a = 0.001."""
    assert SIF == 1e-3
    np.testing.assert_allclose(sif_weights(np.array([3, 1]), 3), [1e-3 / 0.751, 1e-3 / 0.251, 1], rtol=1e-6)
    np.testing.assert_array_equal(sif_weights(np.zeros(2, np.int64), 2), [1, 1])


@pytest.mark.parametrize("chunk", [1, 10**6])
def test_the_common_direction_is_the_first_singular_vector(monkeypatch, chunk):
    monkeypatch.setattr(importlib.import_module("skrep.text.stream"), "CHUNK", chunk)
    rng = np.random.default_rng(0)
    documents = [rng.integers(0, N_WORDS, rng.integers(0, 9)).tolist() for _ in range(40)]
    vectors = word_vectors() + np.array([2, 0, -1, 0], np.float32)
    got = common_direction(stream_of(documents), vectors, COUNTS)
    features = naive(documents, vectors, "sif", np.zeros(WIDTH))  # before anything is taken out
    expected = np.linalg.svd(features, full_matrices=False)[2][0]
    assert got.dtype == np.float32
    assert np.linalg.norm(got) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(got * np.sign(got @ expected), expected, atol=1e-5)
    left = naive(documents, vectors, "sif", got.astype(np.float64))
    assert np.abs(left @ got).max() < 1e-5
    np.testing.assert_allclose(ours(documents, vectors, "sif", got), left, atol=2e-6)


def test_no_documents_have_some_direction():
    for documents in ([], [[], []]):
        direction = common_direction(stream_of(documents), word_vectors(), COUNTS)
        assert np.isfinite(direction).all()


@given(documents=DOCUMENTS, has_weights=st.booleans())
def test_means(documents, has_weights):
    """The weighted sum over the number of words."""
    vectors, stream = word_vectors(), stream_of(documents)
    weights = np.linspace(0.1, 2, N_WORDS).astype(np.float32) if has_weights else None
    got = means(stream.tokens(0, len(stream)), stream.ends, vectors, weights)
    scaled = vectors if weights is None else vectors * weights[:, None]
    known = [[word for word in document if word >= 0] for document in documents]
    expected = [scaled[words].mean(axis=0) if words else np.zeros(WIDTH) for words in known]
    np.testing.assert_allclose(got, np.reshape(expected, (-1, WIDTH)), atol=2e-6)


def test_kernels_on_a_long_document():
    """A sum in float32 would lose the last digits of a million equal words."""
    n = 10**6
    vectors = np.array([[0.1, 1e-3], [-5, 7]], np.float32)
    tokens, ends = np.zeros(n, np.int32), np.array([n])
    result = np.full((1, 2), np.nan, np.float32)
    ones = np.ones(2, np.float32)
    pool_mean(tokens, ends, vectors, ones, ones, result)
    np.testing.assert_allclose(result, vectors[:1], rtol=1e-7)
    tokens[-1] = 1
    pool_maximum(tokens, ends, vectors, result)
    np.testing.assert_array_equal(result, np.array([[0.1, 7]], np.float32))


def test_words_that_weigh_nothing():
    """Where no word of a document has a weight, it is zero."""
    stream = stream_of([[0, 1], [1]])
    result = np.full((2, WIDTH), np.nan, np.float32)
    weights = np.zeros(N_WORDS, np.float32)
    pool_mean(stream.tokens(0, 3), stream.ends, word_vectors(), weights, weights, result)
    np.testing.assert_array_equal(result, 0)


@pytest.mark.parametrize("n_chunks", [1, 3])
def test_centre_and_distance(n_chunks):
    features = np.random.default_rng(0).normal(size=(30, WIDTH)).astype(np.float32) * np.float32(3) + np.float32(5)
    centre, distance = centre_and_distance(np.array_split(features, n_chunks))
    assert centre.dtype == np.float32
    np.testing.assert_allclose(centre, features.mean(axis=0), rtol=1e-6)
    distances = np.linalg.norm(features - features.mean(axis=0), axis=1)
    assert distance == pytest.approx(np.sqrt(np.mean(distances**2)), rel=1e-5)


@pytest.mark.parametrize("features", [np.zeros((5, 3)), np.full((5, 3), 0.1), np.ones((1, 3))], ids=["0", "0.1", "one"])
def test_the_distance_of_what_does_not_vary(features):
    centre, distance = centre_and_distance([features.astype(np.float32)])
    assert distance == 1.0
    np.testing.assert_array_equal(centre, features[0].astype(np.float32))
