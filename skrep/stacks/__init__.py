"""Methods that are stacks of others, trained one after another."""

from skrep.stacks.deep_belief import DeepBeliefEncoder

__all__ = ["DeepBeliefEncoder"]
