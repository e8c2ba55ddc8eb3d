"""Losses that tell a sample's own second view from everything else in the batch."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["info_nce", "nt_xent"]


def nt_xent(z: Tensor, temperature: float, groups: Tensor | None = None) -> Tensor:
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
    groups : torch.Tensor of shape (batch,) or None, default=None
        The group of each sample: views of other samples of the same group are no candidates.

    Returns
    -------
    torch.Tensor
        A scalar, in nats; log(2 * batch - 1) for projections that say nothing, without groups.
    """
    z = F.normalize(z.float(), dim=1)
    similarity = z @ z.T / temperature  # (2 * batch, 2 * batch)
    similarity.fill_diagonal_(-torch.inf)  # a view is not its own candidate
    partner = torch.arange(len(z), device=z.device).roll(len(z) // 2)
    if groups is not None:
        same = (groups[:, None] == groups).fill_diagonal_(False).repeat(2, 2)  # (2 * batch, 2 * batch)
        similarity = similarity.masked_fill(same, -torch.inf)
    return F.cross_entropy(similarity, partner)


def info_nce(
    queries: Tensor, keys: Tensor, negatives: Tensor | None, temperature: float, excluded: Tensor | None = None
) -> Tensor:
    """Cross-entropy of finding each query's own key among keys that are not its own.

    The loss of van den Oord et al. 2018 (arXiv:1807.03748, equation 4), with cosine similarities as in He et al. 2020
    ("Momentum contrast for unsupervised visual representation learning", equation 1).

    Parameters
    ----------
    queries, keys : torch.Tensor of shape (batch, n_features)
        A query and the key that belongs to it.
    negatives : torch.Tensor of shape (n_negatives, n_features) or None
        Keys that belong to none; None takes the keys of the other queries.
    temperature : float
        Divides the similarities.
    excluded : torch.Tensor of bool of shape (batch, n_negatives) or None
        Negatives that are no candidates for a query, such as older keys of its own sample; a query's own key is one
        in any case.

    Returns
    -------
    torch.Tensor
        A scalar, in nats; the log of the number of candidates for queries and keys that say nothing.
    """
    queries, keys = F.normalize(queries.float(), dim=1), F.normalize(keys.float(), dim=1)
    if negatives is None:
        own = torch.arange(len(queries), device=queries.device)
        similarity = queries @ keys.T / temperature  # (batch, batch)
        if excluded is not None:
            similarity = similarity.masked_fill(excluded.clone().fill_diagonal_(False), -torch.inf)
        return F.cross_entropy(similarity, own)
    others = queries @ F.normalize(negatives.float(), dim=1).T  # (batch, n_negatives)
    if excluded is not None:
        others = others.masked_fill(excluded, -torch.inf)
    candidates = torch.cat([(queries * keys).sum(1, keepdim=True), others], 1)  # (batch, 1 + n_negatives)
    own = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
    return F.cross_entropy(candidates / temperature, own)
