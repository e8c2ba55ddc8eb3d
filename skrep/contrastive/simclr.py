"""SimCLR: two augmented views of a sample find each other in a batch (Chen et al. 2020, arXiv:2002.05709)."""

from torch import Tensor, nn

from skrep.backbones import InputEncoder, ProjectionHead, Spread, make_encoder
from skrep.contrastive.two_views import TwoViews
from skrep.data import Source
from skrep.objectives import nt_xent
from skrep.params import Real, param, params

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
class SimCLRTransformer(TwoViews):
    """A network that learns that two augmented views show the same row, or image.

    Each row of a batch is augmented twice at random; for each view, the network must find the other view of the same
    row among all views of the batch. It learns to ignore what the augmentations change, and to encode what they leave.
    The projection head between features and loss is dropped after training.

    Rows of one group, such as the photographs of a burst (``fit(X, groups=...)``), are never each other's negatives.

    Parameters
    ----------
    temperature : float, default=0.2
        Divides the similarities: the lower it is, the more the hardest negatives count.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder`` and ``projector``.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", "projection_std", "effective_rank", and "valid_loss" with
        `validation_fraction`. The loss is in nats; it depends on the batch size, and chance level is
        log(2 * batch_size - 1). "projection_std" is 1 where projections lie in all directions alike and 0 where all
        are the same; "effective_rank" is the number of directions that they use.

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

    temperature: float = param(Real(low=0, open_low=True), default=0.2)

    def make_module(self, data: Source) -> nn.Module:
        """Hook: encoder and projection head."""
        encoder, width = make_encoder(data, self.backbone, self.n_components, self.layer)
        return SimCLR(encoder, width, self.projection_dim)

    def objective(self, outputs: Tensor, target: Tensor | None) -> Tensor:
        """Hook: the contrastive loss; the target are the groups."""
        return nt_xent(outputs, self.temperature, target)
