"""Networks that learn to recognise a sample in two distorted views of it."""

from skrep.contrastive.moco import MoCoTransformer
from skrep.contrastive.simclr import SimCLRTransformer

__all__ = ["MoCoTransformer", "SimCLRTransformer"]
