"""How good a representation is: arrays or any estimator in, numbers out."""

from skrep.evaluation.compare import Comparison, compare
from skrep.evaluation.few_label import FewLabelScores, few_label_probe

__all__ = ["Comparison", "FewLabelScores", "compare", "few_label_probe"]
