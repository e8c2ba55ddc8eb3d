"""Whether the columns of a table come in units of their own."""

import warnings
from typing import Any

import numpy as np

__all__ = ["units_differ", "warn_of_units"]

# A column is like the others if its range is at least this share of the largest, and columns are alike if this share of
# them is; measured in docs/defaults.md.
RANGE, COLUMNS = 0.1, 0.8

# Methods that take columns as they come warn where the largest is this much larger than the least.
FAR_APART = 100.0

# Rows that are looked at for that.
SOME = 1000


def units_differ(low: np.ndarray, high: np.ndarray) -> bool:
    """Whether the ranges of columns differ by more than one unit for all of them would explain.

    They do if fewer than four columns in five have a range of at least a tenth of the largest. Ranges, not standard
    deviations: a pixel at the margin is seldom lit, but as bright as any.

    Parameters
    ----------
    low, high : ndarray of shape (n_features,)
        The least and the largest value of each column. Columns with one value, up to rounding, do not count.

    Returns
    -------
    bool

    Examples
    --------
    >>> units_differ(np.zeros(3), np.array([1.0, 2.0, 3.0]))
    False
    >>> units_differ(np.zeros(3), np.array([0.01, 2.0, 3000.0]))  # a rate, a height, an income
    True
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    size = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(invalid="ignore"):  # of infinite values
        ranges = high / 2 - low / 2  # halves cannot overflow
    ranges = ranges[np.isfinite(ranges) & (ranges > size * np.finfo(np.float32).eps)]
    return len(ranges) > 1 and bool(np.mean(ranges >= RANGE * ranges.max()) < COLUMNS)


def warn_of_units(estimator: Any, rows: Any) -> None:
    """Warn that columns in units of their own are better standardised, for methods that take them as they come.

    Parameters
    ----------
    estimator : estimator
        Named in the warning.
    rows : ndarray or DataFrame of shape (n_samples, n_features)
        Of numbers; a thousand of them are looked at. Anything else is let pass.

    Warns
    -----
    UserWarning
        If units differ (:func:`units_differ`), and the standard deviations of two columns by a factor above 100.
    """
    if hasattr(rows, "iloc"):
        rows = rows.iloc[:: max(1, len(rows) // SOME)].to_numpy()
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype.kind not in "iuf" or len(rows) < 2:
        return
    some = rows[:: max(1, len(rows) // SOME)].astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # told by others
        spread = some.std(axis=0)
        if not (np.isfinite(spread).all() and units_differ(some.min(axis=0), some.max(axis=0))):
            return
    varying = np.flatnonzero(spread > np.abs(some).max(axis=0) * np.finfo(np.float32).eps)
    least, largest = (varying[i] for i in (spread[varying].argmin(), spread[varying].argmax()))
    if spread[largest] > FAR_APART * spread[least]:
        name = type(estimator).__name__
        warnings.warn(
            f"{name} takes columns in the units they come in, and column {largest} varies by {spread[largest]:.3g}, "
            f"column {least} by {spread[least]:.3g}: the large ones decide what is learned. Standardise them first, "
            f"make_pipeline(StandardScaler(), {name}(...)).",
            UserWarning,
            stacklevel=4,
        )
