"""Training against the clock, and learning rates by layer."""

import time

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

import skrep.engine.fit
from skrep import AutoEncoderTransformer
from skrep.engine import loop as engine
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


class Steps(Callback):
    """A clock on which each step takes a second and nothing else takes any."""

    only_watches = True

    def __init__(self, begin=0.0, interrupt_at=None):
        self.now, self.interrupt_at = begin, interrupt_at
        self.rates = []  # of the groups of parameters, at each step

    def monotonic(self):
        return self.now

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(time, name)

    def on_batch_end(self, net, **kwargs):
        self.now += 1.0
        self.rates.append([group["lr"] for group in net.optimizer_.param_groups])
        if len(self.rates) == self.interrupt_at:
            raise KeyboardInterrupt


@pytest.fixture
def steps(monkeypatch):
    """Trains with a clock of steps, which is returned beside the estimator."""

    def train(estimator, **options):
        made = Steps(**options)
        monkeypatch.setattr(engine, "time", made)
        monkeypatch.setattr(skrep.engine.fit, "time", made)
        try:
            estimator.set_params(callbacks=[made]).fit(X)
        except KeyboardInterrupt:
            assert made.interrupt_at is not None
        return estimator, made

    return train


def cosine(done):
    """Of the rate, up to its peak in a twentieth of the time and down to zero."""
    return done / 0.05 if done < 0.05 else 0.5 + 0.5 * np.cos(np.pi * (done - 0.05) / 0.95)


@pytest.mark.parametrize("n_steps", [1, 20, 33, 60])  # within an epoch of 20 steps, and at its end
def test_training_takes_the_time_and_the_rate_follows_the_clock(n_steps, steps):
    encoder, clock = steps(quick(budget_minutes=n_steps / 60, lr=0.01))
    assert len(clock.rates) == n_steps
    assert encoder.n_epochs_ == -(-n_steps // 20)
    expected = [0.01 * cosine(step / n_steps) for step in range(n_steps)]
    np.testing.assert_allclose([rates[0] for rates in clock.rates], expected, rtol=1e-6, atol=1e-8)
    assert np.isfinite([row["train_loss"] for row in encoder.history_]).all()


def test_less_time_than_a_step_takes_is_one_step(steps):
    encoder, clock = steps(quick(budget_minutes=1e-9))
    assert len(clock.rates) == 1
    assert np.isfinite(encoder.transform(X)).all()


@pytest.mark.parametrize("options", [{"max_epochs": 2}, {"max_epochs": 2, "budget_minutes": 41 / 60}], ids=str)
def test_epochs_that_end_before_the_time_decide_the_rate(options, steps):
    encoder, clock = steps(quick(lr=0.01, **options))
    assert encoder.n_epochs_ == 2
    assert len(clock.rates) == 40
    expected = [0.01 * cosine((step + 0.5) / 40) for step in range(40)]  # half of a step lies behind its middle
    np.testing.assert_allclose([rates[0] for rates in clock.rates], expected, rtol=1e-6)


def test_time_that_ends_before_the_epochs_decides_the_rate(steps):
    encoder, clock = steps(quick(max_epochs=10, budget_minutes=30 / 60, lr=0.01))
    assert encoder.n_epochs_ == 2
    assert len(clock.rates) == 30
    assert clock.rates[-1][0] < 0.01 * cosine(0.96)


def test_a_schedule_of_ones_own_gets_the_share_of_the_time(steps):
    asked = []

    def schedule(done):
        asked.append(done)
        return 1.0

    steps(quick(budget_minutes=25 / 60, lr_schedule=schedule))
    np.testing.assert_allclose(asked, np.arange(25) / 25, atol=1e-7)
    _, clock = steps(quick(budget_minutes=25 / 60, lr_schedule="constant", lr=0.01))
    assert clock.rates == [[0.01] * len(clock.rates[0])] * 25


@pytest.mark.parametrize("at", [3, 20, 27, 49, 50])
def test_interrupted_on_the_clock_and_resumed_is_the_whole_run(at, steps, tmp_path):
    options = {"budget_minutes": 50 / 60, "lr": 0.01}
    whole, clock = steps(quick(**options))
    _, before = steps(quick(**options, checkpoint=tmp_path), interrupt_at=at)
    resumed, after = steps(quick(**options, checkpoint=tmp_path), begin=1e6)  # another process, another clock
    assert resumed.resumed_from_ == ((at - 1) // 20, (at - 1) % 20 + 1)
    assert len(before.rates) == at
    # the one step of a run whose time was over is at a rate of zero
    assert before.rates + after.rates == clock.rates + (at == 50) * [[0.0] * len(clock.rates[0])]
    if at < 50:
        assert resumed.history_ == whole.history_
        np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))
    finished, none = steps(quick(**options, checkpoint=tmp_path), begin=-1e6)
    assert none.rates == []
    np.testing.assert_array_equal(finished.transform(X), resumed.transform(X))


def test_another_time_is_another_run(steps, tmp_path):
    steps(quick(budget_minutes=5 / 60, checkpoint=tmp_path))
    other, clock = steps(quick(budget_minutes=6 / 60, checkpoint=tmp_path))
    assert other.resumed_from_ is None
    assert len(clock.rates) == 6


def test_what_comes_before_training_takes_time_too(steps, monkeypatch):
    def prepare(self, module, data):
        engine.time.now += 30

    monkeypatch.setattr(AutoEncoderTransformer, "prepare", prepare)
    _, clock = steps(quick(budget_minutes=50 / 60, lr=0.01))
    assert len(clock.rates) == 20
    assert np.isclose(clock.rates[0][0], 0.01 * cosine(0.6))


def test_every_fit_has_its_own_time(steps):
    encoder = quick(budget_minutes=25 / 60, warm_start=True)
    for _ in range(2):
        encoder, clock = steps(encoder)
        assert len(clock.rates) == 25


def test_early_stopping_ends_before_the_time(steps):
    options = {"early_stopping": 1, "validation_fraction": 0.2, "optimizer": "sgd", "lr": 1e-12}
    encoder, _ = steps(quick(budget_minutes=60, lr_schedule="constant", **options))
    assert encoder.n_epochs_ < 20


def test_rates_of_layers_keep_their_proportions(monkeypatch):
    monkeypatch.setattr(AutoEncoderTransformer, "lr_scales", lambda *args: {"encoder.": 0.25})
    clock = Steps()
    encoder = quick(max_epochs=2, lr=0.01, callbacks=[clock]).fit(X)
    names = {id(p): name for name, p in encoder.net_.module_.named_parameters()}
    scales = [
        {0.25 if names[id(p)].startswith("encoder.") else 1.0 for p in group["params"]}
        for group in encoder.net_.optimizer_.param_groups
    ]
    assert sorted(map(list, scales)) == [[0.25], [0.25], [1.0], [1.0]]  # matrices and vectors of each
    expected = [[0.01 * cosine((step + 0.5) / 40) * scale for (scale,) in scales] for step in range(40)]
    np.testing.assert_allclose(clock.rates, expected, rtol=1e-6)


def test_a_step_is_that_of_each_rate():
    matrix, vector, other = (torch.nn.Parameter(torch.ones(shape)) for shape in ((2, 2), 2, (2, 2)))
    made = make_optimizer(
        torch.optim.SGD,
        [("a.w", matrix), ("a.b", vector), ("b.w", other)],
        lr=0.1, weight_decay=0.5, lr_scales={"a.": 0.5},
    )  # fmt: skip
    for parameter in (matrix, vector, other):
        parameter.grad = torch.ones_like(parameter)
    made.step()
    found = [float(p.detach().flatten()[0]) for p in (matrix, vector, other)]
    np.testing.assert_allclose(found, [1 - 0.05 * 1.5, 1 - 0.05, 1 - 0.1 * 1.5])


def test_frozen_parameters_have_no_group_and_the_first_beginning_counts():
    named = [(name, torch.nn.Parameter(torch.ones(2))) for name in ("a.b.x", "a.y", "ab")]
    named[1][1].requires_grad_(False)
    made = make_optimizer("adamw", named, lr=1.0, weight_decay=0.1, lr_scales={"a.b.": 0.5, "a.": 0.25})
    assert [(group["lr"], [id(p) for p in group["params"]]) for group in made.param_groups] == [
        (0.5, [id(named[0][1])]),
        (1.0, [id(named[2][1])]),
    ]
    plain = make_optimizer("adamw", named, lr=1.0, weight_decay=0.1)
    assert len(plain.param_groups) == 1


@pytest.mark.parametrize("minutes", [0, -1, float("nan"), "5"])
def test_times_that_are_none(minutes):
    with pytest.raises(ValueError, match=f"budget_minutes={minutes!r}"):
        quick(budget_minutes=minutes).fit(X)
