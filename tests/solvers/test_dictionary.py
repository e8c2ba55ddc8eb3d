"""Statistics of codes and the update of atoms, against loops."""

import numpy as np
import pytest

from skrep.solvers.dictionary import add_statistics, update_atoms


def problem(seed, n=50, n_atoms=12, n_features=7, dtype=np.float64):
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(n, n_atoms)) * (rng.uniform(size=(n, n_atoms)) < 0.3)
    atoms = rng.normal(size=(n_atoms, n_features))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    rows = codes @ atoms + 0.3 * rng.normal(size=(n, n_features))
    return (part.astype(dtype) for part in (codes, rows, atoms))


def objective(atoms, A, B):
    return np.trace(atoms.T @ A @ atoms) / 2 - np.trace(atoms.T @ B)


def naive_update(atoms, A, B, *, positive):
    """Algorithm 2 of Mairal et al. (2009), on the unit sphere."""
    atoms = atoms.copy()
    for j in range(len(atoms)):
        if A[j, j] > 0:
            u = (B[j] - sum(A[j, k] * atoms[k] for k in range(len(atoms)) if k != j)) / A[j, j]
            u = np.maximum(u, 0) if positive else u
            if u.any():
                atoms[j] = u / np.linalg.norm(u)
    return atoms


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_statistics(dtype):
    codes, rows, _ = problem(0, dtype=dtype)
    A, B = np.ones((12, 12)), np.full((12, 7), 2.0)
    add_statistics(codes, rows, A, B, 0.5)
    expected_A, expected_B = np.ones((12, 12)), np.full((12, 7), 2.0)
    for z, x in zip(codes.astype(float), rows.astype(float), strict=True):
        expected_A += 0.5 * np.outer(z, z)
        expected_B += 0.5 * np.outer(z, x)
    np.testing.assert_allclose(A, expected_A, rtol=1e-6 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(B, expected_B, rtol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(A, A.T, rtol=1e-6)


def test_statistics_add_up():
    codes, rows, _ = problem(1)
    whole, parts = (np.zeros((12, 12)), np.zeros((12, 7))), (np.zeros((12, 12)), np.zeros((12, 7)))
    add_statistics(codes, rows, *whole)
    for start in range(0, 50, 7):
        add_statistics(codes[start : start + 7], rows[start : start + 7], *parts)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12)
    add_statistics(np.zeros((3, 12)), rows[:3], *whole)
    add_statistics(codes[:0], rows[:0], *whole)
    for one, two in zip(whole, parts, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-12)


@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_update_of_atoms(dtype, positive):
    codes, rows, atoms = problem(2, dtype=dtype)
    atoms = np.abs(atoms) if positive else atoms
    A, B = codes.T.astype(float) @ codes, codes.T.astype(float) @ rows
    expected = naive_update(atoms.astype(float), A, B, positive=positive)
    update_atoms(atoms, A, B, positive=positive)
    assert atoms.dtype == dtype
    np.testing.assert_allclose(atoms, expected, atol=1e-5 if dtype == np.float32 else 1e-12)
    np.testing.assert_allclose(np.linalg.norm(atoms, axis=1), 1, rtol=1e-6)
    assert not positive or (atoms >= 0).all()


@pytest.mark.parametrize("positive", [False, True])
def test_the_objective_never_rises(positive):
    for seed in range(20):
        codes, rows, atoms = problem(seed)
        atoms = np.abs(atoms) if positive else atoms
        A, B = codes.T @ codes, codes.T @ rows
        values = [objective(atoms, A, B)]
        for _ in range(30):
            update_atoms(atoms, A, B, positive=positive)
            values.append(objective(atoms, A, B))
        assert (np.diff(values) <= 1e-12 * np.abs(values[0])).all()
        assert values[-1] < values[0]
        # which is the misfit of rows, up to a constant
        misfit = ((rows - codes @ atoms) ** 2).sum() / 2
        assert misfit == pytest.approx(values[-1] + (rows**2).sum() / 2)


def test_atoms_without_use_stay():
    codes, rows, atoms = problem(0)
    codes[:, [2, 5]] = 0
    before = atoms.copy()
    update_atoms(atoms, codes.T @ codes, codes.T @ rows, positive=False)
    np.testing.assert_array_equal(atoms[[2, 5]], before[[2, 5]])
    assert (np.abs(np.delete(atoms - before, [2, 5], axis=0)).max(1) > 0).all()


def test_an_atom_that_would_vanish_stays():
    atoms = np.array([[1.0, 0.0]])
    update_atoms(atoms, np.ones((1, 1)), np.array([[-3.0, -1.0]]), positive=True)  # its best is all negative
    np.testing.assert_array_equal(atoms, [[1, 0]])
    update_atoms(atoms, np.ones((1, 1)), np.zeros((1, 2)), positive=False)
    np.testing.assert_array_equal(atoms, [[1, 0]])


def test_orthogonal_codes_reach_the_optimum_at_once():
    rng = np.random.default_rng(0)
    atoms = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    planted = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    codes = np.repeat(np.eye(6), 4, axis=0)
    update_atoms(atoms, codes.T @ codes, codes.T @ (codes @ planted), positive=False)
    np.testing.assert_allclose(atoms, planted, atol=1e-12)
