"""Collapse is told once, with what to change; networks that learn are left in peace."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import skrep
from skrep import MoCoTransformer, SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.backbones.spread import COLLAPSED
from skrep.data import AsImages
from skrep.exceptions import CollapseWarning
from tests.engine.test_training import Ctrl

METHODS = [SimCLRTransformer, MoCoTransformer]


@pytest.fixture(scope="module")
def images(digits):
    return AsImages((8, 8)).fit_transform(digits[0])


class Constant(nn.Module):
    """Parameters, but an output that does not depend on the input."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(64, 16)

    def forward(self, x):
        return torch.tanh(self.inner(0 * x.flatten(1)))


class Attracted(SimCLRTransformer):
    """Two views are pulled together: no negatives, and no side on which the gradient stops."""

    def objective(self, outputs, target):
        return -F.cosine_similarity(*outputs.chunk(2)).mean()


def told(fit):
    """Collapse warnings of a fit; any other is an error."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("error")
        warnings.simplefilter("always", CollapseWarning)
        fit()
    return [str(warning.message) for warning in seen]


def stds(estimator):
    return [row["projection_std"] for row in estimator.history_]


@pytest.mark.parametrize("dictionary", ["queue", "memory_bank", "end_to_end"])
def test_a_constant_encoder_in_moco(dictionary, images):
    encoder = MoCoTransformer(backbone=Constant(), dictionary=dictionary, max_epochs=3, random_state=0)
    messages = told(lambda: encoder.fit(images[:200]))
    assert len(messages) == 1
    assert messages[0].startswith("MoCoTransformer: ")
    assert max(stds(encoder)) < COLLAPSED


def test_a_constant_encoder(images):
    encoder = SimCLRTransformer(backbone=Constant(), max_epochs=3, random_state=0)
    (message,) = told(lambda: encoder.fit(images[:200]))
    assert message.startswith("SimCLRTransformer: the network gives all rows nearly the same projection")
    for remedy in ("sample_views", "lr", "info_nce", "predictor"):
        assert remedy in message
    assert max(stds(encoder)) < COLLAPSED
    assert all(math.isfinite(row["effective_rank"]) for row in encoder.history_)
    assert len(encoder.history_) == 3  # a warning, no error


def attracted(**options):
    # plain steps, and batches that are a small part of the rows
    return Attracted(
        **{"backbone": ConvNet(2), "max_epochs": 12, "random_state": 0, "optimizer": "sgd", "lr": 0.5} | options
    )


def test_without_negatives_and_without_a_stopped_gradient(images):
    encoder = attracted()
    (message,) = told(lambda: encoder.fit(images))
    assert message.startswith("Attracted: ")
    assert "A loss of your own needs negatives" in message
    assert stds(encoder)[0] > stds(encoder)[-1]
    assert stds(encoder)[-1] < COLLAPSED
    assert encoder.history_[-1]["train_loss"] < -0.95  # which looks like success


def test_it_is_told_once_where_training_was_interrupted(images, tmp_path):
    whole = attracted()
    told(lambda: whole.fit(images))
    first = next(epoch for epoch, std in enumerate(stds(whole), 1) if std < COLLAPSED)
    assert 1 < first < 11
    for at, before in [((first - 1, 1), 0), ((first, 2), 1)]:  # before it was told, and after
        folder = tmp_path / str(at[0])

        def interrupted(at=at, folder=folder):
            with pytest.raises(KeyboardInterrupt):
                attracted(checkpoint=folder, callbacks=[Ctrl(at, "raise")]).fit(images)

        resumed = attracted(checkpoint=folder)
        assert len(told(interrupted)) == before
        assert len(told(lambda resumed=resumed: resumed.fit(images))) == 1  # who goes on may be another process
        assert resumed.history_ == whole.history_


@pytest.mark.parametrize("warm_start", [False, True])
def test_each_fit_tells_once(warm_start, images):
    encoder = SimCLRTransformer(backbone=Constant(), max_epochs=2, random_state=0, warm_start=warm_start)
    for _ in range(2):
        assert len(told(lambda: encoder.fit(images[:100]))) == 1


def test_saving_keeps_what_was_seen(images, tmp_path):
    encoder = SimCLRTransformer(backbone=ConvNet(2), max_epochs=2, random_state=0).fit(images[:100])
    skrep.save(encoder, tmp_path / "file")
    assert skrep.load(tmp_path / "file").history_ == encoder.history_


def test_an_epoch_is_that_epoch(images):
    """The numbers in the history are those of the projections that training saw, counted by hand."""
    seen = []

    class Watched(SimCLRTransformer):
        def after_step(self, module, outputs, progress):
            seen.append(outputs.detach().double().numpy())
            super().after_step(module, outputs, progress)

    encoder = Watched(backbone=ConvNet(2), max_epochs=3, batch_size=50, random_state=0, validation_fraction=0.1)
    encoder.fit(images[:200])
    n_batches = len(seen) // 3
    for epoch, row in enumerate(encoder.history_):
        z = np.concatenate(seen[epoch * n_batches : (epoch + 1) * n_batches])
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        assert row["projection_std"] == pytest.approx(z.std(0).mean() * 8, rel=1e-4)
        singular = np.linalg.svd(z, compute_uv=False)
        share = singular / singular.sum()
        assert row["effective_rank"] == pytest.approx(np.exp(-(share * np.log(share)).sum()), rel=1e-2)


def tables():
    rng = np.random.default_rng(0)
    mixed = (rng.normal(size=(150, 3)) @ rng.normal(size=(3, 6))).astype(np.float32)
    return {
        "six columns": mixed,
        "two columns": rng.normal(size=(150, 2)).astype(np.float32),
        "twenty rows": mixed[:20],
        "bits": (rng.random((150, 12)) < 0.2).astype(np.float32),
    }


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(i, marks=pytest.mark.exhaustive) for i in range(2, 20))])
def test_healthy_networks_are_left_in_peace(seed, method, images):
    """Warnings are errors here."""
    encoder = method(backbone=ConvNet(2), max_epochs=4, random_state=seed)
    lowest = [min(stds(encoder.fit(X))) for X in (images[:200], images[20 * seed : 20 * seed + 20])]
    lowest += [min(stds(method(max_epochs=4, random_state=seed).fit(X))) for X in tables().values()]
    assert min(lowest) > 2 * COLLAPSED


@pytest.mark.parametrize("options", [{"dictionary": "memory_bank"}, {"dictionary": "end_to_end"}, {"bn_splits": 2}])
def test_healthy_dictionaries(options, images):
    for seed in range(3):
        encoder = MoCoTransformer(backbone=ConvNet(2), max_epochs=4, random_state=seed, **options).fit(images[:200])
        assert min(stds(encoder)) > 2 * COLLAPSED
