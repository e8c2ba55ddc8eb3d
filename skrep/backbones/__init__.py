"""Networks that turn a batch into features."""

from skrep.backbones.layers import Linear, Standardize, TiedLinear
from skrep.backbones.mlp import ACTIVATIONS, MLP, default_widths

__all__ = ["ACTIVATIONS", "MLP", "Linear", "Standardize", "TiedLinear", "default_widths"]
