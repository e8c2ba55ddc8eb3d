"""One file format for everything that skrep writes: a zip of JSON and plain arrays, no pickle.

A file holds ``state.json`` (nested dicts, lists, numbers, strings, None), one ``.npy`` member for each array in it, and
a sha256 for each member. Reading runs no code, and a damaged file is refused instead of loaded wrong.
"""

import contextlib
import hashlib
import io
import json
import os
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skrep.exceptions import ModelFileError

__all__ = ["can_store", "read_state", "write_state"]

FORMAT = 1

# What the readers of zip, JSON and npy raise on bytes that are none of theirs.
_UNREADABLE = (
    zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError, KeyError, ValueError, TypeError,
    AttributeError, IndexError, OverflowError, OSError, EOFError, zlib.error, struct.error,
)  # fmt: skip


class _Packer:
    """Nested state <-> JSON, with the arrays taken out."""

    def __init__(self, arrays: dict[str, np.ndarray] | None = None):
        self.arrays: dict[str, np.ndarray] = {} if arrays is None else arrays

    def pack(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            tensor = value.detach().cpu()
            name = str(tensor.dtype).removeprefix("torch.")
            if tensor.dtype == torch.bfloat16:  # NumPy has no such type: keep the bits
                tensor = tensor.view(torch.int16)
            return {"tensor": self._store(tensor.numpy()), "dtype": name}
        if isinstance(value, np.ndarray):
            return {"array": self._store(value)}
        if isinstance(value, np.generic):
            return self.pack(value.item())
        if isinstance(value, dict):
            return {"dict": [[self.pack(k), self.pack(v)] for k, v in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": [self.pack(v) for v in value]}
        if isinstance(value, list):
            return [self.pack(v) for v in value]
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise TypeError(
            f"cannot store a {type(value).__name__}: expected arrays, tensors, numbers, strings or containers of them"
        )

    def _store(self, array: np.ndarray) -> str:
        if array.dtype.hasobject:
            raise TypeError("cannot store an object array; convert it to numbers or strings")
        name = f"{len(self.arrays)}.npy"
        self.arrays[name] = array
        return name

    def unpack(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.unpack(v) for v in value]
        if not isinstance(value, dict):
            return value
        if "tensor" in value:
            tensor = torch.from_numpy(self.arrays[value["tensor"]])
            dtype = getattr(torch, value["dtype"])
            return tensor.view(dtype) if dtype == torch.bfloat16 else tensor.to(dtype)
        if "array" in value:
            return self.arrays[value["array"]]
        if "tuple" in value:
            return tuple(self.unpack(v) for v in value["tuple"])
        return {self.unpack(k): self.unpack(v) for k, v in value["dict"]}


def can_store(value: Any) -> bool:
    """Whether :func:`write_state` takes a value."""
    try:
        _Packer().pack(value)
    except TypeError:
        return False
    return True


def write_state(path: str | os.PathLike, state: Any) -> None:
    """Write nested state to `path`, all of it or nothing.

    The bytes go to a temporary file in the same folder, are synced to disk and take the name in one step, so that a
    reader, or a machine that loses power, sees the old file or the new one.

    Parameters
    ----------
    path : path-like
        The file to write or replace.
    state : object
        Nested dicts, lists and tuples of tensors, arrays, numbers, strings, booleans and None.

    Raises
    ------
    TypeError
        If `state` holds anything else.
    """
    path = Path(path)
    packer = _Packer()
    packed = packer.pack(state)
    members: dict[str, bytes] = {}
    for name, array in packer.arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        members[name] = buffer.getvalue()
    members["state.json"] = json.dumps(packed).encode()
    manifest = {"format": FORMAT, "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                archive.writestr("manifest.json", json.dumps(manifest))
                for name, data in members.items():
                    archive.writestr(name, data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # the new name itself must reach the disk
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def read_state(path: str | os.PathLike) -> Any:
    """Read what :func:`write_state` wrote.

    Raises
    ------
    ModelFileError
        If the file is damaged, of a newer format, or not one of ours.
    FileNotFoundError
        If there is no such file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
            if manifest["format"] > FORMAT:
                raise ModelFileError(
                    f"{path} has format {manifest['format']}; this skrep reads up to {FORMAT}. Upgrade skrep "
                    "to read it."
                )
            members = {name: archive.read(name) for name in manifest["sha256"]}
        for name, digest in manifest["sha256"].items():
            if hashlib.sha256(members[name]).hexdigest() != digest:
                raise ModelFileError(f"{path} is damaged: {name} is not what was written.")
        state = json.loads(members.pop("state.json"))
        arrays = {name: np.load(io.BytesIO(data), allow_pickle=False) for name, data in members.items()}
        return _Packer(arrays).unpack(state)
    except (FileNotFoundError, ModelFileError):
        raise
    except _UNREADABLE as error:
        raise ModelFileError(
            f"{path} is not a file that skrep wrote, or it is damaged ({type(error).__name__}: {error})."
        ) from None
