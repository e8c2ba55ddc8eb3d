"""Mean and scatter matrix of rows that come in parts, and its leading eigenvectors."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import torch
from scipy.sparse.linalg import ArpackError, eigsh
from torch import Tensor

__all__ = ["Scatter", "leading_eigenpairs", "scatter_of", "scatter_of_sparse", "scatter_of_tensor", "tensor_dtype"]


@dataclass
class Scatter:
    """What principal axes are found from; it has the same size however many rows were seen.

    Attributes
    ----------
    n : int
        Number of rows.
    mean : ndarray of shape (n_features,), float64
        Their mean.
    matrix : ndarray of shape (n_features, n_features), float64
        Sum over the rows of (x - mean)(x - mean)^T.
    """

    n: int
    mean: np.ndarray
    matrix: np.ndarray

    @classmethod
    def empty(cls, n_features: int) -> "Scatter":
        """Of no rows."""
        return cls(0, np.zeros(n_features), np.zeros((n_features, n_features)))

    def add(self, n: int, mean: np.ndarray, matrix: np.ndarray, about: np.ndarray | None = None) -> None:
        """Count in more rows, in place, by the formula of Chan, Golub & LeVeque (1983).

        Parameters
        ----------
        n, mean, matrix
            Theirs.
        about : ndarray of shape (n_features,) or None
            `matrix` is the sum of (x - c)(x - c)^T for c = mean - about; None: about the mean.

        Raises
        ------
        OverflowError
            If a sum is too large for its type; nothing is changed then.
        """
        total = self.n + n
        step = mean - self.mean
        about = np.zeros_like(step) if about is None else about
        left = np.stack([step * (self.n * n / total), -n * about], axis=1)  # (n_features, 2)
        right = np.stack([step, about])  # (2, n_features)
        # no entry of a scatter matrix is larger than the largest on its diagonal
        diagonal = self.matrix.diagonal() + matrix.diagonal() + np.einsum("ir,ri->i", left, right)
        if not np.isfinite(diagonal).all():
            raise OverflowError("sums of squares overflow")
        for start in range(0, len(step), 256):  # the outer products are never held as a whole
            rows = slice(start, start + 256)
            self.matrix[rows] += matrix[rows]
            self.matrix[rows] += left[rows] @ right
        self.mean = self.mean + step * (n / total)
        self.n = total


def scatter_of(chunks: Iterable[np.ndarray], n_features: int) -> Scatter:
    """The scatter matrix of all rows of some chunks of floats.

    Products of a chunk's rows, centred by their own mean, are computed in the chunk's type and summed in float64.

    Raises
    ------
    OverflowError
        If squares are too large for the type.
    """
    total = Scatter.empty(n_features)
    centred = product = np.empty(0)
    for chunk in chunks:
        n, dtype = len(chunk), chunk.dtype
        if len(centred) < n or centred.dtype != dtype:  # fresh memory for each chunk would cost a tenth of the time
            centred, product = np.empty_like(chunk), np.empty((n_features, n_features), dtype)
        mean_of = np.full(n, 1 / n, dtype)
        centre = mean_of @ chunk
        rows = np.subtract(chunk, centre, out=centred[:n])
        rest = (mean_of @ rows).astype(np.float64)  # what rounding left of the mean
        total.add(n, centre + rest, np.matmul(rows.T, rows, out=product), about=rest)
    return total


def scatter_of_sparse(chunks: Iterable, n_features: int) -> Scatter:
    """The same of chunks of a SciPy sparse matrix or array, whose rows are never made dense."""
    total = Scatter.empty(n_features)
    for chunk in chunks:
        rows = chunk.astype(np.float64)
        mean = np.asarray(rows.mean(axis=0)).ravel()  # a matrix of one row, of sparse matrices
        total.add(rows.shape[0], mean, (rows.T @ rows).toarray(), about=mean)
    return total


def tensor_dtype(X: Tensor) -> torch.dtype:
    """In which type a tensor is computed with: float32 stays, all else becomes float64, which Apple's MPS lacks."""
    return torch.float32 if X.dtype == torch.float32 or X.device.type == "mps" else torch.float64


def scatter_of_tensor(X: Tensor, chunk_rows: int) -> Scatter:
    """The same of a tensor, on its device; sums of MPS are on the CPU.

    Raises
    ------
    ValueError
        If `X` holds NaN or infinity.
    OverflowError
        If squares are too large for the type.
    """
    dtype = tensor_dtype(X)
    home = torch.device("cpu") if X.device.type == "mps" else X.device

    def wide(values: Tensor) -> Tensor:
        return values.to(home).to(torch.float64)

    n_features = X.shape[1]
    n, mean = 0, torch.zeros(n_features, dtype=torch.float64, device=home)
    matrix = torch.zeros(n_features, n_features, dtype=torch.float64, device=home)
    for chunk in X.detach().split(chunk_rows):
        rows = chunk.to(dtype)
        if not bool(torch.isfinite(rows).all()):
            raise ValueError("Input X contains NaN or infinity.")
        centre = rows.mean(0)
        rows = rows - centre
        rest, total = wide(rows.mean(0)), n + len(rows)
        step = wide(centre) + rest - mean
        matrix += wide(rows.T @ rows)
        matrix.addr_(step, step, alpha=n * len(rows) / total).addr_(rest, rest, alpha=-len(rows))
        mean += step * (len(rows) / total)
        n = total
    if not bool(torch.isfinite(matrix.diagonal()).all()):
        raise OverflowError("sums of squares overflow")
    return Scatter(n, mean.cpu().numpy(), matrix.cpu().numpy())


def leading_eigenpairs(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` largest eigenvalues of a symmetric positive semidefinite matrix, falling, and their eigenvectors.

    Parameters
    ----------
    matrix : ndarray of shape (n, n), float64
        Finite.
    k : int
        From 1 to n.

    Returns
    -------
    values : ndarray of shape (k,)
        What rounding made negative is 0.
    vectors : ndarray of shape (n, k)
        Orthonormal columns.
    """
    n = len(matrix)
    pairs = None
    if n >= 500 and 10 * k <= n:  # Lanczos' iteration is faster for a few of many: 3 times for 50 of 784
        try:
            pairs = eigsh(matrix, k, v0=np.random.default_rng(0).standard_normal(n))
        except ArpackError:  # a matrix of zeros, or no convergence
            pairs = None
    if pairs is None and 2 * k <= n:
        pairs = scipy.linalg.eigh(matrix, subset_by_index=[n - k, n - 1], check_finite=False)
    values, vectors = np.linalg.eigh(matrix) if pairs is None else pairs
    order = np.argsort(values)[::-1][:k]
    return np.maximum(values[order], 0), vectors[:, order]
