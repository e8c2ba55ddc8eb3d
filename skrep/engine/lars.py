"""LARS: steps in proportion to the weights they change (You et al. 2017, arXiv:1708.03888)."""

from collections.abc import Callable
from typing import Any

import torch

__all__ = ["LARS"]


class LARS(torch.optim.Optimizer):
    r"""Momentum with a learning rate of its own for each weight matrix.

    Algorithm 1 of You et al. 2017 ("Large batch training of convolutional networks"): a matrix or kernel `w` with the
    gradient `g` moves by

    .. math::

        v \leftarrow m v + \gamma \eta \frac{\|w\|}{\|g\| + \beta \|w\|} (g + \beta w), \qquad w \leftarrow w - v

    with the momentum m, the rate :math:`\gamma`, the trust coefficient :math:`\eta` and the decay :math:`\beta`. The
    fraction is 1, and there is no :math:`\eta`, where `w` or `g` is zero. As for SimCLR (Chen et al. 2020,
    arXiv:2002.05709), vectors (biases, the gains of normalisation layers) move by plain momentum, without decay.

    Parameters
    ----------
    params : iterable of torch.Tensor or of dict
        What is trained, or groups of it.
    lr : float
        Rate. A matrix turns by about `lr` x `trust_coefficient` of its length a step, so `lr` is much larger than that
        of other optimizers.
    momentum : float, default=0.9
        Share of the last step that is kept, in [0, 1).
    weight_decay : float, default=0
        Decay of matrices.
    trust_coefficient : float, default=0.001
        How much of its length a matrix moves a step at the rate 1.

    Raises
    ------
    ValueError
        If an option is negative or not finite, or the momentum is 1 or more.
    """

    def __init__(
        self,
        params: Any,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        trust_coefficient: float = 0.001,
    ):
        options = {
            "lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust_coefficient": trust_coefficient,
        }  # fmt: skip
        for name, value in options.items():
            below = 1.0 if name == "momentum" else float("inf")
            if not 0 <= value < below:
                raise ValueError(f"LARS({name}={value}): expected a number in [0, {below:g}).")
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move all parameters that have a gradient once.

        Parameters
        ----------
        closure : callable or None
            Computes the loss, and gradients, anew.

        Returns
        -------
        loss
            What the closure returned; None without one.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            decay, trust = group["weight_decay"], group["trust_coefficient"]
            for weight in group["params"]:
                gradient = weight.grad
                if gradient is None:
                    continue
                if weight.ndim > 1:
                    length, slope = weight.norm(), gradient.norm()
                    ratio = trust * length / (slope + decay * length)
                    ratio = torch.where((length > 0) & (slope > 0), ratio, 1.0)  # on the device: nothing waits
                    gradient = ratio * gradient.add(weight, alpha=decay)
                state = self.state[weight]
                if not state:
                    state["velocity"] = torch.zeros_like(weight)
                state["velocity"].mul_(group["momentum"]).add_(gradient, alpha=group["lr"])
                weight.sub_(state["velocity"])
        return loss
