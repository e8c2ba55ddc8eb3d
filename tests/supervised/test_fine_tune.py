"""Fine-tuning all layers of a fitted encoder."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpydoc.docscrape import NumpyDocString
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback
from torch import nn

import skrep
from skrep import AutoEncoderTransformer, FineTuneClassifier, MaskedLMTransformer, RandomEncoder, SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.data import AsImages

GOOD, BAD = ["good", "great", "fine", "lovely"], ["bad", "awful", "poor", "dull"]


def reviews(n, seed=0):
    """Texts of one opinion word among others, and which opinion it is."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    others = ["a", "film", "of", "the", "day", "we", "saw", "it"]
    texts = []
    for label in y:
        words = list(rng.choice(others, 6))
        words.insert(int(rng.integers(7)), str(rng.choice((BAD, GOOD)[label])))
        texts.append(" ".join(words))
    return texts, np.array(["bad", "good"])[y]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:300].astype(np.float32), y[:300]


@pytest.fixture(scope="module")
def encoder(digits):
    return AutoEncoderTransformer(16, max_epochs=5, random_state=0).fit(digits[0])


@pytest.fixture(scope="module")
def language():
    return MaskedLMTransformer(16, max_epochs=3, random_state=0).fit(reviews(200)[0])


def quick(encoder, **options):
    return FineTuneClassifier(encoder, **({"max_epochs": 3, "random_state": 0} | options))


@parametrize_with_checks(
    [FineTuneClassifier(AutoEncoderTransformer(2, hidden=(8,), max_epochs=2), max_epochs=30, lr=0.02, random_state=0)]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_it_learns_what_a_frozen_encoder_does_not_hold(language):
    texts, y = reviews(200)
    others, z = reviews(100, seed=1)
    classifier = FineTuneClassifier(language, max_epochs=20, lr=5e-3, random_state=0).fit(texts, y)
    assert classifier.score(others, z) > 0.95
    assert list(classifier.classes_) == ["bad", "good"]
    assert classifier.history_[-1]["train_loss"] < 0.1


def test_probabilities_decisions_and_labels_agree(encoder, digits):
    X, y = digits
    classifier = quick(encoder).fit(X, y)
    probabilities, decisions = classifier.predict_proba(X), classifier.decision_function(X)
    assert probabilities.shape == decisions.shape == (300, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.log(probabilities), decisions - np.logaddexp.reduce(decisions, 1)[:, None], atol=1e-4)
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[decisions.argmax(1)])
    two = quick(encoder).fit(X, y > 4)
    np.testing.assert_array_equal(two.predict(X), two.decision_function(X) > 0)


def test_the_encoder_stays_as_it_was_and_the_copy_moves(encoder, digits):
    X, y = digits
    before = pickle.dumps(encoder)
    features = encoder.transform(X)
    classifier = quick(encoder).fit(X, y)
    assert pickle.dumps(encoder) == before
    moved = classifier.transform(X)
    assert moved.shape == features.shape
    assert np.abs(moved - features).max() > 1e-3


def test_before_the_first_step_all_classes_are_alike(encoder, digits):
    X, y = digits
    classifier = quick(encoder, lr=1e-12, max_epochs=1).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), 0.1, atol=1e-6)
    np.testing.assert_allclose(classifier.transform(X), encoder.transform(X), atol=1e-5)


def test_rates_fall_from_layer_to_layer(language):
    texts, y = reviews(40)
    classifier = quick(language, layer_decay=0.5, lr_schedule="constant").fit(texts, y)
    module, optimizer = classifier.net_.module_, classifier.net_.optimizer_
    rate = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    transformer = module.encoder.transformer
    by_depth = [module.head.weight, transformer.layers[1].norm2.bias, transformer.layers[0].norm2.bias]
    by_depth.append(transformer.tokens.weight)
    np.testing.assert_allclose([rate[id(p)] / 5e-4 for p in by_depth], [1, 0.5, 0.25, 0.125])
    assert len(rate) == len(list(module.parameters()))
    assert {row["lr"] for row in classifier.history_} == {5e-4}  # of what is not slowed down


def test_gradients_are_those_of_cross_entropy_through_all_layers(language):
    texts, y = reviews(12)
    batches = []

    class Seen(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            batches.append(batch)

    module = copy.deepcopy(quick(language, lr=1e-12, max_epochs=1, callbacks=[Seen()]).fit(texts, y).net_.module_)
    nn.init.normal_(module.head.weight)
    ((sequences, target),) = batches
    assert sorted(target.tolist()) == sorted((y == "good").astype(int))
    loss = nn.functional.cross_entropy(module(sequences), target)
    loss.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in module.encoder.transformer.layers.parameters())
    weight = module.encoder.transformer.layers[0].feed_forward.out.weight
    step = torch.zeros_like(weight)
    step[1, 2] = 1e-2
    with torch.no_grad():
        losses = []
        for sign in (1, -1):
            weight += sign * step
            losses.append(nn.functional.cross_entropy(module(sequences).double(), target))
            weight -= sign * step
    expected = float(losses[0] - losses[1]) / 2e-2
    assert float(weight.grad[1, 2]) == pytest.approx(expected, rel=0.05, abs=1e-5)


def test_images(digits):
    X, y = digits
    images = AsImages((8, 8)).fit_transform(X)
    encoder = SimCLRTransformer(backbone=ConvNet(4), max_epochs=1, random_state=0).fit(images)
    classifier = quick(encoder, max_epochs=20, lr=1e-2).fit(images, y)
    assert classifier.score(images, y) > 0.8
    assert classifier.image_shape_ == (8, 8, 1)


def test_an_untrained_network_is_a_start_too(digits):
    X, y = digits
    assert quick(RandomEncoder(random_state=0).fit(X), max_epochs=10).fit(X, y).score(X, y) > 0.6


def test_pairs_of_texts(language):
    texts, y = reviews(80)
    frame = pd.DataFrame({"first": texts, "second": texts[::-1]})
    pairs = MaskedLMTransformer(16, max_epochs=1, random_state=0).fit(frame)
    classifier = quick(pairs, max_epochs=20, lr=5e-3).fit(frame, y)
    assert classifier.score(frame, y) > 0.9
    np.testing.assert_array_equal(classifier.predict(frame.to_numpy()), classifier.predict(frame))


def test_an_encoder_that_is_not_fitted_is_fitted_first(digits):
    X, y = digits
    classifier = quick(AutoEncoderTransformer(16, max_epochs=2, random_state=0)).fit(X, y)
    fitted = AutoEncoderTransformer(16, max_epochs=2, random_state=0).fit(X)
    np.testing.assert_array_equal(classifier.predict_proba(X), quick(fitted).fit(X, y).predict_proba(X))
    assert not hasattr(classifier.encoder, "net_")


def test_clones_keep_a_fitted_encoder_but_not_its_parameters(encoder, digits):
    X, y = digits
    classifier = quick(encoder)
    copied = clone(classifier)
    assert copied.encoder.net_ is encoder.net_
    copied.set_params(encoder__verbose=1)
    assert encoder.verbose == 0
    np.testing.assert_array_equal(copied.fit(X, y).predict_proba(X), classifier.fit(X, y).predict_proba(X))
    assert not hasattr(clone(copied), "net_")


def test_grid_search_and_cross_validation(encoder, language, digits):
    X, y = digits
    assert cross_val_score(quick(encoder, max_epochs=10, lr=2e-3), X, y, cv=2).mean() > 0.6
    texts, labels = reviews(60)
    grid = {"encoder__pooling": ["mean", "max"], "layer_decay": [0.5, 1.0]}
    search = GridSearchCV(quick(language), grid, cv=2).fit(texts, labels)
    assert search.best_estimator_.encoder_.pooling in ("mean", "max")
    assert language.pooling == "mean"
    make_pipeline(quick(encoder)).fit(X, y).predict(X)


def test_early_stopping_keeps_the_best_weights(encoder, digits):
    X, y = digits
    classifier = quick(encoder, max_epochs=200, early_stopping=2, lr=0.02).fit(X, y)
    losses = [row["valid_loss"] for row in classifier.history_]
    assert len(losses) < 200
    assert int(np.argmin(losses)) == len(losses) - 3


def test_files_and_pickles(encoder, language, digits, tmp_path):
    texts, labels = reviews(40)
    for start, X, y in ((encoder, *digits), (language, texts, labels)):
        classifier = quick(start).fit(X, y)
        skrep.save(classifier, tmp_path / "file")
        loaded = skrep.load(tmp_path / "file")
        expected = classifier.predict_proba(X)
        np.testing.assert_array_equal(loaded.predict_proba(X), expected)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(classifier)).predict_proba(X), expected)
        np.testing.assert_array_equal(
            loaded.partial_fit(X, y).predict_proba(X), copy.deepcopy(classifier).partial_fit(X, y).predict_proba(X)
        )


def test_interrupted_runs_go_on_to_the_bit(language, tmp_path):
    texts, y = reviews(60)

    class Stop(skrep.base.skorch.callbacks.Callback):
        only_watches = True

        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    options = {"max_epochs": 4, "checkpoint": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        quick(language, callbacks=[Stop()], **options).fit(texts, y)
    resumed = quick(language, **options).fit(texts, y)
    assert resumed.resumed_from_ is not None
    whole = quick(language, max_epochs=4).fit(texts, y)
    np.testing.assert_array_equal(resumed.predict_proba(texts), whole.predict_proba(texts))
    other = quick(MaskedLMTransformer(16, max_epochs=1, random_state=5).fit(reviews(200)[0]), **options).fit(texts, y)
    assert other.resumed_from_ is None  # another start is another run
    relabeled = quick(language, **options).fit(texts, y[::-1])
    assert relabeled.resumed_from_ is None  # and so are other labels


def test_partial_fit(encoder, digits):
    X, y = digits
    classifier = quick(encoder)
    for _ in range(15):
        classifier.partial_fit(X, y, classes=np.arange(11))
    assert classifier.score(X, y) > 0.6
    assert classifier.predict_proba(X).shape == (300, 11)
    with pytest.raises(ValueError, match="label 11"):
        classifier.partial_fit(X, y + 2)


def test_errors(encoder, digits):
    X, y = digits
    with pytest.raises(ValueError, match="requires y"):
        quick(encoder).fit(X, None)
    with pytest.raises(ValueError, match="1 class"):
        quick(encoder).fit(X, np.zeros(300, int))
    with pytest.raises(ValueError, match=r"X .*\b300\b.*\by\b.*\b299\b"):
        quick(encoder).fit(X, y[:299])
    with pytest.raises(ValueError, match="encoder=None"):
        FineTuneClassifier().fit(X, y)
    with pytest.raises(ValueError, match="64 features"):
        quick(encoder).fit(X[:, :5], y)
    with pytest.raises(ValueError, match=r"validation_fraction=0\.999\b.*\b300\b"):
        quick(encoder, validation_fraction=0.999).fit(X, y)


def test_help_is_complete():
    import inspect

    doc = NumpyDocString(inspect.getdoc(FineTuneClassifier))
    assert [entry.name for entry in doc["Parameters"]] == list(inspect.signature(FineTuneClassifier).parameters)
