"""Huffman trees against those of a heap."""

import heapq
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skrep.solvers.huffman import huffman_paths, join_trees

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=40)


def split(paths, ends):
    """The path of each word, as (node, turn) pairs."""
    assert ends.dtype == np.int64
    assert paths.dtype == np.int32
    assert len(paths) == ends[-1]
    starts = np.append(0, ends)
    return [[(step >> 1, step & 1) for step in paths[a:b]] for a, b in zip(starts, ends, strict=False)]


def heap_cost(counts):
    """Steps that all occurrences take together, in a tree from a heap."""
    heap, cost = list(counts), 0
    heapq.heapify(heap)
    while len(heap) > 1:
        joined = heapq.heappop(heap) + heapq.heappop(heap)
        cost += joined
        heapq.heappush(heap, joined)
    return cost


def check_tree(words):
    """All words are leaves of one binary tree, in which each inner node has two children."""
    if len(words) == 1:
        assert words == [[]]
        return
    root = words[0][0][0]
    children = {}
    for word, path in enumerate(words):
        assert path[0][0] == root
        for (node, turn), (below, _) in pairwise(path):
            assert children.setdefault((node, turn), ("node", below)) == ("node", below)
        assert (path[-1][0], path[-1][1]) not in children  # no word lies on another's path, or where another is
        children[path[-1]] = ("word", word)
    nodes = {node for node, _ in children}
    assert nodes == set(range(len(words) - 1))
    assert set(children) == {(node, turn) for node in nodes for turn in (0, 1)}
    below = [child for kind, child in children.values() if kind == "node"]
    assert sorted([*below, root]) == sorted(nodes)  # each hangs in one place


@given(counts=COUNTS)
@example(counts=[1])
@example(counts=[5, 5])
@example(counts=[0, 0, 0, 0])
@example(counts=[2**i for i in range(50, -1, -1)])
def test_no_tree_is_shorter(counts):
    words = split(*huffman_paths(np.array(counts)))
    check_tree(words)
    assert sum(count * len(path) for count, path in zip(counts, words, strict=True)) == heap_cost(counts)


def test_a_tree_by_hand():
    for counts, lengths in (([8, 4, 2, 1], [1, 2, 3, 3]), ([2, 8, 1, 4], [3, 1, 3, 2])):
        assert [len(path) for path in split(*huffman_paths(np.array(counts)))] == lengths
    words = split(*huffman_paths(np.array([8, 4, 2, 1])))
    assert [path[0][0] for path in words] == [2, 2, 2, 2]  # the last node that is made is the root
    assert words[2][:2] == words[3][:2]


def test_counts_larger_than_float32_has_room_for():
    counts = np.array([2**40 + 1, 2**40, 3, 2])
    words = split(*huffman_paths(counts))
    check_tree(words)
    assert sum(count * len(path) for count, path in zip(counts, words, strict=True)) == heap_cost(counts.tolist())


@given(counts=COUNTS, more=COUNTS, yet_more=COUNTS)
def test_joined_trees(counts, more, yet_more):
    tree, n = huffman_paths(np.array(counts)), len(counts)
    old = split(*tree)
    for others in (more, yet_more):
        new = huffman_paths(np.array(others))
        tree = join_trees(*tree, *new)
        words = split(tree[0].astype(np.int32), tree[1])
        check_tree(words)
        assert [path[1:] for path in words[:n]] == old  # old inner nodes keep their numbers
        assert [path[0] for path in words] == [(n - 1, 0)] * n + [(n - 1, 1)] * len(others)
        shifted = [[(node + n, turn) for node, turn in path] for path in split(*new)]
        assert [path[1:] for path in words[n:]] == shifted
        old, n = words, len(words)


@pytest.mark.parametrize("dtype", [np.int64, np.float64, np.int32])
def test_joined_trees_keep_their_dtypes(dtype):
    one = huffman_paths(np.array([3, 2, 1], dtype))
    paths, ends = join_trees(*one, *huffman_paths(np.array([1], dtype)))
    assert (paths.dtype, ends.dtype) == (one[0].dtype, one[1].dtype) == (np.dtype(np.int32), np.dtype(np.int64))
