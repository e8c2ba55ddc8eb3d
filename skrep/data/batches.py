"""Batches: some rows on the device, with what belongs to them."""

import math
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["Batch", "evenly"]


@dataclass(slots=True)
class Batch:
    """Some rows on the device.

    Parameters
    ----------
    x : torch.Tensor or tuple of them
        The rows, (batch, ...); what the source gives, where they are not of one shape.
    y : torch.Tensor or None
        Their labels or targets, (batch, ...).
    index : torch.Tensor of shape (batch,)
        Their positions in the source, on the CPU.
    groups : torch.Tensor of shape (batch,) or None, default=None
        The number of the group that each belongs to.
    progress : float, default=0.0
        Share of training done, in [0, 1]; 0 in ``partial_fit``, which has no end, and 1 in validation.
    """

    x: Any
    y: Tensor | None
    index: Tensor
    groups: Tensor | None = None
    progress: float = 0.0


def evenly(order: Tensor, size: int) -> tuple[Tensor, ...]:
    """Positions in parts of at most `size`, as even as can be; 3 where 2 would leave a single row."""
    # no small, noisy batch at the end of each epoch, and none of a single row
    n_batches = math.ceil(len(order) / size)
    if size > 1:
        n_batches = min(n_batches, len(order) // 2)
    return order.tensor_split(max(1, n_batches))
