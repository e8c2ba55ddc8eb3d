"""Fine-tuning all layers of a fitted encoder."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpydoc.docscrape import NumpyDocString
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Callback
from torch import nn

import skrep
from skrep import AutoEncoderTransformer, FineTuneClassifier, MaskedLMTransformer, RandomEncoder, SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.data import AsImages
from tests.supervised.texts import reviews


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


# --- class_weight ----------------------------------------------------------------------------------------------------


def first_loss(encoder, X, y, seed=0, **options):
    """A classifier after one step of no size, outputs of its network with another head, and the targets of all rows."""
    batches = []

    class Seen(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            batches.append(batch)

    options = {"lr": 1e-12, "max_epochs": 1, "batch_size": len(X), "callbacks": [Seen()]} | options
    classifier = quick(encoder, **options).fit(X, y)
    ((inputs, target),) = batches
    module = copy.deepcopy(classifier.net_.module_)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        nn.init.normal_(module.head.weight)
    with torch.no_grad():
        outputs = module(inputs)
    return classifier, outputs, target


@pytest.mark.parametrize("class_weight", ["balanced", {3: 5, 7: 0.1}, dict.fromkeys(range(10), 2.5)], ids=str)
def test_class_weights_are_those_of_a_loss_by_hand(encoder, digits, class_weight):
    X, y = digits
    X, y = np.concatenate([X, X[y == 3]]), np.concatenate([y, y[y == 3]])
    classifier, outputs, target = first_loss(encoder, X, y, class_weight=class_weight)
    expected = compute_class_weight(class_weight, classes=np.arange(10), y=y)
    np.testing.assert_allclose(classifier.class_weight_, expected, rtol=1e-6)
    logits, labels = outputs.double().numpy(), target[0].numpy()
    loss = np.mean([-expected[k] * (row[k] - np.logaddexp.reduce(row)) for row, k in zip(logits, labels, strict=True)])
    assert float(classifier.objective(outputs, target)) == pytest.approx(loss, rel=1e-5)


def test_without_weights_and_with_equal_ones_training_is_the_same(encoder, digits):
    X, y = digits
    plain, ones = quick(encoder).fit(X, y), quick(encoder, class_weight={0: 1.0}).fit(X, y)
    assert plain.class_weight_ is None
    np.testing.assert_allclose(plain.predict_proba(X), ones.predict_proba(X), atol=1e-4)


def test_weights_raise_the_share_of_a_rare_class(encoder, digits):
    X, y = digits
    rare = np.where(y == 8, "eight", "other")
    options = {"lr": 2e-3, "max_epochs": 5}
    shares = [
        np.mean(quick(encoder, class_weight=weight, **options).fit(X, rare).predict(X) == "eight")
        for weight in ({"eight": 1e-6}, None, "balanced", {"eight": 1000.0})
    ]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] > 0.15


def test_weights_in_files_and_passes(encoder, digits, tmp_path):
    X, y = digits
    classifier = quick(encoder, class_weight="balanced").fit(X, y)
    skrep.save(classifier, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.class_weight_, classifier.class_weight_)
    np.testing.assert_array_equal(
        loaded.partial_fit(X, y).predict_proba(X), copy.deepcopy(classifier).partial_fit(X, y).predict_proba(X)
    )
    first = quick(encoder, class_weight={0: 3}).partial_fit(X, y, classes=np.arange(11))
    assert first.class_weight_.tolist() == [3, *[1] * 10]


@pytest.mark.parametrize(
    ("class_weight", "message"),
    [
        ("even", "class_weight='even'.*'balanced'"),
        ([1, 2], r"class_weight=\[1, 2\].*dict"),
        ({11: 2}, "a weight for 11, which is not among the classes"),
        ({1: -1}, "the weight -1; expected finite numbers"),
        ({1: np.nan}, "the weight nan; expected"),
        ({1: "2"}, "the weight '2'; expected"),
        (dict.fromkeys(range(10), 0), "all classes weight 0"),
    ],
    ids=str,
)
def test_weights_that_cannot_be_used(encoder, digits, class_weight, message):
    with pytest.raises(ValueError, match=message):
        quick(encoder, class_weight=class_weight).fit(*digits)


def test_balanced_weights_need_all_labels(encoder, digits):
    with pytest.raises(ValueError, match=r"balanced.*partial_fit.*dict"):
        quick(encoder, class_weight="balanced").partial_fit(*digits)


# --- several labels for each row -------------------------------------------------------------------------------------


def properties(y):
    return np.stack([y % 2 == 0, y % 3 == 0, y > 4, y == 8], axis=1).astype(int)


def test_several_labels(encoder, digits):
    X, y = digits
    Y = properties(y)
    classifier = quick(encoder, max_epochs=30, lr=5e-3).fit(X, Y)
    probabilities, decisions, predicted = (
        getattr(classifier, name)(X) for name in ("predict_proba", "decision_function", "predict")
    )
    assert classifier.multilabel_
    assert classifier.classes_.tolist() == [0, 1, 2, 3]
    assert probabilities.shape == decisions.shape == predicted.shape == (300, 4)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-decisions.astype(float))), atol=1e-6)
    np.testing.assert_array_equal(predicted, decisions > 0)
    assert classifier.score(X, Y) == np.mean([list(a) == list(b) for a, b in zip(predicted, Y, strict=True)])
    assert classifier.score(X, Y) > 0.7


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 0.5, 1: 4}, {1: 4}], ids=str)
def test_the_loss_of_several_labels_is_that_of_a_naive_loop(encoder, digits, class_weight):
    X, y = digits
    Y = properties(y)
    classifier, outputs, target = first_loss(encoder, X, Y, class_weight=class_weight)
    labels = (target if class_weight is None else target[0]).numpy()
    terms = []
    for j in range(4):
        given = {0: 1, 1: 1} | (class_weight if isinstance(class_weight, dict) else {})
        if class_weight == "balanced":
            given = {k: 300 / (2 * np.sum(Y[:, j] == k)) for k in (0, 1)}
        for i in range(300):
            p, label = 1 / (1 + np.exp(-float(outputs[i, j]))), int(labels[i, j])
            terms.append(-given[label] * np.log(p if label else 1 - p))
    assert float(classifier.objective(outputs, target)) == pytest.approx(np.mean(terms), rel=1e-4)


def test_balanced_labels_are_weighted_as_one_problem_each(encoder, digits):
    """As OneVsRestClassifier weighs them."""
    X, y = digits
    Y = properties(y)
    weights = quick(encoder, class_weight="balanced", max_epochs=1).fit(X, Y).class_weight_
    for j in range(4):
        np.testing.assert_allclose(
            weights[:, j], compute_class_weight("balanced", classes=np.arange(2), y=Y[:, j]), rtol=1e-6
        )
    Y[:, 0] = 0  # a label that no row has
    assert np.isfinite(quick(encoder, class_weight="balanced").fit(X, Y).predict_proba(X)).all()


def test_one_label_is_two_classes(encoder, digits):
    """The log-odds of a label train as those of two classes by a softmax do, but for the pace."""
    X, y = digits
    Y = np.stack([y > 4, y > 4], axis=1).astype(int)
    several = quick(encoder, max_epochs=40, lr=5e-3).fit(X, Y).predict(X)
    one = quick(encoder, max_epochs=40, lr=5e-3).fit(X, y > 4).predict(X)
    assert np.mean(several[:, 0] == several[:, 1]) > 0.95
    assert np.mean(several[:, 0] == one) > 0.9
    assert OneVsRestClassifier(quick(encoder)).fit(X, Y).predict(X).shape == Y.shape


def test_several_labels_of_texts_in_files_and_passes(language, tmp_path):
    texts, y = reviews(40)
    Y = np.stack([y == "good", ["film" in text for text in texts]], axis=1)
    classifier = quick(language).fit(texts, Y)
    skrep.save(classifier, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.predict_proba(texts), classifier.predict_proba(texts))
    loaded.partial_fit(texts, Y)
    assert quick(language).partial_fit(texts, Y).predict(texts).shape == (40, 2)
    with pytest.raises(ValueError, match=r"3 columns.*fitted to 2"):
        loaded.partial_fit(texts, np.ones((40, 3)))
    with pytest.raises(ValueError, match=r"shape \(40,\).*indicator"):
        loaded.partial_fit(texts, np.arange(40) % 2)
    with pytest.raises(ValueError, match="Leave classes out"):
        quick(language).partial_fit(texts, Y, classes=["good", "film", "day"])


def test_validation_with_several_labels(encoder, digits):
    X, y = digits
    classifier = quick(encoder, validation_fraction=0.2, class_weight="balanced").fit(X, properties(y))
    assert all(np.isfinite(row["valid_loss"]) for row in classifier.history_)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda Y: 2 * Y, "the value 2 .*indicator matrix of 0 and 1"),
        (lambda Y: Y - 1, "the value -1 .*NaN in the matrix"),
        (lambda Y: Y.astype(str), "the value '[01]' .*indicator"),
        (lambda Y: Y[:299], r"X .*\b300\b.*\by\b.*\b299\b"),
        (lambda Y: Y[:, :, None], r"shape \(300, 4, 1\)"),
        (lambda Y: [list(np.flatnonzero(row)) for row in Y], "MultiLabelBinarizer"),
        (lambda Y: np.full(Y.shape, np.nan), "no label: all of its 300 rows"),
    ],
)
def test_labels_that_are_no_indicators(encoder, digits, change, message):
    X, y = digits
    with pytest.raises(ValueError, match=message):
        quick(encoder).fit(X, change(properties(y)))
