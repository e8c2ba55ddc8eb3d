"""Fine-tuning: a network trained without labels continues with labels, in all layers (Howard & Ruder 2018)."""

from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.base import Views
from skrep.data import Batch, Source, as_targets, labelled_rows, read_indicators, read_labels
from skrep.params import Integer, Real, param, params
from skrep.supervised.fine_tuning import FineTuning

__all__ = ["FineTuneClassifier"]


@params
class FineTuneClassifier(ClassifierMixin, FineTuning):
    """A classifier that begins with a fitted encoder and trains all of its layers.

    A linear layer is put on a copy of the encoder's network, and both are trained on labels. Beside a
    ``LogisticRegression`` on features that stay as they are (the probe), this is the other use of a network that was
    trained without labels: it needs more labels and time, and gets further.

    Labels are one class for each row, or any number of labels for each row (multi-label): an indicator matrix. Rows
    without a label are set aside; an encoder that is not fitted yet is fitted on all rows.

    Parameters
    ----------
    class_weight : "balanced", dict or None, default=None
        Weights of the classes in the cross-entropy, as scikit-learn has them: a dict of weights by label, where classes
        that are not in it have weight 1; or "balanced", which is n_samples / (n_classes * number of rows of the class),
        over rows with a label. With multi-label `y`, each label is a problem of two classes, 0 and 1, which share a
        dict ``{0: ..., 1: ...}`` and are balanced one by one.
    unlabeled_value : int or None, default=-1
        Marks rows without a label in integer class labels, if at least two other classes remain; None: no value does.
        NaN and None in `y` always mark rows without a label. In an indicator matrix, only they do, and a row with one
        of them is set aside.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels; with multi-label `y` the columns, 0 to n_labels - 1.
    multilabel_ : bool
        Whether a row may have several labels.
    class_weight_ : ndarray of shape (n_classes,) or (2, n_labels), or None
        The weight of each class; with multi-label `y`, that of each label where it is absent, and where it is present.
        None without `class_weight`.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`: cross-entropy in
        nats, times the weights; with multi-label `y` the mean over labels.

    See Also
    --------
    FineTuneRegressor : The same for quantities.
    MaskedLMTransformer : An encoder of texts.
    SimCLRTransformer : An encoder of images and tables.

    Notes
    -----
    The loss of a mini-batch is the mean over its rows of weight times cross-entropy, not divided by the sum of the
    weights: the mean over mini-batches is that over all rows.

    References
    ----------
    Howard & Ruder (2018), Universal language model fine-tuning for text classification, arXiv:1801.06146.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import AutoEncoderTransformer, FineTuneClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> encoder = AutoEncoderTransformer(32, max_epochs=5, random_state=0).fit(X)
    >>> FineTuneClassifier(encoder, max_epochs=5, random_state=0).fit(X[:500], y[:500]).score(X[500:], y[500:]) > 0.8
    True

    Several labels for each row:

    >>> Y = np.stack([y % 2 == 0, y % 3 == 0, y > 4], axis=1).astype(int)
    >>> classifier = FineTuneClassifier(encoder, max_epochs=5, random_state=0).fit(X[:500], Y[:500])
    >>> classifier.predict_proba(X[500:]).shape
    (1297, 3)
    """

    _: KW_ONLY
    class_weight: Any = param("balanced", dict, None, default=None)
    unlabeled_value: int | None = param(Integer(), None, trains=False, default=-1)

    # --- hooks ----------------------------------------------------------------------------------------------------

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: rows as they are, and their labels, with their weights if `class_weight` is given."""
        weight = None if self.class_weight_ is None else torch.from_numpy(self.class_weight_)

        def views(batch: Batch, generator: torch.Generator) -> tuple[Any, Any]:
            y = batch.y
            if y is None or weight is None:  # without labels: to be shown
                return batch.x, y
            absent, *present = weight.to(y.device)  # of each label
            weights = torch.where(y > 0, present[0], absent) if y.ndim == 2 else weight.to(y.device)[y]
            return batch.x, (y, weights)

        return views

    def objective(self, outputs: Tensor, target: Any) -> Tensor:
        """Hook: cross-entropy; of each label by itself where a row may have several."""
        labels, weights = target if isinstance(target, tuple) else (target, None)
        if labels.ndim == 2:
            return F.binary_cross_entropy_with_logits(outputs, labels, weights)
        if weights is None:
            return F.cross_entropy(outputs, labels)
        loss: Tensor = (weights * F.cross_entropy(outputs, labels, reduction="none")).mean()
        return loss

    def trained_on(self, data: Source) -> dict[str, Any]:
        """Hook: the network that training starts from, and the classes."""
        return super().trained_on(data) | {"classes": self.classes_}

    # --- labels ---------------------------------------------------------------------------------------------------

    def _learn_targets(self, y: Any, **options: Any) -> np.ndarray:
        classes, name = options.get("classes"), type(self).__name__
        values, labelled = self._labelled(y, classes)
        self._require_labels(labelled)
        self.multilabel_ = values.ndim == 2 and values.shape[1] != 1
        if self.multilabel_:
            codes = read_indicators(values[labelled], None, name)
            self.classes_ = np.arange(codes.shape[1])
            if classes is not None and not np.array_equal(np.ravel(classes), self.classes_):
                raise ValueError(
                    f"classes={classes!r:.60} with y of shape {values.shape}: the classes of an indicator matrix are "
                    "its columns. Leave classes out."
                )
        else:
            self.classes_, codes = read_labels(as_targets(values[labelled]), None, name, classes)
        self.class_weight_ = self._weights(codes, is_part="classes" in options)
        return labelled

    def _read_targets(self, y: Any) -> tuple[np.ndarray, Tensor]:
        name = type(self).__name__
        values, labelled = self._labelled(y, self.classes_)
        self._require_labels(labelled)
        values = as_targets(values[labelled])
        if not self.multilabel_:
            return labelled, read_labels(values, None, name, self.classes_)[1]
        codes = read_indicators(values, None, name)
        if codes.shape[1] != len(self.classes_):
            raise ValueError(
                f"y has {codes.shape[1]} columns, but this {name} was fitted to {len(self.classes_)} labels. Pass the "
                "same labels, or call fit."
            )
        return labelled, codes

    def _labelled(self, y: Any, classes: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """Labels, and which rows have one; where the classes are known, they count as classes that occur."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None: the labels.")
        values = as_targets(y)
        is_matrix = values.ndim == 2 and values.shape[1] != 1  # whose classes are its columns
        return values, labelled_rows(values, self.unlabeled_value, classes=None if is_matrix else classes)

    def _weights(self, codes: Tensor, is_part: bool) -> np.ndarray | None:
        """The weights of the classes, float32."""
        n, name, given = len(codes), type(self).__name__, self.class_weight
        if given is None:
            return None
        if given == "balanced":
            if is_part:
                raise ValueError(
                    f"{name}(class_weight='balanced') needs all labels, and partial_fit sees a part of them. Pass a "
                    "dict of weights, or call fit."
                )
            if self.multilabel_:
                present = codes.sum(0, dtype=torch.float64).numpy()
                counts = np.stack([n - present, present])
            else:
                counts = np.bincount(codes.numpy(), minlength=len(self.classes_))
            return np.asarray(n / (len(counts) * counts.clip(1)), np.float32)
        classes = [0, 1] if self.multilabel_ else self.classes_.tolist()
        others = [label for label in given if label not in classes]
        if others and any(label not in given for label in classes):
            raise ValueError(
                f"{name}(class_weight=...) has a weight for {others[0]!r}, which is not among the classes "
                f"{classes!r:.200}. Name the classes as y has them."
            )
        if wrong := [value for value in given.values() if not Real(low=0).accepts(value)]:
            raise ValueError(
                f"{name}(class_weight=...) has the weight {wrong[0]!r}; expected finite numbers of at least 0."
            )
        weights = np.array([given.get(label, 1.0) for label in classes], np.float32)
        if not weights.any():
            raise ValueError(f"{name}(class_weight=...) gives all classes weight 0. Leave one above 0 at least.")
        return np.tile(weights[:, None], len(self.classes_)) if self.multilabel_ else weights

    @property
    def _n_outputs(self) -> int:
        return len(self.classes_)

    # --- fit and use ----------------------------------------------------------------------------------------------

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, *, groups: Any = None) -> Self:
        """One pass over more labelled rows, at a constant learning rate.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents, as the encoder takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            The label of each, or an indicator matrix. Rows without one are set aside.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that will come, in the first call. None takes those of `y`.
        groups : None
            Not used.

        Returns
        -------
        self
        """
        return self._one_pass(X, y, groups, classes=classes)

    def decision_function(self, X: Any) -> np.ndarray:
        """How much each row speaks for each class.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes, float32
            Log-odds of the second class where there are two, and of each label where a row may have several; else
            logits.
        """
        logits = self._outputs(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 and not self.multilabel_ else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float32
            Each row sums to 1, except with multi-label `y`.
        """
        logits = torch.from_numpy(self._outputs(X))
        return np.asarray((logits.sigmoid() if self.multilabel_ else logits.softmax(1)).numpy())

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row, or the labels that are likelier than not.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.

        Returns
        -------
        ndarray of shape (n_samples,), or (n_samples, n_labels) of 0 and 1
        """
        logits = self._outputs(X)
        if self.multilabel_:
            return (logits > 0).astype(np.int64)
        labels: np.ndarray = self.classes_[logits.argmax(1)]
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on the rows that have a label.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Their labels. Rows without one are set aside.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            Share of the rows whose label is predicted; of those whose labels are all predicted where a row may have
            several.
        """
        predicted = self.predict(X)
        values, labelled = self._labelled(y, self.classes_)
        if labelled.all():
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))
        self._require_labels(labelled)
        weights = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(accuracy_score(as_targets(values[labelled]), predicted[labelled], sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
