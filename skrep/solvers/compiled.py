"""Kernels in machine code: how they are compiled, kept and spread over threads."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import torch

__all__ = ["compiled", "in_threads"]

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


def in_threads(kernel: Callable[[slice], Any], n_rows: int, rows_each: int = 64) -> list[Any]:
    """Call ``kernel(rows)`` for slices of `n_rows`, on as many threads as torch may use.

    A kernel treats each row by itself, so that the number of threads does not change its results.
    """
    n_threads = min(torch.get_num_threads(), -(-n_rows // rows_each))
    if n_threads <= 1:
        return [kernel(slice(0, n_rows))]
    bounds = [n_rows * i // n_threads for i in range(n_threads + 1)]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(kernel, [slice(a, b) for a, b in itertools.pairwise(bounds)]))
