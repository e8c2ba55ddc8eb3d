"""Windows, sequences and rows in machine code against plain Python."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from skrep.solvers.windows import cut_windows, fill_rows, join_windows

STOP = 1  # the token that ends sentences
ENDS_SENTENCE = np.array([False, True, False])
DOCUMENTS = st.lists(st.lists(st.integers(0, 2), max_size=40), max_size=8)
PAIRS = st.lists(st.tuples(*[st.lists(st.integers(5, 9), max_size=6)] * 2), max_size=6)


def laid_out(documents):
    tokens = np.array([token for document in documents for token in document], np.int32)
    return tokens, np.cumsum([len(document) for document in documents], dtype=np.int64)


def cut(documents, rooms):
    """Windows of each document, as pairs of places in it."""
    tokens, ends = laid_out(documents)
    lengths = np.diff(ends, prepend=0)
    most = int((2 * lengths // rooms + 1).sum())  # what the docstring promises
    starts, stops = np.full((2, most), -1)
    window_ends = np.empty(len(documents), np.int64)
    n = cut_windows(tokens, ends, rooms, ENDS_SENTENCE, starts, stops, window_ends)
    assert n == (window_ends[-1] if len(documents) else 0)
    found = []
    for document, (first, last) in enumerate(pairwise([0, *window_ends.tolist()])):
        begin = int(ends[document] - lengths[document])
        found.append(
            [(int(a) - begin, int(b) - begin) for a, b in zip(starts[first:last], stops[first:last], strict=True)]
        )
    return found


def cut_by_hand(document, room):
    """What the docstring says, with slices."""
    windows, start = [], 0
    while True:
        stop = start + room
        if stop >= len(document):
            return [*windows, (start, len(document))]
        ends = [at for at in range(start + 1, stop + 1) if document[at - 1] == STOP and at - start > room // 2]
        stop = ends[-1] if ends else stop
        windows.append((start, stop))
        start = stop


@given(DOCUMENTS, st.integers(1, 9), st.integers(0, 100))
@example([[], [], []], 1, 0)
@example([[STOP] * 40, [0] * 40, []], 8, 0)
@example([[0, 0, 0, 0, STOP] * 8], 8, 0)  # sentences that end right behind the first half
def test_windows_against_slices(documents, room, seed):
    rooms = np.random.default_rng(seed).integers(1, room + 1, size=len(documents))
    assert cut(documents, rooms) == [cut_by_hand(*pair) for pair in zip(documents, rooms.tolist(), strict=True)]


@given(DOCUMENTS, st.integers(1, 9))
def test_no_token_is_lost(documents, room):
    for document, windows in zip(documents, cut(documents, np.full(len(documents), room)), strict=True):
        assert [at for start, stop in windows for at in range(start, stop)] == list(range(len(document)))
        sizes = [stop - start for start, stop in windows]
        assert max(sizes) <= room
        assert min(sizes) > 0 or document == []
        for (_, stop), size in zip(windows[:-1], sizes, strict=False):
            assert size == room or (document[stop - 1] == STOP and size > room // 2)


def test_a_very_long_document_of_single_tokens_and_of_sentences():
    for document in ([0] * 300_001, [0, STOP] * 150_000):
        (windows,) = cut([document], np.array([7]))
        assert windows == cut_by_hand(document, 7)


@pytest.mark.parametrize("between", [0, 1, 2])
@given(PAIRS, st.randoms(use_true_random=False))
def test_sequences_against_lists(between, pairs, random):
    firsts, ends = laid_out([first for first, _ in pairs])
    seconds, second_ends = laid_out([second for _, second in pairs])
    chosen = [random.randrange(len(pairs)) for _ in range(5)] if pairs else []
    expected = []
    for window in chosen:
        first, second = pairs[window]
        sequence = [(2, 0), *((token, 0) for token in first), (3, 0)]
        if between:
            sequence += [(3, 0)] * (between - 1) + [(token, 1) for token in second] + [(3, 1)]
        expected += [(token, kind, at) for at, (token, kind) in enumerate(sequence)]
    starts, second_starts = ends - np.diff(ends, prepend=0), second_ends - np.diff(second_ends, prepend=0)
    filled = np.full((3, len(expected)), -1)
    join_windows(
        np.array(chosen, np.int64), firsts, starts, ends, seconds, second_starts, second_ends, between, 2, 3, *filled
    )
    np.testing.assert_array_equal(filled.T.reshape(-1, 3), np.reshape(expected, (-1, 3)))


def fill(lengths, length):
    rows, columns = np.full((2, len(lengths)), -1)
    n_rows = fill_rows(np.array(lengths, np.int64), length, rows, columns)
    taken = np.zeros((n_rows, length), int)
    for row, column, n in zip(rows, columns, lengths, strict=True):
        assert 0 <= column <= length - n
        taken[row, column : column + n] += 1
    assert taken.max(initial=0) <= 1  # none lies on another
    assert (taken[:, 0] == 1).all()  # no row is empty, none begins with padding
    return n_rows, rows


def best_fit(lengths, length):
    free = []
    for n in sorted(lengths, reverse=True):
        fits = [row for row, room in enumerate(free) if room >= n]
        if fits:
            free[min(fits, key=lambda row: free[row])] -= n
        else:
            free.append(length - n)
    return len(free)


def fewest(lengths, length):
    """As few rows as can be, by trying all."""

    def search(left, free):
        nonlocal best
        if len(free) >= best:
            return
        if not left:
            best = len(free)
            return
        for room in set(free):
            if room >= left[0]:
                others = list(free)
                others.remove(room)
                search(left[1:], [*others, room - left[0]])
        search(left[1:], [*free, length - left[0]])

    best = len(lengths) + 1
    search(sorted(lengths, reverse=True), [])
    return best


LENGTHS = st.integers(1, 20).flatmap(lambda n: st.tuples(st.lists(st.integers(1, n), max_size=60), st.just(n)))


@given(LENGTHS)
@example(([], 8))
@example(([8, 8, 8], 8))
@example(([1] * 60, 7))
def test_rows_are_those_of_best_fit(case):
    assert fill(*case)[0] == best_fit(*case)


@given(st.lists(st.integers(1, 12), max_size=8))
@example([6, 4, 4, 3, 3, 2, 2])
def test_rows_are_hardly_more_than_can_be(lengths):
    n_rows, _ = fill(lengths, 12)
    assert n_rows <= 11 / 9 * fewest(lengths, 12) + 1


def test_equal_lengths_keep_their_order():
    n_rows, rows = fill([5] * 6, 10)
    assert n_rows == 3
    assert rows.tolist() == [0, 0, 1, 1, 2, 2]
