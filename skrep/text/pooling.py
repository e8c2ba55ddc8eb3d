"""Documents as means, or largest values, of the vectors of their words."""

import math
from collections.abc import Iterable, Iterator

import numpy as np

from skrep.text.stream import TokenStream

__all__ = ["POOLINGS", "centre_and_distance", "common_direction", "means", "pooled"]

POOLINGS = ("mean", "sif", "idf", "max")

# Smooth inverse frequency: SIF / (SIF + p) for a word of probability p (Arora et al. 2017).
SIF = 1e-3


def means(tokens: np.ndarray, ends: np.ndarray, vectors: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Sums of weighted vectors over their number; zeros for nothing, (n_documents, width) float32.

    Parameters
    ----------
    tokens : ndarray of shape (n_tokens,), int32
        Rows of `vectors`, one document behind the other; -1 is passed over.
    ends : ndarray of shape (n_documents,), int64
        Where documents end.
    vectors : ndarray of shape (n_words, width), float32
        Words' vectors.
    weights : ndarray of shape (n_words,), float32, or None, default=None
        Of words; None is 1.
    """
    ones = np.ones(len(vectors), np.float32)
    return _weighted(tokens, ends, vectors, ones if weights is None else weights, ones)


def _weighted(
    tokens: np.ndarray, ends: np.ndarray, vectors: np.ndarray, weights: np.ndarray, norm: np.ndarray
) -> np.ndarray:
    from skrep.solvers.pooling import pool_mean

    features = np.empty((len(ends), vectors.shape[1]), np.float32)
    pool_mean(tokens, ends, vectors, weights, norm, features)
    return features


def sif_weights(counts: np.ndarray, n_vectors: int) -> np.ndarray:
    """SIF / (SIF + p) of each word; words beyond those that were counted have p = 0."""
    share = np.zeros(n_vectors)
    share[: len(counts)] = counts / max(counts.sum(), 1)
    weights: np.ndarray = (SIF / (SIF + share)).astype(np.float32)
    return weights


def idf_weights(in_documents: np.ndarray, n_documents: int, n_vectors: int) -> np.ndarray:
    """ln((1 + n) / (1 + n_w)) + 1 of each word, as scikit-learn's TfidfVectorizer has it."""
    having = np.zeros(n_vectors)
    having[: len(in_documents)] = in_documents
    weights: np.ndarray = (np.log((1 + n_documents) / (1 + having)) + 1).astype(np.float32)
    return weights


def common_direction(stream: TokenStream, vectors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """First right singular vector of the documents' features for "sif", (width,) float32."""
    weights = sif_weights(counts, len(vectors))
    gram = np.zeros((vectors.shape[1], vectors.shape[1]))
    for tokens, ends in stream.chunks():
        features = means(tokens, ends, vectors, weights).astype(np.float64)
        gram += features.T @ features
    direction: np.ndarray = np.linalg.eigh(gram)[1][:, -1].astype(np.float32)
    return direction


def pooled(
    stream: TokenStream,
    places: np.ndarray,
    vectors: np.ndarray,
    how: str,
    counts: np.ndarray,
    in_documents: np.ndarray,
    n_documents: int,
    direction: np.ndarray,
) -> Iterator[np.ndarray]:
    """Features of documents, chunk by chunk, (n_chunk, width) float32.

    Parameters
    ----------
    stream : TokenStream
        The documents.
    places : ndarray of shape (n_numbers,), int32
        Row of `vectors` for each number in the stream, or -1.
    vectors : ndarray of shape (n_words, width), float32
        Words' vectors.
    how : {"mean", "sif", "idf", "max"}
        What becomes of them.
    counts, in_documents : ndarray of shape (n_counted,)
        How often the first words occurred in training, and in how many documents.
    n_documents : int
        Documents of training.
    direction : ndarray of shape (width,)
        What is taken out for "sif".
    """
    from skrep.solvers.pooling import pool_maximum

    weights = norm = np.ones(len(vectors), np.float32)
    if how == "sif":
        weights = sif_weights(counts, len(vectors))
        # the mean is linear: what is taken from words is taken from documents
        along = np.einsum("ij,j->i", vectors, direction)
        vectors = vectors - along[:, None] * direction
    elif how == "idf":
        weights = norm = idf_weights(in_documents, n_documents, len(vectors))
    with_none = np.append(places, np.int32(-1))  # which -1 finds
    for tokens, ends in stream.chunks():
        rows = with_none[tokens]
        if how == "max":
            features = np.empty((len(ends), vectors.shape[1]), np.float32)
            pool_maximum(rows, ends, vectors, features)
            yield features
        else:
            yield _weighted(rows, ends, vectors, weights, norm)


def centre_and_distance(chunks: Iterable[np.ndarray]) -> tuple[np.ndarray, float]:
    """The mean of features, (width,) float32, and their root mean square distance from it; 1 where nothing varies."""
    n, total, squares = 0, np.float64(0), np.float64(0)
    for features in chunks:
        n += len(features)
        total = total + features.sum(axis=0, dtype=np.float64)
        squares = squares + np.square(features, dtype=np.float64).sum(axis=0)
    square = float(np.sum(squares)) / max(n, 1)
    centre = np.asarray(total / max(n, 1))
    variance = square - float(np.sum(np.square(centre)))
    return centre.astype(np.float32), math.sqrt(variance) if variance > 1e-12 * square else 1.0
