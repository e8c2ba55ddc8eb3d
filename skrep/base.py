"""The scikit-learn face of every encoder that is a network, and the hooks that a method fills in.

A method is a class with three hooks, :meth:`TorchTransformer.make_module`, :meth:`TorchTransformer.make_views` and
:meth:`TorchTransformer.objective`, and a few optional ones. Training itself is in :mod:`skrep.engine`, reading and
batching in :mod:`skrep.data`.
"""

import os
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import skorch.callbacks
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrep.data import Batch, Source, read, refuse_groups
from skrep.engine import Recipe, draw_seed, seeded_initialisation
from skrep.engine.fit import fit, make_net, partial_fit
from skrep.engine.identity import plain_callback
from skrep.engine.loop import summed
from skrep.engine.net import untrained_net
from skrep.engine.randomness import derive_seed, global_generators
from skrep.engine.saved import device_here, network_state, restored_network
from skrep.engine.sklearn_callbacks import CONTEXT_ATTRIBUTES, CallbackSupportMixin, with_callbacks
from skrep.engine.transaction import all_or_nothing
from skrep.params import RANDOM_STATE, Integer, Real, param, params

__all__ = ["HOOKS", "Encoder", "TorchTransformer", "Views"]

Views = Callable[[Batch, torch.Generator], tuple[Any, Any]]

# All that a method may define beside its parameters and its own public methods: docs/add_a_method.md.
HOOKS = (
    *("reads", "recipe", "shares_batches"),
    *("make_module", "make_views", "objective"),
    *("read", "training_source", "prepare", "check", "backward", "after_step", "after_epoch"),
    *("lr_scales", "trained_on", "shown_views"),
)


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

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The network, ``net_.module_``, with the part that ``transform`` runs as ``encoder``.
    n_features_out_ : int
        Number of features.
    n_features_in_ : int
        Number of columns seen in ``fit``, for tables.
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of the images seen in ``fit``, for images.
    """

    device: str = param(str, trains=False, default="auto")
    random_state: int | np.random.RandomState | None = param(*RANDOM_STATE, trains=False, default=None)

    reads: ClassVar[tuple[str, ...]] = ("table",)
    """Declared hook: the kinds of input, of "table", "images", "sequences" and "texts"."""

    recipe: ClassVar[Recipe] = Recipe()
    """Declared hook: the measured defaults."""

    # groups are not routed to methods that refuse them; one that uses them says {"groups": None}
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}
    __metadata_request__partial_fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}

    # --- hooks ---------------------------------------------------------------------------------------------------

    def make_module(self, data: Source) -> nn.Module:
        """Required hook: the network for these data; the part that ``transform`` runs is its ``encoder``."""
        raise NotImplementedError

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        """Hook: validate what the user passes, and return it as a source.

        Here: rows of the kinds in `reads`, without `y`; `groups` are refused. A method that uses labels or groups sets
        ``y`` and ``groups`` of the source with :func:`skrep.data.read_labels` and :func:`skrep.data.read_groups`.

        Parameters
        ----------
        X, y, groups
            What ``fit`` got; ``transform`` has only `X`.
        reset : bool
            True in ``fit``, where number of columns and the like are set; else they are compared.
        """
        refuse_groups(groups, type(self).__name__)
        return read(self, X, reset=reset)

    # --- use -----------------------------------------------------------------------------------------------------

    def transform(self, X: Any) -> np.ndarray:
        """Features of each row.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
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
        data, encoder = self.read(X, reset=False), self._encoder()
        device = next(encoder.buffers(), next(encoder.parameters(), torch.empty(0))).device
        return data.encode(encoder, device)

    def _encoder(self) -> nn.Module:
        encoder: nn.Module = self.net_.module_.encoder
        return encoder

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

    @property
    def n_features_out_(self) -> int:
        """Number of features."""
        check_is_fitted(self)
        n_features: int = self._n_features
        return n_features

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def _count_features(self, data: Source) -> None:
        features = data.subset(torch.arange(1)).encode(self._encoder(), torch.device(self.net_.device))
        if features.ndim != 2:
            raise ValueError(
                f"the encoder returned features of shape {features.shape[1:]} for a row; expected (n_features_out,). "
                "Pool or flatten its output to one vector a row."
            )
        self._n_features = features.shape[1]

    def _build(self, data: Source, seed: int) -> nn.Module:
        with seeded_initialisation(seed):
            module = self.make_module(data)
        if not hasattr(module, "encoder"):
            raise TypeError(
                f"{type(self).__name__}.make_module returned a {type(module).__name__} without encoder, the part that "
                "transform runs. Call that part self.encoder."
            )
        self._outline = data.outline()
        return module

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        tags.input_tags.two_d_array = tags.input_tags.sparse = "table" in self.reads
        tags.input_tags.three_d_array = "sequences" in self.reads
        tags.input_tags.string = "texts" in self.reads
        return tags

    # --- files: skrep.persistence asks for these ------------------------------------------------------------------

    def _saved_attributes(self) -> dict[str, Any]:
        """All but the network."""
        left_out = ("net_", "_outline", *CONTEXT_ATTRIBUTES)
        return {name: value for name, value in vars(self).items() if name not in left_out}

    def _saved_network(self) -> dict[str, Any] | None:
        """The network as sizes and named weights; None before ``fit``."""
        return network_state(self) | self._net_state() if hasattr(self, "net_") else None

    def _restore_state(self, attributes: dict[str, Any], network: dict[str, Any] | None) -> None:
        """Become what was saved."""
        self.__dict__.update(attributes)
        if network is not None:
            self._outline = network["outline"]
            self._restore_net(restored_network(self, network), network)

    def _net_state(self) -> dict[str, Any]:
        """What the net is made with, beyond parameters and weights."""
        return {}

    def _restore_net(self, module: nn.Module, state: dict[str, Any]) -> None:
        self.net_ = untrained_net(module, device_here(self))


@params(kw_only=True)
class TorchTransformer(Encoder):
    """A network that learns features from rows.

    Parameters
    ----------
    max_epochs : int or None, default=None
        Passes over the data. None sizes it by the work that a pass is: from 200 for small tables to 10 for large data,
        so that some thousand rows take seconds, and more a minute or two on two cores where 10 passes allow it.
    budget_minutes : float or None, default=None
        Minutes that ``fit`` may train; `lr_schedule` follows the clock then, so that its end falls together with that
        of the time. With `max_epochs` too, whichever comes first ends training. (The clock is not the same twice: the
        same `random_state` then gives other bits.)
    batch_size : int or None, default=None
        Rows in a mini-batch. None takes a power of two that grows with the data, from 32 to 256.
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
        Precision of the forward pass in training; "auto" is bfloat16 on CUDA devices that support it. ``transform`` is
        always float32.
    validation_fraction : float or None, default=None
        Fraction of rows held out to monitor the validation loss; None holds out nothing, or 0.1 with `early_stopping`.
        Rows of one group are never in both parts.
    early_stopping : int or None, default=None
        Stop after this many epochs without a better validation loss, and keep the best weights.
    callbacks : list of skorch callbacks or None, default=None
        Called as skorch calls them. (scikit-learn's own callbacks are set with ``set_callbacks``.)
    net_params : dict or None, default=None
        Anything else that skorch's NeuralNet takes, such as ``{"optimizer__betas": (0.9, 0.95), "compile": True}``. It
        is one parameter, so a grid search can run over whole dicts.
    warm_start : bool, default=False
        Whether ``fit`` starts from the weights of the last ``fit``.
    checkpoint : path-like or None, default=None
        A folder for training runs. A ``fit`` that was interrupted resumes where it stopped, to the bit; one that had
        finished is loaded. Runs are identified by class, training parameters and data, so that many fits can share
        the folder.
    verbose : int, default=0
        1 shows a progress bar with loss, rate and time left; 2 also prints each epoch.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with the part that ``transform`` runs as ``encoder``.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`.
    n_epochs_ : int
        Number of epochs trained.
    resumed_from_ : tuple of (int, int) or None
        Epochs and batches that a checkpoint had done.
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
    callbacks: list[Any] | None = param(list, tuple, None, trains=False, default=None)
    net_params: dict[str, Any] | None = param(dict, None, default=None)
    warm_start: bool = param(bool, trains=False, default=False)
    checkpoint: Any = param(str, os.PathLike, None, trains=False, default=None)
    verbose: int = param(Integer(low=0), bool, trains=False, default=0)

    shares_batches: ClassVar[bool] = False
    """Declared hook: whether several processes can share a batch: the loss is of outputs alone, each of one row."""

    # --- hooks ---------------------------------------------------------------------------------------------------

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Required hook: a function of (batch, generator) that returns the module's inputs and the target.

        Parameters
        ----------
        data : Source
            What batches are made of in this call of ``fit``.
        module : torch.nn.Module
            The network, with the scales that it took from the rows of its first ``fit``.

        Returns
        -------
        callable
            Its batch has ``x``, ``y``, ``groups``, ``index`` and ``progress``, see :class:`skrep.data.Batch`; all its
            random numbers come from the generator.
        """
        raise NotImplementedError

    def objective(self, outputs: Any, target: Any) -> Tensor | dict[str, Tensor]:
        """Required hook: the loss, a scalar, from the module's outputs and the target.

        A dict of named scalars is summed, and each lands in ``history_`` under its name.
        """
        raise NotImplementedError

    def training_source(self, data: Source) -> Source:
        """Hook: what batches are made of, such as windows, crops or episodes. Here: the rows."""
        return data

    def prepare(self, module: nn.Module, data: Source) -> None:
        """Hook: what a new network gets before its first step. Here: nothing."""

    def check(self, data: Source, module: nn.Module) -> None:
        """Hook: raise ValueError for rows that the network cannot be trained on. Here: none."""

    def backward(self, module: nn.Module, losses: dict[str, Tensor]) -> None:
        """Hook: gradients, from the named terms of the loss. Here: those of their sum."""
        summed(losses).backward()

    def after_step(self, module: nn.Module, outputs: Any, progress: float) -> None:
        """Hook: what is updated after each step without a gradient; `progress` is the share of training done."""

    def after_epoch(self, module: nn.Module) -> dict[str, float]:
        """Hook: numbers that an epoch's row of ``history_`` gets beside the loss. Here: none."""
        return {}

    def lr_scales(self, module: nn.Module) -> dict[str, float]:
        """Hook: factors of the learning rate, by the beginnings of parameters' names. Here: none."""
        return {}

    def trained_on(self, data: Source) -> dict[str, Any]:
        """Hook: what else identifies a run, beside class, parameters and rows; see `checkpoint`. Here: nothing."""
        return {}

    def shown_views(self, module: nn.Module, inputs: Any) -> list[Any]:
        """Hook: the module's inputs as :meth:`sample_views` shows them, one item for each view.

        Here: one view, with columns in the units of the data and channels last.
        """
        show = getattr(module.encoder, "show", None)
        return [inputs if show is None else show(inputs)]

    # --- fit -----------------------------------------------------------------------------------------------------

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Learn the features.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows; or, where the method takes images, an array, list, ImageFiles or Dataset of images (n_samples,
            height, width, channels). A numpy.memmap, a Dataset and files may be larger than memory.
        y : array-like of length n_samples or None, default=None
            Labels, targets or a second kind of rows, for the methods that use them; others ignore it.
        groups : array-like of shape (n_samples,) or None, default=None
            The group of each row, such as the speaker of a recording, for the methods that use it; others raise.

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
        Ctrl-C writes a checkpoint, if `checkpoint` names a folder, and is raised again. After any error the estimator
        is as it was before the call.
        """
        with all_or_nothing(self):
            fit(self, X, y, groups)
        return self

    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """One pass over more rows, at a constant learning rate.

        The first call builds the network (its sizes and scaling come from the rows of that call); later calls, and
        calls after ``fit``, continue from the present weights. The optimizer's state is kept between calls, but not in
        copies and pickles.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows; or, where the method takes images, an array, list, ImageFiles or Dataset of images (n_samples,
            height, width, channels).
        y, groups
            As in :meth:`fit`.

        Returns
        -------
        self
        """
        with all_or_nothing(self):
            partial_fit(self, X, y, groups)
        return self

    def sample_views(self, X: Any, *, random_state: int = 0) -> list[Any]:
        """What the network gets of some rows in training.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features), or images (n_samples, height, width, channels)
            Rows or images, a batch.
        random_state : int, default=0
            Decides the augmentations.

        Returns
        -------
        list of ndarray, each of the shape of X
            One for each view; columns in their own units, pixels in [0, 1] but for noise.
        """
        check_is_fitted(self)
        data, net = self.training_source(self.read(X, reset=False)), self.net_
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
            shown = self.shown_views(net.module_, inputs)
        return [view.float().cpu().numpy() if isinstance(view, Tensor) else view for view in shown]

    # --- files ---------------------------------------------------------------------------------------------------

    def _net_state(self) -> dict[str, Any]:
        net = self.net_
        return {
            "seed": net.seed,
            "batch_size": net.batch_size,
            "epochs": net.max_epochs,
            "history": net.plain_history(),
        }

    def _restore_net(self, module: nn.Module, state: dict[str, Any]) -> None:
        if not all(isinstance(plain_callback(c), skorch.callbacks.Callback) for c in self.callbacks or ()):
            raise ValueError("callbacks holds something else")  # skorch would call a class
        made = make_net(self, module, state["seed"], state["batch_size"], state["epochs"], device_here(self))
        self.net_ = made.initialize_without_optimizer(state["history"])
