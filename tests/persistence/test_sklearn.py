"""scikit-learn's estimators: the same bits after loading, or one sentence that says why they are not saved.

And what a file must not bring scikit-learn's compiled code to do: it reads and writes where it is pointed to.
"""

import contextlib
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import scipy.stats
from sklearn import config_context, metrics, neighbors
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import HDBSCAN, BisectingKMeans, FeatureAgglomeration, KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, mutual_info_classif
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor, kernels
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.manifold import Isomap, LocallyLinearEmbedding
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    HalvingGridSearchCV,
    RandomizedSearchCV,
    StratifiedKFold,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, RegressorChain
from sklearn.naive_bayes import CategoricalNB, GaussianNB, MultinomialNB
from sklearn.neighbors import (
    KernelDensity,
    KNeighborsClassifier,
    KNeighborsTransformer,
    LocalOutlierFactor,
    NearestNeighbors,
    RadiusNeighborsClassifier,
)
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC, SVR, LinearSVC, NuSVC, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils._test_common.instance_generator import _construct_instances
from sklearn.utils._testing import set_random_state
from sklearn.utils.discovery import all_estimators
from sklearn.utils.estimator_checks import _enforce_estimator_tags_X, _enforce_estimator_tags_y

import skrep
from skrep.exceptions import ModelFileError
from skrep.persistence import checks
from skrep.persistence.container import read_container, write_container

METHODS = (
    "predict", "predict_proba", "predict_log_proba", "decision_function", "transform", "score_samples", "kneighbors",
    "radius_neighbors", "apply", "decision_path",
)  # fmt: skip

rng = np.random.default_rng(0)
y = np.arange(60) % 3
X = rng.normal(size=(60, 4)) + y[:, None] * [1, 0.5, 0, 0]
LABELS = np.array(["low", "mid", "high"])[y]
SEVERAL = np.c_[y == 0, y > 0, X[:, 1] > 0].astype(int)
HOLES = np.where(rng.random(X.shape) < 0.1, np.nan, X)
FRAME = pd.DataFrame(X, columns=list("abcd")).assign(
    city=np.array(["Bern", "Oslo", "Rome"])[rng.integers(0, 3, 60)], size=pd.Categorical(LABELS)
)
TEXTS = [f"the {size} house of {city}" for size, city in zip(LABELS, FRAME.city, strict=True)]
ROWS = [{"size": size, "floor": i % 3} for i, size in enumerate(LABELS)]
SPARSE = scipy.sparse.csr_matrix(np.maximum(X, 0))
SPARSE_ARRAY = scipy.sparse.csr_array(np.maximum(X, 0))

# Not saved, and why.
REFUSED = {
    "Birch": r"Birch\.root_: sklearn\.cluster\._birch\._CFNode",  # a linked list of nodes that share their memory
}

# Data for estimators that take something else than a table.
OWN_DATA = {
    "CountVectorizer": (TEXTS, None),
    "DictVectorizer": (ROWS, None),
    "FeatureHasher": (ROWS, None),
    "HashingVectorizer": (TEXTS, None),
    "LabelBinarizer": (LABELS, None),
    "LabelEncoder": (LABELS, None),
    "MultiLabelBinarizer": ([[0, 1], [1], [2]], None),
    "PatchExtractor": (rng.normal(size=(3, 12, 12)), None),
    "SparseCoder": (X[:, :3], None),
    "TfidfVectorizer": (TEXTS, None),
    "TfidfTransformer": (np.abs(X), None),
}


def instances():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are deprecated
        for name, cls in all_estimators():
            made = [cls(LogisticRegression())] if name == "FrozenEstimator" else list(_construct_instances(cls))
            yield from (pytest.param(estimator, id=f"{name}-{i}") for i, estimator in enumerate(made))


def data_for(estimator):
    if type(estimator).__name__ in OWN_DATA:
        return OWN_DATA[type(estimator).__name__]
    return _enforce_estimator_tags_X(estimator, X), _enforce_estimator_tags_y(estimator, y)


def fitted(estimator, X, y=None):
    if isinstance(estimator, FrozenEstimator):
        estimator.estimator.fit(X, y)
        return estimator
    return estimator.fit(X) if y is None else estimator.fit(X, y)


def same(one, other):
    """Whether two results have the same types and the same bits."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, pd.DataFrame):
        return one.equals(other) and list(one) == list(other) and list(one.dtypes) == list(other.dtypes)
    if scipy.sparse.issparse(one):
        return one.shape == other.shape and all(
            same(getattr(one, part), getattr(other, part)) for part in ("data", "indices", "indptr")
        )
    if isinstance(one, np.ndarray) and one.dtype == object:
        return one.shape == other.shape and all(map(same, one.ravel().tolist(), other.ravel().tolist()))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return one == other


def outputs(estimator, X):
    """What each of the methods gives, or the error that it raises."""
    X = X.copy() if hasattr(X, "copy") else X  # some methods do something else for the very table that they were given
    results = {}
    for name in METHODS:
        if hasattr(estimator, name):
            try:
                results[name] = getattr(estimator, name)(X)
            except Exception as error:
                results[name] = f"{type(error).__name__}: {error}"
    if hasattr(estimator, "inverse_transform") and isinstance(results.get("transform"), np.ndarray):
        try:
            results["inverse_transform"] = estimator.inverse_transform(results["transform"])
        except Exception as error:
            results["inverse_transform"] = f"{type(error).__name__}: {error}"
    return results


def assert_round_trip(estimator, X, y, folder, is_settled=True):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".* is deprecated")
        skrep.save(estimator, folder / "file")
        loaded = skrep.load(folder / "file")
        skrep.save(loaded, folder / "again")
    assert type(loaded) is type(estimator)
    assert re.sub("0x[0-9a-f]+", "", repr(loaded)) == re.sub("0x[0-9a-f]+", "", repr(estimator))
    assert not is_settled or (folder / "again").read_bytes() == (folder / "file").read_bytes()
    expected = outputs(estimator, X)
    assert same(outputs(loaded, X), expected)
    assert not expected or not all(isinstance(result, str) for result in expected.values())
    if hasattr(estimator, "partial_fit"):
        pickled = pickle.loads(pickle.dumps(estimator))
        for one in (pickled, loaded):
            one.partial_fit(X) if y is None else one.partial_fit(X, y)
        assert same(outputs(loaded, X), outputs(pickled, X))


@pytest.mark.filterwarnings("ignore")  # fits on 60 rows do not converge
@pytest.mark.parametrize("estimator", list(instances()))
def test_every_estimator(estimator, tmp_path):
    estimator = estimator if isinstance(estimator, FrozenEstimator) else clone(estimator)
    set_random_state(estimator, 0)
    X, y = data_for(estimator)
    fitted(estimator, X, y)
    name = type(estimator).__name__
    if name in REFUSED:
        with pytest.raises(TypeError, match=REFUSED[name]):
            skrep.save(estimator, tmp_path / "file")
        assert not list(tmp_path.iterdir())
    else:
        assert_round_trip(estimator, X, y, tmp_path)


def by_column():
    return make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include=np.number)),
        (OneHotEncoder(handle_unknown="ignore"), ["city"]),
        (OrdinalEncoder(), ["size"]),
        remainder="passthrough",
    )


def cases():
    few = {"n_estimators": 4, "random_state": 0}
    table = {
        "bagging": BaggingClassifier(KNeighborsClassifier(), max_features=0.5, **few),
        "calibrated": CalibratedClassifierCV(LinearSVC(), cv=3),
        "calibrated, isotonic": CalibratedClassifierCV(GaussianNB(), cv=3, method="isotonic"),
        "calibrated, temperature": CalibratedClassifierCV(LogisticRegression(), cv=3, method="temperature"),
        "calibrated, frozen": CalibratedClassifierCV(FrozenEstimator(LogisticRegression().fit(X, LABELS))),
        "decision tree, pruned": DecisionTreeClassifier(ccp_alpha=0.02, random_state=0),
        "decision tree, best first": DecisionTreeClassifier(max_leaf_nodes=6, random_state=0),
        "forest": RandomForestClassifier(**few),
        "gaussian process": GaussianProcessClassifier(1.0 * kernels.RBF()),
        "gradient boosting": GradientBoostingClassifier(**few),
        "grid": GridSearchCV(make_pipeline(StandardScaler(), SVC()), {"svc__C": [0.1, 1]}, cv=3, scoring="f1_macro"),
        "grid, scores": GridSearchCV(
            LogisticRegression(),
            {"C": [0.1, 1]},
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
            scoring={"a": "accuracy", "b": metrics.make_scorer(metrics.fbeta_score, beta=2, average="macro")},
            refit="b",
        ),
        "grid, given splits": GridSearchCV(
            LogisticRegression(), {"C": [0.1, 1]}, cv=[(np.arange(30), np.arange(30, 60))]
        ),
        "halving": HalvingGridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=3),
        "histograms": HistGradientBoostingClassifier(max_iter=3),
        "histograms, stopped early": HistGradientBoostingClassifier(
            max_iter=3, early_stopping=True, max_features=0.5, random_state=0
        ),
        "linear discriminant": LinearDiscriminantAnalysis(),
        "linear svm": LinearSVC(),
        "neighbours, ball tree": KNeighborsClassifier(algorithm="ball_tree", metric="manhattan", weights="distance"),
        "neighbours, brute": KNeighborsClassifier(algorithm="brute"),
        "neighbours, k-d tree": KNeighborsClassifier(metric="minkowski", p=3, algorithm="kd_tree"),
        "neighbours in a radius": RadiusNeighborsClassifier(2.0, outlier_label="most_frequent"),
        "one vs one": OneVsOneClassifier(SVC()),
        "one vs rest": OneVsRestClassifier(LinearSVC()),
        "perceptron": MLPClassifier((5,), max_iter=3, random_state=0),
        "polynomials": make_pipeline(PolynomialFeatures(2), LogisticRegression()),
        "quadratic discriminant": QuadraticDiscriminantAnalysis(),
        "randomized": RandomizedSearchCV(
            RandomForestClassifier(**few),
            {"max_depth": scipy.stats.randint(1, 4), "min_impurity_decrease": scipy.stats.loguniform(1e-4, 0.1)},
            n_iter=2,
            cv=3,
            random_state=0,
        ),
        "recursive elimination": RFE(LogisticRegression(), n_features_to_select=2),
        "select by mutual information": SelectKBest(mutual_info_classif, k=2),
        "select from a model": SelectFromModel(RandomForestClassifier(**few), threshold="median"),
        "stacking": StackingClassifier(
            [("a", GaussianNB()), ("b", make_pipeline(StandardScaler(), LinearSVC()))], cv=3
        ),
        "svm": SVC(random_state=0),
        "svm, function as kernel": SVC(kernel=rbf_kernel),
        "union": make_union(PCA(2), SelectKBest(k=1)),
        "voting": VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"),
    }
    numbers = {
        "boosting, huber": GradientBoostingRegressor(loss="huber", **few),
        "boosting, from zero": GradientBoostingRegressor(loss="quantile", init="zero", **few),
        "forest": RandomForestRegressor(**few),
        "gaussian process": GaussianProcessRegressor(
            kernels.ConstantKernel() * kernels.Matern() + kernels.WhiteKernel() + kernels.RationalQuadratic(),
            optimizer=None,
        ),
        "histograms, quantile": HistGradientBoostingRegressor(max_iter=3, loss="quantile", quantile=0.3),
        "nu svm": NuSVR(),
        "perceptron": MLPRegressor(hidden_layer_sizes=(5,), solver="sgd", max_iter=3, random_state=0),
        "stacking": StackingRegressor([("a", Ridge()), ("b", LinearRegression())], cv=3),
        "svm": SVR(),
        "target transformed": TransformedTargetRegressor(Ridge(), func=np.sinh, inverse_func=np.arcsinh),
        "target ranked": TransformedTargetRegressor(Ridge(), transformer=QuantileTransformer(n_quantiles=10)),
    }
    unsupervised = {
        "agglomeration": FeatureAgglomeration(2),
        "bins": KBinsDiscretizer(4, quantile_method="averaged_inverted_cdf"),
        "bisecting k-means": BisectingKMeans(5, random_state=0),
        "density": KernelDensity(bandwidth=0.5, algorithm="ball_tree", metric="chebyshev"),
        "forest, isolation": IsolationForest(max_features=0.5, **few),
        "hdbscan": HDBSCAN(copy=True),
        "isomap": Isomap(n_neighbors=4),
        "isomap of a graph": make_pipeline(
            KNeighborsTransformer(n_neighbors=9, mode="distance"), Isomap(n_neighbors=4, metric="precomputed")
        ),
        "k-means": KMeans(3, random_state=0),
        "k-means, batches": MiniBatchKMeans(3, random_state=0),
        "local linear": LocallyLinearEmbedding(n_neighbors=4, random_state=0),
        "logarithm": FunctionTransformer(np.arcsinh, inverse_func=np.sinh),
        "mixture": GaussianMixture(2, random_state=0),
        "neighbours, mahalanobis": NearestNeighbors(
            metric="mahalanobis", metric_params={"V": np.cov(X.T)}, algorithm="ball_tree"
        ),
        "neighbours, scaled": NearestNeighbors(
            metric="seuclidean", metric_params={"V": X.var(0)}, algorithm="ball_tree"
        ),
        "neighbours, weighted": NearestNeighbors(metric="minkowski", p=3, metric_params={"w": np.arange(1.0, 5)}),
        "neighbours, a function": NearestNeighbors(metric=metrics.mean_squared_error),
        "nystroem": Nystroem(kernel="laplacian", n_components=5, random_state=0),
        "one class": OneClassSVM(),
        "outliers": LocalOutlierFactor(novelty=True),
        "powers": PowerTransformer(),
        "quantiles": QuantileTransformer(n_quantiles=20, output_distribution="normal"),
        "splines": SplineTransformer(extrapolation="periodic"),
        "splines, sparse": SplineTransformer(sparse_output=True),
    }
    yield from ((f"{name} (classes)", estimator, X, LABELS) for name, estimator in table.items())
    yield from ((f"{name} (numbers)", estimator, X, X[:, 0]) for name, estimator in numbers.items())
    yield from ((name, estimator, X, None) for name, estimator in unsupervised.items())
    yield "chain (numbers)", RegressorChain(Ridge()), X, X[:, :2]
    yield "chain (labels)", ClassifierChain(LogisticRegression(), order="random", random_state=0), X, SEVERAL
    yield "several outputs", MultiOutputClassifier(LogisticRegression()), X, SEVERAL
    yield "forest of several outputs", RandomForestClassifier(**few), X, SEVERAL
    brute = KNeighborsClassifier(algorithm="brute", metric="manhattan")
    yield "neighbours of several outputs", brute, X, SEVERAL
    yield "threshold, fixed", FixedThresholdClassifier(LogisticRegression(), threshold=0.3), X, y > 0
    yield "threshold, tuned", TunedThresholdClassifierCV(LogisticRegression(), cv=3), X, y > 0
    yield "svm of two classes", SVC(), X, y > 0
    yield "precomputed kernel", SVC(kernel="precomputed"), rbf_kernel(X), LABELS
    yield "precomputed distances", KNeighborsClassifier(metric="precomputed"), metrics.euclidean_distances(X), LABELS
    yield "on a sphere", NearestNeighbors(metric="haversine"), X[:, :2], None
    yield "isotonic", IsotonicRegression(out_of_bounds="clip"), X[:, 0], X[:, 1]
    yield "counts", MultinomialNB(), np.abs(X), LABELS
    yield "categories", CategoricalNB(), np.c_[y, y % 2], LABELS
    some = np.where(np.arange(60) % 4, -1, y)
    yield "labels that spread", LabelSpreading(kernel="knn"), X, some
    yield "labels of its own", SelfTrainingClassifier(LogisticRegression()), X, some

    yield "columns", make_pipeline(by_column(), LogisticRegression()), FRAME, LABELS
    texts = ColumnTransformer([("a", StandardScaler(), ["a"]), ("t", TfidfVectorizer(), "city")], remainder=PCA(1))
    yield "columns, texts and the rest", texts, FRAME[["a", "b", "city"]], LABELS
    both = [("a", StandardScaler(), ["a"]), ("o", OneHotEncoder(sparse_output=False), ["city"])]
    yield "columns, pandas out", ColumnTransformer(both).set_output(transform="pandas"), FRAME, None
    named = FRAME[["city", "size"]]
    few_names = OneHotEncoder(drop="first", min_frequency=15, handle_unknown="infrequent_if_exist")
    yield "one hot, grouped", few_names, named, None
    yield "one hot, numbers", OneHotEncoder(max_categories=2), np.c_[y, y % 2], None
    yield "one hot, dropped", OneHotEncoder(drop="if_binary"), np.c_[y, y % 2].astype(float), None
    yield "one hot, missing", OneHotEncoder(), np.where(y == 0, np.nan, y)[:, None], None
    yield "one hot, booleans", OneHotEncoder(), (y == 0)[:, None], None
    yield "ordinal", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), named, None
    yield "targets", TargetEncoder(random_state=0), named, LABELS
    categories = HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype")
    yield "histograms, categories", categories, FRAME.drop(columns="city"), LABELS
    yield "histograms, a category", clone(categories).set_params(categorical_features=[1]), np.c_[X[:, 0], y], LABELS

    yield "words", make_pipeline(TfidfVectorizer(stop_words="english"), LogisticRegression()), TEXTS, LABELS
    hashed = make_pipeline(
        HashingVectorizer(n_features=64), SGDClassifier(loss="log_loss", average=True, random_state=0)
    )
    yield "words, hashed", hashed, TEXTS, LABELS
    yield "letters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 3), sublinear_tf=True), TEXTS, None
    yield "dicts", make_pipeline(DictVectorizer(), LogisticRegression()), ROWS, LABELS

    yield "forest with holes", RandomForestClassifier(**few), HOLES, LABELS
    yield "histograms with holes", HistGradientBoostingRegressor(max_iter=3), HOLES, X[:, 0]
    yield "filled, indicated", SimpleImputer(add_indicator=True), HOLES, None
    yield "filled, names", SimpleImputer(strategy="most_frequent"), FRAME[["city"]], None
    yield "filled from neighbours", KNNImputer(), HOLES, None
    yield "filled by turns", IterativeImputer(random_state=0), HOLES, None
    trees = IterativeImputer(ExtraTreesRegressor(2, random_state=0), max_iter=2, random_state=0)
    yield "filled by trees", trees, HOLES, None

    for form, rows in {"sparse matrix": SPARSE, "sparse array": SPARSE_ARRAY}.items():
        yield f"boosting, {form}", GradientBoostingClassifier(**few), rows, LABELS
        yield f"forest, {form}", RandomForestClassifier(**few), rows, LABELS
        yield f"k-means, {form}", KMeans(3, random_state=0), rows, None
        yield f"neighbours, {form}", KNeighborsClassifier(), rows, LABELS
        yield f"svm, {form}", SVC(kernel="linear"), rows, LABELS
        yield f"nu svm, {form}", NuSVC(nu=0.3), rows, LABELS


CASES = {name: case for name, *case in cases()}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.exhaustive if i % 3 else ()) for i, name in enumerate(CASES)],
)
def test_what_people_build(name, tmp_path):
    estimator, X, y = CASES[name]
    estimator = fitted(clone(estimator), X, y)
    assert_round_trip(estimator, X, y, tmp_path, is_settled="svm, sparse" not in name)


@pytest.mark.parametrize("kind", ["BallTree", "KDTree"])
def test_trees_of_neighbours_are_built_alike(kind, tmp_path):
    rows = np.random.default_rng(0).normal(size=(1500, 3)).round(1)  # with many ties
    for metric in sorted(getattr(neighbors, kind).valid_metrics):
        parameters = {"seuclidean": {"V": np.arange(1.0, 4)}, "mahalanobis": {"V": np.diag([1.0, 2, 3])}}.get(metric)
        if metric in ("pyfunc", "haversine"):
            continue
        algorithm = {"BallTree": "ball_tree", "KDTree": "kd_tree"}[kind]
        table = rows > 0 if metric in metrics._dist_metrics.BOOL_METRICS else rows
        estimator = NearestNeighbors(
            algorithm=algorithm, metric=metric, metric_params=parameters, leaf_size=7, radius=0.3
        ).fit(table)
        skrep.save(estimator, tmp_path / "file")
        loaded = skrep.load(tmp_path / "file")
        assert all(map(same, estimator._tree.get_arrays(), loaded._tree.get_arrays()))
        assert same(outputs(loaded, table[:50]), outputs(estimator, table[:50]))


@pytest.mark.parametrize(
    ("estimator", "X", "y", "place"),
    [
        (FunctionTransformer(lambda x: x), X, None, r"FunctionTransformer\.func"),
        (make_pipeline(StandardScaler(), FunctionTransformer(lambda x: x)), X, None, r"steps\[1\]\[1\]\.func"),
        (TfidfVectorizer(input="filename"), None, None, "TfidfVectorizer.*input="),
        (
            GradientBoostingRegressor(n_estimators=2, init=LinearRegression()),
            X,
            X[:, 0],
            "GradientBoostingRegressor.*init=",
        ),
        (OneVsRestClassifier(LogisticRegression()), X, SEVERAL, "MultiOutputClassifier"),
        (OneVsRestClassifier(LogisticRegression()), X, y > 0, "OneVsRestClassifier.*estimator="),
        (NearestNeighbors(metric=metrics.DistanceMetric.get_metric("euclidean")), X, None, r"NearestNeighbors\.metric"),
    ],
)
def test_what_cannot_be_saved_says_where(estimator, X, y, place, tmp_path):
    estimator = estimator if X is None else fitted(estimator, X, y)
    with pytest.raises(TypeError, match=place):
        skrep.save(estimator, tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_a_fresh_process_loads_what_it_has_not_imported(tmp_path):
    names = ["columns", "filled by turns", "halving (classes)", "histograms, categories", "svm, sparse array", "words"]
    for name in names:
        estimator, X, y = CASES[name]
        skrep.save(fitted(clone(estimator), X, y), tmp_path / name)
    code = "import sys, skrep\nfor path in sys.argv[1:]: skrep.load(path)"
    paths = [tmp_path / name for name in names]
    done = subprocess.run([sys.executable, "-W", "error", "-c", code, *paths], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_belongs_to_this_machine_stays_here(tmp_path):
    made = make_pipeline(StandardScaler(), KMeans(2, random_state=0), memory=str(tmp_path / "cache")).fit(X)
    made[-1]._n_threads = 64
    made._skl_callbacks = [print]
    skrep.save(made, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    assert loaded.memory is None
    assert loaded[-1]._n_threads == KMeans(2).fit(X)._n_threads
    assert not hasattr(loaded, "_skl_callbacks")
    assert (made.memory, made[-1]._n_threads) == (str(tmp_path / "cache"), 64)


def test_requests_for_metadata(tmp_path):
    with config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        made = make_pipeline(scaler, LogisticRegression().set_fit_request(sample_weight=True)).fit(X, y)
        skrep.save(made, tmp_path / "file")
        loaded = skrep.load(tmp_path / "file")
        assert repr(loaded.get_metadata_routing()) == repr(made.get_metadata_routing())
        weights = np.arange(60.0)
        assert same(*(one.fit(X, y, sample_weight=weights).predict_proba(X) for one in (clone(loaded), clone(made))))


def test_every_class_that_is_looked_at_is_there():
    assert [getattr(sys.modules[module], name) for module, names, _ in checks._CHECKS for name in names]


def states(content, name):
    """The attributes of the objects of a class, or the parts of the compiled objects of a kind, in a file's content."""
    names, found, left = content["names"], [], [content["estimator"]]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            if "object" in node and names[node["object"]].split(".")[-1] == name:
                found.append(node["state"]["dict"])
            if node.get("compiled") == name:
                found.append(node["parts"]["dict"])
        left += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
    return found


def change(path, name, attribute, value):
    """Write `value` over an attribute in a file; a function is given the array that stands there."""
    content, arrays = read_container(path, "estimator")
    (state, *_) = states(content, name)
    if callable(value):
        array = value(arrays[state[attribute]["array"]].copy())
        state[attribute] = {"array": len(arrays)}
        arrays.append(array)
    elif value is None:
        del state[attribute]
    else:
        state[attribute] = value
    write_container(path, "estimator", content, arrays)


def with_field(field, at, value):
    def write(nodes):
        nodes[field][at] = value
        return nodes

    return write


def cut(array):
    return array[:-1]


def narrow(array):
    return np.ascontiguousarray(array[:, :-1])


HOSTILE = [
    ("forest (classes)", "tree", "nodes", with_field("left_child", 0, 10**6)),
    ("forest (classes)", "tree", "nodes", with_field("left_child", 0, -2)),
    ("forest (classes)", "tree", "nodes", with_field("left_child", 0, 0)),
    ("forest (classes)", "tree", "nodes", with_field("right_child", 0, 1)),
    ("forest (classes)", "tree", "nodes", with_field("feature", 0, 4)),
    ("forest (classes)", "tree", "nodes", with_field("feature", 0, -1)),
    ("forest (classes)", "tree", "nodes", cut),
    ("forest (classes)", "tree", "values", cut),
    ("forest (classes)", "tree", "classes", lambda classes: classes + 1),
    ("forest (classes)", "tree", "features", 5),
    ("forest (classes)", "DecisionTreeClassifier", "n_features_in_", 5),
    ("forest (classes)", "DecisionTreeClassifier", "n_features_in_", None),
    ("boosting, huber (numbers)", "DecisionTreeRegressor", "n_features_in_", 3),
    ("boosting, huber (numbers)", "GradientBoostingRegressor", "n_features_in_", 9),
    ("boosting, huber (numbers)", "GradientBoostingRegressor", "_loss", "zero"),
    ("boosting, huber (numbers)", "DummyRegressor", "n_outputs_", 0),
    ("gradient boosting (classes)", "DummyClassifier", "class_prior_", cut),
    ("boosting, from zero (numbers)", "GradientBoostingRegressor", "n_trees_per_iteration_", 0),
    ("boosting, from zero (numbers)", "GradientBoostingRegressor", "init_", "predict"),
    ("histograms (classes)", "histogram tree", "nodes", with_field("left", 0, 10**6)),
    ("histograms (classes)", "histogram tree", "nodes", with_field("right", 0, 0)),
    ("histograms (classes)", "histogram tree", "nodes", with_field("feature_idx", 0, 4)),
    ("histograms (classes)", "histogram tree", "nodes", with_field("is_categorical", 0, 1)),
    ("histograms (classes)", "HistGradientBoostingClassifier", "_in_fit", True),
    ("histograms (classes)", "_BinMapper", "is_categorical_", cut),
    ("histograms, categories", "histogram tree", "nodes", with_field("bitset_idx", slice(None), 99)),
    ("histograms, categories", "histogram tree", "raw", lambda bits: bits[:0]),
    ("histograms, categories", "histogram tree", "binned", narrow),
    ("histograms, categories", "ColumnTransformer", "_transformer_to_input_indices", {"dict": {}}),
    ("histograms, categories", "ColumnTransformer", "transformers_", []),
    ("histograms, categories", "FunctionTransformer", "func", {"name": 0}),
    ("svm (classes)", "SVC", "_n_support", lambda counts: counts + 1),
    ("svm (classes)", "SVC", "_n_support", lambda counts: counts * [1, 1, -1]),
    ("svm (classes)", "SVC", "support_", lambda rows: rows + 1000),
    ("svm (classes)", "SVC", "support_vectors_", cut),
    ("svm (classes)", "SVC", "support_vectors_", narrow),
    ("svm (classes)", "SVC", "_dual_coef_", narrow),
    ("svm (classes)", "SVC", "_intercept_", cut),
    ("svm (classes)", "SVC", "_probA", lambda _: np.ones(1)),
    ("svm (classes)", "SVC", "n_features_in_", None),
    ("svm (classes)", "SVC", "_impl", "epsilon_svr"),
    ("svm (classes)", "SVC", "classes_", cut),
    ("svm (numbers)", "SVR", "_n_support", cut),
    ("svm, sparse matrix", "SVC", "n_features_in_", 3),
    ("svm, sparse matrix", "SVC", "_n_support", lambda counts: counts + 1),
    ("svm, function as kernel (classes)", "SVC", "_BaseLibSVM__Xfit", cut),
    ("svm, function as kernel (classes)", "SVC", "kernel", {"name": 0}),
    ("svm, sparse matrix", "SVC", "_sparse_kernels", ["precomputed", "linear"]),
    ("precomputed kernel", "SVC", "shape_fit_", {"tuple": [9, 60]}),
    ("neighbours, k-d tree (classes)", "neighbours", "data", cut),
    ("neighbours, k-d tree (classes)", "neighbours", "data", lambda rows: rows * np.nan),
    ("neighbours, k-d tree (classes)", "neighbours", "leaf_size", 0),
    ("neighbours, k-d tree (classes)", "neighbours", "metric", "cosine"),
    ("neighbours, mahalanobis", "neighbours", "metric", "haversine"),
    ("neighbours, brute (classes)", "KNeighborsClassifier", "_fit_X", narrow),
    ("neighbours, brute (classes)", "KNeighborsClassifier", "_y", lambda labels: labels + 1),
    ("neighbours, brute (classes)", "KNeighborsClassifier", "_y", cut),
    ("neighbours, brute (classes)", "KNeighborsClassifier", "n_neighbors", 61),
    ("neighbours, brute (classes)", "KNeighborsClassifier", "n_samples_fit_", 6),
    ("neighbours, brute (classes)", "KNeighborsClassifier", "metric_params", {"dict": {"Y_norm_squared": 1}}),
    ("neighbours of several outputs", "KNeighborsClassifier", "_y", lambda labels: labels - 1),
    ("precomputed distances", "KNeighborsClassifier", "_fit_X", cut),
    ("k-means", "KMeans", "cluster_centers_", narrow),
    ("k-means", "KMeans", "_n_threads", 10**6),
    ("k-means, batches", "MiniBatchKMeans", "_counts", cut),
    ("bisecting k-means", "_BisectingTree", "center", cut),
    ("bisecting k-means", "BisectingKMeans", "_kmeans_single", "fit"),
    ("hdbscan", "HDBSCAN", "_single_linkage_tree_", with_field("left_node", 0, 10**6)),
    ("splines", "spline", "t", lambda knots: knots[::-1]),
    ("splines", "spline", "c", cut),
    ("words", "TfidfVectorizer", "vocabulary_", {"dict": {"house": 10**9}}),
    ("words", "TfidfVectorizer", "input", "filename"),
    ("words, hashed", "HashingVectorizer", "n_features", 0),
    ("words, hashed", "SGDClassifier", "_average_coef", narrow),
    ("dicts", "DictVectorizer", "vocabulary_", {"dict": {"floor": -1}}),
    ("one hot, numbers", "OneHotEncoder", "_n_features_outs", [1, 1]),
    ("one hot, dropped", "OneHotEncoder", "categories_", [{"array": 0}]),
    ("one hot, missing", "OneHotEncoder", "_n_features_outs", [9]),
    ("one hot, grouped", "OneHotEncoder", "_infrequent_indices", [None, None]),
    ("one hot, grouped", "OneHotEncoder", "_default_to_infrequent_mappings", [None, None]),
    ("one vs rest (classes)", "LabelBinarizer", "y_type_", "binary"),
    ("stacking (classes)", "StackingClassifier", "stack_method_", ["unlink", "predict"]),
    ("threshold, fixed", "FixedThresholdClassifier", "response_method", "set_params"),
    ("chain (labels)", "ClassifierChain", "chain_method_", "set_params"),
    ("grid, scores (classes)", "_Scorer", "_response_method", "set_params"),
    ("logarithm", "FunctionTransformer", "kw_args", {"dict": {"out": {"tuple": []}}}),
    ("union (classes)", "FeatureUnion", "n_jobs", {"bunch": {"dict": {"transform": 1}}, "number": 99}),
    ("columns", "Pipeline", "memory", "/tmp"),
    ("randomized (classes)", "distribution", "name", "gaussian_kde"),
    ("histograms, quantile (numbers)", "loss", "name", "__builtins__"),
    ("histograms, quantile (numbers)", "generator", "state", {"dict": {"bit_generator": "MT19937"}}),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "part", "attribute", "value"), HOSTILE)
def test_hostile_states_are_refused(name, part, attribute, value, tmp_path, monkeypatch):
    estimator, X, y = CASES[name]
    monkeypatch.setattr("skrep.persistence.values.SMALL_BYTES", -1)
    skrep.save(fitted(clone(estimator), X, y), tmp_path / "file")
    change(tmp_path / "file", part, attribute, value)
    with pytest.raises(ModelFileError):
        skrep.load(tmp_path / "file")


def damaged(content, arrays, random):
    """A file's content with one number, array or attribute changed at random."""
    content, arrays = json.loads(json.dumps(content)), list(arrays)
    places, left = [], [content["estimator"]]
    while left:
        node = left.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, item in items:
            left.append(item)
            if key not in ("object", "number", "name", "same") and type(item) in (int, bool, dict):
                places.append((node, key))
    node, key = places[random.integers(len(places))]
    if isinstance(node[key], dict):
        if list(node[key]) != ["array"]:
            del node[key]
            return content, arrays
        array = arrays[node[key]["array"]].copy()
        field = random.choice(array.dtype.names) if array.dtype.names else ...
        part = array[field] if array.dtype.names else array
        ways = [lambda a: a[:-1], lambda a: a[..., :-1], lambda a: a.T, lambda a: a.ravel(), lambda a: np.r_[a, a]]
        if array.size and random.random() < 0.6 and part.dtype.kind in "iufb":
            extremes = [-1, 0, 1, 2, 100, 10**6, 2**31 - 1]
            part.flat[random.integers(part.size)] = np.array(random.choice(extremes)).astype(part.dtype)
        elif array.ndim:
            array = np.ascontiguousarray(ways[random.integers(len(ways))](array))
        node[key] = {"array": len(arrays)}
        arrays.append(array)
    elif key != "array":
        node[key] = int(random.choice([-1, 0, 1, 2, node[key] + 1, node[key] - 1, 10**6]))
    return content, arrays


@pytest.mark.exhaustive
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a crash is watched from another process")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(CASES))
def test_no_damage_brings_it_to_crash(name, tmp_path, monkeypatch):
    estimator, X, y = CASES[name]
    monkeypatch.setattr("skrep.persistence.values.SMALL_BYTES", -1)
    skrep.save(fitted(clone(estimator), X, y), tmp_path / "file")
    content, arrays = read_container(tmp_path / "file", "estimator")
    random = np.random.default_rng(0)
    for trial in range(30):
        write_container(tmp_path / "damaged", "estimator", *damaged(content, arrays, random))
        child = os.fork()
        if not child:
            signal.alarm(20)
            result = 1
            with contextlib.suppress(BaseException):
                with contextlib.suppress(ModelFileError):
                    outputs(skrep.load(tmp_path / "damaged"), X)
                result = 0
            os._exit(result)
        status = os.waitpid(child, 0)[1]
        assert status == 0, f"crashed, went on for ever or raised something else at trial {trial}"
