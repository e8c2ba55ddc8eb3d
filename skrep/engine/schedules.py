"""The learning rate as a factor of its peak, from the share of training that is done."""

import math
from collections.abc import Callable

__all__ = ["WARM_UP", "resolve_schedule"]

# The share of training in which the rate climbs to its peak.
WARM_UP = 0.05


def warm_up_cosine(done: float) -> float:
    """Linear warm-up, then half a cosine down to zero (Loshchilov & Hutter 2017, without restarts)."""
    if done < WARM_UP:
        return done / WARM_UP
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def resolve_schedule(lr_schedule: str | Callable[[float], float] | None) -> Callable[[float], float] | None:
    """Turn an ``lr_schedule`` parameter into a function of the share done, or None for a rate left alone."""
    if lr_schedule == "cosine":
        return warm_up_cosine
    return lr_schedule if callable(lr_schedule) else None
