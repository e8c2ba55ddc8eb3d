"""Passes over a stream of words: blocks in random order, a falling learning rate, threads, checkpoints."""

import math
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from skrep.data import ahead
from skrep.engine import RunFolder
from skrep.engine.duration import Duration
from skrep.engine.interrupts import DeferredInterrupt
from skrep.engine.progress import Progress
from skrep.engine.randomness import derive_seed
from skrep.exceptions import DivergedError
from skrep.text import TokenStream

__all__ = ["STATE_KEYS", "Training", "Weights"]

# Words in a block, which a thread works on: some milliseconds' worth, and at least this many blocks in an epoch where
# there are words for them.
MOST_WORDS, LEAST_WORDS, BLOCKS = 2**15, 2**10, 64

# Seconds between two checkpoints.
CHECKPOINT_SECONDS = 60.0

# Where training begins, and what a state must hold to go on from.
BEGIN: dict[str, Any] = {"epoch": 0, "block": 0, "loss": 0.0, "n_predictions": 0, "history": ()}
STATE_KEYS = ("inputs", "outputs", "seed", *BEGIN)

# Places in a run, for seeds.
_ORDER, _BLOCK, _HELD_OUT = 0, 1, 2


class Weights(Protocol):
    """Weights and the steps that change them."""

    def run(self, tokens: np.ndarray, ends: np.ndarray, lr: float, seed: int) -> tuple[float, int]:
        """Train on some documents; return the loss and the number of predictions."""

    def weights(self) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the weights."""


@dataclass
class Training:
    """A run of training.

    Attributes
    ----------
    weights : Weights
        What is trained.
    stream, held_out : TokenStream
        The words, and those on which the loss is followed; or None.
    n_epochs : int
        Passes over the words.
    lr, min_lr : float
        Learning rate at the beginning; it falls along a line to zero at the end, but not below `min_lr`.
    seed : int
        Decides all.
    n_jobs : int
        Threads.
    run : RunFolder or None
        Where checkpoints are written.
    label : str
        What the progress bar calls it.
    verbose : int
        Whether there is one.
    is_fit : bool
        Whether `max_epochs` decides how long it takes, which is said where that is long.
    """

    weights: Weights
    stream: TokenStream
    held_out: TokenStream | None
    n_epochs: int
    lr: float
    min_lr: float
    seed: int
    n_jobs: int
    run: RunFolder | None
    label: str
    verbose: int
    is_fit: bool

    def train(self, saved: dict[str, Any] | None) -> list[dict[str, Any]]:
        """Train to the end, from a saved state or from the start; the loss of each epoch."""
        begin = BEGIN if saved is None else saved
        self._history: list[dict[str, Any]] = list(begin["history"])
        self._epoch: int = begin["epoch"]
        self._block: int = begin["block"]
        self._loss: float = begin["loss"]
        self._n_predictions: int = begin["n_predictions"]
        self._last_write = time.monotonic()
        self._consistent, self._is_resumed = True, saved is not None
        if self._epoch == self.n_epochs:
            return self._history
        starts = _block_starts(self.stream)
        size = self.n_epochs, len(self.stream)
        duration = Duration(self.label, *size, change="max_epochs") if self.is_fit else None
        progress = Progress(self.label, *size, self.verbose, "words", duration)
        with DeferredInterrupt() as interrupt:
            try:
                while self._epoch < self.n_epochs:
                    self._train_epoch(starts, interrupt, progress)
            except KeyboardInterrupt:
                if self._consistent:  # else it came within a block: a second Ctrl-C, or the program's own handler
                    self._write()
                raise
            finally:
                progress.close()
        self._write()
        return self._history

    def _train_epoch(self, starts: np.ndarray, interrupt: DeferredInterrupt, progress: Progress) -> None:
        order = np.random.default_rng(derive_seed(self.seed, _ORDER, self._epoch)).permutation(len(starts) - 1)
        sizes = np.diff(starts)[order]
        before = self._epoch * len(self.stream) + np.concatenate([[0], np.cumsum(sizes)])
        if self._is_resumed:
            progress.skip(int(before[self._block]))
            self._is_resumed = False
        done = before / (self.n_epochs * max(len(self.stream), 1))

        def work(place: int) -> tuple[float, int]:
            if self.n_jobs == 1:  # of several threads some are always at work
                self._consistent = False
            block = int(order[place])
            lr = max(self.min_lr, self.lr * (1 - float(done[place])))
            seed = derive_seed(self.seed, _BLOCK, self._epoch, block)
            return self.weights.run(*_words(self.stream, starts[block], starts[block + 1]), lr, seed)

        # closed here, not when memory is tidied up: no thread may be at work when the weights are written
        with closing(ahead(work, range(self._block, len(order)), self.n_jobs)) as results:
            for loss, n_predictions in results:
                self._loss += loss
                self._n_predictions += n_predictions
                progress.advance(int(sizes[self._block]))
                self._block += 1
                self._consistent = True
                if interrupt.pending:
                    raise KeyboardInterrupt
                if self.run is not None and time.monotonic() - self._last_write > CHECKPOINT_SECONDS:
                    self._write()
        self._end_epoch(progress)

    def _end_epoch(self, progress: Progress) -> None:
        self._consistent = False
        train_loss = self._loss / self._n_predictions if self._n_predictions else math.nan
        if self._n_predictions and not math.isfinite(train_loss):
            raise DivergedError(
                f"{self.label} diverged in epoch {self._epoch + 1}: the loss is {train_loss} at lr={self.lr:g}. Use a "
                "smaller lr."
            )
        row: dict[str, Any] = {"epoch": self._epoch + 1, "train_loss": train_loss}
        if self.held_out is not None:
            row["valid_loss"] = mean_loss(self.weights, self.held_out, derive_seed(self.seed, _HELD_OUT))
        self._history.append(row)
        self._epoch, self._block, self._loss, self._n_predictions = self._epoch + 1, 0, 0.0, 0
        self._consistent = True
        progress.epoch(self._epoch, train_loss, row.get("valid_loss"))

    def _write(self) -> None:
        if self.run is None:
            return
        inputs, outputs = self.weights.weights()
        state = {
            "inputs": inputs, "outputs": outputs, "epoch": self._epoch, "block": self._block, "loss": self._loss,
            "n_predictions": self._n_predictions, "history": self._history, "seed": self.seed,
        }  # fmt: skip
        self.run.write(state)
        self._last_write = time.monotonic()


def mean_loss(weights: Weights, stream: TokenStream, seed: int) -> float:
    """The loss of a prediction on other documents; NaN where nothing can be predicted."""
    starts = _block_starts(stream)
    loss, n = 0.0, 0
    for block in range(len(starts) - 1):
        more, n_more = weights.run(*_words(stream, starts[block], starts[block + 1]), 0.0, derive_seed(seed, block))
        loss, n = loss + more, n + n_more
    return loss / n if n else math.nan


def _block_starts(stream: TokenStream) -> np.ndarray:
    """Where blocks begin, and the end of all: between documents, but within one that is longer than a block."""
    n = len(stream)
    size = min(MOST_WORDS, max(LEAST_WORDS, n // BLOCKS))
    starts = np.arange(0, n, size)
    if len(starts) > 1:
        ends = stream.ends[np.searchsorted(stream.ends, starts[1:])]
        starts[1:] = np.where(ends - starts[1:] < size, ends, starts[1:])
    return np.unique(np.append(starts, n))


def _words(stream: TokenStream, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
    """Words of a block, and the ends of its documents."""
    first, last = np.searchsorted(stream.ends, start, side="right"), np.searchsorted(stream.ends, stop)
    return stream.tokens(int(start), int(stop)), np.append(stream.ends[first:last] - start, stop - start)
