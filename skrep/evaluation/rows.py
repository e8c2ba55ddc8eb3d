"""Rows of every kind that encoders read: how many there are, some of them, and some followed by others."""

import sys
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse, vstack
from sklearn.utils import _safe_indexing, indexable
from torch.utils.data import ConcatDataset, Dataset, Subset

from skrep.data import ImageFiles

__all__ = ["as_sized", "count_rows", "followed_by", "take_rows"]


def as_sized(X: Any) -> Any:
    """Rows that can be counted and selected: iterables become lists, what only numpy can read becomes an array."""
    if hasattr(X, "shape") or hasattr(X, "__len__"):
        return indexable(X)[0] if issparse(X) else X  # not all sparse formats have rows
    if hasattr(X, "__array__"):
        return np.asarray(X)
    return list(X) if hasattr(X, "__iter__") else X


def count_rows(X: Any) -> int:
    """How many rows there are."""
    return int(X.shape[0] if getattr(X, "shape", ()) else len(X))


def take_rows(X: Any, positions: np.ndarray) -> Any:
    """The rows at some positions, in the same kind of container."""
    if len(positions) == count_rows(X):
        return X
    if isinstance(X, Dataset) and not isinstance(X, ImageFiles):
        return Subset(X, positions.tolist())
    return _safe_indexing(X, positions)


def followed_by(X: Any, others: Any) -> Any:
    """The rows of X, then others of the same kind.

    Parameters
    ----------
    X, others : array, DataFrame, Series, sparse matrix, torch.Tensor, Dataset, ImageFiles, list or other iterable
        Of one kind, with rows of one shape.

    Raises
    ------
    TypeError
        If they differ in kind, or are of a kind that cannot be joined.
    ValueError
        If their rows differ in shape, columns or type.
    """
    if is_read_once(others):
        raise TypeError("unlabeled is an iterator, which can be read once; every fit reads it. Pass list(unlabeled).")
    X, others = as_sized(X), as_sized(others)
    kind, other_kind = _kind(X), _kind(others)
    if kind != other_kind:
        raise TypeError(
            f"X is {kind}, unlabeled is {other_kind}. The encoder is trained on both together: pass them as one kind, "
            "two arrays, two DataFrames, two lists of texts."
        )
    _require_same_rows(X, others, kind)
    if kind == "a sparse matrix":
        return vstack([X, others], format="csr")
    if kind == "ImageFiles":
        return _joined_files(X, others)
    if kind == "a torch tensor":
        return torch.cat([X, others.to(X.device)])
    if kind == "a Dataset":
        return ConcatDataset([X, others])
    if kind == "a list":
        return [*X, *others]
    if kind.startswith("a pandas"):
        import pandas as pd

        return pd.concat([X, others], ignore_index=True)
    if kind.startswith("a polars"):
        return sys.modules["polars"].concat([X, others], how="vertical_relaxed")
    if kind == "an array":
        return np.concatenate([X, others])
    raise TypeError(
        f"X and unlabeled are each {kind}, which cannot be joined. Pass arrays, DataFrames, sparse matrices, lists, "
        "ImageFiles or Datasets."
    )


def is_read_once(X: Any) -> bool:
    """Whether it is an iterator: a generator, an open file."""
    return hasattr(X, "__next__")


def _kind(X: Any) -> str:
    home, name = type(X).__module__.split(".")[0], type(X).__name__
    if issparse(X):
        return "a sparse matrix"
    if isinstance(X, ImageFiles):
        return "ImageFiles"
    if home in ("pandas", "polars") and name in ("DataFrame", "Series"):
        return f"a {home} {name}"
    for kind, cls in (("a torch tensor", torch.Tensor), ("a Dataset", Dataset), ("an array", np.ndarray)):
        if isinstance(X, cls):
            return kind
    return "a list" if isinstance(X, (list, tuple)) else f"a {name}"


def _require_same_rows(X: Any, others: Any, kind: str) -> None:
    """Raise ValueError where joined rows would no longer be what they were."""
    if kind.endswith("DataFrame"):
        columns, other_columns = list(X.columns), list(others.columns)
        if columns != other_columns:
            differing = sorted(map(str, set(columns) ^ set(other_columns)))[:5]
            raise ValueError(
                f"X and unlabeled have other columns ({', '.join(differing) or 'in another order'}): X has "
                f"{len(columns)}, unlabeled {len(other_columns)}. Select the same ones in the same order, "
                "unlabeled[X.columns]."
            )
        return
    shape, other_shape = (tuple(getattr(part, "shape", (0,))[1:]) for part in (X, others))
    if shape != other_shape:
        raise ValueError(f"rows of X have shape {shape}, rows of unlabeled {other_shape}; expected one shape.")
    if kind in ("a list", "an array") and len(X) and len(others) and _is_text(X) != _is_text(others):
        raise ValueError("one of X and unlabeled has texts, the other has not; expected rows of one type.")
    pixels = [getattr(part, "dtype", None) for part in (X, others)]
    if len(shape) == 3 and pixels[0] != pixels[1] and "uint8" in map(str, pixels):
        raise ValueError(
            f"images of X are {pixels[0]}, images of unlabeled {pixels[1]}: 8-bit pixels go to 255, others to 1. "
            "Convert one of them."
        )


def _is_text(X: Any) -> bool:
    if isinstance(X, np.ndarray) and X.dtype.kind != "O":
        return X.dtype.kind in "US"
    return isinstance(X[0], (str, bytes))


def _joined_files(X: ImageFiles, others: ImageFiles) -> ImageFiles:
    joined: ImageFiles = X[:]
    joined.paths = [*X.paths, *others.paths]
    joined.labels = None
    joined.shape = (len(joined.paths), *X.shape[1:])
    return joined
