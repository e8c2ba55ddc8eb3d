"""Rows of numbers for closed forms and solvers: float32 or float64, a chunk at a time."""

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

from skrep.data.sources import CHUNK_BYTES, Source, is_memory_mapped
from skrep.data.sparse_rows import dense, with_values
from skrep.data.validation import check_table, read_dataset

__all__ = ["Matrix", "read_matrix"]


class Matrix:
    """A matrix that is read by rows, in scikit-learn's dtype: float32 stays float32, all else becomes float64.

    Parameters
    ----------
    rows : ndarray, csr_array or Source
        Checked by :func:`read_matrix`; sparse rows are made dense a chunk at a time.
    name : str
        The estimator, for messages.

    Attributes
    ----------
    shape : tuple of (int, int)
        Rows and columns.
    dtype : dtype
        Of the chunks.
    """

    def __init__(self, rows: Any, name: str):
        n_rows = len(rows) if isinstance(rows, Source) else rows.shape[0]
        self.shape: tuple[int, int] = (n_rows, rows.shape[-1])
        single = isinstance(rows, Source) or rows.dtype == np.float32  # Datasets are read as float32
        self.dtype = np.dtype(np.float32 if single else np.float64)
        if issparse(rows):
            rows = with_values(rows, rows.data.astype(self.dtype, copy=False))
        self._rows, self._name = rows, name
        self._mapped = is_memory_mapped(rows)

    def __len__(self) -> int:
        return self.shape[0]

    def chunk(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop`, finite, in C order; not to be written to.

        Raises
        ------
        ValueError
            If a memory-mapped file holds NaN or infinity there: what is in memory was looked at before.
        """
        if isinstance(self._rows, Source):
            return self._rows.chunk(start, stop).to(torch.float32).numpy()
        return self._read(slice(start, stop))

    def take(self, index: np.ndarray) -> np.ndarray:
        """The rows at `index`, as :meth:`chunk` returns them."""
        if isinstance(self._rows, Source):
            rows: np.ndarray = self._rows.take(torch.from_numpy(index), torch.device("cpu")).numpy()
            return rows
        return self._read(index)

    def _read(self, selection: Any) -> np.ndarray:
        assert not isinstance(self._rows, Source)
        rows = np.ascontiguousarray(dense(self._rows[selection]), dtype=self.dtype)
        if self._mapped:
            finite = np.isfinite(rows).all(1)
            if not finite.all():
                bad = int(np.arange(len(self))[selection][finite.argmin()])
                raise ValueError(f"Input X contains NaN or infinity in row {bad}. {self._name} needs finite numbers.")
            if np.may_share_memory(rows, self._rows):
                rows = rows.copy()
            _forget(self._rows)
        return rows

    def chunks(self, rows: int | None = None) -> Iterator[np.ndarray]:
        """All rows in order, `rows` at a time (None: about 64 MiB of float64)."""
        rows = rows or self._chunk_rows()
        for start in range(0, len(self), rows):
            yield self.chunk(start, min(start + rows, len(self)))

    def shuffled(self, rows: int, random: np.random.RandomState) -> Iterator[np.ndarray]:
        """All rows in random order, `rows` at a time.

        What is not in memory is read in blocks of about 64 MiB of float64: blocks come in random order, and rows are
        shuffled inside each.
        """
        if not isinstance(self._rows, Source) and not self._mapped:
            order = random.permutation(len(self))
            for first in range(0, len(self), rows):
                yield self.take(order[first : first + rows])
            return
        size = max(rows, self._chunk_rows())
        for start in size * random.permutation(-(-len(self) // size)):
            block = self.chunk(start, min(start + size, len(self)))
            order = random.permutation(len(block))
            for first in range(0, len(block), rows):
                yield block[order[first : first + rows]]

    def _chunk_rows(self) -> int:
        return max(1, CHUNK_BYTES // (8 * max(1, self.shape[1])))


def _forget(array: Any) -> None:
    """Let go of the pages of a file that were read: they would count as this process's memory until others need it."""
    while isinstance(array, np.ndarray):
        # pages of a copy-on-write map may hold what is in no file
        if isinstance(array, np.memmap) and array.mode != "c" and isinstance(array.base, mmap.mmap):
            if hasattr(mmap, "MADV_DONTNEED"):
                array.base.madvise(mmap.MADV_DONTNEED)
            return
        array = array.base


def read_matrix(estimator: Any, X: Any, *, reset: bool, min_samples: int = 1) -> Matrix:
    """Validate a table and return it as a matrix; memory-mapped files and Datasets are not read yet.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set (`reset`) or compared with those of `X`.
    X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
        Finite numbers.
    reset : bool
        True in ``fit`` and the first ``partial_fit``.
    min_samples : int, default=1
        Rows needed.

    Returns
    -------
    Matrix

    Raises
    ------
    ValueError, TypeError
        One message with what was got, what was expected and the fix.
    """
    name = type(estimator).__name__
    if isinstance(X, torch.utils.data.Dataset):
        return Matrix(read_dataset(estimator, X, reset=reset), name)
    finite = not is_memory_mapped(X)  # a file is looked at chunk by chunk, as it is read
    return Matrix(
        check_table(estimator, X, reset=reset, ensure_min_samples=min_samples, ensure_all_finite=finite), name
    )
