"""The baseline of every learned method: the same network, untrained."""

from skrep.untrained.random_encoder import RandomEncoder

__all__ = ["RandomEncoder"]
