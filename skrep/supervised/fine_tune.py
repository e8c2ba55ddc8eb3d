"""Fine-tuning: a network that has learned without labels goes on with labels, in all layers (Howard & Ruder 2018)."""

import copy
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin, clone
from sklearn.model_selection import train_test_split
from sklearn.utils import get_tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_is_fitted, column_or_1d
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones import Linear
from skrep.base import Encoder, TorchTransformer, Views, all_or_nothing
from skrep.data import ArraySource, Batch, ShapeSource, Source
from skrep.engine import draw_seed, encode, fingerprint
from skrep.engine.sklearn_callbacks import with_callbacks
from skrep.params import Integer, Real, param, params

__all__ = ["FineTuneClassifier"]

# Steps that a default fit takes, about, and the epochs that this may come to.
DEFAULT_STEPS, EPOCHS = 500, (3, 30)

# Rows of features that are classified at a time, always.
ROWS = 256


class FineTuned(nn.Module):
    """An encoder and a linear layer behind it, which both learn."""

    def __init__(self, encoder: nn.Module, n_features: int, n_classes: int):
        super().__init__()
        self.encoder, self.head = encoder, Linear(n_features, n_classes)
        nn.init.zeros_(self.head.weight)  # all classes alike at first, so that the encoder is not shaken
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Any) -> Tensor:
        logits: Tensor = self.head(self.encoder(x))  # (batch, ...) -> (batch, n_features) -> (batch, n_classes)
        return logits


@params
class FineTuneClassifier(ClassifierMixin, TorchTransformer):
    """A classifier that begins with a fitted encoder and trains all of its layers.

    A linear layer is put on a copy of the encoder's network, and both are trained on labels. Beside a
    ``LogisticRegression`` on features that stay as they are (the probe), this is the other use of a network that was
    trained without labels: it needs more labels and time, and gets further.

    Parameters
    ----------
    encoder : Encoder
        A network estimator of this package, for texts, images or tables. It is not changed. A fitted one stays fitted
        when the classifier is cloned, as in ``GridSearchCV`` and ``cross_val_score``; one that is not is fitted first,
        on the rows of ``fit`` without their labels.
    layer_decay : float, default=0.8
        Factor of the learning rate from a layer to the one below, counted from the linear layer: what is near the
        input is more general, and is changed less.
    max_epochs : int or None, default=None
        Passes over the data. None takes as many as come to 500 steps, but 3 to 30.
    batch_size : int or None, default=None
        Rows in a step. None takes 16, from a thousand rows on 32.
    lr : float or None, default=None
        Peak learning rate, that of the linear layer. None takes 0.0005, for published texts' networks 0.00005.
    weight_decay : float, default=0.01
        Decay of weight matrices; biases and normalisation gains are not decayed.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    encoder_ : Encoder
        What reads rows; its network, fine-tuned, is ``net_.module_.encoder``.
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder`` and ``head``.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`: cross-entropy in
        nats.
    n_epochs_ : int
        Number of epochs trained.
    resumed_from_ : tuple of (int, int) or None
        Epochs and batches that a checkpoint had done.
    n_features_out_ : int
        Number of features that ``transform`` gives: those of the fine-tuned encoder.
    n_features_in_ : int
        Number of columns seen in ``fit``, for tables.
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of the images seen in ``fit``, for images.

    See Also
    --------
    MaskedLMTransformer : An encoder of texts.
    SimCLRTransformer : An encoder of images and tables.

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
    """

    encoder: Any = param(Encoder, default=None)
    _: KW_ONLY
    layer_decay: float = param(Real(low=0, high=1, open_low=True), default=0.8)
    max_epochs: int | None = param(Integer(low=1), None, default=None)
    batch_size: int | None = param(Integer(low=1), None, default=None)
    lr: float | None = param(Real(low=0, open_low=True), None, default=None)
    weight_decay: float = param(Real(low=0), default=0.01)

    @property
    def _takes_images(self) -> bool:
        return bool(self.encoder._takes_images)

    # --- hooks ----------------------------------------------------------------------------------------------------

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the encoder's network and a linear layer."""
        if isinstance(data, ShapeSource):
            made: Any = self.encoder_.make_module(data)
            encoder: nn.Module = made.encoder
        else:
            assert self._start is not None
            encoder = copy.deepcopy(self._start)
        return FineTuned(encoder.requires_grad_(True), self._n_features, len(self.classes_))

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: rows as they are, against their labels."""

        def views(batch: Batch, generator: torch.Generator) -> tuple[Any, Tensor]:
            assert batch.y is not None
            return batch.x, batch.y

        return views

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Hook: cross-entropy."""
        return F.cross_entropy(outputs, target)

    # --- fit ------------------------------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any) -> Self:
        """Train the encoder's network, and a linear layer behind it, on labelled rows.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents, as the encoder takes them.
        y : array-like of shape (n_samples,)
            The label of each.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For data or parameters that cannot be used; the message names the fix.
        DivergedError
            If the loss is no longer finite.
        """
        with all_or_nothing(self):
            self._take_labels(y, None)
            self._take_encoder(X)
            self._fit(X)
            self._let_go()
        return self

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None) -> Self:
        """One pass over more labelled rows, at a constant learning rate.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents, as the encoder takes them.
        y : array-like of shape (n_samples,)
            The label of each.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that will come, in the first call. None takes those of `y`.

        Returns
        -------
        self
        """
        with all_or_nothing(self):
            first = not hasattr(self, "net_")
            self._take_labels(y, classes if first else self.classes_)
            if first:
                self._take_encoder(X)
            super().partial_fit(X)
            self._let_go()
        return self

    def _take_labels(self, y: Any, classes: Any) -> None:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None: the labels.")
        y = column_or_1d(y, warn=True)
        if y.dtype.kind in "fc":
            assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        if not len(y):
            raise ValueError("y has no labels: found 0 samples, and a minimum of 1 is required.")
        self.classes_ = np.unique(y if classes is None else classes)
        if len(self.classes_) < 2:
            raise ValueError(f"y has 1 class, {self.classes_.tolist()[0]!r}; at least 2 are needed to tell apart.")
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        unknown = self.classes_[codes] != y
        if unknown.any():
            raise ValueError(
                f"y has the label {y[unknown].tolist()[0]!r}, which is not among classes {self.classes_.tolist()}."
            )
        self._codes: Tensor | None = torch.from_numpy(codes)

    def _take_encoder(self, X: Any) -> None:
        encoder = self.encoder
        if not isinstance(encoder, Encoder):
            raise ValueError(
                f"{type(self).__name__}(encoder={encoder!r:.60}): expected a network of this package, such as "
                "MaskedLMTransformer or SimCLRTransformer."
            )
        if not hasattr(encoder, "net_"):
            encoder = clone(encoder)
            if encoder.random_state is None and self.random_state is not None:
                encoder.random_state = draw_seed(self.random_state)
            encoder.fit(X)
        self._start: nn.Module | None = encoder._encoder()
        self._n_features = encoder.n_features_out_
        self.encoder_ = copy.copy(encoder)
        del self.encoder_.net_  # what reads rows needs no weights

    def _let_go(self) -> None:
        """Forget what only training needs."""
        self._start = self._codes = None

    def _read(self, X: Any, *, reset: bool) -> Source:
        data: Source = self.encoder_._read(X, reset=False)
        for name in ("n_features_in_", "feature_names_in_", "image_shape_"):
            if hasattr(self.encoder_, name):
                setattr(self, name, getattr(self.encoder_, name))
        codes = getattr(self, "_codes", None)
        if codes is not None:
            if len(codes) != len(data):
                raise ValueError(f"X has {len(data)} samples, y has {len(codes)}: found inconsistent numbers.")
            data.y = codes
        return data

    def _split(self, data: Source, seed: int) -> tuple[Source, Source | None]:
        if self.validation_fraction is None and self.early_stopping is None:
            return data, None
        assert data.y is not None
        n_valid = max(2, len(self.classes_), round((self.validation_fraction or 0.1) * len(data)))
        few = torch.bincount(data.y).min() < 2
        try:
            parts = train_test_split(
                np.arange(len(data)), test_size=n_valid, random_state=seed % 2**32, stratify=None if few else data.y
            )
        except ValueError:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of n_samples = {len(data)} leaves too few rows to "
                "train on. Pass more rows or a smaller fraction."
            ) from None
        train, valid = (_part(data, torch.from_numpy(np.sort(part))) for part in parts)
        return train, valid

    def _default_sizes(self, data: Source, module: nn.Module) -> tuple[int, int]:
        batch_size = self.batch_size or (16 if len(data) < 1000 else 32)
        if self.max_epochs is not None or self.budget_minutes is not None:
            return batch_size, super()._default_sizes(data, module)[1]
        return batch_size, int(np.clip(DEFAULT_STEPS * batch_size / len(data), *EPOCHS))

    def _peak_lr(self) -> float:
        return self.lr or self.encoder_._fine_tuning_lr

    def _lr_scales(self, module: nn.Module) -> dict[str, float]:
        encoder: Any = module.encoder
        blocks = encoder.blocks() if hasattr(encoder, "blocks") else [[encoder]]
        names = {part: name for name, part in module.named_modules()}
        return {
            f"{names[part]}.": self.layer_decay**depth
            for depth, block in enumerate(reversed(blocks), 1)
            for part in block
        }

    def _run_key(self, data: Source, seed: int, goes_on: bool) -> str:
        return fingerprint(super()._run_key(data, seed, goes_on), self._start, self.classes_)

    def _keep_results(self, data: Source, resumed_from: tuple[int, int] | None) -> None:
        self.n_features_out_ = self._n_features
        super()._keep_results(data, resumed_from)

    # --- use ------------------------------------------------------------------------------------------------------

    def _encode(self, encoder: nn.Module, data: Source, device: torch.device) -> np.ndarray:
        features: np.ndarray = self.encoder_._encode(encoder, data, device)
        return features

    def decision_function(self, X: Any) -> np.ndarray:
        """How much each row speaks for each class.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or (n_samples,) for two classes, float32
            Log-odds of the second class where there are two; else logits.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if len(self.classes_) == 2 else logits

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), float32
        """
        return np.asarray(torch.from_numpy(self._logits(X)).softmax(1).numpy())

    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each row.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        logits = self._logits(X)
        labels: np.ndarray = self.classes_[logits.argmax(1)]
        return labels

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows.

        Returns
        -------
        float
            Share of the rows whose label is predicted.
        """
        return float(super().score(X, y, sample_weight))

    def _logits(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        features = ArraySource(self.transform(X))
        head: nn.Module = self.net_.module_.head
        return encode(head, features, next(head.parameters()).device, ROWS)

    def __sklearn_clone__(self) -> Any:
        copied = super().__sklearn_clone__()
        if hasattr(self.encoder, "net_"):
            copied.encoder = copy.copy(self.encoder)  # its parameters can be set without touching the first one's
        return copied

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.encoder is not None:
            tags.input_tags = get_tags(self.encoder).input_tags
        return tags


def _part(data: Source, index: Tensor) -> Source:
    part = data.subset(index)
    part.y = None if data.y is None else data.y[index]
    return part
