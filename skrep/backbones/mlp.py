"""The multilayer perceptron, alone and beside the columns it reads."""

import itertools
from collections.abc import Sequence

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn

from skrep.backbones.layers import Linear
from skrep.params import Integer, SequenceOf, check_params, param, params

__all__ = ["ACTIVATIONS", "MLP", "MLPModule", "WideAndDeep", "WideAndDeepModule", "default_code", "default_widths"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class MLPModule(nn.Sequential):
    """Linear layers, (batch, widths[0]) -> (batch, widths[-1]), with an activation between them.

    Weights are drawn so that a unit-variance input keeps about unit variance from layer to layer (He et al. 2015 for
    rectifiers, Glorot & Bengio 2010 otherwise); biases begin at zero.

    Parameters
    ----------
    widths : sequence of int
        Number of units of the input, of each hidden layer, and of the output.
    activation : {"gelu", "relu", "sigmoid", "silu", "tanh"}, default="gelu"
        Between layers.
    """

    def __init__(self, widths: Sequence[int], activation: str = "gelu"):
        layers: list[nn.Module] = []
        for i, (n_in, n_out) in enumerate(itertools.pairwise(widths)):
            if i:
                layers.append(ACTIVATIONS[activation]())
            layers.append(Linear(n_in, n_out))
        super().__init__(*layers)
        for layer in self.linears:
            if activation in ("gelu", "relu", "silu") and layer is not self.linears[-1]:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            else:
                nn.init.xavier_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def linears(self) -> list[Linear]:
        """The linear layers, from input to output."""
        return [layer for layer in self if isinstance(layer, Linear)]


def default_widths(n_features: int, n_components: int | None, hidden: Sequence[int] | None = None) -> list[int]:
    """Widths of an encoder for rows of `n_features` columns, from the input to the code.

    Parameters
    ----------
    n_features : int
        Number of columns.
    n_components : int or None
        Width of the code; None takes half of the columns, 2 to 64.
    hidden : sequence of int or None
        Widths between the two; None takes two layers, of 512 and 256 units or, for narrow tables, fewer.
    """
    if n_components is None:
        n_components = min(64, max(2, n_features // 2))
    if hidden is None:
        hidden = [min(512, max(64, 8 * n_features)), min(256, max(32, 4 * n_features))]
    return [n_features, *hidden, n_components]


def default_code(n_features: int) -> int:
    """The width of a code for rows of `n_features` columns: up to 16 all of them, of more half, 16 to 64.

    A narrow table has little that repeats itself; half of its columns would lose what labels are about.
    """
    return min(n_features, 64, max(16, n_features // 2))


@params
class MLP(BaseEstimator):
    """A multilayer perceptron, for tables.

    Parameters
    ----------
    hidden : sequence of int or None, default=None
        Units of the hidden layers. None takes two, of 512 and 256 units or, for narrow tables, fewer.
    activation : {"gelu", "relu", "sigmoid", "silu", "tanh"}, default="gelu"
        Between layers; the output is linear.

    Examples
    --------
    >>> from skrep.backbones import MLP
    >>> MLP((32,)).build((10,), 4)
    MLPModule(
      (0): Linear(in_features=10, out_features=32, bias=True)
      (1): GELU(approximate='none')
      (2): Linear(in_features=32, out_features=4, bias=True)
    )
    """

    hidden: Sequence[int] | None = param(SequenceOf(Integer(low=1)), None, default=None)
    activation: str = param(*ACTIVATIONS, default="gelu")

    def build(self, shape: tuple[int, ...], n_components: int | None) -> nn.Module:
        """The network for rows of this shape.

        Parameters
        ----------
        shape : tuple of (int,)
            Number of columns.
        n_components : int or None
            Width of the output; None takes half of the columns, 2 to 64.

        Raises
        ------
        ValueError
            For a parameter that cannot be used, and for images.
        """
        check_params(self)
        if len(shape) != 1:
            raise ValueError(f"backbone=MLP(...) takes tables; the data are images of shape {shape}. Use ConvNet().")
        return MLPModule(default_widths(shape[0], n_components, self.hidden), self.activation)


class WideAndDeepModule(nn.Module):
    """The columns, and beside them what a network makes of them, each with a spread of about 1 once trained.

    Contrastive losses do not ask how large features are; without a norm learned ones grow to ten times the columns, and
    a linear model with a penalty no longer sees these.

    Parameters
    ----------
    deep : torch.nn.Module
        The network: (batch, n_features) -> (batch, n_learned).
    n_learned : int
        Width of its output.
    """

    def __init__(self, deep: nn.Module, n_learned: int):
        super().__init__()
        self.deep, self.norm = deep, nn.BatchNorm1d(n_learned, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.norm(self.deep(x))], dim=1)  # (batch, n_features) -> (batch, n_features + n_learned)


@params
class WideAndDeep(BaseEstimator):
    """The columns side by side with features learned from them, for tables (Cheng et al. 2016, arXiv:1606.07792).

    With few labels a linear model on the columns themselves is often hard to beat. Here it still sees all of them, and
    one learned feature to two columns is few enough not to drown them (``python -m benchmarks tables``).

    Parameters
    ----------
    deep : MLP or None, default=None
        The perceptron that learns features; None is ``MLP()``.

    Examples
    --------
    >>> import torch
    >>> from skrep.backbones import WideAndDeep
    >>> WideAndDeep().build((10,), None)(torch.zeros(3, 10)).shape
    torch.Size([3, 15])
    """

    deep: MLP | None = param(MLP, None, default=None)

    def build(self, shape: tuple[int, ...], n_components: int | None) -> nn.Module:
        """The network for rows of this shape.

        Parameters
        ----------
        shape : tuple of (int,)
            Number of columns.
        n_components : int or None
            Width of a linear layer over columns and learned features. None puts none there: the output are the columns
            and half as many learned features, 2 to 64.

        Raises
        ------
        ValueError
            For a parameter that cannot be used, and for images.
        """
        check_params(self)
        part = MLP() if self.deep is None else self.deep
        n_learned = default_widths(shape[0], None)[-1]
        both = WideAndDeepModule(part.build(shape, None), n_learned)
        return both if n_components is None else nn.Sequential(both, Linear(shape[0] + n_learned, n_components))
