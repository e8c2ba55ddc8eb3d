"""Networks that learn to predict tokens of texts."""

from skrep.language.masked_lm import MaskedLMTransformer

__all__ = ["MaskedLMTransformer"]
