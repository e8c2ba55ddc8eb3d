"""Ways in which a run could be taken for another, or lose what callbacks know."""

import functools
import math

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, Freezer, GradientNormClipping, LRScheduler

from skrep import AutoEncoderTransformer
from skrep.engine import fingerprint
from tests.engine.test_training import Ctrl, weights
from tests.methods import Simple

POWER = 1


def power(done, *, p=1):
    return done**p


def test_functions_that_do_something_else_have_another_fingerprint():
    global POWER
    pairs = [
        (lambda t: math.cos(t), lambda t: math.sin(t)),
        (functools.partial(power, p=1), functools.partial(power, p=8)),
        (lambda t, *, p=1: t**p, lambda t, *, p=8: t**p),
        (lambda t: [t + 1 for _ in range(2)], lambda t: [t + 2 for _ in range(2)]),
        (np.sin, np.cos),
    ]
    for one, other in pairs:
        assert fingerprint(one) != fingerprint(other)
    uses_global = lambda t: t**POWER  # noqa: E731
    before = fingerprint(uses_global)
    POWER = 2
    assert fingerprint(uses_global) != before
    POWER = 1


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"checkpoint.*generator"):
        fingerprint(x for x in ())


def test_an_edited_method_is_another_run(table, tmp_path):
    def objective(self, outputs, target):
        return (outputs - target).abs().mean()

    one = type("Method", (Simple,), {"__module__": "mine"})
    other = type("Method", (Simple,), {"__module__": "mine", "objective": objective})
    given = {"max_epochs": 2, "random_state": 0, "checkpoint": tmp_path}
    one(**given).fit(table)
    assert other(**given).fit(table).resumed_from_ is None
    assert one(**given).fit(table).resumed_from_ == (2, 0)


def test_callbacks_that_train_are_in_the_key(table, tmp_path):
    given = {"max_epochs": 3, "random_state": 0, "checkpoint": tmp_path}
    Simple(**given).fit(table)
    assert Simple(**given, callbacks=[GradientNormClipping(1e-6)]).fit(table).resumed_from_ is None
    assert Simple(**given, callbacks=[GradientNormClipping(1e-6)]).fit(table).resumed_from_ == (3, 0)
    assert Simple(**given, callbacks=[Checkpoint(dirname=tmp_path / "skorch")]).fit(table).resumed_from_ == (3, 0)


@pytest.mark.parametrize("load_best", [False, True])
def test_early_stopping_of_skorch_resumes_exactly(load_best, table, tmp_path):
    def stop():
        return EarlyStopping("train_loss", patience=3, threshold=1e-2, load_best=load_best, sink=lambda text: None)

    def encoder(*more, **given):
        return Simple(
            max_epochs=60, lr=0.05, lr_schedule="constant", random_state=0, callbacks=[stop(), *more], **given
        )

    whole = encoder().fit(table)
    assert 5 < whole.n_epochs_ < 60
    with pytest.raises(KeyboardInterrupt):
        encoder(Ctrl((whole.n_epochs_ - 2, 1), "raise"), checkpoint=tmp_path).fit(table)
    for _ in range(2):  # resumed, then loaded
        again = encoder(checkpoint=tmp_path).fit(table)
        assert again.n_epochs_ == whole.n_epochs_
        assert torch.equal(weights(again), weights(whole))


def test_freezer_resumes_exactly(table, tmp_path):
    given = {"max_epochs": 4, "random_state": 0, "weight_decay": 0.1}
    whole = Simple(**given, callbacks=[Freezer("encoder.*", at=2)]).fit(table)
    with pytest.raises(KeyboardInterrupt):
        Simple(**given, callbacks=[Freezer("encoder.*", at=2), Ctrl((2, 1), "raise")], checkpoint=tmp_path).fit(table)
    again = Simple(**given, callbacks=[Freezer("encoder.*", at=2)], checkpoint=tmp_path).fit(table)
    assert again.resumed_from_ is not None
    assert torch.equal(weights(again), weights(whole))


def test_checkpoint_of_skorch(table, tmp_path):
    saved = Checkpoint(monitor="train_loss_best", dirname=tmp_path)
    Simple(max_epochs=2, callbacks=[saved]).fit(table)
    assert (tmp_path / "params.pt").exists()


class Broken(Callback):
    def on_epoch_end(self, net, **kwargs):
        raise RuntimeError("the real error")

    def on_train_end(self, net, **kwargs):
        raise RuntimeError("another one")


def test_the_first_error_is_the_one_that_is_told(table):
    with pytest.raises(RuntimeError, match="the real error"):
        Simple(max_epochs=2, callbacks=[Broken()]).fit(table)


def test_scheduler_beside_a_schedule_is_an_error(table):
    with pytest.raises(ValueError, match="lr_schedule='constant'"):
        Simple(max_epochs=2, callbacks=[LRScheduler()]).fit(table)


def test_warm_start_forgets_old_options_and_refuses_another_network(table):
    encoder = AutoEncoderTransformer(2, hidden=(8,), max_epochs=1, random_state=0, warm_start=True)
    encoder.set_params(net_params={"optimizer__betas": (0.5, 0.9)}).fit(table)
    encoder.set_params(net_params=None).fit(table)
    assert encoder.net_.optimizer_.param_groups[0]["betas"] == (0.9, 0.999)
    before = encoder.transform(table)
    for change, X in [({"n_components": 3}, table), ({"loss": "bernoulli"}, abs(table) / 99), ({}, table[:, :5])]:
        with pytest.raises(ValueError, match=r"AutoEncoderTransformer\(warm_start=True\)"):
            encoder.set_params(**{"n_components": 2, "loss": "mse"} | change).fit(X)
        np.testing.assert_array_equal(encoder.transform(table), before)


class Draws(Simple):
    def make_views(self, data, module):
        return lambda batch, generator: (batch.x + 0.1 * torch.randn_like(batch.x), batch.x)


def test_views_that_draw_globally_are_seeded_and_contained(table):
    before = torch.get_rng_state()
    one, two = (Draws(max_epochs=2, random_state=0).fit(table) for _ in range(2))
    assert torch.equal(weights(one), weights(two))
    assert torch.equal(torch.get_rng_state(), before)


def test_columns_that_float32_cannot_tell_apart(table):
    with pytest.raises(ValueError, match=r"column 0\b.*float32.*StandardScaler"):
        AutoEncoderTransformer(2, max_epochs=1).fit(table.astype(np.float64) + 1e9)
