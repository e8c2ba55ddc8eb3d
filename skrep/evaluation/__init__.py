"""How good a representation is: arrays or any estimator in, numbers out."""

from skrep.evaluation.compare import Comparison, ComparisonRow, compare
from skrep.evaluation.few_label import FewLabelScores, few_label_probe
from skrep.evaluation.neighbors import knn_score

__all__ = ["Comparison", "ComparisonRow", "FewLabelScores", "compare", "few_label_probe", "knn_score"]
