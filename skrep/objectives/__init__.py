"""Losses: tensors in, a scalar out."""

from skrep.objectives.contrastive import info_nce, nt_xent
from skrep.objectives.energy import contrastive_divergence, neighbour_entropy, sparsity_penalty
from skrep.objectives.language import token_cross_entropy
from skrep.objectives.reconstruction import bernoulli_cross_entropy, squared_error

__all__ = [
    "bernoulli_cross_entropy",
    "contrastive_divergence",
    "info_nce",
    "neighbour_entropy",
    "nt_xent",
    "sparsity_penalty",
    "squared_error",
    "token_cross_entropy",
]
