"""The linear model behind an encoder, and the scale of the features that it sees."""

from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.utils.validation import FLOAT_DTYPES, check_is_fitted, validate_data

__all__ = ["CommonScaler", "default_classifier", "default_regressor"]


def default_classifier() -> Pipeline:
    """The classifier of a probe: logistic regression on features that are centred and divided by one number.

    Returns
    -------
    sklearn.pipeline.Pipeline
        Not fitted.
    """
    return make_pipeline(_scaler(), LogisticRegression(max_iter=2000))


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
    feature_names_in_ : ndarray of shape (n_features_in_,)
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
