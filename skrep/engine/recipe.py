"""A method's measured defaults, and how they become the numbers of one fit.

The measurements are in docs/defaults.md. Limits count work, never seconds: the same seed gives the same bits.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from skrep.data import Source
from skrep.engine.optimizers import DEFAULT_LR
from skrep.engine.randomness import global_generators
from skrep.engine.work import training_flops

__all__ = ["DEFAULT_WORK", "UNLIMITED", "Recipe", "plan", "share_of_work", "up_to"]

# Training work of a default fit, in FLOPs: about two minutes on two laptop cores for a perceptron, less than one for
# convolutions.
DEFAULT_WORK = 4e12

# Fewer rows get a share of it, for fits of seconds: from all of it at 6,000 rows down to .27 at 3,445 and below.
SMALL, ALL_ROWS, LEAST_SHARE = 2500, 6000, 0.27

# Epochs where only the clock ends training.
UNLIMITED = 10**9


def up_to(largest: int) -> Callable[[int], int]:
    """A batch size that grows with the number of rows: a power of two, an eighth of them, from 32 to `largest`."""
    return lambda n: min(largest, max(32, 2 ** int(math.log2(n / 8)) if n > 8 else 32))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The defaults of a method.

    Parameters
    ----------
    batch : callable, default=up_to(256)
        Batch size, from the number of rows.
    work : float, default=4e12
        FLOPs of a default fit to 6,000 rows or more; fewer rows get less, see :func:`share_of_work`;
        with `flops`, whatever the number of rows.
    epochs : tuple of (int, int), default=(10, 200)
        Fewest and most epochs that `work` may come to.
    steps : int or None, default=None
        Training steps of a default fit, which then decide the epochs instead of `work`.
    flops : callable or None, default=None
        FLOPs of training per unit of ``data.size``, from the module. None measures them in a trial forward pass.
    lr : mapping of str to float
        Default peak learning rate of each optimizer; that of "adamw" is taken for classes.
    fine_tuning_lr : float, default=5e-4
        Default peak learning rate where the network is fine-tuned.
    net_params : mapping
        What else the network is trained with, unless the user's ``net_params`` say otherwise.
    """

    batch: Callable[[int], int] = field(default_factory=lambda: up_to(256))
    work: float = DEFAULT_WORK
    epochs: tuple[int, int] = (10, 200)
    steps: int | None = None
    flops: Callable[[nn.Module], float] | None = None
    lr: Mapping[str, float] = field(default_factory=lambda: DEFAULT_LR)
    fine_tuning_lr: float = 5e-4
    net_params: Mapping[str, Any] = field(default_factory=dict)

    def peak_lr(self, optimizer: Any) -> float:
        """The default learning rate of an optimizer: its name, or a class."""
        return self.lr.get(optimizer, self.lr["adamw"]) if isinstance(optimizer, str) else self.lr["adamw"]


def plan(method: Any, data: Source, module: nn.Module) -> tuple[int, int]:
    """Batch size and epochs of one fit: what the user gives, else what the recipe says for these data and this network.

    Parameters
    ----------
    method : TorchTransformer
        Its ``batch_size``, ``max_epochs`` and ``budget_minutes`` are the user's, its ``recipe`` the method's.
    data : Source
        What batches are made of.
    module : torch.nn.Module
        The network, on the CPU.
    """
    recipe: Recipe = method.recipe
    batch_size = method.batch_size or recipe.batch(len(data))
    if method.max_epochs is not None or method.budget_minutes is not None:
        return batch_size, UNLIMITED if method.max_epochs is None else method.max_epochs
    fewest, most = recipe.epochs
    if recipe.steps is not None:
        return batch_size, int(np.clip(recipe.steps * batch_size / data.rows_per_epoch, fewest, most))
    if recipe.flops is not None:
        work, per_epoch = recipe.work, recipe.flops(module) * data.size
    else:
        work, per_epoch = recipe.work * share_of_work(len(data)), _measured(method, data, module)
    return batch_size, int(min(most, max(fewest, work / max(1.0, per_epoch))))


def share_of_work(n_rows: int) -> float:
    """The share of a default fit's work that so many rows get: small sets gain little from long training."""
    return float(np.clip((n_rows - SMALL) / (ALL_ROWS - SMALL), LEAST_SHARE, 1.0))


def _measured(method: Any, data: Source, module: nn.Module) -> float:
    """FLOPs of an epoch: the trial forward pass of a few rows that sizes a fit."""
    cpu, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
    module.eval()  # no running statistics change
    with global_generators(cpu):
        batch = data.small_batch(generator)
        inputs, _ = method.make_views(data, module)(batch, generator)
        flops = training_flops(module, inputs)
    module.train()
    return flops / len(batch.index) * data.rows_per_epoch
