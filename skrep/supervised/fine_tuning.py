"""What fine-tuning for classes and for quantities share: encoder, linear layer, learning rates, rows with a label."""

import copy
from abc import abstractmethod
from collections.abc import Sized
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrep.backbones import Linear
from skrep.base import Encoder, TorchTransformer
from skrep.data import ArraySource, Source, refuse_groups, report_set_aside, require_length
from skrep.engine import Recipe, all_or_nothing, draw_seed
from skrep.engine.fit import fit, partial_fit
from skrep.engine.optimizers import OPTIMIZERS
from skrep.engine.sklearn_callbacks import with_callbacks
from skrep.params import FittedParts, Integer, Real, check_params, param, params

__all__ = ["FineTuned", "FineTuning"]

# Steps that a default fit takes, about, and the epochs that this may come to.
DEFAULT_STEPS, EPOCHS = 500, (3, 30)


class FineTuned(nn.Module):
    """An encoder and a linear layer behind it, which both learn."""

    def __init__(self, encoder: nn.Module, n_features: int, n_outputs: int):
        super().__init__()
        self.encoder, self.head = encoder, Linear(n_features, n_outputs)
        nn.init.zeros_(self.head.weight)  # all outputs alike at first, so that the encoder is not shaken
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Any) -> Tensor:
        outputs: Tensor = self.head(self.encoder(x))  # (batch, ...) -> (batch, n_features) -> (batch, n_outputs)
        return outputs


@params
class FineTuning(FittedParts, TorchTransformer):
    """A linear layer on a copy of an encoder's network, both trained on rows that have a label.

    Parameters
    ----------
    encoder : Encoder
        A network estimator of this package, for texts, images or tables. It is not changed. A fitted one stays fitted
        in clones, as in ``GridSearchCV`` and ``cross_val_score``; one that is not is fitted first, on all rows of
        ``fit`` without their labels.
    layer_decay : float, default=0.8
        Factor of the learning rate from a layer to the one below, counted from the linear layer: what is near the
        input is more general, and is changed less.
    max_epochs : int or None, default=None
        Passes over the labelled rows. None takes as many as come to 500 steps, but 3 to 30.
    batch_size : int or None, default=None
        Rows in a step. None takes 16, from a thousand rows on 32.
    lr : float or None, default=None
        Peak learning rate, that of the linear layer. None takes 0.0005, for quantities behind tables and
        images 0.001, for published networks of texts 0.00005.
    weight_decay : float, default=0.01
        Decay of weight matrices; biases and normalisation gains are not decayed.

    Attributes
    ----------
    encoder_ : Encoder
        What reads rows; its network, fine-tuned, is ``net_.module_.encoder``.
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder`` and ``head``.
    n_features_out_ : int
        Number of features that ``transform`` gives: those of the fine-tuned encoder.
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

    # --- what a classifier and a regressor define --------------------------------------------------------------------

    @abstractmethod
    def _learn_targets(self, y: Any, **options: Any) -> np.ndarray:
        """Set what the targets decide (classes, number of outputs), and return which rows have one."""

    @abstractmethod
    def _read_targets(self, y: Any) -> tuple[np.ndarray, Tensor]:
        """Which rows have a target, and the targets of these rows, checked, as the loss takes them."""

    @property
    @abstractmethod
    def _n_outputs(self) -> int:
        """Width of the linear layer."""

    # --- hooks ----------------------------------------------------------------------------------------------------

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        """Hook: rows as the encoder reads them; in training those that have a target, with it."""
        refuse_groups(groups, type(self).__name__)
        data: Source = self.encoder_.read(X, reset=False)
        for name in ("n_features_in_", "feature_names_in_", "image_shape_"):
            if hasattr(self.encoder_, name):
                setattr(self, name, getattr(self.encoder_, name))
        if y is not None:
            labelled, targets = self._read_targets(y)
            require_length("y", len(labelled), len(data))
            if not labelled.all():
                data = data.subset(torch.from_numpy(np.flatnonzero(labelled)))
            data.y = targets
        return data

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the encoder's network and a linear layer."""
        if hasattr(self.encoder_, "net_"):
            encoder = copy.deepcopy(self.encoder_._encoder())
        else:  # of an estimator that is fitted: its weights are in the file
            encoder = self.encoder_.make_module(data).encoder
        return FineTuned(encoder.requires_grad_(True), self._n_features, self._n_outputs)

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
        """Hook: the network that training starts from."""
        return {"start": self.encoder_._encoder()}

    # --- fit ------------------------------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Train the encoder's network, and a linear layer behind it, on the rows that have a label.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents, as the encoder takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The labels or quantities of each. Rows without one are set aside; an encoder that is not fitted is fitted
            on them too.
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
            labelled = self._begin(X, y)
            report_set_aside(labelled, type(self).__name__)
            fit(self, X, y, groups)
            del self.encoder_.net_  # what reads rows needs no weights
        return self

    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """One pass over more labelled rows, at a constant learning rate.

        Parameters
        ----------
        X : array-like or iterable of length n_samples
            Rows, images or documents, as the encoder takes them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The labels or quantities of each. Rows without one are set aside.
        groups : None
            Not used.

        Returns
        -------
        self
        """
        return self._one_pass(X, y, groups)

    def _one_pass(self, X: Any, y: Any, groups: Any, **options: Any) -> Self:
        with all_or_nothing(self):
            first = not hasattr(self, "net_")
            if first:
                self._begin(X, y, **options)
            self._read_targets(y)  # y=None would be rows to transform
            partial_fit(self, X, y, groups)
            if first:
                del self.encoder_.net_
        return self

    def _begin(self, X: Any, y: Any, **options: Any) -> np.ndarray:
        """Learn what the targets decide, and take the encoder, fitted; which rows have a target."""
        encoder = self.encoder
        if not isinstance(encoder, Encoder):
            raise ValueError(
                f"{type(self).__name__}(encoder={encoder!r:.60}): expected a network of this package, such as "
                "MaskedLMTransformer or SimCLRTransformer."
            )
        check_params(self)
        labelled = self._learn_targets(y, **options)
        if not hasattr(encoder, "net_"):
            if (n_samples := _length(X)) is not None:  # before the time that the encoder takes
                require_length("y", len(labelled), n_samples)
            encoder = clone(encoder)
            if encoder.random_state is None and self.random_state is not None:
                encoder.random_state = draw_seed(self.random_state)
            encoder.fit(X)
        self._n_features = encoder.n_features_out_
        self.encoder_ = copy.copy(encoder)
        return labelled

    def _require_labels(self, labelled: np.ndarray) -> None:
        if len(labelled) and not labelled.any():
            raise ValueError(
                f"y has no label: all of its {len(labelled)} rows are missing (None, NaN). {type(self).__name__} needs "
                "rows with a label; the encoder alone is fitted without any."
            )

    # --- use ------------------------------------------------------------------------------------------------------

    def _outputs(self, X: Any) -> np.ndarray:
        """What the linear layer gives for each row, (n_samples, n_outputs)."""
        check_is_fitted(self)
        features = ArraySource(self.transform(X))
        head: nn.Module = self.net_.module_.head
        return features.encode(head, next(head.parameters()).device)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        if self.encoder is not None:
            tags.input_tags = get_tags(self.encoder).input_tags
        return tags


def _length(X: Any) -> int | None:
    """Number of rows, where it can be seen without reading them."""
    if isinstance(X, (str, bytes)) or not isinstance(X, Sized):
        return None
    shape = getattr(X, "shape", None)
    if shape is None:
        return len(X)
    return int(shape[0]) if len(shape) else None
