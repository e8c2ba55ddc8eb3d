"""The one network that trains every method: a skorch net with a lean loop.

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
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, EpochTimer
from torch import Tensor, nn

from skrep.data import Batch, Source
from skrep.engine.checkpoints import RunFolder
from skrep.engine.interrupts import DeferredInterrupt
from skrep.engine.nested import map_nested
from skrep.engine.optimizers import make_optimizer
from skrep.engine.progress import Progress
from skrep.engine.randomness import derive_seed, draws_globally, global_generators
from skrep.engine.ranks import ALONE, Ranks
from skrep.engine.schedules import resolve_schedule
from skrep.engine.sklearn_callbacks import EpochTasks
from skrep.exceptions import DeviceMemoryError, DivergedError
from skrep.persistence import can_store

__all__ = ["Net", "Task", "summed"]

CHECKPOINT_SECONDS = 60.0

# What the random numbers of a run are for; each use has a stream of its own.
ORDER, VIEWS, VALIDATION = 1, 2, 3

# The name of a loss that has none.
ONLY_TERM = ""


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


class Net(NeuralNet):
    """A skorch net that trains a :class:`Task`.

    Parameters
    ----------
    module : torch.nn.Module
        The network, built.
    weight_decay : float
        Of matrices; biases and gains are not decayed.
    lr_schedule : str or callable
        See :func:`~skrep.engine.schedules.resolve_schedule`.
    train_dtype : torch.dtype
        Of the forward pass in training.
    seed : int
        All random numbers of the run follow from it.
    early_stopping : int or None
        Epochs without a better validation loss before training stops.
    label : str
        For the progress bar and messages.
    budget_seconds : float or None, default=None
        Time that training may take; the schedule then follows the clock where that is ahead of the epochs.
    lr_scales : dict of str to float or None, default=None
        Factors of the learning rate, for the parameters whose names begin so.
    **kwargs
        Whatever skorch's NeuralNet takes.
    """

    lr: float

    def __init__(
        self,
        module: nn.Module,
        *,
        weight_decay: float,
        lr_schedule: Any,
        train_dtype: torch.dtype,
        seed: int,
        early_stopping: int | None,
        label: str,
        budget_seconds: float | None = None,
        lr_scales: dict[str, float] | None = None,
        **kwargs: Any,
    ):
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.train_dtype = train_dtype
        self.seed = seed
        self.early_stopping = early_stopping
        self.label = label
        self.budget_seconds = budget_seconds
        self.lr_scales = lr_scales
        super().__init__(module, criterion=None, train_split=None, **kwargs)

    # --- parts, as skorch asks for them -------------------------------------------------------------------------

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [("epoch_timer", EpochTimer())]

    def initialize_module(self) -> "Net":
        self.module_ = self.module
        for parameter in self.module_.parameters():
            if parameter.ndim == 4:
                # not contiguous(), which leaves the strides of a single channel, and with them all layers, as they are
                parameter.data = parameter.data.to(memory_format=torch.channels_last)
        return self

    def initialize_criterion(self) -> "Net":
        self.criterion_ = nn.Identity()  # the loss is the task's objective; skorch's callbacks look for a module
        return self

    def initialize_optimizer(self, triggered_directly: Any = None) -> "Net":
        options = {key: value for key, value in self.get_params_for("optimizer").items() if key != "lr"}
        self.optimizer_ = make_optimizer(
            self.optimizer,
            self.get_all_learnable_params(),
            lr=self.lr,
            weight_decay=self.weight_decay,
            lr_scales=self.lr_scales or {},
            **options,
        )
        self.peak_lrs_ = [group["lr"] for group in self.optimizer_.param_groups]
        self.rewind()
        return self

    def initialize_without_optimizer(self, history: list[dict[str, Any]]) -> "Net":
        """Initialise without an optimizer: ready to transform, and to train once the optimizer is renewed."""
        self._initialize_virtual_params()
        self._initialize_callbacks()
        self._initialize_module()
        self._initialize_criterion()
        self._initialize_history()
        self._remember(history)
        self.initialized_ = True
        return self

    def renew_optimizer(self) -> None:
        """Make the optimizer that pickle left behind."""
        self.initialized_ = False  # or skorch would announce it
        self._initialize_optimizer()
        self.initialized_ = True

    def set_lr(self, lr: float) -> None:
        """Train with another peak rate from the next :meth:`rewind` on."""
        if lr != self.lr:
            self.peak_lrs_ = [peak * lr / self.lr for peak in self.peak_lrs_]
            self.lr = lr

    def rewind(self) -> None:
        """Reset to the start of a run; weights and the optimizer's state stay as they are."""
        for group, peak in zip(self.optimizer_.param_groups, self.peak_lrs_, strict=True):
            group["lr"] = peak
        self.progress_ = 0.0  # share of training that is done; 0 for a run without an end
        self.epoch_ = 0  # epochs done
        self.batch_ = 0  # batches done in this epoch
        self.seen_ = 0  # samples seen in this epoch
        self.spent_ = 0.0  # seconds that the run took before this process
        self.n_rows_ = 0  # of the batch that was begun last, in all processes together
        self.loss_sum_ = torch.zeros((), device=self.device)
        self.term_sums_: dict[str, Tensor] = {}  # of the named terms of the loss
        self.best_loss_ = math.inf
        self.best_weights_: dict[str, Tensor] | None = None
        self.waited_ = 0  # epochs since the best
        self.stopped_ = False

    # --- state ---------------------------------------------------------------------------------------------------

    def training_state(self) -> dict[str, Any]:
        """All that the rest of the run depends on; tensors are copies."""

        def copy(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.detach().clone()
            if isinstance(value, dict):
                return {key: copy(item) for key, item in value.items()}
            return [copy(item) for item in value] if isinstance(value, list) else value

        return {
            "module": copy(dict(self.module_.state_dict())),
            "optimizer": copy(self.optimizer_.state_dict()),
            "peak_lrs": list(self.peak_lrs_),
            "cursor": [self.epoch_, self.batch_, self.seen_, self.waited_, self.best_loss_, self.stopped_],
            "loss_sum": self.loss_sum_.clone(),
            "term_sums": copy(self.term_sums_),
            "spent": 0.0 if self.budget_seconds is None else self._elapsed(),
            "best_weights": copy(self.best_weights_),
            "history": self.plain_history(),
            "trained": {name: p.requires_grad for name, p in self.module_.named_parameters()},
            "callbacks": {
                name: {k: copy(v) for k, v in vars(callback).items() if k.endswith("_") and can_store(v)}
                for name, callback in self.callbacks_
            },
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        """Restore a :meth:`training_state`."""
        self.module_.load_state_dict(state["module"])
        self.optimizer_.load_state_dict(state["optimizer"])
        for parameter, moments in self.optimizer_.state.items():  # fused kernels need both in one memory layout
            for name, value in moments.items():
                if isinstance(value, Tensor) and value.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        self.peak_lrs_ = list(state["peak_lrs"])
        self.epoch_, self.batch_, self.seen_, self.waited_, self.best_loss_, self.stopped_ = state["cursor"]
        self.loss_sum_ = state["loss_sum"].to(self.device)
        self.term_sums_ = {name: total.to(self.device) for name, total in state["term_sums"].items()}
        self.spent_ = state["spent"]
        self.best_weights_ = state["best_weights"]
        for name, parameter in self.module_.named_parameters():
            parameter.requires_grad_(state["trained"].get(name, parameter.requires_grad))
        for name, callback in self.callbacks_:
            vars(callback).update(state["callbacks"].get(name, {}))
        self._remember(state["history"])

    def plain_history(self) -> list[dict[str, Any]]:
        """What a file can hold of each epoch that is done; one that is under way will begin its row again."""
        return [
            {key: value for key, value in row.items() if key != "batches" and can_store(value)}
            for row in self.history
            if "train_loss" in row
        ]

    def _remember(self, history: list[dict[str, Any]]) -> None:
        self.history.clear()
        for row in history:
            self.history.new_epoch()
            for key, value in row.items():
                self.history.record(key, value)

    def __getstate__(self) -> dict[str, Any]:
        # what transform needs, and no more: the module once, no optimizer, no task
        slim = object.__new__(type(self))
        left_out = {"optimizer_", "best_weights_", *_ONLY_WHILE_TRAINING}
        slim.__dict__.update({k: v for k, v in self.__dict__.items() if k not in left_out})
        slim.__dict__["module"] = None
        state: dict[str, Any] = NeuralNet.__getstate__(slim)
        return state

    # --- training ------------------------------------------------------------------------------------------------

    def partial_fit(self, X: Source, y: None = None, classes: None = None, **fit_params: Any) -> "Net":
        """Train on a source; interruptions and errors reach the caller."""
        if not self.initialized_:
            self.initialize()
        self.notify("on_train_begin", X=X, y=y)
        try:
            with torch.enable_grad():
                self.fit_loop(X, **fit_params)
            self.notify("on_train_end", X=X, y=y)
        except BaseException:
            with contextlib.suppress(Exception):  # the first error is the one to tell
                self.notify("on_train_end", X=X, y=y)
            raise
        finally:
            for name in _ONLY_WHILE_TRAINING:
                self.__dict__.pop(name, None)
        return self

    def fit_loop(
        self,
        X: Source,
        y: None = None,
        epochs: int | None = None,
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
    ) -> "Net":
        """Train from where the net stands until `epochs` are done.

        Parameters
        ----------
        X : Source
            Training rows.
        y : None
            Not used: a source carries its own.
        epochs : int or None
            Epochs in all, those already done counted in; None takes ``max_epochs``.
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
            The state from which to go on.
        draws_globally_too : bool
            Whether the task's own code may draw from torch's global generators.
        ranks : Ranks
            The processes that train together.
        """
        if saved is not None:  # after the callbacks' on_train_begin, which resets them
            self.load_training_state(saved)
        epochs = self.max_epochs if epochs is None else epochs
        self.task_, self.consistent_, self.is_final_ = task, True, is_final
        self.run_, self.extra_, self.last_write_ = run, extra_state or {}, time.monotonic()
        self.began_ = time.monotonic()
        self.listening_ = any(
            _overrides(cb, "on_batch_begin", "on_batch_end", "on_grad_computed") for _, cb in self.callbacks_
        )
        self.schedule_ = resolve_schedule(self.lr_schedule) if is_final else None
        self.trained_ = [p for p in self.module_.parameters() if p.requires_grad]
        self.draws_globally_ = draws_globally_too or draws_globally(self.module_)
        self.autocast_ = self.train_dtype != torch.float32
        device = torch.device(self.device)
        if device.type == "cpu":
            _keep_freed_memory()
        self.ranks_ = ranks
        ranks.start_alike(self.module_)
        planned = epochs if self.budget_seconds is None else None
        n_rows = X.rows_per_epoch
        progress = Progress(self.label, planned, n_rows, self.verbose if ranks.is_first else 0)
        progress.skip(self.epoch_ * n_rows + self.seen_)
        watched = {"dataset_train": X, "dataset_valid": valid}
        with contextlib.ExitStack() as stack:
            stack.callback(progress.close)
            interrupt = stack.enter_context(DeferredInterrupt())
            if self.draws_globally_:
                stack.enter_context(global_generators(device))
            try:
                while self.epoch_ < epochs and not self.stopped_:
                    if sklearn_tasks is not None:
                        sklearn_tasks.begin()
                    self.notify("on_epoch_begin", **watched)
                    self._train_epoch(X, epochs, interrupt, progress)
                    self._end_epoch(valid, epochs, progress)
                    try:
                        self.notify("on_epoch_end", **watched)
                    except _StopTraining:
                        self.stopped_ = True
                    if sklearn_tasks is not None:
                        self.stopped_ |= sklearn_tasks.end()
                    self._write()
            except KeyboardInterrupt:
                if self.consistent_:
                    self._write()
                raise
        if self.best_weights_ is not None:
            self.module_.load_state_dict(self.best_weights_)
        if not all(bool(torch.isfinite(p).all()) for p in self.trained_):
            raise self._diverged(epochs)
        return self

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """As skorch, but tell its early stopping, which raises KeyboardInterrupt, from a real one."""
        getattr(self, method_name)(self, **cb_kwargs)
        stop = False
        for _, callback in self.callbacks_:
            try:
                getattr(callback, method_name)(self, **cb_kwargs)
            except KeyboardInterrupt:
                if not isinstance(callback, EarlyStopping):
                    raise
                stop = True
        if stop:
            raise _StopTraining

    def _train_epoch(self, data: Source, epochs: int, interrupt: DeferredInterrupt, progress: Progress) -> None:
        task, seed, epoch, n_epoch = self.task_, self.seed, self.epoch_, data.rows_per_epoch
        total, device = epochs * n_epoch, torch.device(self.device)
        generator = torch.Generator(device)
        order = torch.Generator().manual_seed(derive_seed(seed, ORDER, epoch))
        self._set_training(True)
        batches = itertools.islice(data.batches(self.batch_size, device, order), self.batch_, None)
        for batch in batches:
            n_rows = len(batch.index)
            draw = derive_seed(seed, VIEWS, epoch, self.batch_)
            generator.manual_seed(draw)
            if self.draws_globally_:
                torch.manual_seed(draw)
            if self.is_final_:
                self.progress_ = min(1.0, max((epoch * n_epoch + self.seen_ + n_rows / 2) / total, self._clock()))
            batch.progress = self.progress_
            if self.schedule_ is not None:
                factor = self.schedule_(self.progress_)
                for group, peak in zip(self.optimizer_.param_groups, self.peak_lrs_, strict=True):
                    group["lr"] = peak * factor
            try:
                inputs, target = task.views(batch, generator)
                pair = self.ranks_.own(inputs, n_rows), target
                self.n_rows_ = n_rows
                if self.draws_globally_ and not self.ranks_.is_first:
                    torch.manual_seed(draw + self.ranks_.rank)  # other dropout masks for other rows
                self.consistent_ = False
                if self.listening_:
                    self.notify("on_batch_begin", batch=pair, training=True)
                step = self.train_step(pair)
            except torch.OutOfMemoryError as error:
                raise self._out_of_memory(data, n_rows, error) from None
            self.loss_sum_.add_(step["loss"].detach(), alpha=n_rows)
            self._add_terms(self.term_sums_, step["terms"], n_rows)
            self.seen_ += n_rows
            self.batch_ += 1
            self.consistent_ = True
            if self.listening_:
                self.history.record_batch("train_loss", step["loss"].item())
                self.history.record_batch("train_batch_size", n_rows)
                self.notify("on_batch_end", batch=pair, training=True, **step)
            if not progress.silent:
                progress.advance(n_rows)
            if interrupt.pending:
                raise KeyboardInterrupt
            if self.is_final_ and self._clock() >= 1:
                self.stopped_ = True
                break
            if self.run_ is not None and time.monotonic() - self.last_write_ > CHECKPOINT_SECONDS:
                self._write()

    def _elapsed(self) -> float:
        """Seconds that the run has taken, in all processes that went on with it."""
        return self.spent_ + (time.monotonic() - self.began_ if "began_" in vars(self) else 0.0)

    def _clock(self) -> float:
        """Share of the time that is gone; 0 where there is no limit."""
        if self.budget_seconds is None:
            return 0.0
        return float(self.ranks_.agree(self._elapsed() / self.budget_seconds))

    def train_step(self, batch: tuple[Any, Any], **fit_params: Any) -> dict[str, Any]:
        """One update from one batch of views: ``{"loss": ..., "terms": ..., "y_pred": outputs}``."""
        for parameter in self.trained_:
            parameter.grad = None
        step = self.train_step_single(batch)
        if self.listening_:
            self.notify(
                "on_grad_computed", named_parameters=list(self.module_.named_parameters()), batch=batch, training=True
            )
        self.optimizer_.step()
        self.task_.after_step(self.module_, step["y_pred"], self.progress_)
        return step

    def train_step_single(self, batch: tuple[Any, Any], **fit_params: Any) -> dict[str, Any]:
        """Loss, outputs and gradients of one batch of views."""
        losses, outputs = self._losses(batch, self.ranks_)
        self.task_.backward(self.module_, losses)
        self.ranks_.add_gradients(self.trained_)
        return {"loss": summed(losses), "terms": losses, "y_pred": outputs}

    def _losses(self, batch: tuple[Any, Any], ranks: Ranks = ALONE) -> tuple[dict[str, Tensor], Any]:
        inputs, target = batch
        with ranks.batch_norm():
            if self.autocast_:
                with torch.autocast(torch.device(self.device).type, dtype=self.train_dtype):
                    outputs = self.module_(_channels_last(inputs))
                outputs = _as_float32(outputs)  # losses are where half precision hurts
            else:
                outputs = self.module_(_channels_last(inputs))
        outputs = ranks.gather(outputs, self.n_rows_)
        loss = self.task_.objective(outputs, target)
        return loss if isinstance(loss, dict) else {ONLY_TERM: loss}, outputs

    @staticmethod
    def _add_terms(sums: dict[str, Tensor], losses: dict[str, Tensor], n_rows: int) -> None:
        for name, loss in losses.items():
            if name != ONLY_TERM:
                sums[name] = sums.get(name, 0.0) + loss.detach() * n_rows

    def _end_epoch(self, valid: Source | None, epochs: int, progress: Progress) -> None:
        n_rows = max(1, self.seen_)
        train_loss, terms = float(self.loss_sum_) / n_rows, self.term_sums_
        if not math.isfinite(train_loss):
            raise self._diverged(epochs)
        self.consistent_ = False
        self.epoch_, self.batch_, self.seen_ = self.epoch_ + 1, 0, 0
        self.loss_sum_.zero_()
        self.term_sums_ = {}
        previous = min((row["train_loss"] for row in self.history[:-1]), default=math.inf)
        if not self.listening_:  # skorch's Checkpoint looks for the last batch
            self.history.new_batch()
            self.history.record_batch("train_loss", train_loss)
        self.history.record("train_loss", train_loss)
        for name, total in terms.items():
            self.history.record(name, float(total) / n_rows)
        self.history.record("train_loss_best", train_loss < previous)
        self.history.record("lr", self._lr_now())
        for name, value in self.task_.after_epoch(self.module_).items():
            self.history.record(name, value)
        valid_loss = None
        if valid is not None:
            valid_loss, terms = self._validate(valid)
            for name, total in terms.items():
                self.history.record(f"valid_{name}", float(total))
            better = valid_loss < self.best_loss_
            self.history.record("valid_loss", valid_loss)
            self.history.record("valid_loss_best", better)
            self.waited_ = 0 if better else self.waited_ + 1
            if better:
                self.best_loss_ = valid_loss
            if self.early_stopping is not None:
                if better:
                    self.best_weights_ = {k: v.detach().clone() for k, v in self.module_.state_dict().items()}
                self.stopped_ |= self.waited_ >= self.early_stopping
        self.consistent_ = True
        progress.epoch(self.epoch_, train_loss, valid_loss)

    @torch.no_grad()
    def _validate(self, valid: Source) -> tuple[float, dict[str, Tensor]]:
        """The loss of held-out rows, and its named terms."""
        # the same batches and views every epoch, so that epochs can be compared
        device = torch.device(self.device)
        generator = torch.Generator(device).manual_seed(derive_seed(self.seed, VALIDATION))
        order = torch.Generator().manual_seed(derive_seed(self.seed, VALIDATION, ORDER))
        self._set_training(False)
        total, n_rows = torch.zeros((), device=device), 0
        terms: dict[str, Tensor] = {}
        for batch in valid.in_order(self.batch_size, device, order):
            batch.progress = 1.0
            losses, _ = self._losses(self.task_.views(batch, generator))
            total.add_(summed(losses), alpha=len(batch.index))
            self._add_terms(terms, losses, len(batch.index))
            n_rows += len(batch.index)
        return float(total) / n_rows, {name: term / n_rows for name, term in terms.items()}

    def _write(self) -> None:
        if self.run_ is None:
            return
        if not math.isfinite(float(self.loss_sum_)):
            raise self._diverged(self.max_epochs)
        self.run_.write(self.training_state() | self.extra_)
        self.last_write_ = time.monotonic()

    def _lr_now(self) -> float:
        """Of parameters that are not slowed down."""
        rates = zip(self.optimizer_.param_groups, self.peak_lrs_, strict=True)
        return float(max(rates, key=lambda rate: rate[1])[0]["lr"])

    def _diverged(self, epochs: int) -> DivergedError:
        of = "" if self.budget_seconds is not None else f" of {epochs}"
        return DivergedError(
            f"{self.label}: the loss or the weights are not finite in epoch {min(self.epoch_ + 1, epochs)}{of} "
            f"(learning rate {self._lr_now():.3g}, at its peak {self.lr:.3g}). Try lr={self.lr / 10:.3g}, or "
            "rescale the data (sklearn.preprocessing.StandardScaler)."
        )

    def _out_of_memory(self, data: Source, tried: int, error: Exception) -> DeviceMemoryError:
        size: int = tried
        fits: int | None = None
        while size > 1 and fits is None:
            size //= 2
            with contextlib.suppress(torch.OutOfMemoryError):
                for parameter in self.trained_:
                    parameter.grad = None
                if torch.device(self.device).type == "cuda":
                    torch.cuda.empty_cache()
                batch = next(data.batches(size, torch.device(self.device), torch.Generator()))
                losses, _ = self._losses(self.task_.views(batch, torch.Generator(self.device)))
                self.task_.backward(self.module_, losses)
                fits = size
        advice = f"batch_size={fits} fits" if fits else "not even one row fits: use a smaller network, or device='cpu'"
        return DeviceMemoryError(
            f"{self.label}: {self.device} ran out of memory with a batch of {tried} rows; {advice}. "
            f"({str(error).splitlines()[0]})"
        )


_ONLY_WHILE_TRAINING = ("task_", "began_", "run_", "extra_", "is_final_", "ranks_", "schedule_", "trained_")


def summed(losses: dict[str, Tensor]) -> Tensor:
    """The loss: the sum of its terms."""
    return functools.reduce(torch.add, losses.values())


def _keep_freed_memory() -> None:
    """Let glibc reuse the memory of a batch for the next one; else it returns and fetches it page by page each time.

    glibc maps blocks above a threshold, which rises to the size of the largest such block that was freed, to 32 MiB at
    most. With small convolutions those pages are a fifth of the time. Elsewhere this is a block allocated and freed.
    """
    torch.empty(2**25 - 2**13, dtype=torch.uint8)


class _StopTraining(Exception):
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
