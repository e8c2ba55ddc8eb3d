"""Vectors of tokens to begin with: skip-gram with negative sampling, over a stream of numbers (Mikolov et al. 2013)."""

import numpy as np

from skrep.text.stream import TokenStream

__all__ = ["skip_gram_vectors"]

# As in Word2VecTransformer: wide windows learn what tokens are about.
WINDOW, NEGATIVE, EXPONENT, SAMPLE, LR = 10, 5, 0.75, 1e-3, 0.025

# Tokens that are read, all epochs together, and the epochs that this may come to.
READ, EPOCHS = 25_000_000, (2, 20)

# Blocks of documents in an epoch, at least, in each of which the learning rate is the same.
BLOCKS = 64


def skip_gram_vectors(stream: TokenStream, n_tokens: int, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Learn vectors in machine code, on one thread.

    Parameters
    ----------
    stream : TokenStream
        Documents as numbers below `n_tokens`.
    n_tokens : int
        Tokens in the vocabulary.
    width : int
        Of the vectors.
    seed : int
        Decides all.

    Returns
    -------
    vectors : ndarray of shape (n_tokens, width), float32
        Vectors.
    counts : ndarray of shape (n_tokens,), int64
        How often each token occurs; vectors of those that do not are random.
    """
    from skrep.solvers.word2vec_steps import CompiledWeights, Task, keep_probabilities, negative_tables

    counts, _ = stream.counts(n_tokens)
    rng = np.random.default_rng(seed)
    inputs = (rng.random((n_tokens, width), np.float32) - np.float32(0.5)) / np.float32(width)
    thresholds, others = negative_tables(counts, EXPONENT)
    task = Task(
        window=WINDOW,
        negative=NEGATIVE,
        is_cbow=False,
        uses_bags=False,
        shares_error=False,
        keep=keep_probabilities(counts, max(SAMPLE, 10 / n_tokens)),
        thresholds=thresholds,
        others=others,
        paths=np.empty(0, np.int32),
        path_ends=np.zeros(0, np.int64),
        parts=np.arange(n_tokens, dtype=np.int32),
        part_ends=np.arange(1, n_tokens + 1),
    )
    weights = CompiledWeights(task, inputs, np.zeros_like(inputs))
    n_epochs = int(np.clip(READ // max(1, len(stream)), *EPOCHS))
    bounds = np.unique(np.linspace(0, stream.n_documents, BLOCKS + 1).astype(int))
    ends = np.concatenate([[0], stream.ends])
    total, done = n_epochs * max(1, len(stream)), 0
    for _ in range(n_epochs):
        for block in rng.permutation(len(bounds) - 1):
            first, last = bounds[block], bounds[block + 1]
            start, stop = int(ends[first]), int(ends[last])
            lr = LR * max(1e-2, 1 - done / total)
            weights.run(stream.tokens(start, stop), ends[first + 1 : last + 1] - start, lr, int(rng.integers(2**32)))
            done += stop - start
    return weights.weights()[0], counts
