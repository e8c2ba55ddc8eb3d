"""The deep Boltzmann machine: two layers of hidden bits that explain a row together.

Salakhutdinov & Hinton 2009 ("Deep Boltzmann machines", AISTATS). Both layers are learned at once, from centred
gradients, which need no training layer by layer beforehand (Montavon & Mueller 2012, "Deep Boltzmann machines and the
centering trick").
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skrep.backbones import BoltzmannMachine, MeanField, default_bits
from skrep.data import Source
from skrep.energy.boltzmann import BoltzmannTransformer
from skrep.params import Integer, param, params

__all__ = ["DeepBoltzmannEncoder"]


@params
class DeepBoltzmannEncoder(BoltzmannTransformer):
    """Two layers of hidden bits that explain a row together, and a density over rows.

    The bits of the lower layer stand for what goes together in columns, those of the upper one for what goes together
    in the lower. Unlike in a stack of restricted machines, what the upper layer makes of a row changes what the lower
    one sees in it: the features are the means of the upper bits after some rounds of mean-field inference. In training
    the (variational) free energy of the data is lowered, and that of persistent Gibbs chains raised.

    Give it much data and many steps: of a few thousand rows the lower layer explains all that there is to explain, and
    the means of the upper bits vary little (StandardScaler helps a probe, RBMEncoder may do better). Long training at a
    high learning rate loses the upper bits; `score` tells.

    Parameters
    ----------
    n_components : int or None, default=None
        Number of bits in the upper layer: of features. None takes as many as columns, 16 to 512.
    n_hidden : int or None, default=None
        Number of bits in the lower layer. None takes as many as columns, 16 to 512.
    n_mean_field : int, default=10
        Rounds of mean-field inference.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``: ``machine`` is what learned, ``average`` what is kept, ``chain`` the
        persistent chains. The machine is written as the restricted one that it is: columns and upper bits are its
        visible layer, the lower bits its hidden one.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`, as in
        :class:`RBMEncoder`.

    See Also
    --------
    RBMEncoder : One layer.
    DeepBeliefEncoder : Layers that are learned one after another.

    Notes
    -----
    :meth:`free_energy` is the variational one, an upper bound; :meth:`log_likelihood` is therefore a lower bound on the
    log of the probability, up to the error of the partition function, which is estimated as for an
    :class:`RBMEncoder`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import DeepBoltzmannEncoder
    >>> X = load_digits().data / 16
    >>> DeepBoltzmannEncoder(32, n_hidden=64, max_epochs=5, random_state=0).fit_transform(X).shape
    (1797, 32)
    """

    n_hidden: int | None = param(Integer(low=1), None, default=None)
    n_mean_field: int = param(Integer(low=1), default=10)

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the machine in training."""
        default = default_bits(data.shape[0])
        n_above, n_hidden = self.n_components or default, self.n_hidden or default
        return self._make_training(data, n_above, n_hidden, lambda machine: MeanField(machine, self.n_mean_field))

    def _infer(self, machine: BoltzmannMachine, v: Tensor) -> Tensor:
        return torch.cat([v, MeanField(machine, self.n_mean_field)(v)], 1)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Means of the columns given those of the upper hidden bits, by mean-field inference.

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
            return self._in_data_units(MeanField(self._machine, self.n_mean_field).inverse(hidden))
