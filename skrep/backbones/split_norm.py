"""Batch normalisation over parts of a batch, as each of several devices has it."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

__all__ = ["split_batch_norm"]


class split_batch_norm(TorchFunctionMode):
    """In this context every batch normalisation that trains takes its statistics from parts of the batch.

    Running statistics move once, towards the mean of the parts. Networks keep their layers and the layout of
    their memory: only the function that all of torch's layers call is another one here.

    Parameters
    ----------
    n_parts : int
        How many; fewer where a part would have less than two rows. They are as even as can be.
    """

    def __init__(self, n_parts: int):
        super().__init__()
        self.n_parts = n_parts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.batch_norm:
            return self._normalise(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _normalise(
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
        n_parts = min(self.n_parts, len(x) // 2) if training else 1
        if n_parts < 2:
            return F.batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)
        # one after the other, these come to momentum / n_parts for each
        steps = [momentum / (n_parts - momentum * (n_parts - i)) for i in range(1, n_parts + 1)]
        return torch.cat(
            [
                F.batch_norm(part, running_mean, running_var, weight, bias, training, step, eps)
                for part, step in zip(x.tensor_split(n_parts), steps, strict=True)
            ]
        )
