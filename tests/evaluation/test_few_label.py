import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrep import PCAEncoder, RandomEncoder
from skrep.evaluation import compare, few_label_probe
from skrep.evaluation.few_label import _draw


def test_draws_are_stratified_and_differ():
    y = np.repeat(["a", "b", "c"], [50, 30, 20])
    for budget, expected in [
        (4, [4, 4, 4]),
        (0.1, [5, 3, 2]),
        (1.0, [50, 30, 20]),
        (0.001, [1, 1, 1]),
        (np.int64(2), [2, 2, 2]),
    ]:
        rows = _draw(y, budget, np.random.default_rng(0))
        assert [(y[rows] == c).sum() for c in "abc"] == expected
        assert len(set(rows)) == len(rows)
    assert not np.array_equal(_draw(y, 4, np.random.default_rng(0)), _draw(y, 4, np.random.default_rng(1)))


def test_against_the_probe_by_hand(digits):
    X, y = digits
    scores = few_label_probe(
        None, X[:400], y[:400], X[400:], y[400:], budgets=[5, 0.5, 1.0], n_resamples=3, C=0.5, random_state=4
    )
    assert scores.n_labels == (50, sum(max(1, round(0.5 * c)) for c in np.bincount(y[:400])), 400)
    for i, budget in enumerate(scores.budgets):
        for j, score in enumerate(scores.scores[i]):
            rows = _draw(y[:400], budget, np.random.default_rng([4, j]))
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=2000)).fit(X[rows], y[rows])
            assert score == probe.score(X[400:], y[400:])
    assert [len(s) for s in scores.scores] == [3, 3, 1]
    np.testing.assert_allclose(scores.mean[0], np.mean(scores.scores[0]))
    np.testing.assert_allclose(scores.sd, [np.std(scores.scores[0], ddof=1), np.std(scores.scores[1], ddof=1), 0])
    assert "5 a class" in str(scores)
    assert "all labels" in str(scores)


def test_estimators_fitted_or_not_and_arrays(digits):
    X, y = digits
    given = {"budgets": [3], "n_resamples": 2}
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
        budgets=[1, 5],
        n_resamples=2,
    )
    assert result.n_train + result.n_test == 600
    alone = few_label_probe(PCAEncoder(8), X, y, budgets=[1, 5], n_resamples=2)
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
        {"raw": None, "random": RandomEncoder(8, random_state=0)}, frame, pd.Series(names), budgets=[2], n_resamples=2
    )
    assert np.isfinite([row.scores.mean for row in result.rows]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budgets": [0]}, r"budget\b.* 0 .*\bclass\b"),
        ({"budgets": [500]}, r"budget\b.*\b500\b.*\bclass\b.*\d+.*\b1\b.*\d"),
        ({"budgets": [1.5]}, r"budget\b.*\b1\.5\b.*\bint\b.*\bfloat\b"),
        ({"budgets": [-0.1]}, r"budget\b.*-0\.1\b.*\bint\b.*\bfloat\b"),
        ({"n_resamples": 0}, "n_resamples=0"),
        ({"y": np.zeros(600)}, "1 class"),
        ({"y": np.r_[np.zeros(599), 1]}, r"\bclass\b.*\b1 row.*\b2\b"),
        ({"X_test": np.zeros((3, 64)), "y_test": np.zeros(2)}, r"\b3 test\b.*\b2\b"),
    ],
)
def test_bad_requests(change, message, digits):
    with pytest.raises(ValueError, match=message):
        few_label_probe(**{"encoder": None, "X": digits[0], "y": digits[1]} | change)
