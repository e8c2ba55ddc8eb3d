"""The bar, what it says of a search, and a word where a fit takes long."""

import io
import logging
import re
import sys
import time

import joblib
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from tqdm import tqdm

from skrep.engine import duration, progress, searches
from skrep.engine.duration import Duration, in_words
from tests.methods import Simple

Y = np.arange(60) % 2


class Clock:
    """Time that goes on by so many seconds each time that it is asked for: with each step."""

    def __init__(self, seconds):
        self.now, self.seconds = 0.0, seconds

    def monotonic(self):
        self.now += self.seconds
        return self.now

    def __getattr__(self, name):
        return getattr(time, name)


@pytest.fixture
def steps(monkeypatch):
    """Sets how many seconds a step takes."""
    return lambda seconds: monkeypatch.setattr(duration, "time", Clock(seconds))


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO, logger="skrep")
    return caplog


class Terminal(io.StringIO):
    def isatty(self):
        return True


def long(**options):
    """100 steps."""
    return Simple(**{"max_epochs": 50, "batch_size": 32, "random_state": 0} | options)


# --- how long a fit will take ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(21, "20 seconds"), (88, "90 seconds"), (119, "2 minutes"), (5000, "83 minutes"), (3 * 3600, "3 hours"),
     (50 * 3600, "2 days")],
)  # fmt: skip
def test_times_in_words(seconds, words):
    assert in_words(seconds) == words


def test_a_long_fit_says_so_once(steps, told, table, capsys):
    steps(2.0)
    long().fit(table)
    (record,) = told.records
    assert (record.name, record.levelno) == ("skrep", logging.INFO)
    assert record.getMessage() == (
        "Simple: fit will take about 3 minutes, for 50 epochs. To spend less or more, set max_epochs or budget_minutes."
    )
    assert capsys.readouterr() == ("", "")


def test_a_short_fit_says_nothing(steps, told, table):
    for seconds in (0.0, 0.19):
        steps(seconds)
        long().fit(table)
    steps(1e9)
    long(max_epochs=1, batch_size=60).fit(table)  # a single step: over when its time is known
    assert not told.records


def test_the_bits_are_the_same(steps, told, table):
    short = long().fit(table)
    steps(2.0)
    again = long().fit(table)
    assert len(told.records) == 1
    np.testing.assert_array_equal(again.transform(table), short.transform(table))


def test_a_pass_of_partial_fit_says_nothing(steps, told, table):
    steps(100.0)
    long(batch_size=8).partial_fit(table)
    assert not told.records


def test_the_first_step_is_not_taken_for_the_others(monkeypatch):
    clock = Clock(0.0)
    monkeypatch.setattr(duration, "time", clock)
    estimate = Duration("Net", 100, 10)
    clock.now = 15.0  # compiling
    assert estimate.advance(10) is None
    for clock.now in (15.3, 15.9):
        assert estimate.advance(10) is None
    clock.now = 16.0  # three steps in a second, 96 are left
    assert "about 50 seconds, for 100 epochs" in estimate.advance(10)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "take about 3 minutes, for 200 epochs"),
        ({"limit": 1000.0}, "take about 3 minutes, for 200 epochs"),
        ({"limit": 61.0}, r"take about 60 seconds \(budget_minutes\), for about 61 epochs"),
        ({"limit": 19.0}, "^$"),
        ({"may_stop": True}, "take at most about 3 minutes"),
        ({"change": "max_epochs"}, r"set max_epochs\.$"),
    ],
    ids=str,
)
def test_what_else_decides_the_time(options, expected, steps):
    steps(1.0)
    estimate = Duration("Net", 200, 10, **options)
    assert estimate.advance(10) is None
    assert re.search(expected, estimate.advance(10))


def test_a_resumed_fit_counts_what_is_left(steps, told, table, tmp_path):
    class Stop(progress.Progress):
        def epoch(self, epoch, *losses):
            if epoch == 30:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("skrep.engine.loop.Progress", Stop)
        with pytest.raises(KeyboardInterrupt):
            long(checkpoint=tmp_path).fit(table)
    steps(2.0)
    assert long(checkpoint=tmp_path).fit(table).resumed_from_ == (30, 0)
    (message,) = told.messages
    assert "about 80 seconds, for the rest of 50 epochs" in message  # 40 steps


@pytest.mark.parametrize("verbose", [0, 1])
def test_on_a_terminal_it_is_a_line_above_the_bar(verbose, steps, told, table, monkeypatch):
    steps(2.0)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    long(verbose=verbose).fit(table)
    assert len(told.records) == 1
    written = re.split(r"[\r\n]", terminal.getvalue())
    assert [line for line in written if "will take" in line] == verbose * told.messages
    assert ("50/50 epochs [" in terminal.getvalue()) == bool(verbose)
    monkeypatch.setattr(sys, "stderr", file := io.StringIO())
    long(verbose=verbose).fit(table)
    assert "will take" not in file.getvalue()


# --- the bar ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def labels(monkeypatch):
    """What stands in front of each bar, in the order of their beginning."""
    made = []

    def bar(*args, desc, **options):
        made.append(desc)
        return tqdm(*args, desc=desc, **options)

    monkeypatch.setattr(progress, "tqdm", bar)
    return made


def shown(n_epochs=1, **options):
    return make_pipeline(Simple(max_epochs=n_epochs, verbose=1, random_state=0, **options), LogisticRegression())


def test_a_bar_counts_epochs(table, capsys):
    Simple(max_epochs=3, verbose=1).fit(table)
    last = re.split(r"[\r\n]", capsys.readouterr().err)[-2]
    assert re.match(r"Simple: 100%\|.*\| 3/3 epochs \[\d\d:\d\d<\d\d:\d\d, .* samples/s, loss=[\d.e-]+\]$", last)
    Simple(max_epochs=3, budget_minutes=60, verbose=1).fit(table)
    last = re.split(r"[\r\n]", capsys.readouterr().err)[-2]
    assert re.match(r"Simple: 3 epochs \[\d\d:\d\d, .* samples/s, loss=[\d.e-]+\]$", last)


def test_a_search_names_candidate_and_fold(table, labels):
    GridSearchCV(shown(), {"simple__lr": [0.1, 0.01]}, cv=2).fit(table, Y)
    assert labels == [
        *(f"Simple, candidate {i}/2 (lr={lr}), fold {fold}/2" for i, lr in ((1, 0.1), (2, 0.01)) for fold in (1, 2)),
        "Simple",  # the best, on all rows
    ]


def test_a_search_in_threads_does_too(table, labels):
    with joblib.parallel_config("threading"):
        GridSearchCV(shown(), {"simple__lr": [0.1]}, cv=3, n_jobs=2, refit=False).fit(table, Y)
    assert sorted(labels) == [f"Simple, candidate 1/1 (lr=0.1), fold {fold}/3" for fold in (1, 2, 3)]


def test_cross_validation_names_the_fold_where_it_is_known(table, labels):
    for _ in range(2):
        cross_val_score(shown(), table, Y, cv=3)
        assert labels == [f"Simple, fold {fold}" for fold in (1, 2, 3)]
        labels.clear()
    with joblib.parallel_config("threading"):
        cross_val_score(shown(), table, Y, cv=2, n_jobs=2)
    assert labels == ["Simple", "Simple"]


def test_a_search_in_each_fold_names_its_own(table, labels):
    search = GridSearchCV(shown(), {"simple__noise": [0.0]}, cv=2, refit=False)
    with pytest.raises(AttributeError, match="predict"):
        cross_val_score(search, table, Y, cv=2, error_score="raise", scoring=lambda model, *_: model.predict(table))
    assert labels == [f"Simple, candidate 1/1 (noise=0.0), fold {fold}/2" for fold in (1, 2)]


def test_long_parameters_are_cut(table, labels):
    grid = {
        "simple__callbacks": [[]],
        "simple__net_params": [None],
        "simple__optimizer": ["adamw"],
        "logisticregression__C": [0.12345678901234567],
    }
    GridSearchCV(shown(), grid, cv=2, refit=False).fit(table, Y)
    assert labels[0] == "Simple, candidate 1/1 (C=0.123456789…, callbacks=list, net_par…), fold 1/2"


def _fit_and_score(estimator, X):
    split_progress = "another function's"
    estimator.fit(X, len(split_progress) * [0] and None)


def test_other_functions_of_that_name_and_other_versions(table, labels, monkeypatch):
    _fit_and_score(shown()[0], table)
    assert labels == ["Simple"]
    monkeypatch.setattr(searches, "_shown", lambda parameters: parameters["none"])
    GridSearchCV(shown(), {"simple__lr": [0.1]}, cv=2, refit=False, error_score="raise").fit(table, Y)
    assert labels == ["Simple"] * 3


def test_without_a_bar_the_stack_is_left_alone(table, monkeypatch):
    monkeypatch.setattr(progress, "place_in_search", lambda: pytest.fail("looked"))
    cross_val_score(shown().set_params(simple__verbose=0), table, Y, cv=2, error_score="raise")
