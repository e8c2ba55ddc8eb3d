"""Episodes: few-shot tasks drawn from labelled rows (Vinyals et al. 2016, arXiv:1606.04080)."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from skrep.data.batches import Batch
from skrep.data.sources import Source

__all__ = ["Episodes"]


class Episodes(Source):
    """Labelled rows as a source of tasks: a few classes, a few rows of each to learn from, others to be classified.

    Each batch is one episode, whatever batch size is asked for. Its rows are the support set, class by class, then the
    query set, class by class; ``batch.y`` are the classes within the episode, 0 to ``n_way - 1``.

    Parameters
    ----------
    source : Source
        Rows with ``y``, the number of each one's class.
    n_way : int
        Classes in an episode.
    n_shot : int
        Rows of each in the support set.
    n_query : int
        Rows of each in the query set.
    n_episodes : int, default=100
        Episodes in an epoch.

    Raises
    ------
    ValueError
        If there are no labels, or fewer than `n_way` classes with ``n_shot + n_query`` rows.
    """

    def __init__(self, source: Source, n_way: int, n_shot: int, n_query: int, n_episodes: int = 100):
        if source.y is None:
            raise ValueError("episodes are made of labelled rows, but y is None. Pass y to fit.")
        self.source, self.n_way, self.n_shot, self.n_query = source, n_way, n_shot, n_query
        self.n_episodes = n_episodes
        self.n_samples, self.shape, self.y, self.groups = len(source), source.shape, source.y, source.groups
        self._members = [m for m in _members(source.y) if len(m) >= n_shot + n_query]
        if len(self._members) < n_way:
            raise ValueError(
                f"an episode takes n_way={n_way} classes of n_shot + n_query = {n_shot + n_query} rows or more; of "
                f"these rows only {len(self._members)} classes have as many. Lower n_way, n_shot or n_query, or pass "
                "more rows."
            )

    def _episodes(self, device: torch.device, generator: torch.Generator) -> Iterator[Batch]:
        labels = torch.arange(self.n_way)
        y = torch.cat([labels.repeat_interleave(self.n_shot), labels.repeat_interleave(self.n_query)]).to(device)
        for _ in range(self.n_episodes):
            support, query = [], []
            for which in torch.randperm(len(self._members), generator=generator)[: self.n_way].tolist():
                members = self._members[which]
                drawn = members[torch.randperm(len(members), generator=generator)[: self.n_shot + self.n_query]]
                support.append(drawn[: self.n_shot])
                query.append(drawn[self.n_shot :])
            index = torch.cat([*support, *query])  # (n_way * (n_shot + n_query),)
            batch = Batch(self.take(index, device), y, index)
            if self.groups is not None:
                batch.groups = self.groups[index].to(device)
            yield batch

    def batches(self, size: int, device: torch.device, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch of episodes, drawn from a CPU generator."""
        return self._episodes(device, generator)

    def in_order(self, size: int, device: torch.device, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """The same episodes for the same state of the generator."""
        return self._episodes(device, generator or torch.Generator().manual_seed(0))

    def small_batch(self, generator: torch.Generator) -> Batch:
        return next(self._episodes(torch.device("cpu"), generator))

    @property
    def rows_per_epoch(self) -> int:
        return self.n_episodes * self.n_way * (self.n_shot + self.n_query)

    def take(self, index: Tensor, device: torch.device) -> Any:
        return self.source.take(index, device)

    def chunk(self, start: int, stop: int) -> Tensor:
        return self.source.chunk(start, stop)

    def chunks(self, rows: int | None = None) -> Iterator[Tensor]:
        return self.source.chunks(rows)

    def encode(self, network: nn.Module, device: torch.device, rows: int | None = None) -> Any:
        return self.source.encode(network, device, rows)

    def range(self) -> tuple[float, float]:
        return self.source.range()

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.source.moments()

    def column_range(self) -> tuple[Tensor, Tensor]:
        return self.source.column_range()

    def kept_on(self, device: torch.device, most_bytes: int) -> "Episodes":
        kept = self.source.kept_on(device, most_bytes)
        return self if kept is self.source else Episodes(kept, self.n_way, self.n_shot, self.n_query, self.n_episodes)

    def subset(self, index: Tensor) -> Any:
        """The rows at `index`, which are no episodes any more."""
        return self.source.subset(index)


def _members(y: Tensor) -> list[Tensor]:
    """Positions of the rows of each class."""
    order = y.argsort(stable=True)
    counts = torch.unique(y, return_counts=True)[1]
    return list(order.split(counts.tolist()))
