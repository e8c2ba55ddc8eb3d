"""Several processes that train one network together, each on its share of every batch.

All of them run the same script. Each draws the whole batch and its views from the same generators, takes its own rows
through the network, and gets the outputs of the others: every process then has the loss of the whole batch, with
gradients through its own rows alone, and the sum of all gradients is that of one process with the whole batch.
"""

import atexit
import itertools
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from skrep.backbones import BatchNormMode, Norm
from skrep.engine.nested import map_nested

__all__ = ["ALONE", "Ranks", "join_ranks", "local_rank"]


def _is_launched() -> bool:
    """Whether torchrun started this very process as one of several; workers that it started itself are on their own."""
    return (
        "TORCHELASTIC_RUN_ID" in os.environ
        and int(os.environ.get("WORLD_SIZE", "1")) > 1
        and multiprocessing.current_process().name == "MainProcess"
        and threading.current_thread() is threading.main_thread()
    )


def local_rank() -> int:
    """Which of this machine's processes this one is; 0 for a single one."""
    return int(os.environ["LOCAL_RANK"]) if _is_launched() else 0


@dataclass(frozen=True)
class Ranks:
    """Processes that train together.

    Parameters
    ----------
    rank, size : int
        Which of how many this one is; 0 of 1 is a process on its own, for which every method does nothing.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def agree(self, value: Any) -> Any:
        """What the first process has for a value."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def require_same(self, value: Any, what: str) -> None:
        """Raise ValueError unless all processes have the same value."""
        if self.size > 1:
            values: list[Any] = [None] * self.size
            dist.all_gather_object(values, value)
            if any(other != value for other in values):
                raise ValueError(
                    f"{what} differs between the {self.size} processes that train together. Each must get all of the "
                    "same data, so give every split a random_state; skrep gives each its share of every batch."
                )

    def start_alike(self, module: nn.Module) -> None:
        """Give all processes the weights of the first."""
        if self.size > 1:
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.data, src=0)

    def own(self, inputs: Any, n_rows: int) -> Any:
        """The rows of this process in a batch, of tensors that have `n_rows` rows, or a multiple (views)."""
        if self.size == 1:
            return inputs
        if n_rows < self.size:
            raise ValueError(
                f"a batch of {n_rows} rows cannot be shared by {self.size} processes; raise batch_size, or start fewer."
            )
        first, last = self._bounds(n_rows)[self.rank]

        def take(tensor: Tensor) -> Tensor:
            views: Tensor = tensor.unflatten(0, (-1, n_rows))  # (views * batch, ...) -> (views, batch, ...)
            return views[:, first:last].flatten(0, 1)  # (views * share, ...)

        return _each_batch(take, inputs, n_rows)

    def gather(self, outputs: Any, n_rows: int) -> Any:
        """The outputs for a whole batch from those of each process; gradients go through this one's rows."""
        if self.size == 1:
            return outputs
        bounds = self._bounds(n_rows)
        shares = [last - first for first, last in bounds]
        share = shares[self.rank]

        def join(tensor: Tensor) -> Tensor:
            mine = tensor.unflatten(0, (-1, share))  # (views, share, ...)
            sent = mine.detach().new_zeros(mine.shape[0], max(shares), *mine.shape[2:])
            sent[:, :share] = mine.detach()
            parts = [torch.empty_like(sent) for _ in shares]
            dist.all_gather(parts, sent)
            parts = [part[:, :n] for part, n in zip(parts, shares, strict=True)]
            parts[self.rank] = mine
            return torch.cat(parts, 1).flatten(0, 1)  # (views * batch, ...)

        return _each_batch(join, outputs, share)

    def add_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Sum the gradients of all processes, in one message."""
        if self.size == 1:
            return
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        for gradient, total in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(total.view(gradient.shape))

    def batch_norm(self) -> AbstractContextManager[Any]:
        """Context in which batch normalisation takes its statistics from the batch of all processes."""
        return nullcontext() if self.size == 1 else _JointBatchNorm(self)

    def _bounds(self, n_rows: int) -> list[tuple[int, int]]:
        """First and last row of each process, as even as can be."""
        ends = [n_rows * i // self.size for i in range(self.size + 1)]
        return list(itertools.pairwise(ends))


ALONE = Ranks()


def _leave() -> None:
    time.sleep(0.2)  # gloo's thread lets go of the last message, for which it needs the interpreter, or aborts
    dist.destroy_process_group()


def join_ranks() -> Ranks:
    """The processes that torchrun started, or those of torch's default process group where a script has made one."""
    if _is_launched() and not dist.is_initialized():
        has_nccl = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if has_nccl else "gloo")
        atexit.register(_leave)
    is_main = threading.current_thread() is threading.main_thread()
    if not (dist.is_available() and dist.is_initialized() and is_main):
        return ALONE
    return Ranks(dist.get_rank(), dist.get_world_size())


class _JointBatchNorm(BatchNormMode):
    """Statistics over the batch of all processes (torch's own SyncBatchNorm runs on CUDA only)."""

    def __init__(self, ranks: Ranks):
        super().__init__()
        self.ranks = ranks

    def normalise(self, x: Tensor, layer: Norm) -> Tensor:
        others, broad = [0, *range(2, x.ndim)], (1, -1) + (1,) * (x.ndim - 2)
        numbers = x.float()
        count = numbers.new_tensor([numbers.numel() / numbers.shape[1]])
        variance, mean = torch.var_mean(numbers, others, correction=0)  # (channels,)
        parts: Tensor = _Gathered.apply(torch.cat([count, mean, variance]), self.ranks)  # (ranks, 1 + 2 * channels)
        share = parts[:, :1] / parts[:, 0].sum()
        means, variances = parts[:, 1:].chunk(2, 1)  # each (ranks, channels)
        mean = (share * means).sum(0)
        variance = (share * (variances + (means - mean).square())).sum(0)
        with torch.no_grad():
            total = parts[:, 0].sum()
            if layer.running_mean is not None and layer.running_var is not None:
                layer.running_mean.lerp_(mean, layer.momentum)
                layer.running_var.lerp_(variance * total / (total - 1), layer.momentum)
        z = (numbers - mean.view(broad)) * torch.rsqrt(variance + layer.eps).view(broad)
        if layer.weight is not None and layer.bias is not None:
            z = z * layer.weight.view(broad) + layer.bias.view(broad)
        return z.to(x.dtype)


class _Gathered(torch.autograd.Function):
    """One row from each process; what each makes of them comes back as one sum."""

    @staticmethod
    def forward(ctx: Any, row: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        rows = [torch.empty_like(row) for _ in range(ranks.size)]
        dist.all_gather(rows, row)
        return torch.stack(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient[ctx.ranks.rank], None


def _each_batch(change: Callable[[Tensor], Tensor], value: Any, n_rows: int) -> Any:
    """Apply a function to the tensors of a container, which have so many rows or a multiple; scalars stay."""
    if isinstance(value, Tensor):
        if value.ndim and len(value) % n_rows:
            raise ValueError(
                f"a tensor of shape {tuple(value.shape)} cannot be shared by processes: its first axis is not a "
                f"multiple of the {n_rows} rows of the batch. Declare shares_batches = False."
            )
        return change(value) if value.ndim and len(value) else value
    return map_nested(lambda item: _each_batch(change, item, n_rows), value)
