import argparse
import importlib

import pytest

import benchmarks.__main__ as command
from benchmarks import _data
from benchmarks._options import parse


def options(*arguments):
    parser = argparse.ArgumentParser()
    parser.add_argument("--data")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--rows", type=int, default=1000)
    return parse(parser, list(arguments), {"runs": 1, "rows": 10}, required=("data",))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--data", "here"], (9, 1000)),
        (["--quick"], (1, 10)),
        (["--quick", "--runs", "9"], (9, 10)),  # also where it is given the default
        (["--rows", "1000", "--quick"], (1, 1000)),
    ],
)
def test_quick_changes_what_is_not_given(arguments, expected, capsys):
    found = options(*arguments)
    assert (found.runs, found.rows) == expected
    assert ("nothing but that the benchmark runs" in capsys.readouterr().out) == ("--quick" in arguments)


def test_data_are_needed_but_for_quick(capsys):
    with pytest.raises(SystemExit):
        options("--runs", "1")
    assert "needs --data, or --quick" in capsys.readouterr().err


@pytest.mark.parametrize("name", command.NAMES)
def test_every_benchmark_has_quick(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        importlib.import_module(f"benchmarks.{name}").main(["--help"])
    assert stopped.value.code == 0
    assert "--quick" in capsys.readouterr().out


def test_all_go_on_after_a_failure(monkeypatch, capsys):
    def run(name, arguments):
        assert arguments == ["--quick"]
        if name == "second":
            raise SystemExit("not today")

    monkeypatch.setattr(command, "NAMES", ["first", "second", "third"])
    monkeypatch.setattr(command, "run", run)
    assert command.main(["all", "--quick"]) == 1
    assert capsys.readouterr().out.endswith("failed: second\n")
    monkeypatch.setattr(command, "NAMES", ["first", "third"])
    assert command.main(["all", "--quick"]) == 0


@pytest.mark.parametrize("arguments", [[], ["all"], ["unheard_of", "--quick"]])
def test_usage_names_all(arguments, capsys):
    assert command.main(arguments) == 2
    assert ", ".join(command.NAMES) in capsys.readouterr().err


def test_stand_ins_have_the_shapes_of_the_large_files():
    X, y, X_test, y_test = _data.mnist(None, most=200)
    assert X.shape == X_test.shape == (200, 28, 28)
    assert len(set(y)) == len(set(y_test)) == 10
    for part in ("train", "test"):
        images, classes = _data.cifar10(None, 200, part)
        assert images.shape == (200, 32, 32, 3)
        assert len(classes) == 200
    assert all(set(y) == {0, 1} for _, y in _data.reviews(None).values())
