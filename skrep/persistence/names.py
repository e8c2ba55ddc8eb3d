"""Which classes and functions a file may name.

A file holds names, never code, and a name is looked up here: in public modules of skrep, scikit-learn, torch and NumPy
that are listed below, and there only among what is safe to rebuild from plain values. Anything else has to be handed
over by the caller of :func:`skrep.load`. No module is imported but the ones that are listed.
"""

import functools
import importlib
import os
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from skrep.exceptions import ModelFileError
from skrep.persistence.container import shown

__all__ = ["CLOSED", "lookup", "name_of"]


def _are(kind: type) -> Callable[[Any], bool]:
    return lambda thing: isinstance(thing, type) and issubclass(thing, kind)


def _is_arithmetic(thing: Any) -> bool:
    return isinstance(thing, np.ufunc) or (isinstance(thing, type) and issubclass(thing, np.generic))


def _compares(thing: Any) -> bool:
    """Whether it is one of scikit-learn's functions of two arrays: scores, kernels, distances."""
    endings = ("_score", "_error", "_loss", "_deviance", "_kernel", "_distances", "_similarity", "_corrcoef")
    return isinstance(thing, types.FunctionType) and thing.__name__.endswith(endings)


_ESTIMATORS = (
    "calibration", "cluster", "compose", "covariance", "cross_decomposition", "decomposition", "discriminant_analysis",
    "dummy", "ensemble", "feature_extraction", "feature_extraction.image", "feature_extraction.text",
    "feature_selection", "frozen", "gaussian_process", "impute", "isotonic", "kernel_approximation", "kernel_ridge",
    "linear_model", "manifold", "mixture", "model_selection", "multiclass", "multioutput", "naive_bayes", "neighbors",
    "neural_network", "pipeline", "preprocessing", "random_projection", "semi_supervised", "svm", "tree",
)  # fmt: skip

_PARTS = ("backbones", "data", "evaluation", "patches", "text", "views")

# What of each public module a file may name: all that satisfies a condition, or what is listed.
_PUBLIC: list[tuple[str, Callable[[Any], bool] | set[str]]] = [
    # Where experimental estimators are before sklearn.experimental shows them to everyone.
    ("sklearn.impute._iterative", {"IterativeImputer"}),
    ("sklearn.model_selection._search_successive_halving", {"HalvingGridSearchCV", "HalvingRandomSearchCV"}),
    ("skrep", _are(BaseEstimator)),
    *((f"skrep.{name}", _are(BaseEstimator)) for name in _PARTS),
    ("skrep.text", {"WordVectors"}),
    *((f"sklearn.{name}", _are(BaseEstimator)) for name in _ESTIMATORS),
    ("sklearn.compose", {"make_column_selector"}),
    (
        "sklearn.feature_selection",
        {"chi2", "f_classif", "f_regression", "mutual_info_classif", "mutual_info_regression"},
    ),
    (
        "sklearn.model_selection",
        {
            "GroupKFold", "GroupShuffleSplit", "KFold", "LeaveOneGroupOut", "LeaveOneOut", "LeavePGroupsOut",
            "LeavePOut", "PredefinedSplit", "RepeatedKFold", "RepeatedStratifiedKFold", "ShuffleSplit",
            "StratifiedGroupKFold", "StratifiedKFold", "StratifiedShuffleSplit", "TimeSeriesSplit",
        },
    ),
    (
        "sklearn.gaussian_process.kernels",
        {
            "CompoundKernel", "ConstantKernel", "DotProduct", "ExpSineSquared", "Exponentiation", "Matern",
            "PairwiseKernel", "Product", "RBF", "RationalQuadratic", "Sum", "WhiteKernel",
        },
    ),
    ("sklearn.metrics", _compares),
    ("sklearn.metrics.pairwise", _compares),
    # Plain classes that estimators keep inside; what is compiled is in skrep.persistence.compiled.
    (
        "sklearn._loss.loss",
        {
            "AbsoluteError", "ExponentialLoss", "HalfBinomialLoss", "HalfGammaLoss", "HalfMultinomialLoss",
            "HalfPoissonLoss", "HalfSquaredError", "HalfTweedieLoss", "HalfTweedieLossIdentity", "HuberLoss",
            "PinballLoss",
        },
    ),
    ("sklearn._loss.link", {"HalfLogitLink", "IdentityLink", "Interval", "LogLink", "LogitLink", "MultinomialLogit"}),
    ("sklearn.calibration", {"_CalibratedClassifier", "_SigmoidCalibration", "_TemperatureScaling"}),
    ("sklearn.cluster._bisect_k_means", {"_BisectingTree"}),
    ("sklearn.compose._column_transformer", {"_RemainderColsList"}),
    ("sklearn.ensemble._hist_gradient_boosting.binning", {"_BinMapper"}),
    ("sklearn.gaussian_process._gpc", {"_BinaryGaussianProcessClassifierLaplace"}),
    ("sklearn.metrics._scorer", {"_CurveScorer", "_MultimetricScorer", "_PassthroughScorer", "_Scorer"}),
    ("sklearn.model_selection._split", {"_CVIterableWrapper"}),
    ("sklearn.multiclass", {"_ConstantPredictor"}),
    ("sklearn.neural_network._stochastic_optimizers", {"AdamOptimizer", "SGDOptimizer"}),
    ("sklearn.utils._metadata_requests", {"MetadataRequest", "MethodMetadataRequest"}),
    ("torch.nn", _are(nn.Module)),
    ("torch.nn.modules.linear", {"NonDynamicallyQuantizableLinear"}),  # in attention
    ("torch.nn.functional", {"elu", "gelu", "leaky_relu", "relu", "sigmoid", "silu", "softplus", "tanh"}),
    ("torch.optim", _are(torch.optim.Optimizer)),
    ("numpy", _is_arithmetic),
    ("numpy", {"amax", "amin", "max", "mean", "median", "min", "std", "sum", "var"}),
    ("builtins", {"bool", "bytes", "complex", "float", "int", "object", "str"}),
]  # fmt: skip

# Packages of which nothing else may be named: their insides move from release to release.
CLOSED = {"skrep", "sklearn", "skorch", "scipy", "torch", "numpy", "builtins"}


def _find(name: str) -> Any:
    """The public class or function of that name, or None."""
    home, _, last = name.rpartition(".")
    for module, allowed in _PUBLIC:
        if module == home:
            content = importlib.import_module(module)
            thing = vars(content).get(last)  # not getattr: some modules import on it
            is_public = last in getattr(content, "__all__", vars(content))
            if thing is not None and (last in allowed if isinstance(allowed, set) else is_public and allowed(thing)):
                return thing
    return None


@functools.cache
def _public_name(thing: Any) -> str | None:
    package = (getattr(thing, "__module__", None) or "numpy").split(".")[0].removeprefix("_")
    for module, _ in _PUBLIC:
        name = f"{module}.{thing.__name__}"
        if module in sys.modules and module.split(".")[0] == package and _find(name) is thing:
            return name
    return None


def name_of(thing: Any) -> str:
    """The name under which a file refers to a class or function.

    Raises
    ------
    TypeError
        For what has no name at the top of a module (lambdas, functions and classes inside others, partials), and for
        the insides of the packages that are listed here.
    """
    if not hasattr(thing, "__name__"):
        raise TypeError(f"{thing!r:.80} is not a class or a function.")
    name = _public_name(thing)
    if name is not None:
        return name
    module, inner = getattr(thing, "__module__", None) or "", getattr(thing, "__qualname__", "<>")
    found: Any = sys.modules.get(module)
    for step in inner.split("."):
        found = getattr(found, step, None)
    if found is not thing:
        raise TypeError(
            f"{inner} has no name in a module: it is a lambda, or defined inside a function. Define it at the top of a "
            "module, with class or def."
        )
    if module.split(".")[0] in CLOSED:
        raise TypeError(
            f"{module}.{inner} is not among the classes and functions that skrep rebuilds from plain values. If it is "
            "a parameter, set it to None or to another value before saving; for a function, pass one of your own that "
            "calls it."
        )
    return f"{module}.{inner}"


def lookup(names: list[str], trusted: dict[str, Any], path: str | os.PathLike) -> list[Any]:
    """The classes and functions behind the names in a file.

    Parameters
    ----------
    names : list of str
        As :func:`name_of` gave them.
    trusted : dict of str to class or function
        What the caller allows in addition, by its name.
    path : path-like
        The file, for the message.

    Raises
    ------
    ModelFileError
        If a name is neither public nor trusted.
    """
    found = [trusted[name] if name in trusted else _find(name) for name in names]
    missing = [name for name, thing in zip(names, found, strict=True) if thing is None]
    if missing:
        listed = ", ".join(shown(name) for name in missing[:3]) + (" and more" if len(missing) > 3 else "")
        raise ModelFileError(
            f"{path} asks for {listed}, which skrep does not know to be safe. If you know where the file comes from, "
            "import the classes and functions and pass them: skrep.load(path, trusted=[...])."
        )
    return found
