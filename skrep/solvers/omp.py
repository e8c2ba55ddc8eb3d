"""Orthogonal matching pursuit on a Gram matrix: Batch-OMP (Rubinstein, Zibulevsky & Elad 2008), row by row."""

import math
from typing import Any

import numpy as np

from skrep.solvers.compiled import compiled, in_threads

__all__ = ["omp"]


def omp(gram: np.ndarray, correlations: np.ndarray, n_nonzero_coefs: int) -> np.ndarray:
    """Codes with a given number of atoms.

    Each step takes the atom that correlates most with the residual, then fits all coefficients anew by least squares.
    It ends early where no atom correlates with the residual, or the best depends on those that were taken.

    Parameters
    ----------
    gram : ndarray of shape (n_atoms, n_atoms)
        Inner products of the atoms, ``D @ D.T``.
    correlations : ndarray of shape (n_rows, n_atoms)
        Inner products of rows and atoms, ``X @ D.T``, in the same dtype, float32 or float64.
    n_nonzero_coefs : int
        Atoms for each row, at most.

    Returns
    -------
    ndarray of shape (n_rows, n_atoms)
        Codes.
    """
    codes = np.zeros_like(correlations)
    in_threads(lambda rows: _omp(gram, correlations[rows], n_nonzero_coefs, codes[rows]), len(codes))
    return codes


@compiled
def _omp(gram: Any, correlations: Any, n_nonzero_coefs: int, codes: Any) -> None:
    n_rows, n_atoms = correlations.shape
    dtype = correlations.dtype
    epsilon = np.finfo(dtype).eps
    zero = dtype.type(0)
    residual = np.empty(n_atoms, dtype)  # inner products of the atoms with the residual
    taken = np.empty(n_nonzero_coefs, np.int64)
    # With the Cholesky factor L of the taken atoms' Gram matrix, row t of `basis` is (L^-1 gram[taken])[t]: inner
    # products of all atoms with the t-th vector of an orthonormal basis of the taken ones.
    basis = np.empty((n_nonzero_coefs, n_atoms), dtype)
    factor = np.empty((n_nonzero_coefs, n_nonzero_coefs), dtype)
    weight = np.empty(n_nonzero_coefs, dtype)
    for i in range(n_rows):
        first = zero
        for k in range(n_atoms):
            residual[k] = correlations[i, k]
            first = max(first, abs(residual[k]))
        n_taken = 0
        while n_taken < n_nonzero_coefs:
            largest = zero
            for k in range(n_atoms):
                largest = max(largest, abs(residual[k]))
            if largest <= 64 * epsilon * first:
                break
            j = 0
            while abs(residual[j]) != largest:
                j += 1
            t = n_taken
            rest = gram[j, j]
            for s in range(t):
                factor[t, s] = basis[s, j]
                rest -= basis[s, j] * basis[s, j]
            if rest <= 64 * epsilon * gram[j, j]:
                break
            pivot = math.sqrt(rest)
            step = residual[j] / pivot
            factor[t, t], weight[t], taken[t] = pivot, step, j
            n_taken += 1
            if n_taken == n_nonzero_coefs:
                break  # nobody asks for what is left
            row = basis[t]
            for k in range(n_atoms):
                row[k] = gram[j, k]
            for s in range(t):
                above, share = basis[s], factor[t, s]
                for k in range(n_atoms):
                    row[k] -= share * above[k]
            scale = dtype.type(1) / pivot
            for k in range(n_atoms):
                row[k] *= scale
                residual[k] -= step * row[k]
        for t in range(n_taken - 1, -1, -1):  # from the orthonormal basis back to atoms: L^T code = weight
            value = weight[t] / factor[t, t]
            codes[i, taken[t]] = value
            for s in range(t):
                weight[s] -= factor[t, s] * value
