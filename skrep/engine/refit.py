"""A fitted encoder that is fitted anew, on far fewer rows: seldom what was meant."""

import warnings
from typing import Any

__all__ = ["note_rows"]

# Refitting on a share of the rows below this one warns.
FEW = 0.1


def note_rows(estimator: Any, n_rows: int) -> None:
    """Remember on how many rows an estimator is fitted.

    Warns
    -----
    UserWarning
        If it was fitted before, on more than ten times as many: a step of a Pipeline is fitted again with the Pipeline.
    """
    before = vars(estimator).get("_n_rows", 0)
    if n_rows < FEW * before:
        warnings.warn(
            f"{type(estimator).__name__} was fitted on {before} rows, and fit trains it anew on {n_rows}: what it "
            "learned before is lost. To keep it, put it in sklearn.frozen.FrozenEstimator, whose fit does nothing.",
            UserWarning,
            stacklevel=4,
        )
    estimator._n_rows = n_rows
