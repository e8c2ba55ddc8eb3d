"""Orthogonal matching pursuit on a Gram matrix: Batch-OMP (Rubinstein, Zibulevsky & Elad 2008), row by row."""

import math
from typing import Any

import numpy as np

from skrep.solvers.compiled import EPSILON, compiled, in_threads

__all__ = ["omp"]


def omp(gram: np.ndarray, correlations: np.ndarray, n_nonzero_coefs: int) -> np.ndarray:
    """Codes with a given number of atoms.

    Each step takes the atom that correlates most with the residual, then fits all coefficients anew by least squares.
    It ends early where no atom correlates with the residual, or the best depends on those that were taken.

    Parameters
    ----------
    gram : ndarray of shape (n_atoms, n_atoms), float64
        Inner products of the atoms, ``D @ D.T``.
    correlations : ndarray of shape (n_rows, n_atoms), float64
        Inner products of rows and atoms, ``X @ D.T``.
    n_nonzero_coefs : int
        Atoms for each row, at most.

    Returns
    -------
    ndarray of shape (n_rows, n_atoms), float64
        Codes.
    """
    codes = np.zeros_like(correlations)
    in_threads(lambda rows: _omp(gram, correlations[rows], n_nonzero_coefs, codes[rows]), len(codes))
    return codes


@compiled
def _omp(gram: Any, correlations: Any, n_nonzero_coefs: int, codes: Any) -> None:
    n_rows, n_atoms = correlations.shape
    residual = np.empty(n_atoms)  # inner products of the atoms with the residual
    taken = np.empty(n_nonzero_coefs, np.int64)
    # With the Cholesky factor L of the taken atoms' Gram matrix, row t of `basis` is (L^-1 gram[taken])[t]: inner
    # products of all atoms with the t-th vector of an orthonormal basis of the taken ones.
    basis = np.empty((n_nonzero_coefs, n_atoms))
    factor = np.empty((n_nonzero_coefs, n_nonzero_coefs))
    weight = np.empty(n_nonzero_coefs)
    for i in range(n_rows):
        largest = 0.0
        for k in range(n_atoms):
            residual[k] = correlations[i, k]
            largest = max(largest, abs(residual[k]))
        least = 64 * EPSILON * largest
        n_taken = 0
        while largest > least:
            j = n_atoms
            for k in range(n_atoms):
                j = min(j, k if abs(residual[k]) == largest else n_atoms)
            t = n_taken
            rest = gram[j, j]
            for s in range(t):
                factor[t, s] = basis[s, j]
                rest -= basis[s, j] * basis[s, j]
            if rest <= 64 * EPSILON * gram[j, j]:
                break
            pivot = math.sqrt(rest)
            step = residual[j] / pivot
            factor[t, t], weight[t], taken[t] = pivot, step, j
            n_taken += 1
            if n_taken == n_nonzero_coefs:
                break
            row = basis[t]
            for k in range(n_atoms):
                row[k] = gram[j, k]
            for s in range(t):
                above, share = basis[s], factor[t, s]
                for k in range(n_atoms):
                    row[k] -= share * above[k]
            largest = 0.0
            for k in range(n_atoms):
                value = row[k] / pivot
                row[k] = value
                residual[k] -= step * value
                largest = max(largest, abs(residual[k]))
        for t in range(n_taken - 1, -1, -1):  # from the orthonormal basis back to atoms: L^T code = weight
            value = weight[t] / factor[t, t]
            codes[i, taken[t]] = value
            for s in range(t):
                weight[s] -= factor[t, s] * value
