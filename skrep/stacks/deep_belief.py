"""The deep belief net: restricted Boltzmann machines, each trained on the hidden bits of the one below.

Hinton, Osindero & Teh 2006 ("A fast learning algorithm for deep belief nets", Neural Computation 18).
"""

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones import BoltzmannMachine, Estimate, InputEncoder, default_bits, entropy
from skrep.base import TorchTransformer, Views
from skrep.data import Batch, ShapeSource, Source
from skrep.energy import RBMEncoder
from skrep.energy.boltzmann import CHUNK_ROWS, as_count
from skrep.energy.visible import visible_units
from skrep.engine import Recipe, draw_seed
from skrep.engine.optimizers import DEFAULT_LR
from skrep.exceptions import DivergedError
from skrep.objectives import contrastive_divergence
from skrep.params import Integer, SequenceOf, check_params, param, params

__all__ = ["DeepBeliefEncoder"]


class UpDown(NamedTuple):
    """What a batch says of a deep belief net.

    Parameters
    ----------
    generated : torch.Tensor of shape (batch,)
        Minus the log-probability, by the weights that lead down, of the states that data called up.
    recognised : torch.Tensor of shape (batch,)
        Minus the log-probability, by the weights that lead up, of the states of the fantasy samples.
    data, fantasy : torch.Tensor of shape (batch,)
        Free energies of both in the machine on top.
    """

    generated: Tensor
    recognised: Tensor
    data: Tensor
    fantasy: Tensor


class DeepBelief(nn.Module):
    """Machines whose weights lead up, in an encoder, and for all but the last one another whose weights lead down."""

    def __init__(self, units: nn.Module, up: list[BoltzmannMachine], down: list[BoltzmannMachine]):
        super().__init__()
        self.encoder = InputEncoder(units, nn.Identity(), nn.Sequential(*up))
        self.down = nn.ModuleList(down)

    @property
    def up(self) -> list[BoltzmannMachine]:
        """Of the layers below the machine on top."""
        machines: Any = self.encoder.backbone
        return list(machines)[:-1]

    @property
    def top(self) -> BoltzmannMachine:
        """The machine whose two layers see each other both ways."""
        machine: BoltzmannMachine = self.encoder.backbone[-1]  # type: ignore[index]
        return machine

    def infer_up(self, v: Tensor, generator: torch.Generator) -> list[Tensor]:
        """States of all layers below the last that a row calls up: the row itself, then bits."""
        states = [v]
        for machine in self.up:
            states.append(machine.draw_hidden(states[-1], generator))
        return states

    def descend(self, state: Tensor, generator: torch.Generator) -> list[Tensor]:
        """States of all layers below the last, the row first, from those of the machine on top."""
        states = [state]
        for machine in reversed(self.down):
            states.insert(0, machine.draw_visible(states[0], generator))  # type: ignore[operator]
        return states

    def forward(self, pair: tuple[list[Tensor], list[Tensor]]) -> UpDown:
        data, fantasy = pair  # for each layer (batch, n_units)
        generated = recognised = data[0].new_zeros(len(data[0]))
        for i, (up, down) in enumerate(zip(self.up, self.down, strict=True)):
            generated = generated - down.log_conditional(data[i], data[i + 1])  # type: ignore[operator]
            logits = up.hidden_input(up.scaled(fantasy[i]))
            recognised = recognised - (fantasy[i + 1] * logits - F.softplus(logits)).sum(1)
        return UpDown(generated, recognised, self.top.free_energy(data[-1]), self.top.free_energy(fantasy[-1]))


@params
class DeepBeliefEncoder(TorchTransformer):
    """Restricted Boltzmann machines, each trained on the hidden bits of the one below.

    The features are the means of the topmost bits. As it stands, the net is the Pipeline of its machines. With
    `max_epochs` (or `partial_fit`, whose first call trains the machines) the weights that lead up part from those that
    lead down, and both are trained together by the up-down algorithm, a contrastive wake-sleep: weights that lead down
    learn to rebuild the states that data call up, weights that lead up learn to infer the states that generated the
    net's own fantasy samples, and the machine on top learns by contrastive divergence.

    Parameters
    ----------
    n_components : int or None, default=None
        Number of hidden bits of the last machine: of features. None takes as many as columns, 16 to 512.
    hidden : sequence of int or None, default=None
        Numbers of hidden bits of the machines below. None takes one of as many as columns, 16 to 512.
    rbm : RBMEncoder or None, default=None
        What each machine is a copy of, with another width and with this estimator's `random_state`, `device`,
        `checkpoint` and `verbose`. None takes one with its defaults.
    max_epochs : int, default=0
        Passes over the data of the up-down algorithm. 0 leaves the stack as it is. The parameters of training, such
        as `lr` and `batch_size`, are those of these passes; what the machines are trained with is in `rbm`.
    lr : float or None, default=None
        Peak learning rate. None takes 0.01 for "adamw" and "adam", 0.05 for "sgd".

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``: ``encoder.backbone`` are the machines, whose weights lead up, ``down``
        those of all but the last whose weights lead down.
    history_ : list of dict
        One for each epoch of the up-down algorithm: "epoch", "train_loss", "lr", and "valid_loss" with
        `validation_fraction`; the loss is the sum of minus the log-probabilities, in nats, and of the difference of
        free energies.
    n_epochs_ : int
        Number of epochs of the up-down algorithm.

    See Also
    --------
    RBMEncoder : One machine.
    DeepBoltzmannEncoder : Two layers that explain a row together.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import DeepBeliefEncoder, RBMEncoder
    >>> X = load_digits().data / 16
    >>> net = DeepBeliefEncoder(32, hidden=(64,), rbm=RBMEncoder(max_epochs=5), random_state=0)
    >>> net.fit_transform(X).shape
    (1797, 32)
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    _: KW_ONLY
    hidden: Sequence[int] | None = param(SequenceOf(Integer(low=1)), None, default=None)
    rbm: RBMEncoder | None = param(RBMEncoder, None, default=None)
    max_epochs: int = param(Integer(low=0), default=0)

    recipe = Recipe(lr={"sgd": 0.05, "lars": DEFAULT_LR["lars"], "adam": 0.01, "adamw": 0.01})

    # --- hooks ---------------------------------------------------------------------------------------------------

    def _machines(self, data: Source, seed: int | None) -> list[RBMEncoder]:
        """The machines, not yet fitted."""
        default = default_bits(data.shape[0])
        widths = [*((default,) if self.hidden is None else self.hidden), self.n_components or default]
        machines = [clone(self._template()).set_params(n_components=width) for width in widths]
        for i, machine in enumerate(machines):
            machine.set_params(random_state=None if self.random_state is None else seed)  # None resumes with its own
            machine.set_params(device=self.device, checkpoint=self.checkpoint, verbose=self.verbose)
            if i:
                machine.set_params(visible="bernoulli")
            check_params(machine)
        return machines

    def _template(self) -> RBMEncoder:
        return RBMEncoder() if self.rbm is None else self.rbm

    def trained_on(self, data: Source) -> dict[str, Any]:
        """Hook: of `rbm`, what this estimator does not decide."""
        own = {"n_components": None, "random_state": None, "device": "auto", "checkpoint": None, "verbose": 0}
        return {"rbm": clone(self._template()).set_params(**own)}

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the machines twice, but for the one on top."""
        trainings: list[Any] = []
        for machine in self._machines(data, None):
            below = ShapeSource((len(trainings[-1].machine.hidden_bias),)) if trainings else data
            trainings.append(machine.make_module(below))
        up = [training.machine for training in trainings]
        down = [copy.deepcopy(machine) for machine in up[:-1]]
        return DeepBelief(trainings[0].encoder.scale, up, down)

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: the states that rows call up, and those of fantasy samples that start from them."""
        net: Any = module
        visible = visible_units(self, data, net.encoder.scale, net.encoder.backbone[0].n_gaussian > 0)

        def views(batch: Batch, generator: torch.Generator) -> tuple[tuple[list[Tensor], list[Tensor]], None]:
            v = visible(batch.x, generator)  # (batch, n_features)
            with torch.no_grad():
                states = net.infer_up(v, generator)
                fantasy = net.descend(net.top.gibbs(states[-1], self._template().n_gibbs, generator), generator)
            return (states, fantasy), None

        return views

    def objective(self, outputs: UpDown, target: None) -> Tensor:
        """Hook: both log-probabilities, and the contrast on top."""
        return (outputs.generated + outputs.recognised).mean() + contrastive_divergence(outputs.data, outputs.fantasy)

    def shown_views(self, module: nn.Module, inputs: tuple[list[Tensor], list[Tensor]]) -> list[Tensor]:
        """Hook: the rows (as bits, where bits were drawn from them), and the fantasy samples that start from them."""
        net: Any = module
        return [net.encoder.scale.inverse(states[0]) for states in inputs]

    def prepare(self, module: Any, data: Source) -> None:
        """Hook: the machines, each trained on the hidden bits of the one below."""
        rows: Any = data
        for i, machine in enumerate(self._machines(data, self._seed)):
            try:
                machine.fit(rows)
            except DivergedError as error:
                raise DivergedError(f"machine {i} of {type(self).__name__}, set up by rbm: {error}") from None
            weights = machine.net_.module_.average.state_dict()
            rows = machine.transform(rows)
            module.encoder.backbone[i].load_state_dict(weights)
            if i < len(module.down):
                module.down[i].load_state_dict(weights)

    # --- the fitted net ------------------------------------------------------------------------------------------

    def _module(self) -> Any:
        check_is_fitted(self)
        return self.net_.module_.eval()

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Means of the columns given those of the topmost bits, layer by layer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Features, as ``transform`` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            In the units of the data.
        """
        means = torch.from_numpy(self._read_features(X)).to(self.net_.device)
        module = self._module()
        with torch.inference_mode():
            for machine in (module.top, *reversed(module.down)):
                means = machine.visible_mean(means)
            rows: np.ndarray = module.encoder.scale.inverse(means).cpu().numpy()
        return rows

    def sample(
        self, n_samples: int = 1, *, n_steps: int = 1000, means: bool = False, random_state: Any = None
    ) -> np.ndarray:
        """New rows: drawn from the machine on top, then down layer by layer.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows.
        n_steps : int, default=1000
            Temperatures on the way to the machine on top, as in :meth:`RBMEncoder.sample`.
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
        module, n_samples, n_steps = self._module(), as_count("n_samples", n_samples), as_count("n_steps", n_steps)
        generator = torch.Generator(self.net_.device).manual_seed(draw_seed(random_state))
        with torch.inference_mode():
            state, _ = module.top.anneal(n_samples, n_steps, generator)
            states = module.descend(state, generator)
            lowest = module.down[0] if len(module.down) else module.top
            if means:
                above = states[1] if len(states) > 1 else module.top.draw_hidden(state, generator)
                states[0] = lowest.visible_mean(above)
            rows: np.ndarray = module.encoder.scale.inverse(states[0]).cpu().numpy()
        return rows

    def log_likelihood(
        self, X: Any, *, n_draws: int = 10, n_chains: int = 100, n_temperatures: int = 10_000, random_state: Any = 0
    ) -> Estimate:
        """A lower bound on the log of each row's probability (Salakhutdinov & Murray 2008, section 4.3).

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Rows; of Bernoulli columns, bits.
        n_draws : int, default=10
            States of the hidden layers that are drawn for each row, over which the bound is averaged.
        n_chains, n_temperatures, random_state
            As in :meth:`RBMEncoder.log_partition`, for the machine on top.

        Returns
        -------
        Estimate
            Named tuple of ``value``, an ndarray of shape (n_samples,) in nats, and ``standard_error``, that of the
            partition function.
        """
        module, device = self._module(), torch.device(self.net_.device)
        n_draws, n_chains = as_count("n_draws", n_draws), as_count("n_chains", n_chains, 2)
        n_temperatures = as_count("n_temperatures", n_temperatures)
        data = self.read(X, reset=False)
        generator = torch.Generator(device).manual_seed(draw_seed(random_state))
        bounds = []
        with torch.inference_mode():
            log_partition, error = module.top.log_partition(n_chains, n_temperatures, generator)
            for batch in data.in_order(CHUNK_ROWS, device):
                v = module.encoder.scale(batch.x)
                draws = [self._bound(module, v, generator) for _ in range(n_draws)]
                bounds.append(torch.stack(draws).mean(0))
            volume = module.encoder.scale.scale.log().sum()  # bits have scale 1
        value = torch.cat(bounds).sub(volume).double().cpu().numpy() - log_partition
        return Estimate(value, error)

    def _bound(self, module: DeepBelief, v: Tensor, generator: torch.Generator) -> Tensor:
        """Log-probability of a row and of states that it calls up, less that of the states, but for one constant."""
        states = module.infer_up(v, generator)
        bound = -module.top.free_energy(states[-1])
        for i, (up, down) in enumerate(zip(module.up, module.down, strict=True)):
            bound = bound + down.log_conditional(states[i], states[i + 1]) + entropy(up(states[i]))  # type: ignore[operator]
        return bound

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of the lower bound on the log-likelihood of a row, for a search over parameters without labels.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Rows.
        y : None
            Not used.

        Returns
        -------
        float
            In nats, as :meth:`log_likelihood` gives it with a tenth of its temperatures.
        """
        return float(np.mean(self.log_likelihood(X, n_temperatures=1000).value))
