"""Small methods that exist for tests alone: one of the engine, and one of each kind that the hooks must carry."""

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skrep import TorchTransformer
from skrep.backbones import (
    InputEncoder,
    MLPModule,
    ProjectionHead,
    Spread,
    by_column,
    cosine_between,
    follow,
    make_encoder,
)
from skrep.base import Views
from skrep.contrastive.simclr import SimCLR
from skrep.contrastive.two_views import TwoViews
from skrep.data import Batch, Episodes, Pairs, Sequences, Source, read_groups, read_images, read_labels
from skrep.objectives import info_nce, squared_error
from skrep.params import Integer, Real, param, params
from skrep.text import TokenReader


class Reconstruct(nn.Module):
    """A linear autoencoder, with dropout that draws from torch's global generator where it is asked for."""

    def __init__(self, n_features: int, dropout: float):
        super().__init__()
        self.encoder = nn.Linear(n_features, 3)
        self.dropout = nn.Dropout(dropout)
        self.decoder = nn.Linear(3, n_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.dropout(self.encoder(x)))


@params
class Simple(TorchTransformer):
    """The least that a method has to say."""

    dropout: float = param(Real(low=0, high=1), default=0.0)
    noise: float = param(Real(low=0), default=0.1)

    def make_module(self, data: Any) -> nn.Module:
        return Reconstruct(data.shape[0], self.dropout)

    def make_views(self, data: Any, module: nn.Module) -> Any:
        def views(batch: Any, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            noise = torch.empty_like(batch.x).normal_(generator=generator)
            return batch.x + self.noise * noise, batch.x

        return views

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.mse_loss(outputs, target)


class BYOL(nn.Module):
    """An encoder with projector and predictor, and a target network that follows it."""

    def __init__(self, encoder: InputEncoder, n_features: int, projection_dim: int):
        super().__init__()
        self.encoder, self.projector = encoder, ProjectionHead(n_features, projection_dim)
        self.predictor, self.spread = ProjectionHead(projection_dim, projection_dim), Spread(projection_dim)
        self.target = copy.deepcopy(nn.ModuleList([encoder, self.projector])).requires_grad_(False)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        predictions = self.predictor(self.projector(self.encoder.embed(views)))  # (2 * batch, projection_dim)
        encoder, projector = self.target
        with torch.no_grad():
            targets = projector(encoder.embed(views)).roll(len(views) // 2, 0)  # those of the other view
        return predictions, targets


@params
class BYOLTransformer(TwoViews):
    """Bootstrap your own latent (Grill et al. 2020, arXiv:2006.07733)."""

    momentum: float = param(Real(low=0, high=1), default=0.9)

    def make_module(self, data: Source) -> nn.Module:
        return BYOL(*make_encoder(data, self.backbone, self.n_components, self.layer), self.projection_dim)

    def objective(self, outputs: tuple[Tensor, Tensor], target: None) -> Tensor:
        predictions, targets = outputs
        return 2 - 2 * F.cosine_similarity(predictions, targets).mean()

    def after_step(self, module: Any, outputs: Any, progress: float) -> None:
        momentum = cosine_between(self.momentum, 1.0, progress)
        follow(module.target, [module.encoder, module.projector], momentum)
        super().after_step(module, outputs[0], progress)


class Rotation(nn.Module):
    """An encoder, and a linear layer that names one of four orientations."""

    def __init__(self, encoder: InputEncoder, n_features: int):
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(n_features, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.encoder.embed(images))  # (4 * batch, channels, side, side) -> (4 * batch, 4)


@params
class RotationTransformer(TorchTransformer):
    """Which way up is an image? (Gidaris et al. 2018, arXiv:1803.07728)"""

    n_components: int | None = param(default=None)
    backbone: Any = param(default=None)

    reads = ("images",)

    def make_module(self, data: Source) -> nn.Module:
        if data.shape[0] != data.shape[1]:
            raise ValueError(f"images of shape {data.shape} are not square; crop them first.")
        return Rotation(*make_encoder(data, self.backbone, self.n_components))

    def make_views(self, data: Source, module: Any) -> Views:
        def views(batch: Batch, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            images = module.encoder.scale(batch.x)  # (batch, channels, side, side)
            turned = torch.cat([images.rot90(k, (2, 3)) for k in range(4)])  # (4 * batch, ...)
            return turned, torch.arange(4, device=turned.device).repeat_interleave(len(images))

        return views

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(outputs, target)

    def shown_views(self, module: Any, inputs: Tensor) -> list[Tensor]:
        return [module.encoder.show(view) for view in inputs.chunk(4)]


class VAE(nn.Module):
    """An encoder of means, one of log-variances, and a decoder."""

    def __init__(self, scale: nn.Module, n_features: int, n_components: int):
        super().__init__()
        self.encoder = InputEncoder(scale, nn.Identity(), MLPModule([n_features, 16, n_components]))
        self.log_variance = MLPModule([n_features, 16, n_components])
        self.decoder = MLPModule([n_components, 16, n_features])

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        x, noise = inputs
        mean, log_variance = self.encoder.embed(x), self.log_variance(x)  # (batch, n_components)
        return self.decoder(mean + noise * (0.5 * log_variance).exp()), mean, log_variance


@params
class VAETransformer(TorchTransformer):
    """Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114), whose beta rises in the first half."""

    n_components: int | None = param(Integer(low=1), None, default=None)

    def make_module(self, data: Source) -> nn.Module:
        return VAE(by_column(*data.moments()), data.shape[0], self.n_components or 2)

    def make_views(self, data: Source, module: Any) -> Views:
        def views(batch: Batch, generator: torch.Generator) -> tuple[Any, Any]:
            x = module.encoder.scale(batch.x)
            noise = torch.randn(len(x), self.n_components or 2, generator=generator, device=x.device)
            return (x, noise), (x, min(1.0, 2 * batch.progress))

        return views

    def objective(self, outputs: Any, target: Any) -> dict[str, Tensor]:
        (rebuilt, mean, log_variance), (x, beta) = outputs, target
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        return {"reconstruction": squared_error(rebuilt, x), "kl": beta * divergence}

    def shown_views(self, module: Any, inputs: Any) -> list[Tensor]:
        return [module.encoder.show(inputs[0])]


@params
class PrototypicalTransformer(TorchTransformer):
    """Prototypical networks (Snell et al. 2017, arXiv:1703.05175); whole classes are held out."""

    n_components: int | None = param(Integer(low=1), None, default=None)
    n_way: int = param(Integer(low=2), default=3)
    n_shot: int = param(Integer(low=1), default=2)
    n_query: int = param(Integer(low=1), default=3)
    n_episodes: int = param(Integer(low=1), default=20)

    reads = ("table", "images")

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        data = super().read(X, groups=groups, reset=reset)
        if y is not None:
            _, data.y = read_labels(y, len(data), type(self).__name__)
            data.groups = data.y  # so that no class is on both sides of a split
        return data

    def training_source(self, data: Source) -> Source:
        return Episodes(data, self.n_way, self.n_shot, self.n_query, self.n_episodes)

    def make_module(self, data: Source) -> nn.Module:
        encoder, _ = make_encoder(data, None, self.n_components or 8)
        return nn.Sequential(OrderedDict(encoder=encoder))

    def make_views(self, data: Source, module: nn.Module) -> Views:
        return lambda batch, generator: (batch.x, batch.y)

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        n_support = self.n_way * self.n_shot
        prototypes = outputs[:n_support].view(self.n_way, self.n_shot, -1).mean(1)  # (n_way, n_components)
        distances = torch.cdist(outputs[n_support:], prototypes)  # (n_way * n_query, n_way)
        return F.cross_entropy(-distances.square(), target[n_support:])


class CPC(nn.Module):
    """Steps of eight samples, a context of those before each, and a predictor for each offset."""

    def __init__(self, scale: nn.Module, n_channels: int, width: int, n_offsets: int):
        super().__init__()
        self.encoder = ContextEncoder(scale, n_channels, width)
        self.predictors = nn.ModuleList(nn.Linear(width, width) for _ in range(n_offsets))

    def forward(self, crops: Tensor) -> list[tuple[Tensor, Tensor]]:
        steps, contexts = self.encoder.states(crops)  # (batch, n_steps, width)
        return [
            (predict(contexts[:, :-k]).flatten(0, 1), steps[:, k:].flatten(0, 1))
            for k, predict in enumerate(self.predictors, 1)
        ]


class ContextEncoder(nn.Module):
    """From sequences to the mean context of their steps."""

    def __init__(self, scale: nn.Module, n_channels: int, width: int):
        super().__init__()
        self.scale = scale
        self.steps, self.contexts = nn.Conv1d(n_channels, width, 8, 8), nn.GRU(width, width, batch_first=True)

    def states(self, values: Tensor) -> tuple[Tensor, Tensor]:
        steps = self.steps(self.scale(values).transpose(1, 2)).relu().transpose(1, 2)  # (batch, length / 8, width)
        return steps, self.contexts(steps)[0]

    def forward(self, sequences: Sequences) -> Tensor:
        _, contexts = self.states(sequences.values)
        n_steps = (sequences.lengths // 8).clamp(min=1)
        used = torch.arange(contexts.shape[1], device=contexts.device) < n_steps[:, None]  # (batch, n_steps)
        return (contexts * used[..., None]).sum(1) / n_steps[:, None]  # (batch, width)


@params
class CPCTransformer(TorchTransformer):
    """Contrastive predictive coding (van den Oord et al. 2018, arXiv:1807.03748) on sequences of different lengths."""

    n_components: int | None = param(Integer(low=1), None, default=None)
    window: int = param(Integer(low=16), default=32)
    n_offsets: int = param(Integer(low=1), default=2)

    reads = ("sequences",)

    def training_source(self, data: Any) -> Source:
        return data.crops(self.window)

    def make_module(self, data: Source) -> nn.Module:
        return CPC(by_column(*data.moments()), data.shape[1], self.n_components or 4, self.n_offsets)

    def make_views(self, data: Source, module: nn.Module) -> Views:
        return lambda batch, generator: (batch.x, None)

    def objective(self, outputs: Any, target: None) -> dict[str, Tensor]:
        return {f"offset_{k}": info_nce(*pair, None, 0.2) for k, pair in enumerate(outputs, 1)}


class TwoTowers(nn.Module):
    """An encoder of images, and one of bags of tokens."""

    def __init__(self, encoder: InputEncoder, width: int, n_tokens: int):
        super().__init__()
        self.encoder, self.tokens = encoder, nn.Embedding(n_tokens, width)

    def forward(self, inputs: Any) -> tuple[Tensor, Tensor]:
        images, texts = inputs
        vectors = torch.segment_reduce(self.tokens(texts.tokens), "mean", lengths=texts.of_documents)
        return self.encoder.embed(images), vectors  # (batch, width) each


@params
class TwoTowersTransformer(TokenReader, TorchTransformer):
    """Images and their texts find one another in a batch, as in CLIP (Radford et al. 2021, arXiv:2103.00020)."""

    n_components: int | None = param(Integer(low=1), None, default=None)
    backbone: Any = param(default=None)

    reads = ("images",)

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        images = read_images(self, X, reset=reset)
        return images if y is None else Pairs(images, super().read(y, groups=groups, reset=reset))

    def _learn_tokens(self, collections: list[Any]) -> None:
        self._set_length(16)
        self._learn_vocabulary(collections, ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"))

    def make_module(self, data: Any) -> nn.Module:
        return TwoTowers(*make_encoder(data.first, self.backbone, self.n_components or 8), len(self.vocabulary_))

    def make_views(self, data: Source, module: Any) -> Views:
        return lambda batch, generator: ((module.encoder.scale(batch.x[0]), batch.x[1]), None)

    def objective(self, outputs: tuple[Tensor, Tensor], target: None) -> dict[str, Tensor]:
        images, texts = outputs
        return {"images": info_nce(images, texts, None, 0.1), "texts": info_nce(texts, images, None, 0.1)}


@params
class GroupedTransformer(TwoViews):
    """Two views find one another among those of other groups: rows of a group are never each other's negatives."""

    temperature: float = param(Real(low=0, open_low=True), default=0.2)

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        data = super().read(X, reset=reset)
        data.groups = read_groups(groups, len(data))
        return data

    def make_module(self, data: Source) -> nn.Module:
        return SimCLR(*make_encoder(data, self.backbone, self.n_components, self.layer), self.projection_dim)

    def make_views(self, data: Source, module: nn.Module) -> Views:
        two_views = super().make_views(data, module)
        return lambda batch, generator: (two_views(batch, generator)[0], batch.groups)

    def objective(self, outputs: Tensor, target: Tensor) -> Tensor:
        one, other = outputs.chunk(2)  # (batch, projection_dim)
        excluded = target[:, None] == target  # (batch, batch)
        return info_nce(one, other, other, self.temperature, excluded)
