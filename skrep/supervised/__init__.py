"""Encoders that continue training with labels."""

from skrep.supervised.fine_tune import FineTuneClassifier
from skrep.supervised.fine_tune_regressor import FineTuneRegressor

__all__ = ["FineTuneClassifier", "FineTuneRegressor"]
