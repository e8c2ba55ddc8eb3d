"""Kernels in machine code: how they are compiled, kept and spread over threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch

__all__ = ["EPSILON", "compiled", "in_threads"]

# Rounding of float64, in which kernels compute.
EPSILON = float(np.finfo(np.float64).eps)

# Sums may be reordered into vector instructions; NaN and infinity keep their meaning.
REORDERED = {"reassoc", "contract", "arcp", "nsz"}


def compiled(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call for each dtype, and keep the machine code on disk where that can be."""
    options: dict[str, Any] = {"nogil": True, "fastmath": REORDERED, "error_model": "numpy"}
    made: Callable[..., Any]
    try:
        made = numba.njit(cache=True, **options)(kernel)
    except RuntimeError:  # neither the package's folder nor the user's can be written to
        made = numba.njit(**options)(kernel)
    return made


def in_threads(kernel: Callable[[slice], Any], n_rows: int, rows_each: int = 64) -> None:
    """Call ``kernel(rows)`` for slices of `n_rows`, on as many threads as torch may use.

    A kernel treats each row by itself, so that the number of threads does not change its results. Slices are short,
    because Ctrl-C is only seen between two of them.
    """
    slices = [slice(start, start + rows_each) for start in range(0, n_rows, rows_each)]
    n_threads = min(torch.get_num_threads(), len(slices))
    if n_threads <= 1:
        for rows in slices:
            kernel(rows)
        return
    pool = ThreadPoolExecutor(n_threads)
    try:
        for _ in pool.map(kernel, slices):
            pass
    finally:
        pool.shutdown(cancel_futures=True)
