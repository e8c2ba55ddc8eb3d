"""Fine-tuning: a network trained without labels continues with labels, in all layers (Howard & Ruder 2018)."""

import copy
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassifierMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones import Linear
from skrep.base import Encoder, TorchTransformer, Views
from skrep.data import ArraySource, Batch, Source, read_labels, refuse_groups
from skrep.engine import Recipe, all_or_nothing, draw_seed
from skrep.engine.fit import fit, partial_fit
from skrep.engine.optimizers import OPTIMIZERS
from skrep.engine.sklearn_callbacks import with_callbacks
from skrep.params import FittedParts, Integer, Real, param, params

__all__ = ["FineTuneClassifier"]

# Steps that a default fit takes, about, and the epochs that this may come to.
DEFAULT_STEPS, EPOCHS = 500, (3, 30)


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
class FineTuneClassifier(FittedParts, ClassifierMixin, TorchTransformer):
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
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Declared hook: what the encoder reads."""
        reads: tuple[str, ...] = getattr(self.encoder, "reads", ())
        return reads

    @property
    def recipe(self) -> Recipe:  # type: ignore[override]
        """Declared hook: see docs/defaults.md."""
        lr = self.encoder_.recipe.fine_tuning_lr
        return Recipe(
            batch=lambda n: 16 if n < 1000 else 32, steps=DEFAULT_STEPS, epochs=EPOCHS, lr=dict.fromkeys(OPTIMIZERS, lr)
        )

    # --- hooks ----------------------------------------------------------------------------------------------------

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        """Hook: rows as the encoder reads them, and labels in training."""
        refuse_groups(groups, type(self).__name__)
        data: Source = self.encoder_.read(X, reset=False)
        for name in ("n_features_in_", "feature_names_in_", "image_shape_"):
            if hasattr(self.encoder_, name):
                setattr(self, name, getattr(self.encoder_, name))
        if y is not None:
            _, data.y = read_labels(y, len(data), type(self).__name__, self.classes_)
        return data

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the encoder's network and a linear layer."""
        if hasattr(self.encoder_, "net_"):
            encoder = copy.deepcopy(self.encoder_._encoder())
        else:  # of a classifier that is fitted: its weights are in the file
            encoder = self.encoder_.make_module(data).encoder
        return FineTuned(encoder.requires_grad_(True), self._n_features, len(self.classes_))

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: rows as they are, and their labels."""

        def views(batch: Batch, generator: torch.Generator) -> tuple[Any, Tensor]:
            assert batch.y is not None
            return batch.x, batch.y

        return views

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Hook: cross-entropy."""
        return F.cross_entropy(outputs, target)

    def lr_scales(self, module: nn.Module) -> dict[str, float]:
        """Hook: each layer learns more slowly than the one above it."""
        encoder: Any = module.encoder
        blocks = encoder.blocks() if hasattr(encoder, "blocks") else [[encoder]]
        names = {part: name for name, part in module.named_modules()}
        return {
            f"{names[part]}.": self.layer_decay**depth
            for depth, block in enumerate(reversed(blocks), 1)
            for part in block
        }

    def trained_on(self, data: Source) -> dict[str, Any]:
        """Hook: the network that training starts from, and the classes."""
        return {"start": self.encoder_._encoder(), "classes": self.classes_}

    # --- fit ------------------------------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Train the encoder's network, and a linear layer behind it, on labelled rows.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents, as the encoder takes them.
        y : array-like of shape (n_samples,)
            The label of each.
        groups : None
            Not used.

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
            self.classes_, _ = read_labels(y, None, type(self).__name__)
            self._take_encoder(X)
            fit(self, X, y, groups)
            del self.encoder_.net_  # what reads rows needs no weights
        return self

    def partial_fit(self, X: Any, y: Any = None, classes: Any = None, *, groups: Any = None) -> Self:
        """One pass over more labelled rows, at a constant learning rate.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents, as the encoder takes them.
        y : array-like of shape (n_samples,)
            The label of each.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that will come, in the first call. None takes those of `y`.
        groups : None
            Not used.

        Returns
        -------
        self
        """
        with all_or_nothing(self):
            first = not hasattr(self, "net_")
            if first:
                self.classes_, _ = read_labels(y, None, type(self).__name__, classes)
                self._take_encoder(X)
            read_labels(y, None, type(self).__name__, self.classes_)
            partial_fit(self, X, y, groups)
            if first:
                del self.encoder_.net_
        return self

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
        self._n_features = encoder.n_features_out_
        self.encoder_ = copy.copy(encoder)

    # --- use ------------------------------------------------------------------------------------------------------

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
        return features.encode(head, next(head.parameters()).device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.encoder is not None:
            tags.input_tags = get_tags(self.encoder).input_tags
        return tags
