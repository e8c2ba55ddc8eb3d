"""Nothing is lost, nothing is mixed up, and a resumed run is the run."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

import skrep.engine.loop
from skrep.engine import Net, fingerprint
from skrep.exceptions import CheckpointWarning
from skrep.views import GaussianNoise, MaskingNoise
from tests.engine.killed import make, rows
from tests.engine.test_training import Ctrl, weights
from tests.methods import Simple

ROOT = Path(__file__).parents[2]
EPOCHS = 40
METHODS = ("autoencoder", "simclr", "masked_lm")


def start(method, folder):
    arguments = [method, str(folder), str(EPOCHS)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.engine.killed", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def wait_for_a_checkpoint(folder):
    until = time.monotonic() + 60
    while not list(folder.glob("*.skrep")):
        assert time.monotonic() < until, "no checkpoint after a minute"
        time.sleep(0.001)


def survive_kills(method, tmp_path, n_kills, rng, *, wait):
    """Kill a run at random moments, after its first checkpoint or at any time; returns how many runs had resumed."""
    began = time.perf_counter()
    expected = make(method, None, EPOCHS).fit(rows(method))
    duration = time.perf_counter() - began
    resumed = 0
    for kill in range(n_kills):
        folder = tmp_path / str(kill)
        process = start(method, folder)
        assert process.stdout.readline() == "ready\n"
        if wait:
            wait_for_a_checkpoint(folder)
        time.sleep(rng.uniform(0.05, 0.8) * duration)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        finished = make(method, folder, EPOCHS).fit(rows(method))
        resumed += finished.resumed_from_ is not None
        assert torch.equal(weights(finished), weights(expected))
        np.testing.assert_array_equal(finished.transform(rows(method)), expected.transform(rows(method)))
    return resumed


@pytest.mark.parametrize(
    "method", [pytest.param(name, marks=() if name == "simclr" else pytest.mark.exhaustive) for name in METHODS]
)
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_and_resumed_is_the_same_to_the_bit(method, tmp_path):
    assert survive_kills(method, tmp_path, 1, np.random.default_rng(0), wait=True) == 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", [*METHODS, "queue", "memory_bank"])
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_and_resumed_twenty_times(method, tmp_path):
    resumed = survive_kills(method, tmp_path, 20, np.random.default_rng(1), wait=False)
    print(f"{method}: 20 of 20 bit-identical, {resumed} resumed from a checkpoint")
    assert resumed > 10


@pytest.mark.parametrize("at", [(0, 1), (1, 2), (3, 3)])
@pytest.mark.parametrize("how", ["signal", "raise"])
@pytest.mark.parametrize("options", [{}, {"validation_fraction": 0.2, "early_stopping": 50}, {"dropout": 0.5}], ids=str)
def test_ctrl_c_then_resume(at, how, options, table, tmp_path):
    common = {"max_epochs": 5, "batch_size": 16, "random_state": 0, "lr": 0.01} | options
    whole = Simple(**common).fit(table)
    interrupted = Simple(**common, checkpoint=tmp_path, callbacks=[Ctrl(at, how)])
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(table)
    assert not hasattr(interrupted, "net_")
    resumed = Simple(**common, checkpoint=str(tmp_path)).fit(table)
    assert resumed.resumed_from_ == at
    assert resumed.history_ == whole.history_
    assert torch.equal(weights(resumed), weights(whole))
    finished = Simple(**common, checkpoint=tmp_path).fit(table)
    assert finished.resumed_from_ == (5, 0)
    assert finished.history_ == whole.history_
    assert torch.equal(weights(finished), weights(whole))


def count_epochs(monkeypatch):
    trained = []
    original = Net.notify

    def notify(net, event, **kwargs):
        if event == "on_epoch_begin":
            trained.append(1)
        original(net, event, **kwargs)

    monkeypatch.setattr(Net, "notify", notify)
    return trained


def test_a_finished_run_is_loaded(table, tmp_path, monkeypatch):
    trained = count_epochs(monkeypatch)
    first = Simple(max_epochs=3, random_state=0, checkpoint=tmp_path).fit(table)
    again = Simple(max_epochs=3, random_state=0, checkpoint=tmp_path, verbose=0, device="cpu").fit(table)
    assert len(trained) == 3
    assert first.resumed_from_ is None
    assert again.resumed_from_ == (3, 0)
    np.testing.assert_array_equal(first.transform(table), again.transform(table))


def test_early_stopped_run_is_finished(table, tmp_path, monkeypatch):
    options = {"max_epochs": 200, "early_stopping": 2, "validation_fraction": 0.25, "lr": 0.3, "optimizer": "sgd"}
    first = Simple(**options, random_state=0, checkpoint=tmp_path).fit(table)
    trained = count_epochs(monkeypatch)
    again = Simple(**options, random_state=0, checkpoint=tmp_path).fit(table)
    assert not trained
    assert torch.equal(weights(first), weights(again))


@pytest.mark.parametrize("change", [{"lr": 0.02}, {"max_epochs": 4}, {"noise": 0.2}, {"random_state": 1}], ids=str)
def test_other_parameters_are_another_run(change, table, tmp_path):
    Simple(max_epochs=3, random_state=0, checkpoint=tmp_path).fit(table)
    other = Simple(**{"max_epochs": 3, "random_state": 0, "checkpoint": tmp_path} | change).fit(table)
    assert other.resumed_from_ is None


def test_other_data_are_another_run(table, tmp_path):
    Simple(max_epochs=3, random_state=0, checkpoint=tmp_path).fit(table)
    changed = table.copy()
    changed[59, 5] += 1e-3
    assert Simple(max_epochs=3, random_state=0, checkpoint=tmp_path).fit(changed).resumed_from_ is None
    assert Simple(max_epochs=3, random_state=0, checkpoint=tmp_path).fit(table[:50]).resumed_from_ is None
    assert Simple(max_epochs=3, random_state=0, checkpoint=tmp_path).fit(table).resumed_from_ == (3, 0)


def test_without_a_seed_the_run_keeps_the_one_it_drew(table, tmp_path):
    interrupted = Simple(max_epochs=3, checkpoint=tmp_path, callbacks=[Ctrl((1, 1), "raise")])
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(table)
    first = Simple(max_epochs=3, checkpoint=tmp_path).fit(table)
    assert first.resumed_from_ is not None
    assert torch.equal(weights(first), weights(Simple(max_epochs=3, random_state=first.net_.seed).fit(table)))


def test_two_fits_of_one_run_train_it_once(table, tmp_path, monkeypatch):
    trained = count_epochs(monkeypatch)
    fits = [Simple(max_epochs=3, random_state=0, checkpoint=tmp_path) for _ in range(4)]
    threads = [threading.Thread(target=fit.fit, args=(table,)) for fit in fits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(trained) == 3
    assert all(torch.equal(weights(fit), weights(fits[0])) for fit in fits)


def test_warm_start_is_a_run_of_its_own(table, tmp_path):
    fitted = Simple(max_epochs=2, random_state=0, checkpoint=tmp_path, warm_start=True).fit(table)
    first = weights(fitted).clone()
    fitted.fit(table)
    assert fitted.resumed_from_ is None
    assert not torch.equal(weights(fitted), first)


@pytest.mark.parametrize("damage", ["truncate", "flip", "text"])
def test_a_damaged_checkpoint_is_told_and_passed_over(damage, table, tmp_path):
    first = Simple(max_epochs=2, random_state=0, checkpoint=tmp_path).fit(table)
    (path,) = tmp_path.glob("*.skrep")
    content = bytearray(path.read_bytes())
    content[content.index(b"dict")] ^= 1
    path.write_bytes({"truncate": content[:100], "flip": content, "text": b"hello"}[damage])
    with pytest.warns(CheckpointWarning, match=path.stem):
        again = Simple(max_epochs=2, random_state=0, checkpoint=tmp_path).fit(table)
    assert torch.equal(weights(first), weights(again))


def test_folders_that_cannot_be_used(table, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"checkpoint='.*runs'.*\bfolder\b"):
        Simple(checkpoint=tmp_path / "file" / "runs").fit(table)


def test_a_checkpoint_is_written_between_epochs_too(table, tmp_path, monkeypatch):
    monkeypatch.setattr(skrep.engine.loop, "CHECKPOINT_SECONDS", 0.0)
    written = []
    original = skrep.engine.checkpoints.RunFolder.write
    monkeypatch.setattr(
        skrep.engine.checkpoints.RunFolder,
        "write",
        lambda run, state: (written.append(state["cursor"][:2]), original(run, state)),
    )
    Simple(max_epochs=2, batch_size=16, random_state=0, checkpoint=tmp_path).fit(table)
    assert [tuple(c) for c in written[:3]] == [(0, 1), (0, 2), (0, 3)]
    assert not list(tmp_path.glob(".*tmp"))


class Silent(Callback):
    pass


def test_fingerprint():
    same = [
        fingerprint({"a": 1, "b": (GaussianNoise(0.1), np.arange(3), torch.ones(2), None, np.float64(2.5))}),
        fingerprint({"b": (GaussianNoise(0.1), np.arange(3), torch.ones(2), None, np.float64(2.5)), "a": 1}),
    ]
    assert same[0] == same[1]
    different = [1, 1.0, "1", True, None, [1], (1,), {"a": 1}, {"a": 2}, np.arange(2), np.arange(2.0), torch.ones(3),
                 GaussianNoise(0.1), GaussianNoise(0.2), MaskingNoise(0.1), abs, max, lambda x: x, lambda x: x + 1,
                 torch.nn.Linear(2, 2), torch.optim.Adam, b"1", {1}]  # fmt: skip
    assert len({fingerprint(value) for value in different}) == len(different)
    scaled = [lambda x, k=k: x * k for k in (1, 2)]
    assert fingerprint(scaled[0]) != fingerprint(scaled[1])
    code = "from tests.engine.test_checkpoints import *; print(fingerprint((GaussianNoise(.3), abs, {3, 'a'}, make)))"
    environment = os.environ | {"PYTHONHASHSEED": "1"}  # this process has another, or one at random
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert len(done.stdout) == 65
    assert done.stdout == f"{fingerprint((GaussianNoise(0.3), abs, {3, 'a'}, make))}\n"


@pytest.mark.parametrize("change", [{"layer": 1}, {"verbose": 1}, {"device": "cpu"}, {"callbacks": []}], ids=str)
def test_what_does_not_change_training_is_not_in_the_key(change, tmp_path):
    images = rows("simclr")
    make("simclr", tmp_path, 1).fit(images)
    again = make("simclr", tmp_path, 1).set_params(**change).fit(images)
    assert again.resumed_from_ == (1, 0)
