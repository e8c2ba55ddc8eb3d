"""What runs on a GPU, on the CPU: FISTA and Batch-OMP in torch against the exact solvers."""

import numpy as np
import pytest
import torch

from skrep.solvers.lasso import lasso
from skrep.solvers.omp import omp
from skrep.solvers.on_device import duality_gap, lasso_on_device, omp_on_device

KINDS = ("random", "duplicates", "rank 2", "with zeros", "scales")


def problem(kind, dtype=np.float64, n=60, n_atoms=30, n_features=12):
    rng = np.random.default_rng(KINDS.index(kind))
    X, D = rng.normal(size=(n, n_features)), rng.normal(size=(n_atoms, n_features))
    if kind == "duplicates":
        D = D[rng.integers(n_atoms // 3, size=n_atoms)]
    elif kind == "rank 2":
        D = rng.normal(size=(n_atoms, 2)) @ rng.normal(size=(2, n_features))
    elif kind == "with zeros":
        X[[0, 7]], D[[3, 4]] = 0, 0
    D /= np.linalg.norm(D, axis=1, keepdims=True) + 1e-12
    if kind == "scales":
        D *= 10 ** rng.uniform(-1, 1, size=(n_atoms, 1))
    return X.astype(dtype), D.astype(dtype)


def objective(X, D, Z, alpha):
    X, D, Z = (part.astype(np.float64) for part in (X, D, Z))
    return ((X - Z @ D) ** 2).sum(1) / 2 + alpha * np.abs(Z).sum(1)


def tensors(*arrays):
    return tuple(torch.from_numpy(array) for array in arrays)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("alpha", [0.05, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_lasso(kind, alpha, positive, dtype):
    X, D = problem(kind, dtype)
    codes, n_open = lasso_on_device(*tensors(X, D), alpha, positive=positive)
    if (kind, dtype) != ("scales", np.float32):  # whose gap does not get so small
        assert n_open == 0
    assert codes.dtype == torch.from_numpy(X).dtype
    Z = codes.numpy()
    assert np.isfinite(Z).all()
    assert not positive or (Z >= 0).all()
    exact = lasso(
        D.astype(float) @ D.T.astype(float), X.astype(float) @ D.T.astype(float), alpha, 12, positive=positive
    )
    best = objective(X, D, exact, alpha)
    assert (objective(X, D, Z, alpha) <= best + 2e-5 * (X**2).sum(1) / 2).all()  # the gap that is asked for
    np.testing.assert_allclose(objective(X, D, Z, alpha).sum(), best.sum(), rtol=1e-4)
    assert not Z[:, ~D.any(1)].any()
    assert not Z[~X.any(1)].any()


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_duality_gap_is_a_bound(kind, positive):
    X, D = problem(kind)
    gram, correlations = D @ D.T, X @ D.T
    rng = np.random.default_rng(0)
    for alpha in (0.01, 0.3, 100.0):
        exact = lasso(gram, correlations, alpha, 12, positive=positive)
        best = objective(X, D, exact, alpha)
        near = exact + 0.1 * rng.normal(size=exact.shape) * (exact != 0)
        anything = rng.normal(size=exact.shape)
        for Z in (exact, np.zeros_like(exact), *((np.maximum(z, 0) if positive else z) for z in (near, anything))):
            squares = (X**2).sum(1)
            gap = duality_gap(*tensors(correlations, Z, gram, squares), alpha, positive=positive).numpy()
            scale = 1e-10 * (squares + objective(X, D, Z, alpha))
            assert (gap >= -scale).all()
            assert (gap >= objective(X, D, Z, alpha) - best - scale).all()
        gap = duality_gap(*tensors(correlations, exact, gram, squares), alpha, positive=positive).numpy()
        assert (gap <= 1e-9 * (squares + 1e-9)).all()  # and a tight one: zero at the optimum


def test_too_few_iterations_are_told():
    X, D = problem("random")
    codes, n_open = lasso_on_device(*tensors(X, D), 0.01, positive=False, max_iter=30)
    assert 0 < n_open <= len(X)
    squares = (X**2).sum(1)
    gap = duality_gap(*tensors(X @ D.T, codes.numpy(), D @ D.T, squares), 0.01, positive=False).numpy()
    assert (gap > 1e-5 * squares / 2).sum() == n_open
    _, fewer = lasso_on_device(*tensors(X, D), 0.01, positive=False, max_iter=1000)
    assert fewer < n_open
    assert lasso_on_device(*tensors(X, D), 0.01, positive=False)[1] == 0


def test_a_smaller_tolerance_comes_closer():
    X, D = problem("random")
    exact = lasso(D @ D.T, X @ D.T, 0.1, 12, positive=False)
    codes, n_open = lasso_on_device(*tensors(X, D), 0.1, positive=False, tol=1e-12, max_iter=20_000)
    assert n_open == 0
    np.testing.assert_allclose(codes.numpy(), exact, atol=1e-4)


def test_degenerate_lasso():
    X, D = problem("random")
    for rows, atoms in ((0 * X, D), (X, 0 * D)):
        codes, n_open = lasso_on_device(*tensors(rows, atoms), 0.1, positive=False)
        assert n_open == 0
        assert not codes.any()
    codes, n_open = lasso_on_device(*tensors(X, D), 1e6, positive=False)
    assert n_open == 0
    assert not codes.any()


@pytest.mark.parametrize("k", [1, 3, 12])
@pytest.mark.parametrize("kind", KINDS)
def test_omp(kind, k):
    X, D = problem(kind)
    expected = omp(D @ D.T, X @ D.T, k)
    Z = omp_on_device(*tensors(X, D), k).numpy()
    if kind == "duplicates":  # any of them will do
        Z, expected = Z @ D, expected @ D
    np.testing.assert_allclose(Z, expected, atol=1e-8)
    single = omp_on_device(*tensors(X.astype(np.float32), D.astype(np.float32)), k)
    assert single.dtype == torch.float32
    assert bool(single.isfinite().all())
    if k <= 3:
        misfit = [np.linalg.norm(X - codes @ D) for codes in (single.numpy(), omp(D @ D.T, X @ D.T, k))]
        assert misfit[0] == pytest.approx(misfit[1], rel=1e-3)


def test_omp_stops_where_a_row_is_reached():
    D = np.linalg.qr(np.random.default_rng(0).normal(size=(40, 10)))[0].T.copy()
    planted = np.zeros((4, 10))
    planted[[1, 2, 2, 3, 3, 3], [0, 1, 9, 2, 3, 4]] = [-1, 1, 3, -2, 1.5, 1]
    Z = omp_on_device(*tensors(planted @ D, D), 8).numpy()
    np.testing.assert_allclose(Z, planted, atol=1e-12)
    np.testing.assert_array_equal(np.abs(Z) > 1e-9, planted != 0)
