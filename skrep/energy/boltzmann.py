"""What Boltzmann machines of one and of two hidden layers share: units, chains, learning, and the likelihood."""

import copy
import os
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrep.backbones import (
    BoltzmannMachine,
    BoltzmannTraining,
    Estimate,
    InputEncoder,
    Phases,
    Standardize,
    by_column,
    draw_bits,
    entropy,
)
from skrep.base import TorchTransformer, Views
from skrep.data import Batch, Source
from skrep.energy.visible import require_unit_interval, visible_units
from skrep.engine import Recipe, draw_seed, up_to
from skrep.objectives import contrastive_divergence, neighbour_entropy, sparsity_penalty
from skrep.params import Integer, Real, param, params

__all__ = ["BoltzmannTransformer", "as_count"]

# Rows in a mini-batch where the data are many; see docs/defaults.md.
LARGEST_BATCH = 64

# Rows whose energies are computed at a time.
CHUNK_ROWS = 512


@params
class BoltzmannTransformer(TorchTransformer):
    """Hidden bits that explain how columns depend on one another, and a density over rows.

    Parameters
    ----------
    n_components : int or None, default=None
        Number of features.
    visible : {"auto", "bernoulli", "gaussian"}, default="auto"
        What the columns are. "bernoulli": bits, or values in [0, 1] that are taken as probabilities, from which bits
        are drawn anew in every batch. "gaussian": real numbers, which are standardised column by column inside; the
        noise of each column is learned, between a twentieth of its spread and all of it (Cho, Ilin & Raiko 2011).
        "auto" is "bernoulli" where all values seen in ``fit`` lie in [0, 1].
    n_gibbs : int, default=1
        Gibbs steps in each update: the k of CD-k and PCD-k.
    persistent : bool, default=True
        Whether chains continue from one update to the next. They follow the model further than chains that start at the
        data, at the same price, and make the better density where the machine is large; see the user guide.
    n_chains : int or None, default=None
        Persistent chains. None takes as many as `batch_size`, or 64.
    momentum : float, default=0.5
        Of "sgd", the default optimizer here.
    sparsity_target : float or None, default=None
        What the mean of each hidden bit is pulled to, such as 0.05; None pulls nowhere.
    sparsity_cost : float, default=1.0
        How strongly: factor of the penalty (Lee, Ekanadham & Ng 2007).
    averaging : float, default=0.999
        The machine that is kept is the exponential moving average of the one that learns, with this decay in a step.
        0 keeps the last one.
    centring : bool, default=True
        Whether gradients are taken as if units had mean zero (Montavon & Mueller 2012). Without it, columns that are
        mostly on are learned slowly.
    batch_size : int or None, default=None
        Rows in a step. None takes 32, or 64 from 512 rows on.
    lr : float or None, default=None
        Peak learning rate. None takes 0.05 for "sgd", 0.002 for "adam" and "adamw". 0.2 is safe for small
        binary images.
    weight_decay : float, default=1e-05
        Decay of the weights; biases are not decayed.
    optimizer : {"sgd", "adam", "adamw"} or torch.optim.Optimizer class, default="sgd"
        Adaptive steps do poorly here: they amplify sampling noise.

    Attributes
    ----------
    components_ : ndarray of shape (n_hidden, n_features), float32
        Weights between the (lower) hidden bits and the columns, in the units of the data.
    intercept_hidden_ : ndarray of shape (n_hidden,), float32
        Log-odds of these hidden bits where all columns (and all upper bits) are zero.
    intercept_visible_ : ndarray of shape (n_features,), float32
        Log-odds of the columns (Bernoulli) or their means (Gaussian) where all hidden bits are zero.
    visible_ : {"bernoulli", "gaussian"}
        What the columns were taken for.
    noise_ : ndarray of shape (n_features,), float32
        Of Gaussian columns: their standard deviations given the hidden bits, in the units of the data.
    n_chains_ : int
        Number of persistent chains.
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    _: KW_ONLY
    visible: str = param("auto", "bernoulli", "gaussian", default="auto")
    n_gibbs: int = param(Integer(low=1), default=1)
    persistent: bool = param(bool, default=True)
    n_chains: int | None = param(Integer(low=1), None, default=None)
    momentum: float = param(Real(low=0, high=1, open_high=True), default=0.5)
    sparsity_target: float | None = param(Real(low=0, high=1, open_low=True, open_high=True), None, default=None)
    sparsity_cost: float = param(Real(low=0), default=1.0)
    averaging: float = param(Real(low=0, high=1, open_high=True), default=0.999)
    centring: bool = param(bool, default=True)
    weight_decay: float = param(Real(low=0), default=1e-5)
    optimizer: Any = param("sgd", "adam", "adamw", type, default="sgd")

    @property
    def recipe(self) -> Recipe:  # type: ignore[override]
        """Declared hook: see docs/defaults.md."""
        momentum = {"optimizer__momentum": self.momentum} if self.optimizer == "sgd" else {}
        return Recipe(batch=up_to(LARGEST_BATCH), net_params=momentum)

    @abstractmethod
    def _infer(self, machine: BoltzmannMachine, v: Tensor) -> Tensor:
        """All units of the visible layer, given those that data tell: (batch, n_observed) -> (batch, n_visible)."""

    # --- hooks ---------------------------------------------------------------------------------------------------

    def _make_training(
        self, data: Source, n_inferred: int, n_hidden: int, make_backbone: Callable[[BoltzmannMachine], nn.Module]
    ) -> BoltzmannTraining:
        """A machine of the columns and of further bits in its visible layer, and of hidden bits, with all it needs."""
        mean, variance = data.moments()  # (n_features,)
        n_observed = len(mean)
        if gaussian := self._is_gaussian(data):
            units = by_column(mean, variance)
            is_constant = (units.scale.double() - variance.sqrt()).abs() > 1e-3 * units.scale  # by_column leaves 1
            if constant := is_constant.nonzero().ravel().tolist():
                raise ValueError(
                    f"{type(self).__name__} takes columns as real numbers, but {len(constant)} of {n_observed} are "
                    f"constant (the first is {constant[0]}): no Gaussian unit has such a value. Leave them out "
                    "(sklearn.feature_selection.VarianceThreshold), or rescale all to [0, 1] for Bernoulli units "
                    "(sklearn.preprocessing.MinMaxScaler)."
                )
            mean = bias = torch.zeros_like(mean)
        else:
            units = Standardize(torch.zeros_like(mean), torch.ones_like(mean))
            mean = (mean * len(data) + 1) / (len(data) + 2)  # as if every bit had been seen both on and off
            bias = mean.logit()
        n_visible = n_observed + n_inferred
        n_chains = data.fact("n_chains", lambda: self._count_chains(n_visible, n_hidden))
        weight = torch.empty(n_visible, n_hidden).normal_(std=0.01)
        machine = BoltzmannMachine(
            weight,
            torch.cat([bias, bias.new_zeros(n_inferred)]),
            torch.zeros(n_hidden),
            n_gaussian=n_observed if gaussian else 0,
        )
        average = copy.deepcopy(machine).requires_grad_(False) if self.averaging else machine
        return BoltzmannTraining(
            machine,
            InputEncoder(units, nn.Identity(), make_backbone(average)),
            average,
            torch.cat([mean, mean.new_full((n_inferred,), 0.5)]),
            n_observed=n_observed,
            n_chains=n_chains,
            centring=self.centring,
            averaging=self.averaging,
        )

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: positive and negative (fantasy) samples; in validation, rows and one-bit flips."""
        training: Any = module
        visible = visible_units(self, data, training.encoder.scale, training.machine.n_gaussian > 0)

        def views(batch: Batch, generator: torch.Generator) -> tuple[tuple[Tensor, Tensor], int | None]:
            v = visible(batch.x, generator)  # (batch, n_observed)
            with torch.no_grad():
                if not training.training:
                    kept = training.average
                    flips = self._infer(kept, kept.neighbour(v, generator))
                    return (self._infer(kept, v), flips), training.n_observed
                data = self._infer(training.machine, v)  # (batch, n_visible)
                start = training.chain if self.persistent else training.machine(data)
                return (data, training.sample_model(start, self.n_gibbs, generator)), None

        return views

    def shown_views(self, module: nn.Module, inputs: tuple[Tensor, Tensor]) -> list[Tensor]:
        """Hook: the rows, as bits where bits were drawn from them."""
        training: Any = module
        return [training.encoder.scale.inverse(inputs[0][:, : training.n_observed])]

    def objective(self, outputs: Phases, target: int | None) -> Tensor:
        """Hook: free energy of the data less that of the chains; in validation the pseudo-likelihood."""
        if target is not None:  # the number of columns
            return neighbour_entropy(outputs.data, outputs.fantasy, target)
        loss = contrastive_divergence(outputs.data, outputs.fantasy)
        if self.sparsity_target is None:
            return loss
        return loss + self.sparsity_cost * sparsity_penalty(outputs.hidden, self.sparsity_target)

    def backward(self, module: nn.Module, losses: dict[str, Tensor]) -> None:
        """Hook: centred gradients."""
        super().backward(module, losses)
        module.centre()  # type: ignore[operator]

    def after_step(self, module: nn.Module, outputs: Phases, progress: float) -> None:
        """Hook: chains, running means and average move on."""
        module.update_averages(outputs)  # type: ignore[operator]

    def _is_gaussian(self, data: Source) -> bool:
        if self.visible == "bernoulli":
            require_unit_interval(self, data)
        low, high = data.range()
        return self.visible == "gaussian" or (self.visible == "auto" and not 0 <= low <= high <= 1)

    def _count_chains(self, n_visible: int, n_hidden: int) -> int:
        """Number of persistent chains, if there is memory for them."""
        if not self.persistent:
            if self.n_chains is not None:
                raise ValueError(
                    f"{type(self).__name__}(n_chains={self.n_chains}, persistent=False): without persistent chains "
                    "there is one for each row of a batch. Leave n_chains out, or set persistent=True."
                )
            return 0
        n_chains = self.n_chains or self.batch_size or LARGEST_BATCH
        needed, there = 4 * n_chains * (2 * n_visible + 3 * n_hidden), _memory()
        if needed > there:
            raise ValueError(
                f"{type(self).__name__}(n_chains={n_chains}) needs {needed / 2**30:.3g} GiB for chains of {n_visible} "
                f"visible and {n_hidden} hidden units; this machine has {there / 2**30:.3g} GiB. Take fewer: "
                "n_chains=None takes as many as a batch has rows."
            )
        return n_chains

    # --- the fitted machine --------------------------------------------------------------------------------------

    @property
    def _machine(self) -> BoltzmannMachine:
        check_is_fitted(self)
        machine: BoltzmannMachine = self.net_.module_.average
        return machine.eval()

    @property
    def n_chains_(self) -> int:
        check_is_fitted(self)
        return len(self.net_.module_.chain)

    @property
    def visible_(self) -> str:
        return "gaussian" if self._machine.n_gaussian else "bernoulli"

    @property
    def components_(self) -> np.ndarray:
        weight, (_, scale) = self._machine.weight, self._units()
        return (weight[: len(scale)].t() / scale).cpu().numpy()  # (n_visible, n_hidden) -> (n_hidden, n_features)

    @property
    def intercept_hidden_(self) -> np.ndarray:
        machine, (mean, scale) = self._machine, self._units()
        return (machine.hidden_bias - (mean / scale) @ machine.weight[: len(scale)]).cpu().numpy()

    @property
    def intercept_visible_(self) -> np.ndarray:
        bias, (mean, scale) = self._machine.visible_bias, self._units()
        return (mean + scale * bias[: len(scale)]).cpu().numpy()

    @property
    def noise_(self) -> np.ndarray:
        if not self._machine.n_gaussian:
            raise AttributeError(f"noise_ is of Gaussian columns; those of this {type(self).__name__} are bits")
        return self._units()[1].cpu().numpy()

    def _units(self) -> tuple[Tensor, Tensor]:
        """What is subtracted from each column, and what it is divided by, before the machine's weights."""
        units, noise = self.net_.module_.encoder.scale, self._machine.noise()
        return units.mean, units.scale * noise[: len(units.mean)].exp()

    def _each_row(self, X: Any, function: Callable[[BoltzmannMachine, Tensor], Tensor]) -> np.ndarray:
        """A function of the machine and of the units that data tell, in float64 where the device has it."""
        device = self._machine.weight.device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        machine, units = (copy.deepcopy(part).to(dtype) for part in (self._machine, self.net_.module_.encoder.scale))
        data = self.read(X, reset=False)
        with torch.inference_mode():
            parts = [function(machine, units(batch.x.to(dtype))) for batch in data.in_order(CHUNK_ROWS, device)]
        return torch.cat(parts).double().cpu().numpy()

    def _free_energy(self, machine: BoltzmannMachine, v: Tensor) -> Tensor:
        units = self._infer(machine, v)  # (batch, n_observed) -> (batch, n_visible)
        return machine.free_energy(units) - entropy(units[:, v.shape[1] :])

    def free_energy(self, X: Any) -> np.ndarray:
        """Minus the log of each row's unnormalised probability.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows; values between 0 and 1 of Bernoulli columns are taken as they are.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            In nats; exact, and the same in every call. Energies of one machine can be compared, those of two cannot.

        Notes
        -----
        For bits it is ``-X @ intercept_visible_ - log(1 + exp(X @ components_.T + intercept_hidden_)).sum(axis=1)``.
        """
        return self._each_row(X, self._free_energy)

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the free energy: the log of each row's probability, up to one constant that all rows share.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Large for rows like those of ``fit``. (scikit-learn's BernoulliRBM returns a pseudo-likelihood here, drawn
            at random; see :meth:`pseudo_likelihood`.)
        """
        return -self.free_energy(X)

    def log_partition(self, *, n_chains: int = 100, n_temperatures: int = 10_000, random_state: Any = 0) -> Estimate:
        """The log of the sum of ``exp(-free_energy)`` over all rows that could be, by annealed importance sampling.

        Parameters
        ----------
        n_chains : int, default=100
            Independent runs, from a machine without weights to this one.
        n_temperatures : int, default=10_000
            Steps of each.
        random_state : int, RandomState instance or None, default=0
            Decides the chains.

        Returns
        -------
        Estimate
            Named tuple of ``value``, in nats, and its ``standard_error`` over chains. The estimate of the partition
            function itself has no bias. Where the error is above 0.1 or so it is too small itself: take more
            temperatures.

        Notes
        -----
        Neal 2001 ("Annealed importance sampling", Statistics and Computing 11); Salakhutdinov & Murray 2008 ("On the
        quantitative analysis of deep belief networks", ICML), whose temperatures these are. For Gaussian columns the
        sum is an integral, over columns in the units of the data.
        """
        n_chains, n_temperatures = as_count("n_chains", n_chains, 2), as_count("n_temperatures", n_temperatures)
        machine = self._machine
        generator = torch.Generator(machine.weight.device).manual_seed(draw_seed(random_state))
        value, error = machine.log_partition(n_chains, n_temperatures, generator)
        return Estimate(value + self._log_volume(), error)

    def _log_volume(self) -> float:
        """Log of the volume that a unit cube of standardised columns has in the units of the data."""
        return float(self.net_.module_.encoder.scale.scale.double().log().sum())  # bits have scale 1

    def log_likelihood(
        self, X: Any, *, n_chains: int = 100, n_temperatures: int = 10_000, random_state: Any = 0
    ) -> Estimate:
        """The log of each row's probability, with the partition function estimated by :meth:`log_partition`.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Rows. A probability is that of bits: draw bits from values between 0 and 1 before.
        n_chains, n_temperatures, random_state
            As in :meth:`log_partition`.

        Returns
        -------
        Estimate
            Named tuple of ``value``, an ndarray of shape (n_samples,) in nats, and ``standard_error``, a float that
            all rows share: that of the partition function.
        """
        log_partition = self.log_partition(n_chains=n_chains, n_temperatures=n_temperatures, random_state=random_state)
        return Estimate(self.score_samples(X) - log_partition.value, log_partition.standard_error)

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood of a row, for a search over parameters without labels.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Rows.
        y : None
            Not used.

        Returns
        -------
        float
            In nats, as :meth:`log_likelihood` gives it with a tenth of its temperatures. Of values between 0 and 1 it
            is at most the mean over bits drawn from them.
        """
        return float(np.mean(self.log_likelihood(X, n_temperatures=1000).value))

    def gibbs(self, X: Any, *, n_steps: int = 1, random_state: Any = None) -> np.ndarray:
        """Rows after some rounds of drawing the hidden bits, and from them the columns.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Where the chains start.
        n_steps : int, default=1
            Rounds.
        random_state : int, RandomState instance or None, default=None
            Decides all draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            Bits, or columns in the units of the data. After many steps they are samples of the machine, wherever they
            began.
        """
        machine, device = self._machine, torch.device(self.net_.device)
        n_steps, seed = as_count("n_steps", n_steps), draw_seed(random_state)
        data = self.read(X, reset=False)
        generator = torch.Generator(device).manual_seed(seed)
        encoder = self.net_.module_.encoder
        with torch.inference_mode():
            v = encoder.scale(data.take(torch.arange(len(data)), device))
            units = self._infer(machine, v)  # (n_samples, n_visible)
            units[:, v.shape[1] :] = draw_bits(units[:, v.shape[1] :], generator)
            return self._in_data_units(machine.gibbs(units, n_steps, generator))

    def sample(
        self, n_samples: int = 1, *, n_steps: int = 1000, means: bool = False, random_state: Any = None
    ) -> np.ndarray:
        """New rows, drawn from the machine.

        Each comes from a Gibbs chain of its own, which goes on from one of the persistent chains of training, drawn at
        random. Where there are none, it is annealed from a machine without weights to this one, and may miss modes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        n_steps : int, default=1000
            Gibbs steps, or temperatures on the way; the more, the closer to the machine's distribution.
        means : bool, default=False
            Whether to return the means of the columns given the last hidden bits instead of the draws from them:
            smoother to look at, but not samples.
        random_state : int, RandomState instance or None, default=None
            Decides all draws.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            Bits (or their means), or columns in the units of the data.
        """
        machine, device = self._machine, torch.device(self.net_.device)
        n_samples, n_steps = as_count("n_samples", n_samples), as_count("n_steps", n_steps)
        generator = torch.Generator(device).manual_seed(draw_seed(random_state))
        with torch.inference_mode():
            if self.n_chains_:
                drawn = torch.randint(self.n_chains_, (n_samples,), device=device, generator=generator)
                h = draw_bits(self.net_.module_.chain[drawn], generator)  # (n_samples, n_hidden)
                v = machine.gibbs(machine.draw_visible(h, generator), n_steps, generator)
            else:
                v, _ = machine.anneal(n_samples, n_steps, generator)
            if means:
                v = machine.visible_mean(machine.draw_hidden(v, generator))
            return self._in_data_units(v)

    def _in_data_units(self, v: Tensor) -> np.ndarray:
        module = self.net_.module_
        rows: np.ndarray = module.encoder.scale.inverse(v[:, : module.n_observed]).cpu().numpy()
        return rows


def as_count(name: str, value: Any, low: int = 1) -> int:
    """A number that counts something, or an error that names it."""
    rule = Integer(low=low)
    if not rule.accepts(value):
        raise ValueError(f"{name}={value!r}: it must be {rule}.")
    return int(value)


def _memory() -> float:
    """Bytes of memory that this machine has, where Python can tell."""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return float("inf")
