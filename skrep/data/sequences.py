"""Sequences of different lengths: recordings, time series."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skrep.data.batches import Batch, evenly
from skrep.data.sources import CHUNK_BYTES, Source, is_memory_mapped, tensor_to_array

__all__ = ["Crops", "SequenceSource", "Sequences", "read_sequences"]

# Steps that pass through a network at a time, about.
ENCODED_STEPS = 2**16


class Sequences(NamedTuple):
    """Some sequences in one tensor, padded with zeros behind their ends."""

    values: Tensor  # (batch, length, channels), float32
    lengths: Tensor  # (batch,), int64, on the device: steps of each that are not padding

    def mask(self) -> Tensor:
        """Which steps are not padding, (batch, length), bool."""
        return torch.arange(self.values.shape[1], device=self.lengths.device) < self.lengths[:, None]


def padded_length(length: int) -> int:
    """The length that one of `length` steps is padded to: at most an eighth more, so that few lengths occur."""
    step = max(8, 1 << max(0, length.bit_length() - 4))
    return -(-length // step) * step


class SequenceSource(Source):
    """Arrays of different lengths.

    Its ``shape`` is (length of the longest, channels), its ``size`` the number of steps of all, and mean and variance
    are those of the channels over all steps.

    Parameters
    ----------
    sequences : list of ndarray of shape (length, channels)
        Not copied; converted to float32 batch by batch.
    """

    def __init__(self, sequences: list[np.ndarray]):
        self._sequences = sequences
        self._lengths = torch.tensor([len(sequence) for sequence in sequences])
        self.n_samples = len(sequences)
        self.shape = (int(self._lengths.max()), sequences[0].shape[1])

    @property
    def lengths(self) -> Tensor:
        """Steps of each sequence, (n_samples,), int64."""
        return self._lengths if self._rows is None else self._lengths[self._rows]

    @property
    def size(self) -> int:
        """Steps of all sequences."""
        return int(self.lengths.sum())

    def sequence(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Steps of one sequence, (steps, channels), float32."""
        row = i if self._rows is None else int(self._rows[i])
        return np.asarray(self._sequences[row][start:stop], dtype=np.float32)

    def take(self, index: Tensor, device: torch.device) -> Sequences:
        """The sequences at `index`, padded to the length of the longest of them."""
        return self._padded(index, int(self.lengths[index].max()), len(index), device)

    def _padded(self, index: Tensor, length: int, n_rows: int, device: torch.device) -> Sequences:
        values = torch.zeros(n_rows, length, self.shape[1])
        lengths = torch.ones(n_rows, dtype=torch.int64)
        for row, i in enumerate(index.tolist()):
            part = torch.from_numpy(self.sequence(i))
            values[row, : len(part)], lengths[row] = part, len(part)
        return Sequences(values.to(device), lengths.to(device))

    def chunk(self, start: int, stop: int) -> Tensor:
        """Steps of some sequences, one behind the other, (steps, channels)."""
        return torch.from_numpy(np.concatenate([self.sequence(i) for i in range(start, stop)]))

    def chunks(self, rows: int | None = None) -> Iterator[Tensor]:
        """Steps of all sequences, some sequences at a time."""
        most = max(1, CHUNK_BYTES // (8 * self.shape[1]))
        ends = self.lengths.cumsum(0)
        start = 0
        while start < len(self):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(torch.searchsorted(ends, before + most, right=True)))
            yield self.chunk(start, stop)
            start = stop

    def content(self) -> Iterator[Tensor | None]:
        yield self.lengths
        yield from super().content()

    def encode(self, network: nn.Module, device: torch.device, rows: int | None = None) -> np.ndarray:
        """The output of a network for each sequence, in eval mode.

        Sequences of like length pass together, as :class:`Sequences` of a fixed number of rows for each padded length:
        the padding of a row depends on its own length alone, and so do its features.

        Parameters
        ----------
        network : torch.nn.Module
            Maps :class:`Sequences` to (rows, n_features).
        device : torch.device
            Where it is.
        rows : None
            Not used.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
        """
        network.eval()
        lengths = np.array([padded_length(int(length)) for length in self.lengths])
        result: np.ndarray | None = None
        with torch.inference_mode():
            for length in np.unique(lengths).tolist():
                alike = torch.from_numpy(np.flatnonzero(lengths == length))
                n_rows = max(1, ENCODED_STEPS // length)
                for index in alike.split(n_rows):
                    features = network(self._padded(index, length, n_rows, device))
                    if features.ndim != 2 or len(features) != n_rows:
                        raise ValueError(
                            f"the network returned shape {tuple(features.shape)} for {n_rows} sequences; expected "
                            f"({n_rows}, n_features)."
                        )
                    if result is None:
                        result = np.empty((len(self), features.shape[1]), np.float32)
                    result[index.numpy()] = features[: len(index)].float().cpu().numpy()
        assert result is not None
        return result

    def crops(self, window: int) -> "Crops":
        """A source of parts of one length, for training; see :class:`Crops`."""
        return Crops(self, window)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of each channel over all steps, (channels,), float64."""
        if self._moments is None:
            n, mean = 0, torch.zeros(self.shape[1], dtype=torch.float64)
            squares = torch.zeros_like(mean)
            for chunk in self.chunks():
                part = chunk.double()
                delta, total = part.mean(0) - mean, n + len(part)
                squares += (part - part.mean(0)).square().sum(0) + delta.square() * (n * len(part) / total)
                mean += delta * (len(part) / total)
                n = total
            self._moments = mean, squares / n
        return self._moments

    def outline(self) -> dict[str, Any]:
        return super().outline() | {"moments": self.shape[1:]}


class Crops(Source):
    """Parts of one length of sequences: each gives as many in an epoch as it is long, at positions that are drawn.

    Its batches hold tensors (batch, window, channels).

    Parameters
    ----------
    source : SequenceSource
        The sequences.
    window : int
        Steps in each part.

    Raises
    ------
    ValueError
        If a sequence is shorter than that.
    """

    def __init__(self, source: SequenceSource, window: int):
        lengths = source.lengths
        if int(lengths.min()) < window:
            short = int(lengths.argmin())
            raise ValueError(
                f"sequence {short} has {int(lengths[short])} steps, fewer than the window={window} of training. "
                "Leave it out, or lower window."
            )
        self.source, self.window = source, window
        self.n_samples, self.shape = len(source), (window, source.shape[1])
        self.y, self.groups = source.y, source.groups

    @property
    def rows_per_epoch(self) -> int:
        return int((self.source.lengths // self.window).sum())

    @property
    def size(self) -> int:
        return self.rows_per_epoch * self.window

    def batches(self, size: int, device: torch.device, generator: torch.Generator) -> Iterator[Batch]:
        """One epoch of crops, in random order, at random positions."""
        rows = torch.arange(len(self)).repeat_interleave(self.source.lengths // self.window)
        rows = rows[torch.randperm(len(rows), generator=generator)]
        room = self.source.lengths[rows] - self.window + 1
        starts = (torch.rand(len(rows), generator=generator, dtype=torch.float64) * room).long()
        return self._crops(rows, starts, size, device)

    def in_order(self, size: int, device: torch.device, generator: torch.Generator | None = None) -> Iterator[Batch]:
        """Parts that lie one behind the other, from the beginning of each sequence."""
        counts = self.source.lengths // self.window
        rows = torch.arange(len(self)).repeat_interleave(counts)
        within = torch.cat([torch.arange(int(count)) for count in counts])
        return self._crops(rows, within * self.window, size, device)

    def _crops(self, rows: Tensor, starts: Tensor, size: int, device: torch.device) -> Iterator[Batch]:
        for part in evenly(torch.arange(len(rows)), size):
            index = rows[part]
            spans = zip(index.tolist(), starts[part].tolist(), strict=True)
            crops = np.stack([self.source.sequence(i, start, start + self.window) for i, start in spans])
            y, groups = (None if v is None else v[index].to(device) for v in (self.y, self.groups))
            yield Batch(torch.from_numpy(crops).to(device), y, index, groups)

    def small_batch(self, generator: torch.Generator) -> Batch:
        return next(self.source.sample(2).crops(self.window).batches(2, torch.device("cpu"), generator))

    def take(self, index: Tensor, device: torch.device) -> Tensor:
        """The beginnings of the sequences at `index`."""
        crops = [self.source.sequence(i, 0, self.window) for i in index.tolist()]
        return torch.from_numpy(np.stack(crops)).to(device)

    def chunk(self, start: int, stop: int) -> Tensor:
        return self.take(torch.arange(start, stop), torch.device("cpu"))

    def encode(self, network: nn.Module, device: torch.device, rows: int | None = None) -> np.ndarray:
        """The output of a network for each whole sequence."""
        return self.source.encode(network, device, rows)

    def moments(self) -> tuple[Tensor, Tensor]:
        return self.source.moments()

    def subset(self, index: Tensor) -> Any:
        return self.source.subset(index).crops(self.window)

    def outline(self) -> dict[str, Any]:
        return super().outline() | {"moments": self.shape[1:]}


def read_sequences(estimator: Any, X: Any, *, reset: bool) -> SequenceSource:
    """Validate sequences and return them as a source.

    Parameters
    ----------
    estimator : estimator
        Its ``n_channels_in_`` is set (`reset`) or compared with that of `X`.
    X : list of array-like of shape (length,) or (length, channels)
        Finite numbers; lengths may differ, channels may not.
    reset : bool
        True in ``fit``: at least two sequences are then needed.

    Returns
    -------
    SequenceSource

    Raises
    ------
    ValueError
        One message with what was got, what was expected and the fix.
    """
    name = type(estimator).__name__
    expected = f"{name} takes a list of sequences, arrays of shape (length,) or (length, channels)"
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) == 3:
        raise ValueError(
            f"{expected}; got an array of shape {tuple(shape)}, which could be grey images or sequences of one length. "
            "Pass list(X) for sequences (n_samples, length, channels)."
        )
    is_list = isinstance(X, (list, tuple)) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1)
    if not is_list:
        got = type(X).__name__ if shape is None else f"an array of shape {tuple(shape)}"
        raise ValueError(f"{expected}; got {got}. Pass list(X) where each row is a sequence of one channel.")
    if len(X) < (2 if reset else 1):
        raise ValueError(f"Found {len(X)} sequence(s) while a minimum of {2 if reset else 1} is required by {name}.")
    sequences = [_sequence(item, i, expected) for i, item in enumerate(X)]
    n_channels = {sequence.shape[1] for sequence in sequences}
    asked = sequences[0].shape[1] if reset else estimator.n_channels_in_
    if n_channels != {asked}:
        i = next(i for i, sequence in enumerate(sequences) if sequence.shape[1] != asked)
        raise ValueError(f"sequence {i} has {sequences[i].shape[1]} channels, but {name} is expecting {asked}.")
    if reset:
        estimator.n_channels_in_ = asked
        for attribute in ("n_features_in_", "feature_names_in_", "image_shape_"):
            estimator.__dict__.pop(attribute, None)
    return SequenceSource(sequences)


def _sequence(item: Any, i: int, expected: str) -> np.ndarray:
    if isinstance(item, (str, bytes)) or np.ndim(item) == 0:
        raise ValueError(f"{expected}; item {i} is {item!r:.40} ({type(item).__name__}).")
    array = tensor_to_array(item) if isinstance(item, Tensor) else np.asanyarray(item)
    if array.dtype.kind not in "buif" or array.ndim not in (1, 2):
        raise ValueError(f"{expected}; item {i} has shape {array.shape} and dtype {array.dtype}.")
    array = array[:, None] if array.ndim == 1 else array  # (length,) -> (length, 1)
    if 0 in array.shape:
        raise ValueError(f"sequence {i} has shape {array.shape}: it is empty. Leave it out.")
    if not is_memory_mapped(array) or array.size < 2**24:
        with np.errstate(over="ignore"):
            finite = np.isfinite(array.astype(np.float32)).all(1)
        if not finite.all():
            raise ValueError(
                f"sequence {i} contains NaN, infinity or a value too large for float32 at step {int(finite.argmin())}. "
                "Clean, impute or rescale it."
            )
    return array
