"""The scikit-learn face of every encoder that is a network, and the hooks that a method fills in.

A method is a class with three hooks: :meth:`TorchTransformer.make_views`, :meth:`TorchTransformer.make_module` and
:meth:`TorchTransformer.objective`. Everything else (validation, batches, schedules, precision, checkpoints, callbacks,
feature names) is here and in :mod:`skrep.engine`.
"""

import copy
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import fields
from types import SimpleNamespace
from typing import Any, ClassVar, Self

import numpy as np
import skorch.callbacks
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from skorch.exceptions import DeviceWarning
from torch import Tensor, nn

from skrep.backbones import InputEncoder, MLPModule, by_common_scale, default_widths, make_encoder
from skrep.data import Batch, ShapeSource, Source, read_rows, read_table, refuse_other_units, shuffled_batches
from skrep.engine import (
    Net,
    Ranks,
    RunFolder,
    built_without_memory,
    differences,
    draw_seed,
    encode,
    fingerprint,
    join_ranks,
    put_attributes,
    put_weights,
    resolve_device,
    resolve_precision,
    seeded_initialisation,
    take_weights,
    training_operations,
)
from skrep.engine.interrupts import DeferredInterrupt
from skrep.engine.optimizers import DEFAULT_LR
from skrep.engine.randomness import derive_seed, global_generators
from skrep.engine.sklearn_callbacks import CONTEXT_ATTRIBUTES, CallbackSupportMixin, EpochTasks, with_callbacks
from skrep.params import RANDOM_STATE, Integer, Real, check_params, param, params

__all__ = ["Encoder", "RandomEncoder", "TorchTransformer", "all_or_nothing"]

Views = Callable[[Batch, torch.Generator], tuple[Any, Any]]

# Of a GPU's free memory, for the rows: training needs the rest.
SHARE_FOR_ROWS = 0.25

# Training work that a default fit may take, in floating-point operations: about two minutes on two laptop cores for a
# perceptron, less than one for convolutions.
DEFAULT_WORK = 4e12

# Epochs where only the clock ends training.
UNLIMITED = 10**9


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[None]:
    """Put the estimator's attributes back as they were if the block fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        kept = {name: vars(estimator)[name] for name in CONTEXT_ATTRIBUTES if name in vars(estimator)}
        vars(estimator).clear()
        vars(estimator).update(before | kept)
        raise


@params(kw_only=True)
class Encoder(CallbackSupportMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A network that turns rows into features.

    Parameters
    ----------
    device : str, default="auto"
        Where the network runs: "auto" takes the first of CUDA, Apple's MPS and the CPU that is there; else "cpu",
        "cuda", "cuda:1", "mps".
    random_state : int, RandomState instance or None, default=None
        Decides every random number: the same int gives the same bits on the same machine with the same number of torch
        threads. None takes fresh entropy. The global generators of NumPy, torch and Python are never moved.
    """

    device: str = param(str, default="auto")
    random_state: int | np.random.RandomState | None = param(*RANDOM_STATE, default=None)

    @property
    def _takes_images(self) -> bool:
        """Whether X may be images, or only a table."""
        return False

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the network for these data, with the part that ``transform`` runs as its ``encoder``."""
        raise NotImplementedError

    def _read(self, X: Any, *, reset: bool) -> Source:
        return (read_rows if self._takes_images else read_table)(self, X, reset=reset)

    @property
    def _chunk_rows(self) -> int:
        """Rows that pass through the network at a time in transform, always: see skrep.engine.encode."""
        return 64 if hasattr(self, "image_shape_") else 256  # padding is costly where a row is

    # Peak learning rate where the network is trained further for a task.
    _fine_tuning_lr = 5e-4

    def _build(self, data: Source, seed: int) -> nn.Module:
        self._row_shape = tuple(data.shape)
        with seeded_initialisation(seed):
            return self.make_module(data)

    # --- files: skrep.persistence asks for these ------------------------------------------------------------------

    def _saved_attributes(self) -> dict[str, Any]:
        """All but the network."""
        return {name: value for name, value in vars(self).items() if name not in ("net_", *CONTEXT_ATTRIBUTES)}

    def _saved_network(self) -> dict[str, Any] | None:
        """The network as sizes and named weights; None before ``fit``."""
        if not hasattr(self, "net_"):
            return None
        module = _uncompiled(self.net_.module_)
        weights = take_weights(module)
        shape, encoder = self._row_shape, self._encoder()
        width = encoder.width if isinstance(encoder, InputEncoder) else None  # another's width may be anything
        frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
        try:  # what load will do
            rebuilt = self._rebuilt(shape, width, len(weights))
            others = differences(module, rebuilt)
            put_weights(rebuilt, weights, frozen)
        except Exception as error:
            raise TypeError(
                f"cannot save {type(self).__name__}: its network is not the one that its parameters and the shape of a "
                f"row ask for now ({_first_line(error)}). Set parameters back that were changed after fit. A method's "
                "make_module may take from the data what becomes a parameter or a buffer, but no layers or numbers, "
                "and must not read numbers from tensors."
            ) from error
        network = {"shape": shape, "width": width, "weights": weights, "frozen": frozen, "attributes": others}
        return network | self._net_state()

    def _restore_state(self, attributes: dict[str, Any], network: dict[str, Any] | None) -> None:
        """Become what was saved."""
        self.__dict__.update(attributes)
        if network is not None:
            weights = network.pop("weights")
            module = self._rebuilt(network["shape"], network["width"], len(weights))
            put_weights(module, weights, network["frozen"])
            put_attributes(module, network["attributes"])
            self._restore_net(module, network)

    def _rebuilt(self, shape: tuple[int, ...], width: int | None, n_weights: int) -> nn.Module:
        """The network with its shapes, but no memory behind them."""
        bare = _without_memory(self, {})
        return built_without_memory(lambda: bare._build(ShapeSource(shape, width), 0), n_weights)

    def _net_state(self) -> dict[str, Any]:
        """What the net is made with, beyond parameters and weights."""
        return {}

    def _restore_net(self, module: nn.Module, state: dict[str, Any]) -> None:
        raise NotImplementedError

    def _device_here(self) -> torch.device:
        """The device of the parameter, or the CPU where that is not there."""
        try:
            return resolve_device(self.device)
        except ValueError as error:
            warnings.warn(f"{error} The network is on the CPU.", DeviceWarning, stacklevel=2)
            return torch.device("cpu")

    def _encoder(self) -> nn.Module:
        encoder: nn.Module = self.net_.module_.encoder
        return encoder

    def transform(self, X: Any) -> np.ndarray:
        """Features of each row.

        Parameters
        ----------
        X : array-like, DataFrame, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows; or, where the method takes images, an array, list, ImageFiles or Dataset of images (n_samples,
            height, width, channels).

        Returns
        -------
        ndarray of shape (n_samples, n_features_out), float32
            A row's features do not depend on the rows beside it, to the bit for the networks of this package.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If `X` is not what was fitted: another number of features, NaN, infinity, text.
        """
        check_is_fitted(self)
        data = self._read(X, reset=False)
        device = next(self._encoder().buffers(), next(self._encoder().parameters(), torch.empty(0))).device
        return self._encode(self._encoder(), data, device)

    def _encode(self, encoder: nn.Module, data: Source, device: torch.device) -> np.ndarray:
        """What a network that is built like this one's encoder makes of rows."""
        return encode(encoder, data, device, self._chunk_rows)

    def _read_features(self, X: Any, name: str = "features") -> np.ndarray:
        """Features that ``transform`` gave, for methods that lead back; `name` is what the method calls them."""
        check_is_fitted(self)
        features: np.ndarray = check_array(X, dtype=np.float32, order="C", copy=True)
        if features.shape[1] != self.n_features_out_:
            raise ValueError(
                f"X has {features.shape[1]} columns, but the {name} of this {type(self).__name__} have "
                f"{self.n_features_out_}."
            )
        return features

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    @property
    def _n_features_out(self) -> int:
        n_features: int = self.n_features_out_
        return n_features

    def _count_features(self, data: Source) -> None:
        with torch.inference_mode():
            first = data.subset(torch.arange(1))
            device = torch.device(self.net_.device)
            features = self._encode(self._encoder(), first, device)
        if features.ndim != 2:
            raise ValueError(
                f"the encoder returned features of shape {features.shape[1:]} for a row; expected (n_features_out,). "
                "Pool or flatten its output to one vector a row."
            )
        self.n_features_out_ = features.shape[1]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags


@params(kw_only=True)
class TorchTransformer(Encoder):
    """A network that learns features from rows.

    Parameters
    ----------
    max_epochs : int or None, default=None
        Passes over the data. None sizes it by the work that a pass is: 200 for small data, and for large data as many
        as take a few minutes on two cores, 10 at least.
    budget_minutes : float or None, default=None
        Minutes that ``fit`` may train; `lr_schedule` follows the clock then, so that its end falls together with that
        of the time. With `max_epochs` too, whichever comes first ends training. (The clock is not the same twice: the
        same `random_state` then gives other bits.)
    batch_size : int or None, default=None
        Rows in a step. None takes a power of two that grows with the data, from 32 to 256.
    lr : float or None, default=None
        Peak learning rate. None takes 0.002 for "adam" and "adamw", 0.05 for "sgd" and 1 for "lars".
    weight_decay : float, default=0.0001
        Decay of weight matrices; biases and normalisation gains are not decayed.
    optimizer : {"adamw", "adam", "sgd", "lars"} or torch.optim.Optimizer class, default="adamw"
        "sgd" has momentum 0.9, as has "lars" (You et al. 2017, arXiv:1708.03888), which is made for batches of
        thousands. Options of an optimizer go into `net_params`, as ``{"optimizer__momentum": 0.8}``.
    lr_schedule : {"cosine", "constant"} or callable, default="cosine"
        "cosine" warms up over the first 5 % of training, then falls to zero along half a cosine. A callable takes the
        share of training done, in [0, 1], and returns a factor of `lr`.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Of the forward pass in training; "auto" is bfloat16 on CUDA devices that have it. ``transform`` is always
        float32.
    validation_fraction : float or None, default=None
        Part of the rows held out of training to follow the loss on; None holds out nothing, or 0.1 with
        `early_stopping`.
    early_stopping : int or None, default=None
        Stop after this many epochs without a better validation loss, and keep the best weights.
    callbacks : list of skorch callbacks or None, default=None
        Called as skorch calls them. (scikit-learn's own callbacks are set with ``set_callbacks``.)
    net_params : dict or None, default=None
        Anything else that skorch's NeuralNet takes, such as ``{"optimizer__betas": (0.9, 0.95), "compile": True}``. It
        is one parameter, so a grid search can run over whole dicts.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last ``fit``.
    checkpoint : path-like or None, default=None
        A folder for training runs. A ``fit`` that was interrupted goes on where it was, to the bit; one that had
        finished is loaded. Runs are told apart by class, training parameters and data, so that many fits can share
        the folder.
    verbose : int, default=0
        1 shows a progress bar with loss, rate and time left; 2 also prints each epoch.
    """

    max_epochs: int | None = param(Integer(low=1), None, default=None)
    budget_minutes: float | None = param(Real(low=0, open_low=True), None, default=None)
    batch_size: int | None = param(Integer(low=1), None, default=None)
    lr: float | None = param(Real(low=0, open_low=True), None, default=None)
    weight_decay: float = param(Real(low=0), default=1e-4)
    optimizer: Any = param("adamw", "adam", "sgd", "lars", type, default="adamw")
    lr_schedule: Any = param("cosine", "constant", callable, default="cosine")
    precision: str = param("auto", "float32", "bfloat16", default="auto")
    validation_fraction: float | None = param(Real(low=0, high=1, open_low=True, open_high=True), None, default=None)
    early_stopping: int | None = param(Integer(low=1), None, default=None)
    callbacks: list[Any] | None = param(list, tuple, None, default=None)
    net_params: dict[str, Any] | None = param(dict, None, default=None)
    warm_start: bool = param(bool, default=False)
    checkpoint: Any = param(str, os.PathLike, None, default=None)
    verbose: int = param(Integer(low=0), bool, default=0)

    # Rows in a step, where the data are many and the user says nothing.
    _largest_batch = 256

    # Whether several processes can share a batch: the loss is of outputs alone, each of which is of one row.
    _shares_batches = False

    # Parameters that do not change what is trained, and so are not in a run's key.
    _not_trained: ClassVar[tuple[str, ...]] = (
        "device",
        "callbacks",
        "checkpoint",
        "verbose",
        "random_state",
        "warm_start",
        "layer",
    )

    # --- hooks ---------------------------------------------------------------------------------------------------

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: a function of (batch, generator) that returns what the module gets and what it is held against.

        `data` are the rows of this call; `module` is the network, with what it took from the rows of its first fit.
        """
        raise NotImplementedError

    def objective(self, outputs: Any, target: Any) -> Tensor:
        """Hook: the loss, a scalar, from the module's outputs and the views' target."""
        raise NotImplementedError

    def batches(
        self, data: Source, batch_size: int, device: torch.device, generator: torch.Generator
    ) -> Iterator[Batch]:
        """Seam: one epoch of batches. Here: all rows in random order."""
        return shuffled_batches(data, batch_size, device, generator)

    def backward(self, loss: Tensor) -> None:
        """Seam: gradients. Here: those of the loss."""
        loss.backward()

    def before_training(self, data: Source, module: nn.Module) -> None:
        """Seam: what a new network gets before its first step. Here: nothing."""

    def after_step(self, module: nn.Module, outputs: Any) -> None:
        """Seam: what is updated after each step without a gradient. Here: nothing."""

    def after_epoch(self, module: nn.Module) -> dict[str, float]:
        """Seam: numbers that an epoch's row of ``history_`` gets beside the loss. Here: none."""
        return {}

    def views_in_data_units(self, module: nn.Module, inputs: Any) -> list[Tensor]:
        """Hook for :meth:`sample_views`: what the module gets, a tensor for each view, in the units of the data.

        Here: the inputs as they are.
        """
        return [inputs]

    # --- fit -----------------------------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the features.

        Parameters
        ----------
        X : array-like, DataFrame, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows; or, where the method takes images, an array, list, ImageFiles or Dataset of images (n_samples,
            height, width, channels). A numpy.memmap, a Dataset and files may be larger than memory.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            For data or parameters that cannot be used; the message names the fix.
        DivergedError
            If the loss is no longer finite.
        DeviceMemoryError
            If the accelerator's memory is too small; the message names a batch size that fits.

        Notes
        -----
        Ctrl-C writes a checkpoint, where there is a folder for it, and is raised again. After any error the estimator
        is as it was before the call.
        """
        with all_or_nothing(self):
            self._fit(X)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One pass over more rows, at a constant learning rate.

        The first call builds the network (its sizes and scaling come from the rows of that call); later calls, and
        calls after ``fit``, go on from the weights that are there. The optimizer's state is kept between calls, but
        not in copies and pickles.

        Parameters
        ----------
        X : array-like, DataFrame, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows; or, where the method takes images, an array, list, ImageFiles or Dataset of images (n_samples,
            height, width, channels).
        y : None
            Not used.

        Returns
        -------
        self
        """
        with all_or_nothing(self):
            check_params(self)
            first = not hasattr(self, "net_")
            data = self._for_training(self._read(X, reset=first))
            ranks = self._join_ranks(data)
            if first:
                self._seed = ranks.agree(draw_seed(self.random_state))
                self._build_net(data, self._seed)
            net = self.net_
            self._check_rows(data)
            if first:
                self.before_training(data, net.module_)
            with _weights_kept(net, needed=not first):
                net.seed = derive_seed(self._seed, len(net.history))
                net.set_lr(self._peak_lr())
                net.rewind()
                task = self._task(data, net)
                foreign = _is_foreign(self)
                net.partial_fit(data, epochs=1, has_end=False, task=task, draws_globally_too=foreign, ranks=ranks)
                self._keep_results(data, resumed_from=None)
        return self

    def sample_views(self, X: Any, *, random_state: int = 0) -> list[np.ndarray]:
        """What the network is shown of some rows in training.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, height, width, channels)
            Rows or images, a batch.
        random_state : int, default=0
            Decides the distortions.

        Returns
        -------
        list of ndarray, each of the shape of X
            One for each view; columns in their own units, pixels in [0, 1] but for noise.
        """
        check_is_fitted(self)
        data, net = self._read(X, reset=False), self.net_
        device = torch.device(net.device)
        index = torch.arange(len(data))
        nowhere = torch.zeros_like(index)  # these rows need not be those of fit
        seed = derive_seed(draw_seed(random_state))
        generator = torch.Generator(device).manual_seed(seed)
        net.module_.train()
        with torch.no_grad(), global_generators(device):
            torch.manual_seed(seed)
            inputs, _ = self.make_views(data, net.module_)(Batch(data.take(index, device), None, nowhere), generator)
            net.module_.eval()
            return [view.float().cpu().numpy() for view in self.views_in_data_units(net.module_, inputs)]

    def _fit(self, X: Any) -> None:
        check_params(self)
        goes_on = self.warm_start and hasattr(self, "net_")
        pixel_range = getattr(self, "_pixel_range", None) if goes_on else None
        data = self._read(X, reset=True)
        if pixel_range is not None and hasattr(self, "image_shape_"):  # the fitted network has its own black and white
            refuse_other_units(data, pixel_range, type(self).__name__)
            self._pixel_range = pixel_range
        ranks = self._join_ranks(data)
        seed = ranks.agree(draw_seed(self.random_state))
        with ExitStack() as stack:
            run, saved = None, None
            if self.checkpoint is not None:
                if ranks.is_first:
                    run = RunFolder(self.checkpoint, self._run_key(data, seed, goes_on))
                    stack.enter_context(run.locked())
                    saved = run.read()
                saved = ranks.agree(saved)
                seed = seed if saved is None else saved["seed"]
            train, valid = self._split(data, seed)
            before = self.net_ if goes_on else None
            self._build_net(train, seed)
            self._check_rows(train)
            if before is not None:
                stack.enter_context(_weights_kept(before, needed=True))
                self._go_on_from(before)
            self._seed = seed
            net = self.net_
            if before is None and saved is None:
                begin = time.monotonic()
                self.before_training(train, net.module_)
                net.spent_ += time.monotonic() - begin
            device = torch.device(net.device)
            if device.type == "cuda":  # a copy of each batch from the CPU would take longer than its views
                train = train.kept_on(device, int(SHARE_FOR_ROWS * torch.cuda.mem_get_info(device)[0]))
            sklearn_tasks = EpochTasks(self, net.max_epochs)
            net.partial_fit(
                train,
                valid=valid,
                task=self._task(train, net),
                run=run,
                extra_state={"seed": seed},
                sklearn_tasks=sklearn_tasks,
                saved=saved,
                draws_globally_too=_is_foreign(self),
                ranks=ranks,
            )
            self._keep_results(data, resumed_from=None if saved is None else tuple(saved["cursor"][:2]))
            sklearn_tasks.close()

    def _join_ranks(self, data: Source) -> Ranks:
        ranks = join_ranks()
        if ranks.size == 1:
            return ranks
        if not self._shares_batches:
            raise ValueError(
                f"{type(self).__name__} trains in one process, but {ranks.size} were started. Run the script without "
                "torchrun."
            )
        ranks.require_same((len(data), tuple(data.shape), fingerprint(data.sample(64))), "X")
        return ranks

    def _check_rows(self, data: Source) -> None:
        """Raise ValueError where the network cannot be trained on these rows."""
        normalises = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in self.net_.module_.modules())
        if normalises and min(self.net_.batch_size, len(data)) < 2:
            got = f"batch_size={self.batch_size}" if len(data) > 1 else "a single row"
            raise ValueError(
                f"{type(self).__name__} got {got}: its network is trained on the statistics of a batch, which needs at "
                "least 2 rows, and better many (batch_size=None sizes it)."
            )

    def _go_on_from(self, before: Net) -> None:
        """Take over weights and history of an earlier fit, if its network is the one of now."""
        then, now = (
            (repr(m), {k: t.shape for k, t in m.state_dict().items()}) for m in (before.module_, self.net_.module_)
        )
        if then != now:
            raise ValueError(
                f"{type(self).__name__}(warm_start=True) cannot go on: the fitted network differs from the one that "
                "these data and parameters ask for (number of columns, widths, kind of loss). Fit with "
                "warm_start=False, or set the parameters back."
            )
        self.net_.module_.load_state_dict(before.module_.state_dict())
        self.net_.history_ = copy.deepcopy(before.history_)

    def _keep_results(self, data: Source, resumed_from: tuple[int, int] | None) -> None:
        self.history_ = [
            {key: value for key, value in row.items() if key not in _OF_SKORCH} for row in self.net_.plain_history()
        ]
        self.n_epochs_ = len(self.history_)
        self.resumed_from_ = resumed_from
        self._count_features(data)

    def _split(self, data: Source, seed: int) -> tuple[Source, Source | None]:
        fraction = self.validation_fraction
        if fraction is None:
            if self.early_stopping is None:
                return self._for_training(data), None
            fraction = 0.1
        n_valid = max(2, round(fraction * len(data)))  # what one row alone comes to, some losses cannot say
        if len(data) - n_valid < 2:
            raise ValueError(
                f"validation_fraction={fraction} of n_samples = {len(data)} leaves {len(data) - n_valid} rows to train "
                "on; at least 2 are needed. Pass more rows or a smaller fraction."
            )
        order = torch.randperm(len(data), generator=torch.Generator().manual_seed(derive_seed(seed, 0, 1)))
        train, valid = (data.subset(part.sort().values) for part in (order[n_valid:], order[:n_valid]))
        return self._for_training(train), self._for_training(valid)

    def _for_training(self, data: Source) -> Source:
        """What batches are made of. Here: the rows."""
        return data

    def _default_sizes(self, data: Source, module: nn.Module) -> tuple[int, int]:
        """Batch size and epochs for these data, where the user gives none."""
        n = len(data)
        batch_size = self.batch_size or min(self._largest_batch, max(32, 2 ** int(math.log2(n / 8)) if n > 8 else 32))
        if self.max_epochs is not None or self.budget_minutes is not None:
            return batch_size, UNLIMITED if self.max_epochs is None else self.max_epochs
        cpu, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
        module.eval()  # nothing moves on
        with global_generators(cpu):
            batch = next(self.batches(data.sample(2), 2, cpu, generator))
            inputs, _ = self.make_views(data, module)(batch, generator)
            work = training_operations(module, inputs) / len(batch.index) * n
        module.train()
        return batch_size, int(min(200, max(10, DEFAULT_WORK / max(1.0, work))))

    def _peak_lr(self) -> float:
        return self.lr or DEFAULT_LR.get(self.optimizer, DEFAULT_LR["adamw"])

    def _lr_scales(self, module: nn.Module) -> dict[str, float]:
        """Factors of the learning rate, by the beginnings of parameters' names. Here: none."""
        return {}

    def _net_options(self, data: Source, module: nn.Module, seed: int) -> dict[str, Any]:
        batch_size, epochs = self._default_sizes(data, module)
        return self._make_options(seed, batch_size, epochs, resolve_device(self.device))

    def _make_options(self, seed: int, batch_size: int, epochs: int, device: torch.device) -> dict[str, Any]:
        schedulers = [c for c in self.callbacks or () if isinstance(_plain(c), skorch.callbacks.LRScheduler)]
        if schedulers and self.lr_schedule != "constant":
            raise ValueError(
                f"{type(self).__name__}(lr_schedule={self.lr_schedule!r}) would undo the LRScheduler in callbacks; set "
                "lr_schedule='constant' with it."
            )
        return {
            "seed": seed,
            "max_epochs": epochs,
            "batch_size": batch_size,
            "lr": self._peak_lr(),
            "weight_decay": self.weight_decay,
            "optimizer": self.optimizer,
            "lr_schedule": self.lr_schedule,
            "train_dtype": resolve_precision(self.precision, device),
            "early_stopping": self.early_stopping,
            "callbacks": list(self.callbacks or ()),
            "verbose": int(self.verbose),
            "device": str(device),
            "label": type(self).__name__,
            "budget_seconds": None if self.budget_minutes is None else 60 * self.budget_minutes,
        } | self._other_net_params()

    def _other_net_params(self) -> dict[str, Any]:
        given = self.net_params or {}
        own = {field.name for field in fields(self)} - {"net_params"}
        for key in given:
            name = type(self).__name__
            plain = key.removeprefix("optimizer__")
            if plain in own:
                raise ValueError(
                    f"{name}(net_params={{{key!r}: ...}}) repeats the parameter {plain!r}; set "
                    f"{name}({plain}=...) instead."
                )
            if key.split("__")[0] in _ENGINE_DECIDES:
                raise ValueError(
                    f"{name}(net_params={{{key!r}: ...}}): {key.split('__')[0]!r} is the method's own and "
                    "cannot be set from outside; remove it."
                )
        return dict(given)

    def _net_state(self) -> dict[str, Any]:
        net = self.net_
        return {
            "seed": net.seed,
            "batch_size": net.batch_size,
            "epochs": net.max_epochs,
            "history": net.plain_history(),
        }

    def _restore_net(self, module: nn.Module, state: dict[str, Any]) -> None:
        if not all(isinstance(_plain(c), skorch.callbacks.Callback) for c in self.callbacks or ()):
            raise ValueError("callbacks holds something else")  # skorch would call a class
        options = self._make_options(state["seed"], state["batch_size"], state["epochs"], self._device_here())
        made = Net(module, lr_scales=self._lr_scales(module), **options)
        self.net_ = made.initialize_without_optimizer(state["history"])

    def _build_net(self, data: Source, seed: int) -> None:
        # torch imports much of itself with the first optimizer; an interrupted import would break the process
        with DeferredInterrupt():
            module = self._build(data, seed)
            options = self._net_options(data, module, seed)
            self.net_ = Net(module, lr_scales=self._lr_scales(module), **options).initialize()

    def _task(self, data: Source, net: Net) -> Any:
        device = torch.device(net.device)
        return SimpleNamespace(
            batches=lambda source, generator: self.batches(source, net.batch_size, device, generator),
            views=self.make_views(data, net.module_),
            objective=self.objective,
            backward=self.backward,
            after_step=self.after_step,
            after_epoch=self.after_epoch,
        )

    def _decides(self) -> dict[str, Any]:
        """The parameters on which the result of training depends."""
        decides = {name: value for name, value in self.get_params(deep=False).items() if name not in self._not_trained}
        return decides | {"callbacks": [c for c in self.callbacks or () if not _only_watches(c)]}

    def _run_key(self, data: Source, seed: int, goes_on: bool) -> str:
        decides = self._decides()
        start = self.net_.module_ if goes_on else None
        return fingerprint(type(self), decides, None if self.random_state is None else seed, start, data)


_OF_SKORCH = ("dur", "train_loss_best", "valid_loss_best")
_ENGINE_DECIDES = (
    "module",
    "criterion",
    "train_split",
    "iterator_train",
    "iterator_valid",
    "dataset",
    "predict_nonlinearity",
    *("seed", "train_dtype", "label", "budget_seconds", "lr_scales"),
)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _uncompiled(module: nn.Module) -> nn.Module:
    inner: nn.Module = getattr(module, "_orig_mod", module)  # torch.compile wraps
    return inner


def _shape_of(tensor: Tensor) -> Tensor:
    bare = tensor.detach().to("meta")
    return nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare


def _without_memory(part: Any, known: dict[int, Any]) -> Any:
    """A copy of an estimator or a part in which the torch modules among the parameters have shapes alone."""
    if id(part) in known:
        return known[id(part)]
    if isinstance(part, nn.Module):
        tensors = {id(tensor): _shape_of(tensor) for tensor in (*part.parameters(), *part.buffers())}
        known[id(part)] = copy.deepcopy(part, tensors)
    elif isinstance(part, BaseEstimator) and not isinstance(part, type):
        bare = known[id(part)] = copy.copy(part)
        for name, value in part.get_params(deep=False).items():
            setattr(bare, name, _without_memory(value, known))
    return known.get(id(part), part)


def _is_foreign(part: Any) -> bool:
    """Whether a method, or a part of it such as a view, has code of a user's, which may draw from anywhere."""
    if isinstance(part, (list, tuple)):
        return any(map(_is_foreign, part))
    if not isinstance(part, BaseEstimator):
        return False
    ours = ("skrep.", "sklearn.", "builtins")
    if any(not base.__module__.startswith(ours) for base in type(part).__mro__):
        return True
    return any(map(_is_foreign, part.get_params(deep=False).values()))


def _plain(callback: Any) -> Any:
    """A callback without the name that skorch lets one give it."""
    return callback[1] if isinstance(callback, tuple) else callback


def _only_watches(callback: Any) -> bool:
    """Whether a callback changes nothing: skorch's logs and scores, and those that say so of themselves."""
    callback = _plain(callback)
    kind = callback if isinstance(callback, type) else type(callback)
    return getattr(callback, "only_watches", False) or issubclass(kind, _WATCHERS)


_WATCHERS = (
    skorch.callbacks.BatchScoring,
    skorch.callbacks.Checkpoint,
    skorch.callbacks.EpochScoring,
    skorch.callbacks.EpochTimer,
    skorch.callbacks.PassthroughScoring,
    skorch.callbacks.PrintLog,
    skorch.callbacks.ProgressBar,
)


@contextmanager
def _weights_kept(net: Net, *, needed: bool) -> Iterator[None]:
    """Put the weights and the optimizer back as they were if the block fails."""
    if not needed:
        yield
        return
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


def _no_optimizer(*args: Any, **kwargs: Any) -> None:
    """Stands where skorch asks for an optimizer; a torch one would take seconds to import."""


@params
class RandomEncoder(Encoder):
    """The untrained network: the baseline that every learned method must beat.

    Random layers alone already give useful features (Saxe et al. 2011, "On random weights and unsupervised feature
    learning"), so what a method has learned is what it gains over this.

    Parameters
    ----------
    n_components : int or None, default=None
        Number of features. None takes the default of the network.
    like : estimator or None, default=None
        A network estimator of this package, whose network, layer and seed are taken. None is the default network of
        :class:`AutoEncoderTransformer`: a multilayer perceptron for tables, a convolutional network for images.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        Holds the network as ``net_.module_.encoder``.
    n_features_out_ : int
        Number of features.
    n_features_in_ : int
        Number of columns seen in ``fit``, for tables.
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of the images seen in ``fit``, for images.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import RandomEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> RandomEncoder(16, random_state=0).fit_transform(X).shape
    (1797, 16)
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    like: Any = param(Encoder, None, default=None)

    @property
    def _takes_images(self) -> bool:
        return self.like is None or bool(self.like._takes_images)

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the network of `like`, or the default one."""
        if self.like is not None:
            return nn.ModuleDict({"encoder": self.like.make_module(data).encoder})
        if len(data.shape) == 3:
            return nn.ModuleDict({"encoder": make_encoder(data, None, self.n_components or 64)[0]})
        widths = default_widths(data.shape[0], self.n_components)
        standardize = by_common_scale(*data.moments())
        return nn.ModuleDict({"encoder": InputEncoder(nn.Identity(), standardize, MLPModule(widths))})

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw the network.

        Parameters
        ----------
        X : array-like, DataFrame, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows, or images (n_samples, height, width, channels); their shape, mean and scale are taken.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used; the message names the fix.
        """
        with all_or_nothing(self):
            check_params(self)
            if self.like is not None and self.n_components is not None:
                raise ValueError(
                    f"RandomEncoder(n_components={self.n_components}, like=...): the network of `like` has its "
                    "own width. "
                    "Leave n_components out, or set it on `like`."
                )
            source = self if self.like is None else self.like
            check_params(source)
            data = self._read(X, reset=True)
            seed = draw_seed(self.random_state if source.random_state is None else source.random_state)
            self.net_ = self._make_net(self._build(data, seed), resolve_device(self.device))
            self._count_features(data)
        return self

    def _make_net(self, module: nn.Module, device: torch.device) -> NeuralNet:
        net = NeuralNet(module, nn.Identity, optimizer=_no_optimizer, device=str(device)).initialize()
        net.module = None  # module_ is the same; pickle would write it twice
        return net

    def _restore_net(self, module: nn.Module, state: dict[str, Any]) -> None:
        self.net_ = self._make_net(module, self._device_here())
