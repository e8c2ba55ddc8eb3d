"""Batch normalisation with other statistics than those of the batch that a layer gets."""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["BatchNormMode", "Norm", "split_batch_norm"]


class Norm(NamedTuple):
    """What a layer of batch normalisation holds."""

    running_mean: Tensor | None  # (channels,), as all that follow
    running_var: Tensor | None
    weight: Tensor | None
    bias: Tensor | None
    momentum: float
    eps: float


class BatchNormMode(TorchFunctionMode):
    """Context in which another function stands in for the batch normalisation of training.

    Networks keep their layers and the layout of their memory: only the function that all of torch's layers call is
    another one.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return (self._batch_norm if func is F.batch_norm else func)(*args, **(kwargs or {}))

    def _batch_norm(
        self,
        x: Tensor,
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        if not training:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        return self.normalise(x, Norm(running_mean, running_var, weight, bias, momentum, eps))

    @abstractmethod
    def normalise(self, x: Tensor, layer: Norm) -> Tensor:
        """Normalise `x`, (batch, channels, ...), and move the running statistics."""


class split_batch_norm(BatchNormMode):
    """In this context every batch normalisation that trains takes its statistics from parts of the batch.

    Running statistics move once, towards the mean of the parts.

    Parameters
    ----------
    n_parts : int
        How many; fewer where a part would have less than two rows. They are as even as can be.
    """

    def __init__(self, n_parts: int):
        super().__init__()
        self.n_parts = n_parts

    def normalise(self, x: Tensor, layer: Norm) -> Tensor:
        n_parts = max(1, min(self.n_parts, len(x) // 2))
        normalised = []
        for i, part in enumerate(x.tensor_split(n_parts), 1):
            # one after the other, these steps come to momentum / n_parts for each part
            step = layer.momentum / (n_parts - layer.momentum * (n_parts - i))
            mean, var, weight, bias = layer[:4]
            normalised.append(F.batch_norm(part, mean, var, weight, bias, True, step, layer.eps))
        return torch.cat(normalised)
