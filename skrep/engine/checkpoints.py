"""Training runs on disk: which run is whose, one writer at a time, all of a file or nothing.

A checkpoint folder holds one file a run. The run's name is a hash of everything that decides what is trained, so that
the same fit finds its run again, while the folds and candidates of a grid search never meet.
"""

import hashlib
import os
import types
import warnings
from collections.abc import Iterator
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
from skrep.persistence import read_state, write_state

__all__ = ["RunFolder", "fingerprint"]

# Raised whenever the same parameters and data would train something else than before.
GENERATION = 1


def fingerprint(*values: Any) -> str:
    """A hash of parameters and data that is the same in every process.

    Numbers, strings, containers, arrays, tensors, modules, estimators (class and parameters), functions (name and
    bytecode), sources (every row) and plain objects (class and attributes) are followed.
    """
    digest = hashlib.sha256()
    _feed(digest, values, [])
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
        for chunk in value.chunks():
            _feed(digest, chunk, above)
        _feed(digest, value.y, above)
    elif isinstance(value, nn.Module):
        tag(f"module:{kind.__module__}.{kind.__qualname__}:{value!r}")
        _feed(digest, dict(value.state_dict()), above)
    elif isinstance(value, BaseEstimator) and not isinstance(value, type):
        tag(f"estimator:{kind.__module__}.{kind.__qualname__}")
        _feed(digest, value.get_params(deep=False), above)
    elif isinstance(value, types.MethodType):
        _feed(digest, (value.__func__, value.__self__), above)
    elif isinstance(value, types.FunctionType):
        tag(f"function:{value.__module__}.{value.__qualname__}")
        code = value.__code__
        digest.update(code.co_code)
        _feed(digest, [c for c in code.co_consts if not isinstance(c, types.CodeType)], above)
        _feed(digest, value.__defaults__, above)
        _feed(digest, [cell.cell_contents for cell in value.__closure__ or ()], above)
    elif isinstance(value, (type, types.BuiltinFunctionType)):
        tag(f"name:{value.__module__}.{value.__qualname__}")
    else:
        tag(f"object:{kind.__module__}.{kind.__qualname__}")
        _feed(digest, getattr(value, "__dict__", None), above)


class RunFolder:
    """The place of one training run in a checkpoint folder.

    Parameters
    ----------
    folder : path-like
        The checkpoint folder; made when missing.
    key : str
        The run's :func:`fingerprint`.

    Raises
    ------
    ValueError
        If the folder cannot be made or written to.
    """

    def __init__(self, folder: str | os.PathLike, key: str):
        self._folder = Path(folder)
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
            yield

    def read(self) -> dict[str, Any] | None:
        """The last state, or None; a damaged file is told and passed over."""
        try:
            state: dict[str, Any] = read_state(self.path)
        except FileNotFoundError:
            return None
        except ModelFileError as error:
            warnings.warn(f"{error} Training begins afresh.", CheckpointWarning, stacklevel=2)
            return None
        return state

    def write(self, state: dict[str, Any]) -> None:
        """Replace the last state."""
        write_state(self.path, state)
