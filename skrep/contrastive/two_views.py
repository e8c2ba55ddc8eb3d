"""What methods share that contrast two augmented views of each row: backbone, augmentation, projections."""

from dataclasses import KW_ONLY
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skrep.base import TorchTransformer, Views
from skrep.data import Batch, Source, read, read_groups
from skrep.engine import Recipe, up_to
from skrep.engine.optimizers import DEFAULT_LR
from skrep.engine.recipe import DEFAULT_WORK
from skrep.params import Integer, Real, param, params
from skrep.views import default_views, resolve_views

__all__ = ["TwoViews"]

# Networks of images take twice the usual rate: measured for ConvNet.
IMAGE_LR = {**DEFAULT_LR, "adam": 2 * DEFAULT_LR["adam"], "adamw": 2 * DEFAULT_LR["adamw"]}


@params
class TwoViews(TorchTransformer):
    """A network that learns from two augmented views of each row.

    Its module has an ``encoder`` (of :func:`skrep.backbones.make_encoder`) and a ``spread``.

    Parameters
    ----------
    n_components : int or None, default=None
        Number of features. None takes the backbone's own width.
    backbone : WideAndDeep, MLP, ConvNet, ResNet, torch.nn.Module or None, default=None
        The network, from :mod:`skrep.backbones`. None takes a perceptron beside the columns themselves
        (:class:`~skrep.backbones.WideAndDeep`) for tables and a small convolutional network for images. A torch module
        gets standardised rows (batch, n_features) or images (batch, channels, height, width), must return one vector a
        row, and is copied.
    augment : view, str, list of them or None, default=None
        How views are made: parts of :mod:`skrep.views` or their names, applied in order.
    projection_dim : int, default=64
        Width of the projections that are compared.
    lr : float or None, default=None
        Peak learning rate. None takes 0.002 for "adam" and "adamw", of images 0.004, 0.05 for "sgd" and 1 for "lars".
    layer : str, int or None, default=None
        The block of the backbone whose output ``transform`` returns, averaged over the image: its name or its position
        among the backbone's children. None is the backbone's output.

    Attributes
    ----------
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", "projection_std", "effective_rank", and "valid_loss" with
        `validation_fraction`. "projection_std" is 1 where projections lie in all directions alike and 0 where all are
        the same; "effective_rank" is the number of directions that they use.
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    backbone: Any = param(BaseEstimator, nn.Module, None, default=None)
    augment: Any = param(default=None)
    _: KW_ONLY
    projection_dim: int = param(Integer(low=1), default=64)
    lr: float | None = param(Real(low=0, open_low=True), None, default=None)
    layer: str | int | None = param(str, Integer(), None, trains=False, default=None)

    reads = ("table", "images")
    shares_batches = True
    _work: ClassVar[float] = DEFAULT_WORK
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": None}
    __metadata_request__partial_fit: ClassVar[dict[str, Any]] = {"groups": None}

    @property
    def recipe(self) -> Recipe:  # type: ignore[override]
        """Declared hook: see docs/defaults.md. In the time a CPU has, more and smaller steps beat more negatives."""
        return Recipe(batch=up_to(128), work=self._work, lr=IMAGE_LR if hasattr(self, "image_shape_") else DEFAULT_LR)

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        """Hook: rows and their groups."""
        data = read(self, X, reset=reset)
        data.groups = read_groups(groups, len(data))
        if data.groups is None:
            return data
        n_groups = int(data.groups.max()) + 1
        if n_groups == 1:
            raise ValueError(
                f"{type(self).__name__} got {len(data)} groups of one value: all rows are of one group, and none has a "
                "negative. Pass groups with two values or more, or leave groups out."
            )
        if reset and n_groups < 4 and (self.validation_fraction is not None or self.early_stopping is not None):
            raise ValueError(
                f"{type(self).__name__} got {n_groups} groups: to train and to validate, each needs 2 at least, or no "
                "row has a negative. Pass 4 groups or more, or leave validation_fraction and early_stopping out."
            )
        first = 0 if reset and not self.warm_start else getattr(self, "_n_groups", 0)
        data.groups += first  # those of another call are others: a queue holds keys of both
        self._n_groups = first + n_groups
        return data

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: two augmented views of each row, the first of all rows before the second; and the rows' groups."""
        view = resolve_views(self.augment, default_views(data.shape))
        scale: Any = module.encoder.scale  # type: ignore[union-attr]

        def views(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
            scaled = scale(batch.x)
            return view(torch.cat([scaled, scaled]), generator), batch.groups  # (2 * batch, ...)

        return views

    def after_step(self, module: nn.Module, outputs: Tensor, progress: float) -> None:
        """Hook: the spread of the projections is measured."""
        if not isinstance(outputs, Tensor) or not hasattr(module, "spread"):
            raise TypeError(
                f"the module of {type(self).__name__} returns a {type(outputs).__name__}; TwoViews measures the spread "
                "of projections, one tensor (2 * batch, projection_dim), by module.spread, a skrep.backbones.Spread. "
                "Define after_step and after_epoch where the module is another."
            )
        module.spread.add(outputs)  # type: ignore[operator]

    def after_epoch(self, module: nn.Module) -> dict[str, float]:
        """Hook: how far the projections are spread, so that a collapse is detected."""
        return module.spread.read(type(self).__name__)  # type: ignore[union-attr, operator, no-any-return]

    def shown_views(self, module: nn.Module, inputs: Tensor) -> list[Tensor]:
        """Hook: the first views, then the second."""
        return [module.encoder.show(view) for view in inputs.chunk(2)]  # type: ignore[union-attr, operator]
