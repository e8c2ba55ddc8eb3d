"""Every random number of a fit comes from its ``random_state``, and the caller's generators stay as they were.

Order, views and masks are drawn from a local :class:`torch.Generator` that is seeded anew from (seed, epoch, batch), so
that a resumed run needs no generator state. What can only draw from torch's global generator (the initialisation of
layers, dropout in foreign modules) does so under one process-wide lock, inside a fork of that generator:
``torch.random.fork_rng`` alone is not thread-safe.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import nn

__all__ = ["derive_seed", "draw_seed", "draws_globally", "global_generators", "seeded_initialisation"]

_GLOBAL_GENERATOR = threading.RLock()
_MASK = 2**64 - 1


def draw_seed(random_state: Any) -> int:
    """The seed of one fit.

    An int is itself; a RandomState gives its next number; None takes fresh entropy from the operating system, so that
    not even NumPy's global generator moves.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    check_random_state(random_state)  # one error for what scikit-learn would not take either
    return int(random_state)


def derive_seed(seed: int, *path: int) -> int:
    """A seed for one place in a run, such as (epoch, batch): splitmix64 over the path.

    The upper half is folded onto the lower, because torch's CPU generator reads only 32 bits.
    """
    state = seed & _MASK
    for step in path:
        state = (state + 0x9E3779B97F4A7C15 * (step + 1)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return (state ^ (state >> 32)) & 0xFFFFFFFF


@contextlib.contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Seed torch's global CPU generator for the block, alone in the process, and put it back afterwards."""
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, 0))
        yield


@contextlib.contextmanager
def global_generators(device: torch.device) -> Iterator[None]:
    """Hold torch's global generators (the CPU's and the device's) for the block, and put them back afterwards."""
    devices = [device.index or 0] if device.type == "cuda" else []
    with _GLOBAL_GENERATOR, torch.random.fork_rng(devices=devices):
        yield


def draws_globally(module: nn.Module) -> bool:
    """Whether a module may draw from torch's global generators while it trains.

    True for active dropout and for every class that neither torch.nn nor skrep defines: one cannot see from outside
    what its ``forward`` calls.
    """
    for part in module.modules():
        home = type(part).__module__
        if isinstance(part, nn.modules.dropout._DropoutNd) and part.p > 0:
            return True
        if isinstance(part, (nn.RReLU, nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)):
            return True
        if isinstance(part, (nn.MultiheadAttention, nn.RNNBase)) and part.dropout > 0:
            return True
        if not home.startswith(("torch.nn.", "skrep.")):
            return True
    return False
