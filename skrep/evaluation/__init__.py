"""How good a representation is: arrays or any estimator in, numbers out."""

from skrep.evaluation.compare import Comparison, ComparisonRow, compare
from skrep.evaluation.few_label import FewLabelScores, few_label_probe
from skrep.evaluation.labels import labelled, labelled_rows
from skrep.evaluation.linear_probe import LinearProbe, LinearProbeRegressor
from skrep.evaluation.neighbors import knn_score
from skrep.evaluation.probe import CommonScaler, PenalizedLogistic, default_classifier, default_regressor

__all__ = [
    "CommonScaler",
    "Comparison",
    "ComparisonRow",
    "FewLabelScores",
    "LinearProbe",
    "LinearProbeRegressor",
    "PenalizedLogistic",
    "compare",
    "default_classifier",
    "default_regressor",
    "few_label_probe",
    "knn_score",
    "labelled",
    "labelled_rows",
]
