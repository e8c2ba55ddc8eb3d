"""Networks that learn by reconstructing their input."""

from skrep.autoencoder.autoencoder import AutoEncoderTransformer

__all__ = ["AutoEncoderTransformer"]
