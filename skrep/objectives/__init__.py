"""Losses: tensors in, a scalar out."""

from skrep.objectives.reconstruction import bernoulli_cross_entropy, squared_error

__all__ = ["bernoulli_cross_entropy", "squared_error"]
