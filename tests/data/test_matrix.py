"""A Matrix gives the rows of anything, a chunk at a time, in scikit-learn's dtype."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator

from skrep.data import matrix as module
from skrep.data import read_matrix
from skrep.data.matrix import Matrix

VALUES = np.random.default_rng(0).integers(0, 200, size=(50, 3))


class Reader(BaseEstimator):
    pass


def read(X, **options):
    return read_matrix(Reader(), X, reset=True, **options)


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("f4", "f4"), (">f4", "f8"), ("f8", "f8"), (">f8", "f8"), ("f2", "f8"), ("u1", "f8"), ("i4", "f8"), ("i8", "f8"),
     ("?", "f8")],
)  # fmt: skip
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("mapped", [False, True])
def test_float32_stays_and_the_rest_becomes_float64(dtype, expected, order, mapped, tmp_path):
    X = np.asarray(VALUES.astype(dtype), order=order)
    if mapped:
        np.save(tmp_path / "X.npy", X)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    rows = read(X)
    assert rows.shape == X.shape == (len(rows), 3)
    assert rows.dtype == expected
    chunks = list(rows.chunks(20))
    assert [len(chunk) for chunk in chunks] == [20, 20, 10]
    for chunk in (*chunks, rows.chunk(3, 4)):
        assert chunk.dtype == np.dtype(expected)
        assert chunk.dtype.isnative
        assert chunk.flags.c_contiguous
    np.testing.assert_array_equal(np.concatenate(chunks), X.astype(expected))


@pytest.mark.parametrize(
    "make", [list, lambda X: X.tolist(), pd.DataFrame, torch.from_numpy, Rows, lambda X: torch.from_numpy(X).float()]
)
def test_kinds_of_rows(make):
    rows = read(make(VALUES.astype(np.float64)))
    np.testing.assert_array_equal(np.concatenate(list(rows.chunks())), VALUES)


def test_what_is_in_memory_is_not_copied():
    for dtype in (np.float32, np.float64):
        X = VALUES.astype(dtype)
        assert np.shares_memory(read(X).chunk(5, 9), X)


def test_chunks_are_of_64_mib_at_most(monkeypatch):
    assert [len(chunk) for chunk in read(VALUES).chunks()] == [50]
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 3 * 7)
    assert [len(chunk) for chunk in read(VALUES).chunks()] == [7] * 7 + [1]
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    assert [len(chunk) for chunk in read(VALUES).chunks()] == [1] * 50


# --- memory-mapped files ---------------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    np.save(tmp_path / "X.npy", VALUES.astype(np.float32))
    return tmp_path / "X.npy"


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_chunks_of_files_are_not_views_of_them(path, mode):
    mapped = np.load(path, mmap_mode=mode)
    rows = read(mapped)
    chunk = rows.chunk(0, 10)
    assert not np.shares_memory(chunk, mapped)
    list(rows.chunks(7))  # lets go of the pages behind the first
    np.testing.assert_array_equal(chunk, VALUES[:10])
    np.testing.assert_array_equal(mapped, VALUES)


@pytest.mark.parametrize("view", [np.s_[10:40], np.s_[::2], np.s_[::-1], np.s_[:, ::-1], np.s_[:, 1:]])
def test_views_of_files(path, view):
    mapped = np.load(path, mmap_mode="r")[view]
    for X in (mapped, np.asarray(mapped)):
        rows = read(X)
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks(7))), VALUES[view])
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks(7))), VALUES[view])


def test_what_was_written_to_a_map_stays(path):
    private = np.load(path, mmap_mode="c")
    private[3] = -1
    np.testing.assert_array_equal(read(private).chunk(3, 4), [[-1, -1, -1]])
    np.testing.assert_array_equal(private[3], -1)
    np.testing.assert_array_equal(np.load(path)[3], VALUES[3])
    shared = np.load(path, mmap_mode="r+")
    shared[3] = -2
    np.testing.assert_array_equal(read(shared).chunk(3, 4), [[-2, -2, -2]])
    np.testing.assert_array_equal(shared[3], -2)
    shared.flush()
    np.testing.assert_array_equal(np.load(path)[3], -2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_in_a_file_names_its_row(path, value):
    X = np.load(path)
    X[33, 1] = value
    np.save(path, X)
    rows = read(np.load(path, mmap_mode="r"))  # the file is not looked at yet
    np.testing.assert_array_equal(rows.chunk(0, 33), VALUES[:33])
    with pytest.raises(ValueError, match=r"NaN.*row 33\b.*Reader"):
        list(rows.chunks(8))
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        read(X)


def test_a_file_of_zero_rows_or_columns(tmp_path):
    for shape, message in (((0, 3), "0 sample"), ((3, 0), "0 feature")):
        with pytest.raises(ValueError, match=message):
            read(np.empty(shape))
    with pytest.raises(ValueError, match="minimum of 4"):
        read(VALUES[:3], min_samples=4)


# --- Datasets --------------------------------------------------------------------------------------------------------


def test_datasets_are_read_as_float32():
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(VALUES).double(), torch.zeros(50))
    for dataset in (Rows(VALUES.astype(np.uint8)), Rows(VALUES.astype(np.float64)), pairs):
        rows = read(dataset)
        assert rows.shape == (50, 3)
        assert rows.chunk(4, 9).dtype == rows.dtype == np.float32
        np.testing.assert_array_equal(np.concatenate(list(rows.chunks(20))), VALUES)


def test_bad_datasets():
    spoiled = VALUES.astype(np.float64)
    spoiled[33, 1] = np.nan
    with pytest.raises(ValueError, match=r"item 33 .*NaN"):
        list(read(Rows(spoiled)).chunks(8))
    with pytest.raises(ValueError, match="1-D"):
        read(Rows(VALUES[:, None]))
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        read(Rows(VALUES[:0]))


# --- columns ---------------------------------------------------------------------------------------------------------


def test_columns_are_held_against_those_of_fit(path):
    reader = Reader()
    frame = pd.DataFrame(VALUES, columns=list("abc"))
    read_matrix(reader, frame, reset=True)
    assert list(reader.feature_names_in_) == list("abc")
    assert isinstance(read_matrix(reader, frame, reset=False), Matrix)
    with pytest.raises(ValueError, match="feature names"):
        read_matrix(reader, frame[["b", "a", "c"]], reset=False)
    read_matrix(reader, np.load(path, mmap_mode="r"), reset=True)
    assert not hasattr(reader, "feature_names_in_")
    for X in (VALUES[:, :2], Rows(VALUES[:, :2])):
        with pytest.raises(ValueError, match="X has 2 features, but Reader is expecting 3"):
            read_matrix(reader, X, reset=False)


def test_masked_arrays_are_refused():
    X = np.ma.masked_array(np.ones((5, 3)), mask=np.eye(5, 3, dtype=bool))
    with pytest.raises(ValueError, match=r"Reader.*masked.*X\.filled\(0\)"):
        read(X)


def test_bfloat16_tensors():
    X = torch.arange(12.0).reshape(4, 3)
    rows = read(X.bfloat16())
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.chunk(0, 4), X.numpy())
