"""What must hold in the attributes of a scikit-learn estimator before its methods may be called.

Its Python code and NumPy look where they read; the compiled code under it does not, and trusts `fit` to have left
indices, shapes and counts that fit together. A file is not `fit`. The same is looked at before an estimator is saved.
"""

import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from skrep.persistence.compiled import require, take_apart

__all__ = ["check"]

_RESPONSES = {"auto", "decision_function", "predict", "predict_log_proba", "predict_proba"}
_NAMES_OF_METHODS = (
    "_response_method",
    "chain_method",
    "chain_method_",
    "response_method",
    "stack_method",
    "stack_method_",
)

# Attributes with arguments for functions, among them NumPy's, which write to `out`.
_ARGUMENTS = (
    "_kwargs", "effective_metric_params_", "inv_kw_args", "kernel_params", "kw_args", "metric_params",
    "pairwise_kernels_kwargs",
)  # fmt: skip


def check(made: Any) -> None:
    """Look at an estimator, or a part of one.

    Parameters
    ----------
    made : object
        With its attributes set.

    Raises
    ------
    ValueError
        If the attributes do not fit together.
    """
    for name in _ARGUMENTS:
        value = vars(made).get(name)
        require(not isinstance(value, dict) or "out" not in value, f"its {name} have a function write to its arrays")
    for module, names, look in _CHECKS:
        # what is not imported has no instances, and some names are not there in every version
        if isinstance(made, tuple(getattr(sys.modules.get(module), name, ()) for name in names)):
            look(made)


def _is_array(value: Any, *shape: Any) -> bool:
    return isinstance(value, np.ndarray) and value.shape == shape and not value.dtype.hasobject


def _are_positions(values: Any, n: int) -> bool:
    """Whether the values are 0, 1, ... n - 1 in any order."""
    return len(values) == n and sorted(values) == list(range(n))


def _n_features(made: Any) -> int:
    n = vars(made).get("n_features_in_")  # scikit-learn compares X with it, and does not where it is missing
    require(isinstance(n, (int, np.integer)) and n > 0, "it does not say how many features it was fitted with")
    return int(n)


def _look_at_methods(made: Any) -> None:
    """Whether the methods that it calls by name, with the user's table, are those that predict."""
    for name in _NAMES_OF_METHODS:
        value = vars(made).get(name) or "auto"
        methods = {value} if isinstance(value, str) else set(value)
        require(methods <= _RESPONSES, f"its {name} is not the name of a method that predicts")


def _look_at_tree(made: Any) -> None:
    if "tree_" in vars(made):
        from sklearn.tree._tree import Tree

        require(type(made.tree_) is Tree and made.tree_.n_features == _n_features(made), "its tree has other features")


def _look_at_boosting(made: Any) -> None:
    if "estimators_" not in vars(made):
        return
    from sklearn.tree import DecisionTreeRegressor

    trees, n_features = made.estimators_, _n_features(made)
    require(isinstance(trees, np.ndarray) and trees.ndim == 2 and trees.size, "its trees are no table")
    for tree in trees.flat:
        require(
            type(tree) is DecisionTreeRegressor and tree.tree_.n_features == n_features, "a tree has other features"
        )
    start, loss = made.init_, made._loss
    is_dummy = type(start).__module__ == "sklearn.dummy" and start.n_outputs_ == 1
    is_known = is_dummy or (isinstance(start, str) and start == "zero")
    require(is_known, "its trees add to what its init= predicts and do not look whether that fits; leave init= away")
    homes = type(loss).__module__, type(loss.link).__module__
    require(homes == ("sklearn._loss.loss", "sklearn._loss.link"), "its loss is none")
    raw = made._raw_predict_init(np.zeros((2, n_features), np.float32))
    require(raw.shape == (2, trees.shape[1]), "its trees predict another number of outputs than it has")


def _look_at_histograms(made: Any) -> None:
    if "_predictors" not in vars(made):
        return
    from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    require("_in_fit" not in vars(made) and type(made._bin_mapper) is _BinMapper, "it is being fitted")
    n_features, is_categorical = _n_features(made), made._bin_mapper.is_categorical_
    require(_is_array(is_categorical, n_features), "it says of other features whether they are categories")
    for tree in (tree for iteration in made._predictors for tree in iteration):
        require(type(tree) is TreePredictor, "a tree is none")
        inner = tree.nodes[tree.nodes["is_leaf"] == 0]
        used = inner["feature_idx"]
        require((used >= 0).all() and (used < n_features).all(), "a tree asks for a column that is not there")
        require(is_categorical[used[inner["is_categorical"] != 0]].all(), "a tree takes a number for a category")
    if made._preprocessor is not None:
        _look_at_preprocessor(made._preprocessor, n_features)


def _look_at_preprocessor(made: Any, n_features: int) -> None:
    """Whether it gives as many columns as it gets."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    require(type(made) is ColumnTransformer and _n_features(made) == n_features, "its preprocessor is another")
    (one, encoder, categorical), (two, checker, numerical), *_ = made.transformers_
    require(
        type(encoder) is OrdinalEncoder and type(checker) is FunctionTransformer, "its preprocessor has other parts"
    )
    require(take_apart(checker.func) == ("check", {}), "its preprocessor does more than to look at numbers")
    columns = [made._transformer_to_input_indices[name] for name in (one, two)]
    same = [np.array_equal(np.flatnonzero(mask), c) for mask, c in zip((categorical, numerical), columns, strict=True)]
    require(all(same) and _are_positions([*columns[0], *columns[1]], n_features), "its preprocessor leaves columns out")


def _look_at_libsvm(made: Any) -> None:
    if "support_vectors_" not in vars(made):
        return
    require(not vars(made).keys() & {"_impl", "_sparse_kernels"}, "it is another kind of machine")
    is_classifier = made._impl in ("c_svc", "nu_svc")
    n_classes = len(made.classes_) if is_classifier else 2
    pairs, n = n_classes * (n_classes - 1) // 2, len(made.support_)
    support, counts, vectors, weights = made.support_, made._n_support, made.support_vectors_, made._dual_coef_
    require(
        _is_array(support, n) and (support >= 0).all() and (support < made.shape_fit_[0]).all(),
        "its support vectors are none of the rows",
    )
    require(n_classes > 1 and _is_array(counts, n_classes) and (counts >= 0).all(), "it counts other classes")
    require(not is_classifier or counts.sum() == n, "its classes have other support vectors")
    require(_is_array(made._intercept_, pairs), "it has other intercepts than pairs of classes")
    sizes = {made._probA.size, made._probB.size}
    has_probabilities = getattr(made, "_effective_probability", made.probability)
    require(sizes == {pairs} or (sizes == {0} and not has_probabilities), "its probabilities are of other classes")
    if callable(made.kernel):
        home = made.kernel.__module__ if isinstance(made.kernel, types.FunctionType) else "sklearn"
        is_kernel = home == "sklearn.metrics.pairwise" or not home.startswith("sklearn")
        require(is_kernel and not made._sparse, "its kernel is no function of two tables")
        require(np.shape(made._BaseLibSVM__Xfit)[:1] == made.shape_fit_[:1], "its kernel compares with other rows")
    elif made.kernel == "precomputed":
        require(not made._sparse and _n_features(made) == made.shape_fit_[0], "its kernel has other rows")
    elif made._sparse:
        require(scipy.sparse.issparse(vectors) and vectors.format == "csr", "its support vectors are not sparse")
        require(vectors.shape == (n, _n_features(made)), "its support vectors have another shape")
    else:
        require(_is_array(vectors, n, _n_features(made)), "its support vectors have another shape")
    weights = weights.data.reshape(n_classes - 1, -1) if made._sparse else weights  # (n_weights,) -> (n_classes - 1, n)
    require(_is_array(weights, n_classes - 1, n), "its support vectors have other weights")


def _look_at_neighbours(made: Any) -> None:
    if "_fit_X" not in vars(made):
        return
    shape = np.shape(made._fit_X)
    require(shape == (made.n_samples_fit_, _n_features(made)) and shape[0] > 0, "its rows have another shape")
    is_square = shape[0] == shape[1] or "precomputed" not in (made.metric, made.effective_metric_)
    require(is_square, "its distances are not those between rows")
    require(made._tree is None or made._tree.get_arrays()[0].shape == shape, "its tree is of other rows")
    for parameters in (made.metric_params, made.effective_metric_params_):
        require(not parameters or not parameters.keys() & {"X_norm_squared", "Y_norm_squared"}, "it has norms of rows")
    if "classes_" in vars(made):
        require((getattr(made, "n_neighbors", None) or 1) <= shape[0], "it looks for more neighbours than it has rows")
        classes = made.classes_ if made._y.ndim == 2 else [made.classes_]
        require(made._y.shape[:1] == shape[:1], "it has other labels than rows")
        for labels, known in zip(made._y.reshape(shape[0], -1).T, classes, strict=True):  # (n,) -> (1, n)
            require((labels >= 0).all() and (labels < len(known)).all(), "a label is none of its classes")


def _look_at_centers(made: Any) -> None:
    if "cluster_centers_" not in vars(made):
        return
    if made._n_threads is None:  # that of the machine that saved it
        from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

        made._n_threads = _openmp_effective_n_threads()
    n_features, n_clusters = _n_features(made), len(made.cluster_centers_)
    require(_is_array(made.cluster_centers_, n_clusters, n_features) and n_clusters, "its centres have another shape")
    require("_counts" not in vars(made) or _is_array(made._counts, n_clusters), "it counts other clusters than it has")
    if "_bisecting_tree" in vars(made):
        require("_X_mean" not in vars(made) or _is_array(made._X_mean, n_features), "its mean has another shape")
        nodes = [made._bisecting_tree]
        for node in nodes:
            require(_is_array(node.center, n_features), "a centre has another shape")
            require(len(nodes) <= 2 * n_clusters, "its clusters are no tree")
            nodes += [] if node.left is None else [node.left, node.right]


def _look_at_gradient_descent(made: Any) -> None:
    if "coef_" in vars(made):
        shape = np.shape(made.coef_)
        require(shape[-1:] == (_n_features(made),) and 0 not in shape, "its coefficients have another shape")
        for name in ("_standard_coef", "_average_coef"):
            require(np.shape(vars(made).get(name, made.coef_)) == shape, f"its {name} has another shape")


def _look_at_linkage(made: Any) -> None:
    if "_single_linkage_tree_" in vars(made):
        merged = made._single_linkage_tree_
        for side in ("left_node", "right_node"):
            require(
                (merged[side] >= 0).all() and (merged[side] <= 2 * len(merged)).all(), "it merges what is not there"
            )


def _look_at_vocabulary(made: Any) -> None:
    require(
        getattr(made, "input", "content") == "content", "input= has it open files; read them and pass their content"
    )
    for name in ("vocabulary_", "_cached_dict"):
        words = vars(made).get(name) or {}
        require(_are_positions(words.values(), len(words)), f"its {name} has other columns than words")


def _look_at_labels(made: Any) -> None:
    _look_at_vocabulary(made)
    classes = list(vars(made).get("classes_", ()))
    require(len(set(classes)) == len(classes), "it has a label twice")


def _look_at_powers(made: Any) -> None:
    for name in ("interaction_only", "include_bias"):
        require(type(getattr(made, name)) is bool, f"its {name} is neither True nor False")
    if "n_output_features_" in vars(made):
        degrees = (made._min_degree, made._max_degree)
        require(all(isinstance(n, (int, np.integer)) and 0 <= n < 2**31 for n in degrees), "it has other degrees")


def _look_at_hashing(made: Any) -> None:
    _look_at_vocabulary(made)
    n = made.n_features
    require(isinstance(n, (int, np.integer)) and 0 < n < 2**31, f"it has {n!r} features")


def _look_at_categories(made: Any) -> None:
    if "categories_" not in vars(made):
        return
    n_features, drop = _n_features(made), made._drop_idx_after_grouping
    n_columns = []
    for i, known in enumerate(made.categories_):
        n = len(known)
        if known.dtype.kind not in "OUS":  # looked up by bisection
            require(np.array_equal(np.searchsorted(known, known), np.arange(n)), "categories are not sorted")
        groups = made._default_to_infrequent_mappings[i] if made._infrequent_enabled else None
        if made._infrequent_enabled:
            require((groups is None) == (made._infrequent_indices[i] is None), "some rare categories are in no group")
        if groups is not None:
            require(_is_array(groups, n) and (groups >= 0).all(), "a category is in no group")
            n = int(groups.max()) + 1
        dropped = None if drop is None else drop[i]
        require(dropped is None or 0 <= dropped < n, "it drops a category that is not there")
        n_columns.append(n if dropped is None else n - 1)
    require(len(n_columns) == n_features and list(made._n_features_outs) == n_columns, "it has other columns")


def _look_at_one_vs_rest(made: Any) -> None:
    if "estimators_" in vars(made):
        require(
            made.label_binarizer_.y_type_ == "multiclass",
            "for two classes, or several labels a row, it builds a sparse matrix of what its parts predict and does "
            "not look whether that fits; use its estimator= itself for two classes, a MultiOutputClassifier for labels",
        )


_CHECKS: list[tuple[str, tuple[str, ...], Callable[[Any], None]]] = [
    ("sklearn.tree", ("DecisionTreeClassifier", "DecisionTreeRegressor"), _look_at_tree),
    ("sklearn.ensemble", ("GradientBoostingClassifier", "GradientBoostingRegressor"), _look_at_boosting),
    ("sklearn.ensemble", ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"), _look_at_histograms),
    ("sklearn.svm", ("NuSVC", "NuSVR", "OneClassSVM", "SVC", "SVR"), _look_at_libsvm),
    (
        "sklearn.neighbors",
        (
            "KNeighborsClassifier", "KNeighborsRegressor", "KNeighborsTransformer", "LocalOutlierFactor",
            "NearestNeighbors", "RadiusNeighborsClassifier", "RadiusNeighborsRegressor", "RadiusNeighborsTransformer",
        ),
        _look_at_neighbours,
    ),
    ("sklearn.cluster", ("BisectingKMeans", "KMeans", "MiniBatchKMeans"), _look_at_centers),
    ("sklearn.cluster", ("HDBSCAN",), _look_at_linkage),
    (
        "sklearn.linear_model",
        (
            "PassiveAggressiveClassifier", "PassiveAggressiveRegressor", "Perceptron", "SGDClassifier",
            "SGDOneClassSVM", "SGDRegressor",
        ),
        _look_at_gradient_descent,
    ),
    ("sklearn.feature_extraction", ("DictVectorizer",), _look_at_vocabulary),
    ("sklearn.feature_extraction", ("FeatureHasher",), _look_at_hashing),
    ("sklearn.feature_extraction.text", ("CountVectorizer",), _look_at_vocabulary),
    ("sklearn.feature_extraction.text", ("HashingVectorizer",), _look_at_hashing),
    ("sklearn.preprocessing", ("PolynomialFeatures",), _look_at_powers),
    ("sklearn.preprocessing", ("MultiLabelBinarizer",), _look_at_labels),
    ("sklearn.preprocessing", ("OneHotEncoder",), _look_at_categories),
    ("sklearn.multiclass", ("OneVsRestClassifier",), _look_at_one_vs_rest),
    ("sklearn.ensemble", ("StackingClassifier", "StackingRegressor"), _look_at_methods),
    ("sklearn.metrics._scorer", ("_CurveScorer", "_Scorer"), _look_at_methods),
    ("sklearn.model_selection", ("FixedThresholdClassifier", "TunedThresholdClassifierCV"), _look_at_methods),
    ("sklearn.multioutput", ("ClassifierChain",), _look_at_methods),
]  # fmt: skip
