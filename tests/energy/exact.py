"""Tiny machines, summed over all of their states in plain NumPy."""

import itertools

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import chi2

from skrep.backbones import BoltzmannMachine

KINDS = {"bernoulli": 0, "gaussian": 4, "mixed": 2}  # Gaussian units among four visible ones


def all_bits(n):
    return np.array(list(itertools.product([0.0, 1.0], repeat=n)))  # (2**n, n)


def random_machine(n_visible=4, n_hidden=3, n_gaussian=0, size=1.0, seed=0):
    """In eval mode, float64, with no parameter at zero."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return size * torch.randn(shape, generator=generator)

    machine = BoltzmannMachine(draw(n_visible, n_hidden), draw(n_visible), draw(n_hidden), n_gaussian)
    randomise(machine, size, seed)
    return machine.double().eval()


def randomise(machine, size=1.0, seed=0):
    """Other numbers for all that is learned, so that the machine is not the one that annealing begins with."""
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in machine.learned():
            parameter.copy_(size * torch.randn(parameter.shape, generator=generator))
        machine.log_scale.mul_(0.5)
    return machine


def numbers(machine):
    """Weights, biases and scales as float64 arrays; the scale of bits is one."""
    W, b, c, log_scale = (
        p.detach().double().cpu().numpy()
        for p in (machine.weight, machine.visible_bias, machine.hidden_bias, machine.log_scale)
    )
    scale = np.where(np.arange(len(b)) < machine.n_gaussian, np.exp(log_scale), 1.0)
    return W, b, c, scale


def energy(machine, v, h):
    """The definition, term by term."""
    W, b, c, scale = numbers(machine)
    total = 0.0
    for i in range(len(b)):
        u = v[i] / scale[i]
        total += 0.5 * u**2 * (i < machine.n_gaussian) - b[i] * u
        for j in range(len(c)):
            total -= u * W[i, j] * h[j]
    return total - sum(c[j] * h[j] for j in range(len(c)))


def free_energy(machine, v):
    """Of each row: minus the log of the sum over all hidden states."""
    hidden = all_bits(len(machine.hidden_bias))
    return np.array([-logsumexp([-energy(machine, row, h) for h in hidden]) for row in np.asarray(v, dtype=float)])


def hidden_weights(machine):
    """Log of the integral over v of exp(-E(v, h)), for each hidden state h."""
    W, b, c, scale = numbers(machine)
    hidden, gaussian = all_bits(len(c)), np.arange(len(b)) < machine.n_gaussian
    given = b + hidden @ W.T  # (2**n_hidden, n_visible)
    of_each = np.where(gaussian, np.log(scale) + 0.5 * np.log(2 * np.pi) + 0.5 * given**2, np.logaddexp(0, given))
    return hidden, given, hidden @ c + of_each.sum(1)


def log_partition(machine):
    return logsumexp(hidden_weights(machine)[2])


def chi_square_p(rows, probability):
    """Of rows of bits, against the probability of each state in the order of :func:`all_bits`."""
    n = rows.shape[1]
    state = rows.astype(int) @ (2 ** np.arange(n - 1, -1, -1))
    expected = len(rows) * np.asarray(probability)
    assert expected.min() > 5
    statistic = (np.square(np.bincount(state, minlength=2**n) - expected) / expected).sum()
    return chi2.sf(statistic, 2**n - 1)


def transition(machine):
    """Of one Gibbs step of a machine of bits: (2**n_visible, 2**n_visible), rows sum to one."""
    v, h = all_bits(len(machine.visible_bias)), all_bits(len(machine.hidden_bias))
    joint = np.array([[-energy(machine, row, bits) for bits in h] for row in v])  # (2**n_visible, 2**n_hidden)
    given_v = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
    given_h = np.exp(joint - logsumexp(joint, axis=0, keepdims=True))
    return given_v @ given_h.T
