"""SimCLR: two distorted views of a sample must find each other in a batch (Chen et al. 2020, arXiv:2002.05709)."""

from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skrep.backbones import InputEncoder, ProjectionHead, Spread, make_encoder
from skrep.base import TorchTransformer, Views
from skrep.data import Batch, Source
from skrep.objectives import nt_xent
from skrep.params import Integer, Real, param, params
from skrep.views import default_views, resolve_views

__all__ = ["SimCLRTransformer"]


class SimCLR(nn.Module):
    """An encoder, kept, and a projection head, which only training needs."""

    def __init__(self, encoder: InputEncoder, n_features: int, projection_dim: int):
        super().__init__()
        self.encoder, self.projector = encoder, ProjectionHead(n_features, projection_dim)
        self.spread = Spread(projection_dim)

    def forward(self, views: Tensor) -> Tensor:
        # both views of all samples in one batch, and so through the same batch statistics
        projections: Tensor = self.projector(self.encoder.embed(views))  # (2 * batch, ...) -> (2 * batch, projection)
        return projections


@params
class SimCLRTransformer(TorchTransformer):
    """A network that learns to recognise a row in two random distortions of it.

    Each row of a batch is distorted twice at random; the network must tell, for each view, which of all the other views
    is of the same row. What the distortions change it learns to ignore, what they leave it must encode. The
    projection head between features and loss is dropped after training.

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
    temperature : float, default=0.2
        Divides the similarities: the lower it is, the more the hardest negatives count.
    projection_dim : int, default=64
        Width of the projections between which similarities are computed.
    layer : str, int or None, default=None
        The block of the backbone whose output ``transform`` returns, averaged over the image: its name or its position
        among the backbone's children. None is the backbone's output.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder`` and ``projector``.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", "projection_std", "effective_rank", and "valid_loss" with
        `validation_fraction`. The loss is in nats; it depends on the batch size, log(2 * batch_size - 1) is that of a
        network that has learned nothing. "projection_std" is 1 where projections lie in all directions alike and 0
        where all are the same; "effective_rank" is the number of directions that they use.
    n_epochs_ : int
        Number of epochs trained.
    resumed_from_ : tuple of (int, int) or None
        Epochs and batches that a checkpoint had done.
    n_features_out_ : int
        Number of features.
    n_features_in_ : int
        Number of columns seen in ``fit``, for tables.
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of the images seen in ``fit``, for images.

    See Also
    --------
    MoCoTransformer : Finds views among the keys of a dictionary.
    AutoEncoderTransformer : Learns by rebuilding rows instead of telling them apart.
    RandomEncoder : The same network, untrained.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import SimCLRTransformer
    >>> from skrep.data import AsImages
    >>> X = AsImages((8, 8)).fit_transform(load_digits().data)
    >>> SimCLRTransformer(max_epochs=1, random_state=0).fit_transform(X).shape
    (1797, 512)
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    backbone: Any = param(BaseEstimator, nn.Module, None, default=None)
    augment: Any = param(default=None)
    temperature: float = param(Real(low=0, open_low=True), default=0.2)
    projection_dim: int = param(Integer(low=1), default=64)
    layer: str | int | None = param(str, Integer(), None, default=None)

    # Measured: more and smaller steps are worth more than more negatives, in the time a CPU has; see docs/defaults.md.
    _largest_batch = 128
    _shares_batches = True

    @property
    def _takes_images(self) -> bool:
        return True

    def make_module(self, data: Source) -> nn.Module:
        """Hook: encoder and projection head."""
        encoder, width = make_encoder(data, self.backbone, self.n_components, self.layer)
        return SimCLR(encoder, width, self.projection_dim)

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: two distortions of each row."""
        view = resolve_views(self.augment, default_views(data.shape))
        scale: Any = module.encoder.scale  # type: ignore[union-attr]

        def views(batch: Batch, generator: torch.Generator) -> tuple[Tensor, None]:
            scaled = scale(batch.x)
            return view(torch.cat([scaled, scaled]), generator), None  # (2 * batch, ...)

        return views

    def objective(self, outputs: Tensor, target: None) -> Tensor:
        """Hook: the contrastive loss."""
        return nt_xent(outputs, self.temperature)

    def after_step(self, module: nn.Module, outputs: Tensor) -> None:
        """Seam: projections are followed."""
        module.spread.add(outputs)  # type: ignore[operator]

    def after_epoch(self, module: nn.Module) -> dict[str, float]:
        """Seam: how far projections are spread."""
        return module.spread.read(type(self).__name__)  # type: ignore[union-attr, operator, no-any-return]

    def views_in_data_units(self, module: nn.Module, inputs: Tensor) -> list[Tensor]:
        """Hook: the first views, then the second."""
        return [module.encoder.show(view) for view in inputs.chunk(2)]  # type: ignore[union-attr, operator]
