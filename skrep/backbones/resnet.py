"""Residual networks (He et al. 2016, https://arxiv.org/abs/1512.03385).

Parameters and buffers have the names that torchvision gave them, so that weights published for its models load with
``load_state_dict``.
"""

from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones.layers import Linear
from skrep.params import Integer, check_params, param, params

__all__ = ["ResNet", "ResNetModule"]


def _conv(n_in: int, n_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(n_in, n_out, size, stride, padding=size // 2, bias=False)  # the norm that follows has the bias
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def _shortcut(n_in: int, n_out: int, stride: int) -> nn.Module:
    """The input itself, or a projection of it where the branch changes the shape (option B of the paper)."""
    if stride == 1 and n_in == n_out:
        return nn.Identity()
    return nn.Sequential(_conv(n_in, n_out, 1, stride), nn.BatchNorm2d(n_out))


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions (figure 5, left)."""

    expansion = 1

    def __init__(self, n_in: int, width: int, stride: int):
        super().__init__()
        self.conv1 = _conv(n_in, width, 3, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(n_in, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))  # (batch, width, height / stride, width / stride)
        y = self.bn2(self.conv2(y))
        return F.relu(y + self.downsample(x))


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions (figure 5, right); the stride is in the 3x3, where it skips no pixel ("v1.5")."""

    expansion = 4

    def __init__(self, n_in: int, width: int, stride: int):
        super().__init__()
        n_out = width * self.expansion
        self.conv1 = _conv(n_in, width, 1)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv(width, n_out, 1)
        self.bn3 = nn.BatchNorm2d(n_out)
        self.downsample = _shortcut(n_in, n_out, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))  # (batch, width, height, width)
        y = F.relu(self.bn2(self.conv2(y)))  # (batch, width, height / stride, width / stride)
        y = self.bn3(self.conv3(y))  # (batch, 4 * width, height / stride, width / stride)
        return F.relu(y + self.downsample(x))


# The block of each depth, and how many of them the four stages have (table 1).
_STAGES: dict[int, tuple[type[_BasicBlock] | type[_Bottleneck], tuple[int, ...]]] = {
    18: (_BasicBlock, (2, 2, 2, 2)),
    50: (_Bottleneck, (3, 4, 6, 3)),
}

# The product of each stem's and the stages' strides: the side of the smallest image that keeps a whole pixel.
_SMALLEST = {"cifar": 8, "imagenet": 32}


class ResNetModule(nn.Module):
    """ResNet-18 or ResNet-50, (batch, in_channels, height, width) -> (batch, 512 or 2048, or n_components).

    Parameters
    ----------
    depth : {18, 50}
        Number of layers with weights, the classifier of the paper included.
    in_channels : int
        1 for grey images, 3 for colour.
    stem : {"cifar", "imagenet"}
        The first layer: "imagenet" is a 7x7 convolution and a max-pooling, each of stride 2; "cifar" is a 3x3
        convolution of stride 1 (Chen et al. 2020, https://arxiv.org/abs/2002.05709, appendix B.9).
    n_components : int or None
        Outputs of a last linear layer, ``fc``; None leaves it out, and the features are the mean over the pixels of
        the last stage. To load published weights into a network without it, drop ``fc.weight`` and ``fc.bias``.
    """

    def __init__(self, depth: int, in_channels: int, stem: str, n_components: int | None):
        super().__init__()
        if stem == "imagenet":
            self.conv1 = _conv(in_channels, 64, 7, stride=2)
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = _conv(in_channels, 64, 3)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(64)
        block, n_blocks = _STAGES[depth]
        stages, n_in = [], 64
        for width, first_stride, n in zip((64, 128, 256, 512), (1, 2, 2, 2), n_blocks, strict=True):
            blocks = []
            for stride in [first_stride] + [1] * (n - 1):
                blocks.append(block(n_in, width, stride))
                n_in = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Identity() if n_components is None else Linear(n_in, n_components)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        features: Tensor = self.fc(x.mean((2, 3)))  # (batch, channels, height, width) -> (batch, channels)
        return features


@params
class ResNet(BaseEstimator):
    """A residual network for images (He et al. 2016, https://arxiv.org/abs/1512.03385).

    Parameters
    ----------
    depth : {18, 50}, default=18
        Number of layers: 18 gives 512 features with 11 million weights, 50 gives 2048 with 24 million.
    stem : {"cifar", "imagenet"} or None, default=None
        How the network begins. "cifar" keeps the resolution of the image, "imagenet" divides it by four, and is as much
        as 16 times cheaper. None takes "cifar" for images of up to 64 pixels on their shorter side.

    Examples
    --------
    >>> import torch
    >>> from skrep.backbones import ResNet
    >>> network = ResNet().build((16, 16, 3), n_components=None)
    >>> network(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 512])
    """

    depth: int = param(Integer(low=1), default=18)
    stem: str | None = param("cifar", "imagenet", None, default=None)

    def build(self, shape: tuple[int, ...], n_components: int | None) -> nn.Module:
        """Make the network for images of one shape, with fresh weights from torch's global generator.

        Parameters
        ----------
        shape : tuple of (int, int, int)
            Height, width and channels of an image.
        n_components : int or None
            Number of features; None takes the network's own, 512 or 2048.

        Returns
        -------
        ResNetModule
            Maps (batch, channels, height, width) to (batch, n_features).

        Raises
        ------
        ValueError
            If a parameter has a value that it cannot have, for tables, and for images smaller than the strides allow:
            8 pixels a side with the stem "cifar", 32 with "imagenet".
        """
        check_params(self)
        if self.depth not in _STAGES:
            raise ValueError(f"ResNet(depth={self.depth}): depth must be 18 or 50.")
        if len(shape) != 3:
            raise ValueError(
                f"backbone=ResNet(...) takes images; the data are a table of {shape[0]} columns. Use MLP(), or fold "
                "rows of pixels with skrep.data.AsImages."
            )
        height, width, channels = shape
        side = min(height, width)
        stem = self.stem or ("cifar" if side <= 64 else "imagenet")
        smallest = _SMALLEST[stem]
        if side < smallest:
            fix = "Enlarge the images" if side < _SMALLEST["cifar"] else "Use stem='cifar', or enlarge the images"
            raise ValueError(
                f"backbone=ResNet(...) with the stem {stem!r} needs images of at least {smallest}x{smallest} "
                f"pixels; got {height}x{width}. {fix}."
            )
        return ResNetModule(self.depth, channels, stem, n_components)
