"""Where rows come from: arrays in memory, memory-mapped files, torch Datasets.

A source hands out batches as float32 tensors on the device and keeps its rows in the type in which they came
(uint8 pixels stay uint8 until their batch), so that data larger than memory is read piece by piece.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["ArraySource", "DatasetSource", "ShapeSource", "Source"]

# About what one pass over the data holds in memory at a time.
CHUNK_BYTES = 64 * 2**20

# About what several passes over a few rows are quickest with.
CACHE_BYTES = 2**20

# In one row of a ShapeSource: four times those of a colour image of 2048x2048 pixels.
MOST_VALUES = 2**26


class Source(ABC):
    """Rows that can be read by position.

    Attributes
    ----------
    n_samples : int
        Number of rows.
    shape : tuple of int
        The shape of one row.
    y : torch.Tensor or None
        What belongs to each row (labels, targets), for the methods that use it.
    """

    n_samples: int
    shape: tuple[int, ...]
    y: Tensor | None = None
    _moments: tuple[Tensor, Tensor] | None = None
    _range: tuple[float, float] | None = None
    _is_binary: bool | None = None

    @abstractmethod
    def take(self, index: Tensor, device: torch.device) -> Tensor:
        """The rows at `index` (int64, on the CPU) as float32 on `device`, of shape ``(len(index), *shape)``."""

    @abstractmethod
    def chunk(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` on the CPU: uint8 as they are, everything else as float32."""

    @abstractmethod
    def subset(self, index: Tensor) -> "Source":
        """A source of the rows at `index`, without copying them."""

    def kept_on(self, device: torch.device, most_bytes: int) -> "Source":
        """The same rows, moved to a device for good, where they are in memory and not too large; else itself."""
        return self

    def __len__(self) -> int:
        return self.n_samples

    def chunks(self, rows: int | None = None) -> Iterator[Tensor]:
        """All rows in order, `rows` at a time (None: about 64 MiB of float64)."""
        rows = rows or max(1, CHUNK_BYTES // (8 * max(1, int(np.prod(self.shape)))))
        for start in range(0, self.n_samples, rows):
            yield self.chunk(start, min(start + rows, self.n_samples))

    def blocks(self) -> Iterator[Tensor]:
        """The same in blocks that fit into the processor's cache, for several passes over each."""
        rows = max(1, CACHE_BYTES // (8 * max(1, math.prod(self.shape))))
        return (block for chunk in self.chunks() for block in chunk.split(rows))

    def pixel_range(self) -> tuple[float, float]:
        """What is black and white in images: 0 and 255 in bytes; 0 and 1 in floats, or what they reach beyond that."""
        if self.chunk(0, 1).dtype == torch.uint8:
            return 0.0, 255.0
        low, high = self.range()
        return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)

    def range(self) -> tuple[float, float]:
        """Smallest and largest value."""
        if self._range is None:
            low, high = zip(*(map(float, block.aminmax()) for block in self.blocks()), strict=True)
            self._range = min(low), max(high)
        return self._range

    def require_unit_interval(self, what: str, instead: str) -> None:
        """Raise ValueError unless all values can be probabilities: `what` needs that, `instead` does not."""
        low, high = self.range()
        if not 0 <= low <= high <= 1:
            raise ValueError(
                f"{what} needs values in [0, 1]; X goes from {low:.4g} to {high:.4g}. "
                f"Rescale it (sklearn.preprocessing.MinMaxScaler), or use {instead}."
            )

    def is_binary(self) -> bool:
        """Whether all values are 0 or 1."""
        if self._is_binary is None:
            self._is_binary = all(bool((block == block.bool()).all()) for block in self.blocks())
        return self._is_binary

    def sample(self, most: int) -> "Source":
        """At most this many rows, evenly spaced."""
        if len(self) <= most:
            return self
        return self.subset(torch.linspace(0, len(self) - 1, most, dtype=torch.float64).long())

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (divided by n) over the rows, each of `shape`, float64, in one pass.

        Chunks are merged as in Chan, Golub & LeVeque (1983), which keeps small variances beside large means.
        """
        if self._moments is None:
            mean = torch.zeros(self.shape, dtype=torch.float64)
            squares = torch.zeros(self.shape, dtype=torch.float64)
            seen = 0
            for part in self.blocks():
                part = part.to(torch.float64)
                part_mean = part.mean(0)
                delta = part_mean - mean
                total = seen + len(part)
                squares += part.sub_(part_mean).square_().sum(0) + delta.square() * (seen * len(part) / total)
                mean += delta * (len(part) / total)
                seen = total
            self._moments = mean, squares / seen
        return self._moments


class ArraySource(Source):
    """Rows of an array in memory or in a memory-mapped file.

    Parameters
    ----------
    array : ndarray or torch.Tensor of shape (n_samples, ...)
        Never written to, and not copied.
    rows : torch.Tensor or None
        Positions in `array`, where the source is a part of it.
    """

    def __init__(self, array: np.ndarray | Tensor, rows: Tensor | None = None):
        if any(stride < 0 for stride in getattr(array, "strides", ())):
            array = np.ascontiguousarray(array)
        # torch shares the memory of writable arrays only; the rest (memory maps, joblib's read-only arrays) is
        # gathered by NumPy, batch by batch.
        if isinstance(array, np.ndarray) and array.flags.writeable and not is_memory_mapped(array):
            array = torch.from_numpy(array)
        self._array, self._rows = array, rows
        self.n_samples = len(array) if rows is None else len(rows)
        self.shape = tuple(array.shape[1:])

    def take(self, index: Tensor, device: torch.device) -> Tensor:
        if self._rows is not None:
            index = self._rows[index]
        if isinstance(self._array, Tensor):
            batch = self._array.index_select(0, index.to(self._array.device))
        else:
            batch = _as_tensor(self._array[index.numpy()])
        return batch.to(device, torch.float32)

    def chunk(self, start: int, stop: int) -> Tensor:
        rows = slice(start, stop) if self._rows is None else self._rows[start:stop]
        return _as_tensor(self._array[rows] if isinstance(self._array, Tensor) else np.array(self._array[rows]))

    def kept_on(self, device: torch.device, most_bytes: int) -> Source:
        n_bytes = math.prod(self.shape) * self.chunk(0, 1).element_size() * self.n_samples
        if n_bytes > most_bytes or is_memory_mapped(self._array):
            return self
        kept = ArraySource(torch.cat([chunk.to(device) for chunk in self.chunks()]))
        kept.y = self.y
        return kept

    def subset(self, index: Tensor) -> "ArraySource":
        return ArraySource(self._array, index if self._rows is None else self._rows[index])


class DatasetSource(Source):
    """Rows of a map-style :class:`torch.utils.data.Dataset`; an item is a row, or a tuple that begins with it.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        With ``__len__`` and ``__getitem__`` (``__getitems__`` is used where there is one).
    rows : torch.Tensor or None
        Positions in the data set, where the source is a part of it.
    """

    def __init__(self, dataset: Any, rows: Tensor | None = None):
        self._dataset, self._rows = dataset, rows
        self.n_samples = len(dataset) if rows is None else len(rows)
        self.shape = tuple(self._read([0])[0].shape)

    def _read(self, positions: list[int]) -> list[Tensor]:
        fetch = getattr(self._dataset, "__getitems__", None)
        items = fetch(positions) if fetch else [self._dataset[i] for i in positions]
        rows = [item[0] if isinstance(item, (tuple, list)) else item for item in items]
        try:
            return [_as_tensor(row) for row in rows]
        except (TypeError, ValueError, RuntimeError):
            kind = type(rows[0]).__name__
            raise TypeError(
                f"an item of the Dataset is a {kind}; expected an array or tensor of numbers, or a tuple that begins "
                "with one. Convert it in the Dataset's __getitem__, for example by numpy.asarray(image)."
            ) from None

    def _gather(self, index: Tensor) -> Tensor:
        positions = (index if self._rows is None else self._rows[index]).tolist()
        rows = self._read(positions)
        for position, row in zip(positions, rows, strict=True):
            if tuple(row.shape) != self.shape:
                raise ValueError(
                    f"item {position} of the Dataset has shape {tuple(row.shape)}; item 0 has {self.shape}. "
                    "Every item must have the same shape."
                )
        batch = torch.stack(rows)
        if batch.is_floating_point() and not bool(torch.isfinite(batch).all()):
            bad = positions[int(torch.isfinite(batch).flatten(1).all(1).logical_not().nonzero()[0])]
            raise ValueError(
                f"item {bad} of the Dataset contains NaN, infinity or a value too large for float32. Clean, "
                "impute or rescale it in the Dataset's __getitem__."
            )
        return batch

    def take(self, index: Tensor, device: torch.device) -> Tensor:
        return self._gather(index).to(device, torch.float32)

    def chunk(self, start: int, stop: int) -> Tensor:
        return self._gather(torch.arange(start, stop))

    def subset(self, index: Tensor) -> "DatasetSource":
        return DatasetSource(self._dataset, index if self._rows is None else self._rows[index])


def _as_tensor(rows: Any) -> Tensor:
    """Rows as a tensor: uint8 as they are, everything else as float32, so that one value is one number everywhere."""
    if isinstance(rows, Tensor):
        return rows if rows.dtype == torch.uint8 else rows.to(torch.float32)
    rows = np.asarray(rows, order="C")
    if rows.dtype.kind not in "buif":
        raise TypeError(rows.dtype)
    return torch.from_numpy(rows if rows.dtype == np.uint8 else rows.astype(np.float32, copy=False))


def tensor_to_array(tensor: Tensor) -> np.ndarray:
    """A tensor's values in NumPy, which has no bfloat16."""
    tensor = tensor.detach().cpu()
    array: np.ndarray = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def is_memory_mapped(array: Any) -> bool:
    """Whether an array, or an array that it is a view of, is a numpy.memmap."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


class ShapeSource(Source):
    """No rows at all, only what a saved network is built anew from: its weights and scales come from the file.

    Parameters
    ----------
    shape : tuple of int
        The shape of one row.
    width : int or None
        Width of the backbone's output, which is tried out otherwise.

    Raises
    ------
    ValueError
        If nothing could have that shape.
    """

    def __init__(self, shape: tuple[int, ...], width: int | None):
        if not 1 <= len(shape) <= 3 or not 0 < math.prod(shape) <= MOST_VALUES or min(shape) < 1:
            raise ValueError(f"rows cannot have the shape {shape}")
        if not (width is None or (type(width) is int and width > 0)):
            raise ValueError(f"a network cannot have the width {width}")
        self.n_samples, self.shape, self.width = 0, shape, width
        mean, variance = (torch.tensor(value, dtype=torch.float64, device="cpu") for value in (0, 1))
        self._moments = mean.expand(shape), variance.expand(shape)
        self._range = 0.0, 1.0

    def take(self, index: Tensor, device: torch.device) -> Tensor:
        return torch.zeros(len(index), *self.shape)  # on torch's default device, which is "meta" then

    def chunk(self, start: int, stop: int) -> Tensor:
        return torch.zeros(stop - start, *self.shape)

    def subset(self, index: Tensor) -> "Source":
        return self
