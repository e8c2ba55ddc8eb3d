"""Rows as PCA takes them in: at once or in chunks, from arrays, sparse matrices, files and tensors on a device."""

from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn import get_config
from sklearn.utils.validation import validate_data
from torch import Tensor

from skrep.data import read_matrix
from skrep.data.sources import CHUNK_BYTES, is_memory_mapped, tensor_to_array
from skrep.solvers.scatter import Scatter, scatter_of, scatter_of_sparse, scatter_of_tensor, tensor_dtype

__all__ = [
    "as_array",
    "chunk_rows",
    "grows_in_memory",
    "is_on_device",
    "project",
    "read_scatter",
    "read_tensor",
    "takes_chunks",
]

# Values in a chunk: few enough for a processor's cache, and enough rows that sums of products take little of the time.
FEW_VALUES, MANY_VALUES, ROWS_PER_COLUMN, MANY_ROWS = 2**18, 2**22, 5, 1024


def as_array(X: Any) -> Any:
    """Tensors on the CPU as arrays, unless scikit-learn is told to work on tensors."""
    if not isinstance(X, Tensor) or is_on_device(X) or get_config()["array_api_dispatch"]:
        return X
    return tensor_to_array(X)


def is_on_device(X: Any) -> bool:
    """Whether X is a tensor that is computed with where it is."""
    return isinstance(X, Tensor) and X.device.type != "cpu" and not get_config()["array_api_dispatch"]


def grows_in_memory(X: Any) -> bool:
    """Whether X would take much more memory as an array of floats than it takes now."""
    if isinstance(X, torch.utils.data.Dataset) or is_memory_mapped(X):
        return True
    floats = (np.float32, np.float64)
    return isinstance(X, np.ndarray) and X.dtype.kind in "buif" and X.dtype not in floats and 8 * X.size > CHUNK_BYTES


def takes_chunks(X: Any, batch_size: int | None, svd_solver: str) -> bool:
    """Whether ``fit`` reads X in chunks."""
    if batch_size is not None or isinstance(X, torch.utils.data.Dataset) or is_on_device(X):
        return True
    if svd_solver not in ("auto", "covariance_eigh") or not grows_in_memory(X):
        return False
    return bool(X.ndim == 2 and X.shape[0] >= X.shape[1])


def chunk_rows(n_features: int) -> int:
    """Rows in a chunk."""
    values = min(max(FEW_VALUES, ROWS_PER_COLUMN * n_features**2), MANY_VALUES)
    return max(MANY_ROWS, values // max(1, n_features))


def read_scatter(estimator: Any, X: Any, batch_size: int | None, *, reset: bool) -> tuple[Scatter, np.dtype]:
    """The scatter matrix of X alone, and in which type its rows are."""
    if issparse(X):
        X = validate_data(estimator, X, reset=reset, accept_sparse="csr", dtype=[np.float64, np.float32])
        n, n_features = X.shape
        rows = batch_size or n
        read, dtype = scatter_of_sparse((X[i : i + rows] for i in range(0, n, rows)), n_features), X.dtype
    elif is_on_device(X):
        X = read_tensor(estimator, X, reset=reset)
        n_features = X.shape[1]
        read = scatter_of_tensor(X, batch_size or chunk_rows(n_features))
        dtype = np.dtype(str(tensor_dtype(X)).removeprefix("torch."))
    else:
        matrix = read_matrix(estimator, X, reset=reset)
        n_features = matrix.shape[1]
        chunks = matrix.chunks(batch_size or chunk_rows(n_features))
        read, dtype = scatter_of(chunks, n_features), matrix.dtype
    return read, dtype


def read_tensor(estimator: Any, X: Tensor, *, reset: bool) -> Tensor:
    """A tensor that stays on its device, once its columns are those of the estimator."""
    first = X.detach()[:1].cpu() if X.ndim == 2 else X  # enough to check the columns
    read_matrix(estimator, first.double() if first.is_floating_point() else first, reset=reset)
    return X.detach()


def project(X: Tensor, mean: np.ndarray, components: np.ndarray, variances: np.ndarray, *, whiten: bool) -> np.ndarray:
    """Features of a tensor, computed on its device."""
    dtype = tensor_dtype(X)
    scale = np.sqrt(variances) if whiten else np.ones_like(variances)
    scale = np.maximum(scale, np.finfo(scale.dtype).eps)  # as scikit-learn does for arrays
    axes = torch.from_numpy(components.T / scale).to(dtype).to(X.device)
    centre = torch.from_numpy(mean).to(dtype).to(X.device)
    return np.concatenate(
        [((rows.to(dtype) - centre) @ axes).cpu().numpy() for rows in X.split(chunk_rows(X.shape[1]))]
    )
