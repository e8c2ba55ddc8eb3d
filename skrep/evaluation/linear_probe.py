"""An encoder trained on all rows, and a linear model trained on those that have a label."""

import os
from typing import Any, Self

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.pipeline import Pipeline
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d

from skrep.evaluation.encoder_probe import EncoderProbe, HasMethods, few_labels, probe_has
from skrep.evaluation.labels import labelled_part, labelled_rows
from skrep.evaluation.probe import default_classifier, default_regressor
from skrep.evaluation.rows import as_sized
from skrep.params import Integer, param, params

__all__ = ["LinearProbe", "LinearProbeRegressor"]


@params
class LinearProbe(EncoderProbe, ClassifierMixin, BaseEstimator):
    """A classifier for few labels: an encoder trained on all rows, a linear classifier on the labelled ones.

    The encoder never sees a label. Rows without one, marked by NaN, None or -1, train it too, and so do the rows of
    `unlabeled`, which belong to no fold of a cross-validation:
    ``cross_val_score(LinearProbe(encoder, unlabeled=X_u), X, y)`` measures what they add.

    Parameters
    ----------
    encoder : estimator, default=None
        Any transformer, of this package, of scikit-learn, or a Pipeline of several. It is cloned, and fitted without
        labels on the rows of `X` followed by those of `unlabeled`. One that is fitted, or in a
        :class:`~sklearn.frozen.FrozenEstimator`, is used as it is, and stays fitted when the probe is cloned.
    classifier : estimator or None, default=None
        The probe: any classifier; it is cloned, and fitted on features of labelled rows. None is a logistic regression
        on features divided by one number, see :class:`skrep.evaluation.CommonScaler`.
    unlabeled : array-like, DataFrame, sparse matrix, list or None, default=None
        More rows for the encoder, of the same kind as `X`. Clones share them, a repr counts them, and
        :func:`skrep.save` leaves them out.
    unlabeled_value : int or None, default=-1
        The integer that stands for no label, in integer labels that have at least two other classes; None for no such
        integer. See :func:`skrep.evaluation.labelled_rows`.
    memory : str, path-like, joblib.Memory or None, default=None
        A folder in which fitted encoders are kept, as in :class:`~sklearn.pipeline.Pipeline`. An encoder of the same
        class and parameters, its seed among them, that was fitted on the same rows is read instead of fitted: a grid
        over parameters of the probe fits the encoder once a fold. An encoder with ``random_state=None`` is kept like
        any other.

    Attributes
    ----------
    encoder_ : estimator
        The fitted encoder.
    classifier_ : estimator
        The fitted probe.
    classes_ : ndarray of shape (n_classes,)
        The labels; a list of such arrays for several labels a row.
    n_features_in_ : int
        Number of columns that the encoder has seen, for tables.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if they had any.

    See Also
    --------
    LinearProbeRegressor : The same for quantities.
    FineTuneClassifier : All layers of a network trained with labels.
    skrep.evaluation.labelled : Scorers that count labelled rows only.
    skrep.evaluation.few_label_probe : How accuracy grows with the number of labels.

    Notes
    -----
    Parameters of the encoder can be searched, as ``encoder__n_components``, where the encoder is not fitted; one that
    is fitted is not fitted again, whatever its parameters are set to.

    With several labels a row, a row has none if one of them is missing, or if all of them are `unlabeled_value`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import cross_val_score
    >>> from skrep import LinearProbe, PCAEncoder
    >>> X, y = load_digits(return_X_y=True)
    >>> labels = np.where(np.arange(len(y)) % 10, -1, y)  # one row in ten has a label
    >>> probe = LinearProbe(PCAEncoder(32)).fit(X, labels)
    >>> bool(probe.score(X[1::10], y[1::10]) > 0.85)
    True

    The same rows without labels, in a cross-validation of the 180 labelled ones:

    >>> labelled, rest = X[::10], X[1::10]
    >>> scores = cross_val_score(LinearProbe(PCAEncoder(32), unlabeled=rest), labelled, y[::10])
    >>> bool(scores.mean() > 0.8)
    True
    """

    encoder: Any = param(HasMethods("fit", "transform"), default=None)
    classifier: Any = param(HasMethods("fit", "predict"), None, default=None)
    unlabeled: Any = param(default=None)
    unlabeled_value: int | None = param(Integer(), None, default=-1)
    memory: Any = param(str, os.PathLike, HasMethods("cache"), None, default=None)

    _part = "classifier"
    _needed = (
        "expected labels of at least 2 classes. NaN, None and, if two other classes remain, unlabeled_value mark rows "
        "without a label"
    )

    @property
    def classes_(self) -> Any:
        """The labels."""
        if "classifier_" not in vars(self):
            raise AttributeError("LinearProbe has no classes_ before fit.")
        return self.classifier_.classes_

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Train the encoder on all rows, and the classifier on features of the labelled ones.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their labels; NaN, None or `unlabeled_value` for rows that have none.
        **params : dict
            ``sample_weight``, one for each row of `X`, for the classifier. With
            ``sklearn.set_config(enable_metadata_routing=True)``, whatever the encoder and the classifier request.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For rows, labels or parameters that cannot be used; the message names the fix. The probe is then what it
            was.
        """
        return self._fit(X, y, params)

    @available_if(probe_has("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or what the classifier returns for several labels a row
        """
        return self._ask("predict_proba", X)

    @available_if(probe_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of the probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or what the classifier returns for several labels a row
        """
        return self._ask("predict_log_proba", X)

    @available_if(probe_has("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """How much each row speaks for each class.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes
        """
        return self._ask("decision_function", X)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on the rows that have a label.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their labels; rows without one do not count. `unlabeled_value` is none, unless ``fit`` took it for a class.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            Share of the labelled rows whose label, or labels, are predicted.
        """
        check_is_fitted(self)
        rows = labelled_part(
            as_sized(X), y, sample_weight,
            unlabeled_value=self.unlabeled_value, regression=False, classes=self.classes_,
        )  # fmt: skip
        return float(super().score(*rows))

    def _default(self) -> Pipeline:
        return default_classifier()

    def _labelled(self, y: Any) -> np.ndarray:
        return labelled_rows(y, self.unlabeled_value)

    def _checked(self, labels: Any) -> Any:
        if not issparse(labels) and labels.dtype.kind in "fc":
            assert_all_finite(labels, input_name="y")
        with few_labels():
            check_classification_targets(labels)
        if labels.ndim == 2 and labels.shape[1] > 1:
            if self.classifier is None:
                raise ValueError(
                    f"y has shape {labels.shape}, several labels a row, which the default classifier does not take. "
                    "Pass one that does, such as MultiOutputClassifier(LogisticRegression()) or KNeighborsClassifier()."
                )
            return labels
        labels = column_or_1d(labels, warn=True)
        classes = np.unique(labels)
        if len(classes) < 2:
            raise ValueError(f"y has 1 class among its labels, {classes.tolist()[0]!r}: {self._needed}.")
        return labels


@params
class LinearProbeRegressor(EncoderProbe, RegressorMixin, BaseEstimator):
    """A regressor for few known values: an encoder trained on all rows, ridge regression on those that have a value.

    The encoder never sees a value. Rows without one, marked by NaN or None, train it too, and so do the rows of
    `unlabeled`, which belong to no fold of a cross-validation.

    Parameters
    ----------
    encoder : estimator, default=None
        Any transformer, of this package, of scikit-learn, or a Pipeline of several. It is cloned, and fitted without
        labels on the rows of `X` followed by those of `unlabeled`. One that is fitted, or in a
        :class:`~sklearn.frozen.FrozenEstimator`, is used as it is, and stays fitted when the probe is cloned.
    regressor : estimator or None, default=None
        The probe: any regressor; it is cloned, and fitted on features of rows that have a value. None is a ridge
        regression on features divided by one number, see :class:`skrep.evaluation.CommonScaler`.
    unlabeled : array-like, DataFrame, sparse matrix, list or None, default=None
        More rows for the encoder, of the same kind as `X`. Clones share them, a repr counts them, and
        :func:`skrep.save` leaves them out.
    memory : str, path-like, joblib.Memory or None, default=None
        A folder in which fitted encoders are kept, as in :class:`LinearProbe`.

    Attributes
    ----------
    encoder_ : estimator
        The fitted encoder.
    regressor_ : estimator
        The fitted probe.
    n_features_in_ : int
        Number of columns that the encoder has seen, for tables.
    feature_names_in_ : ndarray of shape (n_features,)
        Their names, if they had any.

    See Also
    --------
    LinearProbe : The same for classes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_diabetes
    >>> from skrep import LinearProbeRegressor, PCAEncoder
    >>> X, y = load_diabetes(return_X_y=True)
    >>> y[100:] = np.nan  # 100 of 442 values are known
    >>> bool(LinearProbeRegressor(PCAEncoder(5)).fit(X, y).score(X, y) > 0.3)
    True
    """

    encoder: Any = param(HasMethods("fit", "transform"), default=None)
    regressor: Any = param(HasMethods("fit", "predict"), None, default=None)
    unlabeled: Any = param(default=None)
    memory: Any = param(str, os.PathLike, HasMethods("cache"), None, default=None)

    _part = "regressor"
    _needed = "expected at least 1 value that is neither NaN nor None"

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Train the encoder on all rows, and the regressor on features of those that have a value.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values; NaN or None for rows that have none.
        **params : dict
            ``sample_weight``, one for each row of `X`, for the regressor. With
            ``sklearn.set_config(enable_metadata_routing=True)``, whatever the encoder and the regressor request.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For rows, values or parameters that cannot be used; the message names the fix. The probe is then what it
            was.
        """
        return self._fit(X, y, params)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Coefficient of determination, R², on the rows that have a value.

        Parameters
        ----------
        X : array-like, sparse matrix, or iterable of length n_samples
            Rows as the encoder takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their values; rows without one do not count.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            1 for exact predictions, 0 for those of the mean.
        """
        check_is_fitted(self)
        rows = labelled_part(as_sized(X), y, sample_weight, unlabeled_value=None, regression=True, classes=None)
        return float(super().score(*rows))

    def _default(self) -> Pipeline:
        return default_regressor()

    def _labelled(self, y: Any) -> np.ndarray:
        return labelled_rows(y, None, regression=True)

    def _checked(self, labels: Any) -> Any:
        if labels.dtype.kind in "OUS":
            raise ValueError(
                f"LinearProbeRegressor takes numbers, got y with values such as {labels.ravel()[0]!r}. For classes use "
                "LinearProbe; numbers that came as text need y.astype(float)."
            )
        assert_all_finite(labels, input_name="y")
        return labels
