import itertools
import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skrep import AutoEncoderTransformer, PCAEncoder, RandomEncoder
from skrep.data import ImageFiles
from skrep.evaluation import compare, few_label_probe
from skrep.evaluation.held_out import as_rows
from skrep.exceptions import DivergedError

QUICK = {"labels": [2], "n_resamples": 2}


class Raises(TransformerMixin, BaseEstimator):
    def __init__(self, error=None):
        self.error = error

    def fit(self, X, y=None):
        raise self.error

    def transform(self, X):
        raise AssertionError("not fitted")


@pytest.fixture
def clock(monkeypatch):
    """A second passes with each look at the clock."""
    seconds = itertools.count()
    module = sys.modules["skrep.evaluation.compare"]  # the attribute of that name is the function
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(seconds)))


# --- images ------------------------------------------------------------------------------------------------------


def test_images_give_what_rows_of_their_pixels_give(digits):
    X, y = digits
    images = X.reshape(-1, 8, 8, 1)  # (n, 64) -> (n, 8, 8, 1)
    pca = make_pipeline(FunctionTransformer(as_rows), PCAEncoder(8))
    ours = compare({"raw": None, "pca": pca}, images, y, **QUICK)
    rows = compare({"raw": None, "pca": PCAEncoder(8)}, X, y, **QUICK)
    for one, other in zip(ours.rows, rows.rows, strict=True):
        assert one.n_features == other.n_features
        np.testing.assert_array_equal(one.scores.scores[0], other.scores.scores[0])
        np.testing.assert_array_equal(one.features, other.features)
    np.testing.assert_array_equal(
        few_label_probe(None, images, y, **QUICK).scores[0], few_label_probe(None, X, y, **QUICK).scores[0]
    )


def test_image_files_give_what_their_pixels_give(digits, tmp_path):
    image = pytest.importorskip("PIL.Image")
    X, y = digits[0][:60].astype(np.uint8) * 15, digits[1][:60] % 2
    for i, (row, label) in enumerate(zip(X, y, strict=True)):
        (tmp_path / str(label)).mkdir(exist_ok=True)
        image.fromarray(row.reshape(8, 8)).save(tmp_path / str(label) / f"{i:02}.png")
    files = ImageFiles(tmp_path)
    pixels = np.concatenate([X[y == 0], X[y == 1]])
    np.testing.assert_array_equal(as_rows(files), pixels)
    encoders = {"raw": None, "random": RandomEncoder(random_state=0)}
    ours = compare(encoders, files, files.labels, **QUICK)
    theirs = compare(encoders, pixels.reshape(-1, 8, 8, 1), files.labels, **QUICK)
    for one, other in zip(ours.rows, theirs.rows, strict=True):
        np.testing.assert_array_equal(one.features, other.features)
        np.testing.assert_array_equal(one.scores.scores[0], other.scores.scores[0])


# --- what is kept -----------------------------------------------------------------------------------------------


def test_rows_keep_the_fitted_encoder_and_some_features(digits):
    X, y = np.tile(digits[0], (8, 1)), np.tile(digits[1], 8)
    result = compare({"raw": None, "pca": PCAEncoder(4)}, X, y, **QUICK)
    assert result.n_test == 1200
    raw, pca = result.rows
    assert raw.encoder is None
    assert len(raw.features) == len(pca.features) == len(result.y_shown) == 1000
    np.testing.assert_allclose(pca.encoder.transform(raw.features), pca.features, atol=1e-10)
    assert pca.features.base is None
    assert ", features=" not in repr(result)


# --- progress ---------------------------------------------------------------------------------------------------


def test_progress_tells_each_epoch_and_leaves_no_trace(digits):
    X, y = digits
    told = []
    auto = AutoEncoderTransformer(4, max_epochs=3, random_state=0)
    encoders = {"raw": None, "random": RandomEncoder(like=auto), "auto": make_pipeline(StandardScaler(), auto)}
    result = compare(encoders, X, y, **QUICK, on_progress=lambda *args: told.append(args))
    assert told == [(name, 0, None) for name in encoders] + [("auto", i, 3) for i in (1, 2, 3)]
    fitted = result.rows[2].encoder
    assert fitted[-1].callbacks is None
    assert auto.callbacks is None
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(X), fitted.transform(X))
    silent = compare(encoders, X, y, **QUICK)
    np.testing.assert_array_equal(silent.rows[2].features, result.rows[2].features)


# --- time budget ------------------------------------------------------------------------------------------------


def test_budget_is_shared_by_the_trained(digits, clock):
    X, y = digits
    auto = AutoEncoderTransformer(4, random_state=0)
    encoders = {
        "random": RandomEncoder(like=auto),  # not trained, whatever parameters its network has
        "long": make_pipeline(StandardScaler(), auto),
        "pca": PCAEncoder(4),
        "short": AutoEncoderTransformer(4, max_epochs=5, random_state=0),
    }
    # each trial takes 3 s, of which the epoch 1; random's takes none: 31 - 2 * 2 - (looks at the clock: 10) = 17 s
    result = compare(encoders, X, y, **QUICK, time_budget=31)
    long, short = result.rows[1].encoder[-1], result.rows[3].encoder
    assert short.n_epochs_ == 5
    assert long.n_epochs_ == 17 - 5
    assert result.notes == ["long was trained for 12 of 200 epochs, to fit all encoders in about 31 s."]
    assert result.notes[0] in str(result)
    assert long.history_[-1]["lr"] < long.history_[1]["lr"] / 10  # the schedule ran to its end


def test_minutes_of_an_encoder_are_epochs_of_its_trial(digits, clock):
    timed, told = AutoEncoderTransformer(4, budget_minutes=50 / 60, random_state=0), []
    result = compare({"timed": timed}, *digits, **QUICK, time_budget=19, on_progress=lambda *args: told.append(args))
    n_epochs = result.rows[0].encoder.n_epochs_
    assert 1 < n_epochs < 19
    assert result.notes == [f"timed was trained for {n_epochs} of 50 epochs, to fit all encoders in about 19 s."]
    assert told == [("timed", i, None) for i in range(n_epochs + 1)]


def test_equal_shares_and_never_less_than_an_epoch(digits, clock):
    encoders = {
        name: AutoEncoderTransformer(4, max_epochs=n, random_state=0) for name, n in {"a": 20, "b": 30, "c": 2}.items()
    }
    ample = compare(encoders, *digits, **QUICK, time_budget=1e6)
    assert [row.encoder.n_epochs_ for row in ample.rows] == [20, 30, 2]
    assert ample.notes == []
    none_left = compare(encoders, *digits, **QUICK, time_budget=1)
    assert [row.encoder.n_epochs_ for row in none_left.rows] == [1, 1, 1]
    assert len(none_left.notes) == 3


def test_no_word_on_the_epochs_of_what_was_not_trained(digits, clock):
    auto = AutoEncoderTransformer(4, max_epochs=20, random_state=0)

    def interrupt(name, epoch, n_epochs):
        if name == "later":
            raise KeyboardInterrupt

    result = compare({"auto": auto, "later": auto}, *digits, **QUICK, time_budget=1, on_progress=interrupt)
    assert result.interrupted == "later"
    assert [note.split()[0] for note in result.notes] == ["auto"]


def test_budget_with_checkpoints_does_not_load_its_own_trial(digits, clock, tmp_path):
    encoders = {"a": AutoEncoderTransformer(4, max_epochs=9, random_state=0, checkpoint=tmp_path)}
    for _ in range(2):  # looks at the clock: 0 to 5; 9 - 2 - 5 = 2 s
        result = compare(encoders, *digits, **QUICK, time_budget=9)
        assert result.rows[0].encoder.n_epochs_ == 2


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_budget_must_be_positive(digits, seconds):
    with pytest.raises(ValueError, match=rf"time_budget={seconds}\b.*\b0\b"):
        compare({"raw": None}, *digits, time_budget=seconds)


# --- failures and Ctrl-C ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [DivergedError("the loss\nis nan"), ValueError("no"), MemoryError("full")])
def test_a_failure_loses_no_other_row(digits, error):
    result = compare({"raw": None, "bad": Raises(error), "pca": PCAEncoder(4)}, *digits, **QUICK)
    assert [row.name for row in result.rows] == ["raw", "pca"]
    assert result.failed == {"bad": " ".join(str(error).split())}
    assert f"bad failed: {' '.join(str(error).split())}" in str(result)


def test_the_first_error_is_raised_if_all_fail(digits):
    with pytest.raises(ValueError, match="first"):
        compare({"a": Raises(ValueError("first")), "b": Raises(ValueError("second"))}, *digits, **QUICK)


def test_what_cannot_be_drawn_is_told_before_anything_is_fitted(digits):
    with pytest.raises(ValueError, match=r"\b500 labels per class\b"):
        compare({"a": Raises(AssertionError("fitted"))}, *digits, labels=[500])


def test_ctrl_c_keeps_what_is_done(digits):
    stop = Raises(KeyboardInterrupt())
    result = compare({"raw": None, "stop": stop, "pca": PCAEncoder(4)}, *digits, **QUICK)
    assert [row.name for row in result.rows] == ["raw"]
    assert result.interrupted == "stop"
    assert "interrupted during stop" in str(result)
    with pytest.raises(KeyboardInterrupt):
        compare({"stop": stop, "raw": None}, *digits, **QUICK)


# --- the table ---------------------------------------------------------------------------------------------------


def test_baselines_are_scored_by_the_usual_probe_too(digits):
    X, y = digits
    auto = AutoEncoderTransformer(4, max_epochs=1, random_state=0)
    result = compare({"raw": None, "pca": PCAEncoder(8), "auto": make_pipeline(StandardScaler(), auto)}, X, y, **QUICK)
    raw, pca, trained = result.rows
    assert trained.standardized is None
    usual = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    for row, encoder in ((raw, None), (pca, PCAEncoder(8))):
        alone = few_label_probe(encoder, X, y, **QUICK, probe=usual)
        np.testing.assert_array_equal(row.standardized.scores, alone.scores)
    names = [name for name, _, _ in result.lines()]
    assert names == ["raw", "raw, standardized", "pca", "pca, standardized", "auto"]
    assert result.best()[0] == max(scores.mean.round(3)[0] for _, _, scores in result.lines())
    last = str(result).splitlines()[-1]
    assert last.split() == ["commonest", "class", f"{raw.scores.majority:.3f}"]
    chosen = compare({"raw": None}, X, y, **QUICK, probe=usual)
    assert chosen.rows[0].standardized is None  # whoever chooses a probe has chosen
    np.testing.assert_array_equal(chosen.rows[0].scores.scores, raw.standardized.scores)


def test_classes_are_listed_as_failed_and_fitted_encoders_used_as_they_are(digits):
    X, y = digits
    fitted = PCAEncoder(3).fit(X[:50])
    result = compare({"class": PCAEncoder, "raw": None, "fitted": fitted}, X, y, **QUICK, time_budget=100)
    assert list(result.failed) == ["class"]
    assert "PCAEncoder()" in result.failed["class"]
    assert result.rows[1].encoder is fitted
    np.testing.assert_array_equal(fitted.mean_, X[:50].mean(axis=0))


@pytest.mark.parametrize(
    ("encoders", "got"), [([None, PCAEncoder()], "a list"), ({}, "empty"), (PCAEncoder(), "a PCA")]
)
def test_encoders_have_names(digits, encoders, got):
    with pytest.raises(TypeError, match=rf"encoders is {got}.*\bdict\b"):
        compare(encoders, *digits)


def test_what_is_no_encoder_is_listed_as_failed(digits):
    class OnlyTransforms:
        def transform(self, X):
            raise AssertionError("not fitted")

    result = compare({"text": "pca", "raw": None, "half": OnlyTransforms()}, *digits, **QUICK, time_budget=100)
    assert [row.name for row in result.rows] == ["raw"]
    assert "str without fit" in result.failed["text"]
    assert "OnlyTransforms without fit" in result.failed["half"]


def test_scorers_may_ask_for_what_a_constant_answer_has_not(digits):
    result = compare({"raw": None}, *digits, **QUICK, scoring=lambda probe, Z, y: probe[-1].C_ + 0 * Z[:, 5].sum())
    assert result.rows[0].scores.majority is None
    assert str(result).startswith("<lambda> of")
    with pytest.raises(ValueError, match=r"scoring=\['accuracy'\]: expected one scorer"):
        compare({"raw": None}, *digits, scoring=["accuracy"])


def test_sparse_features_stay_sparse(digits):
    X, y = sparse.csr_array(digits[0]), digits[1]
    assert sparse.issparse(compare({"raw": None}, X, y, **QUICK).rows[0].features)
