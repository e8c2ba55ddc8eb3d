"""The loop against a loop written by hand, and what it does when things go wrong."""

import math
import os
import signal
import threading

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch.nn import functional as F

from skrep import SimCLRTransformer
from skrep.data import ArraySource
from skrep.engine.loop import ORDER, VIEWS
from skrep.engine.randomness import derive_seed
from skrep.engine.recipe import DEFAULT_WORK, plan
from skrep.engine.schedules import warm_up_cosine
from skrep.exceptions import DeviceMemoryError, DivergedError
from tests.methods import Reconstruct, Simple


def weights(estimator):
    return torch.cat([p.detach().flatten() for p in estimator.net_.module_.parameters()])


def test_same_weights_as_a_loop_by_hand(table):
    seed, epochs, size = 5, 4, 16
    ours = Simple(max_epochs=epochs, batch_size=size, random_state=seed, weight_decay=0.1, lr=0.01).fit(table)

    x = torch.from_numpy(table)
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(seed, 0))
        module = Reconstruct(6, 0.0)
    matrices, vectors = ([p for p in module.parameters() if (p.ndim > 1) == big] for big in (True, False))
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0}], lr=0.01, fused=True
    )
    losses = []
    for epoch in range(epochs):
        order = torch.randperm(60, generator=torch.Generator().manual_seed(derive_seed(seed, ORDER, epoch)))
        total, seen = 0.0, 0
        for step, rows in enumerate(order.tensor_split(math.ceil(60 / size))):
            generator = torch.Generator().manual_seed(derive_seed(seed, VIEWS, epoch, step))
            done = (epoch * 60 + seen + len(rows) / 2) / (60 * epochs)
            for group in optimizer.param_groups:
                group["lr"] = 0.01 * warm_up_cosine(done)
            noise = torch.empty(len(rows), 6).normal_(generator=generator)
            loss = F.mse_loss(module(x[rows] + 0.1 * noise), x[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, seen = total + loss.item() * len(rows), seen + len(rows)
        losses.append(total / 60)
    assert torch.equal(weights(ours), torch.cat([p.detach().flatten() for p in module.parameters()]))
    np.testing.assert_allclose([row["train_loss"] for row in ours.history_], losses, rtol=1e-6)


def test_batches_are_even_and_cover_the_data(table):
    sizes, rows = [], []

    class Watch(Callback):
        def on_batch_end(self, net, batch, **kwargs):
            sizes.append(len(batch[0]))
            rows.append(batch[1])

    Simple(max_epochs=1, batch_size=16, callbacks=[Watch()], random_state=0).fit(table)
    assert sizes == [15, 15, 15, 15]
    seen = torch.cat(rows).numpy()
    np.testing.assert_array_equal(seen[np.lexsort(seen.T)], table[np.lexsort(table.T)])


def test_schedules(table):
    fits = {
        s: Simple(max_epochs=3, lr_schedule=s, lr=0.1, random_state=0).fit(table) for s in ("cosine", "constant", abs)
    }
    assert fits["constant"].net_.optimizer_.param_groups[0]["lr"] == 0.1
    assert fits["cosine"].net_.optimizer_.param_groups[0]["lr"] < 0.1
    assert fits[abs].history_[0]["lr"] < fits[abs].history_[-1]["lr"]
    assert warm_up_cosine(0) == 0
    assert warm_up_cosine(0.05) == 1
    assert abs(warm_up_cosine(1)) < 1e-12


def test_foreign_randomness_is_seeded_and_contained(table):
    before = torch.get_rng_state()
    first, second = (Simple(dropout=0.5, max_epochs=3, random_state=0).fit(table) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    assert torch.equal(torch.get_rng_state(), before)
    threads = [
        threading.Thread(
            target=lambda: results.append(weights(Simple(dropout=0.5, max_epochs=3, random_state=0).fit(table)))
        )
        for _ in range(6)
    ]
    results: list = []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(result, weights(first)) for result in results)
    assert len(results) == 6


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd", torch.optim.RMSprop, torch.optim.Adagrad])
def test_optimizers(optimizer, table):
    fitted = Simple(optimizer=optimizer, lr=0.01, max_epochs=30, random_state=0).fit(table)
    assert fitted.history_[-1]["train_loss"] < fitted.history_[0]["train_loss"]


def test_net_params_reach_optimizer_and_callbacks(table):
    fitted = Simple(max_epochs=1, net_params={"optimizer__betas": (0.5, 0.6), "callbacks__epoch_timer": None}).fit(
        table
    )
    assert fitted.net_.optimizer_.param_groups[0]["betas"] == (0.5, 0.6)
    assert "dur" not in fitted.net_.history[0]
    with pytest.raises(TypeError, match="betas"):
        Simple(optimizer="sgd", max_epochs=1, net_params={"optimizer__betas": (0.5, 0.6)}).fit(table)


@pytest.mark.filterwarnings("ignore:precision='bfloat16'")  # of processors that emulate it
def test_bfloat16_training_gives_float32_features(table):
    exact, half = (Simple(precision=p, max_epochs=5, random_state=0).fit(table) for p in ("float32", "bfloat16"))
    assert half.transform(table).dtype == np.float32
    assert not torch.equal(weights(exact), weights(half))
    assert (
        abs(exact.history_[-1]["train_loss"] - half.history_[-1]["train_loss"]) < 0.05 * exact.history_[0]["train_loss"]
    )


def test_early_stopping_keeps_the_best_weights(table):
    fitted = Simple(
        max_epochs=200,
        early_stopping=3,
        validation_fraction=0.25,
        lr=0.3,
        optimizer="sgd",
        lr_schedule="constant",
        random_state=0,
    )
    fitted.fit(table)
    valid = [row["valid_loss"] for row in fitted.history_]
    assert fitted.n_epochs_ < 200
    assert int(np.argmin(valid)) == len(valid) - 4
    again = (
        Simple(**fitted.get_params()).set_params(max_epochs=int(np.argmin(valid)) + 1, early_stopping=None).fit(table)
    )
    assert torch.equal(weights(fitted), weights(again))


def test_validation_rows_are_not_trained_on(table):
    seen = []

    class Watch(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            seen.append(batch[1])

    fitted = Simple(max_epochs=1, validation_fraction=0.5, callbacks=[Watch()], random_state=0).fit(table)
    assert len(torch.cat(seen)) == 30
    assert np.isfinite(fitted.history_[0]["valid_loss"])
    with pytest.raises(ValueError, match=r"validation_fraction=0\.5\b.*\b2\b.*\b0\b"):
        Simple(max_epochs=1, validation_fraction=0.5).fit(table[:2])


def test_skorch_callbacks(table):
    calls = []

    class Watch(Callback):
        def on_train_begin(self, net, **kwargs):
            calls.append("train_begin")

        def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
            calls.append("batch")
            assert np.isfinite(net.history[-1, "batches", -1, "train_loss"])

        def on_grad_computed(self, net, named_parameters, **kwargs):
            assert all(p.grad is not None for _, p in named_parameters)
            calls.append("grad")

        def on_epoch_end(self, net, **kwargs):
            calls.append(net.history[-1, "train_loss"])

    watched = Simple(max_epochs=2, batch_size=32, callbacks=[("watch", Watch())], random_state=0).fit(table)
    assert [c for c in calls if isinstance(c, str)] == ["train_begin", *["grad", "batch"] * 4]
    assert [c for c in calls if isinstance(c, float)] == [row["train_loss"] for row in watched.history_]
    assert torch.equal(weights(watched), weights(Simple(max_epochs=2, batch_size=32, random_state=0).fit(table)))


def test_skorch_early_stopping_and_schedulers(table):
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0, threshold_mode="abs", sink=lambda text: None)
    assert Simple(max_epochs=50, callbacks=[stop]).fit(table).n_epochs_ == 3
    halve = LRScheduler(policy="StepLR", step_size=1, gamma=0.5)
    fitted = Simple(max_epochs=3, lr=0.1, lr_schedule="constant", callbacks=[halve]).fit(table)
    assert np.isclose(fitted.net_.optimizer_.param_groups[0]["lr"], 0.1 / 8)


def test_divergence_names_epoch_rate_and_fix(table):
    fitted = Simple(max_epochs=2, random_state=0).fit(table)
    before = fitted.transform(table)
    fitted.set_params(optimizer="sgd", lr=1e30)
    with pytest.raises(DivergedError, match=r"epoch \d.*\b2\b.*learning rate.*lr=1e\+29"):
        fitted.fit(table)
    np.testing.assert_array_equal(fitted.transform(table), before)


def test_weights_that_diverge_in_the_last_step_are_seen(table):
    with pytest.raises(DivergedError):
        Simple(max_epochs=1, batch_size=64, optimizer="sgd", lr=3e38, lr_schedule="constant").fit(100 * table)


class Crowded(Simple):
    def objective(self, outputs, target):
        if len(outputs) > 10:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB.\nmore")
        return F.mse_loss(outputs, target)


def test_out_of_memory_names_a_batch_size_that_fits(table):
    with pytest.raises(DeviceMemoryError, match=r"\b60\b.*batch_size=7\b"):
        Crowded(batch_size=60, max_epochs=1).fit(table)
    Crowded(batch_size=7, max_epochs=1).fit(table)


class Ctrl(Callback):
    """Presses Ctrl-C."""

    only_watches = True

    def __init__(self, at, how):
        self.at, self.how = at, how

    def on_batch_end(self, net, **kwargs):
        if (net.epoch_, net.batch_) == self.at:  # epochs and batches done
            if self.how == "signal":
                os.kill(os.getpid(), signal.SIGINT)
            else:
                raise KeyboardInterrupt


@pytest.mark.parametrize("how", ["signal", "raise"])
def test_ctrl_c_reaches_the_caller_and_the_estimator_stays_as_it_was(how, table):
    fitted = Simple(max_epochs=2, random_state=0).fit(table)
    before = fitted.transform(table)
    handler = signal.getsignal(signal.SIGINT)
    fitted.set_params(max_epochs=5, batch_size=16, callbacks=[Ctrl((1, 2), how)])
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(table)
    np.testing.assert_array_equal(fitted.transform(table), before)
    assert signal.getsignal(signal.SIGINT) is handler


def test_partial_fit(table):
    batches = np.array_split(table, 3)
    encoder = Simple(random_state=0, lr=0.01)
    for _ in range(20):
        for batch in batches:
            encoder.partial_fit(batch)
    assert encoder.n_epochs_ == 60
    assert encoder.history_[-1]["train_loss"] < 0.7 * encoder.history_[0]["train_loss"]
    assert encoder.history_[-1]["lr"] == 0.01
    again = Simple(random_state=0, lr=0.01)
    for _ in range(20):
        for batch in batches:
            again.partial_fit(batch)
    assert torch.equal(weights(encoder), weights(again))


def test_failed_partial_fit_puts_weights_and_optimizer_back(table):
    one, two = Simple(random_state=0, lr=0.01), Simple(random_state=0, lr=0.01)
    for encoder in (one, two):
        encoder.partial_fit(table).partial_fit(table)
    with pytest.raises(ValueError, match="NaN"):
        one.partial_fit(np.full_like(table, np.nan))
    with pytest.raises(DivergedError):
        one.partial_fit(table * np.float32(1e30))
    assert torch.equal(weights(one), weights(two))
    assert torch.equal(weights(one.partial_fit(table)), weights(two.partial_fit(table)))


def test_warm_start_goes_on(table):
    fitted = Simple(max_epochs=5, random_state=0, warm_start=True).fit(table)
    first = fitted.history_[-1]["train_loss"]
    fitted.fit(table)
    assert fitted.n_epochs_ == 10
    assert fitted.history_[5]["train_loss"] < fitted.history_[0]["train_loss"]
    assert fitted.history_[-1]["train_loss"] < first
    before = weights(fitted).clone()
    with pytest.raises(DivergedError):
        fitted.set_params(lr=1e30, optimizer="sgd").fit(table)
    assert torch.equal(weights(fitted), before)


def test_progress_bar(table, capfd):
    Simple(max_epochs=3, verbose=2).fit(table)
    shown = capfd.readouterr()
    assert "loss=" in shown.err
    assert "samples/s" in shown.err
    assert "3/3 epochs" in shown.err
    assert "epoch 3/3  loss" in shown.out + shown.err
    Simple(max_epochs=3, verbose=0).fit(table)
    assert capfd.readouterr() == ("", "")


def test_default_sizes_follow_the_data():
    encoder = Simple()
    sizes = []
    for n in (20, 200, 2000, 10_000, 10**6):
        rows = ArraySource(np.broadcast_to(np.float32(0), (n, 20_000)))
        sizes.append(plan(encoder, rows, encoder.make_module(rows)))
    assert [b for b, _ in sizes] == [32, 32, 128, 256, 256]
    # multiplications with the weights of 20,000 -> 3 -> 20,000, forward once and backward twice, two operations each
    expected = [DEFAULT_WORK / (6 * 2 * 60_000 * n) for n in (20, 200, 2000, 10_000, 10**6)]
    assert [e for _, e in sizes] == [int(min(200, max(10, e))) for e in expected]
    assert plan(Simple(max_epochs=3), rows, torch.nn.Module()) == (256, 3)


@pytest.mark.parametrize("optimizer", [dict, torch.optim.LBFGS])
def test_what_is_no_optimizer(optimizer, table):
    with pytest.raises(ValueError, match=rf"optimizer={optimizer.__name__}\b.*'adamw'"):
        Simple(optimizer=optimizer, max_epochs=1).fit(table)


def test_convolutions_over_one_channel_are_channels_last_too(digits):
    images = digits[0].reshape(-1, 8, 8, 1)
    weight = SimCLRTransformer(max_epochs=1, random_state=0).fit(images).net_.module_.encoder.backbone[0][0].weight
    assert weight.shape == (16, 1, 4, 4)
    assert weight.stride() == (16, 1, 4, 1)  # a fifth of the time of a fit
