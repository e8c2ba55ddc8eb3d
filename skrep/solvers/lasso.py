"""The lasso on a Gram matrix by feature-sign search (Lee, Battle, Raina & Ng 2007, Algorithm 1): exact, row by row.

For a row x and atoms D it minimises ``1/2 ||x - z D||^2 + alpha ||z||_1`` over z. Atoms that are in use form the active
set, whose signs are known, so that its coefficients solve a linear system; the Cholesky factor of that system grows
by a row with each atom. A coefficient that would change its sign stops at zero and leaves the set. The search ends when
no other atom's correlation with the residual exceeds alpha, which is the lasso's optimality condition.
"""

import math
from typing import Any

import numpy as np

from skrep.solvers.compiled import EPSILON, compiled, in_threads

__all__ = ["lasso"]

# A search that ends with an atom's correlation so far above alpha (for correlations of size one) has lost its way among
# atoms that are nearly the same. Coordinate descent, in so many sweeps, then goes on.
LOST, SWEEPS = 1e-9, 1000


def lasso(gram: np.ndarray, correlations: np.ndarray, alpha: float, n_features: int, *, positive: bool) -> np.ndarray:
    """Sparse codes of many rows.

    Parameters
    ----------
    gram : ndarray of shape (n_atoms, n_atoms), float64
        Inner products of the atoms, which need not have unit norm: ``D @ D.T``. Rounded to float32 they would not tell
        atoms apart that are nearly the same.
    correlations : ndarray of shape (n_rows, n_atoms), float64
        Inner products of rows and atoms, ``X @ D.T``.
    alpha : float
        Weight of the L1 norm, above zero.
    n_features : int
        Length of an atom: more atoms are never independent, nor used at once.
    positive : bool
        Whether coefficients must not be negative.

    Returns
    -------
    ndarray of shape (n_rows, n_atoms), float64
        Codes, exact up to rounding. Where atoms depend on each other the minimiser is not unique; one that uses
        independent atoms is returned.
    """
    codes = np.zeros_like(correlations)
    limit = min(gram.shape[0], n_features)
    in_threads(lambda rows: _lasso(gram, correlations[rows], alpha, limit, positive, codes[rows]), len(codes))
    return codes


@compiled
def _lasso(gram: Any, correlations: Any, alpha: Any, limit: int, positive: bool, codes: Any) -> None:
    n_rows, n_atoms = correlations.shape
    gradient = np.empty(n_atoms)
    is_active = np.zeros(n_atoms, np.bool_)
    size = limit + 1
    factor = np.zeros((size, size))  # lower triangle, of the active atoms' Gram matrix
    active = np.empty(size, np.int64)
    sign, code, solution = np.empty(size), np.empty(size), np.empty(size)
    for i in range(n_rows):
        q = correlations[i]
        m = 0  # atoms in the active set
        largest = 0.0
        for k in range(n_atoms):
            gradient[k] = q[k]
            largest = max(largest, abs(q[k]))
        scale = alpha + largest
        threshold = alpha + 64 * EPSILON * scale  # alpha, and what rounding may add
        for _ in range(50 * size):  # a bound on what rounding could do; a search takes about as many steps as atoms
            # the atom whose correlation with the residual is largest
            largest = 0.0
            if positive:
                for k in range(n_atoms):
                    largest = max(largest, gradient[k])
            else:
                for k in range(n_atoms):
                    largest = max(largest, abs(gradient[k]))
            if largest <= threshold:
                break
            j = 0
            while abs(gradient[j]) != largest or (positive and gradient[j] < 0):
                j += 1
            if is_active[j]:
                break  # no progress that rounding would show
            active[m], code[m], sign[m] = j, 0.0, math.copysign(alpha, gradient[j])
            is_active[j] = True
            _extend(factor, gram, active, m)
            if m == limit or factor[m, m] <= _least_pivot(gram[j, j]):
                m = _exchange(factor, gram, active, sign, code, solution, is_active, m)
            else:
                m += 1
            while True:
                _solve(factor, q, active, sign, solution, m)
                # go there, or to the first coefficient on the way that becomes zero
                step, first = 1.0, -1
                for a in range(m):
                    if solution[a] * sign[a] < 0:
                        share = code[a] / (code[a] - solution[a])
                        if share < step:
                            step, first = share, a
                for a in range(m):
                    code[a] += step * (solution[a] - code[a])
                if first < 0:
                    break
                m = _remove(factor, gram, active, sign, code, is_active, first, m)
            for k in range(n_atoms):
                gradient[k] = q[k]
            for a in range(m):
                row = gram[active[a]]
                for k in range(n_atoms):
                    gradient[k] -= code[a] * row[k]
        lost = largest > alpha + LOST * scale
        for a in range(m):
            codes[i, active[a]] = code[a]
            is_active[active[a]] = False
            lost = lost or not math.isfinite(code[a])
        if lost:
            _descend(gram, q, alpha, positive, codes[i], gradient)


@compiled
def _least_pivot(norm: float) -> float:
    """Below it, an atom of this squared norm counts as a combination of others."""
    return math.sqrt(64 * EPSILON * norm)


@compiled
def _extend(factor: Any, gram: Any, active: Any, m: int) -> None:
    """Row m of the Cholesky factor, for the atom at place m."""
    j = active[m]
    rest = gram[j, j]
    for a in range(m):
        value = gram[j, active[a]]
        for b in range(a):
            value -= factor[a, b] * factor[m, b]
        value /= factor[a, a]
        factor[m, a] = value
        rest -= value * value
    factor[m, m] = max(math.sqrt(max(rest, 0)), _least_pivot(gram[j, j]))


@compiled
def _solve(factor: Any, q: Any, active: Any, sign: Any, solution: Any, m: int) -> None:
    """The minimiser for fixed signs: gram_active @ solution = q_active - sign."""
    for a in range(m):
        value = q[active[a]] - sign[a]
        for b in range(a):
            value -= factor[a, b] * solution[b]
        solution[a] = value / factor[a, a]
    _substitute_back(factor, solution, m)


@compiled
def _substitute_back(factor: Any, solution: Any, m: int) -> None:
    """Solve factor.T @ x = solution, in place."""
    for a in range(m - 1, -1, -1):
        value = solution[a] / factor[a, a]
        solution[a] = value
        for b in range(a):
            solution[b] -= factor[a, b] * value


@compiled
def _remove(factor: Any, gram: Any, active: Any, sign: Any, code: Any, is_active: Any, place: int, m: int) -> int:
    """Take an atom out of the set; returns the size that is left."""
    is_active[active[place]] = False
    for a in range(place, m - 1):
        active[a], sign[a], code[a] = active[a + 1], sign[a + 1], code[a + 1]
        _extend(factor, gram, active, a)
    return m - 1


@compiled
def _exchange(factor: Any, gram: Any, active: Any, sign: Any, code: Any, solution: Any, is_active: Any, m: int) -> int:
    """Let the atom at place m, a combination of the others, grow at their expense until it has replaced one.

    The product z D stays as it is, and the L1 norm falls: the atom's correlation with the residual is above alpha.
    """
    j = active[m]
    for a in range(m):
        solution[a] = factor[m, a]
    _substitute_back(factor, solution, m)  # its coefficients in the others
    direction = 1.0 if sign[m] > 0 else -1.0
    step, first = np.inf, -1
    for a in range(m):
        if solution[a] * direction * sign[a] > 0:
            until_zero = code[a] / (solution[a] * direction)
            if until_zero < step:
                step, first = until_zero, a
    if first < 0:  # only by rounding: it is no improvement
        is_active[j] = False
        return m
    for a in range(m):
        code[a] -= step * direction * solution[a]
    code[m] = step * direction
    left: int = _remove(factor, gram, active, sign, code, is_active, first, m + 1)
    return left


@compiled
def _descend(gram: Any, q: Any, alpha: float, positive: bool, code: Any, gradient: Any) -> None:
    """Coordinate descent from a code, which rounding kept from being optimal, or from zero if that is better."""
    n_atoms = len(q)
    value = 0.0  # of the objective, above that of zero
    for k in range(n_atoms):
        gradient[k] = q[k]
    for j in range(n_atoms):
        if code[j] != 0:
            for k in range(n_atoms):
                gradient[k] -= code[j] * gram[j, k]
    for k in range(n_atoms):
        value += alpha * abs(code[k]) - 0.5 * code[k] * (q[k] + gradient[k])
    if not value <= 0:  # NaN as well
        for k in range(n_atoms):
            code[k], gradient[k] = 0.0, q[k]
    for _ in range(SWEEPS):
        largest = 0.0  # gain in the objective, about
        for j in range(n_atoms):
            norm = gram[j, j]
            if norm <= 0:
                continue
            aim = gradient[j] + norm * code[j]
            low = -np.inf if positive else -alpha
            new = (aim - min(max(aim, low), alpha)) / norm
            if positive:
                new = max(new, 0.0)
            step = new - code[j]
            if step != 0:
                code[j] = new
                for k in range(n_atoms):
                    gradient[k] -= step * gram[j, k]
                largest = max(largest, norm * step * step)
        if largest <= EPSILON * alpha * alpha:
            return
