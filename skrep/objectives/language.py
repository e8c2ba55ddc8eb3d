"""Losses of predicted tokens."""

from torch import Tensor
from torch.nn import functional as F

__all__ = ["token_cross_entropy"]


def token_cross_entropy(logits: Tensor, tokens: Tensor) -> Tensor:
    """Mean cross-entropy of tokens, in nats; zero, with gradients of zero, where there are none.

    Parameters
    ----------
    logits : torch.Tensor of shape (n, n_vocabulary)
        For each place, how likely each token is.
    tokens : torch.Tensor of shape (n,), int64
        What is there.

    Returns
    -------
    torch.Tensor
        A scalar.
    """
    return F.cross_entropy(logits, tokens, reduction="sum") / max(1, len(tokens))
