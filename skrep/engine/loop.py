"""The training loop: lean, interruptible, and the same to the bit wherever it resumes.

What is different from skorch's own loop, and why:

- batches are slices of whole tensors; a DataLoader over single rows costs a small network two to four times its
  training time
- the loss is summed on the device and read once an epoch; reading it every batch makes a GPU wait
- Ctrl-C is raised to the caller; skorch returns from ``fit`` as if all were well
- a loss that is not finite is an error
- the state of training can be taken and put back between any two batches, to the bit
"""

import contextlib
import functools
import itertools
import math
import time
from typing import Any, Protocol

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn

from skrep.data import Batch, Source
from skrep.engine.checkpoints import RunFolder
from skrep.engine.duration import Duration
from skrep.engine.interrupts import DeferredInterrupt
from skrep.engine.nested import map_nested
from skrep.engine.progress import Progress
from skrep.engine.randomness import derive_seed, draws_globally, global_generators
from skrep.engine.ranks import ALONE, Ranks
from skrep.engine.schedules import resolve_schedule
from skrep.engine.sklearn_callbacks import EpochTasks
from skrep.exceptions import DeviceMemoryError, DivergedError

__all__ = ["Loop", "StopTraining", "Task", "summed"]

CHECKPOINT_SECONDS = 60.0

# What the random numbers of a run are for; each use has a stream of its own.
ORDER, VIEWS, VALIDATION = 1, 2, 3

# The name of a loss that has none, and what else rows of the history hold.
ONLY_TERM = ""
OTHERS = {"batches", "dur", "epoch", "lr", "train_loss", "train_loss_best", "valid_loss", "valid_loss_best"}


class Task(Protocol):
    """What a method brings to the loop; see :class:`~skrep.TorchTransformer` for each hook."""

    def views(self, batch: Batch, generator: torch.Generator) -> tuple[Any, Any]:
        """What the network gets of a batch, and the target."""

    def objective(self, outputs: Any, target: Any) -> Tensor | dict[str, Tensor]:
        """The loss, or its named terms."""

    def backward(self, module: nn.Module, losses: dict[str, Tensor]) -> None:
        """Gradients of the terms of the loss."""

    def after_step(self, module: nn.Module, outputs: Any, progress: float) -> None:
        """Updates without a gradient."""

    def after_epoch(self, module: nn.Module) -> dict[str, float]:
        """What the epoch's row of the history gets beside the loss."""


class Loop:
    """Epochs of one run: what is there while a net trains, and no longer.

    Parameters
    ----------
    net : Net
        What trains; its cursor (epoch, batch, sums) says where the run stands.
    data : Source
        What batches are made of.
    epochs : int
        Epochs in all, including those already done.
    task : Task
        What the method decides.
    is_final : bool
        Whether the schedule anneals the learning rate over these epochs. False, for ``partial_fit``, leaves it at
        its peak.
    valid : Source or None
        Rows on which the loss is monitored.
    run : RunFolder or None
        Where checkpoints go.
    sklearn_tasks : EpochTasks or None
        scikit-learn's callbacks.
    extra_state : dict or None
        Kept beside the training state in each checkpoint.
    saved : dict or None
        The state to resume from.
    draws_globally_too : bool
        Whether the task's own code may draw from torch's global generators.
    ranks : Ranks
        The processes that train together.
    """

    def __init__(
        self,
        net: Any,
        data: Source,
        epochs: int,
        *,
        task: Task,
        is_final: bool = True,
        valid: Source | None = None,
        run: RunFolder | None = None,
        sklearn_tasks: EpochTasks | None = None,
        extra_state: dict[str, Any] | None = None,
        saved: dict[str, Any] | None = None,
        draws_globally_too: bool = False,
        ranks: Ranks = ALONE,
    ):
        if saved is not None:  # after the callbacks' on_train_begin, which resets them
            net.load_training_state(saved)
        self.net, self.data, self.epochs, self.valid = net, data, epochs, valid
        self.task, self.is_final = task, is_final
        self.run, self.extra_state, self.sklearn_tasks, self.ranks = run, extra_state or {}, sklearn_tasks, ranks
        self.device = torch.device(net.device)
        self.consistent = True  # whether the net is between two steps
        self.n_rows = 0  # of the batch that was begun last, in all processes together
        self.began = self.last_write = time.monotonic()
        self.spent_before = net.spent_
        self.listening = any(
            _overrides(cb, "on_batch_begin", "on_batch_end", "on_grad_computed") for _, cb in net.callbacks_
        )
        self.schedule = resolve_schedule(net.lr_schedule) if is_final else None
        self.trained = [p for p in net.module_.parameters() if p.requires_grad]
        self.draws_globally = draws_globally_too or draws_globally(net.module_)
        self.autocast = net.train_dtype != torch.float32

    def train(self) -> None:
        """Train until the epochs are done, or a callback or the clock ends it."""
        net = self.net
        if self.device.type == "cpu":
            _keep_freed_memory()
        self.ranks.start_alike(net.module_)
        planned = self.epochs if net.budget_seconds is None else None
        n_rows = self.data.rows_per_epoch
        verbose, duration = (net.verbose, self._duration()) if self.ranks.is_first else (0, None)
        progress = Progress(net.label, planned, n_rows, verbose, duration=duration)
        progress.skip(net.epoch_ * n_rows + net.seen_)
        watched = {"dataset_train": self.data, "dataset_valid": self.valid}
        with contextlib.ExitStack() as stack:
            stack.callback(progress.close)
            interrupt = stack.enter_context(DeferredInterrupt())
            if self.draws_globally:
                stack.enter_context(global_generators(self.device))
            try:
                while net.epoch_ < self.epochs and not net.stopped_:
                    if self.sklearn_tasks is not None:
                        self.sklearn_tasks.begin()
                    net.notify("on_epoch_begin", **watched)
                    self._train_epoch(interrupt, progress)
                    self._end_epoch(progress)
                    try:
                        net.notify("on_epoch_end", **watched)
                    except StopTraining:
                        net.stopped_ = True
                    if self.sklearn_tasks is not None:
                        net.stopped_ |= self.sklearn_tasks.end()
                    self._write()
            except KeyboardInterrupt:
                if self.consistent:
                    self._write()
                raise
            finally:
                net.spent_ = self._elapsed()
        if net.best_weights_ is not None:
            net.module_.load_state_dict(net.best_weights_)
        if not all(bool(torch.isfinite(p).all()) for p in self.trained):
            raise self._diverged()

    def _train_epoch(self, interrupt: DeferredInterrupt, progress: Progress) -> None:
        net, task = self.net, self.task
        seed, epoch, n_epoch = net.seed, net.epoch_, self.data.rows_per_epoch
        total, generator = self.epochs * n_epoch, torch.Generator(self.device)
        order = torch.Generator().manual_seed(derive_seed(seed, ORDER, epoch))
        net._set_training(True)
        batches = itertools.islice(self.data.batches(net.batch_size, self.device, order), net.batch_, None)
        for batch in batches:
            n_rows = len(batch.index)
            draw = derive_seed(seed, VIEWS, epoch, net.batch_)
            generator.manual_seed(draw)
            if self.draws_globally:
                torch.manual_seed(draw)
            if self.is_final:
                net.progress_ = min(1.0, max((epoch * n_epoch + net.seen_ + n_rows / 2) / total, self._clock()))
            batch.progress = net.progress_
            if self.schedule is not None:
                factor = self.schedule(net.progress_)
                for group, peak in zip(net.optimizer_.param_groups, net.peak_lrs_, strict=True):
                    group["lr"] = peak * factor
            try:
                inputs, target = task.views(batch, generator)
                pair = self.ranks.own(inputs, n_rows), target
                self.n_rows = n_rows
                if self.draws_globally and not self.ranks.is_first:
                    torch.manual_seed(draw + self.ranks.rank)  # other dropout masks for other rows
                self.consistent = False
                if self.listening:
                    net.notify("on_batch_begin", batch=pair, training=True)
                step = self._step(pair)
            except torch.OutOfMemoryError as error:
                raise self._out_of_memory(n_rows, error) from None
            net.loss_sum_.add_(step["loss"].detach(), alpha=n_rows)
            self._add_terms(net.term_sums_, step["terms"], n_rows)
            net.seen_ += n_rows
            net.batch_ += 1
            self.consistent = True
            if self.listening:
                net.history.record_batch("train_loss", step["loss"].item())
                net.history.record_batch("train_batch_size", n_rows)
                net.notify("on_batch_end", batch=pair, training=True, **step)
            progress.advance(n_rows)
            if interrupt.pending:
                raise KeyboardInterrupt
            if self.is_final and self._clock() >= 1:
                net.stopped_ = True
                break
            if self.run is not None and time.monotonic() - self.last_write > CHECKPOINT_SECONDS:
                self._write()

    def _elapsed(self) -> float:
        """Seconds that the run has taken, in all processes that continued it."""
        seconds: float = self.spent_before + time.monotonic() - self.began
        return seconds

    def _duration(self) -> Duration | None:
        """What estimates the time of the fit; None for ``partial_fit``, whose one pass nothing shortens."""
        if not self.is_final:
            return None
        net = self.net
        limit = None if net.budget_seconds is None else net.budget_seconds - self.spent_before
        may_stop = net.early_stopping is not None
        return Duration(net.label, self.epochs, self.data.rows_per_epoch, limit=limit, may_stop=may_stop)

    def _clock(self) -> float:
        """Share of the time that is gone; 0 where there is no limit."""
        if self.net.budget_seconds is None:
            return 0.0
        return float(self.ranks.agree(self._elapsed() / self.net.budget_seconds))

    def _step(self, batch: tuple[Any, Any]) -> dict[str, Any]:
        """One update from one batch of views: ``{"loss": ..., "terms": ..., "y_pred": outputs}``."""
        module = self.net.module_
        for parameter in self.trained:
            parameter.grad = None
        losses, outputs = self._losses(batch, self.ranks)
        self.task.backward(module, losses)
        self.ranks.add_gradients(self.trained)
        if self.listening:
            named = list(module.named_parameters())
            self.net.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        self.net.optimizer_.step()
        self.task.after_step(module, outputs, self.net.progress_)
        return {"loss": summed(losses), "terms": losses, "y_pred": outputs}

    def _losses(self, batch: tuple[Any, Any], ranks: Ranks = ALONE) -> tuple[dict[str, Tensor], Any]:
        net, (inputs, target) = self.net, batch
        with ranks.batch_norm():
            if self.autocast:
                with torch.autocast(self.device.type, dtype=net.train_dtype):
                    outputs = net.module_(_channels_last(inputs))
                outputs = _as_float32(outputs)  # losses are where half precision hurts
            else:
                outputs = net.module_(_channels_last(inputs))
        outputs = ranks.gather(outputs, self.n_rows)
        loss = self.task.objective(outputs, target)
        losses = loss if isinstance(loss, dict) else {ONLY_TERM: loss}
        for name, term in losses.items():
            if term.ndim or name in OTHERS:
                self._refuse_term(name, term)
        return losses, outputs

    def _refuse_term(self, name: str, term: Tensor) -> None:
        what = f"{self.net.label}.objective returned" + (f" a term {name!r}" if name else "")
        if term.ndim:
            raise ValueError(f"{what} of shape {tuple(term.shape)}; expected a scalar, such as a mean over the batch.")
        raise ValueError(f"{what}, which history_ has already for something else. Give it another name.")

    @staticmethod
    def _add_terms(sums: dict[str, Tensor], losses: dict[str, Tensor], n_rows: int) -> None:
        for name, loss in losses.items():
            if name != ONLY_TERM:
                sums[name] = sums.get(name, 0.0) + loss.detach() * n_rows

    def _end_epoch(self, progress: Progress) -> None:
        net = self.net
        n_rows = max(1, net.seen_)
        train_loss, terms = float(net.loss_sum_) / n_rows, net.term_sums_
        if not math.isfinite(train_loss):
            raise self._diverged()
        self.consistent = False
        net.epoch_, net.batch_, net.seen_ = net.epoch_ + 1, 0, 0
        net.loss_sum_.zero_()
        net.term_sums_ = {}
        previous = min((row["train_loss"] for row in net.history[:-1]), default=math.inf)
        if not self.listening:  # skorch's Checkpoint looks for the last batch
            net.history.new_batch()
            net.history.record_batch("train_loss", train_loss)
        net.history.record("train_loss", train_loss)
        for name, total in terms.items():
            net.history.record(name, float(total) / n_rows)
        net.history.record("train_loss_best", train_loss < previous)
        net.history.record("lr", self._lr_now())
        for name, value in self.task.after_epoch(net.module_).items():
            net.history.record(name, value)
        valid_loss = None
        if self.valid is not None:
            valid_loss, terms = self._validate(self.valid)
            for name, total in terms.items():
                net.history.record(f"valid_{name}", float(total))
            better = valid_loss < net.best_loss_
            net.history.record("valid_loss", valid_loss)
            net.history.record("valid_loss_best", better)
            net.waited_ = 0 if better else net.waited_ + 1
            if better:
                net.best_loss_ = valid_loss
            if net.early_stopping is not None:
                if better:
                    net.best_weights_ = {k: v.detach().clone() for k, v in net.module_.state_dict().items()}
                net.stopped_ |= net.waited_ >= net.early_stopping
        self.consistent = True
        progress.epoch(net.epoch_, train_loss, valid_loss)

    @torch.no_grad()
    def _validate(self, valid: Source) -> tuple[float, dict[str, Tensor]]:
        """The loss of held-out rows, and its named terms."""
        # the same batches and views every epoch, so that epochs can be compared
        net, device = self.net, self.device
        generator = torch.Generator(device).manual_seed(derive_seed(net.seed, VALIDATION))
        order = torch.Generator().manual_seed(derive_seed(net.seed, VALIDATION, ORDER))
        net._set_training(False)
        total, n_rows = torch.zeros((), device=device), 0
        terms: dict[str, Tensor] = {}
        for batch in valid.in_order(net.batch_size, device, order):
            batch.progress = 1.0
            losses, _ = self._losses(self.task.views(batch, generator))
            total.add_(summed(losses), alpha=len(batch.index))
            self._add_terms(terms, losses, len(batch.index))
            n_rows += len(batch.index)
        return float(total) / n_rows, {name: term / n_rows for name, term in terms.items()}

    def _write(self) -> None:
        net = self.net
        if self.run is None:
            return
        if not math.isfinite(float(net.loss_sum_)):
            raise self._diverged()
        net.spent_ = self._elapsed()
        self.run.write(net.training_state() | self.extra_state)
        self.last_write = time.monotonic()

    def _lr_now(self) -> float:
        """The rate of parameters that are not slowed down."""
        net = self.net
        rates = zip(net.optimizer_.param_groups, net.peak_lrs_, strict=True)
        return float(max(rates, key=lambda rate: rate[1])[0]["lr"])

    def _diverged(self) -> DivergedError:
        net, epochs = self.net, self.epochs
        of = "" if net.budget_seconds is not None else f" of {epochs}"
        return DivergedError(
            f"{net.label}: the loss or the weights are not finite in epoch {min(net.epoch_ + 1, epochs)}{of} "
            f"(learning rate {self._lr_now():.3g}, at its peak {net.lr:.3g}). Try lr={net.lr / 10:.3g}, or "
            "rescale the data (sklearn.preprocessing.StandardScaler)."
        )

    def _out_of_memory(self, tried: int, error: Exception) -> DeviceMemoryError:
        net, size = self.net, tried
        fits: int | None = None
        while size > 1 and fits is None:
            size //= 2
            with contextlib.suppress(torch.OutOfMemoryError):
                for parameter in self.trained:
                    parameter.grad = None
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()
                batch = next(self.data.batches(size, self.device, torch.Generator()))
                losses, _ = self._losses(self.task.views(batch, torch.Generator(net.device)))
                self.task.backward(net.module_, losses)
                fits = size
        advice = f"batch_size={fits} fits" if fits else "not even one row fits: use a smaller network, or device='cpu'"
        return DeviceMemoryError(
            f"{net.label}: {net.device} ran out of memory with a batch of {tried} rows; {advice}. "
            f"({str(error).splitlines()[0]})"
        )


def summed(losses: dict[str, Tensor]) -> Tensor:
    """The loss: the sum of its terms."""
    return functools.reduce(torch.add, losses.values())


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of a batch for the next one; else it returns and fetches it page by page each time.

    glibc maps blocks above a threshold, which rises to the size of the largest such block that was freed, to 32 MiB at
    most. With small convolutions those pages are a fifth of the time. Elsewhere this is a block allocated and freed.
    """
    torch.empty(2**25 - 2**13, dtype=torch.uint8)


class StopTraining(Exception):
    """A callback asks for no more epochs."""


def _overrides(callback: Callback, *names: str) -> bool:
    return any(getattr(type(callback), name) is not getattr(Callback, name) for name in names)


def _channels_last(inputs: Any) -> Any:
    """Images in the memory layout that convolutions are fastest in; everything else as it is."""
    if isinstance(inputs, Tensor) and inputs.ndim == 4:
        return inputs.contiguous(memory_format=torch.channels_last)
    return map_nested(_channels_last, inputs)


def _as_float32(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.float() if outputs.is_floating_point() else outputs
    return map_nested(_as_float32, outputs)
