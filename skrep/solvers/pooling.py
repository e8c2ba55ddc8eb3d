"""Vectors of documents from vectors of their words, in machine code."""

import numpy as np

from skrep.solvers.compiled import compiled

__all__ = ["pool_maximum", "pool_mean"]


@compiled
def pool_mean(tokens, ends, vectors, weights, norm, pooled):  # type: ignore[no-untyped-def]
    """Weighted sums of the vectors of documents' words over the sum of ``norm``, zeros where that is zero.

    Parameters
    ----------
    tokens : ndarray of shape (n_tokens,), int32
        Words of documents that follow one another; -1 is passed over.
    ends : ndarray of shape (n_documents,), int64
        Where documents end.
    vectors : ndarray of shape (n_words, width), float32
        Words' vectors.
    weights, norm : ndarray of shape (n_words,), float32
        Of words.
    pooled : ndarray of shape (n_documents, width), float32
        Filled.
    """
    width = vectors.shape[1]
    sums = np.empty(width, np.float64)  # of a long document's many words
    start = 0
    for document in range(len(ends)):
        sums[:] = 0.0
        total = 0.0
        for at in range(start, ends[document]):
            word = tokens[at]
            if word >= 0:
                weight = np.float64(weights[word])
                total += norm[word]
                for i in range(width):
                    sums[i] += weight * vectors[word, i]
        for i in range(width):
            pooled[document, i] = sums[i] / total if total else 0.0
        start = ends[document]


@compiled
def pool_maximum(tokens, ends, vectors, pooled):  # type: ignore[no-untyped-def]
    """The largest value in each column of the vectors of documents' words; zeros where there are none."""
    width = vectors.shape[1]
    start = 0
    for document in range(len(ends)):
        found = False
        for i in range(width):
            pooled[document, i] = 0.0
        for at in range(start, ends[document]):
            word = tokens[at]
            if word >= 0:
                for i in range(width):
                    if not found or vectors[word, i] > pooled[document, i]:
                        pooled[document, i] = vectors[word, i]
                found = True
        start = ends[document]
