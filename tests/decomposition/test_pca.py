"""PCAEncoder is scikit-learn's PCA and IncrementalPCA, by scikit-learn's own tests, with promises added."""

import copy
import pickle
import re
import subprocess
import sys
from functools import reduce
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from joblib import Parallel, delayed, parallel_config
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

import skrep
from skrep import PCAEncoder
from skrep.decomposition import pca, principal_axes, reading
from skrep.solvers.scatter import Scatter, leading_eigenpairs, scatter_of, scatter_of_tensor

ROOT = Path(__file__).parents[2]
FITTED = ("components_", "explained_variance_", "explained_variance_ratio_", "singular_values_", "mean_")

# tests that hold IncrementalPCA's restrictions, which PCAEncoder does not have
LIFTED = (
    "test_incremental_pca_sparse",  # partial_fit refuses sparse rows; the rest of it: test_sparse_rows
    "test_incremental_pca_validation",  # the first chunk needs n_components rows, in IncrementalPCA's words
    "test_incremental_pca_set_params",  # n_components cannot change between chunks; here the sums do not depend on it
)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    ("plugin", "module", "at_least"),
    [("swapped_pca", "test_pca", 300), ("swapped_incremental_pca", "test_incremental_pca", 18)],
)
def test_scikit_learns_own_tests(plugin, module, at_least, tmp_path):
    # in a process of its own: the swap is for the whole interpreter
    command = [
        *(sys.executable, "-m", "pytest", "-p", f"tests.decomposition.{plugin}", "-p", "no:cacheprovider", "-q"),
        *("-c", str(tmp_path / "empty.ini"), "--rootdir", str(tmp_path)),
        *("-k", " and ".join(f"not {name}" for name in LIFTED)),
        *("--pyargs", f"sklearn.decomposition.tests.{module}"),
    ]
    (tmp_path / "empty.ini").write_text("[pytest]\n")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > at_least
    assert "failed" not in done.stdout


def same_axes(ours, theirs, rtol=1e-9):
    for name in FITTED:
        expected = getattr(theirs, name)
        atol = rtol * np.abs(expected).max(initial=0)
        np.testing.assert_allclose(getattr(ours, name), expected, rtol, atol, err_msg=name)
    largest = theirs.explained_variance_.max(initial=theirs.noise_variance_)
    np.testing.assert_allclose(ours.noise_variance_, theirs.noise_variance_, rtol, rtol * largest)
    assert ours.n_components_ == theirs.n_components_
    assert ours.n_samples_ == theirs.n_samples_


def spread(n_samples, n_features, mean=0.0, seed=0):
    """Rows whose variances are far apart."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    return mean + (rng.normal(size=(n_samples, n_features)) * 1.3 ** -np.arange(n_features)) @ basis


def parts(X, sizes=(7, 1, 40, 2)):
    return np.split(X, np.cumsum(sizes))


# --- in memory -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["full", "covariance_eigh", "arpack", "randomized"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_numbers_as_scikit_learn(solver, dtype, digits):
    X = digits[0].astype(dtype)
    ours, theirs = (cls(5, svd_solver=solver, random_state=0).fit(X) for cls in (PCAEncoder, PCA))
    np.testing.assert_array_equal(ours.transform(X), theirs.transform(X))
    np.testing.assert_array_equal(ours.explained_variance_, theirs.explained_variance_)
    assert ours.transform(X).dtype == dtype


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(
    ("shape", "n_components", "solver"),
    [((400, 20), 5, "covariance_eigh"), ((400, 20), 0.9, "covariance_eigh"), ((400, 20), "mle", "covariance_eigh"),
     ((400, 20), None, "covariance_eigh"), ((400, 20), 0, "covariance_eigh"), ((20, 400), 5, "covariance_eigh"),
     ((20, 400), 19, "covariance_eigh"), ((2000, 300), 5, "arpack"),
     ((300, 2000), 5, "arpack"), ((1200, 200), 10, "randomized")],
)  # fmt: skip
def test_every_automatic_choice_is_as_exact_as_the_full_decomposition(shape, n_components, solver, whiten, order):
    X = np.asarray(spread(shape[0], min(shape)) @ np.eye(min(shape), shape[1]) + 3, order=order)
    options = {"whiten": whiten, "random_state": 0}
    ours, theirs = PCAEncoder(n_components, **options), PCA(n_components, svd_solver="full", **options)
    features, expected = ours.fit_transform(X), theirs.fit_transform(X)
    assert ours._fit_svd_solver == solver
    same_axes(ours, theirs)
    np.testing.assert_allclose(features, expected, atol=1e-9)
    np.testing.assert_allclose(ours.transform(X), expected, atol=1e-9)
    assert ours.noise_variance_ >= 0


@pytest.mark.parametrize(("dtype", "smallest", "k"), [(np.float32, 1e-7, 8), (np.float64, 1e-12, 14)])
def test_the_products_of_rows_do_not_hide_small_variances(dtype, smallest, k):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(20, 20)) * np.geomspace(1, smallest, 20)) @ np.linalg.qr(rng.normal(size=(400, 20)))[0].T
    ours, exact = (cls(k, svd_solver=how).fit(X.astype(dtype)) for cls, how in ((PCAEncoder, "auto"), (PCA, "full")))
    np.testing.assert_allclose(ours.explained_variance_, exact.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(ours.components_ @ ours.components_.T, np.eye(k), atol=1e-5)


@pytest.mark.parametrize("shape", [(400, 20), (20, 400), (2000, 300), (1200, 200)])
@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "NaN"), (np.inf, "infinity"), (1e200, r"overflow.*StandardScaler")]
)
def test_no_automatic_choice_takes_what_is_not_a_number(shape, value, message, capfd):
    X = np.random.default_rng(0).normal(size=shape)
    X[5, 5] = value
    encoder = PCAEncoder(3, random_state=0)
    for call in (encoder.fit, encoder.fit_transform):
        with pytest.raises(ValueError, match=message):
            call(X)
    assert vars(encoder) == vars(PCAEncoder(3, random_state=0))
    assert not "".join(capfd.readouterr())  # LAPACK would complain by itself


def test_data_without_variance():
    for shape in ((60, 4), (4, 60), (2000, 600), (5, 5)):
        for X in (np.full(shape, 0.1), np.zeros(shape, np.float32)):
            encoder = PCAEncoder(2, whiten=True, random_state=0)
            for features in (encoder.fit_transform(X), encoder.transform(X)):
                assert np.isfinite(features).all()
            assert np.isfinite(encoder.explained_variance_ratio_).all()
    constant = PCAEncoder(2, whiten=True).partial_fit(np.full((60, 4), 0.1))
    assert np.isfinite(constant.transform(np.eye(4))).all()
    np.testing.assert_array_equal(PCAEncoder().partial_fit(np.zeros((9, 4))).explained_variance_ratio_, 0)


def test_rank_deficient_rows_are_whitened_as_scikit_learn_whitens_them():
    X = spread(200, 3) @ np.random.default_rng(1).normal(size=(3, 8))
    ours, theirs = PCAEncoder(5, whiten=True).partial_fit(X), PCA(5, whiten=True, svd_solver="covariance_eigh").fit(X)
    np.testing.assert_allclose(ours.transform(X)[:, :3], theirs.transform(X)[:, :3], atol=1e-9)
    assert np.isfinite(ours.transform(X)).all()
    np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X, atol=1e-6)


def test_overflow_is_an_error_and_changes_nothing(table):
    encoder = PCAEncoder(2).fit(table)
    before = encoder.transform(table)
    for scaled in (table.astype(np.float64) * 1e200, table * np.float32(1e37), table[:, :1] * np.float32(1e37)):
        for call in (encoder.fit, encoder.set_params(n_components=1).fit_transform):
            with pytest.raises(ValueError, match=r"overflow.*StandardScaler"):
                call(scaled)
    np.testing.assert_array_equal(encoder.transform(table), before)


def test_one_row_is_an_error(table):
    with pytest.raises(ValueError, match=r"\b1 sample.*\b2\b.*PCAEncoder"):
        PCAEncoder().fit(table[:1])
    with pytest.raises(ValueError, match=r"PCAEncoder .*\b1\b.*n_components=None\b.*\b2\b"):
        PCAEncoder(batch_size=3).fit(table[:1])


# --- chunks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_components", [None, 0, 3, 12, 0.8, 0.999, "mle"])
@pytest.mark.parametrize("whiten", [False, True])
def test_chunks_give_what_all_rows_give(n_components, whiten):
    X = spread(60, 12, mean=5)
    exact = PCA(n_components, whiten=whiten, svd_solver="full").fit(X)
    chunked = PCAEncoder(n_components, whiten=whiten)
    for part in parts(X):
        assert chunked.partial_fit(part) is chunked
    for ours in (chunked, PCAEncoder(n_components, whiten=whiten, batch_size=7).fit(X)):
        same_axes(ours, exact)
        np.testing.assert_allclose(ours.transform(X), exact.transform(X), atol=1e-9)
        np.testing.assert_allclose(ours.var_, X.var(0))
        assert ours.n_samples_seen_ == 60


def test_chunks_of_few_rows_and_many_columns():
    X = spread(9, 30)
    chunked = PCAEncoder(4)
    for part in np.split(X, 3):
        chunked.partial_fit(part)
    same_axes(chunked, PCA(4, svd_solver="full").fit(X))
    same_axes(PCAEncoder(8, batch_size=2).fit(X), PCA(8, svd_solver="full").fit(X))


@pytest.mark.parametrize("mean", [0, 1e4])
def test_float32_variances_are_those_of_float64(mean):
    X = spread(3000, 20, mean).astype(np.float32)
    exact = PCA(svd_solver="full").fit(X.astype(np.float64))
    chunked = PCAEncoder(8, batch_size=500).fit(X)
    for ours in (chunked, PCAEncoder(8).fit(X)):
        np.testing.assert_allclose(ours.explained_variance_, exact.explained_variance_[:8], rtol=1.5e-5)
        assert ours.components_.dtype == ours.explained_variance_.dtype == ours.transform(X).dtype == np.float32
    np.testing.assert_allclose(chunked.mean_, exact.mean_, rtol=1e-9, atol=1e-8)


def test_the_decomposition_waits_until_it_is_asked_for(monkeypatch):
    calls = []
    original = principal_axes.leading_eigenpairs
    monkeypatch.setattr(principal_axes, "leading_eigenpairs", lambda *args: (calls.append(1), original(*args))[1])
    encoder = PCAEncoder(2)
    for part in parts(spread(60, 5)):
        check_is_fitted(encoder.partial_fit(part))
    assert not calls
    for name in (*FITTED, "noise_variance_", "n_components_"):
        getattr(encoder, name)
    encoder.transform(spread(3, 5))
    assert len(calls) == 1


@pytest.mark.parametrize("decomposed", [False, True])
def test_copies_go_on_where_the_original_was(decomposed, tmp_path):
    X = spread(60, 5)
    encoder = PCAEncoder(2).partial_fit(X[:30])
    if decomposed:
        encoder.components_
    skrep.save(encoder, tmp_path / "file")
    copies = [pickle.loads(pickle.dumps(encoder)), copy.deepcopy(encoder), skrep.load(tmp_path / "file")]
    assert vars(clone(encoder)) == encoder.get_params()
    for copied in copies:
        np.testing.assert_array_equal(copied.transform(X), encoder.transform(X))
        same_axes(copied.partial_fit(X[30:]), PCA(2, svd_solver="full").fit(X))
    same_axes(encoder, PCA(2, svd_solver="full").fit(X[:30]))


def test_fit_forgets():
    X = spread(60, 5)
    encoder = PCAEncoder(2).partial_fit(X[:20] + 100)
    same_axes(encoder.fit(X), PCA(2, svd_solver="full").fit(X))
    assert not vars(encoder).keys() & {"n_samples_seen_", "var_"}
    assert vars(encoder).keys() == vars(PCAEncoder(2).fit(X)).keys()
    again = PCAEncoder(2, batch_size=10).fit(X[:20] + 100).fit(X)
    same_axes(again, PCA(2, svd_solver="full").fit(X))


@pytest.mark.parametrize("shape", [(40, 5), (5, 40)])
def test_partial_fit_goes_on_from_a_fit_in_memory(shape):
    X = spread(80, 40)[: 2 * shape[0], : shape[1]]
    first, second = np.split(X, 2)
    for whiten in (False, True):
        kept = PCAEncoder(whiten=whiten).fit(first).partial_fit(second).set_params(n_components=5)
        same_axes(kept, PCA(5, whiten=whiten, svd_solver="full").fit(X), rtol=1e-8)
    fitted = PCAEncoder(3).fit(first)
    covariance = fitted.get_covariance()
    fitted.set_params(n_components=None).partial_fit(second)
    total = fitted.explained_variance_.sum() / fitted.explained_variance_ratio_.sum()
    np.testing.assert_allclose(total, X.var(0, ddof=1).sum())
    if shape[0] > shape[1]:  # of the first rows there is what three components and noise come to
        n, between = shape[0], first.mean(0) - second.mean(0)
        expected = (n - 1) * (covariance + np.cov(second.T)) + n / 2 * np.outer(between, between)
        np.testing.assert_allclose(fitted.get_covariance(), expected / (2 * n - 1), atol=1e-12)


def test_the_number_of_components_may_change_between_chunks():
    X = spread(60, 5)
    encoder = PCAEncoder(4).partial_fit(X[:30])
    assert encoder.n_components_ == 4
    same_axes(encoder.set_params(n_components=2).partial_fit(X[30:]), PCA(2, svd_solver="full").fit(X))


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32)])
def test_one_chunk_of_float64_makes_the_results_float64(dtypes):
    encoder = PCAEncoder(2)
    for part, dtype in zip(np.split(spread(60, 5), 2), dtypes, strict=True):
        encoder.partial_fit(part.astype(dtype))
    assert encoder.components_.dtype == encoder.explained_variance_.dtype == np.float64


def test_too_few_rows_so_far():
    X = spread(12, 10)
    encoder = PCAEncoder(5).partial_fit(X[:3])
    check_is_fitted(encoder)
    with pytest.raises(NotFittedError, match=r"PCAEncoder .*\b3\b.*n_components=5\b.*\b5\b"):
        encoder.transform(X)
    assert not hasattr(encoder, "components_")
    encoder.partial_fit(X[3:])
    assert encoder.transform(X).shape == (12, 5)
    for n_components, needed in ((None, 2), (0.5, 2), ("mle", 10)):
        with pytest.raises(NotFittedError, match=rf"\b1\b.*n_components={n_components!r}.*\b{needed}\b"):
            PCAEncoder(n_components).partial_fit(X[:1]).explained_variance_
    with pytest.raises(NotFittedError):
        PCAEncoder().transform(X)
    with pytest.raises(ValueError, match=r"n_components=11\b.*n_features=10\b"):
        PCAEncoder(11).partial_fit(X)
    with pytest.raises(ValueError, match=r"batch_size.*PCAEncoder.*\b0\b"):
        PCAEncoder(batch_size=0).partial_fit(X)
    with pytest.raises(AttributeError, match=r"'PCAEncoder'.*'nonsense_'"):
        encoder.nonsense_


BAD = {
    "NaN": (np.where(np.arange(60).reshape(20, 3) == 31, np.nan, 1.0), "NaN"),
    "overflow": (np.full((20, 3), 1e200) * np.arange(20)[:, None], r"overflow.*StandardScaler"),
    "columns": (np.ones((20, 4)), "X has 4 features, but PCAEncoder is expecting 3"),
    "no rows": (np.ones((0, 3)), "0 sample"),
    "text": (np.full((20, 3), "a"), "PCAEncoder.*OneHotEncoder"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_chunk_is_not_counted(case):
    X = spread(20, 3)
    bad, message = BAD[case]
    encoder = PCAEncoder(2).partial_fit(X)
    encoder.components_
    before = pickle.dumps(encoder)
    with pytest.raises(ValueError, match=message):
        encoder.partial_fit(bad)
    assert pickle.dumps(encoder) == before
    if case not in ("columns", "text", "no rows"):  # found in the middle of a file
        with pytest.raises(ValueError, match=message):
            encoder.set_params(batch_size=8).partial_fit(bad)
        encoder.set_params(batch_size=None)
        with pytest.raises(ValueError, match=message):
            encoder.partial_fit(torch.from_numpy(bad))
    assert pickle.dumps(encoder) == before
    fresh = PCAEncoder(2)
    if case != "columns":
        with pytest.raises(ValueError, match=message):
            fresh.partial_fit(bad)
        assert vars(fresh) == vars(PCAEncoder(2))


@given(
    chunks=st.lists(
        st.tuples(
            hnp.arrays(np.float64, st.tuples(st.integers(0, 4), st.just(3)), elements=st.floats(-1, 1)),
            st.sampled_from([0.0, 1e-300, 1e-30, 1.0, 1e18, 1e200, np.inf]),
            st.sampled_from([np.float32, np.float64]),
        ),
        max_size=5,
    )
)
def test_hostile_chunks(chunks):
    encoder, seen = PCAEncoder(1), 0
    for rows, scale, dtype in chunks:
        with np.errstate(all="ignore"):
            X = (rows * scale).astype(dtype)
        before = pickle.dumps(encoder)
        try:
            encoder.partial_fit(X)
        except ValueError:
            assert pickle.dumps(encoder) == before
        else:
            seen += len(X)
            assert encoder.n_samples_seen_ == seen
            if seen > 1:
                assert np.isfinite(encoder.components_).all()
                assert np.isfinite(encoder.explained_variance_ratio_).all()


# --- files, Datasets, integers ---------------------------------------------------------------------------------------


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


@pytest.mark.parametrize("kind", ["float32", "uint8", "float16", "dataset", "integers"])
def test_larger_than_memory(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MANY_ROWS", 16)
    monkeypatch.setattr(reading, "FEW_VALUES", 16)
    monkeypatch.setattr(reading, "CHUNK_BYTES", 16)
    rows = np.random.default_rng(0).integers(0, 255, size=(90, 6))
    np.save(tmp_path / "X.npy", rows.astype({"dataset": "f4", "integers": "i8"}.get(kind, kind)))
    made = {"dataset": lambda: Rows(rows.astype(np.float32)), "integers": lambda: rows}
    X = made.get(kind, lambda: np.load(tmp_path / "X.npy", mmap_mode="r"))()
    dtype = np.float32 if kind in ("float32", "dataset") else np.float64
    exact = PCA(3, svd_solver="full").fit(rows.astype(np.float64))
    encoder = PCAEncoder(3)
    features = encoder.fit_transform(X)
    assert features.dtype == encoder.components_.dtype == dtype
    same_axes(encoder, exact, rtol=1e-5)
    np.testing.assert_array_equal(encoder.transform(X), features)
    np.testing.assert_allclose(features, exact.transform(rows), rtol=1e-3, atol=1e-3)
    same_axes(encoder.partial_fit(X), PCA(3, svd_solver="full").fit(np.vstack([rows, rows])), rtol=1e-5)
    in_memory = PCAEncoder(3, svd_solver="randomized", random_state=0)
    if kind != "dataset":
        assert "n_samples_seen_" not in vars(in_memory.fit(X))


def test_files_smaller_than_their_scatter_matrix_are_read_whole(tmp_path):
    X = spread(9, 30).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    expected = PCAEncoder(3).fit(X)
    for made in (np.load(tmp_path / "X.npy", mmap_mode="r"), Rows(X)):
        encoder = PCAEncoder(3).fit(made)
        same_axes(encoder, expected, rtol=1e-5)
        assert "n_samples_seen_" not in vars(encoder)
        np.testing.assert_allclose(encoder.transform(made), expected.transform(X), atol=1e-5)


def test_nan_in_a_file_names_its_row(tmp_path):
    X = spread(50, 3)
    X[37, 1] = np.nan
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    encoder = PCAEncoder(2, batch_size=10)
    for call in (encoder.fit, encoder.partial_fit, encoder.fit_transform):
        with pytest.raises(ValueError, match=r"NaN.*row 37\b"):
            call(mapped)
    assert vars(encoder) == vars(PCAEncoder(2, batch_size=10))


PEAK_OF_FIT = """
import sys
import numpy as np
from skrep import PCAEncoder

file = np.lib.format.open_memmap(sys.argv[1], "w+", np.float32, (int(sys.argv[2]), 100))
file[:] = np.arange(100) % 7
file[::3, ::3] = 1
file.flush()
del file
encoder = PCAEncoder(5).fit(np.load(sys.argv[1], mmap_mode="r")[:1000])
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
open("/proc/self/clear_refs", "w").write("5")  # the peak so far is forgotten
begin = peak()
encoder.fit(np.load(sys.argv[1], mmap_mode="r"))
print(peak() - begin)
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the system does not say what a process peaked at"
)
def test_memory_is_flat_as_files_grow(tmp_path):
    peaks = []
    for n_samples in (20_000, 400_000):  # 8 and 160 MB
        command = [sys.executable, "-c", PEAK_OF_FIT, str(tmp_path / "X.npy"), str(n_samples)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        peaks.append(float(done.stdout))
    assert peaks[1] < peaks[0] + 20, peaks


# --- sparse ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array, sparse.coo_array])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_sparse_rows(container, dtype):
    dense = np.random.default_rng(0).integers(1, 9, size=(80, 12)) * (np.random.default_rng(1).random((80, 12)) < 0.2)
    X, exact = container(dense.astype(dtype)), PCA(4, svd_solver="full").fit(dense.astype(np.float64))
    chunked = PCAEncoder(4).partial_fit(container(dense[:50].astype(dtype))).partial_fit(dense[50:].astype(dtype))
    rtol = 1e-9 if dtype != np.float32 else 1e-5
    for encoder in (chunked, PCAEncoder(4, batch_size=30).fit(X)):
        same_axes(encoder, exact, rtol)
        np.testing.assert_allclose(encoder.transform(X), exact.transform(dense), rtol=1e-4, atol=1e-5)
        assert encoder.components_.dtype == (np.float32 if dtype == np.float32 else np.float64)
    covariance = PCAEncoder(12, batch_size=30).fit(X).get_covariance()  # arpack cannot find all of them
    np.testing.assert_allclose(covariance, np.cov(dense.T), rtol=1e-4, atol=1e-5)
    for solver in ("arpack", "covariance_eigh"):
        fitted = PCAEncoder(4, svd_solver=solver, random_state=0).fit(X.astype(np.float64))
        np.testing.assert_allclose(fitted.explained_variance_, exact.explained_variance_)
    spoiled = X.astype(np.float64).tocsr()
    spoiled.data[3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        chunked.partial_fit(spoiled)


def test_sparse_rows_are_not_made_dense():
    X = sparse.random_array((2_000_000, 200), density=2e-5, format="csr", rng=np.random.default_rng(0))  # 3 GB dense
    for fitted in (PCAEncoder(3).partial_fit(X), PCAEncoder(3, batch_size=500_000).fit(X)):
        assert fitted.transform(X[:5]).shape == (5, 3)
        np.testing.assert_allclose(fitted.mean_, np.asarray(X.mean(0)).ravel())


# --- several machines ------------------------------------------------------------------------------------------------


def test_parts_add_up():
    X = spread(60, 5, mean=10)
    exact = PCA(3, svd_solver="full").fit(X)
    for order in ([0, 1, 2, 3, 4], [4, 2, 0, 1, 3]):
        fitted = [PCAEncoder(3).partial_fit(part) for part in parts(X)]
        before = [pickle.dumps(part) for part in fitted]
        whole = reduce(PCAEncoder.merge, [fitted[i] for i in order])
        same_axes(whole, exact)
        assert whole is fitted[order[0]]
        for i in order[1:]:
            assert pickle.dumps(fitted[i]) == before[i]
    twice = PCAEncoder(3).partial_fit(X)
    same_axes(twice.merge(twice), PCA(3, svd_solver="full").fit(np.vstack([X, X])))
    same_axes(PCAEncoder().fit(X[:30]).merge(PCAEncoder().fit(X[30:])), PCA(svd_solver="full").fit(X))


def test_parts_that_do_not_fit_together():
    X = spread(20, 3)
    encoder = PCAEncoder(2).partial_fit(X)
    before = pickle.dumps(encoder)
    named = PCAEncoder(2).partial_fit(pd.DataFrame(X, columns=list("abc")))
    for other, message in (
        (PCAEncoder(2).partial_fit(X[:, :2]), r"columns.*\b3\b.*\b2\b"),
        (named, "feature names"),
        (PCAEncoder(2).partial_fit(X.astype(np.float32)), "dtype.*float64.*float32"),
        (PCAEncoder(2).partial_fit([[1e200, 0, 0]]), r"overflow.*StandardScaler"),
        (PCAEncoder(2), "not fitted"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder.merge(other)
        assert pickle.dumps(encoder) == before
    with pytest.raises(NotFittedError):
        PCAEncoder(2).merge(encoder)
    with pytest.raises(TypeError, match=r"\bPCA\b.*PCAEncoder"):
        encoder.merge(PCA(2).fit(X))


def test_parts_are_fitted_by_joblib():
    X = spread(400, 5)
    with parallel_config("loky", n_jobs=2):
        fitted = Parallel()(delayed(PCAEncoder(3).partial_fit)(part) for part in np.split(X, 4))
    same_axes(reduce(PCAEncoder.merge, fitted), PCA(3, svd_solver="full").fit(X))


@pytest.mark.filterwarnings("ignore:Couldn't detect a suitable IP address")  # dask, without a network
@pytest.mark.exhaustive
def test_parts_are_fitted_on_a_dask_cluster():
    distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")
    X = spread(400, 5)
    with (
        distributed.LocalCluster(2, processes=False, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster),
        parallel_config("dask"),
    ):
        fitted = Parallel()(delayed(PCAEncoder(3).partial_fit)(part) for part in np.split(X, 4))
    same_axes(reduce(PCAEncoder.merge, fitted), PCA(3, svd_solver="full").fit(X))


# --- tensors ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def on_device(monkeypatch):
    """What tensors on a GPU go through, by tensors on the CPU."""
    for module in (pca, reading):
        monkeypatch.setattr(module, "is_on_device", lambda X: isinstance(X, torch.Tensor))


DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"))]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.bfloat16])
@pytest.mark.usefixtures("on_device")
def test_tensors_on_a_device(dtype, whiten, device):
    X = torch.from_numpy(spread(300, 6) * 20 + 100).to(dtype).to(device)
    rows = X.cpu().double().numpy()
    exact = PCA(3, whiten=whiten, svd_solver="full").fit(rows)
    single = dtype == torch.float32
    for encoder in (
        PCAEncoder(3, whiten=whiten, batch_size=70).fit(X),
        PCAEncoder(3, whiten=whiten).fit(X),
        PCAEncoder(3, whiten=whiten).partial_fit(X[:100]).partial_fit(X[100:]),
    ):
        same_axes(encoder, exact, rtol=1e-5 if single else 1e-9)
        features = encoder.transform(X)
        assert isinstance(features, np.ndarray)
        assert features.dtype == encoder.components_.dtype == (np.float32 if single else np.float64)
        np.testing.assert_allclose(features, exact.transform(rows), rtol=1e-4, atol=1e-4)
    names = list(encoder.set_output(transform="pandas").transform(X).columns)
    assert names == ["pcaencoder0", "pcaencoder1", "pcaencoder2"]


@pytest.mark.usefixtures("on_device")
def test_bad_tensors_on_a_device():
    X = torch.from_numpy(spread(60, 6))
    encoder = PCAEncoder(3).fit(X)
    before = pickle.dumps(encoder)
    spoiled = X.clone()
    spoiled[50, 2] = torch.nan
    for bad, message in (
        (spoiled, "NaN"),
        (X * 1e200, r"overflow.*StandardScaler"),
        (X[:, :5], "5 features, but PCAEncoder is expecting 6"),
        (X[0], "[Rr]eshape"),
        (X[:0], "0 sample"),
    ):
        with pytest.raises(ValueError, match=message):
            encoder.partial_fit(bad)
        assert pickle.dumps(encoder) == before
    wide = PCAEncoder(3).fit(X[:5])
    same_axes(wide, PCA(3, svd_solver="full").fit(X[:5].numpy()))
    assert "n_samples_seen_" not in vars(wide)


def test_tensors_on_the_cpu_are_read_as_arrays():
    X = spread(60, 6).astype(np.float32)
    tensor = torch.from_numpy(X).requires_grad_()
    expected = PCAEncoder(3).fit(X)
    np.testing.assert_array_equal(PCAEncoder(3).fit_transform(tensor), expected.transform(X))
    np.testing.assert_array_equal(expected.transform(tensor), expected.transform(X))
    same_axes(PCAEncoder(3).partial_fit(tensor), PCAEncoder(3).partial_fit(X))


def test_scikit_learn_works_on_tensors_where_it_is_told_to():
    X = torch.from_numpy(spread(60, 6))
    with config_context(array_api_dispatch=True):
        encoder = PCAEncoder(3, svd_solver="full").fit(X)
        assert isinstance(encoder.components_, torch.Tensor)
        assert isinstance(encoder.transform(X), torch.Tensor)


# --- sums and eigenvectors -------------------------------------------------------------------------------------------


def test_scatter_of_rows_beside_a_large_mean():
    X = (1e4 + np.random.default_rng(0).normal(size=(500, 4)) * [1, 0.3, 0.1, 0.03]).astype(np.float32)
    exact = X.astype(np.float64) - X.mean(0, dtype=np.float64)
    expected = exact.T @ exact
    for scatter in (scatter_of(np.split(X, 5), 4), scatter_of_tensor(torch.from_numpy(X), 100)):
        np.testing.assert_allclose(scatter.matrix, expected, rtol=1e-5, atol=1e-5 * expected[3, 3])
        np.testing.assert_allclose(scatter.mean, X.mean(0, dtype=np.float64), rtol=1e-10)
        assert scatter.n == 500


def test_sums_that_overflow_change_nothing():
    scatter = scatter_of([np.eye(3)], 3)
    before = copy.deepcopy(scatter)
    with pytest.raises(OverflowError), np.errstate(over="ignore"):
        scatter.add(2, np.full(3, 1e200), np.eye(3))
    assert scatter.n == before.n
    np.testing.assert_array_equal(scatter.matrix, before.matrix)
    np.testing.assert_array_equal(scatter.mean, before.mean)
    assert Scatter.empty(2).n == 0


@pytest.mark.parametrize("k", [1, 5, 50, 400, 600])
@pytest.mark.parametrize("spectrum", ["falling", "equal", "few", "zero", "pairs"])
def test_leading_eigenpairs(spectrum, k):
    n = 600
    values = {
        "falling": np.arange(n, 0, -1.0) ** 2,
        "equal": np.ones(n),
        "few": np.where(np.arange(n) < 3, 2.0, 0),
        "zero": np.zeros(n),
        "pairs": np.repeat(0.97 ** np.arange(n // 2), 2),
    }[spectrum]
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0]
    matrix = (basis * values) @ basis.T
    found, vectors = leading_eigenpairs((matrix + matrix.T) / 2, k)
    np.testing.assert_allclose(found, values[:k], atol=1e-11 * max(values[0], 1))
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(k), atol=1e-11)
    np.testing.assert_allclose(matrix @ vectors, vectors * found, atol=1e-10 * max(values[0], 1))


def test_bfloat16_tensors():
    X = torch.from_numpy(np.random.default_rng(0).integers(0, 200, size=(30, 4)).astype(np.float32))
    np.testing.assert_array_equal(PCAEncoder(2).fit_transform(X.bfloat16()), PCAEncoder(2).fit_transform(X))


def test_merge_changes_neither_part_that_it_reads():
    X = np.random.default_rng(0).normal(size=(60, 5))
    one, two = PCAEncoder(2).partial_fit(X[:30]), PCAEncoder(2).partial_fit(X[30:])
    shallow, kept, other = copy.copy(one), copy.deepcopy(one), copy.deepcopy(two)
    one.merge(two)
    for found, expected in ((shallow, kept), (two, other)):
        assert pickle.dumps(found) == pickle.dumps(expected)
        np.testing.assert_array_equal(found.components_, expected.components_)
