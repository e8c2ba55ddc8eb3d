"""Documents as windows of tokens, put together and laid into rows."""

import numpy as np
import pytest
import torch

from skrep.solvers.windows import fill_rows
from skrep.text import SpecialTokens, TextSource, TokenStream, in_own_rows, packed

CPU = torch.device("cpu")
SPECIAL = SpecialTokens(padding=0, unknown=1, begin=2, end=3, mask=4)
STOP = 9  # ends sentences


def stream(documents):
    made = TokenStream()
    tokens = np.array([t for document in documents for t in document], np.int32)
    made.append(tokens, np.cumsum([len(document) for document in documents], dtype=np.int64))
    return made.finish()


def source(documents, second=None, max_length=12, special=SPECIAL):
    ends = np.zeros(200, bool)
    ends[STOP] = True
    return TextSource(stream(documents), None if second is None else stream(second), special, max_length, ends)


def drawn(lengths, seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(5, 30, size=n).tolist() for n in lengths]


def listed(sequences):
    """Sequences as lists."""
    ends = sequences.lengths.cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    return [sequences.tokens[start:end].tolist() for start, end in zip(starts, ends, strict=True)]


def test_no_token_is_lost_and_no_window_is_too_long():
    documents = drawn([0, 1, 9, 10, 11, 25, 100, 0, 3])
    data = source(documents)
    sequences = data.take(torch.arange(9), CPU)
    rows = listed(sequences)
    assert max(map(len, rows)) <= 12
    assert all(row[0] == 2 and row[-1] == 3 for row in rows)
    inner = iter(rows)
    for document, count in zip(documents, sequences.of_documents.tolist(), strict=True):
        found, size = [], 0
        while size < count:
            row = next(inner)
            found += row[1:-1]
            size += len(row)
        assert found == document
        assert size == count
    assert next(inner, None) is None
    assert data.n_windows == len(rows)
    assert data.n_tokens == sum(map(len, rows)) == len(sequences.tokens)


def test_windows_end_with_sentences_where_one_ends_in_their_second_half():
    document = [10] * 7 + [STOP] + [11] * 3 + [STOP] + [12] * 20
    rows = listed(source([document]).take(torch.arange(1), CPU))
    assert rows[0] == [2, *document[:8], 3]
    assert rows[1][-2] != STOP  # that one is in the first half
    assert [token for row in rows for token in row[1:-1]] == document


@pytest.mark.parametrize("between", [1, 2])
def test_pairs_are_wholly_there(between):
    special = SpecialTokens(0, 1, 2, 3, 4, between)
    firsts, seconds = drawn([3, 40, 2, 0, 17]), drawn([4, 3, 50, 0, 60], seed=1)
    data = source(firsts, seconds, special=special)
    for i, (first, second) in enumerate(zip(firsts, seconds, strict=True)):
        sequences = data.take(torch.tensor([i]), CPU)
        types = sequences.types.split(sequences.lengths.tolist())
        parts = ([], [])
        for row, kinds in zip(listed(sequences), types, strict=True):
            assert len(row) <= 12
            cut = int((kinds == 0).sum())
            assert row[0] == 2
            assert row[cut - between : cut] == [3] * between
            assert row[-1] == 3
            parts[0].append(row[1 : cut - between])
            parts[1].append(row[cut:-1])
        for part, text in zip(parts, (first, second), strict=True):
            joined = [token for window in part for token in window]
            assert joined[: len(text)] == text  # what comes after are repetitions of the shorter one
            assert len(joined) % max(1, len(text)) == 0 or set(map(tuple, part)) <= {
                tuple(text[j : j + len(p)]) for p in part for j in range(len(text) + 1)
            }


def test_positions_begin_anew():
    sequences = source(drawn([25, 3])).take(torch.arange(2), CPU)
    for part, n in zip(sequences.positions.split(sequences.lengths.tolist()), sequences.lengths, strict=True):
        assert part.tolist() == list(range(n))


def test_subsets_windows_and_pieces():
    documents = drawn([25, 3, 0, 40, 12, 7])
    data = source(documents)
    some = data.subset(torch.tensor([3, 0]))
    together = listed(some.take(torch.arange(2), CPU))
    apart = [row for i in (3, 0) for row in listed(data.take(torch.tensor([i]), CPU))]
    assert together == apart
    windows = some.as_windows()
    assert len(windows) == len(together)
    assert [listed(windows.take(torch.tensor([i]), CPU))[0] for i in range(len(windows))] == together
    numbers = windows.take(torch.arange(len(windows)), CPU).numbers
    counts = [data.subset(torch.tensor([i])).n_windows for i in (3, 0)]
    assert windows.documents_of(numbers).tolist() == [3] * counts[0] + [0] * counts[1]
    pieces = list(data.pieces(30))
    assert [start for start, _ in pieces[1:]] == [stop for _, stop in pieces[:-1]]
    assert (pieces[0][0], pieces[-1][1]) == (0, 6)
    assert windows.stream().ends.tolist() == [25, 65]
    np.testing.assert_array_equal(windows.stream().tokens(0, 65), documents[0] + documents[3])


def test_halves_are_neighbours_and_second_texts_can_be_exchanged():
    documents = drawn([20, 2, 1, 9])
    halves = source(documents).halves()
    assert halves.is_pair
    sequences = halves.take(torch.arange(len(halves)), CPU)
    owners = halves.documents_of(sequences.numbers).tolist()
    assert set(owners) == {0, 1, 3}  # a single token has no neighbour
    cuts = [int((kinds == 0).sum()) for kinds in sequences.types.split(sequences.lengths.tolist())]
    rows = listed(sequences)
    for row, cut, owner in zip(rows, cuts, owners, strict=True):
        text = row[1 : cut - 1] + row[cut:-1]
        whole = documents[owner]
        assert any(whole[j : j + len(text)] == text for j in range(len(whole)))
    others = torch.arange(len(rows)).roll(1)
    exchanged = sequences.with_second_of(others)
    for i, row in enumerate(listed(exchanged)):
        j = int(others[i])
        assert row == rows[i][: cuts[i]] + rows[j][cuts[j] :]
    assert exchanged.positions[: int(exchanged.lengths[0])].tolist() == list(range(int(exchanged.lengths[0])))


def test_rows_hold_all_sequences_apart_and_few_rows_do():
    generator = np.random.default_rng(0)
    for length in (8, 64, 128):
        lengths = generator.integers(1, length + 1, size=200)
        rows, columns = np.empty((2, 200), np.int64)
        n_rows = fill_rows(lengths, length, rows, columns)
        taken = np.zeros((n_rows, length), int)
        for row, column, n in zip(rows, columns, lengths, strict=True):
            taken[row, column : column + n] += 1
            assert column + n <= length
        assert taken.max() == 1
        assert n_rows <= 11 / 9 * np.ceil(lengths.sum() / length) + 6  # of best fit, the longest first

        free = []  # the same, by a loop
        for n in sorted(lengths, reverse=True):
            fits = [i for i, room in enumerate(free) if room >= n]
            if fits:
                best = min(fits, key=lambda i: free[i])
                free[best] -= n
            else:
                free.append(length - n)
        assert n_rows == len(free)


def test_grids_hold_every_token_once():
    data = source(drawn([25, 3, 0, 40, 12]), max_length=32)
    sequences = data.take(torch.arange(5), CPU)
    grid, place = packed(sequences, 32)
    assert torch.equal(grid.tokens.flatten()[place], sequences.tokens)
    assert torch.equal(grid.positions.flatten()[place], sequences.positions)
    assert int((grid.sequences >= 0).sum()) == len(sequences.tokens)
    found = torch.full_like(sequences.tokens, -1)
    shapes = set()
    for own, where, at in in_own_rows(sequences, 32, 64):
        found[at] = own.tokens.flatten()[where]
        shapes.add(tuple(own.tokens.shape))
        for row in own.sequences:
            assert len(set(row[row >= 0].tolist())) <= 1
    assert torch.equal(found, sequences.tokens)
    assert shapes <= {(4, 16), (2, 32)}
