"""Plain values as JSON, with the arrays in them taken out: numbers, strings, containers, arrays, tensors.

What JSON has itself (None, booleans, finite numbers, strings, lists) stands as it is. Everything else is a dict with
the kind as its first key: ``{"tuple": [...]}``, ``{"dict": {...}}``, ``{"array": 3}``. A kind that a reader does not
know is an error.
"""

import math
import os
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch

from skrep.persistence.container import read_container, refusing, require_shape, write_container

__all__ = ["Reader", "Writer", "can_store", "pick", "read_state", "write_state"]

# Lists in lists in lists: deeper than anything that is written, and far from where Python stops.
MAX_DEPTH = 100

# A longer number has nothing to count, and takes Python long to read.
MAX_BITS = 4096
# How often arrays may be used, on average: some objects copy them.
MAX_REUSE = 16
REUSE_IN_ANY_CASE = 2**27
# A member of the zip takes more than that beside the numbers.
SMALL_BYTES = 256
# Python looks through all keys of one hash; of different ones that few collide by chance.
MAX_SAME_HASH = 50

_TORCH_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in vars(torch).values()
    if isinstance(dtype, torch.dtype) and not str(dtype).startswith(("torch.q", "torch.bits", "torch.complex32"))
}
_SPARSE = {
    f"{form}_{kind}": getattr(scipy.sparse, f"{form}_{kind}") for form in ("csr", "csc") for kind in ("matrix", "array")
}
_PLAIN = {int, float, str, bool}
_PARTS = ("data", "indices", "indptr")


def _is_json(value: Any) -> bool:
    """Whether JSON has the value itself."""
    kind = type(value)
    return (
        value is None
        or kind is str
        or kind is bool
        or (kind is int and abs(value) < 2**63)
        or (kind is float and math.isfinite(value))
    )


class Writer:
    """Turns values into JSON and a list of arrays.

    Attributes
    ----------
    arrays : list of ndarray
        The arrays met so far; the JSON refers to them by position.
    """

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self._known: dict[int, tuple[int, Any]] = {}  # by id; holding the value keeps the id from being used again
        self._path: list[str] = []

    def write(self, value: Any) -> Any:
        """The value as JSON."""
        if len(self._path) > MAX_DEPTH:
            raise TypeError(f"cannot store {self.where}: it is nested too deeply, or holds itself.")
        if _is_json(value):
            return value
        if type(value) is int and value.bit_length() <= MAX_BITS:
            return {"int": hex(value)}
        if type(value) is float:
            return {"float": str(value)}
        if type(value) in (list, tuple):
            items = [self.inside(f"[{i}]", item) for i, item in enumerate(value)]
            return items if type(value) is list else {"tuple": items}
        if type(value) is dict:
            if all(type(key) is str for key in value):
                return {"dict": {key: self.inside(f"[{key!r}]", item) for key, item in value.items()}}
            pairs = value.items()
            self._require_readable(value)
            return {"pairs": [[self.inside(".keys()", k), self.inside(f"[{k!r}]", item)] for k, item in pairs]}
        if type(value) is OrderedDict:
            return {"ordered": self.write(dict(value))}
        if isinstance(value, torch.Tensor) and type(value) in (torch.Tensor, torch.nn.Parameter):
            written = self.tensor(value)
            if type(value) is torch.nn.Parameter:
                return {"parameter": written, "learns": value.requires_grad}
            return written | ({"learns": True} if value.requires_grad else {})
        if isinstance(value, np.generic):
            if isinstance(value, np.str_):
                return {"str_": str(value)}
            if value.dtype.kind not in "VO" and value.dtype.itemsize:
                return {"scalar": value.dtype.str, "bytes": value.tobytes().hex()}
        if type(value) in (np.ndarray, np.memmap):
            if value.dtype.hasobject and value.dtype != object:
                raise TypeError(f"cannot store {self.where}, an array with columns of Python objects.")
            if value.dtype == object:
                return {"objects": [self.inside(".flat", item) for item in value.flat], "shape": list(value.shape)}
            if value.nbytes <= SMALL_BYTES and value.dtype.names is None and value.dtype.itemsize:
                order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
                digits = value.tobytes(order).hex()
                return {"small": value.dtype.str, "shape": list(value.shape), "order": order, "bytes": digits}
            return {"array": self._position(value)}
        if type(value) is np.ma.MaskedArray:
            return {"masked": [self.write(part) for part in (value.data, np.ma.getmaskarray(value), value.fill_value)]}
        if type(value).__name__ in _SPARSE and type(value) is _SPARSE[type(value).__name__]:
            parts = [self.write(getattr(value, part)) for part in _PARTS]
            return {"sparse": type(value).__name__, "shape": list(value.shape), "parts": parts}
        if type(value) in (set, frozenset):
            self._require_readable(value)
            items = [self.inside("{...}", item) for item in sorted(value, key=repr)]
            return {"set": items, "frozen": type(value) is frozenset}
        if type(value) is bytes:
            return {"bytes": value.hex()}
        if type(value) is complex:
            return {"complex": [self.write(value.real), self.write(value.imag)]}
        if type(value) in (slice, range):
            return {type(value).__name__: [self.write(part) for part in (value.start, value.stop, value.step)]}
        if isinstance(value, np.dtype) and not value.hasobject and value.names is None:
            return {"dtype": value.str}
        if isinstance(value, torch.dtype):
            return {"torch": str(value).removeprefix("torch.")}
        if isinstance(value, Path):
            return {"path": str(value)}
        return self.write_other(value)

    def write_other(self, value: Any) -> Any:
        """What to do with a value that is not plain."""
        raise TypeError(
            f"cannot store {self.where}, a {type(value).__name__}: expected arrays, tensors, numbers, strings or "
            "containers of them."
        )

    def tensor(self, value: torch.Tensor) -> dict[str, Any]:
        """A tensor's numbers, as they lie in memory, and its type."""
        dtype = str(value.dtype).removeprefix("torch.")
        if value.layout != torch.strided or value.is_meta or dtype not in _TORCH_DTYPES:
            raise TypeError(f"cannot store {self.where}, a tensor that is not a plain dense one.")
        # axes from the slowest to the fastest: weights of convolutions have their channels last
        order = sorted(range(value.ndim), key=lambda axis: value.stride(axis), reverse=True)
        if value.is_contiguous() or not value.permute(order).is_contiguous():
            return {"tensor": self._position(value), "dtype": dtype}
        return {"tensor": self._position(value, order), "dtype": dtype, "order": order}

    @property
    def where(self) -> str:
        """The place of the value that is being written."""
        return "".join(self._path) or "this value"

    def inside(self, step: str, value: Any) -> Any:
        """Write a part of a value, which has this place in error messages."""
        if _is_json(value):
            return value
        self._path.append(step)
        written = self.write(value)
        self._path.pop()
        return written

    def _require_readable(self, keys: Iterable[Any]) -> None:
        try:
            _require_spread(keys)
        except ValueError as error:
            raise TypeError(f"cannot store {self.where}: {error}.") from None

    def _position(self, value: Any, order: list[int] | None = None) -> int:
        if id(value) not in self._known:
            array = value
            if isinstance(value, torch.Tensor):
                plain = value.detach().cpu().resolve_conj().resolve_neg()
                array = _as_numpy(plain if order is None else plain.permute(order))
            elif not value.dtype.itemsize or len(header := str(value.dtype)) > 5000 or not header.isascii():
                raise TypeError(f"cannot store {self.where}, an array of a type that NumPy's files do not hold.")
            self._known[id(value)] = len(self.arrays), value
            self.arrays.append(array)
        return self._known[id(value)][0]


def _as_numpy(tensor: torch.Tensor) -> np.ndarray:
    """The tensor's memory; types that NumPy lacks, such as bfloat16, as integers of their size."""
    try:
        array: np.ndarray = tensor.numpy()
    except TypeError:
        array = tensor.view({1: torch.uint8, 2: torch.int16}[tensor.itemsize]).numpy()
    return array


class Reader:
    """Turns JSON and arrays back into values.

    Parameters
    ----------
    arrays : list of ndarray
        As the writer left them.
    """

    def __init__(self, arrays: list[np.ndarray]):
        self.arrays = arrays
        self._bytes_left = MAX_REUSE * sum(array.nbytes for array in arrays) + REUSE_IN_ANY_CASE
        self._depth = 0
        self._parameters: dict[int, torch.nn.Parameter] = {}
        self._kinds: dict[str, Callable[..., Any]] = {
            name.removeprefix("_read_"): getattr(self, name) for name in dir(self) if name.startswith("_read_")
        }

    def read(self, value: Any) -> Any:
        """The value that was written."""
        if isinstance(value, list):
            with self._deeper():
                return [self.read(item) for item in value]
        if not isinstance(value, dict):
            return value
        kind, *more = value
        if kind not in self._kinds:
            raise ValueError(f"it holds a {kind!r}, which this version of skrep does not know")
        with self._deeper():
            return self._kinds[kind](value[kind], **{name: value[name] for name in more})

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > 4 * MAX_DEPTH:
            raise ValueError("it is nested too deeply")
        yield
        self._depth -= 1

    def _array(self, position: Any) -> np.ndarray:
        array: np.ndarray = pick(self.arrays, position)
        self._bytes_left -= array.nbytes
        if self._bytes_left < 0:
            raise ValueError("it uses its arrays again and again")
        return array

    def _read_int(self, digits: str) -> int:
        if len(digits) > MAX_BITS // 4 + 3:
            raise ValueError("a number has too many digits")
        return int(digits, 16)

    def _read_float(self, text: str) -> float:
        return float(text)

    def _read_tuple(self, items: list[Any]) -> tuple[Any, ...]:
        return tuple(self.read(items))

    def _read_dict(self, items: dict[str, Any]) -> dict[str, Any]:
        return {key: item if type(item) in _PLAIN else self.read(item) for key, item in items.items()}

    def _read_pairs(self, pairs: list[Any]) -> dict[Any, Any]:
        items = [(self.read(key), self.read(item)) for key, item in pairs]
        _require_spread(key for key, _ in items)
        return dict(items)

    def _read_ordered(self, items: Any) -> OrderedDict[Any, Any]:
        return OrderedDict(self.read(items))

    def _read_tensor(
        self, position: int, dtype: str, order: list[int] | None = None, learns: bool = False
    ) -> torch.Tensor:
        tensor = torch.from_numpy(self._array(position))
        tensor = tensor if tensor.dtype == _TORCH_DTYPES[dtype] else tensor.view(_TORCH_DTYPES[dtype])
        if order is not None:
            tensor = tensor.permute(np.argsort(order).tolist())
        return tensor.requires_grad_() if learns else tensor

    def _read_parameter(self, written: dict[str, Any], learns: bool) -> torch.nn.Parameter:
        position = written["tensor"]
        if position not in self._parameters:
            self._parameters[position] = torch.nn.Parameter(self.read(written), bool(learns))
        return self._parameters[position]

    def _read_str_(self, text: str) -> np.str_:
        return np.str_(text)

    def _read_scalar(self, dtype: str, bytes: str) -> Any:
        return np.frombuffer(_from_hex(bytes), _plain_dtype(dtype), 1)[0]

    def _read_array(self, position: int) -> np.ndarray:
        return self._array(position)

    def _read_small(self, dtype: str, shape: list[int], order: str, bytes: str) -> np.ndarray:
        flat = np.frombuffer(_from_hex(bytes), _plain_dtype(dtype))
        require_shape(shape, len(flat))
        array: np.ndarray = np.array(flat.reshape(shape, order="F" if order == "F" else "C"))  # (n_values,) -> shape
        return array

    def _read_objects(self, items: list[Any], shape: list[int]) -> np.ndarray:
        require_shape(shape, len(items))
        array = np.empty(len(items), dtype=object)
        for i, item in enumerate(items):
            array[i] = self.read(item)
        return array.reshape(shape)  # (n_items,) -> shape

    def _read_masked(self, parts: list[Any]) -> np.ma.MaskedArray:
        data, mask, fill_value = self.read(parts)
        return np.ma.MaskedArray(data, mask, fill_value=fill_value)

    def _read_sparse(self, form: str, shape: list[int], parts: list[Any]) -> Any:
        data, indices, indptr = self.read(parts)
        matrix = _SPARSE[form]((data, indices, indptr), shape=tuple(shape))
        if not (np.diff(matrix.indptr) >= 0).all():
            raise ValueError("the rows of a sparse matrix end before they begin")
        matrix.check_format(full_check=True)  # compiled code trusts the indices
        matrix.indices, matrix.indptr = indices, indptr  # of which scipy makes narrower ones
        return matrix

    def _read_set(self, items: list[Any], frozen: bool) -> Any:
        values = self.read(items)
        _require_spread(values)
        return frozenset(values) if frozen else set(values)

    def _read_bytes(self, digits: str) -> bytes:
        return _from_hex(digits)

    def _read_slice(self, parts: list[Any]) -> slice:
        return slice(*self.read(parts))

    def _read_range(self, parts: list[Any]) -> range:
        return range(*self.read(parts))

    def _read_complex(self, parts: list[Any]) -> complex:
        return complex(*self.read(parts))

    def _read_dtype(self, name: str) -> np.dtype:
        return _plain_dtype(name)

    def _read_torch(self, name: str) -> torch.dtype:
        return _TORCH_DTYPES[name]

    def _read_path(self, path: str) -> Path:
        return Path(path)


def pick(items: Sequence[Any], position: Any) -> Any:
    """The item at a position that a file gives."""
    if type(position) is not int or not 0 <= position < len(items):
        raise ValueError(f"it has nothing at {position!r}")
    return items[position]


def _require_spread(keys: Iterable[Any]) -> None:
    most = Counter(map(hash, keys)).most_common(1)
    if most and most[0][1] > MAX_SAME_HASH:
        raise ValueError(f"{most[0][1]} keys have one hash")


def _plain_dtype(name: str) -> np.dtype:
    if len(name) > 20 or "," in name:
        raise ValueError(f"{name[:20]!r} is not the type of plain numbers or text")
    dtype = np.dtype(name)
    if dtype.hasobject:
        raise ValueError(f"{name!r} is not the type of plain numbers or text")
    return dtype


def _from_hex(digits: str) -> bytes:
    return bytes.fromhex(digits)


def can_store(value: Any) -> bool:
    """Whether :func:`write_state` takes a value."""
    try:
        Writer().write(value)
    except TypeError:
        return False
    return True


def write_state(path: str | os.PathLike, state: Any) -> None:
    """Write the state of a training run to `path`, all of it or nothing.

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
    OSError
        If the file cannot be written; the old one is untouched.
    """
    writer = Writer()
    content = writer.write(state)
    write_container(path, "training run", content, writer.arrays)


def read_state(path: str | os.PathLike) -> Any:
    """Read what :func:`write_state` wrote.

    Raises
    ------
    ModelFileError
        If the file is damaged, of a newer format, or not one of ours.
    FileNotFoundError
        If there is no such file.
    """
    content, arrays = read_container(path, "training run")
    with refusing(path):
        return Reader(arrays).read(content)
