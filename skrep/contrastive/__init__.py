"""Networks that learn that two augmented views show the same sample."""

from skrep.contrastive.moco import MoCoTransformer
from skrep.contrastive.simclr import SimCLRTransformer

__all__ = ["MoCoTransformer", "SimCLRTransformer"]
