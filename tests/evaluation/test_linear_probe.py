"""Encoders trained on all rows, probes on labelled ones; which rows are labelled; the scale of features."""

import copy
import inspect
import logging
import pickle
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import Memory
from numpydoc.docscrape import NumpyDocString
from scipy.sparse import coo_array, csr_array, issparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError, UnsetMetadataPassedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score, cross_validate
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import skrep
from skrep import AutoEncoderTransformer, LinearProbe, LinearProbeRegressor, PCAEncoder, RandomEncoder
from skrep.data import AsImages, ImageFiles
from skrep.evaluation import (
    CommonScaler,
    default_classifier,
    default_regressor,
    labelled,
    labelled_rows,
)
from skrep.evaluation.rows import followed_by
from skrep.text import TextLines


@pytest.fixture(scope="module")
def data():
    """Three classes in 8 columns: 120 rows, their classes, and 60 rows more."""
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=180)
    X = rng.normal(size=(3, 8))[y] * 2 + rng.normal(size=(180, 8))
    return X[:120], y[:120], X[120:]


class Counting(PCAEncoder):
    """Keeps account of its fits."""

    fits: ClassVar[list] = []  # rows of each, and what came with them

    def fit(self, X, y=None, **more):
        assert y is None
        self.fits.append((X, more))
        return super().fit(X)


@pytest.fixture(autouse=True)
def no_fits():
    Counting.fits = []


# --- scikit-learn --------------------------------------------------------------------------------------------------


@parametrize_with_checks([LinearProbe(PCAEncoder()), LinearProbeRegressor(PCAEncoder()), CommonScaler()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("cls", [LinearProbe, LinearProbeRegressor, CommonScaler])
def test_help_is_complete(cls):
    doc = NumpyDocString(inspect.getdoc(cls))
    assert [entry.name for entry in doc["Parameters"]] == list(inspect.signature(cls).parameters)
    assert doc["Examples"]
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        assert name.startswith("_") or inspect.getdoc(method), name


def test_signatures():
    assert list(inspect.signature(LinearProbe).parameters) == [
        "encoder", "classifier", "unlabeled", "unlabeled_value", "memory",
    ]  # fmt: skip
    assert list(inspect.signature(LinearProbeRegressor).parameters) == ["encoder", "regressor", "unlabeled", "memory"]


# --- which rows are labelled ---------------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 1, -1, 1], "1101"),
        ([-1, 1, 1, -1], "1111"),  # two classes
        ([-1, -1, 0, 0], "1111"),
        ([-1, -1, -1], "111"),
        (np.array([0, 1, 2, 255], dtype=np.uint8), "1111"),
        ([0.0, 1.0, NAN, -1.0], "1100"),  # NaN made floats of them
        ([0.5, 1.0, NAN, -1.0], "1101"),
        ([0, 1, None, -1], "1100"),
        ([True, False, None], "110"),
        (["cat", None, "dog", NAN], "1010"),
        (["-1", "0", "1"], "111"),
        (np.array(["cat", "dog", None], dtype=object), "110"),
        (pd.Series(["a", None, "b"]), "101"),
        (pd.Series(["a", None, "b"], dtype="category"), "101"),
        (pd.Series([0, pd.NA, 1, -1], dtype="Int64"), "1010"),
        ([[0, 1], [1, 1], [-1, -1], [-1, 1]], "1101"),
        ([[0, 1], [1, NAN], [1, 0]], "101"),
        (csr_array([[0, 1], [1, 0]]), "11"),
        ([], ""),
        ([None, None], "00"),
    ],
    ids=str,
)
def test_labelled_rows(y, expected):
    rows = labelled_rows(y)
    assert rows.dtype == bool
    assert "".join(str(int(row)) for row in rows) == expected


def test_unlabeled_value_and_quantities():
    assert labelled_rows([0, 1, 9, -1], unlabeled_value=9).tolist() == [True, True, False, True]
    assert labelled_rows([0, 1, 2, -1], unlabeled_value=None).all()
    assert labelled_rows([-1, 0, 1, NAN], regression=True).tolist() == [True, True, True, False]
    assert labelled_rows([-1, 3], classes=[1, 2, 3]).tolist() == [False, True]  # in a small fold
    assert labelled_rows([-1, 3, 4], classes=[-1, 3, 4]).all()
    assert labelled_rows([[-1, -1], [0, 1]], classes=[np.array([0, 1])] * 2).tolist() == [False, True]


def test_labels_that_are_none():
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        labelled_rows([[1, 2], [1]])
    with pytest.raises(ValueError, match=r"\(1, 1, 2\)"):
        labelled_rows([[[1, 2]]])


# --- fit -----------------------------------------------------------------------------------------------------------


def test_the_encoder_sees_all_rows_and_the_probe_labelled_ones(data):
    X, y, more = data
    y = np.where(np.arange(120) % 4, -1, y)
    probe = LinearProbe(Counting(3), unlabeled=more).fit(X, y)
    ((rows, _),) = Counting.fits
    np.testing.assert_array_equal(rows, np.vstack([X, more]))
    encoder = PCAEncoder(3).fit(np.vstack([X, more]))
    by_hand = default_classifier().fit(encoder.transform(X[::4]), y[::4])
    np.testing.assert_array_equal(probe.predict(more), by_hand.predict(encoder.transform(more)))
    np.testing.assert_array_equal(probe.predict_proba(more), by_hand.predict_proba(encoder.transform(more)))
    np.testing.assert_array_equal(probe.decision_function(more), by_hand.decision_function(encoder.transform(more)))
    np.testing.assert_array_equal(probe.predict_log_proba(more), by_hand.predict_log_proba(encoder.transform(more)))
    np.testing.assert_array_equal(probe.transform(more), encoder.transform(more))
    assert probe.classes_.tolist() == [0, 1, 2]
    assert probe.n_features_in_ == 8
    assert not hasattr(probe.encoder, "components_")


def test_all_ways_to_have_no_label_are_one(data):
    X, y, more = data
    hidden = np.arange(120) % 3 > 0
    as_none = y.astype(object)
    as_none[hidden] = None
    expected = LinearProbe(PCAEncoder(3)).fit(X, np.where(hidden, -1, y)).predict_proba(more)
    for labels in (np.where(hidden, NAN, y), as_none, pd.Series(as_none), np.where(hidden, 9, y)):
        probe = LinearProbe(PCAEncoder(3), unlabeled_value=9).fit(X, labels)
        np.testing.assert_array_equal(probe.predict_proba(more), expected)
    assert LinearProbe(PCAEncoder(3), unlabeled_value=None).fit(X, np.where(hidden, -1, y)).classes_.tolist() == [
        -1, 0, 1, 2,
    ]  # fmt: skip


def test_text_labels(data):
    X, y, _ = data
    names = np.array(["ant", "bee", "cat"], dtype=object)[y]
    partly = [None if i % 2 else name for i, name in enumerate(names)]
    probe = LinearProbe(PCAEncoder(3)).fit(X, partly)
    assert probe.classes_.tolist() == ["ant", "bee", "cat"]
    assert probe.score(X, partly) == np.mean(probe.predict(X[::2]) == names[::2])
    with pytest.raises(ValueError, match=r"'cat'.*int.*-1"):
        probe.fit(X, [-1 if i % 2 else name for i, name in enumerate(names)])


def test_score_counts_labelled_rows(data):
    X, y, _ = data
    hidden = np.where(np.arange(120) < 60, -1, y)
    probe = LinearProbe(PCAEncoder(2)).fit(X[30:], hidden[30:])
    assert probe.score(X, hidden) == np.mean(probe.predict(X[60:]) == y[60:])
    weights = np.arange(120.0)
    assert probe.score(X, hidden, weights) == pytest.approx(
        np.average(probe.predict(X[60:]) == y[60:], weights=weights[60:])
    )
    of_one_class = np.where(y == 2, 2, -1)  # as a small fold may be
    assert probe.score(X, of_one_class) == np.mean(probe.predict(X[y == 2]) == 2)
    with pytest.raises(ValueError, match="none of the 4 rows"):
        probe.score(X[:4], [None] * 4)


def test_minus_one_may_be_a_class(data):
    X, y, _ = data
    signs = np.where(y > 0, 1, -1)
    probe = LinearProbe(PCAEncoder(3)).fit(X, signs)
    assert probe.classes_.tolist() == [-1, 1]
    assert probe.score(X, signs) == np.mean(probe.predict(X) == signs) > 0.7


def test_regressor(data):
    X, _, more = data
    y = X @ np.arange(8.0)
    y[::3] = NAN
    probe = LinearProbeRegressor(PCAEncoder(), unlabeled=more).fit(X, y)
    encoder = PCAEncoder().fit(np.vstack([X, more]))
    known = ~np.isnan(y)
    by_hand = default_regressor().fit(encoder.transform(X[known]), y[known])
    np.testing.assert_array_equal(probe.predict(X), by_hand.predict(encoder.transform(X)))
    assert probe.score(X, y) == by_hand.score(encoder.transform(X[known]), y[known]) > 0.95
    as_objects = [None if np.isnan(value) else value for value in y]
    again = clone(probe).fit(X, as_objects)
    np.testing.assert_array_equal(again.predict(X), probe.predict(X))
    assert LinearProbeRegressor(PCAEncoder(), Ridge(alpha=0.01)).fit(X, np.full(120, -1)).score(X, [-1] * 120) == 1
    both = LinearProbeRegressor(PCAEncoder()).fit(X, np.column_stack([y, 2 * y]))
    assert both.predict(X).shape == (120, 2)
    assert not hasattr(probe, "predict_proba")


def test_how_many_rows_are_set_aside_is_said_once(data, caplog, capsys, monkeypatch):
    X, y, _ = data
    monkeypatch.setattr(skrep.data.labels, "_reported", False)
    with caplog.at_level(logging.INFO, logger="skrep"):
        LinearProbe(PCAEncoder(2)).fit(X, y)
        assert not caplog.messages
        for _ in range(2):
            LinearProbe(PCAEncoder(2)).fit(X, np.where(np.arange(120) < 100, -1, y))
    (message,) = caplog.messages
    assert all(number in message for number in ("20", "120", "100"))
    assert capsys.readouterr() == ("", "")


# --- encoders that are fitted --------------------------------------------------------------------------------------


def test_fitted_encoders_are_used_as_they_are(data):
    X, y, more = data
    encoder = Counting(2).fit(more)
    for given in (encoder, FrozenEstimator(encoder), make_pipeline(StandardScaler(), Counting(2)).fit(more)):
        Counting.fits = []
        probe = clone(LinearProbe(given)).fit(X, y)
        np.testing.assert_array_equal(probe.transform(X), given.transform(X))
        assert cross_val_score(probe, X, y, cv=2).shape == (2,)
        assert not Counting.fits
        assert probe.n_features_in_ == 8


def test_what_needs_no_fit_and_what_is_fitted_in_part(data):
    X, y, _ = data
    half = make_pipeline(PCAEncoder(2), FunctionTransformer())  # the last step alone says that it needs no fit
    probe = LinearProbe(half).fit(X, y)
    assert not hasattr(half[0], "components_")
    copied = clone(probe).set_params(encoder__pcaencoder__n_components=3)
    assert half[0].n_components == 2
    assert copied.fit(X, y).transform(X).shape == (120, 3)
    assert LinearProbe(Normalizer()).fit(X, y).n_features_in_ == 8
    with pytest.raises(NotFittedError):
        LinearProbe(FrozenEstimator(PCAEncoder())).fit(X, y)


def test_a_network_as_encoder(data):
    X, y, more = data
    y = np.where(np.arange(120) % 4, -1, y)
    probe = LinearProbe(AutoEncoderTransformer(2, hidden=(8,), max_epochs=2, random_state=0), unlabeled=more)
    again = clone(probe)
    np.testing.assert_array_equal(probe.fit(X, y).predict_proba(X), again.fit(X, y).predict_proba(X))
    assert probe.transform(X).dtype == np.float32


# --- kinds of rows -------------------------------------------------------------------------------------------------


def test_data_frames(data):
    X, y, more = (pd.DataFrame(part, columns=list("abcdefgh")) if part.ndim == 2 else part for part in data)
    y = pd.Series(y, index=range(1000, 1120))
    probe = LinearProbe(PCAEncoder(2), unlabeled=more).set_output(transform="pandas").fit(X, y.where(y.index % 2 == 0))
    assert list(probe.feature_names_in_) == list("abcdefgh")
    features = probe.transform(X)
    assert list(features.columns) == list(probe.get_feature_names_out()) == ["pcaencoder0", "pcaencoder1"]
    assert probe.predict(X).shape == (120,)
    expected = LinearProbe(PCAEncoder(2), unlabeled=data[2]).fit(data[0], y.where(y.index % 2 == 0))
    np.testing.assert_allclose(features, expected.transform(data[0]))
    with pytest.raises(ValueError, match="feature names"):
        probe.predict(X[list("hgfedcba")])
    with pytest.raises(ValueError, match=r"columns \(a, x\)"):
        LinearProbe(PCAEncoder(2), unlabeled=more.rename(columns={"a": "x"})).fit(X, y)
    with config_context(transform_output="pandas"):
        inside = LinearProbe(PCAEncoder(2)).fit(X, y)
    assert inside.predict(X).shape == (120,)  # without a warning that names are missing


@pytest.mark.parametrize("form", [csr_array, coo_array])
def test_sparse_rows(data, form):
    X, y, more = data
    y = np.where(np.arange(120) % 2, -1, y)
    X, more = X * (X > 1), more * (more > 1)
    encoder = PCAEncoder(2, svd_solver="covariance_eigh")
    probe = LinearProbe(encoder, unlabeled=form(more)).fit(form(X), y)
    dense = LinearProbe(encoder, unlabeled=more).fit(X, y)
    np.testing.assert_allclose(probe.predict_proba(form(X)), dense.predict_proba(X), atol=1e-6)
    assert probe.score(form(X), y) == dense.score(X, y)


GOOD, BAD = ["a good film", "a fine day", "good and fine"], ["a bad film", "a poor day", "bad and poor"]


def test_texts(tmp_path):
    (tmp_path / "more.txt").write_text("\n".join(["more good words", "fine words too"]))
    texts, y = (GOOD + BAD) * 4, ([1] * 3 + [0] * 3) * 4
    for unlabeled in (["more good words", "fine words too"], TextLines(tmp_path / "more.txt")):
        probe = LinearProbe(TfidfVectorizer(), unlabeled=unlabeled).fit(texts, [*y[:-6], *[None] * 6])
        assert "words" in probe.encoder_.vocabulary_
        assert issparse(probe.transform(texts))
        assert probe.score(texts, y) == 1
    series = LinearProbe(TfidfVectorizer(), unlabeled=pd.Series(["more"])).fit(pd.Series(texts), y)
    assert "more" in series.encoder_.vocabulary_
    assert LinearProbe(TfidfVectorizer()).fit((text for text in texts), y).score(texts, y) == 1
    with pytest.raises(TypeError, match="iterator"):
        LinearProbe(TfidfVectorizer(), unlabeled=(text for text in texts)).fit(texts, y)
    assert cross_val_score(LinearProbe(TfidfVectorizer(), unlabeled=["more"]), texts, y, cv=2).min() == 1


def test_images(digits):
    X, y = digits
    images = AsImages((8, 8)).fit_transform(X[:40])
    encoder = make_pipeline(FunctionTransformer(lambda rows: rows.reshape(len(rows), -1)), PCAEncoder(4))
    assert LinearProbe(encoder, unlabeled=images[:5]).fit(images, y[:40]).score(images, y[:40]) > 0.3
    with pytest.raises(ValueError, match=r"float.*uint8"):
        LinearProbe(encoder, unlabeled=images[:5].astype(np.uint8)).fit(images, y[:40])
    with pytest.raises(ValueError, match=r"\(40, 8, 8, 1\).*40 rows"):
        LinearProbe(FunctionTransformer()).fit(images, y[:40])


def test_image_files(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for i in range(6):
        image.fromarray(np.full((8, 8), 40 * i, dtype=np.uint8)).save(tmp_path / f"{i}.png")
    files = ImageFiles(tmp_path)
    joined = followed_by(files[:4], files[4:])
    assert joined.shape == (6, 8, 8, 1)
    assert [int(joined[i].max()) for i in range(6)] == [0, 40, 80, 120, 160, 200]
    probe = LinearProbe(RandomEncoder(4, random_state=0), unlabeled=files[4:]).fit(files[:4], [0, None, 1, 0])
    assert probe.predict(files).shape == (6,)


def test_datasets_and_tensors(data):
    X, y, more = data
    y = np.where(np.arange(120) % 2, -1, y)
    expected = LinearProbe(PCAEncoder(2), unlabeled=more).fit(X, y).predict(X)

    class Rows(torch.utils.data.Dataset):
        def __init__(self, rows):
            self.rows = rows

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, i):
            return self.rows[i]

    for kind in (Rows, torch.from_numpy):
        probe = LinearProbe(PCAEncoder(2), unlabeled=kind(more)).fit(kind(X), y)
        np.testing.assert_array_equal(probe.predict(kind(X)), expected)


@pytest.mark.parametrize(
    "other",
    [list, pd.DataFrame, csr_array, lambda rows: [str(row) for row in rows], lambda rows: torch.from_numpy(rows)],
)
def test_unlabeled_of_another_kind(data, other):
    X, y, more = data
    with pytest.raises(TypeError, match="X is an array, unlabeled is a"):
        LinearProbe(PCAEncoder(2), unlabeled=other(more)).fit(X, y)


def test_unlabeled_of_another_shape(data):
    X, y, more = data
    with pytest.raises(ValueError, match=r"\(8,\).*\(7,\)"):
        LinearProbe(PCAEncoder(2), unlabeled=more[:, 1:]).fit(X, y)
    with pytest.raises(ValueError, match="texts"):
        LinearProbe(PCAEncoder(2), unlabeled=more.astype(str)).fit(X, y)
    with pytest.raises(TypeError, match="cannot be joined"):
        followed_by("ab", "cd")


# --- model selection -----------------------------------------------------------------------------------------------


def test_cross_validation_is_the_same_split_by_hand(digits):
    (X, y), more = (part[:200] for part in digits), digits[0][200:]
    encoder, cv = PCAEncoder(16, random_state=0), StratifiedKFold(3)
    scores = cross_val_score(LinearProbe(encoder, unlabeled=more), X, y, cv=cv)
    for score, (train, test) in zip(scores, cv.split(X, y), strict=True):
        fitted = clone(encoder).fit(np.vstack([X[train], more]))
        by_hand = default_classifier().fit(fitted.transform(X[train]), y[train])
        assert score == by_hand.score(fitted.transform(X[test]), y[test])


@pytest.mark.parametrize("absent", [-1, None, NAN])
def test_cross_validation_with_rows_without_labels(data, absent):
    X, y, _ = data
    labels = [absent if i % 2 else int(label) for i, label in enumerate(y)]
    labels = np.array(labels, dtype=object if absent is None else None)
    scores = cross_val_score(LinearProbe(PCAEncoder(3)), X, labels, cv=KFold(3), scoring=labelled("accuracy"))
    np.testing.assert_array_equal(scores, cross_val_score(LinearProbe(PCAEncoder(3)), X, labels, cv=KFold(3)))
    assert scores.min() > 0.5


def test_labelled_scorers(data):
    X, y, _ = data
    hidden = np.where(np.arange(120) % 3, -1, y)
    probe = LinearProbe(PCAEncoder(3)).fit(X, hidden)
    for name in ("balanced_accuracy", "neg_log_loss", "roc_auc_ovr"):
        scorer = pickle.loads(pickle.dumps(labelled(name)))
        assert scorer(probe, X, hidden) == get_scorer(name)(probe, X[::3], y[::3])
    assert labelled(get_scorer("accuracy"))(probe, X, hidden) == probe.score(X, hidden)
    assert labelled(lambda estimator, X, y: len(y))(probe, X, hidden) == 40
    assert labelled("accuracy", unlabeled_value=0)(probe, X, np.where(np.arange(120) < 60, 0, y)) >= 0
    assert "accuracy" in repr(labelled("accuracy"))
    values = np.where(np.arange(120) % 3, NAN, X[:, 0])
    regressor = LinearProbeRegressor(PCAEncoder()).fit(X, values)
    assert labelled("r2")(regressor, X, values) == regressor.score(X, values)
    both = cross_validate(
        LinearProbe(PCAEncoder(3)), X, hidden, cv=2, scoring={n: labelled(n) for n in ("accuracy", "f1_macro")},
        params={"sample_weight": np.ones(120)},
    )  # fmt: skip
    assert both["test_f1_macro"].shape == (2,)


def test_scorers_that_are_none(data):
    X, y, _ = data
    for wrong in (None, "acuracy"):
        with pytest.raises(ValueError, match=str(wrong)):
            labelled(wrong)
    probe = LinearProbe(PCAEncoder(3), RidgeClassifier()).fit(X, y)
    assert not hasattr(probe, "predict_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        labelled("neg_log_loss")(probe, X, y)


def test_grid_searches(data):
    X, y, more = data
    y = np.where(np.arange(120) % 2, -1, y)
    grid = {
        "encoder": [PCAEncoder(1), RandomEncoder(4, random_state=0)],
        "classifier": [None, KNeighborsClassifier(3)],
    }
    search = GridSearchCV(LinearProbe(PCAEncoder(), unlabeled=more), grid, cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.unlabeled is more
    grid = {"encoder__n_components": [1, 4], "classifier__C": [0.1, 1]}
    search = GridSearchCV(LinearProbe(PCAEncoder(), LogisticRegression()), grid, cv=2, n_jobs=1).fit(X, y)
    assert search.best_params_["encoder__n_components"] == 4
    assert search.score(X, y) > 0.7


@pytest.mark.parametrize("as_memory", [str, Memory, lambda path: path], ids=["str", "Memory", "Path"])
def test_a_grid_over_the_probe_fits_the_encoder_once_a_fold(data, tmp_path, as_memory):
    X, y, more = data
    memory = Memory(tmp_path, verbose=0) if as_memory is Memory else as_memory(tmp_path)
    probe = LinearProbe(Counting(3, random_state=0), LogisticRegression(), unlabeled=more, memory=memory)
    grid = {"classifier__C": [0.01, 0.1, 1, 10]}
    search = GridSearchCV(probe, grid, cv=3).fit(X, y)
    assert len(Counting.fits) == 4  # three folds, and all rows
    plain = GridSearchCV(clone(probe).set_params(memory=None), grid, cv=3).fit(X, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])
    assert len(Counting.fits) == 4 + 4 * 3 + 1


def test_what_memory_is_keyed_by(data, tmp_path):
    X, y, more = data
    probe = LinearProbe(Counting(3, random_state=0), unlabeled=more, memory=tmp_path).fit(X, y)
    assert clone(probe).fit(X, y[::-1]).predict(X).shape == (120,)
    assert len(Counting.fits) == 1
    for changes in ({"encoder__n_components": 2}, {"encoder__random_state": 1}, {"unlabeled": more[1:]}):
        clone(probe).set_params(**changes).fit(X, y)
    clone(probe).fit(X[1:], y[1:])
    assert len(Counting.fits) == 5
    written = "".join(path.read_text() for path in tmp_path.rglob("metadata.json"))
    assert "<120 rows>" in written


# --- clone, repr, files --------------------------------------------------------------------------------------------


def test_unlabeled_is_shared_and_stands_as_a_count(data):
    more = data[2]
    for rows in (more, pd.DataFrame(more), csr_array(more), ["some secret text"] * 60):
        probe = LinearProbe(PCAEncoder(3), unlabeled=rows)
        assert clone(probe).unlabeled is rows
        assert clone(make_pipeline(StandardScaler(), probe))[-1].unlabeled is rows
        assert probe.get_params()["unlabeled"] is rows
        for printed in (probe, make_pipeline(probe), GridSearchCV(probe, {})):
            assert "unlabeled=<60 rows>" in repr(printed)
            html = printed._repr_html_()
            assert "60 rows" in html
            assert "secret" not in html
    assert repr(LinearProbe(PCAEncoder(3))) == "LinearProbe(encoder=PCAEncoder(n_components=3))"
    assert "<generator>" in repr(LinearProbe(PCAEncoder(3), unlabeled=(row for row in more)))
    assert pickle.loads(pickle.dumps(LinearProbe(unlabeled=more))).unlabeled.shape == (60, 8)
    assert copy.copy(LinearProbe(unlabeled=more)).unlabeled is more


def test_clone_keeps_output_and_requests():
    probe = LinearProbe(PCAEncoder(2), unlabeled=np.zeros((2, 2))).set_output(transform="pandas")
    with config_context(enable_metadata_routing=True):
        probe.set_score_request(sample_weight=True)
    copied = clone(probe)
    assert copied._sklearn_output_config == {"transform": "pandas"}
    assert copied._metadata_request.score.requests == {"sample_weight": True}


@pytest.mark.parametrize(
    "encoder",
    [
        PCAEncoder(2),
        AutoEncoderTransformer(2, hidden=(8,), max_epochs=1, random_state=0),
        TfidfVectorizer(max_features=9),
    ],
    ids=lambda encoder: type(encoder).__name__,
)
@pytest.mark.parametrize("cls", [LinearProbe, LinearProbeRegressor])
def test_save_and_load(data, tmp_path, cls, encoder):
    X, y, more = data
    if isinstance(encoder, TfidfVectorizer):
        X, more = ([f"{word} text of {i}" for i in range(120)] for word in ("some", "more"))
    memory = Memory(tmp_path / "memory", verbose=0)
    probe = cls(encoder, unlabeled=more, memory=memory).fit(X, y)
    skrep.save(probe, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    assert (loaded.unlabeled, loaded.memory) == (None, None)
    assert (probe.unlabeled is more, probe.memory is memory) == (True, True)
    np.testing.assert_array_equal(loaded.predict(X), probe.predict(X))
    assert repr(loaded) == repr(cls(encoder))
    given = cls(clone(encoder).fit(X)).fit(X, y)
    skrep.save(given, tmp_path / "given")
    loaded = skrep.load(tmp_path / "given")
    assert loaded.encoder is loaded.encoder_


# --- weights, metadata, several labels -----------------------------------------------------------------------------


def test_sample_weight_goes_to_the_probe(data):
    X, y, _ = data
    hidden, weights = np.where(np.arange(120) % 2, -1, y), np.arange(120.0)
    encoder = PCAEncoder(3).fit(X)
    by_hand = LogisticRegression().fit(encoder.transform(X[::2]), y[::2], sample_weight=weights[::2])
    probe = LinearProbe(PCAEncoder(3), LogisticRegression()).fit(X, hidden, sample_weight=weights)
    np.testing.assert_array_equal(probe.predict_proba(X), by_hand.predict_proba(encoder.transform(X)))
    plain = LinearProbe(PCAEncoder(3)).fit(X, hidden).predict_proba(X)
    assert (
        np.abs(LinearProbe(PCAEncoder(3)).fit(X, hidden, sample_weight=weights).predict_proba(X) - plain).max() > 0.01
    )
    np.testing.assert_array_equal(LinearProbe(PCAEncoder(3)).fit(X, hidden, sample_weight=None).predict_proba(X), plain)
    with pytest.raises(ValueError, match="inconsistent"):
        probe.fit(X, hidden, sample_weight=weights[::2])
    with pytest.raises(ValueError, match="KNeighborsClassifier"):
        LinearProbe(PCAEncoder(3), KNeighborsClassifier()).fit(X, y, sample_weight=weights)
    with pytest.raises(TypeError, match="groups"):
        probe.fit(X, y, groups=y)


class Grouped(Counting):
    """Takes groups."""

    __metadata_request__fit = {"groups": None}  # noqa: RUF012

    def fit(self, X, y=None, groups=None):
        return super().fit(X, groups=groups)


def test_metadata_routing(data):
    X, y, more = data
    hidden, weights = np.where(np.arange(120) % 2, -1, y), np.arange(120.0)
    expected = LinearProbe(PCAEncoder(3)).fit(X, hidden, sample_weight=weights).predict_proba(X)
    with config_context(enable_metadata_routing=True):
        probe = LinearProbe(Grouped(3).set_fit_request(groups=True))
        probe.fit(X, hidden, sample_weight=weights, groups=y)  # the default classifier requests weights
        np.testing.assert_array_equal(probe.predict_proba(X), expected)
        assert Counting.fits[0][1]["groups"] is y
        probe.set_score_request(sample_weight=True)
        scores = cross_val_score(probe, X, y, cv=2, params={"sample_weight": weights, "groups": y})
        assert scores.shape == (2,)
        with pytest.raises(UnsetMetadataPassedError):
            LinearProbe(PCAEncoder(3), LogisticRegression()).fit(X, y, sample_weight=weights)
        with pytest.raises(ValueError, match=r"groups.*unlabeled"):
            clone(probe).set_params(unlabeled=more).fit(X, y, groups=y)
        scorer = labelled("accuracy")
        scorer.scorer.set_score_request(sample_weight=True)
        assert cross_val_score(
            LinearProbe(PCAEncoder(3)), X, y, cv=2, scoring=scorer, params={"sample_weight": weights}
        ).shape == (2,)  # fmt: skip


def test_several_labels_a_row(data):
    X, y, _ = data
    labels = np.column_stack([y == 0, y != 1]).astype(int)
    labels[::2] = -1
    for classifier in (KNeighborsClassifier(), MultiOutputClassifier(LogisticRegression())):
        probe = LinearProbe(PCAEncoder(3), classifier).fit(X, labels)
        assert probe.predict(X).shape == (120, 2)
        assert set(np.unique(probe.predict(X))) == {0, 1}
        assert probe.score(X, labels) == np.mean((probe.predict(X[1::2]) == labels[1::2]).all(axis=1))
    with pytest.raises(ValueError, match=r"\(60, 2\).*MultiOutputClassifier"):
        LinearProbe(PCAEncoder(3)).fit(X, labels)


# --- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probe", "y", "message"),
    [
        (LinearProbe(PCAEncoder()), [None] * 120, "none of the 120 rows.*2 classes"),
        (LinearProbe(PCAEncoder()), [NAN] * 120, "none of the 120 rows"),
        (LinearProbe(PCAEncoder()), [7, *[None] * 119], "1 class.*7"),
        (LinearProbe(PCAEncoder()), [-1] * 120, "1 class.*-1"),
        (LinearProbe(PCAEncoder()), None, "y to be passed"),
        (LinearProbe(PCAEncoder()), [0, 1], r"inconsistent.*\[120, 2\]"),
        (LinearProbe(PCAEncoder()), np.linspace(0, 1, 120), "continuous"),
        (LinearProbe(PCAEncoder()), [0, np.inf] * 60, "infinity"),
        (LinearProbe(PCAEncoder), [0, 1] * 60, "encoder must be an estimator.*not the class"),
        (LinearProbe(), [0, 1] * 60, "encoder=None.*fit and transform"),
        (LinearProbe("pca"), [0, 1] * 60, "encoder='pca'.*fit and transform"),
        (LinearProbe(PCAEncoder(), LogisticRegression), [0, 1] * 60, "classifier must be an estimator"),
        (LinearProbe(PCAEncoder(), unlabeled_value="no"), [0, 1] * 60, "unlabeled_value='no'.*whole number"),
        (LinearProbe(PCAEncoder(), memory=3), [0, 1] * 60, "memory=3"),
        (LinearProbeRegressor(PCAEncoder()), [None] * 120, "none of the 120 rows.*1 value"),
        (LinearProbeRegressor(PCAEncoder()), ["a", "b"] * 60, "'a'.*LinearProbe"),
        (LinearProbeRegressor(PCAEncoder()), [1.0, np.inf] * 60, "infinity"),
    ],
    ids=lambda value: None if isinstance(value, (list, np.ndarray)) else str(value)[:40],
)
def test_bad_input_is_one_error_before_any_training(data, probe, y, message):
    with pytest.raises(ValueError, match=message):
        probe.fit(data[0], y)
    assert not hasattr(probe, "encoder_")


def test_a_failed_fit_changes_nothing(data):
    X, y, _ = data
    probe = LinearProbe(PCAEncoder(2)).fit(X, y)
    before = probe.predict_proba(X)
    for wrong in (X[:, :0], np.full_like(X, NAN)):
        with pytest.raises(ValueError, match=r"0 feature|NaN"):
            probe.fit(wrong, y)
    np.testing.assert_array_equal(probe.predict_proba(X), before)


def test_one_label_a_class_and_many_classes(data):
    X, y, _ = data
    y = np.where(np.arange(120) < 30, np.arange(120), -1)  # scikit-learn warns of a regression problem
    assert len(LinearProbe(PCAEncoder(3)).fit(X, y).classes_) == 30


def test_before_fit(data):
    probe = LinearProbe(PCAEncoder(2))
    for name in ("predict", "transform", "predict_proba", "score"):
        arguments = (data[0], data[1]) if name == "score" else (data[0],)
        with pytest.raises(NotFittedError):
            getattr(probe, name)(*arguments)
    assert not any(hasattr(probe, name) for name in ("classes_", "n_features_in_", "feature_names_in_"))


# --- the scale of features -----------------------------------------------------------------------------------------


def test_common_scaler(data):
    X = data[0] * [1, 2, 3, 4, 5, 6, 7, 0] + 100
    scaled = CommonScaler().fit_transform(X)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    assert scaled.var(axis=0).mean() == pytest.approx(1)
    np.testing.assert_allclose(scaled, (X - X.mean(axis=0)) / np.sqrt(X.var(axis=0).mean()), atol=1e-12)
    assert CommonScaler().fit(np.full((9, 2), 0.1)).scale_ == 1  # rounding is no variance
    for size in (1e200, 1e-200):
        np.testing.assert_allclose(CommonScaler().fit_transform(data[0] * size), CommonScaler().fit_transform(data[0]))
    frame = CommonScaler().set_output(transform="pandas").fit_transform(pd.DataFrame({"a": [1.0, 2.0]}))
    assert list(frame.columns) == ["a"]


def test_common_scaler_of_sparse_features(data):
    X = csr_array(data[0] * (data[0] > 1))
    scaler = CommonScaler().fit(X)
    scaled = scaler.transform(X)
    assert issparse(scaled)
    assert scaled.nnz == X.nnz
    np.testing.assert_allclose(np.square(scaled.toarray()).mean(), 1)
    np.testing.assert_allclose(scaler.transform(X.toarray()), scaled.toarray())
    assert CommonScaler().fit(csr_array((3, 2))).scale_ == 1
    with pytest.raises(ValueError, match="sparse"):
        CommonScaler().fit(X.toarray()).transform(X)


def test_a_rotation_changes_no_prediction(digits):
    X, y = digits
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 64)))[0]
    raw, rotated = (default_classifier().fit(Z[:100], y[:100]).predict(Z[100:]) for Z in (X, X @ rotation))
    assert np.mean(raw == rotated) > 0.995
    few = LinearProbe(PCA()).fit(X[:100], y[:100])
    assert abs(few.score(X[100:], y[100:]) - np.mean(raw == y[100:])) < 0.01
