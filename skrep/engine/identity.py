"""What identifies a training run: class, parameters that decide what is trained, start and data."""

from dataclasses import fields
from typing import Any

import skorch.callbacks
from sklearn.base import BaseEstimator
from torch import nn

from skrep.data import Source
from skrep.engine.checkpoints import fingerprint

__all__ = ["is_foreign", "plain_callback", "run_key"]

# Callbacks of skorch that change nothing.
WATCHERS = (
    skorch.callbacks.BatchScoring,
    skorch.callbacks.Checkpoint,
    skorch.callbacks.EpochScoring,
    skorch.callbacks.EpochTimer,
    skorch.callbacks.PassthroughScoring,
    skorch.callbacks.PrintLog,
    skorch.callbacks.ProgressBar,
)


def run_key(method: Any, data: Source, seed: int, start: nn.Module | None) -> str:
    """A hash that two fits share if and only if they train the same.

    Parameters
    ----------
    method : TorchTransformer
        Parameters that are declared with ``trains=False`` are left out, as are callbacks that only watch; the hook
        ``trained_on`` adds to the others, or replaces them.
    data : Source
        The rows of ``fit``.
    seed : int
        The seed of the run; left out where the user leaves it open, so that the run can be found again.
    start : torch.nn.Module or None
        The network that training starts from, with ``warm_start``.
    """
    decides = {f.name: getattr(method, f.name) for f in fields(method) if f.metadata.get("trains", True)}
    decides |= {"callbacks": [c for c in method.callbacks or () if not _only_watches(c)]} | method.trained_on(data)
    return fingerprint(type(method), decides, None if method.random_state is None else seed, start, data)


def plain_callback(callback: Any) -> Any:
    """A callback without the name that skorch lets one give it."""
    return callback[1] if isinstance(callback, tuple) else callback


def _only_watches(callback: Any) -> bool:
    """Whether a callback changes nothing: skorch's logs and scores, and those that say so of themselves."""
    callback = plain_callback(callback)
    kind = callback if isinstance(callback, type) else type(callback)
    return getattr(callback, "only_watches", False) or issubclass(kind, WATCHERS)


def is_foreign(part: Any) -> bool:
    """Whether a method, or a part of it such as a view, has code of a user's, which may draw from any generator."""
    if isinstance(part, (list, tuple)):
        return any(map(is_foreign, part))
    if not isinstance(part, BaseEstimator):
        return False
    ours = ("skrep.", "sklearn.", "builtins")
    if any(not base.__module__.startswith(ours) for base in type(part).__mro__):
        return True
    return any(map(is_foreign, part.get_params(deep=False).values()))
