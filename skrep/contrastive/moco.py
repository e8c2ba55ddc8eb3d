"""MoCo: a view of a sample finds the other one among many keys (He et al. 2020, arXiv:1911.05722)."""

import contextlib
import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones import (
    InputEncoder,
    ProjectionHead,
    Spread,
    cosine_between,
    follow,
    make_encoder,
    split_batch_norm,
)
from skrep.base import Views
from skrep.contrastive.two_views import TwoViews
from skrep.data import Batch, Source
from skrep.engine import join_ranks
from skrep.engine.recipe import DEFAULT_WORK
from skrep.objectives import info_nce
from skrep.params import Integer, Real, param, params
from skrep.views.image import Interval

__all__ = ["MoCoTransformer"]


# Keys in a queue at most, where the user says nothing: more gain nothing; see docs/defaults.md.
LARGEST_QUEUE = 1024


class Candidates(NamedTuple):
    """Extra keys that queries are contrasted with."""

    positives: Tensor | None  # (batch, projection_dim); None: keys of the batch
    negatives: Tensor | None  # (n_negatives, projection_dim); None: keys of the other rows of the batch
    excluded: Tensor | None  # (batch, n_negatives): negatives that are of the query's own row, or group


class Projections(NamedTuple):
    """What the network makes of a batch; rows of the first views stand before those of the second."""

    queries: Tensor  # (n_views * batch, projection_dim)
    keys: Tensor  # of the other view of each query's row
    rows: Tensor  # (batch,): which rows they are
    groups: Tensor | None  # (batch,): of which groups


class InBatch(nn.Module):
    """No memory: the other rows of the batch are all there is (figure 2a of He et al.)."""

    n_negatives = 0

    def recall(self, batch: Batch, groups: Tensor | None, generator: torch.Generator) -> Candidates:
        """Keys for the queries of a batch; `groups` are those of all rows in training."""
        return Candidates(None, None, None if batch.groups is None else batch.groups[:, None] == batch.groups)

    def remember(self, module: "MoCo", outputs: Projections, momentum: float) -> None:
        pass


class Queue(nn.Module):
    """Keys of the latest rows, by a network that slowly follows the one in training (figure 2c, algorithm 1)."""

    keys: Tensor
    rows: Tensor
    position: Tensor

    def __init__(self, n_keys: int, projection_dim: int):
        super().__init__()
        self.n_negatives = n_keys
        self.register_buffer("keys", F.normalize(torch.randn(n_keys, projection_dim), dim=1))
        self.register_buffer("rows", torch.full((n_keys,), -1))  # whose key each is: the row, or its group
        self.register_buffer("position", torch.zeros((), dtype=torch.long))  # of the oldest key

    def recall(self, batch: Batch, groups: Tensor | None, generator: torch.Generator) -> Candidates:
        if not self.training:  # rows that are held out have no keys here
            return Candidates(None, self.keys, None)
        rows = batch.index.to(self.rows.device) if batch.groups is None else batch.groups
        return Candidates(None, self.keys, rows[:, None] == self.rows)  # (batch, n_keys)

    @torch.no_grad()
    def remember(self, module: "MoCo", outputs: Projections, momentum: float) -> None:
        n_keys = len(self.keys)
        keys = F.normalize(outputs.keys.detach(), dim=1)
        rows = outputs.rows if outputs.groups is None else outputs.groups
        rows = rows.repeat(len(keys) // len(rows))
        places = (self.position + torch.arange(len(keys), device=keys.device)[-n_keys:]) % n_keys
        self.keys[places], self.rows[places] = keys[-n_keys:], rows[-n_keys:]
        self.position.add_(len(keys)).remainder_(n_keys)
        follow([module.key_encoder, module.key_projector], [module.encoder, module.projector], momentum)


class MemoryBank(nn.Module):
    """One key a row, from when it was last seen (figure 2b; Wu et al. 2018, arXiv:1805.01978)."""

    keys: Tensor

    def __init__(self, n_rows: int, projection_dim: int, n_negatives: int):
        super().__init__()
        self.register_buffer("keys", F.normalize(torch.randn(n_rows, projection_dim), dim=1))
        self.n_negatives = n_negatives

    def recall(self, batch: Batch, groups: Tensor | None, generator: torch.Generator) -> Candidates:
        n_rows = len(self.keys)
        drawn = torch.randint(n_rows, (self.n_negatives,), generator=generator, device=generator.device)
        if not self.training:  # rows that are held out have no place in the bank
            return Candidates(None, self.keys[drawn], None)
        index = batch.index.to(drawn.device)
        asking, asked = (index, drawn) if groups is None else (groups[index], groups[drawn])
        return Candidates(self.keys[index], self.keys[drawn], asking[:, None] == asked)

    @torch.no_grad()
    def remember(self, module: "MoCo", outputs: Projections, momentum: float) -> None:
        index, queries = outputs.rows, F.normalize(outputs.queries.detach(), dim=1)
        queries = queries.view(-1, len(index), queries.shape[1]).mean(0)  # (n_views * batch, dim) -> (batch, dim)
        self.keys[index] = F.normalize(torch.lerp(queries, self.keys[index], momentum), dim=1)


class MoCo(nn.Module):
    """An encoder, kept, and what only training needs: projection head, dictionary and, for a queue, their followers."""

    def __init__(
        self,
        encoder: InputEncoder,
        n_features: int,
        projection_dim: int,
        dictionary: InBatch | Queue | MemoryBank,
        symmetric: bool,
        bn_splits: int,
    ):
        super().__init__()
        self.encoder, self.projector = encoder, ProjectionHead(n_features, projection_dim)
        if isinstance(dictionary, Queue):
            self.key_encoder = copy.deepcopy(encoder).requires_grad_(False)
            self.key_projector = copy.deepcopy(self.projector).requires_grad_(False)
        self.dictionary, self.spread = dictionary, Spread(projection_dim)
        self.symmetric, self.bn_splits = symmetric, bn_splits

    def forward(self, inputs: tuple[Tensor, Tensor, Tensor | None, Tensor | None]) -> Projections:
        views, rows, groups, order = inputs  # (2 * batch, ...), (batch,), likewise, and in which order keys are made
        if isinstance(self.dictionary, Queue):
            asking, answering = (views, views) if self.symmetric else views.chunk(2)
            queries = self._project(self.encoder, self.projector, asking)
            with torch.no_grad():
                if order is None:
                    keys = self._project(self.key_encoder, self.key_projector, answering)
                else:
                    shuffled = self._project(self.key_encoder, self.key_projector, answering[order])
                    keys = torch.empty_like(shuffled).index_copy_(0, order, shuffled)
        else:
            queries = keys = self._project(self.encoder, self.projector, views)
            if not self.symmetric:
                queries, keys = queries.chunk(2)
        if self.symmetric:
            keys = keys.roll(len(rows), 0)  # to each query that of the other view
        return Projections(queries, keys, rows, groups)

    def _project(self, encoder: InputEncoder, projector: nn.Module, views: Tensor) -> Tensor:
        with split_batch_norm(self.bn_splits) if self.bn_splits > 1 else contextlib.nullcontext():
            projections: Tensor = projector(encoder.embed(views))  # (views, ...) -> (views, projection_dim)
            return projections


@params
class MoCoTransformer(TwoViews):
    """A network that learns that two augmented views show the same row, or image, among the keys in a dictionary.

    Each row of a batch is augmented twice at random; for each view, the query, the network must find the key of the
    row's other view among keys of other rows. The number of negatives is independent of the batch size: keys are kept
    in a dictionary (He et al. 2020).

    Keys of a row's own group, such as those of the other photographs of its burst (``fit(X, groups=...)``), are never
    its negatives; with ``partial_fit``, groups are those of one call.

    Parameters
    ----------
    dictionary : {"queue", "memory_bank", "end_to_end"}, default="queue"
        Where negatives come from. "queue": the latest keys, by a second network whose weights are a moving average of
        the first one's. "memory_bank": one key a row, from when it was last seen; as many as `queue_size` are drawn for
        each batch (Wu et al. 2018). "end_to_end": the batch itself.
    queue_size : int or None, default=None
        Number of negatives. None takes a quarter of the rows, 1024 at most.
    momentum : float, (float, float) or None, default=None
        How slowly keys follow. For "queue": the decay of the weights' moving average in a step. For "memory_bank": that
        of each row's key. A pair is a schedule, rising from the first number to the second along half a cosine (Grill
        et al. 2020), over the whole of ``fit``; ``partial_fit`` stays at the first. None takes 0.99 and 0.5. For
        "end_to_end" it has no effect.
    symmetric : bool, default=True
        Whether both views of a row ask for each other, or only the first for the second. With a queue that is half the
        work in an epoch, and in the same time about as good.
    bn_splits : int, default=1
        Into how many parts batches are split for the statistics of batch normalisation; keys are shuffled between the
        parts, so that a query cannot know its own key by their common statistics ("shuffling BN" of He et al., on one
        device). For "queue" only.
    temperature : float, default=0.2
        Divides the similarities: the lower it is, the more the hardest negatives count.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``: ``encoder`` and ``projector`` learn by gradients, ``key_encoder`` and
        ``key_projector`` follow them, ``dictionary`` holds the keys.
    queue_size_ : int
        Number of negatives; 0 for "end_to_end".
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", "projection_std", "effective_rank", and "valid_loss" with
        `validation_fraction`. The loss is in nats; a network that has learned nothing is at log(1 + ``queue_size_``),
        with "end_to_end" at log(batch_size).
        "projection_std" is 1 where projections lie in all directions alike and 0 where all are the same;
        "effective_rank" is the number of directions that they use.

    See Also
    --------
    SimCLRTransformer : Finds views among the other views of a batch.
    RandomEncoder : The same network, untrained.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import MoCoTransformer
    >>> from skrep.data import AsImages
    >>> X = AsImages((8, 8)).fit_transform(load_digits().data)
    >>> encoder = MoCoTransformer(max_epochs=1, random_state=0).fit(X)
    >>> encoder.transform(X).shape, encoder.queue_size_
    ((1797, 512), 449)
    """

    dictionary: str = param("queue", "memory_bank", "end_to_end", default="queue")
    queue_size: int | None = param(Integer(low=1), None, default=None)
    momentum: float | tuple[float, float] | None = param(Real(low=0, high=1), Interval(0, 1), None, default=None)
    symmetric: bool = param(bool, default=True)
    bn_splits: int = param(Integer(low=1), default=1)
    temperature: float = param(Real(low=0, open_low=True), default=0.2)

    _work = 1.5 * DEFAULT_WORK  # which counts gradients for keys as well, that they have not

    def make_module(self, data: Source) -> nn.Module:
        """Hook: encoder, projection head and dictionary."""
        encoder, width = make_encoder(data, self.backbone, self.n_components, self.layer)
        dictionary = self._make_dictionary(data)
        return MoCo(encoder, width, self.projection_dim, dictionary, self.symmetric, self.bn_splits)

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: two augmented views of each row, and the keys in the dictionary."""
        two_views = super().make_views(data, module)
        recall: Any = module.dictionary.recall  # type: ignore[union-attr]
        groups = None if data.groups is None else data.groups.to(next(module.parameters()).device)
        n_asked = 2 if self.symmetric else 1

        def views(batch: Batch, generator: torch.Generator) -> tuple[Any, Candidates]:
            pairs, _ = two_views(batch, generator)  # (2 * batch, ...)
            index = batch.index.to(pairs.device)
            order = None
            if self.bn_splits > 1:
                order = torch.randperm(n_asked * len(index), generator=generator, device=generator.device)
            return (pairs, index, batch.groups, order), recall(batch, groups, generator)

        return views

    def objective(self, outputs: Projections, target: Candidates) -> Tensor:
        """Hook: each view's loss against its candidates."""
        n_views = len(outputs.queries) // len(outputs.rows)
        losses = [
            info_nce(
                queries,
                keys if target.positives is None else target.positives,
                target.negatives,
                self.temperature,
                target.excluded,
            )
            for queries, keys in zip(outputs.queries.chunk(n_views), outputs.keys.chunk(n_views), strict=True)
        ]
        return torch.stack(losses).mean()

    def after_step(self, module: nn.Module, outputs: Projections, progress: float) -> None:  # type: ignore[override]
        """Hook: the dictionary gets the batch's keys, after both views have been asked."""
        module.dictionary.remember(module, outputs, self._momentum(progress))  # type: ignore[union-attr, operator]
        super().after_step(module, outputs.queries, progress)

    def shown_views(self, module: nn.Module, inputs: Any) -> list[Tensor]:
        """Hook: the first views, then the second."""
        return super().shown_views(module, inputs[0])

    def check(self, data: Source, module: nn.Module) -> None:
        """Hook: a memory bank has a place for each row that it was made for, and batches are split by one process."""
        n_processes = join_ranks().size
        if self.bn_splits > 1 and n_processes > 1:
            raise ValueError(
                f"{type(self).__name__}(bn_splits={self.bn_splits}) splits the batch of a single process, but "
                f"{n_processes} train together. Set bn_splits=1."
            )
        if self.dictionary == "memory_bank" and len(data) != len(module.dictionary.keys):  # type: ignore[union-attr, arg-type]
            raise ValueError(
                f"{type(self).__name__}(dictionary='memory_bank') got {len(data)} rows, but its bank has a place for "
                f"each of the {len(module.dictionary.keys)} rows that it was trained on. Go on with just those, or use "  # type: ignore[union-attr, arg-type]
                "dictionary='queue'."
            )

    @property
    def queue_size_(self) -> int:
        """Number of negatives; 0 for "end_to_end"."""
        check_is_fitted(self)
        n_negatives: int = self.net_.module_.dictionary.n_negatives
        return n_negatives

    def _momentum(self, progress: float) -> float:
        if self.momentum is None:
            return {"queue": 0.99, "memory_bank": 0.5, "end_to_end": 0.0}[self.dictionary]
        if not isinstance(self.momentum, Sequence):
            return self.momentum
        return cosine_between(*self.momentum, progress)

    def _make_dictionary(self, data: Source) -> InBatch | Queue | MemoryBank:
        name, n_rows = type(self).__name__, data.fact("n_rows", lambda: len(data))
        if self.dictionary != "queue" and self.bn_splits > 1:
            raise ValueError(
                f"{name}(bn_splits={self.bn_splits}, dictionary={self.dictionary!r}): parts are for keys that a second "
                "network makes. Use dictionary='queue', or bn_splits=1."
            )
        if self.bn_splits > 1 and (self.net_params or {}).get("compile"):
            raise ValueError(
                f"{name}(bn_splits={self.bn_splits}) cannot be compiled. Leave 'compile' out of net_params, or set "
                "bn_splits=1."
            )
        if self.dictionary == "end_to_end":
            if self.queue_size is not None:
                raise ValueError(
                    f"{name}(queue_size={self.queue_size}, dictionary='end_to_end'): negatives are the other rows of "
                    "the batch. Leave queue_size out and set batch_size, or use dictionary='queue'."
                )
            return InBatch()
        size = self.queue_size or data.fact("queue_size", lambda: self._default_queue(n_rows))
        if size > n_rows and self.queue_size is not None:
            raise ValueError(
                f"{name}(queue_size={size}) exceeds n_samples = {n_rows}: the {self.dictionary.replace('_', ' ')} "
                f"would contain duplicates. Use at most {n_rows}, or None, which sizes it."
            )
        if self.dictionary == "queue":
            return Queue(size, self.projection_dim)
        return MemoryBank(n_rows, self.projection_dim, size)

    def _default_queue(self, n_rows: int) -> int:
        if self.warm_start and hasattr(self, "_outline"):  # as large as that of the last fit
            fitted: int = dict(self._outline["facts"]).get("queue_size", 0)
            if fitted:
                return fitted
        return max(1, min(LARGEST_QUEUE, n_rows // 4))
