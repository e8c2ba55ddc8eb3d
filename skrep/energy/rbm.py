"""The restricted Boltzmann machine: hidden bits that explain how columns depend on one another, and a density.

Smolensky 1986 ("Harmony theory"); Hinton 2002 ("Training products of experts by minimizing contrastive divergence",
Neural Computation 14); Tieleman 2008 ("Training restricted Boltzmann machines using approximations to the likelihood
gradient", ICML).
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones import BoltzmannMachine, default_bits
from skrep.data import Source
from skrep.energy.boltzmann import BoltzmannTransformer
from skrep.params import params

__all__ = ["RBMEncoder"]


@params
class RBMEncoder(BoltzmannTransformer):
    """Hidden bits that explain how columns depend on one another, and a density over rows.

    A restricted Boltzmann machine gives every row an energy through one layer of hidden bits; rows are the more likely
    the lower their free energy. Its features are the means of the hidden bits. In training the free energy of the data
    is lowered and that of the machine's own rows raised, which come from Gibbs chains: persistent ones (Tieleman 2008),
    or such as start at the data (contrastive divergence, Hinton 2002).

    The likelihood can be measured: :meth:`log_likelihood` estimates the partition function by annealed
    importance sampling (Salakhutdinov & Murray 2008).

    Parameters
    ----------
    n_components : int or None, default=None
        Number of hidden bits: of features. None takes as many as columns, 16 to 512.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features), float32
        Weights: the hidden bits' log-odds are ``X @ components_.T + intercept_hidden_``.
    intercept_hidden_ : ndarray of shape (n_components,), float32
        Log-odds of the hidden bits where all columns are zero.
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``: ``machine`` is what learned, ``encoder.backbone`` the average, ``chain``
        the persistent chains.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`. The training loss
        is the difference of free energies, which stays near zero however well the machine learns; the validation loss
        is minus the pseudo-log-likelihood of a row in nats (estimated; for real columns, its counterpart that tells
        rows from rows with noise in one column).

    See Also
    --------
    sklearn.neural_network.BernoulliRBM : For bits only; its ``score_samples`` is a pseudo-likelihood drawn at random,
        where this one's is minus the free energy.
    DeepBeliefEncoder : A stack of them.
    DeepBoltzmannEncoder : Two layers of hidden bits that are inferred together.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import RBMEncoder
    >>> X = load_digits().data / 16
    >>> machine = RBMEncoder(64, max_epochs=5, random_state=0).fit(X)
    >>> machine.transform(X).shape
    (1797, 64)
    >>> machine.sample(3).shape
    (3, 64)
    """

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the machine in training."""
        n_hidden = self.n_components or default_bits(data.shape[0])
        return self._make_training(data, 0, n_hidden, lambda machine: machine)

    def _infer(self, machine: BoltzmannMachine, v: Tensor) -> Tensor:
        return v

    def pseudo_likelihood(self, X: Any) -> np.ndarray:
        """Log of the probability of each column given all others, summed over columns (Besag 1975).

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            Rows of bits.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            In nats, exact: every column is turned over, none is drawn at random.

        Raises
        ------
        ValueError
            If the columns are Gaussian; :meth:`log_likelihood` takes both.
        """
        if self._machine.n_gaussian:
            raise ValueError(
                "pseudo_likelihood turns bits over, but this machine has Gaussian visible units; log_likelihood "
                "takes both kinds."
            )
        return self._each_row(X, _pseudo_likelihood)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Means of the columns given the hidden bits, or given the bits' means (mean field).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Features, as ``transform`` gives them.

        Returns
        -------
        ndarray of shape (n_samples, n_features), float32
            In the units of the data.
        """
        hidden = torch.from_numpy(self._read_features(X)).to(self.net_.device)
        with torch.inference_mode():
            return self._in_data_units(self._machine.visible_mean(hidden))


def _pseudo_likelihood(machine: BoltzmannMachine, v: Tensor) -> Tensor:
    logits = machine.hidden_input(v)  # (batch, n_hidden)
    active = F.softplus(logits).sum(1)
    total = torch.zeros_like(active)
    for i in range(v.shape[1]):
        turn = 1 - 2 * v[:, i]  # what column i gains when it is turned over
        # the free energy of the row less that of its neighbour
        gain = turn * machine.visible_bias[i] + F.softplus(logits + turn[:, None] * machine.weight[i]).sum(1) - active
        total -= F.softplus(gain)
    return total
