"""Networks that learn to guess tokens of texts."""

from skrep.language.masked_lm import MaskedLMTransformer

__all__ = ["MaskedLMTransformer"]
