"""Documents as windows of tokens, put together and laid into rows."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import skrep.text.stream
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
    assert data.size == sum(map(len, rows)) == len(sequences.tokens)


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


TEXTS = st.lists(st.integers(0, 50), min_size=1, max_size=6)


def assembled(document, second, special, max_length):
    """Windows of a document, or of a pair, put together as lists; where sentences do not end."""
    n_special = 2 if second is None else 2 + special.between
    room = max_length - n_special
    least = 0 if second is None else min(len(document), len(second), room // 2)
    is_shorter = second is not None and len(document) <= len(second)

    def cut(text, room):
        return [text[at : at + room] for at in range(0, len(text), room)] or [[]]

    parts = [cut(document, max(1, least if is_shorter else room - least))]
    if second is not None:
        parts.append(cut(second, max(1, room - least if is_shorter else least)))
    rows = []
    for i in range(max(map(len, parts))):
        row = [special.begin, *parts[0][i % len(parts[0])], special.end]
        if second is not None:
            row += [special.end] * (special.between - 1) + [*parts[1][i % len(parts[1])], special.end]
        rows.append(row)
    return rows


@pytest.mark.parametrize("between", [0, 1, 2])  # 0: single texts
@given(TEXTS, st.integers(8, 40), st.randoms(use_true_random=False))
def test_batches_against_lists(between, lengths, max_length, random):
    special = SpecialTokens(0, 1, 2, 3, 4, max(1, between))
    documents = [[random.choice((5, 6, 7, 8)) for _ in range(n)] for n in lengths]
    seconds = [[random.choice((10, 11)) for _ in range(random.randrange(50))] for _ in lengths] if between else None
    data = source(documents, seconds, max_length, special)
    index = torch.tensor([random.randrange(len(lengths)) for _ in range(7)])
    expected = [
        assembled(documents[i], seconds[i] if between else None, special, max_length) for i in index.tolist()
    ]  # fmt: skip
    for some, which in ((data, index), (data.subset(index), torch.arange(7))):
        sequences = some.take(which, CPU)
        assert listed(sequences) == [row for rows in expected for row in rows]
        assert sequences.of_documents.tolist() == [sum(map(len, rows)) for rows in expected]
        windows = data.as_windows().take(sequences.numbers, CPU)
        assert torch.equal(windows.tokens, sequences.tokens)
        assert torch.equal(windows.types, sequences.types)
        assert data.documents_of(sequences.numbers).tolist() == [
            int(i) for i, rows in zip(index, expected, strict=True) for _ in rows
        ]
    assert data.subset(index).n_windows == sum(map(len, expected))
    assert data.subset(index).size == sum(len(row) for rows in expected for row in rows)


def test_pairs_share_the_room():
    for n, m, first, second in ((100, 100, 4, 5), (2, 100, 2, 7), (100, 2, 7, 2), (0, 100, 0, 9), (100, 0, 9, 0)):
        sequences = source(drawn([n]), drawn([m], seed=1)).take(torch.arange(1), CPU)
        kinds = sequences.types[: int(sequences.lengths[0])]
        assert [int((kinds == 0).sum()) - 2, int((kinds == 1).sum()) - 1] == [first, second]


def test_no_documents_at_all():
    data = source(drawn([4, 30]))
    for nothing in (data.take(torch.arange(0), CPU), data.subset(torch.arange(0)).take(torch.arange(0), CPU)):
        assert [len(part) for part in nothing] == [0] * 6
        grid, place = packed(nothing, 12)
        assert grid.tokens.shape == (0, 12)
        assert len(place) == 0
    assert list(data.subset(torch.arange(0)).pieces(10)) == []
    assert source([]).n_windows == source([]).size == 0


@given(TEXTS, st.integers(1, 100))
def test_pieces_are_no_larger_than_asked_for_but_of_one_document(lengths, most):
    data = source(drawn(lengths))
    sizes = [data.subset(torch.tensor([i])).size for i in range(len(lengths))]
    before = 0
    for start, stop in data.pieces(most):
        assert start == before
        assert stop == start + 1 or sum(sizes[start:stop]) <= most
        assert stop == len(sizes) or sum(sizes[start : stop + 1]) > most  # the next one had no room
        before = stop
    assert before == len(lengths)


def test_documents_in_a_file_are_cut_as_in_memory(monkeypatch, tmp_path):
    documents = drawn([30, 0, 7, 100, 12] * 4)
    inside = source(documents)
    monkeypatch.setattr(skrep.text.stream, "MOST_IN_MEMORY", 10)
    monkeypatch.setattr(skrep.text.stream, "CHUNK", 40)  # windows are found piece by piece
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    outside = source(documents)
    assert len(list(tmp_path.iterdir())) == 1
    for ours, theirs in ((outside, inside), (outside.halves(), inside.halves())):
        index = torch.arange(len(theirs)).flip(0)
        for part, expected in zip(ours.take(index, CPU), theirs.take(index, CPU), strict=True):
            assert torch.equal(part, expected)


def test_halves_hold_whole_documents_of_an_even_number_of_windows():
    documents = [[token if token != STOP else 10 for token in document] for document in drawn([16, 2, 5, 8, 0, 1])]
    halves = source(documents).halves()  # windows of 4
    sequences = halves.take(torch.arange(len(halves)), CPU)
    texts: dict = {}
    kinds = sequences.types.split(sequences.lengths.tolist())
    for row, kind, owner in zip(listed(sequences), kinds, halves.documents_of(sequences.numbers).tolist(), strict=True):
        cut = int((kind == 0).sum())
        texts.setdefault(owner, []).extend(row[1 : cut - 1] + row[cut:-1])
    assert texts == {i: documents[i] for i in range(4)}


def test_own_second_texts_change_nothing():
    halves = source(drawn([20, 9])).halves()
    sequences = halves.take(torch.arange(len(halves)), CPU)
    for part, same in zip(sequences, sequences.with_second_of(torch.arange(len(halves))), strict=True):
        assert torch.equal(part, same)


def test_second_texts_of_other_lengths():
    pairs = source(drawn([3, 0, 4]), drawn([0, 5, 2], seed=1))
    sequences = pairs.take(torch.arange(3), CPU)
    rows, others = listed(sequences), [2, 0, 0]
    cuts = [5, 2, 6]
    exchanged = sequences.with_second_of(torch.tensor(others))
    assert listed(exchanged) == [row[:cut] + rows[j][cuts[j] :] for row, cut, j in zip(rows, cuts, others, strict=True)]
    assert exchanged.lengths.tolist() == exchanged.of_documents.tolist() == [8, 3, 7]
    for kinds, positions, cut in zip(
        exchanged.types.split([8, 3, 7]), exchanged.positions.split([8, 3, 7]), cuts, strict=True
    ):
        assert kinds.tolist() == [0] * cut + [1] * (len(kinds) - cut)
        assert positions.tolist() == list(range(len(positions)))


def test_grids_of_a_sequence_do_not_depend_on_the_others():
    data = source(drawn([25, 3, 0, 30, 12, 28, 1]), max_length=40)
    alone = {}
    for i in range(7):
        ((grid, place, _),) = in_own_rows(data.take(torch.tensor([i]), CPU), 40, 96)
        alone[i] = grid, place
    sequences = data.take(torch.arange(7), CPU)
    starts = (sequences.lengths.cumsum(0) - sequences.lengths).tolist()
    seen = set()
    for grid, place, at in in_own_rows(sequences, 40, 96):
        for row in range(len(grid.tokens)):
            here = grid.sequences[row] >= 0
            if not here.any():
                continue
            i = starts.index(int(at[place == row * grid.tokens.shape[1]]))
            seen.add(i)
            own, _ = alone[i]
            assert own.tokens.shape == grid.tokens.shape  # the same kernels
            for part, expected in zip(grid[:3], own[:3], strict=True):
                assert torch.equal(part[row], expected[0])
            assert torch.equal(here, own.sequences[0] >= 0)
    assert seen == set(range(7))


def test_halves_of_some_documents_know_which():
    halves = source([[10] * 6, [20] * 6, [30] * 6, [40] * 6]).subset(torch.tensor([3, 2])).halves()
    sequences = halves.take(torch.arange(len(halves)), CPU)
    assert halves.documents_of(sequences.numbers).tolist() == [3, 2]
    assert set(halves.stream().tokens(0, 12).tolist()) == {30, 40}


def test_halves_leave_no_token_out():
    each = iter(range(10, 105))  # another one for each token
    documents = [[next(each) for _ in range(n)] for n in (20, 2, 1, 9, 0, 13, 50)]
    halves = source(documents).halves()
    sequences = halves.take(torch.arange(len(halves)), CPU)
    assert {*sequences.tokens.tolist()} - {SPECIAL.begin, SPECIAL.end} == {*range(10, 105)} - {*documents[2]}  # alone
