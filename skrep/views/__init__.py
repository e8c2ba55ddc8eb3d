"""What is hidden, distorted or paired before the network sees it: batched, on the device, from a given generator."""

from skrep.views.blur import GaussianBlur
from skrep.views.chain import Chain
from skrep.views.colour import ColorJitter, RandomGrey
from skrep.views.corruption import RandomFeatureCorruption
from skrep.views.defaults import default_views
from skrep.views.erasing import RandomErasing
from skrep.views.geometry import RandomAffine, RandomFlip, RandomResizedCrop
from skrep.views.masking import mask_tokens
from skrep.views.names import VIEWS, resolve_views
from skrep.views.noise import GaussianNoise, MaskingNoise

__all__ = [
    # images: pixels moved
    "RandomResizedCrop",
    "RandomFlip",
    "RandomAffine",
    # images: colours changed
    "ColorJitter",
    "RandomGrey",
    # images: parts lost
    "GaussianBlur",
    "RandomErasing",
    # tables
    "MaskingNoise",
    "RandomFeatureCorruption",
    # texts
    "mask_tokens",
    # both
    "GaussianNoise",
    # several
    "Chain",
    "VIEWS",
    "default_views",
    "resolve_views",
]
