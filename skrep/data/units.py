"""Whether the columns of a table come in units of their own."""

import numpy as np

__all__ = ["units_differ"]

# Ranges of pixels, counts of one kind or standardised columns differ by less, those of measurements by more; see
# docs/defaults.md.
ALIKE = 10.0


def units_differ(low: np.ndarray, high: np.ndarray) -> bool:
    """Whether the ranges of columns differ by more than one unit for all of them would explain.

    Compared are the 10th and the 90th percentile of the ranges, on a logarithmic scale, so that one odd column in ten
    decides nothing. Ranges, not standard deviations: a pixel at the margin is seldom lit, but as bright as any.

    Parameters
    ----------
    low, high : ndarray of shape (n_features,)
        The least and the largest value of each column. Columns with one value, up to rounding, do not count.

    Returns
    -------
    bool
        True if the percentiles differ by a factor of more than 10.

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
    if len(ranges) < 2:
        return False
    small, large = np.percentile(np.log(ranges), [10, 90])
    return bool(large - small > np.log(ALIKE))
