"""What is hidden, distorted or paired before the network sees it: batched, on the device, from a given generator."""

from skrep.views.noise import GaussianNoise, MaskingNoise

__all__ = ["GaussianNoise", "MaskingNoise"]
