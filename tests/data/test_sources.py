import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import skrep.data.sources
from skrep.data import ArraySource, DatasetSource, read_table
from skrep.data.sources import is_memory_mapped

CPU = torch.device("cpu")


def sources(tmp_path):
    rows = np.random.default_rng(0).integers(0, 255, size=(50, 4)).astype(np.uint8)
    np.save(tmp_path / "rows.npy", rows)
    frozen = rows.copy()
    frozen.flags.writeable = False
    kinds = [rows, frozen, np.load(tmp_path / "rows.npy", mmap_mode="r"), torch.from_numpy(rows)]
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(rows))
    return rows, [*map(ArraySource, kinds), DatasetSource(dataset)]


def test_every_source_reads_the_same_rows(tmp_path):
    rows, made = sources(tmp_path)
    index = torch.tensor([3, 3, 49, 0])
    part = torch.tensor([7, 9, 11, 2])
    for source in made:
        assert len(source) == 50
        assert source.shape == (4,)
        assert source.take(index, CPU).dtype == torch.float32
        np.testing.assert_array_equal(source.take(index, CPU).numpy(), rows[index])
        assert source.chunk(5, 9).dtype == torch.uint8  # converted batch by batch, not before
        np.testing.assert_array_equal(torch.cat(list(source.chunks(7))), rows)
        subset = source.subset(part).subset(torch.tensor([1, 0]))
        np.testing.assert_array_equal(subset.take(torch.tensor([0, 1]), CPU).numpy(), rows[[9, 7]])
        np.testing.assert_array_equal(torch.cat(list(subset.chunks())), rows[[9, 7]])


def test_a_sample_is_spread_evenly_over_the_rows(tmp_path):
    rows, made = sources(tmp_path)
    for source in made:
        np.testing.assert_array_equal(torch.cat(list(source.sample(8).chunks())), rows[::7])
        assert len(source.sample(50)) == len(source.sample(51)) == 50


@given(st.integers(1, 60), st.integers(1, 7), st.sampled_from([1e-3, 1.0, 1e4]), st.integers(0, 10))
def test_moments_in_one_pass(n, d, offset, seed):
    rows = (np.random.default_rng(seed).normal(size=(n, d)) + offset).astype(np.float32)
    original = skrep.data.sources.CHUNK_BYTES
    skrep.data.sources.CHUNK_BYTES = 8 * d * 7  # chunks of seven rows
    try:
        mean, variance = ArraySource(rows).moments()
    finally:
        skrep.data.sources.CHUNK_BYTES = original
    np.testing.assert_allclose(mean, rows.astype(np.float64).mean(0), rtol=1e-12)
    np.testing.assert_allclose(variance, rows.astype(np.float64).var(0), rtol=1e-6, atol=1e-12)


@given(st.integers(1, 100), st.integers(1, 40))
def test_batches(n, batch_size):
    source = ArraySource(np.arange(n, dtype=np.float32)[:, None])
    batches = list(source.batches(batch_size, CPU, torch.Generator().manual_seed(0)))
    sizes = [len(batch.index) for batch in batches]
    assert max(sizes) <= max(batch_size, 3 if batch_size == 2 else 1)
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 1 or 1 in (n, batch_size)
    assert sorted(torch.cat([batch.index for batch in batches]).tolist()) == list(range(n))
    for batch in batches:
        assert torch.equal(batch.x[:, 0], batch.index.float())
        assert batch.y is None
    assert torch.cat([batch.index for batch in source.in_order(batch_size, CPU)]).tolist() == list(range(n))


def test_targets_travel_with_their_rows():
    source = ArraySource(np.arange(10, dtype=np.float32)[:, None])
    source.y = torch.arange(10)
    for batch in source.batches(3, CPU, torch.Generator().manual_seed(0)):
        assert torch.equal(batch.y, batch.index)


def test_memory_maps_stay_on_disk(tmp_path):
    from sklearn.base import BaseEstimator

    np.save(tmp_path / "big.npy", np.ones((1000, 10)))
    mapped = np.load(tmp_path / "big.npy", mmap_mode="r")
    assert is_memory_mapped(mapped)
    assert is_memory_mapped(np.asarray(mapped)[5:])
    assert not is_memory_mapped(np.ones(3))
    source = read_table(BaseEstimator(), mapped, reset=True)
    written = np.load(tmp_path / "big.npy", mmap_mode="r+")
    written[1] = 7  # later than the source was made
    written.flush()
    taken = source.take(torch.arange(2), CPU)
    assert taken.dtype == torch.float32
    assert taken[:, 0].tolist() == [1, 7]


def test_float64_beyond_float32_in_a_memory_map(tmp_path):
    from sklearn.base import BaseEstimator

    rows = np.ones((1000, 10))
    rows[999, 9] = 1e39
    np.save(tmp_path / "big.npy", rows)
    with pytest.raises(ValueError, match=r"1e\+39.*float32"):
        read_table(BaseEstimator(), np.load(tmp_path / "big.npy", mmap_mode="r"), reset=True)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64", "int16"])
def test_rows_are_moved_to_a_device_for_good(dtype):
    rows = np.random.default_rng(0).integers(0, 255, size=(50, 4)).astype(dtype)
    frozen = rows.copy()
    frozen.flags.writeable = False
    for array in (rows, frozen, rows[::-1], np.asfortranarray(rows), torch.from_numpy(rows)):
        source = ArraySource(array)
        source.y = torch.arange(50)
        kept = source.kept_on(CPU, 50 * 4 * 8)
        assert kept is not source
        assert kept.take(torch.tensor([3, 3, 49]), CPU).dtype == torch.float32
        assert kept.chunk(5, 9).dtype == (torch.uint8 if dtype == "uint8" else torch.float32)
        np.testing.assert_array_equal(torch.cat(list(kept.chunks(7))), np.asarray(array))
        assert torch.equal(kept.y, torch.arange(50))
        assert (len(kept), kept.shape) == (50, (4,))
        part = source.subset(torch.tensor([7, 9, 11, 2])).subset(torch.tensor([1, 0])).kept_on(CPU, 100)
        np.testing.assert_array_equal(torch.cat(list(part.chunks())), np.asarray(array)[[9, 7]])
        again = kept.subset(torch.tensor([1, 0])).kept_on(CPU, 100)
        np.testing.assert_array_equal(again.take(torch.arange(2), CPU), np.asarray(array)[[1, 0]])
    before = rows.copy()
    kept = ArraySource(rows).kept_on(CPU, 10**4)
    rows += 1
    np.testing.assert_array_equal(torch.cat(list(kept.chunks())), before)


def test_rows_that_stay_where_they_are(tmp_path):
    rows, made = sources(tmp_path)
    plain, frozen, mapped, tensor, dataset = made
    for source in (mapped, dataset, mapped.subset(torch.arange(3))):
        assert source.kept_on(CPU, 10**9) is source  # what may be larger than memory
    for source in (plain, frozen, tensor):
        assert source.kept_on(CPU, 199) is source  # 50 rows of 4 bytes
        assert source.kept_on(CPU, 200) is not source
        part = source.subset(torch.arange(25))
        assert part.kept_on(CPU, 99) is part
        assert part.kept_on(CPU, 100) is not part
    floats = ArraySource(rows.astype(np.float64))
    assert floats.kept_on(CPU, 799) is floats  # as float32
    assert floats.kept_on(CPU, 800) is not floats


def test_batches_of_rows_that_were_moved(tmp_path):
    _, made = sources(tmp_path)
    made[0].y = torch.arange(50)
    for source in (made[0], made[0].subset(torch.arange(5, 40))):
        pairs = [s.batches(8, CPU, torch.Generator().manual_seed(0)) for s in (source, source.kept_on(CPU, 200))]
        for a, b in zip(*pairs, strict=True):
            assert torch.equal(a.x, b.x)
            assert torch.equal(a.index, b.index)
            assert (a.y is None) == (b.y is None)
