"""How far a reconstruction is from what it should be."""

from torch import Tensor
from torch.nn import functional as F

__all__ = ["bernoulli_cross_entropy", "squared_error"]


def squared_error(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over samples and features.

    Parameters
    ----------
    outputs, target : torch.Tensor of shape (batch, ...)
        Reconstruction and what it should be.

    Returns
    -------
    torch.Tensor
        A scalar.
    """
    return F.mse_loss(outputs, target)


def bernoulli_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean cross-entropy, in nats per feature, of values in [0, 1] under independent Bernoulli variables.

    Parameters
    ----------
    logits : torch.Tensor of shape (batch, ...)
        Log-odds of each feature being 1.
    target : torch.Tensor of shape (batch, ...)
        Values in [0, 1].

    Returns
    -------
    torch.Tensor
        A scalar.
    """
    return F.binary_cross_entropy_with_logits(logits, target)
