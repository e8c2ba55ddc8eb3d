"""The untrained network."""

from typing import Any, Self

from torch import nn

from skrep.backbones import InputEncoder, MLPModule, by_units, default_code, default_widths, make_encoder
from skrep.base import Encoder
from skrep.data import Source, refuse_groups
from skrep.engine import draw_seed, resolve_device
from skrep.engine.net import untrained_net
from skrep.engine.transaction import all_or_nothing
from skrep.params import Integer, check_params, param, params

__all__ = ["RandomEncoder"]


@params
class RandomEncoder(Encoder):
    """The untrained network: the baseline that every learned method must beat.

    Random layers alone already give useful features (Saxe et al. 2011, "On random weights and unsupervised feature
    learning"), so what training added is the gap to this.

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
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """Declared hook: what the network reads."""
        return ("table", "images") if self.like is None else self.like.reads

    def make_module(self, data: Source) -> nn.Module:
        """Hook: the network of `like`, or the default one."""
        if self.like is not None:
            return nn.ModuleDict({"encoder": self.like.make_module(data).encoder})
        if len(data.shape) == 3:
            return nn.ModuleDict({"encoder": make_encoder(data, None, self.n_components or 64)[0]})
        widths = default_widths(data.shape[0], self.n_components or default_code(data.shape[0]))
        standardize = by_units(data)
        return nn.ModuleDict({"encoder": InputEncoder(nn.Identity(), standardize, MLPModule(widths))})

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Draw the network.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows, or images (n_samples, height, width, channels); their shape, mean and scale are taken.
        y, groups : None
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
            refuse_groups(groups, type(self).__name__)
            data = self.read(X, reset=True)
            seed = draw_seed(self.random_state if source.random_state is None else source.random_state)
            self.net_ = untrained_net(self._build(data, seed), resolve_device(self.device))
            self._count_features(data)
        return self
