"""The lasso by feature-sign search: optimality, objectives of other solvers, dictionaries that are degenerate."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode
from sklearn.linear_model import Lasso

from skrep.solvers.lasso import lasso

KINDS = ("random", "duplicates", "rank 2", "integers", "scales", "alike")

# Largest error of the gradient, to its scale, and largest duality gap, to the objective at zero.
GRADIENT, GAP = 1e-12, 1e-7


def problem(kind, rng, n=5):
    """Rows, atoms (some fewer than features, some more) and a weight."""
    n_atoms, n_features = rng.integers(1, 30), rng.integers(1, 20)
    D = rng.normal(size=(n_atoms, n_features))
    X = rng.normal(size=(n, n_features))
    if kind == "duplicates":
        D = D[rng.integers(max(1, n_atoms // 2), size=n_atoms)]
    elif kind == "rank 2":
        D = rng.normal(size=(n_atoms, 2)) @ rng.normal(size=(2, n_features))
    elif kind == "integers":  # ties, opposite atoms, atoms of zeros
        D = rng.integers(-1, 2, size=D.shape).astype(float)
        X = rng.integers(-3, 4, size=X.shape).astype(float)
    elif kind == "scales":
        D *= 10 ** rng.uniform(-3, 3, size=(n_atoms, 1))
    elif kind == "alike":
        D = D[0] + 1e-3 * D
    return X, D, 10 ** rng.uniform(-4, 0.5)


def solve(X, D, alpha, *, positive=False):
    Z = lasso(D @ D.T, X @ D.T, alpha, D.shape[1], positive=positive)
    assert np.isfinite(Z).all()
    return Z


def objective(X, D, Z, alpha):
    return ((X - Z @ D) ** 2).sum(1) / 2 + alpha * np.abs(Z).sum(1)


def gap(X, D, Z, alpha, *, positive):
    """How far an objective is above the minimum, at most: a dual point is the residual, scaled to be feasible."""
    residual = X - Z @ D
    of_atoms = residual @ D.T
    largest = (of_atoms if positive else np.abs(of_atoms)).max(1, keepdims=True)
    theta = residual * np.minimum(1, alpha / np.maximum(largest, 1e-300))
    return objective(X, D, Z, alpha) - ((X**2).sum(1) - ((X - theta) ** 2).sum(1)) / 2


def check_optimal(kind, rng, *, positive):
    X, D, alpha = problem(kind, rng)
    Z = solve(X, D, alpha, positive=positive)
    assert (Z != 0).sum(1).max() <= min(D.shape)
    assert not positive or (Z >= 0).all()
    assert not Z[:, ~D.any(1)].any()
    # the gradient is alpha against the sign of a coefficient, and at most alpha where there is none
    slope = (X - Z @ D) @ D.T
    off = np.where(Z != 0, np.abs(slope - alpha * np.sign(Z)), (slope if positive else np.abs(slope)) - alpha)
    scale = np.abs(X @ D.T).max(1, keepdims=True) + alpha + np.abs(Z) @ np.abs(D @ D.T)
    assert (off / scale).max() < GRADIENT
    assert (gap(X, D, Z, alpha, positive=positive) <= GAP * (X**2).sum(1) / 2).all()


def by_coordinate_descent(X, D, alpha, *, positive, sweeps=200):
    """One coefficient after the other, each to its minimum."""
    Z, squares = np.zeros((len(X), len(D))), (D**2).sum(1)
    residual = X.copy()
    for _ in range(sweeps):
        for k in np.flatnonzero(squares):
            old = Z[:, k].copy()
            q = residual @ D[k] + squares[k] * old
            Z[:, k] = (np.maximum(q - alpha, 0) if positive else np.sign(q) * np.maximum(np.abs(q) - alpha, 0)) / (
                squares[k]
            )
            residual -= np.outer(Z[:, k] - old, D[k])
    return Z


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_optimal(kind, positive):
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(100):
        check_optimal(kind, rng, positive=positive)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_no_worse_than_coordinate_descent(kind, positive):
    rng = np.random.default_rng(10 + KINDS.index(kind))
    for _ in range(6):
        X, D, alpha = problem(kind, rng)
        ours = objective(X, D, solve(X, D, alpha, positive=positive), alpha)
        theirs = objective(X, D, by_coordinate_descent(X, D, alpha, positive=positive), alpha)
        assert (ours <= theirs * (1 + 1e-12) + 1e-12).all()
        if alpha > 0.1 and kind != "scales":  # where it has converged
            np.testing.assert_allclose(ours, theirs, rtol=0.01)


@pytest.mark.filterwarnings("ignore:.*did not converge")  # scikit-learn's default is 1000 sweeps
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize(("n_atoms", "n_features"), [(8, 30), (20, 20), (60, 12)])
def test_codes_of_scikit_learn(n_atoms, n_features, positive):
    rng = np.random.default_rng(n_atoms)
    X, D = rng.normal(size=(12, n_features)), rng.normal(size=(n_atoms, n_features))
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    for alpha in (0.01, 0.3):
        ours = solve(X, D, alpha, positive=positive)
        peer = Lasso(alpha / n_features, fit_intercept=False, positive=positive, tol=1e-12, max_iter=100_000)
        np.testing.assert_allclose(ours, peer.fit(D.T, X.T).coef_, atol=1e-6)
        encoded = sparse_encode(X, D, algorithm="lasso_cd", alpha=alpha, positive=positive, max_iter=1000)
        assert (objective(X, D, ours, alpha) <= objective(X, D, encoded, alpha) * (1 + 1e-12)).all()


def test_one_atom_is_a_soft_threshold():
    x = np.linspace(-2, 2, 41)[:, None]
    expected = np.sign(x) * np.maximum(np.abs(3 * x) - 0.5, 0) / 9
    np.testing.assert_allclose(solve(x, np.array([[3.0]]), 0.5), expected, atol=1e-15)
    np.testing.assert_allclose(solve(x, np.array([[3.0]]), 0.5, positive=True), np.maximum(expected, 0), atol=1e-15)


def test_of_equal_atoms_one_is_used():
    X, _, _ = problem("random", np.random.default_rng(0))
    D = np.ones((4, X.shape[1]))
    Z = solve(X, D, 0.01)
    assert ((Z != 0).sum(1) == 1).all()
    np.testing.assert_allclose(Z.sum(1), solve(X, D[:1], 0.01)[:, 0])


@pytest.mark.parametrize("positive", [False, True])
def test_nothing_is_worth_a_large_weight(positive):
    for kind in KINDS:
        X, D, _ = problem(kind, np.random.default_rng(3))
        largest = np.abs(X @ D.T).max()
        for alpha in (largest, 2 * largest, 1e6 * largest):
            assert not solve(X, D, alpha, positive=positive).any()
        assert solve(X, D, 0.9 * largest, positive=False).any()
    assert not solve(-np.abs(X), np.abs(D), 1e-4, positive=True).any()


def test_rows_of_zeros_and_atoms_of_zeros():
    rng = np.random.default_rng(0)
    X, D = rng.normal(size=(6, 5)), rng.normal(size=(9, 5))
    X[2], D[4] = 0, 0
    Z = solve(X, D, 0.1)
    assert not Z[2].any()
    assert not Z[:, 4].any()
    kept = np.arange(9) != 4
    np.testing.assert_allclose(Z[:, kept], solve(X, D[kept], 0.1), atol=1e-12)
    assert not solve(X, 0 * D, 0.1).any()
    assert solve(X[:0], D, 0.1).shape == (0, 9)


@pytest.mark.parametrize("positive", [False, True])
def test_a_row_does_not_depend_on_threads_or_neighbours(positive):
    rng = np.random.default_rng(0)
    X, D = rng.normal(size=(333, 16)), rng.normal(size=(40, 16))
    gram, correlations = D @ D.T, X @ D.T
    one = lasso(gram, correlations, 0.5, 16, positive=positive)
    try:
        for n_threads in (2, 5):
            torch.set_num_threads(n_threads)
            np.testing.assert_array_equal(lasso(gram, correlations, 0.5, 16, positive=positive), one)
    finally:
        torch.set_num_threads(1)
    order = rng.permutation(333)
    np.testing.assert_array_equal(lasso(gram, correlations[order], 0.5, 16, positive=positive), one[order])
    for i in (0, 7, 332):
        alone = lasso(gram, correlations[i : i + 1], 0.5, 16, positive=positive)
        np.testing.assert_array_equal(alone[0], one[i])


@pytest.mark.parametrize(("apart", "alpha", "size"), [(1e-6, 1e-9, 1), (1e-6, 1e-11, 1), (1e-5, 1e-4, 1e3)])
@pytest.mark.parametrize("positive", [False, True])
def test_atoms_that_rounding_hardly_tells_apart(apart, alpha, size, positive):
    for seed in range(40):
        rng = np.random.default_rng(seed)
        D = rng.normal(size=3) + apart * rng.normal(size=(6, 3))
        X = size * rng.normal(size=(20, 3))
        Z = solve(X, D, alpha, positive=positive)  # finite
        assert (objective(X, D, Z, alpha) <= (X**2).sum(1) / 2 * (1 + 1e-9)).all()  # no worse than zero


@pytest.mark.exhaustive
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_optimal_always(kind, positive):
    rng = np.random.default_rng(100)
    for _ in range(3000):
        check_optimal(kind, rng, positive=positive)
