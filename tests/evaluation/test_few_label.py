import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_diabetes, load_wine
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Perceptron, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skrep import PCAEncoder, RandomEncoder
from skrep.evaluation import compare, default_classifier, default_regressor, few_label_probe, knn_score
from skrep.evaluation.few_label import _draw


def test_draws_are_stratified_and_differ():
    y = np.repeat(["a", "b", "c"], [50, 30, 20])
    for count, expected in [
        (4, [4, 4, 4]),
        (0.1, [5, 3, 2]),
        (1.0, [50, 30, 20]),
        (0.001, [1, 1, 1]),
        (np.int64(2), [2, 2, 2]),
    ]:
        rows = _draw(y, count, np.random.default_rng(0))
        assert [(y[rows] == c).sum() for c in "abc"] == expected
        assert len(set(rows)) == len(rows)
    assert not np.array_equal(_draw(y, 4, np.random.default_rng(0)), _draw(y, 4, np.random.default_rng(1)))


def test_against_the_probe_by_hand(digits):
    X, y = digits
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=2000))
    scores = few_label_probe(
        None, X[:400], y[:400], X[400:], y[400:], labels=[5, 0.5, 1.0], n_resamples=3, probe=model, random_state=4
    )
    assert scores.n_labels == (50, sum(max(1, round(0.5 * c)) for c in np.bincount(y[:400])), 400)
    for i, count in enumerate(scores.labels):
        for j, score in enumerate(scores.scores[i]):
            rows = _draw(y[:400], count, np.random.default_rng([4, j]))
            assert score == clone(model).fit(X[rows], y[rows]).score(X[400:], y[400:])
    assert [len(s) for s in scores.scores] == [3, 3, 1]
    np.testing.assert_allclose(scores.mean[0], np.mean(scores.scores[0]))
    np.testing.assert_allclose(scores.sd, [np.std(scores.scores[0], ddof=1), np.std(scores.scores[1], ddof=1), 0])
    assert "5 a class" in str(scores)
    assert "all labels" in str(scores)


def test_estimators_fitted_or_not_and_arrays(digits):
    X, y = digits
    given = {"labels": [3], "n_resamples": 2}
    fitted = PCAEncoder(8).fit(X[:400])
    before = fitted.components_.copy()
    one = few_label_probe(fitted, X[:400], y[:400], X[400:], y[400:], **given)
    unfitted = PCAEncoder(8)
    two = few_label_probe(unfitted, X[:400], y[:400], X[400:], y[400:], **given)
    three = few_label_probe(None, fitted.transform(X[:400]), y[:400], fitted.transform(X[400:]), y[400:], **given)
    np.testing.assert_array_equal(one.scores[0], two.scores[0])
    np.testing.assert_array_equal(one.scores[0], three.scores[0])
    assert not hasattr(unfitted, "components_")
    np.testing.assert_array_equal(fitted.components_, before)


def test_compare_pairs_rows_and_draws(digits):
    X, y = digits
    result = compare(
        {"raw": None, "same": PCAEncoder(64, svd_solver="full"), "pca": PCAEncoder(8)},
        X,
        y,
        labels=[1, 5],
        n_resamples=2,
    )
    assert result.n_train + result.n_test == 600
    alone = few_label_probe(PCAEncoder(8), X, y, labels=[1, 5], n_resamples=2)
    for ours, theirs in zip(result.rows[2].scores.scores, alone.scores, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    text = str(result)
    assert "1 a class (10)" in text
    assert text.count("*") >= 2
    assert [row.n_features for row in result.rows] == [64, 64, 8]
    assert str(type(result)(1, 1)) == "no encoder was compared"


def test_compare_takes_frames(digits):
    X, y = digits
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(64)])
    names = np.array(list("abcdefghij"))[y]
    result = compare(
        {"raw": None, "random": RandomEncoder(8, random_state=0)}, frame, pd.Series(names), labels=[2], n_resamples=2
    )
    assert np.isfinite([row.scores.mean for row in result.rows]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0]}, r"\b0 labels per class\b.* from 1 to \d+ in labels="),
        ({"labels": [500]}, r"\b500 labels per class\b.*class \d has \d+ training rows\b.* from 1 to \d+ in labels="),
        ({"labels": [1.5]}, r"1\.5 in labels= .*\bint\b.*\bfloat\b"),
        ({"labels": [-0.1]}, r"-0\.1 in labels= .*\bint\b.*\bfloat\b"),
        ({"labels": [True]}, r"True in labels= .*\bint\b.*\bfloat\b"),
        ({"labels": 5}, r"labels=5: expected a sequence\b.*\(1, 5, 10, 1\.0\)"),
        ({"labels": []}, r"labels=\[\]: expected a sequence\b"),
        ({"n_resamples": 0}, "n_resamples=0"),
        ({"y": np.zeros(600)}, "1 class"),
        ({"y": np.r_[np.zeros(599), 1]}, r"\bclass\b.*\b1 row.*\b2\b"),
        ({"X_test": np.zeros((3, 64)), "y_test": np.zeros(2)}, r"\b3 test\b.*\b2\b"),
        ({"y": np.zeros(599)}, r"\b600 training rows but 599 labels\b"),
        ({"X_test": np.zeros((3, 64))}, r"\bX_test\b.*\by_test\b"),
        ({"X_test": np.zeros((3, 64)), "y_test": [np.nan] * 3}, r"none of the 3 test rows has a label"),
        ({"X_test": np.zeros((3, 64)), "y_test": [0, 1, 2], "groups": np.arange(600)}, r"\bgroups\b.*\bX_test\b"),
        ({"groups": np.arange(3)}, r"groups has shape \(3,\).*\(600,\)"),
        ({"groups": np.zeros(600)}, r"groups has 1 group\b.*\b2\b"),
        ({"y": np.full(600, np.nan)}, r"none of the 600 rows in y has a label"),
        ({"y": np.r_[np.zeros(300), np.full(300, np.nan)]}, r"1 class, 0\.0"),
        ({"y": np.arange(600)}, r"class 0 has 1 row with a label\b.*\b2\b"),
        ({"y": np.zeros((600, 2))}, r"shape \(600, 2\).*\bone label for each row\b"),
        ({"y": None}, r"\bno y\b"),
        (
            {"scoring": "roc_auc_ovr", "probe": Perceptron()},
            r"'roc_auc_ovr' needs predict_proba\b.*\bPerceptron has not",
        ),
        ({"scoring": "no such"}, "no such"),
    ],
)
def test_bad_requests(change, message, digits):
    with pytest.raises(ValueError, match=message):
        few_label_probe(**{"encoder": None, "X": digits[0], "y": digits[1]} | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": PCAEncoder}, r"the class PCAEncoder\b.*PCAEncoder\(\)"),
        ({"encoder": LogisticRegression()}, r"LogisticRegression without transform\b"),
        ({"probe": LogisticRegression}, r"the class LogisticRegression\b.*\binstance\b"),
        ({"probe": "logistic"}, r"'logistic'; expected an instance\b"),
    ],
)
def test_what_is_no_encoder_or_probe(change, message, digits):
    with pytest.raises(TypeError, match=message):
        few_label_probe(**{"encoder": None, "X": digits[0], "y": digits[1]} | change)


def test_rows_that_are_no_numbers_have_to_be_encoded():
    texts, y = ["one", "two", "three", "four"] * 5, [0, 1, 0, 1] * 5
    with pytest.raises(ValueError, match=r"\bno numbers\b.*\bTfidfVectorizer\b"):
        few_label_probe(None, texts, y)


# --- the probe ---------------------------------------------------------------------------------------------------


def test_the_usual_probe_has_one_scale_for_all_features(digits):
    X, y = digits
    ours = few_label_probe(None, X, y, labels=[1, 5], n_resamples=2)
    theirs = few_label_probe(None, X, y, labels=[1, 5], n_resamples=2, probe=default_classifier())
    np.testing.assert_array_equal(ours.scores, theirs.scores)
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    rotated = few_label_probe(None, X @ rotation, y, labels=[1, 5], n_resamples=2)
    np.testing.assert_allclose(ours.scores, rotated.scores, atol=0.01)


def test_scores_of_a_scorer_and_their_names(digits):
    X, y = digits
    data = X[:400], y[:400], X[400:], y[400:]
    scores = few_label_probe(None, *data, labels=[5], n_resamples=1, scoring="balanced_accuracy")
    rows = _draw(y[:400], 5, np.random.default_rng([0, 0]))
    fitted = default_classifier().fit(X[rows], y[rows])
    assert scores.scores[0][0] == balanced_accuracy_score(y[400:], fitted.predict(X[400:]))
    assert scores.metric == "balanced accuracy"
    assert scores.majority == pytest.approx(0.1)
    assert "commonest class" in str(scores)
    loss = few_label_probe(None, *data, labels=[5], n_resamples=1, scoring="neg_log_loss")
    assert loss.metric == "negative log loss"
    assert loss.scores[0][0] < 0
    own = few_label_probe(None, *data, labels=[5], n_resamples=1, scoring=lambda probe, Z, y: float(len(y)))
    assert own.scores[0][0] == 200
    assert few_label_probe(None, *data, labels=[5], n_resamples=1).majority == np.mean(y[400:] == _commonest(y[:400]))


def _commonest(y):
    classes, counts = np.unique(y, return_counts=True)
    return classes[counts.argmax()]


def test_numbers_of_labels_that_cannot_be_drawn_are_left_out():
    X, y = load_wine(return_X_y=True)
    assert few_label_probe(None, X, y, n_resamples=1).labels == (1, 5, 10, 1.0)
    assert few_label_probe(None, X[::5], y[::5], n_resamples=1).labels == (1, 5, 1.0)


def test_numbers_of_numpy_are_drawn_as_those_of_python(digits):
    ours = few_label_probe(None, *digits, labels=np.array([1, 5]), n_resamples=3)
    assert [len(score) for score in ours.scores] == [3, 3]


def test_quantities_are_regressed():
    X, y = load_diabetes(return_X_y=True)
    y = y + 0.5
    scores = few_label_probe(PCAEncoder(5), X, y, n_resamples=2)
    assert (scores.labels, scores.metric) == ((10, 50, 100, 1.0), "R²")
    assert scores.n_labels == (10, 50, 100, 331)
    assert scores.quantities
    assert -0.1 < scores.majority < 0.01
    train, test = train_test_split(np.arange(len(y)), test_size=0.25, random_state=0)
    pca = PCAEncoder(5).fit(X[train])
    ridge = default_regressor().fit(pca.transform(X[train]), y[train])
    assert scores.scores[-1][0] == pytest.approx(ridge.score(pca.transform(X[test]), y[test]))
    assert "50 labels" in str(scores)
    assert "mean of all labels" in str(scores)
    whole = few_label_probe(None, X, np.round(y), labels=[50], n_resamples=1, probe=Ridge())  # a regressor decides
    assert whole.quantities
    with pytest.raises(ValueError, match=r"\b400 labels cannot be drawn: there are 331\b"):
        few_label_probe(None, X, y, labels=[400])
    with pytest.raises(ValueError, match=r"\b3 known values\b.*\b8\b"):
        few_label_probe(None, X[:3], y[:3])


# --- rows --------------------------------------------------------------------------------------------------------


class Counts(TransformerMixin, BaseEstimator):
    """Keeps what it is fitted on."""

    def fit(self, X, y=None):
        self.n_seen_, self.seen_ = len(X), np.asarray(X)
        assert y is None
        return self

    def transform(self, X):
        return np.asarray(X)


@pytest.mark.parametrize("missing", [-1, np.nan, None])
def test_rows_without_a_label_train_the_encoder_only(digits, missing):
    X, y = digits
    known = np.arange(600) % 3 == 0
    few = np.where(known, y, missing) if missing == -1 else np.where(known, y.astype(object), missing)
    result = compare({"counts": Counts(), "pca": PCAEncoder(8)}, X, few, labels=[3], n_resamples=2)
    assert (result.n_train, result.n_test) == (150, 50)
    counts, pca = (row.encoder for row in result.rows)
    assert counts.n_seen_ == 550
    train, test = train_test_split(np.flatnonzero(known), test_size=0.25, stratify=y[known], random_state=0)
    np.testing.assert_array_equal(counts.seen_, X[np.r_[train, np.flatnonzero(~known)]])
    assert "400 more rows without a label trained the encoders." in str(result)
    hand = few_label_probe(pca, X[train], y[train], X[test], y[test], labels=[3], n_resamples=2)
    np.testing.assert_array_equal(result.rows[1].scores.scores, hand.scores)


def test_no_group_is_on_both_sides(digits):
    X, y = digits
    groups = np.repeat(np.arange(60), 10)
    y = groups % 5  # a group has one class
    marked = np.column_stack([X, groups])
    result = compare({"counts": Counts()}, marked, y, labels=[2], n_resamples=2, groups=groups)
    seen = set(result.rows[0].encoder.seen_[:, -1])
    shown = set(result.rows[0].features[:, -1])
    assert seen | shown == set(range(60))
    assert not seen & shown
    assert 0.15 < result.n_test / 600 < 0.35
    assert {group % 5 for group in shown} == set(range(5))
    few = np.where(np.arange(600) % 2, y, -1)  # rows without a label are no way round
    result = compare({"counts": Counts()}, marked, few, labels=[2], n_resamples=2, groups=groups)
    assert not set(result.rows[0].encoder.seen_[:, -1]) & set(result.rows[0].features[:, -1])
    with pytest.raises(ValueError, match=r"class True has rows of 1 group\b"):
        few_label_probe(None, X, groups == 3, groups=groups)
    quantities = few_label_probe(None, X, X[:, 20] + 0.5, labels=[50], n_resamples=1, groups=groups)
    assert quantities.quantities


def test_columns_in_other_units_are_standardised_for_raw():
    X, y = load_wine(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    scaler = StandardScaler().fit(X_train)
    ours = few_label_probe(None, X_train, y_train, X_test, y_test, labels=[5], n_resamples=2)
    hand = few_label_probe(
        None, scaler.transform(X_train), y_train, scaler.transform(X_test), y_test, labels=[5], n_resamples=2
    )
    np.testing.assert_array_equal(ours.scores, hand.scores)
    assert ours.mean[0] > 0.85


def test_sparse_features_and_texts():
    rng = np.random.default_rng(0)
    words = np.array([f"word{i}" for i in range(60)])
    y = np.arange(120) % 3
    texts = [" ".join(rng.choice(words[20 * c : 20 * c + 20], 6)) for c in y]
    tfidf = TfidfVectorizer()
    result = compare({"tfidf": tfidf, "svd": make_pipeline(tfidf, TruncatedSVD(8))}, texts, y, n_resamples=2)
    assert result.rows[0].scores.mean[1] > 0.5
    assert result.rows[0].standardized is not None
    dense = few_label_probe(make_pipeline(tfidf, FunctionTransformer(lambda Z: Z.toarray())), texts, y, n_resamples=2)
    assert abs(dense.mean - result.rows[0].scores.mean).max() < 0.1
    Z = tfidf.fit_transform(texts)
    assert few_label_probe(None, Z, y, labels=[5], n_resamples=2).mean[0] > 0.5
    sparse = knn_score(None, Z, y, n_neighbors=5)
    assert sparse == knn_score(None, Z.toarray(), y, n_neighbors=5)
