"""The probe's regression: its penalty, its solution in the span of the rows, and what rotations change of it."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import ortho_group
from sklearn.datasets import load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks

from skrep.evaluation import CommonScaler, PenalizedLogistic, default_classifier

WINE, KINDS = load_wine(return_X_y=True)
WINE = (WINE - WINE.mean(0)) / WINE.std(0)


@parametrize_with_checks([PenalizedLogistic()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def chosen_by_hand(X, y, Cs, n_splits):
    losses = dict.fromkeys(Cs, 0.0)
    for train, test in StratifiedKFold(n_splits, shuffle=True, random_state=0).split(X, y):
        for C in Cs:
            p = LogisticRegression(C=C, max_iter=2000).fit(X[train], y[train]).predict_proba(X[test])
            losses[C] += log_loss(y[test], p, labels=np.unique(y)) * len(test)
    return min(sorted(Cs), key=losses.__getitem__)


@pytest.mark.parametrize("n", [15, 60, 178])
def test_the_penalty_is_that_of_a_naive_search(n):
    rows = np.random.default_rng(n).permutation(178)[:n]
    Cs = (1e-4, 0.003, 0.1, 3.0, 100.0)
    model = PenalizedLogistic(Cs=Cs).fit(WINE[rows], KINDS[rows])
    fewest = np.bincount(KINDS[rows]).min()
    assert chosen_by_hand(WINE[rows], KINDS[rows], Cs, min(5, fewest)) == model.C_
    plain = LogisticRegression(C=model.C_, max_iter=2000).fit(WINE[rows], KINDS[rows])
    np.testing.assert_allclose(model.predict_proba(WINE), plain.predict_proba(WINE), atol=1e-3)
    np.testing.assert_array_equal(model.classes_, plain.classes_)


def test_noise_is_penalized_more():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 20)), rng.integers(0, 2, 60)
    assert PenalizedLogistic().fit(X, y).C_ == 0.01
    assert PenalizedLogistic().fit(X + 9 * y[:, None], y).C_ == 10


@pytest.mark.parametrize(("X", "y"), [(WINE[[0, 1, 60, 61, 140, 141]], [0, 0, 1, 1, 2, 2]), (WINE, KINDS)])
def test_where_there_is_nothing_to_choose(X, y):
    model = PenalizedLogistic(C=0.7, most_labels=100).fit(X, y)  # two labels a class, or more labels than 100
    assert model.C_ == 0.7


@pytest.mark.parametrize("n_classes", [2, 3])
def test_fewer_rows_than_features(n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, 90)), np.arange(24) % n_classes
    model = PenalizedLogistic(n_splits=2).fit(X, y)
    plain = LogisticRegression(C=model.C_, max_iter=5000, tol=1e-8).fit(X, y)
    new = rng.normal(size=(50, 90))
    np.testing.assert_allclose(model.decision_function(new), plain.decision_function(new), atol=2e-3)
    np.testing.assert_allclose(model.coef_, plain.coef_, atol=1e-3)
    same = PenalizedLogistic(n_splits=2).fit(np.column_stack([X, np.zeros((24, 9))]), y)
    np.testing.assert_allclose(same.coef_[:, :90], model.coef_, atol=1e-6)
    assert not same.coef_[:, 90:].any()


def test_rows_that_are_alike_or_zero():
    X = np.zeros((6, 9))
    model = PenalizedLogistic().fit(X, [0, 1] * 3)
    np.testing.assert_allclose(model.predict_proba(X), 0.5, atol=1e-6)
    X[:] = 1
    assert np.isfinite(PenalizedLogistic().fit(X, [0, 1] * 3).coef_).all()


def test_weights_of_rows():
    weights = np.random.default_rng(0).integers(1, 4, 178)
    weighted = PenalizedLogistic(Cs=()).fit(WINE, KINDS, sample_weight=weights)
    repeated = PenalizedLogistic(Cs=()).fit(WINE.repeat(weights, 0), KINDS.repeat(weights))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-3)


def test_sparse_features():
    X = np.where(WINE > 0.5, WINE, 0)
    dense, sparse = PenalizedLogistic().fit(X, KINDS), PenalizedLogistic().fit(csr_array(X), KINDS)
    assert dense.C_ == sparse.C_
    np.testing.assert_allclose(sparse.predict_proba(csr_array(X)), dense.predict_proba(X), atol=1e-3)


@pytest.mark.parametrize("n_labels", [20, 60, 300])
def test_a_rotation_changes_nothing(n_labels):
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, train_size=n_labels, stratify=y, random_state=0)
    Q = ortho_group.rvs(64, random_state=0)
    raw, turned = default_classifier().fit(X, y), default_classifier().fit(X @ Q, y)
    np.testing.assert_allclose(raw.predict_proba(X_test), turned.predict_proba(X_test @ Q), atol=5e-3)
    assert abs(raw.score(X_test, y_test) - turned.score(X_test @ Q, y_test)) <= 0.002
    assert raw[-1].C_ == turned[-1].C_


def test_the_whole_is_as_accurate_as_each_penalty_of_a_grid():
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X, y, train_size=100, stratify=y, random_state=0)
    scaler = CommonScaler().fit(X)
    best = max(
        LogisticRegression(C=C, max_iter=2000).fit(scaler.transform(X), y).score(scaler.transform(X_test), y_test)
        for C in (0.01, 0.1, 1.0, 10.0)
    )
    assert default_classifier().fit(X, y).score(X_test, y_test) > best - 0.02


@pytest.mark.parametrize(("options", "message"), [
    ({"C": 0}, "C=0"), ({"Cs": (1, -1)}, r"Cs=\(1, -1\)"), ({"n_splits": 1}, "n_splits=1"),
])  # fmt: skip
def test_bad_parameters(options, message):
    with pytest.raises(ValueError, match=message):
        PenalizedLogistic(**options).fit(WINE, KINDS)
