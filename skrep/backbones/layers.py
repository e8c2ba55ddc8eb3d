"""Small layers that networks for tables share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "Compress",
    "Flatten",
    "Linear",
    "Pixels",
    "Standardize",
    "TiedLinear",
    "by_channel",
    "by_column",
    "by_common_scale",
]


class Flatten(nn.Module):
    """Images to rows in the order in which convolutions leave them in memory, channels last, so that nothing moves."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)  # (batch, channels, height, width) -> (batch, h * w * channels)


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
    """Subtract a mean and divide by a scale, both of which broadcast over a batch.

    :func:`by_common_scale`, :func:`by_column` and :func:`by_channel` make one from data.

    Parameters
    ----------
    mean, scale : torch.Tensor
        Of the training rows.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Tensor, scale: Tensor):
        super().__init__()
        self.register_buffer("mean", mean.float())
        self.register_buffer("scale", scale.float())

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale  # (batch, ...)

    def inverse(self, z: Tensor) -> Tensor:
        """From units of the network back to units of the data."""
        return torch.addcmul(self.mean, z, self.scale)


class Compress(Standardize):
    """Standardise, and beyond a limit go on as the logarithm, so that a heavy tail does not drown the rest.

    z stays z up to the limit, and becomes limit + log(1 + z - limit) above it, where the slope is 1 still; negative
    numbers alike.

    Parameters
    ----------
    mean, scale : torch.Tensor
        As in :class:`Standardize`.
    limit : float
        In units of the scale; infinity for none.
    """

    limit: Tensor

    def __init__(self, mean: Tensor, scale: Tensor, limit: float):
        super().__init__(mean, scale)
        self.register_buffer("limit", torch.tensor(limit))

    def forward(self, x: Tensor) -> Tensor:
        z = super().forward(x)  # (batch, n_features)
        beyond = (z.abs() - self.limit).clamp(min=0)
        return z - z.sign() * (beyond - beyond.log1p())

    def inverse(self, z: Tensor) -> Tensor:
        """From units of the network back to units of the data."""
        beyond = (z.abs() - self.limit).clamp(min=0)
        largest = 80 - self.scale.clamp(min=1).log()  # a network may say anything, and float32 ends near exp(88)
        return super().inverse(z + z.sign() * (torch.minimum(beyond, largest).expm1() - beyond))


def _unless_constant(scale: Tensor, size: Tensor) -> Tensor:
    """One where the spread is rounding error of numbers of that size, not signal."""
    limits = torch.finfo(torch.float32)
    return torch.where(scale > torch.clamp(size * limits.eps, min=limits.tiny), scale, 1.0)


def by_common_scale(mean: Tensor, variance: Tensor) -> Standardize:
    """Centre each column and divide all of them by one number, the root mean square of their standard deviations.

    One common scale keeps the geometry of the data, and with it the subspace that PCA would find, while the network
    sees numbers of unit size whatever the units were. Constant data are only centred.

    Parameters
    ----------
    mean, variance : torch.Tensor of shape (n_features,)
        Of the training rows, float64.
    """
    return Standardize(mean, _unless_constant(variance.mean().sqrt(), mean.abs().max()))  # the scale is 0-d


def by_column(mean: Tensor, variance: Tensor) -> Standardize:
    """Centre each column and divide it by its own standard deviation; constant columns are only centred.

    Parameters
    ----------
    mean, variance : torch.Tensor of shape (n_features,)
        Of the training rows, float64.
    """
    return Standardize(mean, _unless_constant(variance.sqrt(), mean.abs()))


def by_channel(mean: Tensor, variance: Tensor) -> Standardize:
    """Centre each channel and divide it by its standard deviation; for images (batch, channels, height, width).

    Parameters
    ----------
    mean, variance : torch.Tensor of shape (height, width, channels)
        Of the training images, values in [0, 1], float64.
    """
    channel_mean = mean.mean((0, 1))  # (channels,)
    channel_variance = (variance + mean.square()).mean((0, 1)) - channel_mean.square()
    scale = _unless_constant(channel_variance.clamp(min=0).sqrt(), 1e2 * channel_mean.abs())
    return Standardize(channel_mean[:, None, None], scale[:, None, None])  # (channels, 1, 1)


class Pixels(nn.Module):
    """From images as users have them to images as views have them: values in [0, 1], channels second.

    Parameters
    ----------
    low, high : float
        The values that become 0 and 1.
    """

    low: Tensor
    span: Tensor

    def __init__(self, low: float, high: float):
        super().__init__()
        self.register_buffer("low", torch.tensor(low))
        self.register_buffer("span", torch.tensor(high - low if high > low else 1.0))

    def forward(self, x: Tensor) -> Tensor:
        # (batch, height, width, channels) -> (batch, channels, height, width), in the layout convolutions are fast in
        return ((x - self.low) / self.span).permute(0, 3, 1, 2)

    def inverse(self, images: Tensor) -> Tensor:
        """Back to units of the data: (batch, channels, height, width) -> (batch, height, width, channels)."""
        return torch.addcmul(self.low, images.permute(0, 2, 3, 1), self.span)


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
