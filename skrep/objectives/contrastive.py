"""Losses that tell a sample's own second view from everything else in the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["nt_xent"]


def nt_xent(z: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy of two views of each sample.

    The loss of Chen et al. 2020 ("A simple framework for contrastive learning of visual representations", equation 1
    and Algorithm 1): for each view, the cross-entropy of finding the other view of the same sample among the
    2 * batch - 1 other views by cosine similarity, averaged over all views.

    Parameters
    ----------
    z : torch.Tensor of shape (2 * batch, n_features)
        Projections: the first views of all samples, then their second views in the same order.
    temperature : float
        Divides the similarities.

    Returns
    -------
    torch.Tensor
        A scalar, in nats; log(2 * batch - 1) for projections that say nothing.
    """
    z = F.normalize(z.float(), dim=1)
    similarity = z @ z.T / temperature  # (2 * batch, 2 * batch)
    similarity.fill_diagonal_(-torch.inf)  # a view is not its own candidate
    partner = torch.arange(len(z), device=z.device).roll(len(z) // 2)
    return F.cross_entropy(similarity, partner)
