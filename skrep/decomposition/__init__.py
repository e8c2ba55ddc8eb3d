"""Linear decompositions in closed form."""

from skrep.decomposition.pca import PCAEncoder

__all__ = ["PCAEncoder"]
