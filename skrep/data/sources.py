"""Where rows come from: arrays in memory, memory-mapped files, torch Datasets.

A source hands out batches as float32 tensors on the device and keeps its rows in the type in which they came
(uint8 pixels stay uint8 until their batch), so that data larger than memory is read piece by piece.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from skrep.data.batches import Batch, evenly
from skrep.data.encode import encode

__all__ = ["ArraySource", "DatasetSource", "ShapeSource", "Source"]

# About what one pass over the data holds in memory at a time.
CHUNK_BYTES = 64 * 2**20

# About what several passes over a few rows are quickest with.
CACHE_BYTES = 2**20

# In one row of a ShapeSource: four times those of a colour image of 2048x2048 pixels.
MOST_VALUES = 2**26


# Rows that pass through a network at a time, always; padding is costly where a row is.
ENCODED_ROWS, ENCODED_IMAGES = 256, 64

T = TypeVar("T")


class Source(ABC):
    """Rows that can be read by position, with the labels and the groups that belong to them.

    A source decides all that depends on the modality: how rows are put in batches, measured and encoded.

    Attributes
    ----------
    n_samples : int
        Number of rows.
    shape : tuple of int
        The shape of one row.
    y : torch.Tensor of shape (n_samples, ...) or None
        Labels (int64: classes) or targets, for the methods that use them.
    groups : torch.Tensor of shape (n_samples,) or None
        The number of the group that each row belongs to.
    facts : list of (str, int)
        What :meth:`fact` found, in order.
    """

    n_samples: int
    shape: tuple[int, ...]
    y: Tensor | None = None
    groups: Tensor | None = None
    facts: Sequence[tuple[str, int]] = ()
    _rows: Tensor | None = None  # positions in what the rows are read from; None: all
    _moments: tuple[Tensor, Tensor] | None = None
    _column_range: tuple[Tensor, Tensor] | None = None
    _range: tuple[float, float] | None = None
    _is_binary: bool | None = None
    _whole: "Source | None" = None  # what this is a part of

    @abstractmethod
    def take(self, index: Tensor, device: torch.device) -> Any:
        """The rows at `index` (int64, on the CPU) as float32 on `device`, of shape ``(len(index), *shape)``."""

    @abstractmethod
    def chunk(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop` on the CPU: uint8 as they are, everything else as float32."""

    # --- training ------------------------------------------------------------------------------------------------

    def batches(self, size: int, device: torch.device, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch of batches of at most `size` rows: here all rows, in an order drawn from a CPU generator."""
        return self._batches(torch.randperm(len(self), generator=generator), size, device)

    def in_order(self, size: int, device: torch.device, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """The same batches every time, for validation: here the rows in order; others may draw from `generator`."""
        return self._batches(torch.arange(len(self)), size, device)

    def _batches(self, order: Tensor, size: int, device: torch.device) -> Iterator[Batch]:
        y, groups = self.y, self.groups
        for index in evenly(order, size):
            batch = Batch(self.take(index, device), None if y is None else y[index].to(device), index)
            if groups is not None:
                batch.groups = groups[index].to(device)
            yield batch

    def small_batch(self, generator: torch.Generator) -> Batch:
        """A few rows on the CPU, put together as in training: to try out what a step costs."""
        return next(self.sample(2).batches(2, torch.device("cpu"), generator))

    @property
    def rows_per_epoch(self) -> int:
        """Rows in all batches of one epoch."""
        return len(self)

    @property
    def size(self) -> int:
        """How much there is of the data, for the work that an epoch is: here rows; of texts tokens."""
        return len(self)

    def kept_on(self, device: torch.device, most_bytes: int) -> "Source":
        """The same rows, moved to a device for good, where they are in memory and not too large; else itself."""
        return self

    # --- use -----------------------------------------------------------------------------------------------------

    def encode(self, network: nn.Module, device: torch.device, rows: int | None = None) -> np.ndarray:
        """The output of a network for each row, in eval mode, independent of the rows beside it.

        Parameters
        ----------
        network : torch.nn.Module
            Maps (rows, ...) to (rows, ...).
        device : torch.device
            Where it is.
        rows : int or None, default=None
            How many pass at a time, always. None takes 64 images or 256 other rows.

        Returns
        -------
        ndarray of shape (n_samples, ...), float32
        """
        rows = rows or (ENCODED_IMAGES if len(self.shape) == 3 else ENCODED_ROWS)
        return encode(network, self, device, rows)

    # --- parts ---------------------------------------------------------------------------------------------------

    def subset(self, index: Tensor) -> Self:
        """A source of the rows at `index`, without copying them, with their labels, groups and the range of all."""
        part = copy.copy(self)
        part.n_samples, part.facts, part._whole = len(index), [], self
        part._moments = part._column_range = part._is_binary = None
        part.y = None if self.y is None else self.y[index]
        part.groups = None if self.groups is None else self.groups[index]
        part._narrow(index)
        return part

    def _narrow(self, index: Tensor) -> None:
        """Keep the rows at `index` only; labels and groups are cared for."""
        self._rows = index if self._rows is None else self._rows[index]

    def anew(self) -> Self:
        """The same rows for another estimator: without labels, groups and facts."""
        other = copy.copy(self)
        other.y, other.groups, other.facts = None, None, []
        return other

    def sample(self, most: int) -> Self:
        """At most this many rows, evenly spaced."""
        if len(self) <= most:
            return self
        return self.subset(torch.linspace(0, len(self) - 1, most, dtype=torch.float64).long())

    # --- what networks are built from ----------------------------------------------------------------------------

    def fact(self, name: str, find: Callable[[], int]) -> int:
        """A whole number that these data decide, or a trial with them, such as the width of a backbone's output.

        Where a saved network is built anew there are no rows, and the file says what was found, in the same order.
        """
        value = find()
        self.facts = [*self.facts, (name, value)]
        return value

    def outline(self) -> dict[str, Any]:
        """Shapes and facts, which a file keeps: all that :func:`~skrep.data.from_outline` needs."""
        return {"shape": tuple(self.shape), "facts": list(self.facts)}

    def __len__(self) -> int:
        return self.n_samples

    def chunks(self, rows: int | None = None) -> Iterator[Tensor]:
        """All rows in order, `rows` at a time (None: about 64 MiB of float64)."""
        rows = rows or max(1, CHUNK_BYTES // (8 * max(1, int(np.prod(self.shape)))))
        for start in range(0, self.n_samples, rows):
            yield self.chunk(start, min(start + rows, self.n_samples))

    def content(self) -> Iterator[Tensor | None]:
        """Everything that training may see, for a hash: all rows in order, labels and groups."""
        yield from self.chunks()
        yield self.y
        yield self.groups

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
        """Smallest and largest value; of a part of the data, those of the whole."""
        if self._whole is not None:
            return self._whole.range()
        if self._range is None:
            low, high = zip(*(map(float, block.aminmax()) for block in self.blocks()), strict=True)
            self._range = min(low), max(high)
        return self._range

    def column_range(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest value of each column over the rows, each of `shape`, float64; found with the moments."""
        self.moments()
        assert self._column_range is not None
        return self._column_range

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

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance (divided by n) over the rows, each of `shape`, float64, in one pass.

        Chunks are merged as in Chan, Golub & LeVeque (1983), which keeps small variances beside large means.
        """
        if self._moments is None:
            mean = torch.zeros(self.shape, dtype=torch.float64)
            squares = torch.zeros(self.shape, dtype=torch.float64)
            low = torch.full(self.shape, torch.inf, dtype=torch.float64)
            high = -low
            seen = 0
            for part in self.blocks():
                part = part.to(torch.float64)
                if len(self.shape) == 1:  # of tables
                    least, largest = part.aminmax(dim=0)
                    low, high = torch.minimum(low, least), torch.maximum(high, largest)
                part_mean = part.mean(0)
                delta = part_mean - mean
                total = seen + len(part)
                squares += part.sub_(part_mean).square_().sum(0) + delta.square() * (seen * len(part) / total)
                mean += delta * (len(part) / total)
                seen = total
            self._moments, self._column_range = (mean, squares / seen), (low, high)
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
            batch = _as_tensor(self._gather(index))
        return batch.to(device, torch.float32)

    def chunk(self, start: int, stop: int) -> Tensor:
        rows = slice(start, stop) if self._rows is None else self._rows[start:stop]
        return _as_tensor(self._array[rows] if isinstance(self._array, Tensor) else self._gather(rows))

    def _gather(self, rows: Tensor | slice) -> np.ndarray:
        """A copy of rows that are not in a tensor."""
        return np.array(self._array[np.asarray(rows) if isinstance(rows, Tensor) else rows])

    def kept_on(self, device: torch.device, most_bytes: int) -> Source:
        n_bytes = math.prod(self.shape) * self.chunk(0, 1).element_size() * self.n_samples
        if n_bytes > most_bytes or is_memory_mapped(self._array):
            return self
        kept = copy.copy(self)
        kept._array, kept._rows = torch.cat([chunk.to(device) for chunk in self.chunks()]), None
        return kept


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
    facts : list of (str, int), default=()
        What was found of the data.
    moments_of : tuple of int or None, default=None
        The shape of mean and variance, where it is not that of a row.

    Raises
    ------
    ValueError
        If nothing could have that shape.
    """

    def __init__(
        self, shape: tuple[int, ...], facts: Sequence[tuple[str, int]] = (), moments_of: tuple[int, ...] | None = None
    ):
        if not 1 <= len(shape) <= 3 or not 0 < math.prod(shape) <= MOST_VALUES or min(shape) < 1:
            raise ValueError(f"rows cannot have the shape {shape}")
        for name, value in facts:
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} of the data cannot be {value}")
        self.n_samples, self.shape, self._known = 0, shape, list(facts)
        mean, variance = (torch.tensor(value, dtype=torch.float64, device="cpu") for value in (0, 1))
        moments_of = shape if moments_of is None else moments_of
        self._moments = mean.expand(moments_of), variance.expand(moments_of)
        self._range = 0.0, 1.0

    def take(self, index: Tensor, device: torch.device) -> Tensor:
        return torch.zeros(len(index), *self.shape)  # on torch's default device, which is "meta" then

    def chunk(self, start: int, stop: int) -> Tensor:
        return torch.zeros(stop - start, *self.shape)

    def fact(self, name: str, find: Callable[[], int]) -> int:
        """What the file says; after the last of it, what can be found from shapes alone."""
        if not self._known:
            return find()
        known, value = self._known.pop(0)
        if known != name:
            raise ValueError(f"they ask for {name} of the data, the file has {known}")
        return value

    def column_range(self) -> tuple[Tensor, Tensor]:
        return self._moments  # type: ignore[return-value]  # zeros and ones

    def subset(self, index: Tensor) -> Self:
        return self
