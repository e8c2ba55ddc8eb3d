"""Sparse rows give the bits of the dense array, and are never made dense as a whole."""

import datetime

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import get_tags

from skrep import (
    AutoEncoderTransformer,
    FastICAEncoder,
    FineTuneClassifier,
    FineTuneRegressor,
    PCAEncoder,
    RBMEncoder,
    SparseCoder,
)
from skrep.data import ArraySource, SparseSource, read_matrix, read_table
from skrep.data import sources as module
from skrep.engine.checkpoints import fingerprint
from tests.estimators import NETWORKS, TEXT_ONLY, fitted, quick
from tests.methods import Simple

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
ROWS = np.where(RNG.random((60, 9)) < 0.3, RNG.integers(1, 4, size=(60, 9)), 0).astype(np.float32)
BITS = (ROWS > 0).astype(np.float32)


class Reader(BaseEstimator):
    pass


def read(X):
    return read_table(Reader(), X, reset=True)


def with_zeros_and_doubles(X):
    """The same numbers, each stored as two halves, beside zeros that are stored."""
    rows, columns = np.indices(X.shape).reshape(2, -1)
    values = np.concatenate([X.ravel() / 2] * 2)
    return sparse.coo_array((values, (np.tile(rows, 2), np.tile(columns, 2))), shape=X.shape)


def csr_with_doubles(X):
    """CSR in which entries stand twice, and in the wrong order."""
    halves = with_zeros_and_doubles(X)
    order = np.lexsort((-halves.col, halves.row))
    starts = np.arange(0, len(halves.data) + 1, 2 * X.shape[1])
    return sparse.csr_array((halves.data[order], halves.col[order], starts), shape=X.shape)


def test_a_source_reads_what_the_dense_array_has():
    index = torch.tensor([3, 3, 49, 0])
    for dtype in ("float64", "float32", "int64", "uint8", "bool"):
        whole = read(sparse.csr_array(ROWS.astype(dtype))), read(ROWS.astype(dtype))
        assert isinstance(whole[0], SparseSource)
        for rows, array in (whole, [source.subset(index) for source in whole]):
            assert (len(rows), rows.shape) == (len(array), (9,))
            assert (rows.range(), rows.is_binary()) == (array.range(), array.is_binary())
            pairs = [
                *zip(rows.moments(), array.moments(), strict=True),
                (rows.chunk(1, 4), array.chunk(1, 4)),
                (rows.take(torch.tensor([2, 0]), CPU), array.take(torch.tensor([2, 0]), CPU)),
                (rows.kept_on(CPU, 10**6).chunk(0, 4), array.chunk(0, 4)),
            ]
            for found, expected in pairs:
                assert found.dtype == expected.dtype
                assert torch.equal(found, expected)
            assert rows.kept_on(CPU, 10) is rows
        kept = whole[0].kept_on(CPU, 10**6)
        assert torch.equal(kept.subset(index).take(torch.arange(4), CPU), whole[1].take(index, CPU))


def test_the_range_has_zeros_only_where_rows_do():
    for X in (ROWS + 1, np.zeros((4, 2)), np.array([[1.0, 2.0], [-0.0, 3.0]])):
        assert read(sparse.csr_array(X)).range() == read(X).range()


def test_equal_rows_are_one_run_in_any_format():
    expected = fingerprint(ArraySource(ROWS))
    csr = sparse.csr_array(ROWS)
    made = [csr.asformat(form) for form in ("csr", "csc", "coo", "bsr", "dia", "lil", "dok")]
    frame = pd.DataFrame(ROWS).astype(pd.SparseDtype("float32", 0.0))
    doubled = csr_with_doubles(ROWS)
    for X in (*made, sparse.csr_matrix(ROWS), sparse.coo_matrix(ROWS), with_zeros_and_doubles(ROWS), doubled, frame):
        assert fingerprint(read(X)) == expected
    assert doubled.nnz == 2 * ROWS.size  # the user's matrix stays as it was
    assert fingerprint(read(csr[:59])) != expected


def test_a_matrix_reads_what_the_dense_array_has():
    for X in (ROWS, ROWS.astype(np.float64), ROWS.astype(np.int8), BITS.astype(bool)):
        rows, array = (read_matrix(Reader(), made, reset=True) for made in (sparse.csc_matrix(X), X))
        assert (rows.shape, rows.dtype) == (array.shape, array.dtype)
        calls = [lambda m: m.chunk(3, 8), lambda m: m.take(np.array([5, 1]))]
        calls.append(lambda m: np.concatenate(list(m.shuffled(7, np.random.RandomState(0)))))
        for call in calls:
            assert call(rows).dtype == rows.dtype
            np.testing.assert_array_equal(call(rows), call(array))


@pytest.mark.filterwarnings("ignore::skrep.exceptions.CollapseWarning")
@pytest.mark.parametrize("cls", [*NETWORKS.values(), Simple])
def test_networks_have_the_features_of_the_dense_rows(cls):
    make = quick if cls is not Simple else lambda cls: cls(max_epochs=2, random_state=0)
    X = sparse.csr_array(BITS.astype(np.float64))
    expected = fitted(cls, BITS) if cls is not Simple else make(cls).fit(BITS)
    encoder = make(cls).fit(X)
    for rows in (X, BITS):
        np.testing.assert_array_equal(encoder.transform(rows), expected.transform(BITS))
    if hasattr(cls, "partial_fit"):
        once, twice = make(cls).partial_fit(X).partial_fit(X), make(cls).partial_fit(BITS).partial_fit(BITS)
        np.testing.assert_array_equal(once.transform(X), twice.transform(BITS))
        for a, b in zip(encoder.sample_views(X[:5]), expected.sample_views(BITS[:5]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_scores_are_those_of_the_dense_rows():
    X = sparse.csr_matrix(BITS)
    auto, rbm = fitted(AutoEncoderTransformer, BITS), fitted(RBMEncoder, BITS)
    calls = [auto.reconstruction_error, auto.score, rbm.score_samples, rbm.pseudo_likelihood, rbm.score]
    for call in (*calls, lambda rows: rbm.gibbs(rows, random_state=0)):
        np.testing.assert_array_equal(call(X), call(BITS))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_coders_have_the_features_of_the_dense_rows():
    X = sparse.csr_array(ROWS)
    learned = [{}, {"algorithm": "omp"}, {"algorithm": "threshold"}, {"learning": "batch"}]
    coders = [SparseCoder(4, random_state=0, max_iter=3, **options) for options in learned]
    for encoder in (*coders, FastICAEncoder(3, random_state=0, max_iter=5)):
        np.testing.assert_array_equal(encoder.fit(X).transform(X), encoder.fit(ROWS).transform(ROWS))
    for coder in coders:
        assert coder.score(X) == coder.score(ROWS)
        twice = [SparseCoder(4, random_state=0).partial_fit(rows).partial_fit(rows) for rows in (X, ROWS)]
        np.testing.assert_array_equal(*(coder.components_ for coder in twice))


@pytest.mark.parametrize("cls", [FineTuneClassifier, FineTuneRegressor])
def test_fine_tuning_predicts_what_it_does_from_dense_rows(cls):
    y = np.where(np.arange(60) % 7 == 0, np.nan, np.arange(60) % 3)
    encoder = AutoEncoderTransformer(2, hidden=(8,), max_epochs=1, random_state=0)
    a, b = (
        cls(encoder, max_epochs=2, random_state=0).fit(X, y).partial_fit(X, y).predict(X)
        for X in (sparse.csr_array(ROWS), ROWS)
    )
    np.testing.assert_array_equal(a, b)


def test_one_hot_columns_in_a_pipeline(tmp_path):
    frame = pd.DataFrame({"town": RNG.choice(list("abcdefgh"), 80), "age": RNG.normal(size=80)})

    def made(threshold):
        parts = [("one", OneHotEncoder(), ["town"]), ("number", StandardScaler(), ["age"])]
        columns = ColumnTransformer(parts, sparse_threshold=threshold)
        return make_pipeline(columns, quick(AutoEncoderTransformer, checkpoint=tmp_path)).fit(frame)

    from_dense, from_sparse = made(0), made(1)
    assert sparse.issparse(from_sparse[0].transform(frame))
    assert from_sparse[1].resumed_from_ == (2, 0)  # equal rows are the same run, which had ended
    np.testing.assert_array_equal(from_dense.transform(frame), from_sparse.transform(frame))


def test_rows_are_never_dense_as_a_whole(monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 9 * 16)  # sixteen rows
    monkeypatch.setattr("skrep.data.matrix.CHUNK_BYTES", 8 * 9 * 16)
    monkeypatch.setattr(module, "ENCODED_ROWS", 16)
    monkeypatch.setattr("skrep.sparse.coder.CHUNK_BYTES", 8 * (9 + 2 * 4) * 16)
    seen, toarray = [], sparse.csr_array.toarray
    monkeypatch.setattr(
        sparse.csr_array, "toarray", lambda rows, *given: seen.append(rows.shape) or toarray(rows, *given)
    )
    X = sparse.csr_array(ROWS)
    auto = quick(AutoEncoderTransformer, batch_size=16, validation_fraction=0.2).fit(X)
    auto.reconstruction_error(X)
    SparseCoder(4, batch_size=16, random_state=0, max_iter=2).fit(X).score(X)
    assert len(seen) > 20
    assert {shape[1] for shape in seen} == {9}
    assert max(shape[0] for shape in seen) <= 16


def spoiled(value):
    X = ROWS.astype(np.float64)
    X[3, 2] = value
    return X


@pytest.mark.parametrize("encoder", [AutoEncoderTransformer(2, max_epochs=1), SparseCoder(2)], ids=str)
def test_bad_sparse_rows(encoder):
    cases = [(spoiled(np.nan), "NaN"), (spoiled(-np.inf), "infinity"), (ROWS[:0], "0 sample"), (ROWS[:1], "1 sample")]
    for X, message in (*cases, (ROWS[:, :0], "0 feature"), (ROWS * 1j, "Complex")):
        with pytest.raises(ValueError, match=message):
            encoder.fit(sparse.csr_array(X))
    with pytest.raises(ValueError, match=r"[Rr]eshape"):
        encoder.fit(sparse.coo_array(ROWS[0]))
    with pytest.raises(ValueError, match=r"dim 3"):
        encoder.fit(sparse.coo_array(ROWS.reshape(20, 3, 9)))
    encoder.fit(sparse.csr_array(ROWS))
    with pytest.raises(ValueError, match=r"X has 8 features, but .* is expecting 9 features"):
        encoder.transform(sparse.csr_array(ROWS[:, :8]))


def test_values_that_float32_cannot_hold():
    with pytest.raises(ValueError, match=r"1e\+300.*float32"):
        read(sparse.csr_array(spoiled(1e300)))
    stamps = np.column_stack([1e9 + np.arange(60.0), ROWS])
    for X in (stamps, stamps.astype(np.int64)):
        with pytest.raises(ValueError, match="column 0 of X goes from 1000000000"):
            read(sparse.coo_array(X))


def test_tags_say_so():
    for cls in (*NETWORKS.values(), SparseCoder, FastICAEncoder, PCAEncoder):
        assert get_tags(cls()).input_tags.sparse, cls
    assert get_tags(FineTuneClassifier(AutoEncoderTransformer())).input_tags.sparse
    for cls in TEXT_ONLY.values():
        assert not get_tags(cls()).input_tags.sparse, cls


# --- columns of a DataFrame ------------------------------------------------------------------------------------------


def test_columns_that_are_numbers():
    bits = np.array([True, False, True])
    columns = {
        "Int64": pd.array([1, 2, 3], dtype="Int64"),
        "boolean": pd.array(bits, dtype="boolean"),
        "bool": bits,
        "int8": np.array([1, 2, 3], np.int8),
        "Float32": pd.array([1, 2, 3], dtype="Float32"),
        "object": np.array([1, 2, 3], object),
        "category": pd.Categorical([3, 1, 2]),
        "float": [0.5, 1.5, 2.5],
    }
    frame = pd.DataFrame(columns)
    expected = np.array([[1, 2, 3], bits, bits, [1, 2, 3], [1, 2, 3], [1, 2, 3], [3, 1, 2], [0.5, 1.5, 2.5]]).T
    np.testing.assert_array_equal(torch.cat(list(read(frame).chunks())), expected)
    for name in frame:
        rows = read_matrix(Reader(), frame[[name]], reset=True)
        np.testing.assert_array_equal(rows.chunk(0, 3), expected[:, [frame.columns.get_loc(name)]])


NO_NUMBERS = [
    (pd.Categorical(["x", "y"]), r"dtype category\) holds categories such as 'x'.*OneHotEncoder"),
    (np.array([2, "x"], object), r"dtype object\) holds text such as 'x'.*OneHotEncoder.*TfidfVectorizer"),
    (["x", "y"], r"dtype \w+\) holds text such as 'x'.*OneHotEncoder"),
    (pd.array(["x", None], dtype="string"), r"dtype string\) holds text such as 'x'.*OneHotEncoder"),
    (pd.to_datetime(["2020", "2021"]), r"dtype datetime64.* holds dates.*X\['b'\]\.dt\.year"),
    (pd.to_datetime(["2020", "2021"], utc=True), r"dtype datetime64.*UTC.* holds dates.*days since"),
    (np.array([datetime.date(2020, 1, 1)] * 2, object), r"dtype object\) holds dates"),
    (pd.to_timedelta([1, 2], unit="s"), r"dtype timedelta64.* holds durations.*total_seconds"),
    (np.array([[1], {}], object), r"dtype object\) holds objects such as \[1\]"),
]


@pytest.mark.parametrize("encoder", [AutoEncoderTransformer(), SparseCoder(), PCAEncoder()], ids=str)
def test_columns_that_are_no_numbers(encoder):
    for column, message in NO_NUMBERS:
        frame = pd.DataFrame({"a": [1.0, 2.0], "b": column, "c": ["z", "z"]})
        for X in (frame, frame[["b"]]):
            with pytest.raises(ValueError, match=rf"^{type(encoder).__name__} takes numbers; column 'b' \({message}"):
                encoder.fit(X)
