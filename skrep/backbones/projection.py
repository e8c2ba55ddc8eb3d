"""The head between features and a contrastive loss, which only training needs."""

from torch import nn

__all__ = ["ProjectionHead"]

# That of ResNet-50, the widest backbone here.
WIDEST = 2048


class ProjectionHead(nn.Sequential):
    """A hidden layer with batch normalisation and a linear one, (batch, n_features) -> (batch, projection_dim).

    It learns to discard what views change, and some of that may be what one needs: the features before it are better
    (Chen et al. 2020, section 4.2).

    Parameters
    ----------
    n_features : int
        Width of its input and, up to 2048, of its hidden layer.
    projection_dim : int
        Width of its output.
    """

    def __init__(self, n_features: int, projection_dim: int):
        n_hidden = min(n_features, WIDEST)  # a table of 100,000 columns has as many features
        super().__init__(
            nn.Linear(n_features, n_hidden, bias=False),
            nn.BatchNorm1d(n_hidden),
            nn.ReLU(),
            nn.Linear(n_hidden, projection_dim),
        )
