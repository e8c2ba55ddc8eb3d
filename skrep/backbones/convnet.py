"""A small convolutional network that trains in minutes on two CPU cores."""

import itertools
import math

from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones.layers import Flatten, Linear
from skrep.params import Integer, check_params, param, params

__all__ = ["ConvDecoder", "ConvNet", "ConvNetModule"]

# Convolutions stop halving where a side has this many pixels.
FINAL_SIDE = 4


class ConvNetModule(nn.Sequential):
    """Strided convolutions with batch normalisation, then one wide layer over what is left of the image.

    Every convolution halves the sides and doubles the channels until a side is at most 4 pixels: no pooling, and few
    multiplications at full resolution, which is what a CPU is slow at.

    Parameters
    ----------
    shape : tuple of (int, int, int)
        Height, width and channels of an image.
    width : int
        Channels of the first convolution.
    n_components : int or None
        Width of the output. None takes the wide layer's own, 32 times `width`, rectified; a number adds a linear layer.
    instance_norm : bool, default=False
        Whether each image is standardised by itself first, channel by channel.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, n_components: int | None, instance_norm: bool = False):
        height, side, n_in = shape
        layers: list[nn.Module] = []
        n_out = width
        for i in range(max(3, math.ceil(math.log2(max(height, side) / FINAL_SIDE)))):
            stride = 2 if max(height, side) > FINAL_SIDE else 1
            kernel = 4 if i == 0 and stride == 2 else 3
            conv = nn.Conv2d(n_in, n_out, kernel, stride, 1, bias=False)
            layers.append(nn.Sequential(conv, nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)))
            height, side = ((n + 2 - kernel) // stride + 1 for n in (height, side))
            n_in, n_out = n_out, min(2 * n_out, 8 * width)
        wide = nn.Sequential(
            Flatten(),
            Linear(n_in * height * side, 32 * width, bias=False),
            nn.BatchNorm1d(32 * width),
            nn.ReLU(inplace=True),
        )
        super().__init__(*layers, wide, *([] if n_components is None else [Linear(32 * width, n_components)]))
        self.instance_norm = instance_norm
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = super().forward(F.instance_norm(x) if self.instance_norm else x)
        return features  # (batch, channels, height, width) -> (batch, n_components)

    def extra_repr(self) -> str:
        return "instance_norm=True" if self.instance_norm else ""


class ConvDecoder(nn.Module):
    """From codes to images: the mirror image of :class:`ConvNetModule`, with transposed convolutions.

    A kernel of 4 with a stride of 2 reaches every pixel equally often, so that no checkerboard is left (Odena et al.
    2016, "Deconvolution and checkerboard artifacts").

    Parameters
    ----------
    n_components : int
        Width of a code.
    shape : tuple of (int, int, int)
        Height, width and channels of an image.
    width : int, default=16
        Channels before the last convolution; each earlier one has twice as many, up to eight times.
    """

    def __init__(self, n_components: int, shape: tuple[int, ...], width: int = 16):
        super().__init__()
        self.height, self.side, channels = shape
        doublings = max(1, math.ceil(math.log2(max(self.height, self.side) / FINAL_SIDE)))
        widths = [width * min(8, 2**i) for i in reversed(range(doublings))]
        small = (widths[0], -(-self.height // 2**doublings), -(-self.side // 2**doublings))
        layers: list[nn.Module] = [Linear(n_components, math.prod(small), bias=False), nn.Unflatten(1, small)]
        for n_in, n_out in itertools.pairwise([*widths, channels]):
            layers += [nn.BatchNorm2d(n_in), nn.ReLU(inplace=True), nn.ConvTranspose2d(n_in, n_out, 4, 2, 1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, code: Tensor) -> Tensor:
        x: Tensor = self.layers(code)  # (batch, n_components) -> (batch, channels, >= height, >= width)
        return x[:, :, : self.height, : self.side]


@params
class ConvNet(BaseEstimator):
    """A small convolutional network that trains in minutes on two CPU cores.

    Parameters
    ----------
    width : int, default=16
        Channels of the first convolution; each further one has twice as many, up to eight times.
    instance_norm : bool, default=False
        Whether each image is standardised by itself first, channel by channel: its light, haze and colour cast then
        have no part in the features (instance normalisation, Ulyanov et al. 2016, arXiv:1607.08022). For photographs of
        the same things in different light; where colours and brightness say what an image shows, it costs accuracy.

    Examples
    --------
    >>> import torch
    >>> from skrep.backbones import ConvNet
    >>> ConvNet().build((28, 28, 1), None)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 512])
    """

    width: int = param(Integer(low=1), default=16)
    instance_norm: bool = param(bool, default=False)

    def build(self, shape: tuple[int, ...], n_components: int | None) -> nn.Module:
        """The network for images of this shape.

        Parameters
        ----------
        shape : tuple of (int, int, int)
            Height, width and channels.
        n_components : int or None
            Width of the output, a linear layer. None takes the features before it: 32 times `width`, rectified.

        Raises
        ------
        ValueError
            For tables, and for images of which a side is shorter than 4 pixels.
        """
        check_params(self)
        if len(shape) != 3:
            raise ValueError(
                f"backbone=ConvNet(...) takes images; the data are a table of {shape[0]} columns. Use MLP(), or fold "
                "rows of pixels with skrep.data.AsImages."
            )
        if min(shape[:2]) < FINAL_SIDE:
            raise ValueError(
                f"backbone=ConvNet(...) needs images of at least {FINAL_SIDE}x{FINAL_SIDE} pixels; got "
                f"{shape[0]}x{shape[1]}. Enlarge the images, or pass rows of pixels, X.reshape(len(X), -1)."
            )
        return ConvNetModule((shape[0], shape[1], shape[2]), self.width, n_components, self.instance_norm)
