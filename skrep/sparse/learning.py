"""A dictionary that follows rows: statistics of their codes, atoms that fit them, and atoms that are replaced."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from skrep.data import Matrix
from skrep.sparse.coding import Coding, objective, too_large

__all__ = ["DictionaryLearning", "first_atoms"]

# How fast old statistics are forgotten: the exponent rho of Mairal et al. (2009, section 3.4.1).
FORGETTING = 5.0

# An atom is replaced if its squared coefficients are on average this small a part of an average atom's.
UNUSED = 1e-2

# Two atoms are the same if their inner product is larger.
SAME = 0.95

# Updates after which atoms are looked at, in online learning.
REPLACE_EVERY = 10

# Of block coordinate descent on the atoms, where they are updated only once a pass.
ROUNDS = 10


@dataclass
class DictionaryLearning:
    """Atoms, and how far they have been learned.

    Attributes
    ----------
    atoms : ndarray of shape (n_atoms, n_features)
        The dictionary, changed in place.
    A, B : ndarray of shape (n_atoms, n_atoms) and (n_atoms, n_features), float64
        Statistics of codes, and of codes with rows, changed in place.
    n_seen, n_steps, n_passes : int
        Rows so far, updates of the atoms, and passes over the rows.
    history : list of dict
        The mean objective of each pass.
    coding : Coding
        How rows are coded.
    algorithm : {"lasso", "omp", "omp1"}
        By what.
    positive : bool
        Whether atoms must not be negative.
    verbose : int
        Whether the objective is printed after each pass.
    """

    atoms: np.ndarray
    A: np.ndarray
    B: np.ndarray
    n_seen: int
    n_steps: int
    n_passes: int
    history: list[dict[str, float]]
    coding: Coding
    algorithm: str
    positive: bool
    verbose: int

    def one_pass(self, batches: Iterator[np.ndarray], memory: float = math.inf) -> float:
        """Atoms follow each batch; statistics are averages that forget (section 3.4.1).

        They reach back over `memory` rows at most: in ``fit`` a pass, as older codes are those of other atoms.
        """
        total, n_rows = 0.0, 0
        for rows in batches:
            codes = self.coding.solver(self.atoms, self.algorithm)(rows)
            total += self._loss(rows, codes)
            n_rows += len(rows)
            self.n_seen += len(rows)
            weight = min(1.0, max(1 - (1 - len(rows) / self.n_seen) ** FORGETTING, len(rows) / memory))
            self.A *= 1 - weight
            self.B *= 1 - weight
            self._add_statistics(rows, codes, weight / len(rows))
            self._update_atoms(1)
            if self.n_steps % REPLACE_EVERY == 0:
                self.replace_atoms(rows, codes)
        return self._end_pass(total / n_rows)

    def one_round(self, chunks: Iterator[np.ndarray]) -> float:
        """Atoms follow all rows at once."""
        self.A[:], self.B[:] = 0, 0
        solve = self.coding.solver(self.atoms, self.algorithm)
        total, n_rows = 0.0, 0
        for rows in chunks:
            codes = solve(rows)
            total += self._loss(rows, codes)
            n_rows += len(rows)
            self._add_statistics(rows, codes, 1.0)
        self.A /= n_rows
        self.B /= n_rows
        self._update_atoms(ROUNDS)
        self.replace_atoms(rows, codes)  # the last chunk is one of random rows
        return self._end_pass(total / n_rows)

    def _loss(self, rows: np.ndarray, codes: np.ndarray) -> float:
        return objective(rows, codes, self.atoms, self.coding.alpha if self.algorithm == "lasso" else 0.0)

    def _add_statistics(self, rows: np.ndarray, codes: np.ndarray, weight: float) -> None:
        from skrep.solvers.dictionary import add_statistics

        add_statistics(codes, rows, self.A, self.B, weight)

    def _update_atoms(self, n_rounds: int) -> None:
        from skrep.solvers.dictionary import update_atoms

        for _ in range(n_rounds):
            update_atoms(self.atoms, self.A, self.B, positive=self.positive)
        self.n_steps += 1

    def replace_atoms(self, rows: np.ndarray, codes: np.ndarray) -> None:
        """Put the rows that are coded worst in the place of atoms that are of no use."""
        from skrep.solvers.dictionary import squared_misfit

        atoms = self.atoms
        use = np.diag(self.A)
        alike = np.triu(np.abs(atoms @ atoms.T) > SAME, 1).any(0)  # to an earlier atom
        useless = np.flatnonzero((use < UNUSED * use.mean()) | alike)
        misfit = squared_misfit(codes, rows, atoms)
        worst = np.argsort(-misfit, kind="stable")[: len(useless)]
        worst = worst[misfit[worst] > 0]
        useless = useless[: len(worst)]
        atoms[useless] = _unit(rows[worst], positive=self.positive)
        self.A[useless], self.A[:, useless], self.B[useless] = 0, 0, 0

    def _end_pass(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise ValueError(too_large(self.coding.label))
        self.n_passes += 1
        self.history = [*self.history, {"epoch": self.n_passes, "train_loss": loss}]
        if self.verbose:
            print(f"[{self.coding.label}] pass {self.n_passes}, objective {loss:.6g}")
        return loss


def first_atoms(data: Matrix, n_atoms: int, random: np.random.RandomState, *, positive: bool) -> np.ndarray:
    """Rows at random, and random directions where there are too few rows."""
    index = random.permutation(len(data))[:n_atoms]
    atoms = random.standard_normal((n_atoms, data.shape[1])).astype(data.dtype)
    rows = data.take(np.sort(index))
    useful = np.flatnonzero(rows.any(1))
    atoms[useful] = rows[useful]
    return _unit(atoms, positive=positive)


def _unit(atoms: np.ndarray, *, positive: bool) -> np.ndarray:
    """Each row scaled to unit norm, by way of its largest value so that no square overflows."""
    if positive:
        atoms = np.abs(atoms)
    atoms = atoms / np.abs(atoms).max(1, keepdims=True)
    unit: np.ndarray = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    return unit
