"""Encoders that go on learning, with labels."""

from skrep.supervised.fine_tune import FineTuneClassifier

__all__ = ["FineTuneClassifier"]
