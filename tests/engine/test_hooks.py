"""The hooks carry every kind of method: labels, groups, episodes, sequences of different lengths, two modalities."""

import numpy as np
import pytest
import torch

import skrep
from skrep.backbones import ConvNet
from skrep.params import param
from tests.engine.test_training import Ctrl
from tests.methods import (
    BYOL,
    CPC,
    VAE,
    BYOLTransformer,
    ContextEncoder,
    CPCTransformer,
    GroupedTransformer,
    PrototypicalTransformer,
    Rotation,
    RotationTransformer,
    TwoTowers,
    TwoTowersTransformer,
    VAETransformer,
)

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(96, 5)).astype(np.float32)
IMAGES = RNG.integers(0, 256, (48, 8, 8, 1), dtype=np.uint8)
SEQUENCES = [RNG.normal(size=(n, 2)).astype(np.float32) for n in RNG.integers(32, 120, 40)]
TEXTS = [" ".join(RNG.choice(["red", "green", "blue", "dark", "pale"], 3)) for _ in range(48)]
CLASSES = np.repeat([f"class {i}" for i in range(12)], 8)
GROUPS = np.arange(48) // 4

# each as fit takes it
CASES = {
    "BYOL": (BYOLTransformer, {"backbone": ConvNet(2)}, (IMAGES,), {}),
    "rotation": (RotationTransformer, {"backbone": ConvNet(2)}, (IMAGES,), {}),
    "VAE": (VAETransformer, {"n_components": 3}, (TABLE,), {}),
    "prototypes": (PrototypicalTransformer, {"n_episodes": 6, "validation_fraction": 0.3}, (TABLE, CLASSES), {}),
    "CPC": (CPCTransformer, {}, (SEQUENCES,), {}),
    "two blocks": (TwoTowersTransformer, {"backbone": ConvNet(2)}, (IMAGES, TEXTS), {}),
    "groups": (GroupedTransformer, {"backbone": ConvNet(2)}, (IMAGES,), {"groups": GROUPS}),
}
TRUSTED = [BYOL, CPC, VAE, ContextEncoder, Rotation, TwoTowers, *(cls for cls, _, _, _ in CASES.values())]

each_case = pytest.mark.parametrize("case", CASES)


def make(case, **options):
    cls, settings, data, rest = CASES[case]
    given = {"max_epochs": 3, "batch_size": 16, "validation_fraction": 0.25, "random_state": 0} | settings | options
    return cls(**given), data, rest


@each_case
def test_trained_and_validated(case):
    method, data, rest = make(case)
    method.fit(*data, **rest)
    Z = method.transform(data[0])
    assert Z.shape == (len(data[0]), method.n_features_out_)
    assert np.isfinite(Z).all()
    assert Z.std() > 0
    assert all(np.isfinite([row["train_loss"], row["valid_loss"]]).all() for row in method.history_)
    rates = [row["lr"] for row in method.history_]
    assert rates == sorted(rates, reverse=True)  # one half cosine, however many rows an epoch has
    assert rates[-1] < 0.2 * rates[0]
    np.testing.assert_array_equal(method.transform(data[0][3:9]), Z[3:9])


@each_case
def test_default_sizes(case):
    method, data, rest = make(case, max_epochs=None, batch_size=None, callbacks=[Ctrl((0, 1), "raise")])
    with pytest.raises(KeyboardInterrupt):
        method.fit(*data, **rest)


@each_case
def test_resumed_to_the_bit(case, tmp_path):
    method, data, rest = make(case)
    whole = method.fit(*data, **rest)
    stopped, _, _ = make(case, checkpoint=tmp_path, callbacks=[Ctrl((1, 1), "raise")])
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(*data, **rest)
    resumed, _, _ = make(case, checkpoint=tmp_path)
    resumed.fit(*data, **rest)
    assert resumed.resumed_from_ == (1, 1)
    assert resumed.history_ == whole.history_
    np.testing.assert_array_equal(resumed.transform(data[0]), whole.transform(data[0]))


@each_case
def test_saved_and_loaded(case, tmp_path):
    method, data, rest = make(case, validation_fraction=None) if case != "prototypes" else make(case)
    method.fit(*data, **rest)
    skrep.save(method, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file", TRUSTED)
    np.testing.assert_array_equal(loaded.transform(data[0]), method.transform(data[0]))
    assert loaded.history_ == method.history_


@each_case
def test_one_more_pass(case):
    method, data, rest = make(case)
    method.partial_fit(*data, **rest).partial_fit(*data, **rest)
    assert [row["epoch"] for row in method.history_] == [1, 2]
    assert method.history_[0]["train_loss"] != method.history_[1]["train_loss"]


def test_named_terms_land_in_the_history():
    method, data, _ = make("VAE", lr_schedule="constant", batch_size=None)
    row = method.fit(*data).history_[-1]
    assert row["reconstruction"] + row["kl"] == pytest.approx(row["train_loss"], rel=1e-6)
    assert row["valid_reconstruction"] + row["valid_kl"] == pytest.approx(row["valid_loss"], rel=1e-6)
    assert row["reconstruction"] < method.history_[0]["reconstruction"]


def test_progress_goes_from_zero_to_one_and_is_one_in_validation():
    seen = []

    class Watched(VAETransformer):
        def make_views(self, data, module):
            views = super().make_views(data, module)
            return lambda batch, generator: (seen.append((module.training, batch.progress)), views(batch, generator))[1]

    Watched(max_epochs=4, batch_size=16, validation_fraction=0.25, random_state=0).fit(TABLE)
    training = [progress for is_training, progress in seen if is_training]
    np.testing.assert_allclose(training, (np.arange(20) + 0.5) / 20, atol=0.01)
    assert {progress for is_training, progress in seen if not is_training} == {1.0}
    seen.clear()
    Watched(random_state=0).partial_fit(TABLE)
    assert {progress for _, progress in seen} == {0.0}


@pytest.mark.parametrize("case", ["VAE", "CPC"])  # the others have batch statistics, which move on
def test_validation_is_the_same_in_every_epoch(case):
    method, data, rest = make(case, lr=1e-30, optimizer="sgd", weight_decay=0.0)
    losses = [row["valid_loss"] for row in method.fit(*data, **rest).history_]
    assert losses[0] == losses[-1]


def test_a_group_is_on_one_side_of_a_split():
    parts = []
    method, data, rest = make("groups", early_stopping=3, validation_fraction=None)
    method.training_source = lambda source: (parts.append(set(source.groups.tolist())), source)[1]
    method.fit(*data, **rest)
    train, valid = parts
    assert train | valid == set(range(12))
    assert not train & valid
    assert len(valid) == 2  # a tenth of twelve would be one, which has no other to be compared with


def test_classes_that_are_held_out_make_the_episodes_of_validation():
    seen = {True: set(), False: set()}

    class Watched(PrototypicalTransformer):
        def make_views(self, data, module):
            views = super().make_views(data, module)

            def watched(batch, generator):
                seen[module.training] |= set(batch.groups.tolist())
                return views(batch, generator)

            return watched

    Watched(max_epochs=3, n_episodes=30, validation_fraction=0.3, random_state=0).fit(TABLE, CLASSES)
    assert not seen[True] & seen[False]
    assert len(seen[True]) == 8
    assert len(seen[False]) == 4


def test_terms_of_the_loss_reach_backward():
    norms = []

    class TwoPlayers(VAETransformer):
        def backward(self, module, losses):
            parts = [torch.autograd.grad(loss, module.decoder.parameters(), retain_graph=True, allow_unused=True)
                     for loss in losses.values()]  # fmt: skip
            norms.append((list(losses), [all(g is None for g in part) for part in parts]))
            super().backward(module, losses)

    method = TwoPlayers(max_epochs=2, random_state=0).fit(TABLE)
    assert norms[0] == (["reconstruction", "kl"], [False, True])  # the divergence knows no decoder
    plain = VAETransformer(max_epochs=2, random_state=0).fit(TABLE)
    np.testing.assert_array_equal(method.transform(TABLE), plain.transform(TABLE))


def test_labels_groups_and_blocks_of_another_length():
    for case, position in (("prototypes", "y"), ("two blocks", "y")):
        method, (X, y), _ = make(case)
        with pytest.raises(ValueError, match=rf"X has {len(X)} samples, {position} has {len(y) - 1}\b"):
            method.fit(X, y[:-1])
    method, (X,), _ = make("groups")
    with pytest.raises(ValueError, match=r"X has 48 samples, groups has 47\b"):
        method.fit(X, groups=GROUPS[:-1])
    with pytest.raises(ValueError, match=r"groups has shape \(12, 4\)"):
        method.fit(X, groups=GROUPS.reshape(12, 4))
    with pytest.raises(ValueError, match="NaN"):
        method.fit(X, groups=np.where(GROUPS == 3, np.nan, GROUPS))
    with pytest.raises(ValueError, match=r"one group.*validation_fraction"):
        method.fit(X, groups=np.zeros(48))
    with pytest.raises(ValueError, match="y is None"):
        make("prototypes")[0].fit(TABLE)


def test_mistakes_of_a_method_are_named():
    class Undecorated(VAETransformer):
        extra = param(default=1)

    class NoEncoder(VAETransformer):
        def make_module(self, data):
            return torch.nn.Linear(5, 5)

    class Vector(VAETransformer):
        def objective(self, outputs, target):
            return {name: loss[None] for name, loss in super().objective(outputs, target).items()}

    class Taken(VAETransformer):
        def objective(self, outputs, target):
            return {"lr": super().objective(outputs, target)["kl"]}

    for cls, error, message in [
        (Undecorated, TypeError, r"Undecorated.*extra.*@params"),
        (NoEncoder, TypeError, r"NoEncoder.make_module.*Linear.*encoder"),
        (Vector, ValueError, r"Vector.objective.*'reconstruction'.*\(1,\).*scalar"),
        (Taken, ValueError, r"Taken.objective.*'lr'.*history_"),
    ]:
        with pytest.raises(error, match=message):
            cls(max_epochs=1).fit(TABLE)

    class Pair(GroupedTransformer):
        def after_step(self, module, outputs, progress):
            super().after_step(module, (outputs, outputs), progress)

    with pytest.raises(TypeError, match=r"Pair.*tuple.*projection_dim.*after_step"):
        Pair(backbone=ConvNet(2), max_epochs=1).fit(IMAGES, groups=GROUPS)
