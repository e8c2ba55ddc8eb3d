"""Small real data sets that come with the package."""

from skrep.datasets.images import load_emoji, load_fashion

__all__ = ["load_emoji", "load_fashion"]
