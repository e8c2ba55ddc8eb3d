import copy
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrep import MaskedLMTransformer
from skrep.backbones import Transformer
from skrep.displays import LayerProbeDisplay

RNG = np.random.default_rng(0)
SEA, BAKING = ["tide", "reef", "mast", "keel", "of"], ["oven", "dough", "yeast", "crust", "of"]
Y = np.array(["sea", "baking"] * 15)
TEXTS = [" ".join(RNG.choice(SEA if label == "sea" else BAKING, 6)) for label in Y]
Y[::5] = "sea"  # some are wrong, so that scores differ


def bert(**options):
    backbone = Transformer(n_layers=3, n_heads=2)
    return MaskedLMTransformer(8, backbone=backbone, max_epochs=1, max_length=16, random_state=0, **options)


@pytest.fixture(scope="module")
def fitted():
    return bert().fit(TEXTS)


def by_hand(encoder, splits, score, model):
    """Layer by layer, split by split; (n_layers + 1, n_splits)."""
    table = []
    for layer in range(4):
        other = copy.deepcopy(encoder).set_params(layer=layer)
        row = []
        for train, test in splits:
            model.fit(other.transform([TEXTS[i] for i in train]), Y[train])
            row.append(score(Y[test], model.predict(other.transform([TEXTS[i] for i in test]))))
        table.append(row)
    return table


@pytest.mark.parametrize("pooling", ["mean", "max", "cls"])
def test_scores_are_those_of_each_layer_by_itself(pooling, fitted):
    encoder = copy.deepcopy(fitted).set_params(pooling=pooling)
    display = LayerProbeDisplay.from_estimator(encoder, TEXTS, Y, cv=3)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    splits = list(StratifiedKFold(3).split(TEXTS, Y))
    expected = by_hand(encoder, splits, lambda true, guess: np.mean(true == guess), model)
    np.testing.assert_allclose(display.scores, expected)
    np.testing.assert_array_equal(display.line_.get_xdata(), range(4))
    np.testing.assert_allclose(display.line_.get_ydata(), np.mean(expected, 1))
    ends = np.array(display.error_bars_.get_segments())[:, :, 1]
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * np.std(expected, 1), atol=1e-12)
    assert display.ax_.get_ylabel() == "cross-validated accuracy"
    assert display.ax_.get_legend().get_texts()[0].get_text() == "MaskedLMTransformer"


def test_the_encoder_stays_as_it_is_and_reads_documents_once(fitted, monkeypatch):
    encoder = copy.deepcopy(fitted).set_params(layer=[1, 2], pooling="max")
    before, params = encoder.transform(TEXTS), encoder.get_params()
    calls = []
    transform = MaskedLMTransformer.transform
    monkeypatch.setattr(MaskedLMTransformer, "transform", lambda self, X: calls.append(X) or transform(self, X))
    LayerProbeDisplay.from_estimator(encoder, TEXTS, Y, cv=2)
    assert len(calls) == 1
    assert encoder.get_params() == params
    assert encoder.n_features_out_ == 16
    np.testing.assert_array_equal(encoder.transform(TEXTS), before)


def test_models_scores_and_splits_of_the_user(fitted):
    model = LogisticRegression(C=0.1)
    groups = np.arange(30) % 6
    splits = GroupKFold(3).split(TEXTS, Y, groups)  # an iterator
    display = LayerProbeDisplay.from_estimator(
        fitted, TEXTS, Y, estimator=model, cv=splits, scoring="balanced_accuracy", name="mine"
    )
    splits = list(GroupKFold(3).split(TEXTS, Y, groups))
    expected = by_hand(fitted, splits, balanced_accuracy_score, LogisticRegression(C=0.1))
    np.testing.assert_allclose(display.scores, expected)
    assert display.ax_.get_ylabel() == "cross-validated balanced accuracy"
    assert display.ax_.get_legend().get_texts()[0].get_text() == display.name == "mine"
    assert not hasattr(model, "coef_")


def test_every_layer_has_the_same_splits(fitted):
    same = copy.copy(fitted)
    same.transform = lambda X: np.tile(fitted.transform(X)[:, :8], 4)
    display = LayerProbeDisplay.from_estimator(same, TEXTS, Y, cv=KFold(4, shuffle=True))
    np.testing.assert_array_equal(display.scores, np.tile(display.scores[0], (4, 1)))


def test_regression_and_pairs():
    pairs = pd.DataFrame({"first": TEXTS, "second": TEXTS[::-1]})
    encoder = bert().fit(pairs)
    display = LayerProbeDisplay.from_estimator(encoder, pairs, np.arange(30.0), estimator=Ridge(), cv=KFold(3))
    assert display.scores.shape == (4, 3)
    assert display.ax_.get_ylabel() == "cross-validated score"
    scored = LayerProbeDisplay.from_estimator(
        encoder, pairs, np.arange(30.0), estimator=Ridge(), cv=3, scoring=lambda model, X, y: 0.5
    )
    assert (scored.scores == 0.5).all()


def test_several_share_axes(fitted):
    first = LayerProbeDisplay.from_estimator(fitted, TEXTS, Y, cv=2, name="one")
    second = LayerProbeDisplay.from_estimator(fitted, TEXTS, Y, cv=2, ax=first.ax_, name="two", c="red", ls="--")
    assert [text.get_text() for text in first.ax_.get_legend().get_texts()] == ["one", "two"]
    assert second.line_.get_color() == "red"
    assert second.line_.get_linestyle() == "--"
    assert first.line_.get_color() != "red"
    assert all(tick == int(tick) for tick in first.ax_.get_xticks())


def test_bad_input(fitted):
    with pytest.raises(NotFittedError):
        LayerProbeDisplay.from_estimator(bert(), TEXTS, Y)
    with pytest.raises(TypeError, match=r"PCA\b.*n_layers_.*\blayer\b.*LayerProbeDisplay.*MaskedLM"):
        LayerProbeDisplay.from_estimator(PCA(2).fit(np.eye(3)), np.eye(3), [0, 1, 0])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        LayerProbeDisplay.from_estimator(fitted, TEXTS, Y[:-1])
    with pytest.raises(ValueError, match=r"n_splits=20"):
        LayerProbeDisplay.from_estimator(fitted, TEXTS, Y, cv=20)
    with pytest.raises(ValueError, match="'scoring' parameter"):
        LayerProbeDisplay.from_estimator(fitted, TEXTS, Y, scoring="nope")
    for scores in ([], [0.5, 0.6], [[]]):
        with pytest.raises(ValueError, match=rf"{re.escape(str(np.shape(scores)))}.*\(n_layers \+ 1, n_splits\)"):
            LayerProbeDisplay(scores).plot()
