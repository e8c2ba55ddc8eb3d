"""Networks that turn a batch into features."""

from skrep.backbones.batch_norm import BatchNormMode, Norm, split_batch_norm
from skrep.backbones.boltzmann import (
    BoltzmannMachine,
    BoltzmannTraining,
    Estimate,
    MeanField,
    Phases,
    default_bits,
    draw_bits,
    entropy,
)
from skrep.backbones.convnet import ConvDecoder, ConvNet, ConvNetModule
from skrep.backbones.encoder import InputEncoder, by_units, make_encoder
from skrep.backbones.layers import Linear, Pixels, Standardize, TiedLinear, by_channel, by_column, by_common_scale
from skrep.backbones.mlp import (
    ACTIVATIONS,
    MLP,
    MLPModule,
    WideAndDeep,
    WideAndDeepModule,
    default_code,
    default_widths,
)
from skrep.backbones.momentum import cosine_between, follow
from skrep.backbones.projection import ProjectionHead
from skrep.backbones.resnet import ResNet, ResNetModule
from skrep.backbones.spread import Spread
from skrep.backbones.transformer import ROTARY_BASE, Grid, Transformer, TransformerModule

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "ROTARY_BASE",
    "BatchNormMode",
    "BoltzmannMachine",
    "BoltzmannTraining",
    "ConvDecoder",
    "ConvNet",
    "ConvNetModule",
    "Estimate",
    "Grid",
    "InputEncoder",
    "Linear",
    "MLPModule",
    "MeanField",
    "Norm",
    "Phases",
    "Pixels",
    "ProjectionHead",
    "ResNet",
    "ResNetModule",
    "Spread",
    "Standardize",
    "TiedLinear",
    "Transformer",
    "TransformerModule",
    "WideAndDeep",
    "WideAndDeepModule",
    "by_channel",
    "by_column",
    "by_common_scale",
    "by_units",
    "cosine_between",
    "default_bits",
    "default_code",
    "default_widths",
    "draw_bits",
    "entropy",
    "follow",
    "make_encoder",
    "split_batch_norm",
]
