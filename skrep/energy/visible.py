"""Visible units of Boltzmann machines: what training makes of rows in the units of the data."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skrep.backbones import draw_bits
from skrep.data import Source

__all__ = ["require_unit_interval", "visible_units"]

# A real value further from its column's mean counts as so many standard deviations in training: one far outlier would
# else outweigh all other rows of a batch.
MOST_DEVIATIONS = 10.0


def visible_units(
    estimator: Any, data: Source, units: nn.Module, is_gaussian: bool
) -> Callable[[Tensor, torch.Generator], Tensor]:
    """What training makes of rows in the units of the data: real units, or bits, drawn where values are not bits."""
    if is_gaussian:
        return lambda x, generator: units(x).clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)
    if data.is_binary():
        return lambda x, generator: x
    require_unit_interval(estimator, data)
    return draw_bits


def require_unit_interval(estimator: Any, data: Source) -> None:
    """Raise ValueError unless all values can be probabilities of bits."""
    data.require_unit_interval(f"{type(estimator).__name__} with Bernoulli units", "visible='gaussian'")
