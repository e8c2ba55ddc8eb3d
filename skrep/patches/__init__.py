"""Small pieces of images: drawn, whitened, coded and pooled into features."""

from skrep.patches.image_patches import ImagePatches
from skrep.patches.patch_encoder import PatchEncoder

__all__ = ["ImagePatches", "PatchEncoder"]
