"""Training runs on disk: which run is whose, one writer at a time, all of a file or nothing.

A checkpoint folder holds one file a run. The run's name is a hash of everything that decides what is trained, so that
the same fit finds its run again, while the folds and candidates of a grid search never meet.
"""

import functools
import hashlib
import os
import types
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from sklearn.base import BaseEstimator
from torch import nn

from skrep.data import Source
from skrep.exceptions import CheckpointWarning, ModelFileError
from skrep.persistence import read_state, remove_abandoned, write_state

__all__ = ["RunFolder", "fingerprint"]

# Raised whenever the same parameters and data would train something else than before.
GENERATION = 5

# Classes whose code belongs to a release, and is not read.
_LIBRARIES = ("skrep.", "torch.", "sklearn.", "skorch.", "builtins", "abc", "typing", "numpy.", "functools")


def fingerprint(*values: Any) -> str:
    """A hash of parameters and data that is the same in every process.

    Numbers, strings, containers, arrays, tensors, modules, estimators (class and parameters), functions (name and
    bytecode), sources (every row) and plain objects (class and attributes) are followed.
    """
    digest = hashlib.sha256()
    _feed(digest, (GENERATION, values), [])
    return digest.hexdigest()


def _feed(digest: Any, value: Any, above: list[int]) -> None:
    def tag(text: str) -> None:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)

    kind = type(value)
    if value is None or isinstance(value, (bool, int, float, complex, str, bytes)):
        tag(f"{kind.__name__}:{value!r}")
        return
    if isinstance(value, (np.generic, torch.dtype, torch.device, os.PathLike)):
        tag(f"{kind.__name__}:{value!r}")
        return
    if id(value) in above:
        tag("cycle")
        return
    above = [*above, id(value)]
    if isinstance(value, (list, tuple)):
        tag(f"{kind.__name__}:{len(value)}")
        for item in value:
            _feed(digest, item, above)
    elif isinstance(value, dict):
        tag(f"dict:{len(value)}")
        for key, item in sorted(value.items(), key=lambda pair: repr(pair[0])):
            _feed(digest, key, above)
            _feed(digest, item, above)
    elif isinstance(value, (set, frozenset)):
        _feed(digest, sorted(map(repr, value)), above)
    elif isinstance(value, np.ndarray):
        tag(f"ndarray:{value.dtype.str}:{value.shape}")
        digest.update(
            np.ascontiguousarray(value).view(np.uint8).data
            if value.size and not value.dtype.hasobject
            else repr(value.tolist()).encode()
        )
    elif isinstance(value, torch.Tensor):
        tensor = value.detach().cpu()
        _feed(digest, (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy(), above)
    elif isinstance(value, Source):
        tag(f"source:{value.n_samples}:{value.shape}")
        for rows in value.content():
            _feed(digest, rows, above)
    elif isinstance(value, nn.Module):
        tag(f"module:{kind.__module__}.{kind.__qualname__}:{value!r}")
        for part in dict.fromkeys(type(part) for part in value.modules()):
            _feed_class(digest, part, above)
        for module in value.modules():
            if not type(module).__module__.startswith(_LIBRARIES):
                plain = {k: v for k, v in vars(module).items() if not k.startswith("_") and k != "training"}
                _feed(digest, plain, above)
        _feed(digest, dict(value.state_dict()) | dict(value.named_buffers()), above)
        _feed(digest, {name: parameter.requires_grad for name, parameter in value.named_parameters()}, above)
    elif isinstance(value, BaseEstimator) and not isinstance(value, type):
        tag(f"estimator:{kind.__module__}.{kind.__qualname__}")
        _feed(digest, value.get_params(deep=False), above)
    elif isinstance(value, types.MethodType):
        _feed(digest, (value.__func__, value.__self__), above)
    elif isinstance(value, types.CodeType):
        tag(f"code:{value.co_code.hex()}")
        _feed(digest, (value.co_consts, value.co_names, value.co_varnames, value.co_freevars), above)
    elif isinstance(value, types.FunctionType):
        tag(f"function:{value.__module__}.{value.__qualname__}")
        named = {name: value.__globals__[name] for name in value.__code__.co_names if name in value.__globals__}
        plain = {name: item for name, item in named.items() if isinstance(item, (bool, int, float, str, bytes, tuple))}
        _feed(digest, (value.__code__, value.__defaults__, value.__kwdefaults__, plain), above)
        _feed(digest, [cell.cell_contents for cell in value.__closure__ or ()], above)
    elif isinstance(value, (type, types.BuiltinFunctionType, np.ufunc)):
        tag(f"name:{getattr(value, '__module__', '')}.{value.__name__}")
        if isinstance(value, type):
            _feed_class(digest, value, above)
    elif isinstance(value, functools.partial):
        _feed(digest, ("partial", value.func, value.args, value.keywords), above)
    elif getattr(value, "__dict__", None):
        tag(f"object:{kind.__module__}.{kind.__qualname__}")
        _feed(digest, (kind, vars(value)), above)
    else:
        try:
            reduced = value.__reduce_ex__(2)
        except TypeError:
            raise ValueError(
                f"checkpoint: a parameter holds a {kind.__name__}, of which no one can tell whether it is the same in "
                "another run. Fit without a checkpoint, or pass a function or an object with attributes."
            ) from None
        _feed(digest, (kind, reduced[1:] if isinstance(reduced, tuple) else reduced), above)


def _feed_class(digest: Any, cls: type, above: list[int]) -> None:
    """What the methods of a user's class do: a class that was edited trains something else."""
    for base in cls.__mro__:
        if not base.__module__.startswith(_LIBRARIES):
            functions = {n: f for n, f in vars(base).items() if isinstance(f, types.FunctionType) and n != "__init__"}
            _feed(digest, {name: function.__code__ for name, function in functions.items()}, above)


# What a state must hold to resume from; see Net.training_state.
STATE_KEYS = {
    "module",
    "optimizer",
    "peak_lrs",
    "cursor",
    "loss_sum",
    "term_sums",
    "spent",
    "best_weights",
    "history",
    "callbacks",
    "seed",
}


class RunFolder:
    """The place of one training run in a checkpoint folder.

    Parameters
    ----------
    folder : path-like
        The checkpoint folder; made when missing.
    key : str
        The run's :func:`fingerprint`.
    needed : collection of str, default=STATE_KEYS
        What a state must hold to resume from.

    Raises
    ------
    ValueError
        If the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike, key: str, needed: Collection[str] = STATE_KEYS):
        self._folder, self._needed = Path(folder), set(needed)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"checkpoint={str(folder)!r} cannot be used as a folder ({error.strerror}). Name one that "
                "exists or can be made."
            ) from None
        if not os.access(self._folder, os.W_OK):
            raise ValueError(f"checkpoint={str(folder)!r} is not writable. Name a folder that is.")
        self.path = self._folder / f"{key[:32]}.skrep"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run: a second fit of the same run waits here, then loads what the first one finished."""
        with FileLock(str(self.path) + ".lock"):  # the system frees it when a process is killed
            remove_abandoned(self.path, 0)  # by a process that was killed while it held the lock
            yield

    def read(self) -> dict[str, Any] | None:
        """The last state, or None; a damaged file triggers a warning and is ignored."""
        try:
            state: dict[str, Any] = read_state(self.path)
            if not isinstance(state, dict) or not state.keys() >= self._needed:
                raise ModelFileError(f"{self.path} does not hold the state of a training run.")
        except FileNotFoundError:
            return None
        except ModelFileError as error:
            warnings.warn(f"{error} Training begins afresh.", CheckpointWarning, stacklevel=2)
            return None
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Replace the last state."""
        write_state(self.path, state)
