"""Pairs: rows of two kinds that belong together, such as images and their captions."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from skrep.data.labels import require_length
from skrep.data.sources import Source

__all__ = ["Pairs"]


class Pairs(Source):
    """Row i of the one source with row i of the other.

    Parameters
    ----------
    first : Source
        What ``transform`` will read: its shape, its size and its encoding are those of the pairs.
    second : Source
        What belongs to it.

    Raises
    ------
    ValueError
        If they have different numbers of rows.
    """

    def __init__(self, first: Source, second: Source):
        require_length("y", len(second), len(first))
        self.first, self.second = first, second
        self.n_samples, self.shape = len(first), first.shape

    def take(self, index: Tensor, device: torch.device) -> tuple[Any, Any]:
        """Rows of both."""
        return self.first.take(index, device), self.second.take(index, device)

    def chunk(self, start: int, stop: int) -> Tensor:
        return self.first.chunk(start, stop)

    def chunks(self, rows: int | None = None) -> Iterator[Tensor]:
        return self.first.chunks(rows)

    def content(self) -> Iterator[Tensor | None]:
        yield from self.first.content()
        yield from self.second.content()
        yield self.y
        yield self.groups

    @property
    def size(self) -> int:
        return self.first.size

    def encode(self, network: nn.Module, device: torch.device, rows: int | None = None) -> Any:
        """The output of a network for each row of the first source."""
        return self.first.encode(network, device, rows)

    def range(self) -> tuple[float, float]:
        return self.first.range()

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.first.moments()

    def column_range(self) -> tuple[Tensor, Tensor]:
        return self.first.column_range()

    def _narrow(self, index: Tensor) -> None:
        self.first, self.second = self.first.subset(index), self.second.subset(index)

    def fact(self, name: str, find: Callable[[], int]) -> int:
        """A fact of the first source."""
        return self.first.fact(name, find)

    def outline(self) -> dict[str, Any]:
        return {
            "first": self.first.outline(),
            "second": self.second.outline(),
        }
