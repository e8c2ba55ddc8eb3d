"""The encoder of the methods that take tables and images: scaling, then a backbone, or one of its blocks."""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skrep.backbones.convnet import ConvNet
from skrep.backbones.layers import Compress, Linear, Pixels, Standardize, by_channel, by_column, by_common_scale
from skrep.backbones.mlp import WideAndDeep
from skrep.data import Source, units_differ

__all__ = ["InputEncoder", "by_units", "make_encoder"]

# Images from which the mean and spread of the channels are taken.
MOMENT_IMAGES = 10_000

# A column has a heavy tail where a value is this many standard deviations from the mean; rows that quartiles are taken
# of; and the spreads from which on values are compressed. See docs/defaults.md.
HEAVY, QUANTILE_ROWS, LIMIT = 8.0, 10_000, 3.0

# Where this share of the columns has heavy tails, one scale for all would be that of the tails.
HEAVY_COLUMNS = 0.2


class InputEncoder(nn.Module):
    """From rows in the units of the data to features.

    Parameters
    ----------
    scale : torch.nn.Module
        From units of the data to those in which views work, with an ``inverse``.
    standardize : torch.nn.Module
        From there to the numbers of unit size that networks like.
    backbone : torch.nn.Module
        The network.
    layer : str, int or None, default=None
        The block of the backbone whose output are the features: its name, as ``named_modules`` has it, or its position
        among the backbone's children. None is the backbone's own output.
    """

    def __init__(self, scale: nn.Module, standardize: nn.Module, backbone: nn.Module, layer: str | int | None = None):
        super().__init__()
        self.scale, self.standardize, self.backbone = scale, standardize, backbone
        self.layer = _find_layer(backbone, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self._features(self.standardize(self.scale(x)))  # (batch, ...) -> (batch, n_features_out)

    def embed(self, views: Tensor) -> Tensor:
        """Output of the backbone for what views made of scaled rows."""
        features: Tensor = self.backbone(self.standardize(views))
        return features

    def show(self, views: Tensor) -> Tensor:
        """Views for people: columns in their own units, or pixels in [0, 1] with channels last."""
        if views.ndim == 4:
            return views.permute(0, 2, 3, 1)  # (batch, channels, height, width) -> (batch, height, width, channels)
        rows: Tensor = self.scale.inverse(views)  # type: ignore[operator]
        return rows

    def blocks(self) -> list[list[nn.Module]]:
        """The parts of the backbone from the input to the output."""
        return [[part] for part in self.backbone.children()] or [[self.backbone]]

    def _features(self, x: Tensor) -> Tensor:
        if self.layer is None:
            output: Tensor = self.backbone(x)
            return output

        def stop(module: nn.Module, inputs: Any, output: Tensor) -> None:
            raise _Reached(output)

        hook = self.backbone.get_submodule(self.layer).register_forward_hook(stop)
        block: Any = None
        try:
            self.backbone(x)
        except _Reached as reached:
            block = reached.args[0]
        finally:
            hook.remove()
        if not isinstance(block, Tensor) or block.ndim < 2:
            got = "is not run by the backbone" if block is None else f"returns a {type(block).__name__}"
            raise ValueError(f"layer={self.layer!r} {got}; name a block that returns one tensor for a batch of rows.")
        # (batch, channels, height, width) -> (batch, channels); (batch, tokens, channels) likewise
        features: Tensor = block.flatten(2).mean(2) if block.ndim == 4 else block.mean(1) if block.ndim == 3 else block
        return features

    def extra_repr(self) -> str:
        return "" if self.layer is None else f"layer={self.layer!r}"


class _Reached(Exception):
    """Carries a block's output out of the forward pass; what comes after the block need not run."""


def _find_layer(backbone: nn.Module, layer: str | int | None) -> str | None:
    children = [name for name, _ in backbone.named_children()]
    if layer is None:
        return None
    if isinstance(layer, str):
        if layer and layer in dict(backbone.named_modules()):
            return layer
    elif -len(children) <= layer < len(children):
        return children[layer]
    raise ValueError(f"layer={layer!r} is not in the backbone; its blocks are {children} (positions or names).")


def make_encoder(
    data: Source, backbone: Any, n_components: int | None, layer: str | int | None = None
) -> tuple[InputEncoder, int]:
    """The encoder for these data, and the width of its backbone's output.

    Parameters
    ----------
    data : Source
        Tables or images.
    backbone : part with ``build``, torch.nn.Module or None
        None is :class:`WideAndDeep` for tables and a :class:`ConvNet` for images. A module gets standardised rows
        (batch, n_features) or images (batch, channels, height, width) and begins with a copy of its weights.
    n_components : int or None
        Width of the output; None takes the backbone's own.
    layer : str, int or None
        As in :class:`InputEncoder`.

    Raises
    ------
    ValueError
        If the backbone cannot take the data, or its output is not one vector for each row.
    """
    is_table = len(data.shape) == 1
    if backbone is None:
        backbone = WideAndDeep() if is_table else ConvNet()
    if isinstance(backbone, nn.Module):
        network = copy.deepcopy(backbone)
    elif hasattr(backbone, "build"):
        network = backbone.build(data.shape, n_components)
    else:
        raise ValueError(
            f"backbone={backbone!r} does not build a network; pass a part of skrep.backbones, such as ConvNet(), or a "
            "torch.nn.Module."
        )
    scale: nn.Module
    standardize: nn.Module
    if is_table:
        scale, standardize = by_units(data), nn.Identity()
    else:
        low, high = data.pixel_range()
        scale = Pixels(low, high)
        standardize = _standardize_images(data, low, high)
    encoder = InputEncoder(scale, standardize, network, layer)
    width = data.fact("width", lambda: _output_width(encoder, data))
    if n_components is None and next(network.parameters(), None) is None:
        raise ValueError(
            f"backbone={type(network).__name__} has no parameters: there is nothing to learn. Put a layer behind it, "
            "such as torch.nn.Sequential(backbone, torch.nn.LazyLinear(64)), or set n_components."
        )
    if n_components is None or n_components == width:
        return encoder, width
    encoder.backbone = nn.Sequential(network, Linear(width, n_components))
    encoder.layer = None if encoder.layer is None else f"0.{encoder.layer}"
    return encoder, n_components


def by_units(data: Source, scale: str = "auto") -> Compress:
    """Centre the columns of a table, and divide each by its own spread or all by one number.

    Columns with their own spread may have heavy tails: where a value is more than eight standard deviations from the
    mean, median and quartiles decide instead, and what is more than three spreads away is compressed
    (:class:`~skrep.backbones.layers.Compress`).

    Parameters
    ----------
    data : Source
        The training rows.
    scale : {"auto", "columns", "common"}, default="auto"
        "columns" is :func:`by_column`, "common" :func:`by_common_scale`. "auto" takes the columns' own where they come
        in different units, told by their ranges (:func:`skrep.data.units_differ`), or a fifth of them has heavy tails,
        and a common one where they are alike: pixels at the margin would be as loud as those in the middle, and with
        them their noise.
    """
    (mean, variance), (low, high) = data.moments(), data.column_range()
    own = by_column(mean, variance)
    centre, spread = own.mean.double(), own.scale.double()
    heavy = torch.maximum(high - mean, mean - low) > HEAVY * spread
    if heavy.any() and scale != "common":
        some = torch.cat([chunk[:, heavy].double() for chunk in data.sample(QUANTILE_ROWS).chunks()]).numpy()
        first, median, third = torch.from_numpy(np.quantile(some, [0.25, 0.5, 0.75], axis=0))  # (n_heavy,) each
        usual = (third - first) / 1.349  # of a normal distribution, its standard deviation
        varies = usual > 1e-3 * spread[heavy]  # or most values are one and the same, such as zeros
        centre[heavy] = torch.where(varies, median, centre[heavy])
        spread[heavy] = torch.where(varies, usual, spread[heavy])
        heavy[heavy.clone()] = varies
    alike = not units_differ(low.numpy(), high.numpy()) and float(heavy.double().mean()) < HEAVY_COLUMNS
    if scale == "common" or (scale == "auto" and alike):
        common = by_common_scale(mean, variance)
        return Compress(common.mean, common.scale.expand(len(mean)).clone(), torch.inf)
    return Compress(centre, spread, LIMIT)


def _standardize_images(data: Source, low: float, high: float) -> Standardize:
    mean, variance = data.sample(MOMENT_IMAGES).moments()  # (height, width, channels)
    span = high - low if high > low else 1.0
    return by_channel((mean - low) / span, variance / span**2)


def _output_width(encoder: InputEncoder, data: Source) -> int:
    rows = data.take(torch.arange(2), torch.device("cpu"))
    was_training = encoder.backbone.training
    encoder.eval()
    try:
        with torch.no_grad():
            output = encoder.embed(encoder.scale(rows))
            if encoder.layer is not None:
                encoder(rows)
    except (RuntimeError, TypeError, IndexError) as error:
        shape = tuple(encoder.scale(rows).shape[1:])
        raise ValueError(
            f"backbone={type(encoder.backbone).__name__} cannot take a batch of rows of shape {shape}: "
            f"{str(error).splitlines()[0]}"
        ) from None
    finally:
        encoder.train(was_training)
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 2:
        got = f"shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(
            f"backbone={type(encoder.backbone).__name__} returned {got} for 2 rows; expected (2, n_features). Pool or "
            "flatten its output, for example with torch.nn.Sequential(backbone, torch.nn.Flatten())."
        )
    return output.shape[1]
