"""Small layers that networks for tables share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Linear", "Standardize", "TiedLinear"]


class Linear(nn.Linear):
    """A linear layer that, in eval mode, gives a row the same bits wherever in the batch it stands.

    With few outputs and an odd number of inputs the BLAS kernels sum the rows at the end of a tile in another order.
    Columns of zeros up to the next multiple of eight keep them on one path.
    """

    def forward(self, x: Tensor) -> Tensor:
        missing = 0 if self.training else -self.in_features % 8
        if missing:
            return F.linear(F.pad(x, (0, missing)), F.pad(self.weight, (0, missing)), self.bias)
        return super().forward(x)  # (batch, in_features) -> (batch, out_features)


class Standardize(nn.Module):
    """Centre each column and divide all of them by one number, the root mean square of their standard deviations.

    One common scale keeps the geometry of the data, and with it the subspace that PCA would find, while the network
    sees numbers of unit size whatever the units were. Constant data are only centred.

    Parameters
    ----------
    mean, variance : torch.Tensor of shape (n_features,)
        Of the training rows, float64.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, variance: Tensor):
        super().__init__()
        scale = variance.mean().sqrt()  # a 0-d tensor
        # below this the spread is rounding error of the mean, not signal
        limits = torch.finfo(torch.float32)
        if not float(scale) > max(float(mean.abs().max()) * limits.eps, limits.tiny):
            scale = torch.ones_like(scale)
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", scale.float())

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale  # (batch, n_features)

    def inverse(self, z: Tensor) -> Tensor:
        """From units of the network back to units of the data."""
        return torch.addcmul(self.mean, z, self.scale)


class TiedLinear(nn.Module):
    """The transpose of another linear layer, with a bias of its own.

    Parameters
    ----------
    linear : torch.nn.Linear
        The layer from n_out to n_in whose weights are shared.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self._linear = (linear,)  # in a tuple, so that the weights are registered once, with their owner
        self.bias = nn.Parameter(torch.zeros(linear.in_features))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self._linear[0].weight.t(), self.bias)  # (batch, n_out) -> (batch, n_in)
