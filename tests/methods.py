"""Small methods that exist for tests of the engine alone."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skrep import TorchTransformer
from skrep.params import Real, param, params


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
