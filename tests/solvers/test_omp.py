"""Orthogonal matching pursuit against scikit-learn and a loop of least squares; degenerate dictionaries."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import sparse_encode
from sklearn.linear_model import orthogonal_mp, orthogonal_mp_gram

from skrep.solvers.omp import omp


def problem(seed, n=40, n_atoms=30, n_features=12):
    rng = np.random.default_rng(seed)
    D = rng.normal(size=(n_atoms, n_features))
    return rng.normal(size=(n, n_features)), D / np.linalg.norm(D, axis=1, keepdims=True)


def solve(X, D, k):
    Z = omp(D @ D.T, X @ D.T, k)
    assert Z.dtype == X.dtype
    assert np.isfinite(Z).all()
    assert (Z != 0).sum(1).max(initial=0) <= k
    return Z


def naive(X, D, k):
    """The atom that correlates most with the residual, then least squares on all that were taken."""
    Z = np.zeros((len(X), len(D)))
    for x, z in zip(X, Z, strict=True):
        taken, residual = [], x
        while len(taken) < k:
            correlations = np.abs(D @ residual)
            best = int(correlations.argmax())
            if correlations[best] <= 1e-12 * np.abs(D @ x).max() or (
                np.linalg.matrix_rank(D[[*taken, best]], tol=1e-6) == len(taken)
            ):
                break
            taken.append(best)
            values = np.linalg.lstsq(D[taken].T, x, rcond=None)[0]
            residual = x - values @ D[taken]
        if taken:
            z[taken] = values
    return Z


@pytest.mark.parametrize("k", [1, 2, 5, 12])
@pytest.mark.parametrize(("n_atoms", "n_features"), [(30, 12), (12, 20), (1, 4)])
def test_codes_of_other_solvers(n_atoms, n_features, k):
    k = min(k, n_atoms)
    X, D = problem(k, n_atoms=n_atoms, n_features=n_features)
    Z = solve(X, D, k)
    np.testing.assert_allclose(Z, naive(X, D, k), atol=1e-9)
    np.testing.assert_allclose(Z, sparse_encode(X, D, algorithm="omp", n_nonzero_coefs=k), atol=1e-9)
    np.testing.assert_allclose(
        Z.T, orthogonal_mp_gram(D @ D.T, D @ X.T, n_nonzero_coefs=k).reshape(Z.T.shape), atol=1e-9
    )


def test_atoms_of_any_norm():
    X, D = problem(0)
    D *= np.random.default_rng(1).uniform(0.1, 10, size=(len(D), 1))
    Z = solve(X, D, 4)
    np.testing.assert_allclose(Z, naive(X, D, 4), atol=1e-9)
    np.testing.assert_allclose(Z, sparse_encode(X, D, algorithm="omp", n_nonzero_coefs=4), atol=1e-9)


def test_the_residual_has_nothing_left_in_what_was_taken():
    X, D = problem(3)
    Z = solve(X, D, 6)
    assert np.abs(((X - Z @ D) @ D.T)[Z != 0]).max() < 1e-12
    errors = [np.linalg.norm(X - solve(X, D, k) @ D, axis=1) for k in range(1, 12)]
    assert (np.diff(errors, axis=0) < 1e-12).all()


def test_equal_atoms_are_taken_once():
    X, D = problem(1, n_atoms=8)
    Z = solve(X, np.repeat(D, 3, axis=0), 5)
    np.testing.assert_allclose(Z[:, ::3], solve(X, D, 5), atol=1e-9)
    assert not Z[:, 1::3].any()
    assert not Z[:, 2::3].any()


def test_never_more_atoms_than_rank():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 6))
    D = rng.normal(size=(20, 2)) @ rng.normal(size=(2, 6))
    Z = solve(X, D, 10)
    assert (Z != 0).sum(1).max() <= 2
    best = X @ np.linalg.pinv(D, rcond=1e-5) @ D
    np.testing.assert_allclose(Z @ D, best, atol=1e-9)
    full = rng.normal(size=(20, 6))
    Z = solve(X, full, 20)  # spans all
    assert (Z != 0).sum(1).max() <= 6
    np.testing.assert_allclose(Z @ full, X, atol=1e-9)


def test_it_stops_where_a_row_is_reached():
    _, D = problem(0, n_atoms=10, n_features=40)
    D = np.linalg.qr(D.T)[0].T  # orthonormal: pursuit finds what was planted
    planted = np.zeros((5, 10))
    planted[[0, 1, 2, 2, 3, 3, 3], [4, 0, 1, 9, 2, 3, 4]] = [2, -1, 1, 3, -2, 1.5, 1]
    Z = solve(planted @ D, D, 8)
    np.testing.assert_array_equal(Z != 0, planted != 0)
    np.testing.assert_allclose(Z, planted, atol=1e-12)


def test_rows_of_zeros_and_atoms_of_zeros():
    X, D = problem(2)
    X[3], D[[0, 7]] = 0, 0
    Z = solve(X, D, 4)
    assert not Z[3].any()
    assert not Z[:, [0, 7]].any()
    kept = np.setdiff1d(np.arange(30), [0, 7])
    np.testing.assert_allclose(Z[:, kept], solve(X, D[kept], 4), atol=1e-12)
    assert not solve(X, 0 * D, 4).any()
    assert solve(X[:0], D, 4).shape == (0, 30)


def test_ties_take_the_first():
    Z = solve(np.array([[2.0, 2.0], [-1.0, 1.0]]), np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]), 1)
    np.testing.assert_array_equal(Z, [[2, 0, 0], [-1, 0, 0]])


def test_a_planted_code_is_found():
    rng = np.random.default_rng(0)
    D = rng.normal(size=(100, 64))
    D /= np.linalg.norm(D, axis=1, keepdims=True)
    planted = np.zeros((200, 100))
    for z in planted:
        z[rng.choice(100, 3, replace=False)] = rng.uniform(1, 2, 3) * rng.choice([-1, 1], 3)
    X = planted @ D
    Z = solve(X, D, 3)
    right = (np.abs(Z - planted) < 1e-9).all(1)
    assert right.mean() > 0.95
    np.testing.assert_array_equal(right, (np.abs(orthogonal_mp(D.T, X.T, n_nonzero_coefs=3).T - planted) < 1e-9).all(1))


def test_a_row_does_not_depend_on_threads_or_neighbours():
    X, D = problem(0, n=333)
    gram, correlations = D @ D.T, X @ D.T
    one = omp(gram, correlations, 4)
    try:
        torch.set_num_threads(3)
        np.testing.assert_array_equal(omp(gram, correlations, 4), one)
    finally:
        torch.set_num_threads(1)
    order = np.random.default_rng(0).permutation(333)
    np.testing.assert_array_equal(omp(gram, correlations[order], 4), one[order])
    np.testing.assert_array_equal(omp(gram, correlations[7:8], 4)[0], one[7])
