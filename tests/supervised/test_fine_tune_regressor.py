"""Fine-tuning all layers of a fitted encoder to predict quantities."""

import copy
import inspect
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpydoc.docscrape import NumpyDocString
from sklearn.base import clone, is_regressor
from sklearn.datasets import load_diabetes
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback

import skrep
from skrep import AutoEncoderTransformer, FineTuneRegressor, MaskedLMTransformer, SimCLRTransformer
from skrep.backbones import ConvNet

WORDS = ["bad", "poor", "fair", "good", "great"]


def rated(n, seed=0):
    """Texts with one word of praise among others, and how much it is, from 1 to 5."""
    rng = np.random.default_rng(seed)
    y = rng.integers(5, size=n)
    others = ["a", "film", "of", "the", "day", "we", "saw", "it"]
    return [" ".join(rng.permutation([*rng.choice(others, 5), WORDS[k]])) for k in y], y + 1.0


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X[:200].astype(np.float32), y[:200]


@pytest.fixture(scope="module")
def encoder(diabetes):
    return AutoEncoderTransformer(8, hidden=(16,), max_epochs=5, random_state=0).fit(diabetes[0])


@pytest.fixture(scope="module")
def language():
    return MaskedLMTransformer(16, max_epochs=2, random_state=0).fit(rated(100)[0])


def quick(encoder, **options):
    return FineTuneRegressor(encoder, **({"max_epochs": 3, "random_state": 0} | options))


@parametrize_with_checks(
    [FineTuneRegressor(AutoEncoderTransformer(4, hidden=(8,), max_epochs=2), max_epochs=10, lr=0.05, random_state=0)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_it_is_a_regressor(encoder):
    assert is_regressor(quick(encoder))
    assert not hasattr(FineTuneRegressor, "predict_proba")


def test_it_learns_tables(encoder, diabetes):
    X, y = diabetes
    regressor = quick(encoder, max_epochs=40, lr=5e-3).fit(X, y)
    assert regressor.score(X, y) > 0.5
    assert regressor.score(X, y) == r2_score(y, regressor.predict(X))
    assert abs(regressor.predict(X).mean() - y.mean()) < 10  # in the units of y
    assert regressor.history_[-1]["train_loss"] < 0.6
    assert regressor.n_features_in_ == 10


def test_it_learns_texts(language):
    (texts, y), (others, z) = rated(200), rated(80, seed=1)
    regressor = quick(language, max_epochs=20, lr=5e-3).fit(texts, y)
    assert regressor.score(others, z) > 0.8
    assert regressor.transform(others).shape == (80, 16)


def test_it_learns_images():
    rng = np.random.default_rng(0)
    images = rng.random((80, 8, 8, 1)) * rng.random((80, 1, 1, 1))
    y = images.mean((1, 2, 3))
    encoder = SimCLRTransformer(backbone=ConvNet(4), max_epochs=1, random_state=0).fit(images)
    regressor = quick(encoder, max_epochs=30, lr=1e-2).fit(images, y)
    assert regressor.score(images, y) > 0.7
    assert regressor.image_shape_ == (8, 8, 1)


def test_before_the_first_step_the_mean_is_predicted(encoder, diabetes):
    X, y = diabetes
    regressor = quick(encoder, lr=1e-12, max_epochs=1).fit(X, y)
    np.testing.assert_allclose(regressor.predict(X), y.mean(), rtol=1e-5)
    assert regressor.history_[0]["train_loss"] == pytest.approx(1, rel=1e-3)  # of standardised targets
    np.testing.assert_allclose(regressor.transform(X), encoder.transform(X), atol=1e-5)


def test_targets_are_standardised_by_the_labelled_rows(encoder, diabetes):
    X, y = diabetes
    y = np.where(np.arange(200) < 60, y, np.nan)
    module = quick(encoder).fit(X, y).net_.module_
    np.testing.assert_allclose(module.target_mean, [y[:60].mean()], rtol=1e-6)
    np.testing.assert_allclose(module.target_scale, [y[:60].std()], rtol=1e-6)
    assert {"target_mean", "target_scale"} <= {name for name, _ in module.named_buffers()}


def test_predictions_are_those_of_the_network_in_the_units_of_y(encoder, diabetes):
    X, y = diabetes
    regressor = quick(encoder).fit(X, y)
    features, head = regressor.transform(X).astype(np.float64), regressor.net_.module_.head
    weight, bias = head.weight.detach().double().numpy()[0], float(head.bias.detach())
    np.testing.assert_allclose(regressor.predict(X), (features @ weight + bias) * y.std() + y.mean(), rtol=1e-4)


@pytest.mark.parametrize(("scale", "shift"), [(1e-6, 0), (1e6, 0), (1, 1e4), (-2, 7)])
def test_the_unit_of_the_targets_does_not_matter(encoder, diabetes, scale, shift):
    X, y = diabetes
    expected = quick(encoder, lr=5e-3).fit(X, y).predict(X)
    predicted = (quick(encoder, lr=5e-3).fit(X, scale * y + shift).predict(X) - shift) / scale
    np.testing.assert_allclose(predicted, expected, atol=0.02 * y.std() * (1 if scale > 0 else 3))


def test_gradients_are_those_of_squared_error_in_closed_form(encoder, diabetes):
    """Of the head's weights: 2/n sum of error times features; and of all layers by finite differences."""
    X, y = diabetes
    batches = []

    class Seen(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            batches.append(batch)

    options = {"lr": 1e-12, "max_epochs": 1, "batch_size": 200, "callbacks": [Seen()]}
    regressor = quick(encoder, **options).fit(X, y)
    ((x, target),) = batches
    assert sorted(target[:, 0].tolist()) == pytest.approx(sorted((y - y.mean()) / y.std()), abs=1e-5)
    module = copy.deepcopy(regressor.net_.module_).double().eval()
    torch.nn.init.normal_(module.head.weight)
    x, target = x.double(), target.double()
    loss = regressor.objective(module(x), target)
    loss.backward()
    with torch.no_grad():
        features, errors = module.encoder(x), module(x) - target
    assert loss.item() == pytest.approx(float(errors.square().sum()) / 200)
    np.testing.assert_allclose(module.head.weight.grad, 2 / 200 * errors.T @ features, rtol=1e-9)
    np.testing.assert_allclose(module.head.bias.grad, 2 * errors.mean(0), rtol=1e-9)
    for weight in (p for p in module.encoder.parameters() if p.ndim == 2):
        at = np.unravel_index(int(weight.grad.abs().argmax()), weight.shape)
        losses = []
        with torch.no_grad():
            for sign in (1, -1):
                weight[at] += sign * 1e-6
                losses.append(float(regressor.objective(module(x), target)))
                weight[at] -= sign * 1e-6
        assert float(weight.grad[at]) == pytest.approx((losses[0] - losses[1]) / 2e-6, rel=1e-4)


def test_rates_fall_from_layer_to_layer(language):
    texts, y = rated(40)
    regressor = quick(language, layer_decay=0.5, lr_schedule="constant").fit(texts, y)
    module, optimizer = regressor.net_.module_, regressor.net_.optimizer_
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    layers = module.encoder.transformer.layers
    by_depth = [module.head.weight, layers[1].norm2.bias, layers[0].norm2.bias]
    np.testing.assert_allclose([rate[id(p)] / 5e-4 for p in by_depth], [1, 0.5, 0.25])


# --- targets ---------------------------------------------------------------------------------------------------------


def test_several_quantities(encoder, diabetes):
    X, y = diabetes
    Y = np.stack([y, 1e3 * X[:, 2] - 5, 1e-3 * X[:, 3]], axis=1)
    regressor = quick(encoder, max_epochs=40, lr=5e-3).fit(X, Y)
    assert regressor.n_outputs_ == 3
    assert regressor.predict(X).shape == (200, 3)
    each = r2_score(Y, regressor.predict(X), multioutput="raw_values")
    assert each.min() > 0.4  # none is lost beside another of a larger unit
    assert regressor.score(X, Y) == pytest.approx(each.mean())


def test_a_column_is_a_quantity_too(encoder, diabetes):
    X, y = diabetes
    flat, column = quick(encoder).fit(X, y), quick(encoder).fit(X, y[:, None])
    assert flat.predict(X).shape == (200,)
    assert column.predict(X).shape == (200, 1)
    np.testing.assert_array_equal(flat.predict(X), column.predict(X)[:, 0])


@pytest.mark.parametrize("kind", [list, pd.Series, torch.tensor, lambda y: pd.Series(y, dtype="Float64"), np.float32])
def test_kinds_of_targets(encoder, diabetes, kind):
    X, y = diabetes
    y = np.round(y)
    np.testing.assert_array_equal(quick(encoder).fit(X, kind(y)).predict(X), quick(encoder).fit(X, y).predict(X))


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA], ids=str)
def test_rows_without_a_target_are_set_aside(encoder, diabetes, missing):
    X, y = diabetes
    keep = np.arange(200) % 3 > 0
    given = [value if kept else missing for value, kept in zip(y, keep, strict=True)]
    partly, only = quick(encoder).fit(X, given), quick(encoder).fit(X[keep], y[keep])
    np.testing.assert_array_equal(partly.predict(X), only.predict(X))
    assert partly.score(X, given) == only.score(X[keep], y[keep])
    weights = np.arange(200.0)
    assert partly.score(X, given, weights) == only.score(X[keep], y[keep], weights[keep])


def test_minus_one_is_a_quantity(encoder, diabetes):
    X, _ = diabetes
    y = np.arange(200) % 3 - 1
    assert float(quick(encoder).fit(X, y).net_.module_.target_mean) == pytest.approx(y.mean())


def test_a_row_with_some_targets_missing_is_set_aside(encoder, diabetes):
    X, y = diabetes
    Y = np.stack([y, X[:, 2]], axis=1)
    Y[:100, 1] = np.nan
    np.testing.assert_array_equal(quick(encoder).fit(X, Y).predict(X), quick(encoder).fit(X[100:], Y[100:]).predict(X))


def test_rows_of_texts_without_a_target_are_set_aside(language):
    texts, y = rated(60)
    y[::2] = np.nan
    np.testing.assert_array_equal(
        quick(language).fit(texts, y).predict(texts), quick(language).fit(texts[1::2], y[1::2]).predict(texts)
    )


def test_an_encoder_that_is_not_fitted_learns_from_all_rows(diabetes):
    X, y = diabetes
    y = np.where(np.arange(200) < 50, y, np.nan)
    start = AutoEncoderTransformer(4, hidden=(8,), max_epochs=2, random_state=0)
    regressor = quick(start).fit(X, y)
    np.testing.assert_array_equal(regressor.predict(X), quick(clone(start).fit(X)).fit(X, y).predict(X))
    assert not hasattr(start, "net_")


@pytest.mark.parametrize("value", [0.0, 0.1, -3e7, 1e-40])
def test_constant_targets_are_predicted(encoder, diabetes, value):
    X, _ = diabetes
    regressor = quick(encoder).fit(X, np.full(200, value))
    assert float(regressor.net_.module_.target_scale) == 1
    np.testing.assert_allclose(regressor.predict(X), value, rtol=1e-6, atol=1e-6)


# --- what every estimator promises -----------------------------------------------------------------------------------


def test_the_encoder_stays_as_it_was(encoder, diabetes):
    before = pickle.dumps(encoder)
    quick(encoder).fit(*diabetes)
    assert pickle.dumps(encoder) == before


def test_clones_keep_a_fitted_encoder(encoder, diabetes):
    X, y = diabetes
    regressor = quick(encoder)
    copied = clone(regressor)
    assert copied.encoder.net_ is encoder.net_
    np.testing.assert_array_equal(copied.fit(X, y).predict(X), regressor.fit(X, y).predict(X))
    assert not hasattr(clone(copied), "net_")


def test_files_and_pickles(encoder, language, diabetes, tmp_path):
    X, y = diabetes
    for start, rows, targets in ((encoder, X, y), (encoder, X, np.stack([y, -y], 1)), (language, *rated(40))):
        regressor = quick(start).fit(rows, targets)
        skrep.save(regressor, tmp_path / "file")
        loaded = skrep.load(tmp_path / "file")
        expected = regressor.predict(rows)
        np.testing.assert_array_equal(loaded.predict(rows), expected)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(rows), expected)
        np.testing.assert_array_equal(
            loaded.partial_fit(rows, targets).predict(rows),
            copy.deepcopy(regressor).partial_fit(rows, targets).predict(rows),
        )


def test_interrupted_runs_resume_to_the_bit(encoder, diabetes, tmp_path):
    X, y = diabetes

    class Stop(Callback):
        only_watches = True

        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    options = {"max_epochs": 4, "checkpoint": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        quick(encoder, callbacks=[Stop()], **options).fit(X, y)
    resumed = quick(encoder, **options).fit(X, y)
    assert resumed.resumed_from_ is not None
    np.testing.assert_array_equal(resumed.predict(X), quick(encoder, max_epochs=4).fit(X, y).predict(X))
    assert quick(encoder, **options).fit(X, 2 * y).resumed_from_ is None  # other targets are another run


def test_partial_fit_keeps_the_scale_of_its_first_rows(encoder, diabetes):
    X, y = diabetes
    regressor = quick(encoder, lr=5e-3).partial_fit(X, y)
    for _ in range(20):
        regressor.partial_fit(X[:150], np.where(np.arange(150) % 2, y[:150], np.nan))
    assert float(regressor.net_.module_.target_mean) == pytest.approx(y.mean())
    assert regressor.score(X, y) > 0.3


def test_warm_start(encoder, diabetes):
    X, y = diabetes
    regressor = quick(encoder, warm_start=True).fit(X, y)
    before = regressor.history_[-1]["train_loss"]
    assert regressor.fit(X, y).history_[-1]["train_loss"] < before
    with pytest.raises(ValueError, match="warm_start"):
        regressor.fit(X, np.stack([y, y], axis=1))
    assert regressor.predict(X).shape == (200,)


def test_early_stopping_monitors_held_out_rows(encoder, diabetes):
    X, y = diabetes
    regressor = quick(encoder, max_epochs=60, early_stopping=2, lr=0.05).fit(X, y)
    assert len(regressor.history_) < 60
    assert "valid_loss" in regressor.history_[0]


def test_pipelines_and_searches(encoder, diabetes):
    X, y = diabetes
    search = GridSearchCV(quick(encoder), {"layer_decay": [0.5, 1.0]}, cv=2).fit(X, y)
    assert search.best_params_["layer_decay"] in (0.5, 1.0)
    assert cross_val_score(quick(encoder, max_epochs=20, lr=5e-3), X, y, cv=2).mean() > 0.2
    assert make_pipeline(quick(encoder)).fit(X, y).predict(X).shape == (200,)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: None, "FineTuneRegressor requires y"),
        (lambda y: y[:199], r"X .*\b200\b.*\by\b.*\b199\b"),
        (lambda y: np.full(200, np.nan), "no label: all of its 200 rows"),
        (lambda y: np.where(y > 100, np.inf, y), "infinity"),
        (lambda y: y.astype(str), "FineTuneRegressor predicts quantities.*numbers.*classifier"),
        (lambda y: 1e38 * y, "too large for float32.*Divide"),
        (lambda y: y[:, None, None], r"shape \(200, 1, 1\).*expected"),
        (lambda y: [[1.0]] * 199 + [[1.0, 2.0]], "different lengths"),
        (lambda y: 1j * y, "Complex data not supported"),
    ],
)
def test_targets_that_cannot_be_used(encoder, diabetes, change, message):
    X, y = diabetes
    regressor = quick(encoder)
    with pytest.raises(ValueError, match=message):
        regressor.fit(X, change(y))
    assert not hasattr(regressor, "net_")
    assert not hasattr(regressor, "n_outputs_")


def test_lengths_are_compared_before_the_encoder_is_fitted(diabetes):
    X, y = diabetes

    class Watched(AutoEncoderTransformer):
        def fit(self, X, y=None, *, groups=None):
            raise AssertionError

    with pytest.raises(ValueError, match=r"X has 200 samples, y has 199"):
        quick(Watched(4)).fit(X, y[:199])
    with pytest.raises(ValueError, match="layer_decay"):
        quick(Watched(4), layer_decay=2.0).fit(X, y)


def test_other_errors(encoder, diabetes):
    X, y = diabetes
    with pytest.raises(ValueError, match=r"encoder=None.*expected a network"):
        FineTuneRegressor().fit(X, y)
    with pytest.raises(ValueError, match="10 features"):
        quick(encoder).fit(X[:, :5], y)
    fitted = quick(encoder).fit(X, y)
    with pytest.raises(ValueError, match=r"2 columns.*fitted to 1"):
        fitted.partial_fit(X, np.stack([y, y], axis=1))
    with pytest.raises(ValueError, match="no label"):
        fitted.score(X, np.full(200, np.nan))
    with pytest.raises(ValueError, match="groups"):
        quick(encoder).fit(X, y, groups=y)


def test_help_is_complete():
    doc = NumpyDocString(inspect.getdoc(FineTuneRegressor))
    assert [entry.name for entry in doc["Parameters"]] == list(inspect.signature(FineTuneRegressor).parameters)
    described = {entry.name for entry in doc["Attributes"]}
    assert {"encoder_", "net_", "n_outputs_", "n_features_out_", "history_"} <= described
