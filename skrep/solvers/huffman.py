"""A Huffman tree over words, for hierarchical softmax."""

import numpy as np

from skrep.solvers.compiled import compiled

__all__ = ["huffman_paths", "join_trees"]


@compiled
def _parents(counts, order, parents, turns):  # type: ignore[no-untyped-def]
    """Parent of each leaf (0, ..., n - 1) and inner node (n, ...), and whether it is the right child.

    `order` sorts `counts` so that they fall. The two rarest nodes are joined again and again; inner nodes come into
    being in the order of their counts, so that the rarest are at one of two ends.
    """
    n = len(counts)
    inner = np.empty(n, np.float64)
    leaf, node = n - 1, 0
    for n_inner in range(n - 1):
        total = 0.0
        for turn in range(2):
            if leaf >= 0 and (node >= n_inner or counts[order[leaf]] <= inner[node]):
                child, count = order[leaf], counts[order[leaf]]
                leaf -= 1
            else:
                child, count = n + node, inner[node]
                node += 1
            parents[child], turns[child] = n + n_inner, turn
            total += count
        inner[n_inner] = total


def huffman_paths(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Paths from the root to words.

    Parameters
    ----------
    counts : ndarray of shape (n_words,)
        How often words occur.

    Returns
    -------
    paths : ndarray, int32
        One behind the other, each from the root on: twice the inner node (0, ..., n_words - 2), and 1 where the path
        turns right.
    ends : ndarray of shape (n_words,), int64
        Where paths end.
    """
    n = len(counts)
    parents, turns = np.zeros(2 * n, np.int64), np.zeros(2 * n, np.int64)
    _parents(np.asarray(counts, np.float64), np.argsort(-counts, kind="stable"), parents, turns)
    node, depth = np.arange(n), np.zeros(n, np.int64)
    upwards = []  # of all words at once, from the leaf on
    root = 2 * n - 2
    while (below := node != root).any():
        upwards.append(np.where(below, 2 * (parents[node] - n) + turns[node], -1))
        depth += below
        node = np.where(below, parents[node], node)
    ends = np.cumsum(depth)
    paths = np.empty(int(ends[-1]) if n else 0, np.int32)
    for step, turned in enumerate(upwards):
        on_it = turned >= 0
        paths[ends[on_it] - 1 - step] = turned[on_it]
    return paths, ends


def join_trees(
    paths: np.ndarray, ends: np.ndarray, more: np.ndarray, more_ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Paths in a tree with a new root, the words of one tree to its left and more words to its right.

    Inner nodes of the first tree keep their numbers; then come the root and the second tree's.
    """
    n_nodes = max(len(ends) - 1, 0)
    root = 2 * n_nodes
    left = _prefixed(paths, ends, root)
    right = _prefixed(more + 2 * (n_nodes + 1), more_ends, root + 1)
    joined_ends = np.concatenate([ends, ends[-1:] + more_ends]) + np.arange(1, len(ends) + len(more_ends) + 1)
    return np.concatenate([left, right]), joined_ends


def _prefixed(paths: np.ndarray, ends: np.ndarray, step: int) -> np.ndarray:
    """Each path with a step before it."""
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    prefixed: np.ndarray = np.insert(paths, starts, step)
    return prefixed
