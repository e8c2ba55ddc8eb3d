"""Principal component analysis (Pearson 1901, Hotelling 1933), with scikit-learn's solvers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_is_fitted

from skrep.base import all_or_nothing

__all__ = ["PCAEncoder"]


class PCAEncoder(PCA):
    """The directions of largest variance: the best linear code in squared error.

    scikit-learn's :class:`~sklearn.decomposition.PCA`, with its parameters, attributes and dtype rule (float32 in,
    float32 out; everything else float64). What is added are promises: values so large that variances overflow are an
    error instead of NaN, and after an error the estimator is as it was.

    Parameters
    ----------
    n_components : int, float, "mle" or None, default=None
        Number of features. A float in (0, 1) keeps as many as explain that share of the variance, "mle" takes Minka's
        estimate, None keeps all.
    copy : bool, default=True
        If False, ``fit`` may overwrite `X`.
    whiten : bool, default=False
        Whether to scale the features to unit variance.
    svd_solver : {"auto", "full", "covariance_eigh", "arpack", "randomized"}, default="auto"
        How the decomposition is computed; "auto" chooses by the shape of the data.
    tol : float, default=0.0
        Tolerance for "arpack".
    iterated_power : int or "auto", default="auto"
        Power iterations for "randomized".
    n_oversamples : int, default=10
        Additional random vectors for "randomized".
    power_iteration_normalizer : {"auto", "QR", "LU", "none"}, default="auto"
        Normaliser of the power iterations for "randomized".
    random_state : int, RandomState instance or None, default=None
        For "arpack" and "randomized".

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Principal axes, by decreasing variance.
    explained_variance_ : ndarray of shape (n_components,)
        Variance along each axis (divided by n_samples - 1).
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Share of the total variance.
    singular_values_ : ndarray of shape (n_components,)
        Of the centred data.
    mean_ : ndarray of shape (n_features,)
        Mean of each column.
    n_components_ : int
        Number of features.
    noise_variance_ : float
        Mean variance of the axes left out, as in probabilistic PCA (Tipping & Bishop 1999).
    n_features_in_ : int
        Number of columns seen in ``fit``.

    See Also
    --------
    AutoEncoderTransformer : A code that need not be linear.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import PCAEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> PCAEncoder(16).fit_transform(X).shape
    (1797, 16)
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the axes.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used.
        """
        with self._checked():
            super().fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """Find the axes and return the features of the same rows, at the price of ``fit`` alone.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows.
        y : None
            Not used.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features.

        Raises
        ------
        ValueError
            For data or parameters that cannot be used.
        """
        with self._checked():
            return self._finite(super().fit_transform(X, y))

    def transform(self, X: Any) -> Any:
        """Features of each row.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features.

        Raises
        ------
        ValueError
            If `X` is not what was fitted, or so large that its projection overflows.
        """
        check_is_fitted(self)
        with np.errstate(over="ignore", invalid="ignore"):
            return self._finite(super().transform(X))

    @contextmanager
    def _checked(self) -> Iterator[None]:
        with all_or_nothing(self), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            try:
                yield
            except np.linalg.LinAlgError as error:
                raise ValueError(f"{self._too_large()} ({error})") from None
            if isinstance(self.mean_, np.ndarray):
                if self.n_samples_ == 1:
                    raise ValueError(
                        "Found array with 1 sample(s) while a minimum of 2 is required by PCAEncoder: one row "
                        "has no variance."
                    )
                if not all(np.isfinite(a).all() for a in (self.components_, self.explained_variance_)):
                    raise ValueError(self._too_large())

    def _finite(self, features: Any) -> Any:
        values = features.to_numpy() if hasattr(features, "to_numpy") else features
        if isinstance(values, np.ndarray) and not np.isfinite(values).all():
            raise ValueError(self._too_large())
        return features

    def _too_large(self) -> str:
        return (
            f"{type(self).__name__}: X holds values so large, or in so small a float type, that variances or "
            "projections overflow. "
            "Rescale it first, for example with sklearn.preprocessing.StandardScaler."
        )
