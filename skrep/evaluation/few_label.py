"""How far a handful of labels goes: a linear probe on features that were learned without them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.metrics import check_scoring
from sklearn.utils import check_array

from skrep.evaluation.held_out import HeldOut, hold_out, plain, rows_themselves
from skrep.evaluation.probe import default_classifier, default_regressor
from skrep.params import is_fitted

__all__ = [
    "FewLabelScores",
    "Labels",
    "as_features",
    "describe_labels",
    "draw_labels",
    "encode",
    "few_label_probe",
    "probe_features",
    "probe_and_scorer",
    "require_encoder",
    "require_probe",
    "usual_labels",
]

Labels = Sequence[int | float]

# What is tried where nothing else is asked for.
LABELS: Labels = (1, 5, 10, 1.0)
LABELS_OF_QUANTITIES: Labels = (10, 50, 100, 1.0)


@dataclass(frozen=True)
class FewLabelScores:
    """Test scores of a probe that was trained on few labels.

    Attributes
    ----------
    labels : tuple of int or float
        Labels per class (int; of quantities, labels in all) or share of all labels (float).
    n_labels : tuple of int
        Labels in all, for each of them.
    scores : tuple of ndarray of shape (n_resamples,)
        Test score of each draw, for each of them. All labels (1.0) can be drawn in one way only.
    metric : str
        What is measured: "accuracy", "R²" for quantities, or the name of the scorer.
    majority : float or None
        Score of the commonest class of all training labels as the only answer; of quantities, of their mean. None
        where the scorer cannot tell.
    quantities : bool
        Whether the labels are quantities, not classes.
    """

    labels: tuple[int | float, ...]
    n_labels: tuple[int, ...]
    scores: tuple[np.ndarray, ...]
    metric: str = "accuracy"
    majority: float | None = None
    quantities: bool = False

    @property
    def mean(self) -> np.ndarray:
        """Mean score, of shape (n_labels,)."""
        return np.array([score.mean() for score in self.scores])

    @property
    def sd(self) -> np.ndarray:
        """Standard deviation over draws, of shape (n_labels,); 0 for a single one."""
        return np.array([score.std(ddof=1) if len(score) > 1 else 0.0 for score in self.scores])

    @property
    def names(self) -> list[str]:
        """The numbers of labels in words."""
        return [describe_labels(count, self.quantities) for count in self.labels]

    def __str__(self) -> str:
        lines = [
            f"{name:>18}  {n:>7} labels  {m:.3f} +- {s:.3f}"
            for name, n, m, s in zip(self.names, self.n_labels, self.mean, self.sd, strict=True)
        ]
        if self.majority is not None:
            lines.append(f"{self.majority_name:>18}  {'':>7}         {self.majority:.3f}")
        return "\n".join(lines)

    @property
    def majority_name(self) -> str:
        """What `majority` is the score of."""
        return "mean of all labels" if self.quantities else "commonest class"


def describe_labels(count: int | float, quantities: bool = False) -> str:
    """A number of labels in words."""
    if _is_number(count):
        return f"{count} labels" if quantities else f"{count} a class"
    return "all labels" if count == 1 else f"{count:.0%} of labels"


def few_label_probe(
    encoder: Any,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    labels: Labels | None = None,
    n_resamples: int = 10,
    probe: Any = None,
    scoring: Any = None,
    groups: Any = None,
    unlabeled_value: int | None = -1,
    random_state: int = 0,
) -> FewLabelScores:
    """Test score of a linear model on features, trained with few labels.

    Each number of labels is drawn `n_resamples` times, stratified by class. The draws depend on `random_state` and `y`
    only, so that two encoders are compared on the same labels.

    Parameters
    ----------
    encoder : estimator or None
        Any scikit-learn transformer, or a Pipeline of several. One that is not fitted is cloned and fitted on `X`
        without labels; one that is fitted is used as it is. None probes the columns of `X` themselves, standardised if
        they come in different units, or its pixels.
    X : array-like, sparse matrix, list or ImageFiles of shape (n_samples, ...)
        Training rows; without `X_test`, a quarter of those with a label is held out for testing, before anything is
        fitted.
    y : array-like of shape (n_samples,)
        Classes, or quantities: numbers of which some have fractions, or any with a regressor as `probe`. NaN, None and
        `unlabeled_value` stand for no label: such rows train the encoder only.
    X_test, y_test : array-like, default=None
        Test rows and their labels.
    labels : sequence of int or float, default=None
        An int is a number of labels per class, a float in (0, 1] a share of the training labels. Of quantities, an int
        is a number of labels in all. None is (1, 5, 10, 1.0), of quantities (10, 50, 100, 1.0), without the numbers
        that cannot be drawn.
    n_resamples : int, default=10
        Draws for each number of labels.
    probe : estimator or None, default=None
        Any classifier or regressor; it is cloned. None is :func:`skrep.evaluation.default_classifier`, a logistic
        regression on features divided by one number, or :func:`skrep.evaluation.default_regressor` for quantities.
    scoring : str, callable or None, default=None
        As scikit-learn's: a name such as "balanced_accuracy", or a callable of (probe, features, labels). None is the
        probe's own score, accuracy or R².
    groups : array-like of shape (n_samples,) or None, default=None
        Rows of one group (a person, a burst of photographs) are never on both sides of the split.
    unlabeled_value : int or None, default=-1
        As in :func:`skrep.evaluation.labelled_rows`.
    random_state : int, default=0
        Decides the split and the draws.

    Returns
    -------
    FewLabelScores

    Raises
    ------
    ValueError
        If labels cannot be drawn from `y`, the rows and labels do not match, or the probe cannot give what the scorer
        needs.
    TypeError
        If the encoder is a class, or no transformer.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import PCAEncoder
    >>> from skrep.evaluation import few_label_probe
    >>> X, y = load_digits(return_X_y=True)
    >>> scores = few_label_probe(PCAEncoder(16), X, y, labels=[10], n_resamples=3)
    >>> bool(scores.mean[0] > 0.8)
    True
    """
    require_encoder(encoder)
    require_probe(probe)
    data = hold_out(
        "few_label_probe", X, y, X_test, y_test,
        groups=groups, unlabeled_value=unlabeled_value, probe=probe, random_state=random_state,
    )  # fmt: skip
    draws = draw_labels(data, labels, n_resamples=n_resamples, random_state=random_state)
    probe, scorer = probe_and_scorer(probe, scoring, data)
    Z, Z_test = encode(encoder, data.X, data.X_test)
    return probe_features(Z, Z_test, data, draws, probe, scorer)


def require_encoder(encoder: Any) -> None:
    """Raise TypeError unless it is None or an instance of a transformer."""
    if isinstance(encoder, type):
        raise TypeError(f"the encoder is the class {encoder.__name__}; expected an instance, {encoder.__name__}().")
    for method in ("fit", "transform"):
        if encoder is not None and not hasattr(encoder, method):
            raise TypeError(
                f"the encoder is a {type(encoder).__name__} without {method}; expected a transformer or None."
            )


def require_probe(probe: Any) -> None:
    """Raise TypeError unless it is None or an instance of an estimator that predicts."""
    if isinstance(probe, type) or not (probe is None or (hasattr(probe, "fit") and hasattr(probe, "predict"))):
        what = f"the class {probe.__name__}" if isinstance(probe, type) else repr(probe)
        raise TypeError(f"probe is {what}; expected an instance of a classifier or a regressor.")


def encode(encoder: Any, X: Any, X_test: Any) -> tuple[Any, Any]:
    """Features of training and test rows; an encoder that is not fitted is cloned and fitted on the training rows."""
    if encoder is None:
        return rows_themselves(X, X_test)
    fitted = encoder if is_fitted(encoder) else clone(encoder).fit(X)
    return fitted.transform(X), fitted.transform(X_test)


# --- labels ------------------------------------------------------------------------------------------------------


@dataclass
class Draws:
    """Positions of labelled rows among all labelled ones: for each number of labels, a list of draws."""

    labels: tuple[int | float, ...]
    rows: list[list[np.ndarray]]

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        return iter(self.rows)


def draw_labels(data: HeldOut, labels: Labels | None, *, n_resamples: int, random_state: int) -> Draws:
    """For each number of labels `n_resamples` draws, or one if there is only one way to draw."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples={n_resamples}: at least 1 is needed.")
    strata = np.zeros(len(data.y), dtype=int) if data.quantities else data.y
    labels = usual_labels(strata, data.quantities) if labels is None else labels
    if isinstance(labels, (int, float, str)) or not len(labels):
        raise ValueError(f"labels={labels!r}: expected a sequence of numbers, such as (1, 5, 10, 1.0).")
    rows = [
        [
            _draw(strata, count, np.random.default_rng([random_state, i]), data.quantities)
            for i in range(1 if count == 1.0 and not _is_number(count) else n_resamples)
        ]
        for count in labels
    ]
    return Draws(tuple(labels), rows)


def usual_labels(strata: np.ndarray, quantities: bool = False) -> Labels:
    """The numbers of labels that are tried, as far as they can be drawn."""
    rarest = int(np.unique(strata, return_counts=True)[1].min())
    return [count for count in (LABELS_OF_QUANTITIES if quantities else LABELS) if count <= rarest]


def _is_number(count: Any) -> bool:
    """Whether it is a number of labels, and not a share of them."""
    return isinstance(count, (int, np.integer)) and not isinstance(count, bool)


def _draw(strata: np.ndarray, count: int | float, rng: np.random.Generator, quantities: bool = False) -> np.ndarray:
    """Positions of the labelled rows, at least one of each class."""
    classes, counts = np.unique(strata, return_counts=True)
    if _is_number(count):
        if count < 1 or count > counts.min():
            of = "" if quantities else " per class"
            holder = "there are" if quantities else f"class {plain(classes[counts.argmin()])!r} has"
            raise ValueError(
                f"{count} labels{of} cannot be drawn: {holder} {counts.min()} training rows with a label. Use numbers "
                f"from 1 to {counts.min()} in labels=."
            )
        sizes = np.full(len(classes), count)
    else:
        if isinstance(count, (bool, str)) or not 0 < count <= 1:
            raise ValueError(
                f"{count!r} in labels= is neither a number of labels per class (int, at least 1) nor a share of the "
                "labels (float, above 0 and at most 1)."
            )
        sizes = np.maximum(1, np.round(count * counts)).astype(int)
    rows = [rng.permutation(np.flatnonzero(strata == c))[:size] for c, size in zip(classes, sizes, strict=True)]
    return np.sort(np.concatenate(rows))


# --- probe -------------------------------------------------------------------------------------------------------


def probe_and_scorer(probe: Any, scoring: Any, data: HeldOut) -> tuple[Any, Any]:
    """The model and the scorer to be used.

    Raises
    ------
    ValueError
        If there is no such scorer, or the scorer needs a method that the probe has not.
    """
    if probe is None:
        probe = default_regressor() if data.quantities else default_classifier()
    if isinstance(scoring, (list, tuple, set, dict)):
        raise ValueError(f"scoring={scoring!r}: expected one scorer, a name or a callable.")
    scorer = check_scoring(probe, scoring=scoring)
    needed = getattr(scorer, "_response_method", "predict")  # scikit-learn's scorers know; others show when they score
    methods = [needed] if isinstance(needed, str) else list(needed)
    if methods != ["default"] and not any(hasattr(probe, method) for method in methods):
        raise ValueError(
            f"scoring={scoring!r} needs {' or '.join(methods)}, which the probe {type(probe).__name__} has not. Choose "
            "another probe or another score."
        )
    return probe, scorer


def as_features(Z: Any) -> Any:
    """Features as an array of shape (n_samples, n_features), or a sparse matrix in rows.

    Raises
    ------
    ValueError
        If they are no table of finite numbers.
    """
    return check_array(Z, accept_sparse="csr", dtype=[np.float64, np.float32], input_name="features")


def probe_features(
    Z: Any, Z_test: Any, data: HeldOut, draws: Draws, probe: Any, scorer: Any, majority: bool = True
) -> FewLabelScores:
    """As :func:`few_label_probe`, for features that are there already and the draws of :func:`draw_labels`."""
    Z, Z_test = as_features(Z), as_features(Z_test)
    for part, wanted in ((Z, len(data.known) + data.n_unlabeled), (Z_test, len(data.y_test))):
        if part.shape[0] != wanted:
            raise ValueError(f"transform gave {part.shape[0]} rows of features for {wanted} rows.")
    Z = Z[data.known]
    if issparse(Z) != issparse(Z_test):
        Z, Z_test = (part.toarray() if issparse(part) else part for part in (Z, Z_test))
    scores = [
        np.array([float(scorer(clone(probe).fit(Z[rows], data.y[rows]), Z_test, data.y_test)) for rows in drawn])
        for drawn in draws
    ]
    return FewLabelScores(
        draws.labels,
        tuple(len(drawn[0]) for drawn in draws),
        tuple(scores),
        metric=_name(scorer, data.quantities),
        majority=_majority(data, scorer) if majority else None,
        quantities=data.quantities,
    )


def _name(scorer: Any, quantities: bool) -> str:
    score = getattr(scorer, "_score_func", None)
    if score is not None:
        sign = "negative " if getattr(scorer, "_sign", 1) < 0 else ""
        return sign + str(getattr(score, "__name__", "score")).removesuffix("_score").replace("_", " ")
    if type(scorer).__name__ == "_PassthroughScorer":
        return "R²" if quantities else "accuracy"
    return str(getattr(scorer, "__name__", "score"))


def _majority(data: HeldOut, scorer: Any) -> float | None:
    """The score of one and the same answer to all rows."""
    answer = DummyRegressor() if data.quantities else DummyClassifier(strategy="prior")
    nothing = np.zeros((len(data.y), 1))
    try:
        return float(scorer(answer.fit(nothing, data.y), np.zeros((len(data.y_test), 1)), data.y_test))
    except Exception:  # a scorer may ask for whatever the probe or the features have
        return None
