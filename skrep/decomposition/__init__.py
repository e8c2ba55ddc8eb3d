"""Linear decompositions."""

from skrep.decomposition.ica import FastICAEncoder
from skrep.decomposition.pca import PCAEncoder

__all__ = ["FastICAEncoder", "PCAEncoder"]
