"""Batches of rows in an order drawn from a generator."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from skrep.data.sources import Source

__all__ = ["Batch", "ordered_batches", "shuffled_batches"]


@dataclass(slots=True)
class Batch:
    """Some rows on the device: `x` (batch, ...), `y` (batch, ...) or None, and their positions `index` (batch,)."""

    x: Any  # a tensor; of texts, what their source gives
    y: Tensor | None
    index: Tensor


def _batches(data: Source, order: Tensor, batch_size: int, device: torch.device) -> Iterator[Batch]:
    # as even as can be: no small, noisy batch at the end of each epoch, and none of a single row
    n_batches = math.ceil(len(order) / batch_size)
    if batch_size > 1:
        n_batches = min(n_batches, len(order) // 2)
    for index in order.tensor_split(max(1, n_batches)):
        yield Batch(data.take(index, device), None if data.y is None else data.y[index].to(device), index)


def shuffled_batches(
    data: Source, batch_size: int, device: torch.device, generator: torch.Generator
) -> Iterator[Batch]:
    """One epoch of the rows in random order, in batches of at most `batch_size`; 3 where 2 would leave a single row."""
    return _batches(data, torch.randperm(len(data), generator=generator), batch_size, device)


def ordered_batches(data: Source, batch_size: int, device: torch.device) -> Iterator[Batch]:
    """The rows in order, in batches as :func:`shuffled_batches` makes them."""
    return _batches(data, torch.arange(len(data)), batch_size, device)
