"""Sparse rows, such as one-hot columns: kept as they come, and made dense a batch at a time."""

from typing import Any

import numpy as np
from scipy.sparse import csr_array, issparse
from torch import Tensor

from skrep.data.sources import ArraySource

__all__ = ["SparseSource", "dense", "in_rows", "with_values"]


class SparseSource(ArraySource):
    """Rows of a sparse matrix in memory, which give the same batches as the dense array of the same numbers.

    Where all rows, dense, fit into the share of a GPU's memory that data may take, ``kept_on`` moves them there so.

    Parameters
    ----------
    rows : csr_array of shape (n_samples, n_features)
        As :func:`in_rows` and :func:`with_values` make it; never written to, and not copied.
    """

    def __init__(self, rows: csr_array):
        self._array, self._rows = rows, None
        self.n_samples, self.shape = rows.shape[0], (rows.shape[1],)

    def _gather(self, rows: Tensor | slice) -> np.ndarray:
        return dense(self._array[rows.numpy() if isinstance(rows, Tensor) else rows])

    def range(self) -> tuple[float, float]:
        if self._whole is None and self._range is None and issparse(self._array):
            self._range = float(self._array.min()), float(self._array.max())
        return super().range()


def in_rows(X: Any) -> Any:
    """A sparse matrix as CSR, each entry once; X itself where it is that, and never changed."""
    if X.ndim != 2:
        return X  # scikit-learn's check says what is wrong
    rows = X.asformat("csr")
    if not rows.has_canonical_format:  # values are looked at one by one, not as sums
        rows = rows.copy()
        rows.sum_duplicates()
    return rows


def with_values(X: Any, values: np.ndarray) -> csr_array:
    """A CSR matrix with other values, (n_values,), at the same positions, which are shared."""
    return csr_array((values, X.indices, X.indptr), shape=X.shape)


def dense(rows: Any) -> np.ndarray:
    """The numbers of a few sparse rows as an array; an array as it is."""
    array: np.ndarray = rows.toarray() if issparse(rows) else rows
    return array
