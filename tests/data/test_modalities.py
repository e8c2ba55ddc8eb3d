"""Sequences of different lengths, crops of them, episodes, pairs, labels and groups."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from torch import nn

from skrep.data import (
    ArraySource,
    Episodes,
    Pairs,
    SequenceSource,
    ShapeSource,
    from_outline,
    read_groups,
    read_labels,
    read_sequences,
)
from skrep.data.sequences import padded_length

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
SEQUENCES = [RNG.normal(size=(n, 2)).astype(np.float32) for n in (40, 33, 90, 40, 65)]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Moments(nn.Module):
    """Means over the steps that are not padding, and how long the padded sequence was."""

    def forward(self, sequences):
        mask = sequences.mask()[..., None]
        means = (sequences.values * mask).sum(1) / sequences.lengths[:, None]
        length = torch.full((len(means), 1), float(sequences.values.shape[1]))
        return torch.cat([means, length], 1)


# --- sequences


@given(st.integers(1, 10**6))
def test_padding_is_at_most_an_eighth(length):
    padded = padded_length(length)
    assert length <= padded < max(length + 8, 1.125 * length + 1)
    assert padded_length(padded) == padded


def test_sequences_in_a_batch():
    source = SequenceSource(SEQUENCES)
    assert len(source) == 5
    assert source.shape == (90, 2)
    assert source.size == sum(map(len, SEQUENCES))
    values, lengths = source.take(torch.tensor([1, 3]), CPU)
    assert values.shape == (2, 40, 2)
    assert lengths.tolist() == [33, 40]
    np.testing.assert_array_equal(values[0, :33], SEQUENCES[1])
    assert not values[0, 33:].any()


def test_moments_of_sequences_are_those_of_all_steps(monkeypatch):
    steps = np.concatenate(SEQUENCES).astype(np.float64)
    for chunk_bytes in (2**26, 16 * 50):
        monkeypatch.setattr("skrep.data.sequences.CHUNK_BYTES", chunk_bytes)
        mean, variance = SequenceSource(SEQUENCES).moments()
        np.testing.assert_allclose(mean, steps.mean(0), rtol=1e-12)
        np.testing.assert_allclose(variance, steps.var(0), rtol=1e-12)


def test_a_sequence_is_encoded_whatever_comes_with_it():
    features = SequenceSource(SEQUENCES).encode(Moments(), CPU)
    np.testing.assert_allclose(features[:, :2], [s.mean(0) for s in SEQUENCES], rtol=1e-4, atol=1e-6)
    assert features[:, 2].tolist() == [padded_length(len(s)) for s in SEQUENCES]
    for order in ([4, 2, 0, 1, 3], [2], [3, 3, 1]):
        part = SequenceSource(SEQUENCES).subset(torch.tensor(order))
        np.testing.assert_array_equal(part.encode(Moments(), CPU), features[order])


def test_networks_of_another_kind_of_output():
    with pytest.raises(ValueError, match=r"\(\d+, 40, 2\).*sequences.*n_features"):
        SequenceSource(SEQUENCES[:1]).encode(_Values(), CPU)


class _Values(nn.Module):
    def forward(self, sequences):
        return sequences.values


def test_crops_are_parts_of_their_sequences():
    crops = SequenceSource(SEQUENCES).crops(16)
    assert crops.rows_per_epoch == sum(len(s) // 16 for s in SEQUENCES)
    crops.y = torch.arange(5) * 10
    seen = [0] * 5
    starts = set()
    for epoch in range(3):
        for batch in crops.batches(4, CPU, seeded(epoch)):
            assert batch.x.shape[1:] == (16, 2)
            assert torch.equal(batch.y, 10 * batch.index)
            for i, x in zip(batch.index.tolist(), batch.x.numpy(), strict=True):
                windows = np.lib.stride_tricks.sliding_window_view(SEQUENCES[i], 16, axis=0).transpose(0, 2, 1)
                (at,) = np.flatnonzero((windows == x).all((1, 2)))
                starts.add((i, int(at)))
                seen[i] += 1
    assert seen == [3 * (len(s) // 16) for s in SEQUENCES]
    assert len(starts) > 25  # positions are drawn
    in_order = torch.cat([batch.x for batch in crops.in_order(4, CPU)])
    np.testing.assert_array_equal(in_order[:2].flatten(0, 1), SEQUENCES[0][:32])


def test_sequences_that_are_too_short():
    with pytest.raises(ValueError, match=r"sequence 1 has 33 steps.*window=40"):
        SequenceSource(SEQUENCES).crops(40)


class Reader(BaseEstimator):
    reads = ("sequences",)


def test_kinds_of_sequences():
    mono = [s[:, 0] for s in SEQUENCES]
    expected = read_sequences(Reader(), mono, reset=True)
    assert expected.shape == (90, 1)
    box = np.empty(5, object)
    box[:] = mono
    for same in (tuple(mono), box, [torch.from_numpy(s) for s in mono], [s.tolist() for s in mono],
                 [s.astype(np.float64)[:, None] for s in mono]):  # fmt: skip
        source = read_sequences(Reader(), same, reset=True)
        np.testing.assert_array_equal(source.chunk(0, 5), expected.chunk(0, 5))


BAD = {
    "an array of three axes": (np.zeros((4, 9, 2)), r"\(4, 9, 2\).*images.*list\(X\)"),
    "a table": (np.zeros((4, 9)), r"\(4, 9\).*list\(X\)"),
    "a text": (["abc", "def"], r"item 0.*'abc'.*str"),
    "numbers": ([1.0, 2.0], "item 0.*1.0"),
    "an empty one": ([np.zeros(3), np.zeros(0)], r"sequence 1.*empty"),
    "NaN": ([np.zeros(3), np.array([0, 1, np.nan])], "sequence 1.*NaN.*step 2"),
    "a huge value": ([np.zeros(3), np.array([1e300])], "sequence 1.*large.*step 0"),
    "other channels": ([np.zeros((3, 2)), np.zeros((3, 1))], "sequence 1 has 1 channels.*2"),
    "objects": ([np.array([None, 1]), np.zeros(3)], "item 0.*object"),
    "a single one": ([np.zeros(3)], r"1 sequence\(s\).*minimum of 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_sequences(case):
    X, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        read_sequences(Reader(), X, reset=True)


def test_other_channels_than_in_fit():
    reader = Reader()
    read_sequences(reader, SEQUENCES, reset=True)
    with pytest.raises(ValueError, match=r"sequence 0 has 1 channels.*Reader.*2"):
        read_sequences(reader, [np.zeros(3)], reset=False)


# --- episodes


def labelled(n=60, n_classes=6):
    source = ArraySource(np.arange(n, dtype=np.float32)[:, None])
    source.y = torch.arange(n) % n_classes
    return source


def test_episodes_are_support_then_query():
    episodes = Episodes(labelled(), n_way=3, n_shot=2, n_query=4, n_episodes=20)
    assert episodes.rows_per_epoch == 20 * 18
    batches = list(episodes.batches(999, CPU, seeded()))
    assert len(batches) == 20
    ways = set()
    for batch in batches:
        assert batch.y.tolist() == [0, 0, 1, 1, 2, 2, *[0] * 4, *[1] * 4, *[2] * 4]
        assert len(set(batch.index.tolist())) == 18  # no row is in both sets
        assert torch.equal(batch.x[:, 0].long(), batch.index)
        classes = batch.index % 6
        for way in range(3):
            (of_way,) = set(classes[batch.y == way].tolist())
            ways.add(of_way)
    assert ways == set(range(6))
    again = list(episodes.batches(999, CPU, seeded()))
    assert all(torch.equal(a.index, b.index) for a, b in zip(batches, again, strict=True))


def test_classes_with_too_few_rows_are_in_no_episode():
    source = labelled(40, 4)
    source = source.subset(torch.tensor([i for i in range(40) if i % 4 != 3 or i < 12]))  # three rows of class 3
    for batch in Episodes(source, 3, 2, 2).batches(1, CPU, seeded()):
        assert 3 not in source.y[batch.index].tolist()
    with pytest.raises(ValueError, match=r"n_way=4.*= 4.*only 3 classes"):
        Episodes(source, 4, 2, 2)


def test_rows_of_episodes_that_move_to_a_device():
    episodes = Episodes(labelled(), 3, 2, 2)
    kept = episodes.kept_on(CPU, 10**6)
    assert kept is not episodes
    for a, b in zip(episodes.batches(1, CPU, seeded()), kept.batches(1, CPU, seeded()), strict=True):
        assert torch.equal(a.x, b.x)


# --- pairs


def test_pairs_stay_together():
    pairs = Pairs(labelled(), SequenceSource([np.full((n + 1, 1), n) for n in range(60)]))
    part = pairs.subset(torch.tensor([5, 50, 7])).subset(torch.tensor([2, 0]))
    for batch in part.in_order(2, CPU):
        (first, second), index = batch.x, batch.index
        assert first[:, 0].tolist() == [[7, 5][i] for i in index]
        assert second.lengths.tolist() == [int(x) + 1 for x in first[:, 0]]
    assert part.size == 2
    with pytest.raises(ValueError, match=r"60 samples.*59"):
        Pairs(labelled(), labelled(59))


# --- what parts keep


def test_parts_keep_labels_groups_and_the_range_of_all():
    source = labelled()
    source.groups = torch.arange(60) // 10
    part = source.subset(torch.tensor([0, 59, 30])).subset(torch.tensor([2, 1]))
    assert part.y.tolist() == [0, 5]
    assert part.groups.tolist() == [3, 5]
    assert part.range() == (0.0, 59.0)
    assert part.kept_on(CPU, 10**6).range() == (0.0, 59.0)
    assert part.kept_on(CPU, 10**6).groups.tolist() == [3, 5]
    assert source.sample(4).groups.tolist() == [0, 1, 3, 5]
    fresh = source.anew()
    assert fresh.y is fresh.groups is None
    assert fresh.facts == []


# --- facts and outlines


def test_a_file_says_what_the_data_said():
    source = labelled()
    assert [source.fact("width", lambda: 7), source.fact("n_rows", lambda: 60)] == [7, 60]
    known = from_outline(source.outline())
    assert isinstance(known, ShapeSource)
    assert [known.fact("width", lambda: 1), known.fact("n_rows", lambda: 1)] == [7, 60]
    assert known.fact("more", lambda: 3) == 3  # found from shapes
    with pytest.raises(ValueError, match=r"ask for n_rows.*file has width"):
        from_outline(source.outline()).fact("n_rows", lambda: 1)


def test_outlines_of_every_source():
    sequences = SequenceSource(SEQUENCES)
    for source in (sequences, sequences.crops(16)):
        known = from_outline(source.outline())
        assert known.shape == source.shape
        assert known.moments()[0].shape == (2,)
    known = from_outline(Pairs(sequences, labelled(5)).outline())
    assert known.first.shape == (90, 2)
    assert known.second.shape == (1,)
    for wrong in ({"shape": (0,), "facts": []}, {"shape": (3,), "facts": [("width", -1)]},
                  {"shape": (3,), "facts": [("width", 2.0)]}, {"shape": (1, 1, 1, 1), "facts": []}):  # fmt: skip
        with pytest.raises(ValueError, match="cannot"):
            from_outline(wrong)


# --- labels and groups


def test_labels_are_positions_among_the_classes():
    classes, codes = read_labels(["b", "a", "b"], 3, "Method")
    assert classes.tolist() == ["a", "b"]
    assert codes.tolist() == [1, 0, 1]
    classes, codes = read_labels([2, 3], 2, "Method", classes=[1, 2, 3])
    assert codes.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("y", "message"),
    [(None, "Method requires y"), ([1.5, 2.5, 0.1], "continuous"), ([1, 1, 1], "1 class, 1.*Method.*2"),
     ([1, 2], "3 samples, y has 2"), ([1, np.nan, 2], "NaN"), ([[1, 2], [3, 4], [5, 6]], r"\(3, 2\)"),
     ([], "0 samples")],
)  # fmt: skip
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        read_labels(y, 3, "Method")


def test_a_label_that_is_not_among_the_classes():
    with pytest.raises(ValueError, match=r"label 9.*\[1, 2\]"):
        read_labels([1, 9], 2, "Method", classes=[1, 2])


def test_groups_of_any_values():
    assert read_groups(None, 3) is None
    for groups in (["x", "a", "x"], [7, 2, 7], [0.5, -1.0, 0.5]):
        assert read_groups(groups, 3).tolist() == [1, 0, 1]
