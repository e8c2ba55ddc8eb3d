"""Compiled objects inside scikit-learn's estimators, taken apart and put together with a look at every index.

Their compiled code reads where the arrays point without looking. A file must not make it read elsewhere, nor go round
in circles. Most are built anew from their data; trees of decisions are restored node by node.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["put_together", "require", "take_apart"]


def require(condition: Any, what: str) -> None:
    """Raise a ValueError that says `what`, unless the condition holds."""
    if not condition:
        raise ValueError(what)


def require_tree(left: np.ndarray, right: np.ndarray, is_leaf: np.ndarray) -> int:
    """Look whether nodes are one binary tree with its root at 0, and return its depth.

    Every other node is the child of exactly one before it, so that no walk leaves the nodes or comes back.
    """
    inner = np.flatnonzero(~is_leaf)
    children = np.concatenate([left[inner], right[inner]]).astype(np.int64)
    require(
        len(left)
        and np.array_equal(np.sort(children), np.arange(1, len(left)))
        and (children > np.tile(inner, 2)).all(),
        "the nodes of a tree are no tree",
    )
    depth, level = -1, np.zeros(1, np.int64)
    while len(level):
        depth += 1
        level = level[~is_leaf[level]]
        level = np.concatenate([left[level], right[level]]).astype(np.int64)
    return depth


def _take_tree(tree: Any) -> dict[str, Any]:
    state = tree.__getstate__()
    return {
        "features": tree.n_features,
        "classes": np.array(tree.n_classes),
        "nodes": state["nodes"],
        "values": state["values"],
    }


def _put_tree(features: int, classes: np.ndarray, nodes: np.ndarray, values: np.ndarray) -> Any:
    from sklearn.tree._tree import NODE_DTYPE, Tree

    require(nodes.dtype == NODE_DTYPE and nodes.ndim == 1, "the nodes of a tree have other columns")
    is_leaf = nodes["left_child"] == -1
    depth = require_tree(nodes["left_child"], nodes["right_child"], is_leaf)
    require((nodes["right_child"][is_leaf] == -1).all(), "a leaf of a tree has a child")
    used = nodes["feature"][~is_leaf]
    require(
        features > 0 and (used >= 0).all() and (used < features).all(), "a tree asks for a column that is not there"
    )
    require(
        classes.ndim == 1 and (classes > 0).all() and values.shape == (len(nodes), len(classes), classes.max()),
        "the values of a tree have another shape",
    )
    tree = Tree(features, classes, len(classes))
    tree.__setstate__({"max_depth": depth, "node_count": len(nodes), "nodes": nodes, "values": values})
    return tree


def _take_predictor(predictor: Any) -> dict[str, Any]:
    return {
        "nodes": predictor.nodes,
        "binned": predictor.binned_left_cat_bitsets,
        "raw": predictor.raw_left_cat_bitsets,
    }


def _put_predictor(nodes: np.ndarray, binned: np.ndarray, raw: np.ndarray) -> Any:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    require(nodes.dtype == PREDICTOR_RECORD_DTYPE and nodes.ndim == 1, "the nodes of a tree have other columns")
    is_leaf = nodes["is_leaf"].astype(bool)
    require_tree(nodes["left"], nodes["right"], is_leaf)
    for bits in (binned, raw):
        require(bits.dtype == np.uint32 and bits.ndim == 2 and bits.shape[1] == 8, "a tree's categories are no bits")
    splits = nodes["bitset_idx"][~is_leaf & nodes["is_categorical"].astype(bool)]
    require((splits < min(len(binned), len(raw))).all(), "a tree asks for categories that are not there")
    return TreePredictor(nodes, binned, raw)


# What the metrics of neighbours are made from, given the three values that each of them has.
_METRIC_PARAMETERS: dict[str, Callable[[float, np.ndarray, np.ndarray], dict[str, Any]]] = {
    "minkowski": lambda p, vector, _: {"p": p, "w": vector if len(vector) else None},
    "seuclidean": lambda _p, vector, _: {"V": vector},
    "mahalanobis": lambda _p, _, matrix: {"VI": matrix},
}


def _take_neighbours(tree: Any) -> dict[str, Any] | None:
    from sklearn.metrics._dist_metrics import METRIC_MAPPING64

    data, _, _, _, leaf_size, *_, metric, weights = tree.__getstate__()
    name = next((name for name, cls in METRIC_MAPPING64.items() if type(metric) is cls), None)
    p, vector, matrix, *function = metric.__getstate__()
    if function:
        parameters = {"func": function[0], **function[1]}
    else:
        parameters = _METRIC_PARAMETERS.get(name or "", lambda *_: {})(p, vector, matrix)
    parts = {"kind": type(tree).__name__, "data": data, "leaf_size": leaf_size, "weights": weights}
    return parts | {"metric": name, "parameters": parameters} if name else None


def _put_neighbours(
    kind: str, data: np.ndarray, leaf_size: int, weights: Any, metric: str, parameters: dict[str, Any]
) -> Any:
    from sklearn.neighbors import BallTree, KDTree

    require(isinstance(metric, str) and data.ndim == 2, "a tree of neighbours has no metric, or no table")
    require(weights is None or np.shape(weights) == data.shape[:1], "a tree of neighbours has other weights than rows")
    cls = {"BallTree": BallTree, "KDTree": KDTree}[kind]
    return cls(data, leaf_size=leaf_size, metric=metric, sample_weight=weights, **parameters)


def _take_loss(loss: Any) -> dict[str, Any]:
    numbers = [argument for argument in loss.__reduce__()[1] if isinstance(argument, float)]
    return {"name": type(loss).__name__, "numbers": numbers}


def _put_loss(name: str, numbers: list[float]) -> Any:
    from sklearn._loss import _loss
    from sklearn.linear_model import _sgd_fast

    cls = (vars(_sgd_fast) | vars(_loss)).get(name)
    require(isinstance(cls, type) and issubclass(cls, (_loss.CyLossFunction, _loss.CyHalfMultinomialLoss)), "no loss")
    return cls(*map(float, numbers))


def _take_spline(spline: Any) -> dict[str, Any]:
    return {name: getattr(spline, name) for name in ("t", "c", "k", "extrapolate", "axis")}


def _put_spline(**parts: Any) -> Any:
    from scipy.interpolate import BSpline

    return BSpline(**parts)  # looks at its knots and coefficients


def _take_distribution(frozen: Any) -> dict[str, Any] | None:
    import scipy.stats

    public = getattr(scipy.stats, frozen.dist.name, None)
    parts = {"name": frozen.dist.name, "args": frozen.args, "kwds": frozen.kwds}
    return parts if type(public) is type(frozen.dist) else None


def _put_distribution(name: str, args: tuple[Any, ...], kwds: dict[str, Any]) -> Any:
    import scipy.stats

    distribution = vars(scipy.stats).get(name)
    require(
        isinstance(distribution, (scipy.stats.rv_continuous, scipy.stats.rv_discrete)), f"{name} is no distribution"
    )
    return distribution(*args, **kwds)


def _take_generator(generator: np.random.Generator) -> dict[str, Any] | None:
    state = generator.bit_generator.state
    return {"state": state} if state["bit_generator"] == "PCG64" else None


def _put_generator(state: Any) -> np.random.Generator:
    bits = np.random.PCG64(0)
    bits.state = state
    return np.random.Generator(bits)


def _take_random_state(random_state: np.random.RandomState) -> dict[str, Any] | None:
    kind, key, position, has_gauss, gauss = random_state.get_state(legacy=True)
    parts = {"key": key, "position": position, "has_gauss": has_gauss, "gauss": gauss}
    return parts if kind == "MT19937" else None


def _put_random_state(key: np.ndarray, position: int, has_gauss: int, gauss: float) -> np.random.RandomState:
    require(0 <= position <= 624, f"a RandomState stands at {position} of 624")  # NumPy reads there without looking
    made = np.random.RandomState(0)
    made.set_state(("MT19937", key, position, has_gauss, gauss))
    return made


def _take_columns(index: Any) -> dict[str, Any] | None:
    dtype, names = str(index.dtype), list(index)
    is_plain = type(index).__name__ == "Index" and all(isinstance(name, (str, int)) for name in names)
    return {"names": names, "dtype": dtype, "name": index.name} if is_plain and dtype in _OF_COLUMNS else None


def _put_columns(names: list[Any], dtype: str, name: Any) -> Any:
    import pandas as pd

    require(dtype in _OF_COLUMNS, f"columns cannot have names of type {dtype}")
    return pd.Index(names, dtype=dtype, name=name)


_OF_COLUMNS = ("object", "str", "int64")


def _take_dtype(dtype: np.dtype) -> dict[str, Any] | None:
    return {} if dtype.kind == "O" else None


def _put_dtype() -> np.dtype:
    return np.dtype(object)


def _take_check(function: functools.partial) -> dict[str, Any] | None:
    from sklearn.utils import check_array

    is_check = function.func is check_array and not function.args
    return {} if is_check and function.keywords == {"dtype": [np.float64], "ensure_all_finite": False} else None


def _put_check() -> Any:
    from sklearn.utils import check_array

    return functools.partial(check_array, dtype=[np.float64], ensure_all_finite=False)


def _take_triplet(triplet: Any) -> dict[str, Any]:
    return dict(triplet._asdict())


def _put_triplet(**parts: Any) -> Any:
    from sklearn.impute._iterative import _ImputerTriplet

    return _ImputerTriplet(**parts)


# For each kind: the packages and names of classes that it is or derives from; a function that gives the parts, or None
# for what it cannot take apart; and one that looks at the parts and puts them together.
_KINDS: dict[str, tuple[set[str], Callable[[Any], dict[str, Any] | None], Callable[..., Any]]] = {
    "tree": ({"sklearn.Tree"}, _take_tree, _put_tree),
    "histogram tree": ({"sklearn.TreePredictor"}, _take_predictor, _put_predictor),
    "neighbours": ({"sklearn.BallTree", "sklearn.KDTree"}, _take_neighbours, _put_neighbours),
    "loss": (
        {f"{home}.{loss}" for home in ("sklearn", "_loss") for loss in ("CyLossFunction", "CyHalfMultinomialLoss")},
        _take_loss,
        _put_loss,
    ),
    "imputation": ({"sklearn._ImputerTriplet"}, _take_triplet, _put_triplet),
    "dtype of objects": ({"numpy.dtype"}, _take_dtype, _put_dtype),
    "check": ({"functools.partial"}, _take_check, _put_check),
    "spline": ({"scipy.BSpline"}, _take_spline, _put_spline),
    "distribution": ({"scipy.rv_frozen"}, _take_distribution, _put_distribution),
    "random state": ({"numpy.RandomState"}, _take_random_state, _put_random_state),
    "columns": ({"pandas.Index"}, _take_columns, _put_columns),
    "generator": ({"numpy.Generator"}, _take_generator, _put_generator),
}


def take_apart(value: Any) -> tuple[str, dict[str, Any]] | None:
    """The kind and the parts of a compiled object, or None if it is none that can be taken apart."""
    package = type(value).__module__.split(".")[0]
    names = {f"{package}.{base.__name__}" for base in type(value).__mro__}
    for kind, (known, take, _) in _KINDS.items():
        if names & known and (parts := take(value)) is not None:
            return kind, parts
    return None


def put_together(kind: str, parts: dict[str, Any]) -> Any:
    """The object that was taken apart.

    Raises
    ------
    ValueError
        If the parts do not fit together.
    """
    return _KINDS[kind][2](**parts)
