"""Small real data sets that come with the package."""

from skrep.datasets.images import load_emoji, load_fashion
from skrep.datasets.texts import load_wikipedia

__all__ = ["load_emoji", "load_fashion", "load_wikipedia"]
