"""How far a handful of labels goes: a linear probe on features that were learned without them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrep.data import ImageFiles
from skrep.params import is_fitted

__all__ = [
    "FewLabelScores",
    "as_rows",
    "check_classes",
    "describe_budget",
    "draw_labels",
    "encode",
    "few_label_probe",
    "probe_features",
    "split",
]


@dataclass(frozen=True)
class FewLabelScores:
    """Accuracies of a probe at several label budgets.

    Attributes
    ----------
    budgets : tuple of int or float
        Labels per class (int) or share of all labels (float).
    n_labels : tuple of int
        Labels in all, for each budget.
    scores : tuple of ndarray of shape (n_resamples,)
        Test accuracy of each resample, for each budget. All labels (1.0) can be drawn in one way only.
    """

    budgets: tuple[int | float, ...]
    n_labels: tuple[int, ...]
    scores: tuple[np.ndarray, ...]

    @property
    def mean(self) -> np.ndarray:
        """Mean accuracy for each budget, of shape (n_budgets,)."""
        return np.array([score.mean() for score in self.scores])

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation over resamples for each budget, of shape (n_budgets,); 0 for a single one."""
        return np.array([score.std(ddof=1) if len(score) > 1 else 0.0 for score in self.scores])

    def __str__(self) -> str:
        lines = [
            f"{describe_budget(b):>18}  {n:>7} labels  {m:.3f} +- {s:.3f}"
            for b, n, m, s in zip(self.budgets, self.n_labels, self.mean, self.sd, strict=True)
        ]
        return "\n".join(lines)


def describe_budget(budget: int | float) -> str:
    """A budget in words."""
    return (
        f"{budget} a class"
        if isinstance(budget, (int, np.integer))
        else "all labels"
        if budget == 1
        else f"{budget:.0%} of labels"
    )


def few_label_probe(
    encoder: Any,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    budgets: Sequence[int | float] = (1, 5, 10, 1.0),
    n_resamples: int = 10,
    C: float = 1.0,
    random_state: int = 0,
) -> FewLabelScores:
    """Test accuracy of StandardScaler + LogisticRegression on features, with few labels.

    Each budget is drawn `n_resamples` times, stratified by class. The draws depend on `random_state` and `y` only, so
    that two encoders are compared on the same labels.

    Parameters
    ----------
    encoder : estimator or None
        Any scikit-learn transformer. One that is not fitted is cloned and fitted on `X` without labels; None probes the
        columns of `X` themselves, or its pixels.
    X : array-like or ImageFiles of shape (n_samples, ...)
        Training rows; without `X_test`, a quarter of them is held out for testing, before anything is fitted.
    y : array-like of shape (n_samples,)
        Classes.
    X_test, y_test : array-like, default=None
        Test rows and their classes.
    budgets : sequence of int or float, default=(1, 5, 10, 1.0)
        An int is a number of labels per class, a float in (0, 1] a share of the training labels.
    n_resamples : int, default=10
        Draws for each budget.
    C : float, default=1.0
        Inverse strength of the probe's L2 penalty.
    random_state : int, default=0
        Decides the split and the draws.

    Returns
    -------
    FewLabelScores

    Raises
    ------
    ValueError
        If a budget cannot be drawn from `y`, or the rows and classes do not match.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import PCAEncoder
    >>> from skrep.evaluation import few_label_probe
    >>> X, y = load_digits(return_X_y=True)
    >>> scores = few_label_probe(PCAEncoder(16), X, y, budgets=[10], n_resamples=3)
    >>> bool(scores.mean[0] > 0.8)
    True
    """
    if X_test is None:
        X, X_test, y, y_test = split(X, y, random_state)
    draws = draw_labels(y, budgets, n_resamples=n_resamples, random_state=random_state)
    Z, Z_test = encode(encoder, X, X_test)
    return probe_features(Z, y, Z_test, y_test, budgets, draws, C=C)


def split(X: Any, y: Any, random_state: int) -> list[Any]:
    """A quarter of the rows for testing, stratified by class: (X_train, X_test, y_train, y_test)."""
    y = np.asarray(y)
    classes, counts = np.unique(y, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f"y has {len(classes)} class; a probe needs at least 2.")
    if counts.min() < 2:
        rare = classes[counts.argmin()]
        raise ValueError(
            f"class {rare!r} has {counts.min()} row; at least 2 are needed, one to train on and one to test "
            "on. Drop the class or merge it with another."
        )
    parts: list[Any] = train_test_split(
        X, y, test_size=max(0.25, len(classes) / len(y)), stratify=y, random_state=random_state
    )
    return parts


def encode(encoder: Any, X: Any, X_test: Any) -> tuple[Any, Any]:
    """Features of training and test rows; an encoder that is not fitted is cloned and fitted on the training rows."""
    if encoder is None:
        return as_rows(X), as_rows(X_test)
    fitted = encoder if is_fitted(encoder) else clone(encoder).fit(X)
    return fitted.transform(X), fitted.transform(X_test)


def check_classes(rows: Any, classes: Any, part: str) -> None:
    """Raise ValueError unless there is one class a row; `part` says of which rows."""
    n_rows = rows.shape[0] if hasattr(rows, "shape") else len(rows)  # a sparse matrix has no len
    if n_rows != len(classes):
        raise ValueError(f"{n_rows} {part} rows but {len(classes)} classes; there must be one class a row.")


def as_rows(X: Any) -> np.ndarray:
    """The numbers of each sample in one row, as an array of shape (n_samples, n_features); files are decoded."""
    if isinstance(X, ImageFiles):
        chunks = (X.__getitems__(range(start, min(start + 256, len(X)))) for start in range(0, len(X), 256))
        return np.concatenate([np.reshape(chunk, (len(chunk), -1)) for chunk in chunks])
    array: np.ndarray = np.asarray(X)
    return array.reshape(len(array), -1)  # (n, h, w, c) -> (n, h * w * c); a table stays what it is


def draw_labels(
    y: Any, budgets: Sequence[int | float], *, n_resamples: int, random_state: int
) -> list[list[np.ndarray]]:
    """Positions of the labelled rows, for each budget `n_resamples` draws, or one if there is only one way to draw."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples={n_resamples}: at least 1 is needed.")
    y = np.asarray(y)
    return [
        [
            _draw(y, budget, np.random.default_rng([random_state, i]))
            for i in range(1 if budget == 1.0 and not isinstance(budget, int) else n_resamples)
        ]
        for budget in budgets
    ]


def probe_features(
    Z: Any,
    y: Any,
    Z_test: Any,
    y_test: Any,
    budgets: Sequence[int | float],
    draws: list[list[np.ndarray]],
    *,
    C: float,
) -> FewLabelScores:
    """As :func:`few_label_probe`, for features that are there already and the draws of :func:`draw_labels`."""
    Z, y, Z_test, y_test = (np.asarray(a) for a in (Z, y, Z_test, y_test))
    check_classes(Z, y, "training")
    check_classes(Z_test, y_test, "test")
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=2000))
    scores = [np.array([clone(probe).fit(Z[rows], y[rows]).score(Z_test, y_test) for rows in drawn]) for drawn in draws]
    return FewLabelScores(tuple(budgets), tuple(len(drawn[0]) for drawn in draws), tuple(scores))


def _draw(y: np.ndarray, budget: int | float, rng: np.random.Generator) -> np.ndarray:
    """Positions of the labelled rows, at least one of each class."""
    classes, counts = np.unique(y, return_counts=True)
    if isinstance(budget, (int, np.integer)):
        if budget < 1 or budget > counts.min():
            smallest = classes[counts.argmin()]
            raise ValueError(
                f"a budget of {budget} labels per class cannot be drawn: class {smallest!r} has {counts.min()} "
                f"training rows. Use budgets from 1 to {counts.min()}."
            )
        sizes = np.full(len(classes), budget)
    else:
        if not 0 < budget <= 1:
            raise ValueError(
                f"a budget of {budget!r} is neither a number of labels per class (int, at least 1) nor a share "
                "of the labels (float, above 0 and at most 1)."
            )
        sizes = np.maximum(1, np.round(budget * counts)).astype(int)
    rows = [rng.permutation(np.flatnonzero(y == c))[:size] for c, size in zip(classes, sizes, strict=True)]
    return np.sort(np.concatenate(rows))
