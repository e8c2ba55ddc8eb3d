"""Which rows have a label: the one rule, and scorers that count labelled rows only."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_regressor
from sklearn.metrics import check_scoring
from sklearn.utils.metadata_routing import get_routing_for_object

from skrep.data import labelled_rows
from skrep.evaluation.rows import take_rows

__all__ = ["labelled", "labelled_rows", "take_labels"]


def take_labels(y: Any, rows: np.ndarray) -> Any:
    """The labels of some rows, as an array of numbers or of text.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Labels, missing ones among them.
    rows : ndarray of bool or int
        The rows that have a label.

    Raises
    ------
    ValueError
        If some of the labels are text and others are not.
    """
    y = _as_array(y)
    return y[rows] if issparse(y) else _plain(y[rows])


def labelled(scorer: Any, unlabeled_value: int | None = -1) -> Callable[..., float]:
    """Make a scorer count labelled rows only.

    Parameters
    ----------
    scorer : str or callable
        As scikit-learn's `scoring`: a name such as "balanced_accuracy", or a callable of (estimator, X, y).
    unlabeled_value : int or None, default=-1
        As in :func:`labelled_rows`. Beside it, NaN and None are no labels; for regressors, only they.

    Returns
    -------
    callable
        To be passed as `scoring` to ``cross_val_score``, ``cross_validate`` or ``GridSearchCV``; it can be pickled if
        `scorer` can.

    Raises
    ------
    ValueError
        If there is no such scorer; in the call, if no row has a label.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> from skrep import LinearProbe, PCAEncoder
    >>> from skrep.evaluation import labelled
    >>> X, y = load_iris(return_X_y=True)
    >>> y[::2] = -1  # half of the rows have no label
    >>> scores = cross_val_score(LinearProbe(PCAEncoder(2)), X, y, scoring=labelled("balanced_accuracy"))
    >>> bool(scores.mean() > 0.8)
    True
    """
    if scorer is None:
        raise ValueError("labelled(None): expected the name of a scorer, such as 'accuracy', or a callable.")
    return _LabelledScorer(check_scoring(None, scoring=scorer), unlabeled_value)


class _LabelledScorer:
    """What :func:`labelled` returns."""

    def __init__(self, scorer: Any, unlabeled_value: int | None):
        self.scorer, self.unlabeled_value = scorer, unlabeled_value

    def __call__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None, **metadata: Any) -> Any:
        X, y, sample_weight = labelled_part(
            X,
            y,
            sample_weight,
            unlabeled_value=self.unlabeled_value,
            regression=is_regressor(estimator),
            classes=getattr(estimator, "classes_", None),
        )
        if sample_weight is not None:
            metadata["sample_weight"] = sample_weight
        return self.scorer(estimator, X, y, **metadata)

    def __repr__(self) -> str:
        return f"labelled({self.scorer!r})"

    # What scikit-learn asks scorers that are given several at once, and with metadata routing.

    def _accept_sample_weight(self) -> bool:
        return bool(getattr(self.scorer, "_accept_sample_weight", bool)())

    def get_metadata_routing(self) -> Any:
        return get_routing_for_object(self.scorer)


def labelled_part(
    X: Any, y: Any, sample_weight: Any, *, unlabeled_value: int | None, regression: bool, classes: Any
) -> tuple[Any, Any, Any]:
    """The labelled rows, their labels and their weights, for a score.

    Raises
    ------
    ValueError
        If no row has a label.
    """
    rows = labelled_rows(y, unlabeled_value, regression, classes)
    if not rows.any():
        raise ValueError(
            f"none of the {len(rows)} rows has a label, and a score needs at least 1. If this is a fold of a "
            "cross-validation, take fewer folds or a splitter that has labelled rows in each."
        )
    positions = np.flatnonzero(rows)
    if not rows.all():
        X = take_rows(X, positions)
        sample_weight = None if sample_weight is None else np.asarray(sample_weight)[positions]
    return X, take_labels(y, positions), sample_weight


def _as_array(y: Any) -> Any:
    """An array, or a sparse matrix in rows, of what `labelled_rows` took; text and NaN in a list stay what they are."""
    if issparse(y):
        return y.tocsr()
    has_text = isinstance(y, (list, tuple)) and any(isinstance(label, str) for label in y)
    return np.asarray(y, dtype=object if has_text else None)


def _plain(labels: np.ndarray) -> np.ndarray:
    """Objects as what they are: numbers, or text, which stays as objects."""
    if labels.dtype.kind != "O" or not labels.size:
        return labels
    values = labels.ravel().tolist()  # (n_samples, n_outputs) -> (n_values,)
    text = [isinstance(value, str) for value in values]
    if all(text):
        return labels
    if any(text):
        number = values[text.index(False)]
        raise ValueError(
            f"y mixes text, such as {values[text.index(True)]!r}, with {type(number).__name__}, such as {number!r}. "
            "Give all labels one type; None or NaN stands for no label."
        )
    return np.array(labels.tolist())
