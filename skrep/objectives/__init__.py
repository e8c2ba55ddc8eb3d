"""Losses: tensors in, a scalar out."""

from skrep.objectives.contrastive import nt_xent
from skrep.objectives.reconstruction import bernoulli_cross_entropy, squared_error

__all__ = ["bernoulli_cross_entropy", "nt_xent", "squared_error"]
