"""Labels and groups that come with rows, checked once and turned into numbers."""

from typing import Any

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d
from torch import Tensor

__all__ = ["read_groups", "read_labels", "refuse_groups"]


def read_labels(y: Any, n_samples: int | None, name: str, classes: Any = None) -> tuple[np.ndarray, Tensor]:
    """The classes, and the position of each row's label among them.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels.
    n_samples : int or None
        Number of rows; None does not compare.
    name : str
        The estimator, for messages.
    classes : array-like or None, default=None
        All labels that may occur. None takes those of `y`.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        Sorted.
    codes : torch.Tensor of shape (n_samples,), int64

    Raises
    ------
    ValueError
        If `y` is missing, is not labels, has another length, a single class, or a label that is not in `classes`.
    """
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None: the labels.")
    y = column_or_1d(y, warn=True)
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    check_classification_targets(y)
    if not len(y):
        raise ValueError("y has no labels: found 0 samples, and a minimum of 1 is required.")
    found = np.unique(y if classes is None else classes)
    if len(found) < 2:
        raise ValueError(f"y has 1 class, {found.tolist()[0]!r}; {name} needs at least 2 classes.")
    codes = np.searchsorted(found, y).clip(max=len(found) - 1)
    unknown = found[codes] != y
    if unknown.any():
        raise ValueError(f"y has the label {y[unknown].tolist()[0]!r}, which is not among classes {found.tolist()}.")
    if n_samples is not None:
        _require_length("y", len(y), n_samples)
    return found, torch.from_numpy(codes)


def read_groups(groups: Any, n_samples: int) -> Tensor | None:
    """The number of each row's group, (n_samples,) int64, or None where there are no groups.

    Parameters
    ----------
    groups : array-like of shape (n_samples,) or None
        Any values, as scikit-learn's splitters take them; rows of one group share a value.
    n_samples : int
        Number of rows.

    Raises
    ------
    ValueError
        If `groups` is not one value for each row.
    """
    if groups is None:
        return None
    values = np.asarray(groups)
    if values.ndim != 1:
        raise ValueError(f"groups has shape {values.shape}; expected (n_samples,), one value for each row.")
    if values.dtype.kind in "fc":
        assert_all_finite(values, input_name="groups")
    _require_length("groups", len(values), n_samples)
    _, numbers = np.unique(values, return_inverse=True)
    return torch.from_numpy(numbers.reshape(-1).astype(np.int64))


def refuse_groups(groups: Any, name: str) -> None:
    """Raise ValueError where groups are passed to an estimator that does not use them."""
    if groups is not None:
        raise ValueError(f"{name} does not use groups, but got {np.size(groups)} of them. Leave groups out.")


def _require_length(what: str, got: int, expected: int) -> None:
    if got != expected:
        raise ValueError(
            f"X has {expected} samples, {what} has {got}: found inconsistent numbers. Pass one value for each sample."
        )
