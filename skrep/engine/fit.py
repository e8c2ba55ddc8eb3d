"""One fit, from what the user passes to a trained network: read, split, build, size, train, keep."""

import copy
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import numpy as np
import skorch.callbacks
import torch
from sklearn.model_selection import GroupShuffleSplit, train_test_split
from torch import nn

from skrep.data import Source, refuse_other_units
from skrep.engine.checkpoints import RunFolder, fingerprint
from skrep.engine.devices import resolve_device, resolve_precision, warn_if_emulated
from skrep.engine.identity import is_foreign, plain_callback, run_key
from skrep.engine.interrupts import DeferredInterrupt
from skrep.engine.net import Net
from skrep.engine.randomness import derive_seed, draw_seed
from skrep.engine.ranks import Ranks, join_ranks
from skrep.engine.recipe import plan
from skrep.engine.refit import note_rows
from skrep.engine.sklearn_callbacks import EpochTasks
from skrep.params import check_params

__all__ = ["fit", "make_net", "partial_fit", "split"]

# Share of free GPU memory that training data may occupy.
SHARE_FOR_DATA = 0.25

# What skorch keeps in its history for itself.
OF_SKORCH = ("dur", "train_loss_best", "valid_loss_best")

# Arguments of skorch's NeuralNet that are not the user's.
ENGINE_DECIDES = (
    "module",
    "criterion",
    "train_split",
    "iterator_train",
    "iterator_valid",
    "dataset",
    "predict_nonlinearity",
    *("seed", "train_dtype", "label", "budget_seconds", "lr_scales"),
)


def fit(method: Any, X: Any, y: Any = None, groups: Any = None) -> None:
    """Train a method on rows; see :meth:`skrep.TorchTransformer.fit`."""
    check_params(method)
    before = method.net_ if method.warm_start and hasattr(method, "net_") else None
    data = _read(method, X, y, groups, before)
    if before is None and not hasattr(method, "predict"):  # a classifier is meant to be fitted again
        note_rows(method, len(data))
    ranks = _join(method, data)
    seed = ranks.agree(draw_seed(method.random_state))
    with ExitStack() as stack:
        run, saved = None, None
        if method.checkpoint is not None:
            if ranks.is_first:
                start = None if before is None else before.module_
                run = RunFolder(method.checkpoint, run_key(method, data, seed, start))
                stack.enter_context(run.locked())
                saved = run.read()
            saved = ranks.agree(saved)
            seed = seed if saved is None else saved["seed"]
        train, valid = split(method, data, seed)
        net = _build(method, train, seed)
        if before is not None:
            stack.enter_context(_rollback_weights(before))
            _warm_start_from(method, net, before)
        elif saved is None:
            begin = time.monotonic()
            method.prepare(net.module_, train)
            net.spent_ += time.monotonic() - begin
        device = torch.device(net.device)
        if device.type == "cuda":  # a copy of each batch from the CPU would take longer than its views
            train = train.kept_on(device, int(SHARE_FOR_DATA * torch.cuda.mem_get_info(device)[0]))
        sklearn_tasks = EpochTasks(method, net.max_epochs)
        net.partial_fit(
            train,
            valid=valid,
            task=_task(method, train, net),
            run=run,
            extra_state={"seed": seed},
            sklearn_tasks=sklearn_tasks,
            saved=saved,
            draws_globally_too=is_foreign(method),
            ranks=ranks,
        )
        _keep(method, data, resumed_from=None if saved is None else tuple(saved["cursor"][:2]))
        sklearn_tasks.close()


def partial_fit(method: Any, X: Any, y: Any = None, groups: Any = None) -> None:
    """Train a method for one pass at a constant rate; see :meth:`skrep.TorchTransformer.partial_fit`."""
    check_params(method)
    before = getattr(method, "net_", None)
    data = method.training_source(method.read(X, y, groups, reset=before is None))
    ranks = _join(method, data)
    if before is None:
        net = _build(method, data, ranks.agree(draw_seed(method.random_state)))
        method.prepare(net.module_, data)
    else:
        net = before
        _check(method, data)
    with ExitStack() as stack:
        if before is not None:
            stack.enter_context(_rollback_weights(net))
        net.seed = derive_seed(method._seed, len(net.history))
        net.set_lr(_peak_lr(method))
        net.rewind()
        task, foreign = _task(method, data, net), is_foreign(method)
        net.partial_fit(data, epochs=1, is_final=False, task=task, draws_globally_too=foreign, ranks=ranks)
        _keep(method, data, resumed_from=None)


# --- read and split -------------------------------------------------------------------------------------------------


def _read(method: Any, X: Any, y: Any, groups: Any, before: Net | None) -> Source:
    pixel_range = None if before is None else getattr(method, "_pixel_range", None)
    data: Source = method.read(X, y, groups, reset=True)
    if pixel_range is not None and hasattr(method, "image_shape_"):  # the fitted network has its own black and white
        refuse_other_units(data, pixel_range, type(method).__name__)
        method._pixel_range = pixel_range
    return data


def _join(method: Any, data: Source) -> Ranks:
    """The processes that share each batch: this one, or those that torchrun started."""
    ranks = join_ranks()
    if ranks.size == 1:
        return ranks
    if not method.shares_batches:
        raise ValueError(
            f"{type(method).__name__} trains in one process, but {ranks.size} were started. Run the script without "
            "torchrun."
        )
    ranks.require_same((len(data), tuple(data.shape), fingerprint(data.sample(64))), "X")
    return ranks


def split(method: Any, data: Source, seed: int) -> tuple[Source, Source | None]:
    """Rows to train on, and those on which the loss is monitored.

    Rows of one group stay together; where ``data.y`` are classes, both parts have them in like proportions.
    """
    fraction = method.validation_fraction
    if fraction is None:
        if method.early_stopping is None:
            return method.training_source(data), None
        fraction = 0.1
    n, y = len(data), data.y
    classes = y is not None and y.dtype == torch.int64 and y.ndim == 1
    n_classes = int(y.max()) + 1 if classes else 0  # type: ignore[union-attr]
    n_valid = max(2, n_classes, round(fraction * n))  # some losses are not defined for a single row
    if n - n_valid < max(2, n_classes):
        raise ValueError(
            f"validation_fraction={fraction} of n_samples = {n} leaves too few rows to train on: {n - n_valid}, and at "
            f"least {max(2, n_classes)} are needed. Pass more rows or a smaller fraction."
        )
    if data.groups is not None:
        held_out = _whole_groups(data.groups, fraction, seed)
    elif classes:
        assert y is not None
        few = int(torch.bincount(y).min()) < 2
        parts = train_test_split(
            np.arange(n), test_size=n_valid, random_state=seed % 2**32, stratify=None if few else y.numpy()
        )
        held_out = tuple(map(torch.from_numpy, parts))
    else:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(derive_seed(seed, 0, 1)))
        held_out = order[n_valid:], order[:n_valid]
    train, valid = (method.training_source(data.subset(part.sort().values)) for part in held_out)
    return train, valid


def _whole_groups(groups: torch.Tensor, fraction: float, seed: int) -> tuple[torch.Tensor, ...]:
    n_groups = len(torch.unique(groups))
    if n_groups < 2:
        raise ValueError(
            "all rows are of one group, and none can be held out of training. Pass groups with two values or more, or "
            "leave validation_fraction and early_stopping out."
        )
    rows = np.arange(len(groups))
    fewest = 2 if n_groups > 3 else 1  # of one group, a loss that compares groups has nothing to compare
    n_valid = min(n_groups - 1, max(fewest, round(fraction * n_groups)))
    splitter = GroupShuffleSplit(1, test_size=n_valid, random_state=seed % 2**32)
    return tuple(map(torch.from_numpy, next(splitter.split(rows, groups=groups.numpy()))))


# --- build ----------------------------------------------------------------------------------------------------------


def _build(method: Any, data: Source, seed: int) -> Net:
    method._seed = seed
    device = resolve_device(method.device)
    warn_if_emulated(method.precision, device)
    # torch imports much of itself with the first optimizer; an interrupted import would break the process
    with DeferredInterrupt():
        module = method._build(data, seed)
        batch_size, epochs = plan(method, data, module)
        net: Net = make_net(method, module, seed, batch_size, epochs, device).initialize()
    method.net_ = net
    _check(method, data)
    return net


def make_net(method: Any, module: nn.Module, seed: int, batch_size: int, epochs: int, device: torch.device) -> Net:
    """The net that trains a module, with a method's parameters."""
    schedulers = [c for c in method.callbacks or () if isinstance(plain_callback(c), skorch.callbacks.LRScheduler)]
    name = type(method).__name__
    if schedulers and method.lr_schedule != "constant":
        raise ValueError(
            f"{name}(lr_schedule={method.lr_schedule!r}) would undo the LRScheduler in callbacks; set "
            "lr_schedule='constant' with it."
        )
    options = {
        "seed": seed,
        "max_epochs": epochs,
        "batch_size": batch_size,
        "lr": _peak_lr(method),
        "weight_decay": method.weight_decay,
        "optimizer": method.optimizer,
        "lr_schedule": method.lr_schedule,
        "train_dtype": resolve_precision(method.precision, device),
        "early_stopping": method.early_stopping,
        "callbacks": list(method.callbacks or ()),
        "verbose": int(method.verbose),
        "device": str(device),
        "label": name,
        "budget_seconds": None if method.budget_minutes is None else 60 * method.budget_minutes,
        "lr_scales": method.lr_scales(module),
    }
    return Net(module, **options | dict(method.recipe.net_params) | _given(method))


def _peak_lr(method: Any) -> float:
    lr: float = method.lr or method.recipe.peak_lr(method.optimizer)
    return lr


def _given(method: Any) -> dict[str, Any]:
    """The user's ``net_params``."""
    given, name = method.net_params or {}, type(method).__name__
    own = {field.name for field in fields(method)} - {"net_params"}
    for key in given:
        plain = key.removeprefix("optimizer__")
        if plain in own:
            raise ValueError(
                f"{name}(net_params={{{key!r}: ...}}) repeats the parameter {plain!r}; set {name}({plain}=...) instead."
            )
        if key.split("__")[0] in ENGINE_DECIDES:
            raise ValueError(
                f"{name}(net_params={{{key!r}: ...}}): {key.split('__')[0]!r} is the method's own and "
                "cannot be set from outside; remove it."
            )
    return dict(given)


def _check(method: Any, data: Source) -> None:
    """Raise ValueError where the network cannot be trained on these rows."""
    net = method.net_
    normalises = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in net.module_.modules())
    if normalises and min(net.batch_size, len(data)) < 2:
        got = f"batch_size={method.batch_size}" if len(data) > 1 else "a single row"
        raise ValueError(
            f"{type(method).__name__} got {got}: its network is trained on the statistics of a batch, which needs at "
            "least 2 rows, and better many (batch_size=None sizes it)."
        )
    method.check(data, net.module_)


def _warm_start_from(method: Any, net: Net, before: Net) -> None:
    """Take over weights and history of an earlier fit, if its network is of the same shape."""
    then, now = ((repr(m), {k: t.shape for k, t in m.state_dict().items()}) for m in (before.module_, net.module_))
    if then != now:
        raise ValueError(
            f"{type(method).__name__}(warm_start=True) cannot continue: the fitted network differs from the one that "
            "these data and parameters ask for (number of columns, widths, kind of loss). Fit with "
            "warm_start=False, or set the parameters back."
        )
    net.module_.load_state_dict(before.module_.state_dict())
    net.history_ = copy.deepcopy(before.history_)


@contextmanager
def _rollback_weights(net: Net) -> Iterator[None]:
    """Put the weights and the optimizer back as they were if the block fails."""
    if not hasattr(net, "optimizer_"):  # unpickled
        net.renew_optimizer()
    before, options = net.training_state(), dict(vars(net))
    try:
        yield
    except BaseException:
        net.__dict__.clear()
        net.__dict__.update(options)
        net.load_training_state(before)
        raise


# --- train and keep -------------------------------------------------------------------------------------------------


def _task(method: Any, data: Source, net: Net) -> Any:
    return SimpleNamespace(
        views=method.make_views(data, net.module_),
        objective=method.objective,
        backward=method.backward,
        after_step=method.after_step,
        after_epoch=method.after_epoch,
    )


def _keep(method: Any, data: Source, resumed_from: tuple[int, int] | None) -> None:
    """Set the fitted attributes that every method has."""
    method.history_ = [
        {key: value for key, value in row.items() if key not in OF_SKORCH} for row in method.net_.plain_history()
    ]
    method.n_epochs_ = len(method.history_)
    method.resumed_from_ = resumed_from
    method._count_features(data)
