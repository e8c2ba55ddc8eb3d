"""The soft threshold, and codes with positive and negative parts apart: each in one pass over memory."""

from typing import Any

import numpy as np

from skrep.solvers.compiled import compiled, in_threads

__all__ = ["soft_threshold", "split_signs"]


def soft_threshold(correlations: np.ndarray, alpha: float, *, positive: bool) -> np.ndarray:
    """``sign(c) max(|c| - alpha, 0)``, or ``max(c - alpha, 0)`` if `positive`.

    Parameters
    ----------
    correlations : ndarray of shape (n_rows, n_atoms)
        Changed in place.
    alpha : float
        Threshold, at least zero.
    positive : bool
        Whether negative values become zero as well.

    Returns
    -------
    ndarray of shape (n_rows, n_atoms)
        `correlations`.
    """
    threshold = correlations.dtype.type(min(alpha, float(np.finfo(correlations.dtype).max)))
    in_threads(lambda rows: _soft_threshold(correlations[rows], threshold, positive), len(correlations), 1024)
    return correlations


def split_signs(codes: np.ndarray, parts: np.ndarray) -> None:
    """Write positive parts, then negative parts with their sign turned.

    Parameters
    ----------
    codes : ndarray of shape (n_rows, n_atoms)
        Codes.
    parts : ndarray of shape (n_rows, 2 * n_atoms)
        Where to write.
    """
    in_threads(lambda rows: _split_signs(codes[rows], parts[rows]), len(codes), 1024)


@compiled
def _soft_threshold(correlations: Any, threshold: Any, positive: bool) -> None:
    zero = correlations.dtype.type(0)
    low = correlations.dtype.type(-np.inf) if positive else -threshold
    for row in correlations:
        for k in range(len(row)):
            value = row[k] - min(max(row[k], low), threshold)
            row[k] = max(value, zero) if positive else value


@compiled
def _split_signs(codes: Any, parts: Any) -> None:
    n_rows, n_atoms = codes.shape
    zero = codes.dtype.type(0)
    for i in range(n_rows):
        for k in range(n_atoms):
            parts[i, k] = max(codes[i, k], zero)
        for k in range(n_atoms):
            parts[i, n_atoms + k] = max(-codes[i, k], zero)
