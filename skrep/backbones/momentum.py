"""Momentum encoders: networks that follow another one slowly (He et al. 2020; Grill et al. 2020, arXiv:2006.07733)."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

__all__ = ["cosine_between", "follow"]


@torch.no_grad()
def follow(followers: Iterable[nn.Module], leaders: Iterable[nn.Module], momentum: float) -> None:
    """Move parameters to their exponential moving average: momentum * follower + (1 - momentum) * leader.

    Biases are averaged too; buffers, such as batch statistics, are each network's own.

    Parameters
    ----------
    followers, leaders : iterable of torch.nn.Module
        Networks of the same architecture, in the same order; the followers are changed in place.
    momentum : float
        Decay of the moving average in a step.
    """
    following: list[Tensor] = [p for module in followers for p in module.parameters()]
    followed: list[Tensor] = [p for module in leaders for p in module.parameters()]
    torch._foreach_lerp_(following, followed, 1 - momentum)


def cosine_between(first: float, last: float, progress: float) -> float:
    """From `first` to `last` along half a cosine, as `progress` goes from 0 to 1."""
    return last - (last - first) * 0.5 * (1 + math.cos(math.pi * progress))
