"""Several processes are one with the same global batches. See ranked.py for what each of them does."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import nn

from skrep.engine.ranks import ALONE, Ranks, join_ranks
from tests.engine.ranked import CASES, rows, run

ROOT = Path(__file__).parents[2]
N = 2
EXACT = [i for i, (_, _, options) in enumerate(CASES) if options.get("optimizer") == "sgd"]
ADAPTIVE = [i for i, _ in enumerate(CASES) if i not in EXACT]
IDS = {i: f"{method}-{data}-{i}" for i, (method, data, _) in enumerate(CASES)}

if not (dist.is_available() and dist.is_gloo_available()):
    pytest.skip("this torch is built without gloo", allow_module_level=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What one process came to, and each of several."""
    out = tmp_path_factory.mktemp("ranks")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(N)]
    others = subprocess.Popen(
        [*launch, str(ROOT / "tests/engine/ranked.py"), str(out)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with torch.random.fork_rng():
        run(out)
    told, _ = others.communicate(timeout=900)  # each step waits for all processes, on a busy machine long
    if "Operation not permitted" in told or "Permission denied" in told:
        pytest.skip(f"processes cannot be connected here: {told[-300:]}")
    assert others.returncode == 0, told
    alone = dict(np.load(out / "0-of-1.npz"))
    return alone, [dict(np.load(out / f"{rank}-of-{N}.npz")) for rank in range(N)], out


def of(found, number):
    prefix = f"{number}/"
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


@pytest.mark.parametrize("number", EXACT, ids=IDS.get)
def test_weights_buffers_and_dictionary_are_those_of_one_process(number, made):
    alone, ranked, _ = made
    expected = of(alone, number)
    assert len(expected) > 10
    for found in ranked:
        assert of(found, number).keys() == expected.keys()
        for name, value in of(found, number).items():
            if name == "history":
                np.testing.assert_allclose(value, expected[name], rtol=1e-4, err_msg=name)
            elif value.dtype.kind == "f":
                np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-5, err_msg=name)
            else:
                np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("number", ADAPTIVE, ids=IDS.get)
def test_losses_are_those_of_one_process(number, made):
    """An adaptive optimizer blows up the rounding of gradients that are zero."""
    alone, ranked, _ = made
    assert len(alone[f"{number}/losses"]) == 3
    for found in ranked:
        np.testing.assert_allclose(found[f"{number}/losses"], alone[f"{number}/losses"], atol=1e-4)


@pytest.mark.parametrize("number", range(len(CASES)), ids=IDS.get)
def test_processes_have_the_same_to_the_bit(number, made):
    first, second = (of(found, number) for found in made[1])
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)


def test_the_cases_are_three_steps_of_odd_batches(made):
    assert {len(made[0][f"{i}/losses"]) for i, (_, _, options) in enumerate(CASES) if "batch_size" not in options} >= {
        3
    }
    assert len(rows("images")) == len(rows("table")) == 93


@pytest.mark.parametrize("method", ["simclr", "queue", "bank"])
def test_each_takes_its_own_rows_through_the_network(method, made):
    alone, ranked, _ = made
    steps = [name for name in alone if name.startswith(f"shares/{method}/")]
    assert len(steps) == (6 if method == "queue" else 3)  # queries and keys
    for step in steps:
        parts = [found[step] for found in ranked]
        assert [len(part) for part in parts] == [2 * 15, 2 * 16]  # both views
        assert not set(parts[0]) & set(parts[1])
        assert sorted(np.concatenate(parts)) == sorted(alone[step])
        assert len(set(alone[step])) == 31


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_batch_normalisation_over_all_rows(ndim, made):
    alone, ranked, _ = made
    prefix = f"norm/{ndim}"
    for name in ("output", "gradient", "still"):
        key = f"{prefix}/rows/{name}"
        np.testing.assert_allclose(np.concatenate([f[key] for f in ranked]), alone[key], atol=1e-5, err_msg=name)
    for name in ("gain", "bias", "mean", "var"):
        key = f"{prefix}/all/{name}"
        for found in ranked:
            np.testing.assert_allclose(found[key], alone[key], atol=2e-5, err_msg=name)


def test_without_a_random_state_they_draw_one_network(made):
    first, second = made[1]
    for name in ("free", "free/more", "first/partial"):
        np.testing.assert_array_equal(first[name], second[name])
    assert not np.array_equal(first["free"], made[0]["free"])
    assert not np.array_equal(first["free"], first["free/more"])


@pytest.mark.parametrize("method", ["queue", "bank"])
def test_one_writes_and_all_go_on(method, made):
    alone, ranked, out = made
    for found in (alone, *ranked):
        assert found[f"{method}/stopped"] == 4
        assert found[f"{method}/resumed from"].tolist() == [1, 1]
        assert found[f"{method}/finished from"].tolist() == [3, 0]
        np.testing.assert_array_equal(found[f"{method}/resumed"], found[f"{method}/whole"])
        np.testing.assert_array_equal(found[f"{method}/again"], found[f"{method}/whole"])
    for found in ranked:
        np.testing.assert_allclose(found[f"{method}/whole"], alone[f"{method}/whole"], atol=1e-4)
    files = [sorted(p.suffix for p in (out / f"checkpoints-{method}-{n}").iterdir()) for n in (1, N)]
    assert files == [[".lock", ".skrep"]] * 2


ERRORS = {
    "rbm": "RBMEncoder trains in one process, but 2 were started. Run the script without torchrun",
    "length": "differs between the 2 processes",
    "partial": "differs between the 2 processes",
    "columns": "differs between the 2 processes",
    "rows": "differs between the 2 processes",
    "batch": "MoCoTransformer got batch_size=1",
    "parts": "MoCoTransformer(bn_splits=2)",
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case, made):
    alone, ranked, _ = made
    for found in ranked:
        assert str(found[f"error/{case}"]).startswith("ValueError: ")
        assert ERRORS[case] in str(found[f"error/{case}"])
    if case != "batch":
        assert str(alone[f"error/{case}"]) == "none"


def test_what_is_not_trained_stays_with_each(made):
    for found in made[1]:
        np.testing.assert_allclose(found["random"], made[0]["random"], atol=1e-6)


# --- without other processes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("n", [5, 31, 64])
def test_shares_are_even_and_cover_the_batch(n, size):
    shares = [Ranks(rank, size).own(torch.arange(n), n) for rank in range(size)]
    assert torch.equal(torch.cat(shares), torch.arange(n))
    lengths = list(map(len, shares))
    assert max(lengths) - min(lengths) <= 1
    assert min(lengths) >= 1


def test_more_processes_than_rows():
    with pytest.raises(ValueError, match=r"\b2\b.*\b3\b.*batch_size"):
        Ranks(0, 3).own(None, 2)


def test_one_process_does_nothing():
    assert join_ranks() is ALONE
    assert ALONE.is_first
    assert ALONE.agree("this") == "this"
    module, given = nn.Linear(2, 2), object()
    ALONE.start_alike(module)
    ALONE.require_same(1, "it")
    ALONE.add_gradients(list(module.parameters()))
    assert ALONE.own(given, 1) is given
    assert ALONE.gather(given, 1) is given


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "TORCHELASTIC_RUN_ID"])
def test_either_variable_alone_is_no_launch(variable, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv(variable, "2")
    assert join_ranks() is ALONE
