"""The soft threshold, the lasso and orthogonal matching pursuit in torch, for many rows at once on a GPU."""

import torch
from torch import Tensor, nn

__all__ = ["lasso_on_device", "omp_on_device", "threshold_on_device"]

# Of what the pursuit keeps for some rows at a time.
BASIS_BYTES = 2**28


def threshold_on_device(rows: Tensor, atoms: Tensor, alpha: float, *, positive: bool) -> Tensor:
    """Codes by a soft threshold on inner products, of shape (n_rows, n_atoms)."""
    return _soft(rows @ atoms.T, alpha, positive=positive)


def _soft(values: Tensor, threshold: float, *, positive: bool) -> Tensor:
    return (values - threshold).clamp(min=0) if positive else nn.functional.softshrink(values, threshold)


def lasso_on_device(
    rows: Tensor, atoms: Tensor, alpha: float, *, positive: bool, tol: float = 1e-5, max_iter: int = 5000
) -> tuple[Tensor, int]:
    """Sparse codes by FISTA (Beck & Teboulle 2009) with adaptive restart (O'Donoghue & Candes 2015).

    Parameters
    ----------
    rows : Tensor of shape (n_rows, n_features)
        What to code.
    atoms : Tensor of shape (n_atoms, n_features)
        The dictionary.
    alpha : float
        Weight of the L1 norm.
    positive : bool
        Whether coefficients must not be negative.
    tol : float, default=1e-5
        A row is done when its duality gap is below `tol` times its objective at zero, ``||x||^2 / 2``.
    max_iter : int, default=5000
        Iterations.

    Returns
    -------
    codes : Tensor of shape (n_rows, n_atoms)
        Codes.
    n_open : int
        Rows whose gap was still larger after `max_iter` iterations.
    """
    gram = atoms @ atoms.T
    lipschitz = torch.linalg.matrix_norm(gram, ord=2).clamp(min=torch.finfo(gram.dtype).tiny)
    correlations = rows @ atoms.T
    squares = rows.square().sum(1)
    codes = torch.zeros_like(correlations)
    open_rows = torch.arange(len(rows), device=rows.device)
    q, z = correlations, codes.clone()
    y, momentum = z, torch.ones(len(z), 1, device=z.device, dtype=z.dtype)
    for iteration in range(1, max_iter + 1):
        step = y + (q - y @ gram) / lipschitz
        new = _soft(step, float(alpha / lipschitz), positive=positive)
        uphill = ((y - new) * (new - z)).sum(1, keepdim=True) > 0
        momentum = torch.where(uphill, torch.ones_like(momentum), momentum)
        following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        y = new + (momentum - 1) / following * (new - z)
        z, momentum = new, following
        if iteration % 20 == 0 or iteration == max_iter:
            codes[open_rows] = z
            left = duality_gap(q, z, gram, squares[open_rows], alpha, positive=positive) > tol * squares[open_rows] / 2
            if not bool(left.any()):
                return codes, 0
            open_rows, q, z, y, momentum = open_rows[left], q[left], z[left], y[left], momentum[left]
    return codes, len(open_rows)


def duality_gap(
    correlations: Tensor, codes: Tensor, gram: Tensor, squares: Tensor, alpha: float, *, positive: bool
) -> Tensor:
    """What each row's objective is above the minimum, at most: (n_rows,)."""
    of_residual = correlations - codes @ gram  # (n_rows, n_atoms): inner products of atoms and residual
    qz = (correlations * codes).sum(1)
    residual = (squares - qz - (of_residual * codes).sum(1)).clamp(min=0)  # its squared norm
    primal = residual / 2 + alpha * codes.abs().sum(1)
    largest = of_residual.amax(1) if positive else of_residual.abs().amax(1)
    scale = (alpha / largest.clamp(min=alpha)).clamp(max=1)  # of the residual, to make it feasible in the dual
    return primal - (scale * (squares - qz) - scale.square() * residual / 2)


def omp_on_device(rows: Tensor, atoms: Tensor, n_nonzero_coefs: int) -> Tensor:
    """Codes by Batch-OMP (Rubinstein, Zibulevsky & Elad 2008), all rows in step.

    Parameters
    ----------
    rows : Tensor of shape (n_rows, n_features)
        What to code.
    atoms : Tensor of shape (n_atoms, n_features)
        The dictionary.
    n_nonzero_coefs : int
        Atoms for each row, at most: a row whose residual is zero, or has no independent atom left, takes no more.

    Returns
    -------
    Tensor of shape (n_rows, n_atoms)
        Codes.
    """
    gram = atoms @ atoms.T
    each_bytes = n_nonzero_coefs * len(atoms) * gram.element_size()
    return torch.cat(
        [_omp(gram, some @ atoms.T, n_nonzero_coefs) for some in rows.split(BASIS_BYTES // each_bytes + 1)]
    )


def _omp(gram: Tensor, residual: Tensor, n_nonzero_coefs: int) -> Tensor:
    """The pursuit, from inner products of atoms and rows (n, k), which become those of atoms and residual."""
    n, k = residual.shape
    least = 64 * torch.finfo(gram.dtype).eps
    floor = least * residual.abs().amax(1)
    each = torch.arange(n, device=gram.device)
    basis = residual.new_zeros(n, n_nonzero_coefs, k)  # inner products of atoms and an orthonormal basis of the taken
    factor = torch.eye(n_nonzero_coefs, device=gram.device, dtype=gram.dtype).repeat(n, 1, 1)  # (n, t, t)
    weight = residual.new_zeros(n, n_nonzero_coefs)
    taken = torch.zeros(n, n_nonzero_coefs, dtype=torch.int64, device=gram.device)
    going = torch.ones(n, dtype=torch.bool, device=gram.device)
    for t in range(n_nonzero_coefs):
        largest, j = residual.abs().max(1)
        share = basis[each, :t, j]  # (n, t)
        norm = gram[j, j]
        rest = norm - share.square().sum(1)
        going = going & (largest > floor) & (rest > least * norm)
        pivot = torch.where(going, rest, 1).sqrt()
        row = (gram[j] - torch.einsum("nt,ntk->nk", share, basis[:, :t])) / pivot[:, None] * going[:, None]
        step = residual[each, j] / pivot * going
        residual = residual - step[:, None] * row
        basis[:, t], weight[:, t], taken[:, t] = row, step, j
        factor[:, t, :t] = share * going[:, None]
        factor[:, t, t] = pivot
    values = torch.linalg.solve_triangular(factor.mT, weight[:, :, None], upper=True)[:, :, 0]
    return torch.zeros_like(residual).scatter_add_(1, taken, values)  # steps not taken add zeros
