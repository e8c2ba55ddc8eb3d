"""The one network that trains every method: a skorch net whose state can be taken and put back, to the bit."""

import contextlib
import math
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EarlyStopping, EpochTimer
from torch import Tensor, nn

from skrep.data import Source
from skrep.engine.loop import Loop, StopTraining
from skrep.engine.optimizers import make_optimizer
from skrep.persistence import can_store

__all__ = ["Net", "untrained_net"]


class Net(NeuralNet):
    """A skorch net that trains a :class:`~skrep.engine.loop.Task`.

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
        self.spent_ = 0.0  # seconds that the run has taken
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
            "spent": 0.0 if self.budget_seconds is None else self.spent_,
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
        left_out = {"optimizer_", "best_weights_"}
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
        return self

    def fit_loop(self, X: Source, y: None = None, epochs: int | None = None, **options: Any) -> "Net":
        """Train from the present state until `epochs` are done; see :class:`~skrep.engine.loop.Loop`."""
        Loop(self, X, self.max_epochs if epochs is None else epochs, **options).train()
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
            raise StopTraining


def untrained_net(module: nn.Module, device: torch.device) -> NeuralNet:
    """A skorch net that only transforms."""
    net = NeuralNet(module, nn.Identity, optimizer=_no_optimizer, device=str(device)).initialize()
    net.module = None  # module_ is the same; pickle would write it twice
    return net


def _no_optimizer(*args: Any, **kwargs: Any) -> None:
    """Stands where skorch asks for an optimizer; a torch one would take seconds to import."""
