"""Training against the clock, and learning rates by layer."""

import time

import numpy as np
import pytest
import torch

from skrep import AutoEncoderTransformer
from skrep.engine import net as engine
from skrep.engine.optimizers import make_optimizer

X = np.random.default_rng(0).normal(size=(640, 6)).astype(np.float32)


class Clock:
    """Time that goes on by a second each time that it is asked for."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        self.now += 1.0
        return self.now

    def __getattr__(self, name):
        return getattr(time, name)


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(engine, "time", made)
    return made


def quick(**options):
    return AutoEncoderTransformer(2, hidden=(4,), batch_size=32, random_state=0, **options)


def test_the_clock_ends_training_and_the_rate_falls_with_it(clock):
    encoder = quick(budget_minutes=2).fit(X)
    n_steps = sum(1 for _ in encoder.net_.history[:, "train_loss"]) * 20
    assert 0 < encoder.n_epochs_ < 10
    assert n_steps < 121
    rates = [row["lr"] for row in encoder.history_]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-5
    assert not hasattr(encoder.net_, "began_")


def test_epochs_end_first_where_they_are_fewer(clock):
    assert quick(budget_minutes=1000, max_epochs=2).fit(X).n_epochs_ == 2


def test_a_resumed_run_has_the_time_that_is_left(clock, tmp_path):
    import skorch

    class Stop(skorch.callbacks.Callback):
        only_watches = True

        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    options = {"budget_minutes": 2, "checkpoint": tmp_path}
    with pytest.raises(KeyboardInterrupt):
        quick(callbacks=[Stop()], **options).fit(X)
    whole, resumed = quick(budget_minutes=2).fit(X), quick(**options).fit(X)
    assert resumed.resumed_from_ is not None
    assert resumed.n_epochs_ <= whole.n_epochs_ + 1
    assert resumed.net_.spent_ > 10


def test_rates_by_the_beginnings_of_names():
    named = [(name, torch.nn.Parameter(torch.ones(2, 2))) for name in ("a.x", "a.y", "b.x", "c")]
    named.append(("b.bias", torch.nn.Parameter(torch.ones(2))))
    made = make_optimizer("sgd", named, lr=0.1, weight_decay=0.5, lr_scales={"a.": 0.5, "b.": 0.1})
    found = {id(p): (group["lr"], group["weight_decay"]) for group in made.param_groups for p in group["params"]}
    expected = [(0.05, 0.5), (0.05, 0.5), (0.01, 0.5), (0.1, 0.5), (0.01, 0.0)]
    np.testing.assert_allclose([found[id(p)] for _, p in named], expected)
