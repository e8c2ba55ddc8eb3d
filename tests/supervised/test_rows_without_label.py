"""Rows without a label are set aside by FineTuneClassifier; see test_fine_tune_regressor.py for quantities."""

import copy
import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import KFold, cross_val_score
from sklearn.utils.class_weight import compute_class_weight

import skrep
from skrep import AutoEncoderTransformer, FineTuneClassifier, MaskedLMTransformer, SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.data import AsImages
from tests.supervised.texts import reviews


def quick(encoder, **options):
    return FineTuneClassifier(encoder, **({"max_epochs": 3, "random_state": 0} | options))


def without(y, missing, every=3):
    """Labels of which every third is missing, and which are left."""
    keep = np.arange(len(y)) % every > 0
    return [label if kept else missing for label, kept in zip(y.tolist(), keep, strict=True)], keep


@pytest.mark.parametrize("missing", [-1, None, np.nan, pd.NA], ids=str)
def test_rows_without_a_label_are_set_aside(encoder, digits, missing):
    X, y = digits
    given, keep = without(y, missing)
    partly, only = quick(encoder).fit(X, given), quick(encoder).fit(X[keep], y[keep])
    np.testing.assert_array_equal(partly.predict_proba(X), only.predict_proba(X))
    np.testing.assert_array_equal(partly.classes_, only.classes_)
    weights = np.arange(300.0)
    assert partly.score(X, given) == only.score(X[keep], y[keep])
    assert partly.score(X, given, weights) == only.score(X[keep], y[keep], weights[keep])
    assert partly.partial_fit(X, given).n_epochs_ == only.partial_fit(X[keep], y[keep]).n_epochs_
    np.testing.assert_array_equal(partly.predict_proba(X), only.predict_proba(X))


def test_rows_of_texts_and_images_without_a_label(language, digits):
    texts, y = reviews(60)
    given, keep = without(y, None)
    kept = [text for text, k in zip(texts, keep, strict=True) if k]
    np.testing.assert_array_equal(
        quick(language).fit(texts, given).predict_proba(texts), quick(language).fit(kept, y[keep]).predict_proba(texts)
    )
    frame = pd.DataFrame({"first": texts, "second": texts[::-1]})
    pairs = MaskedLMTransformer(16, max_epochs=1, random_state=0).fit(frame)
    np.testing.assert_array_equal(
        quick(pairs).fit(frame, given).predict_proba(frame),
        quick(pairs).fit(frame[keep], y[keep]).predict_proba(frame),
    )
    X, y = digits
    images = AsImages((8, 8)).fit_transform(X)
    encoder = SimCLRTransformer(backbone=ConvNet(4), max_epochs=1, random_state=0).fit(images)
    given, keep = without(y, -1)
    np.testing.assert_array_equal(
        quick(encoder).fit(images, given).predict_proba(images),
        quick(encoder).fit(images[keep], y[keep]).predict_proba(images),
    )


def test_rows_of_a_matrix_without_labels(encoder, digits):
    X, y = digits
    Y = np.stack([y % 2 == 0, y % 3 == 0, y > 4], axis=1).astype(float)
    Y[::2] = np.nan
    partly, only = quick(encoder).fit(X, Y), quick(encoder).fit(X[1::2], Y[1::2])
    np.testing.assert_array_equal(partly.predict_proba(X), only.predict_proba(X))
    assert partly.score(X, Y) == only.score(X[1::2], Y[1::2])


def test_an_encoder_that_is_not_fitted_learns_from_all_rows(digits):
    X, y = digits
    given, _ = without(y, -1)
    start = AutoEncoderTransformer(16, max_epochs=2, random_state=0)
    np.testing.assert_array_equal(
        quick(start).fit(X, given).predict_proba(X), quick(clone(start).fit(X)).fit(X, given).predict_proba(X)
    )


def test_minus_one_is_a_class_beside_a_single_other_one(encoder, digits):
    X, y = digits
    signs = np.where(y > 4, 1, -1)
    classifier = quick(encoder).fit(X, signs)
    assert classifier.classes_.tolist() == [-1, 1]
    assert classifier.score(X, signs) == np.mean(classifier.predict(X) == signs)
    three = np.where(y > 7, 0, signs)
    assert quick(encoder).fit(X, three).classes_.tolist() == [0, 1]
    assert quick(encoder, unlabeled_value=None).fit(X, three).classes_.tolist() == [-1, 0, 1]
    assert quick(encoder, unlabeled_value=9).fit(X, y).classes_.tolist() == list(range(9))


def test_passes_know_the_classes(encoder, digits):
    """Of rows of one class and of -1, those of -1 have no label if the first call had other classes."""
    X, y = digits
    classifier = quick(encoder).partial_fit(X, y)
    np.testing.assert_array_equal(
        copy.deepcopy(classifier).partial_fit(X, np.where(y == 3, 3, -1)).predict_proba(X),
        copy.deepcopy(classifier).partial_fit(X[y == 3], y[y == 3]).predict_proba(X),
    )
    assert classifier.score(X, np.where(y == 3, 3, -1)) == classifier.score(X[y == 3], y[y == 3])
    assert classifier.score(X, np.where(y == 3, 3, -1)[:, None]) == classifier.score(X[y == 3], y[y == 3])
    floats = quick(encoder).fit(X, [np.nan, *y[1:]])
    assert floats.score(X, np.where(y == 3, 3, -1)) == floats.score(X[y == 3], y[y == 3])
    signs = quick(encoder).partial_fit(X, np.zeros(300, int), classes=[-1, 0, 1])
    assert signs.partial_fit(X, y % 3 - 1).classes_.tolist() == [-1, 0, 1]


def test_balanced_weights_are_of_labelled_rows(encoder, digits):
    X, y = digits
    given, keep = without(y, -1)
    weights = quick(encoder, class_weight="balanced", max_epochs=1).fit(X, given).class_weight_
    np.testing.assert_allclose(weights, compute_class_weight("balanced", classes=np.arange(10), y=y[keep]), rtol=1e-6)


def test_the_number_of_rows_set_aside_is_logged_once(encoder, digits, caplog, monkeypatch):
    monkeypatch.setattr(skrep.data.labels, "_reported", False)
    X, y = digits
    given, _ = without(y, -1)
    with caplog.at_level(logging.INFO, "skrep"):
        quick(encoder, max_epochs=1).fit(X, y)
        assert not caplog.records
        for _ in range(2):
            quick(encoder, max_epochs=1).fit(X, given)
    (record,) = caplog.records
    assert "FineTuneClassifier: 200 of 300 rows have a label" in record.getMessage()


def test_nothing_to_learn_from(encoder, digits):
    X, y = digits
    with pytest.raises(ValueError, match="no label: all of its 300 rows"):
        quick(encoder).fit(X, [None] * 300)
    with pytest.raises(ValueError, match="1 class"):
        quick(encoder).fit(X, np.full(300, -1))
    with pytest.raises(ValueError, match="1 class"):
        quick(encoder).fit(X, [3, *[None] * 299])
    with pytest.raises(ValueError, match="no label"):
        quick(encoder).fit(X, y).score(X, np.full(300, np.nan))


@pytest.mark.parametrize(
    "kind", [list, pd.Series, lambda y: pd.Series(y, dtype="category")], ids=["list", "Series", "categories"]
)
def test_text_with_gaps_in_files(encoder, digits, tmp_path, kind):
    X, y = digits
    given, keep = without(np.where(y > 4, "high", "low"), None)
    classifier = quick(encoder).fit(X, kind(given))
    assert classifier.classes_.tolist() == ["high", "low"]
    skrep.save(classifier, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.predict(X), classifier.predict(X))
    assert loaded.score(X, given) == np.mean(classifier.predict(X)[keep] == np.array(given)[keep])


def test_labels_of_several_kinds(encoder, digits):
    X, y = digits
    with pytest.raises(ValueError, match=r"several kinds, .*\(int\).*\(str\).*one kind"):
        quick(encoder).fit(X, np.array([1, "a", 2] * 100, dtype=object))
    with pytest.raises(ValueError, match=r"several kinds"):
        quick(encoder).partial_fit(X, y).partial_fit(X, y.astype(str))
    with pytest.raises(ValueError, match=r"several kinds"):
        quick(encoder).partial_fit(X, y.astype(str)).partial_fit(X, y)


def test_cross_validation_with_rows_without_a_label(encoder, digits):
    X, y = digits
    given = np.array(without(y, -1)[0])
    scores = cross_val_score(quick(encoder), X, given, cv=KFold(2))
    kept = quick(encoder).fit(X[150:], given[150:])
    assert scores[0] == kept.score(X[:150][given[:150] >= 0], y[:150][given[:150] >= 0])
    assert np.isfinite(cross_val_score(quick(encoder), X, np.where(given < 0, np.nan, given), cv=KFold(2))).all()


def test_views_are_shown_without_labels(encoder, digits):
    X, y = digits
    for options in ({}, {"class_weight": "balanced"}):
        (shown,) = quick(encoder, **options).fit(X, y).sample_views(X[:2])
        np.testing.assert_allclose(shown, X[:2], atol=1e-4)
