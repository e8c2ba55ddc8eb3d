"""Labels, quantities and groups that come with rows, checked once and turned into numbers."""

import logging
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d
from torch import Tensor

__all__ = [
    "as_targets",
    "labelled_rows",
    "read_groups",
    "read_indicators",
    "read_labels",
    "read_quantities",
    "refuse_groups",
    "report_set_aside",
    "require_length",
]

_reported = False  # whether this process has said that rows without a label are set aside


def as_targets(y: Any) -> np.ndarray:
    """Labels or quantities as an array of shape (n_samples,) or (n_samples, n_outputs), missing ones as they are.

    Parameters
    ----------
    y : array-like or sparse matrix
        None, NaN and pandas.NA stay distinct from text; numbers among Python objects become numbers where none is
        missing.

    Raises
    ------
    ValueError
        If `y` has another number of dimensions.
    """
    expected = "expected one value for each row, (n_samples,), or one for each row and output, (n_samples, n_outputs)"
    if issparse(y):
        y = y.toarray()
    of_pandas = not isinstance(getattr(y, "dtype", np.dtype("O")), (np.dtype, torch.dtype))
    try:
        values = np.asarray(y, dtype=object if of_pandas else None)  # whose missing integers would become floats
        if values.dtype.kind in "US" and not hasattr(y, "dtype"):  # NumPy writes None and NaN of a list as text
            objects = np.asarray(y, dtype=object)
            values = objects if _missing(objects).any() else values
    except ValueError:
        raise ValueError(
            f"y has entries of different lengths; {expected}. For sets of labels, pass "
            "sklearn.preprocessing.MultiLabelBinarizer().fit_transform(y)."
        ) from None
    if values.ndim not in (1, 2):
        raise ValueError(f"y has shape {values.shape}; {expected}.")
    return _plain(values)


def labelled_rows(
    y: Any, unlabeled_value: int | None = -1, regression: bool = False, classes: Any = None
) -> np.ndarray:
    """Which rows have a label.

    NaN, None, pandas.NA and NaT are no labels. In integer class labels neither is `unlabeled_value`, if at least two
    other classes remain: -1 and 1 are two classes, while of -1, 0 and 1 the first stands for rows without a label, as
    in :mod:`sklearn.semi_supervised`. Quantities lack only NaN and None.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Class labels, an indicator matrix, or quantities. With several columns, a row has a label if none of its values
        is missing, and not all are `unlabeled_value`.
    unlabeled_value : int or None, default=-1
        The integer that stands for no label; None for no such integer. Whole numbers are integers here whatever their
        type, since NaN among integers makes floats of them.
    regression : bool, default=False
        Whether `y` are quantities.
    classes : array-like or None, default=None
        Those of a classifier that is fitted: `unlabeled_value` is then a label if it is one of them.

    Returns
    -------
    ndarray of shape (n_samples,), bool
        True for rows with a label.

    Raises
    ------
    ValueError
        If `y` has another number of dimensions.

    Examples
    --------
    >>> labelled_rows([0, 1, -1, 1])
    array([ True,  True, False,  True])
    >>> labelled_rows([-1, 1, 1])
    array([ True,  True,  True])
    >>> labelled_rows(["spam", None, "ham"])
    array([ True, False,  True])
    >>> labelled_rows([0.5, -1, float("nan")], regression=True)
    array([ True,  True, False])
    """
    values = as_targets(y)
    missing = _missing(values)
    rows: np.ndarray = np.logical_not(missing.any(axis=1) if values.ndim == 2 else missing)
    if regression or unlabeled_value is None or not rows.any():
        return rows
    labels = _plain(values[rows])
    if labels.dtype.kind in "iu" or (labels.dtype.kind == "f" and bool((labels == np.round(labels)).all())):
        set_aside = (labels == unlabeled_value).reshape(len(labels), -1).all(axis=1)
        others = len(np.unique(labels[~set_aside])) if classes is None else 2
        if others >= 2 and (classes is None or unlabeled_value not in _flat(classes)):
            rows[rows] = ~set_aside
    return rows


def _flat(classes: Any) -> list[Any]:
    """All classes; with several outputs they come as a list of arrays."""
    parts = classes if isinstance(classes, list) else [classes]
    return [label for part in parts for label in np.ravel(part).tolist()]


def _missing(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind == "O":
        import pandas as pd  # slow to import, and seldom needed

        return np.asarray(pd.isna(values))
    if values.dtype.kind in "mM":
        return np.asarray(np.isnat(values))
    return np.asarray(np.isnan(values)) if values.dtype.kind in "fc" else np.zeros(values.shape, bool)


def _plain(values: np.ndarray) -> np.ndarray:
    """Python's numbers, if all objects are numbers, as an array of numbers."""
    if values.dtype.kind != "O" or _missing(values).any():
        return values
    plain = np.array(values.tolist())
    return plain if plain.dtype.kind in "biuf" and plain.shape == values.shape else values


def report_set_aside(labelled: np.ndarray, name: str) -> None:
    """Log, once in a process, how many rows have no label and are set aside.

    Parameters
    ----------
    labelled : ndarray of shape (n_samples,), bool
        What :func:`labelled_rows` returned.
    name : str
        The estimator.
    """
    global _reported
    n_without = int((~labelled).sum())
    if n_without and not _reported:
        _reported = True
        logging.getLogger("skrep").info(
            "%s: %d of %d rows have a label; the other %d train an encoder that is not yet fitted, and nothing else. "
            "(Later calls in this process do not say so again.)",
            *(name, len(labelled) - n_without, len(labelled), n_without),
        )


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
    if y.dtype.kind == "O":
        _unique(y)  # a clear error
    check_classification_targets(y)
    if not len(y):
        raise ValueError("y has no labels: found 0 samples, and a minimum of 1 is required.")
    found = _unique(y if classes is None else classes)
    if len(found) < 2:
        raise ValueError(f"y has 1 class, {found.tolist()[0]!r}; {name} needs at least 2 classes.")
    _unique(np.concatenate([y[:1].astype(object), found[:1].astype(object)]))  # can they be compared?
    codes = np.searchsorted(found, y).clip(max=len(found) - 1)
    unknown = found[codes] != y
    if unknown.any():
        raise ValueError(f"y has the label {y[unknown].tolist()[0]!r}, which is not among classes {found.tolist()}.")
    if n_samples is not None:
        require_length("y", len(y), n_samples)
    return found, torch.from_numpy(codes)


def _unique(labels: Any) -> np.ndarray:
    try:
        return np.unique(labels)
    except TypeError:
        values = np.asarray(labels, dtype=object).reshape(-1)
        kinds = {type(value).__name__: value for value in values}
        raise ValueError(
            f"y has labels of several kinds, {' and '.join(f'{v!r} ({k})' for k, v in kinds.items())}; expected all of "
            "one kind. Convert them, for example by y.astype(str), in every call."
        ) from None


def read_indicators(y: Any, n_samples: int | None, name: str) -> Tensor:
    """Several labels for each row, as 0 and 1 in a column for each label.

    Parameters
    ----------
    y : array-like of shape (n_samples, n_labels)
        1 where the row has the label, else 0.
    n_samples : int or None
        Number of rows; None does not compare.
    name : str
        The estimator, for messages.

    Returns
    -------
    torch.Tensor of shape (n_samples, n_labels), float32

    Raises
    ------
    ValueError
        If there are other values, no rows, or another number of rows.
    """
    values = as_targets(y)
    if not len(values):
        raise ValueError("y has no labels: found 0 samples, and a minimum of 1 is required.")
    others = ~np.isin(values, (0, 1)) if values.dtype.kind in "biuf" else np.ones(values.shape, dtype=bool)
    if values.ndim != 2 or others.any():
        seen = f", and the value {values[others].tolist()[0]!r} among others" if others.any() else ""
        raise ValueError(
            f"y has shape {values.shape}{seen}; {name} expected one class for each row, (n_samples,), or an indicator "
            "matrix of 0 and 1, (n_samples, n_labels). A row without a label is NaN in the matrix; for several classes "
            "a row, fit one classifier for each column."
        )
    if n_samples is not None:
        require_length("y", len(values), n_samples)
    return torch.from_numpy(values.astype(np.float32))


def read_quantities(y: Any, n_samples: int | None, name: str) -> Tensor:
    """Quantities to predict, one or several for each row.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Numbers.
    n_samples : int or None
        Number of rows; None does not compare.
    name : str
        The estimator, for messages.

    Returns
    -------
    torch.Tensor of shape (n_samples, n_outputs), float32

    Raises
    ------
    ValueError
        If `y` is missing, is not numbers, is not finite, has no rows or another number of them.
    """
    if y is None:
        raise ValueError(f"{name} requires y to be passed, but the target y is None: the quantities to predict.")
    values = as_targets(y)
    if not values.size:
        raise ValueError(f"y has no quantities: found shape {values.shape}, and a minimum of 1 value is required.")
    if values.dtype.kind not in "biuf":
        complex_too = "Complex data not supported: " if values.dtype.kind == "c" else ""
        raise ValueError(
            f"{complex_too}y has the value {values.reshape(-1).tolist()[0]!r}; {name} predicts quantities and expected "
            "numbers, (n_samples,) or (n_samples, n_outputs). For class labels, use a classifier."
        )
    assert_all_finite(values, input_name="y")
    with np.errstate(over="ignore"):
        numbers = values.reshape(len(values), -1).astype(np.float32)
    if not np.isfinite(numbers).all():
        largest = values.reshape(-1)[np.abs(values.reshape(-1)).argmax()]
        raise ValueError(
            f"y has the value {largest:.4g}, too large for float32, in which {name} trains. Divide y by a constant."
        )
    if n_samples is not None:
        require_length("y", len(values), n_samples)
    return torch.from_numpy(numbers)


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
    require_length("groups", len(values), n_samples)
    _, numbers = np.unique(values, return_inverse=True)
    return torch.from_numpy(numbers.reshape(-1).astype(np.int64))


def refuse_groups(groups: Any, name: str) -> None:
    """Raise ValueError where groups are passed to an estimator that does not use them."""
    if groups is not None:
        raise ValueError(f"{name} does not use groups, but got {np.size(groups)} of them. Leave groups out.")


def require_length(what: str, got: int, expected: int) -> None:
    """Raise ValueError unless there is one value for each sample of X; `what` is the name of the values."""
    if got != expected:
        raise ValueError(
            f"X has {expected} samples, {what} has {got}: found inconsistent numbers. Pass one value for each sample."
        )
