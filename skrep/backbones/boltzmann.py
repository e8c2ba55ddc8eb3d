"""Restricted Boltzmann machines: two layers of units, and an energy for each of their joint states.

With visible units v, hidden bits h, biases b and c and weights W the energy is

    E(v, h) = |u_g|^2 / 2 - b.u - c.h - u.W.h,    u = v / scale,

where u_g are the Gaussian units among the visible ones, of unit variance given h; all others are bits and have scale 1.
It is the exponential-family form (Welling, Rosen-Zvi & Hinton 2005), with a learned scale for each Gaussian unit as in
Cho, Ilin & Raiko (2011).
"""

import itertools
import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = [
    "BoltzmannMachine",
    "BoltzmannTraining",
    "Estimate",
    "MeanField",
    "Phases",
    "default_bits",
    "draw_bits",
    "entropy",
]


def draw_bits(probability: Tensor, generator: torch.Generator) -> Tensor:
    """Ones with the given probabilities, and zeros."""
    return _uniform(probability, generator).lt_(probability)


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    """Numbers in [0, 1) of 24 random bits, of the shape of another tensor."""
    if like.device.type != "cpu" or like.dtype != torch.float32 or like.numel() < 2**14:
        return torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    # the CPU generator is as quick at 64 random bits as at 32
    words = torch.empty((like.numel() + 1) // 2, dtype=torch.int64).random_(-(2**63), None, generator=generator)
    bits = words.view(torch.int32)[: like.numel()] >> 8  # in [-2**23, 2**23)
    return bits.float().mul_(2.0**-24).add_(0.5).view(like.shape)


def entropy(probability: Tensor) -> Tensor:
    """Of independent bits, summed, in nats: (batch, n_bits) -> (batch,)."""
    p, q = probability, 1 - probability
    return -(torch.xlogy(p, p) + torch.xlogy(q, q)).sum(1)


def _affine(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """As torch.addmm, but a row's bits are the same wherever in the batch it stands.

    With few columns of the result the BLAS kernels sum the rows at the end of a tile in another order. Columns of zeros
    up to the next multiple of sixteen keep them on one path.
    """
    missing = -len(bias) % 16
    return torch.addmm(F.pad(bias, (0, missing)), x, F.pad(weight, (0, missing)))[:, : len(bias)]


def default_bits(n_visible: int) -> int:
    """Number of hidden bits above so many units, where the user says nothing."""
    return min(512, max(16, n_visible))


class Estimate(NamedTuple):
    """What was estimated at random, and its standard error.

    Parameters
    ----------
    value : float or ndarray
        The estimate.
    standard_error : float
        Of each value; they have one error in common.
    """

    value: Any
    standard_error: float


class BoltzmannMachine(nn.Module):
    """A restricted Boltzmann machine; as a network it maps visible units to the means of the hidden ones.

    Parameters
    ----------
    weight : torch.Tensor of shape (n_visible, n_hidden)
        Where learning starts.
    visible_bias : torch.Tensor of shape (n_visible,)
        Likewise, and the biases of the machine without weights from which annealing starts.
    hidden_bias : torch.Tensor of shape (n_hidden,)
        Where learning starts.
    n_gaussian : int
        The first so many visible units are Gaussian, the others bits.
    """

    base_bias: Tensor
    is_gaussian: Tensor

    def __init__(self, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor, n_gaussian: int):
        super().__init__()
        self.n_gaussian = n_gaussian
        self.weight = nn.Parameter(weight.float())
        self.visible_bias = nn.Parameter(visible_bias.float())
        self.hidden_bias = nn.Parameter(hidden_bias.float())
        # of all units, so that a file knows its shape whatever the units are
        self.log_scale = nn.Parameter(torch.zeros(len(visible_bias)), requires_grad=n_gaussian > 0)
        self.register_buffer("base_bias", visible_bias.float().clone())
        self.register_buffer("is_gaussian", (torch.arange(len(visible_bias)) < n_gaussian).float())

    def extra_repr(self) -> str:
        n_visible, n_hidden = self.weight.shape
        return f"n_visible={n_visible}, n_hidden={n_hidden}, n_gaussian={self.n_gaussian}"

    def learned(self) -> tuple[Tensor, ...]:
        """The parameters, in one order."""
        return (self.weight, self.visible_bias, self.hidden_bias, *((self.log_scale,) if self.n_gaussian else ()))

    def scaled(self, v: Tensor) -> Tensor:
        """Visible units in units of their noise."""
        return v * torch.exp(-self.noise()) if self.n_gaussian else v

    def unscaled(self, u: Tensor) -> Tensor:
        """The way back."""
        return u * self.noise().exp() if self.n_gaussian else u

    def noise(self) -> Tensor:
        """Logs of the scales: zero for bits, (n_visible,)."""
        return self.log_scale * self.is_gaussian

    def forward(self, v: Tensor) -> Tensor:
        return self.hidden_input(self.scaled(v)).sigmoid()  # (batch, n_visible) -> (batch, n_hidden)

    def hidden_input(self, u: Tensor) -> Tensor:
        """Logits of the hidden bits, given scaled visible units."""
        affine = torch.addmm if self.training else _affine
        return affine(self.hidden_bias, u, self.weight)  # (batch, n_visible) -> (batch, n_hidden)

    def visible_input(self, h: Tensor) -> Tensor:
        """Scaled means of the Gaussian visible units and logits of the bits, given the hidden units."""
        return torch.addmm(self.visible_bias, h, self.weight.t())  # (batch, n_hidden) -> (batch, n_visible)

    def visible_mean(self, h: Tensor) -> Tensor:
        """Means of the visible units given the hidden ones."""
        given = self.visible_input(h)
        given[:, self.n_gaussian :] = given[:, self.n_gaussian :].sigmoid()
        return self.unscaled(given)

    def draw_hidden(self, v: Tensor, generator: torch.Generator) -> Tensor:
        """Hidden bits given the visible units."""
        return draw_bits(self(v), generator)

    def draw_visible(self, h: Tensor, generator: torch.Generator) -> Tensor:
        """Visible units given the hidden bits."""
        return self.unscaled(self._draw(self.visible_input(h), 1.0, generator))

    def _draw(self, linear: Tensor, precision: Tensor | float, generator: torch.Generator) -> Tensor:
        """Scaled units with probability proportional to exp(linear.u - precision |u_g|^2 / 2)."""
        if self.n_gaussian == 0:
            return draw_bits(linear.sigmoid(), generator)
        means = linear[:, : self.n_gaussian] / precision
        noise = torch.randn(means.shape, dtype=means.dtype, device=means.device, generator=generator)
        bits = draw_bits(linear[:, self.n_gaussian :].sigmoid(), generator)
        return torch.cat([means + noise / torch.as_tensor(precision).sqrt(), bits], 1)

    def gibbs(self, v: Tensor, n_steps: int, generator: torch.Generator) -> Tensor:
        """Visible units after so many rounds of drawing the hidden and then the visible ones."""
        for _ in range(n_steps):
            v = self.draw_visible(self.draw_hidden(v, generator), generator)
        return v

    def free_energy(self, v: Tensor) -> Tensor:
        """Minus the log of the sum over h of exp(-E(v, h)): (batch, n_visible) -> (batch,)."""
        u = self.scaled(v)
        return self._quadratic(u) - u @ self.visible_bias - F.softplus(self.hidden_input(u)).sum(1)

    def _quadratic(self, u: Tensor) -> Tensor | float:
        return 0.5 * u[:, : self.n_gaussian].square().sum(1) if self.n_gaussian else 0.0

    def phases(self, data: Tensor, fantasy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Free energies of data and of fantasy samples, the mean hidden units of the data, and those of the fantasy."""
        u, n = self.scaled(torch.cat([data, fantasy])), len(data)
        of_data, of_fantasy, mean, hidden = _TwoPhases.apply(u, n, self.weight, self.visible_bias, self.hidden_bias)
        if self.n_gaussian:
            quadratic: Any = self._quadratic(u)
            of_data, of_fantasy = of_data + quadratic[:n], of_fantasy + quadratic[n:]
        return of_data, of_fantasy, mean, hidden

    def log_conditional(self, v: Tensor, h: Tensor) -> Tensor:
        """Log of the probability (or density) of the visible units given the hidden bits: -> (batch,)."""
        u, given = self.scaled(v), self.visible_input(h)  # (batch, n_visible)
        n = self.n_gaussian
        bits = (u[:, n:] * given[:, n:] - F.softplus(given[:, n:])).sum(1)
        if n == 0:
            return bits
        return bits - (0.5 * (u[:, :n] - given[:, :n]).square() + 0.5 * math.log(2 * math.pi) + self.noise()[:n]).sum(1)

    def neighbour(self, v: Tensor, generator: torch.Generator) -> Tensor:
        """Each row with one column changed, drawn at random: a bit turned over, or unit normal noise added."""
        row = torch.arange(len(v), device=v.device)
        column = torch.randint(v.shape[1], (len(v),), device=v.device, generator=generator)
        noise = torch.randn(len(v), device=v.device, generator=generator)
        other, old = v.clone(), v[row, column]
        other[row, column] = torch.where(column < self.n_gaussian, old + noise, 1 - old)
        return other

    @torch.no_grad()
    def anneal(self, n_chains: int, n_temperatures: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Chains that come from the machine without weights to this one, and the log of what each weighs.

        Annealed importance sampling (Neal 2001) between the visible units' marginals: at inverse temperature t the
        unnormalised one is exp(((1 - t) a + t b).u - ((1 - t) s + t) |u_g|^2 / 2) prod_j (1 + exp(t (c + u.W)_j)), as
        in Salakhutdinov & Murray (2008, equation 15), with the base machine's biases a and, for Gaussian units, its
        precision s, that of unit variance before scaling.

        Returns
        -------
        tuple of torch.Tensor
            Visible units (n_chains, n_visible) and log weights (n_chains,), whose log mean exp estimates the log of
            the partition function, in units of the scaled visible units.
        """
        like = self.weight
        gaussian = slice(0, self.n_gaussian)
        base_precision = (2 * self.log_scale[gaussian]).exp()
        a, b = self.base_bias, self.visible_bias
        linear = a.expand(n_chains, -1)
        u = self._draw(linear, base_precision, generator)
        bits = slice(self.n_gaussian, None)
        log_base = (
            F.softplus(a[bits]).sum()
            + like.shape[1] * math.log(2)
            + 0.5 * (a[gaussian].square() / base_precision + math.log(2 * math.pi) - base_precision.log()).sum()
        )
        log_weight = log_base.to(_accumulator(like)).repeat(n_chains)
        betas = _inverse_temperatures(n_temperatures)
        for before, now in itertools.pairwise(betas):
            logits = torch.addmm(self.hidden_bias, u, like)  # (n_chains, n_hidden)
            gain = (now - before) * (u @ (b - a)) + (F.softplus(now * logits) - F.softplus(before * logits)).sum(1)
            if self.n_gaussian:
                gain -= (now - before) * 0.5 * (u[:, gaussian].square() * (1 - base_precision)).sum(1)
            log_weight += gain
            h = draw_bits((now * logits).sigmoid_(), generator)
            linear = torch.addmm((1 - now) * a + now * b, h, like.t(), alpha=now)
            u = self._draw(linear, (1 - now) * base_precision + now, generator)
        return self.unscaled(u), log_weight

    @torch.no_grad()
    def log_partition(self, n_chains: int, n_temperatures: int, generator: torch.Generator) -> Estimate:
        """The log of the partition function, the integral over v of exp(-free energy), by :meth:`anneal`."""
        _, log_weight = self.anneal(n_chains, n_temperatures, generator)
        log_weight = log_weight.double().cpu()
        shift = log_weight.max()
        relative = (log_weight - shift).exp()
        value = float(shift + relative.mean().log() + self.log_scale[: self.n_gaussian].double().sum().cpu())
        error = float(relative.std() / relative.mean()) / math.sqrt(n_chains)  # of the log, to first order
        return Estimate(value, error)


class MeanField(nn.Module):
    """Means of the topmost of two hidden layers, where each layer's means follow from those of its neighbours.

    A deep Boltzmann machine of visible units v and hidden layers h1, h2 is a restricted one: v and h2, which do not
    see each other, are its visible layer, and h1 is its hidden one. What is fitted to a row is the factorised
    distribution over h1 and h2 (Salakhutdinov & Hinton 2009, equations 7 and 8).

    Parameters
    ----------
    machine : BoltzmannMachine
        With (v, h2) as its visible layer.
    n_steps : int
        Rounds.
    """

    def __init__(self, machine: BoltzmannMachine, n_steps: int):
        super().__init__()
        self.machine, self.n_steps = machine, n_steps

    def extra_repr(self) -> str:
        return f"n_steps={self.n_steps}"

    def forward(self, v: Tensor) -> Tensor:
        machine, n = self.machine, v.shape[1]
        affine = torch.addmm if self.training else _affine
        below, above = machine.weight[:n], machine.weight[n:]
        bias_above, nothing = machine.visible_bias[n:], torch.zeros_like(machine.hidden_bias)
        from_below = affine(nothing, v * torch.exp(-machine.noise()[:n]), below)  # (batch, n) -> (batch, n_hidden)
        h1 = (machine.hidden_bias + 2 * from_below).sigmoid()  # twice, for the layer above that is not known yet
        for _ in range(self.n_steps):
            h2 = affine(bias_above, h1, above.t()).sigmoid()  # (batch, n_hidden) -> (batch, n_above)
            h1 = (affine(machine.hidden_bias, h2, above) + from_below).sigmoid()
        return h2

    def inverse(self, h2: Tensor) -> Tensor:
        """Means of the visible units, given the topmost layer: (batch, n_above) -> (batch, n_visible - n_above)."""
        machine, n = self.machine, len(self.machine.visible_bias) - h2.shape[1]
        from_above = h2 @ machine.weight[n:]
        h1 = (machine.hidden_bias + 2 * from_above).sigmoid()
        for _ in range(self.n_steps):
            v = machine.visible_mean(h1)[:, :n]
            u = v * torch.exp(-machine.noise()[:n])
            h1 = (machine.hidden_bias + u @ machine.weight[:n] + from_above).sigmoid()
        return v


class _TwoPhases(torch.autograd.Function):
    """The bilinear part of :meth:`BoltzmannMachine.phases`, with all gradients from one product of matrices."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, n: int, weight: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, ...]:
        logits = torch.addmm(c, u, weight).to(weight.dtype)  # (batch + n_chains, n_hidden)
        hidden = logits.sigmoid()
        energy = -torch.mv(u, b) - F.softplus(logits).sum(1)
        ctx.save_for_backward(u, weight, b, hidden)
        ctx.n = n
        ctx.mark_non_differentiable(fantasy := hidden[n:])
        ctx.set_materialize_grads(False)
        return energy[:n], energy[n:], hidden[:n].mean(0), fantasy

    @staticmethod
    def backward(
        ctx: Any, of_data: Tensor | None, of_fantasy: Tensor | None, of_mean: Tensor | None, _: None
    ) -> tuple[Any, ...]:
        u, weight, b, hidden = ctx.saved_tensors
        n, of_one = ctx.n, u.new_zeros(())
        of_data = of_one.expand(n) if of_data is None else of_data
        of_fantasy = of_one.expand(len(u) - n) if of_fantasy is None else of_fantasy
        of_energy = torch.cat([of_data, of_fantasy])
        of_logits = hidden * -of_energy[:, None]
        if of_mean is not None:
            h = hidden[:n]
            of_logits[:n] += of_mean / n * h * (1 - h)
        of_u = of_logits @ weight.t() - torch.outer(of_energy, b) if ctx.needs_input_grad[0] else None
        return of_u, None, u.t() @ of_logits, -torch.mv(u.t(), of_energy), of_logits.sum(0)


def _accumulator(like: Tensor) -> torch.dtype:
    return torch.float32 if like.device.type == "mps" else torch.float64  # MPS has no float64


def _inverse_temperatures(n: int) -> list[float]:
    """From 0 to 1 in n steps, ever shorter: the shares of Salakhutdinov & Murray (2008, section 4.2)."""
    shares = torch.tensor([500.0, 4000, 10_000]).cumsum(0) / 14_500
    steps = torch.linspace(0, 1, n + 1, dtype=torch.float64)
    ends, heights = [0.0, *shares.tolist()], [0.0, 0.5, 0.9, 1.0]
    betas = torch.zeros_like(steps)
    for i in range(3):
        inside = (steps > ends[i]) & (steps <= ends[i + 1])
        betas[inside] = heights[i] + (steps[inside] - ends[i]) / (ends[i + 1] - ends[i]) * (heights[i + 1] - heights[i])
    betas[-1] = 1.0
    return betas.tolist()


class Phases(NamedTuple):
    """What one batch says of a machine in training.

    Parameters
    ----------
    data : torch.Tensor of shape (batch,)
        Free energies of the data.
    fantasy : torch.Tensor of shape (n_chains,)
        Free energies of the chains.
    hidden : torch.Tensor of shape (n_hidden,)
        Mean of each hidden unit over the data.
    inferred : torch.Tensor of shape (n_visible - n_observed,) or None
        Mean of each visible unit that data do not tell.
    chain : torch.Tensor of shape (n_chains, n_hidden)
        Means of the hidden units of each chain.
    """

    data: Tensor
    fantasy: Tensor
    hidden: Tensor
    inferred: Tensor | None
    chain: Tensor


class BoltzmannTraining(nn.Module):
    """A machine that learns, an encoder with the average of its last steps, and the chains that stand for the model.

    Parameters
    ----------
    machine : BoltzmannMachine
        What learns.
    encoder : torch.nn.Module
        What ``transform`` runs, with a copy of the machine somewhere inside.
    average : BoltzmannMachine
        That copy, which becomes the average; the machine itself where there is no averaging.
    mean : torch.Tensor of shape (n_visible,)
        Of the visible units over the data.
    n_observed : int
        How many of the visible units data tell; the means of the others are followed.
    n_chains : int
        Number of persistent chains; 0 where chains start at the data.
    centring : bool
        Whether gradients are centred.
    averaging : float
        Decay of the exponential moving average of the weights, whose own weights sum to one from the first step on;
        0 for none.
    """

    chain: Tensor
    visible_mean: Tensor
    hidden_mean: Tensor
    newest: Tensor

    def __init__(
        self,
        machine: BoltzmannMachine,
        encoder: nn.Module,
        average: BoltzmannMachine,
        mean: Tensor,
        *,
        n_observed: int,
        n_chains: int,
        centring: bool,
        averaging: float,
    ):
        super().__init__()
        self.machine, self.encoder = machine, encoder
        self._average = (average,)  # in a tuple, so that it is registered once, inside the encoder
        self.n_observed, self.centring, self.averaging = n_observed, centring, averaging
        n_hidden = len(machine.hidden_bias)
        self.register_buffer("chain", torch.full((n_chains, n_hidden), 0.5))
        self.register_buffer("visible_mean", mean.float())
        self.register_buffer("hidden_mean", torch.full((n_hidden,), 0.5))
        self.register_buffer("newest", torch.ones(()))

    def forward(self, pair: tuple[Tensor, Tensor]) -> Phases:
        data, fantasy = pair  # (batch, n_visible), (n_chains, n_visible)
        machine = self.machine if self.training else self.average
        of_data, of_fantasy, hidden, chain = machine.phases(data, fantasy)
        inferred = None
        if self.n_observed < data.shape[1]:
            inferred = data[:, self.n_observed :]  # (batch, n_visible - n_observed)
            if not self.training:
                of_data = of_data - entropy(inferred)
                of_fantasy = of_fantasy - entropy(fantasy[:, self.n_observed :])
            inferred = inferred.mean(0)
        return Phases(of_data, of_fantasy, hidden, inferred, chain)

    @property
    def average(self) -> BoltzmannMachine:
        """The encoder's machine."""
        return self._average[0]

    def sample_model(self, hidden: Tensor, n_gibbs: int, generator: torch.Generator) -> Tensor:
        """Visible units of chains that start at hidden units with these means, `n_gibbs` steps on."""
        v = self.machine.draw_visible(draw_bits(hidden, generator), generator)
        return self.machine.gibbs(v, n_gibbs - 1, generator)

    def centre(self) -> None:
        """Turn the gradients into centred ones, where that is asked for.

        As if the energy were one of units less their means, which makes learning indifferent to which of its two values
        a bit calls 1 (Montavon & Mueller 2012; Melchior, Fischer & Wiskott 2016, Theorem 1).
        """
        machine = self.machine
        weight, visible, hidden = machine.weight.grad, machine.visible_bias.grad, machine.hidden_bias.grad
        if not self.centring or weight is None or visible is None or hidden is None:  # what a callback froze has none
            return
        mean = machine.scaled(self.visible_mean).detach()
        # less visible x hidden_mean and mean x hidden, in one pass over the weights
        weight.addmm_(torch.stack([visible, mean], 1), torch.stack([self.hidden_mean, hidden]), alpha=-1)
        visible.addmv_(weight, self.hidden_mean, alpha=-1)
        hidden.addmv_(weight.t(), mean, alpha=-1)

    @torch.no_grad()
    def update_averages(self, phases: Phases) -> None:
        """After a step: move the chains, the running means and the average on."""
        if self.machine.n_gaussian:
            self.machine.log_scale.clamp_(LEAST_LOG_SCALE, 0)
        if len(self.chain):
            self.chain.copy_(phases.chain)
        self.hidden_mean.lerp_(phases.hidden, MEAN_RATE)
        if phases.inferred is not None:
            self.visible_mean[self.n_observed :].lerp_(phases.inferred, MEAN_RATE)
        if self.averaging:
            for kept, now in zip(self.average.learned(), self.machine.learned(), strict=True):
                kept.lerp_(now, self.newest)
            self.newest /= self.newest + self.averaging


# Noise is at most a column's spread, and at least a twentieth: columns that follow from others would have none.
LEAST_LOG_SCALE = -3.0

# Of the running means in each step (Melchior, Fischer & Wiskott 2016, section 5).
MEAN_RATE = 0.01
