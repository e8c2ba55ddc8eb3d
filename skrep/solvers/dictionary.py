"""What learning a dictionary needs beside codes: statistics of codes, and atoms that fit them (Mairal et al. 2009)."""

import math
from typing import Any

import numpy as np

from skrep.solvers.compiled import compiled, in_threads

__all__ = ["add_statistics", "squared_misfit", "update_atoms"]


def squared_misfit(codes: np.ndarray, rows: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """``||x - z D||^2`` of each row, at a price that falls with sparsity.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_atoms)
        Sparse codes, float32 or float64.
    rows : ndarray of shape (n_rows, n_features)
        What they are codes of, in the same dtype.
    atoms : ndarray of shape (n_atoms, n_features)
        The dictionary, in the same dtype.

    Returns
    -------
    ndarray of shape (n_rows,), float64
        Squared norms.
    """
    squares = np.empty(len(codes))
    in_threads(lambda some: _squared_misfit(codes[some], rows[some], atoms, squares[some]), len(codes), 1024)
    return squares


def add_statistics(codes: np.ndarray, rows: np.ndarray, A: np.ndarray, B: np.ndarray, weight: float = 1.0) -> None:
    """Add ``codes.T @ codes`` to `A` and ``codes.T @ rows`` to `B`, at a price that falls with sparsity.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_atoms)
        Sparse codes, float32 or float64.
    rows : ndarray of shape (n_rows, n_features)
        What they are codes of, in the same dtype.
    A : ndarray of shape (n_atoms, n_atoms), float64
        Changed in place.
    B : ndarray of shape (n_atoms, n_features), float64
        Changed in place.
    weight : float, default=1.0
        Factor of what is added.
    """
    _add_statistics(codes, rows, A, B, weight)


def update_atoms(atoms: np.ndarray, A: np.ndarray, B: np.ndarray, *, positive: bool) -> None:
    """One round of block coordinate descent (Mairal et al. 2009, Algorithm 2) on the atoms, in place.

    Each atom in turn minimises ``tr(D' A D) / 2 - tr(D' B)`` with the others fixed, and is then scaled to unit norm,
    where the bound on its norm lies. Atoms that no row uses stay as they are.

    Parameters
    ----------
    atoms : ndarray of shape (n_atoms, n_features)
        Unit rows, float32 or float64.
    A : ndarray of shape (n_atoms, n_atoms), float64
        Sum of products of codes.
    B : ndarray of shape (n_atoms, n_features), float64
        Sum of products of codes and rows.
    positive : bool
        Whether atoms must not be negative.
    """
    _update_atoms(atoms, A, B, positive)


@compiled
def _squared_misfit(codes: Any, rows: Any, atoms: Any, squares: Any) -> None:
    n_rows, n_atoms = codes.shape
    n_features = rows.shape[1]
    residual = np.empty(n_features, rows.dtype)
    for i in range(n_rows):
        for f in range(n_features):
            residual[f] = rows[i, f]
        for k in range(n_atoms):
            value = codes[i, k]
            if value != 0:
                for f in range(n_features):
                    residual[f] -= value * atoms[k, f]
        total = 0.0
        for f in range(n_features):
            total += np.float64(residual[f]) * np.float64(residual[f])
        squares[i] = total


@compiled
def _add_statistics(codes: Any, rows: Any, A: Any, B: Any, weight: float) -> None:
    n_rows, n_atoms = codes.shape
    n_features = rows.shape[1]
    used = np.empty(n_atoms, np.int64)
    for i in range(n_rows):
        n_used = 0
        for k in range(n_atoms):
            if codes[i, k] != 0:
                used[n_used] = k
                n_used += 1
        for a in range(n_used):
            k = used[a]
            value = weight * codes[i, k]
            for b in range(n_used):
                A[k, used[b]] += value * codes[i, used[b]]
            for f in range(n_features):
                B[k, f] += value * rows[i, f]


@compiled
def _update_atoms(atoms: Any, A: Any, B: Any, positive: bool) -> None:
    n_atoms, n_features = atoms.shape
    atom = np.empty(n_features, np.float64)
    for j in range(n_atoms):
        if A[j, j] <= 0:
            continue
        for f in range(n_features):
            atom[f] = B[j, f] + A[j, j] * atoms[j, f]
        for k in range(n_atoms):
            share = A[j, k]
            if share != 0:
                for f in range(n_features):
                    atom[f] -= share * atoms[k, f]
        squares = 0.0
        for f in range(n_features):
            if positive and atom[f] < 0:
                atom[f] = 0
            squares += atom[f] * atom[f]
        if squares > 0:
            scale = 1 / math.sqrt(squares)
            for f in range(n_features):
                atoms[j, f] = atom[f] * scale
