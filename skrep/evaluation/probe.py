"""The linear model behind an encoder, and the scale of the features that it sees."""

import itertools
from typing import Any, ClassVar, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, OneToOneFeatureMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import FLOAT_DTYPES, _check_sample_weight, check_is_fitted, validate_data

from skrep.params import Integer, Real, SequenceOf, check_params, param, params

__all__ = ["CommonScaler", "PenalizedLogistic", "default_classifier", "default_regressor"]

# Labels above which one fold tells penalties apart.
ENOUGH = 1000


def default_classifier() -> Pipeline:
    """The classifier of a probe: logistic regression on features that are centred and divided by one number.

    Its penalty is chosen by cross-validation on the labels that it gets; see :class:`PenalizedLogistic`.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Not fitted.
    """
    return make_pipeline(_scaler(), PenalizedLogistic())


def default_regressor() -> Pipeline:
    """The regressor of a probe: ridge regression on features that are centred and divided by one number.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Not fitted.
    """
    return make_pipeline(_scaler(), Ridge())


def _scaler() -> "CommonScaler":
    """A scaler whose output is an array, also where scikit-learn is set to give DataFrames."""
    scaler: CommonScaler = CommonScaler().set_output(transform="default")
    return scaler


class CommonScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Centre each feature, and divide all of them by one number, so that their mean variance is 1.

    A penalty on weights depends on the scale of features. Dividing each by its own spread, as
    :class:`~sklearn.preprocessing.StandardScaler` does, makes the last principal component as large as the first, and a
    probe then learns from noise; a common factor keeps the proportions that an encoder gave its features, and a
    rotation of the features changes no prediction.

    Sparse features are not centred, which would make them dense: they are divided by the root of their mean square.

    Attributes
    ----------
    mean_ : ndarray of shape (n_features,) or None
        Mean of each feature; None after ``fit`` on sparse features.
    scale_ : float
        Root of the mean variance; 1.0 where no feature varies.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if `X` had any.

    Examples
    --------
    >>> import numpy as np
    >>> from skrep.evaluation import CommonScaler
    >>> CommonScaler().fit_transform([[0.0, 5.0], [4.0, 5.0]])
    array([[-1.41421356,  0.        ],
           [ 1.41421356,  0.        ]])
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the means and the scale.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.
        y : None
            Not used.

        Returns
        -------
        self
        """
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=FLOAT_DTYPES)
        values = X.data if issparse(X) else X
        largest = float(np.abs(values).max(initial=0)) or 1.0  # of which squares are safe
        if issparse(X):
            mean_square = float(np.square(values / largest, dtype=np.float64).sum() / X.shape[0] / X.shape[1])
            self.mean_ = None
        else:
            mean, variance = _moments(X, largest)
            mean_square = float(variance.mean())
            self.mean_ = (mean * largest).astype(X.dtype)
        self.scale_ = largest * mean_square**0.5 if mean_square else 1.0
        return self

    def transform(self, X: Any) -> Any:
        """Centred and scaled features.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray or sparse matrix of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            For sparse features after ``fit`` on an array: they cannot be centred.
        """
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=FLOAT_DTYPES, reset=False)
        if self.mean_ is not None and issparse(X):
            raise ValueError(
                "CommonScaler was fitted on an array and got a sparse matrix, which it cannot centre. Pass "
                "X.toarray(), or fit on sparse features."
            )
        centred = X if self.mean_ is None else X - self.mean_
        return centred / X.dtype.type(self.scale_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@params
class PenalizedLogistic(ClassifierMixin, BaseEstimator):
    """Logistic regression with an L2 penalty whose strength is chosen by cross-validation.

    The candidate with the lowest log loss in stratified folds is taken, the stronger penalty of equals. With more than
    1000 labels one fold decides. `C` is taken with fewer than three labels of a class, which do not suffice to
    choose, with very many, where it would take long, and with weights of rows, which make folds incomparable.

    Parameters
    ----------
    C : float, default=1.0
        Inverse strength of the penalty where it is not chosen, for features whose mean variance is 1: see
        :class:`CommonScaler`.
    Cs : sequence of float, default=(0.01, 0.1, 1.0, 10.0)
        Candidates.
    n_splits : int, default=5
        Folds, at most; as many as the rarest class has labels, if that is fewer.
    most_labels : int, default=5000
        Labels above which `C` is taken.
    max_iter : int, default=2000
        Iterations of the solver.

    Attributes
    ----------
    C_ : float
        The strength that was taken.
    model_ : sklearn.linear_model.LogisticRegression
        The regression, fitted with it.
    classes_ : ndarray of shape (n_classes,)
        The labels.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        Weights.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        Log-odds, or logits, where all features are zero.
    n_iter_ : ndarray
        Iterations of the last fit.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if `X` had any.

    Notes
    -----
    With fewer labels than features the weights lie in the span of the rows, so the regression is solved in as many
    dimensions as there are labels: the same solution, in a fraction of the time.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from skrep.evaluation import PenalizedLogistic
    >>> X, y = load_wine(return_X_y=True)
    >>> make_pipeline(StandardScaler(), PenalizedLogistic()).fit(X, y)[-1].C_
    10.0
    """

    C: float = param(Real(low=0, open_low=True), default=1.0)
    Cs: Any = param(SequenceOf(Real(low=0, open_low=True)), default=(0.01, 0.1, 1.0, 10.0))
    n_splits: int = param(Integer(low=2), default=5)
    most_labels: int = param(Integer(low=0), default=5000)
    max_iter: int = param(Integer(low=1), default=2000)

    # not an argument: scikit-learn would then check that weights equal repeated rows, which move between folds
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"sample_weight": None}

    def fit(self, X: Any, y: Any, **params: Any) -> Self:
        """Choose the penalty, and fit with it on all rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels.
        **params : dict
            ``sample_weight``, array-like of shape (n_samples,): weights of the rows.

        Returns
        -------
        self
        """
        check_params(self)
        sample_weight = params.pop("sample_weight", None)
        if params:
            raise TypeError(f"PenalizedLogistic.fit got {', '.join(sorted(params))}; it takes sample_weight.")
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=FLOAT_DTYPES)
        check_classification_targets(y)
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        rows, back = (X, None) if issparse(X) or len(X) >= X.shape[1] else _in_row_space(X)
        self.C_ = float(self.C) if weights is not None else self._choose(rows, y)
        model = LogisticRegression(C=self.C_, max_iter=self.max_iter).fit(rows, y, sample_weight=weights)
        if back is not None:  # (n_outputs, rank) -> (n_outputs, n_features)
            model.coef_, model.n_features_in_ = model.coef_ @ back, X.shape[1]
        self.model_, self.classes_, self.n_iter_ = model, model.classes_, model.n_iter_
        self.coef_, self.intercept_ = model.coef_, model.intercept_
        return self

    def _choose(self, X: Any, y: np.ndarray) -> float:
        classes, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
        if counts.min() < 3 or len(y) > self.most_labels or len(classes) < 2 or not len(self.Cs):
            return float(self.C)
        folds = StratifiedKFold(min(self.n_splits, int(counts.min())), shuffle=True, random_state=0)
        candidates = sorted(map(float, self.Cs))
        losses = np.zeros(len(candidates))
        for train, test in itertools.islice(folds.split(X, codes), 1 if len(y) > ENOUGH else None):
            model = LogisticRegression(max_iter=self.max_iter, tol=1e-3, warm_start=True)  # from one C to the next
            for i, C in enumerate(candidates):
                model.set_params(C=C).fit(X[train], codes[train])
                losses[i] += len(test) * log_loss(codes[test], model.predict_proba(X[test]), labels=model.classes_)
        return candidates[int(losses.argmin())]

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
            Log-odds of the second class where there are two.
        """
        logits: np.ndarray = self._ask("decision_function", X)
        return logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        probabilities: np.ndarray = self._ask("predict_proba", X)
        return probabilities

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logs of the probabilities of the classes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
        """
        with np.errstate(divide="ignore"):
            logs: np.ndarray = self._ask("predict_log_proba", X)
        return logs

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        labels: np.ndarray = self._ask("predict", X)
        return labels

    def _ask(self, method: str, X: Any) -> Any:
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=FLOAT_DTYPES, reset=False)
        return getattr(self.model_, method)(X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            Share of the rows whose label is predicted.
        """
        return float(super().score(X, y, sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _in_row_space(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows in coordinates of their own span, (n_samples, rank), and the axes of these, (rank, n_features)."""
    left, values, axes = np.linalg.svd(X, full_matrices=False)
    kept = values > values.max(initial=0) * max(X.shape) * np.finfo(X.dtype).eps
    kept[0] = True
    return left[:, kept] * values[kept], axes[kept]


def _moments(X: np.ndarray, largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances of the columns of ``X / largest``, float64; rounding of constant columns is no variance."""
    n_samples, eps = len(X), np.finfo(np.float64).eps
    mean = np.zeros(X.shape[1])
    variance = np.zeros(X.shape[1])
    step = max(1, 2**22 // X.shape[1])
    for start in range(0, n_samples, step):  # chunks, so that no second table stands in memory
        mean += (X[start : start + step].astype(np.float64) / largest).sum(axis=0) / n_samples
    for start in range(0, n_samples, step):
        variance += np.square(X[start : start + step].astype(np.float64) / largest - mean).sum(axis=0) / n_samples
    variance[variance <= n_samples * eps * variance + (n_samples * mean * eps) ** 2] = 0
    return mean, variance
