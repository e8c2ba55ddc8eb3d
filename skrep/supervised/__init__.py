"""Encoders that continue training with labels."""

from skrep.supervised.fine_tune import FineTuneClassifier

__all__ = ["FineTuneClassifier"]
