"""Codes of rows by given atoms: the lasso, the pursuit or a threshold, on the CPU or on a device."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

__all__ = ["Coding", "objective", "products", "too_large"]


@dataclass
class Coding:
    """How rows are coded.

    Attributes
    ----------
    alpha : float
        Weight of the L1 norm, or the threshold.
    n_nonzero_coefs : int or None
        Atoms for each row of the pursuit; None is a tenth of the number of features.
    positive : bool
        Whether coefficients must not be negative.
    device : torch.device
        Where rows are coded.
    label : str
        What errors call the coder.
    """

    alpha: float
    n_nonzero_coefs: int | None
    positive: bool
    device: torch.device
    label: str

    def solver(self, atoms: np.ndarray, algorithm: str) -> Callable[[np.ndarray], np.ndarray]:
        """A function from rows to their codes, (n, n_features) -> (n, n_atoms)."""
        n_nonzero = 1 if algorithm == "omp1" else min(self.n_nonzero_coefs or max(1, atoms.shape[1] // 10), len(atoms))
        if self.device.type != "cpu":
            return partial(self._on_device, atoms, algorithm, n_nonzero)
        if algorithm == "threshold":
            from skrep.solvers.threshold import soft_threshold

            return lambda rows: soft_threshold(products(rows, atoms, self.label), self.alpha, positive=self.positive)
        # in float64, as products in float32 do not tell atoms apart that are nearly the same
        wide = atoms.astype(np.float64, copy=False)
        gram = products(wide, wide, self.label)

        def solve(rows: np.ndarray) -> np.ndarray:
            from skrep.solvers.lasso import lasso
            from skrep.solvers.omp import omp

            correlations = products(rows.astype(np.float64, copy=False), wide, self.label)
            if algorithm == "lasso":
                codes = lasso(gram, correlations, self.alpha, atoms.shape[1], positive=self.positive)
            else:
                codes = omp(gram, correlations, n_nonzero)
            with np.errstate(over="ignore"):
                codes = codes.astype(rows.dtype, copy=False)
            return _finite(codes, self.label)

        return solve

    def _on_device(self, atoms: np.ndarray, algorithm: str, n_nonzero: int, rows: np.ndarray) -> np.ndarray:
        from skrep.solvers.on_device import lasso_on_device, omp_on_device, threshold_on_device

        dtype = torch.float32 if self.device.type == "mps" else None  # which has no float64
        x, d = (torch.tensor(array, device=self.device, dtype=dtype) for array in (rows, atoms))
        if algorithm == "threshold":
            codes = threshold_on_device(x, d, self.alpha, positive=self.positive)
        elif algorithm == "lasso":
            codes, n_open = lasso_on_device(x, d, self.alpha, positive=self.positive)
            if n_open:
                warnings.warn(
                    f"{self.label}: the codes of {n_open} rows of {len(rows)} are not optimal yet (a duality "
                    "gap above 1e-5). Atoms that are nearly the same, or a small alpha, are slow on this device; "
                    "device='cpu' solves exactly.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        else:
            codes = omp_on_device(x, d, n_nonzero)
        result: np.ndarray = codes.cpu().numpy().astype(rows.dtype, copy=False)
        return result


def products(rows: np.ndarray, atoms: np.ndarray, label: str) -> np.ndarray:
    """Inner products, (n_rows, n_atoms); `label` is what errors call the coder."""
    with np.errstate(over="ignore", invalid="ignore"):
        return _finite(rows @ atoms.T, label)


def _finite(values: np.ndarray, label: str) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):
        finite = math.isfinite(values.sum())  # the quicker look, whose sum may itself overflow
    if not finite and not np.isfinite(values).all():
        raise ValueError(too_large(label))
    return values


def objective(rows: np.ndarray, codes: np.ndarray, atoms: np.ndarray, alpha: float) -> float:
    """Sum over rows of ``1/2 ||x - z D||^2 + alpha ||z||_1``."""
    from skrep.solvers.dictionary import squared_misfit

    misfit = float(squared_misfit(codes, rows, atoms).sum())
    return misfit / 2 + (alpha * float(np.abs(codes).sum()) if alpha else 0.0)


def too_large(label: str) -> str:
    """What is said where sums of squares overflow."""
    return (
        f"{label}: X, or the dictionary, holds values so large that sums of their squares overflow. "
        "Rescale it first, for example with sklearn.preprocessing.StandardScaler."
    )
