"""scikit-learn's callbacks (1.9) see our epochs."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skrep.exceptions import DivergedError
from tests.methods import Simple

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has no callbacks")


class Record:
    """Remembers the tasks that it is told of."""

    def __init__(self, stop_at=None):
        self.events, self.stop_at = [], stop_at

    def setup(self, estimator, context):
        self.events.append("setup")

    def teardown(self, estimator, context):
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.events.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context):
        self.events.append(f"end {context.task_name} {context.task_id}")
        return context.task_name == "epoch" and context.task_id == self.stop_at


def test_one_task_an_epoch(table):
    record = Record()
    fitted = Simple(max_epochs=2, random_state=0).set_callbacks(record).fit(table)
    assert record.events == [
        *(
            "setup",
            "begin fit 0",
            "begin epoch 0",
            "end epoch 0",
            "begin epoch 1",
            "end epoch 1",
            "end fit 0",
            "teardown",
        ),
    ]
    assert not hasattr(fitted, "_callback_fit_ctx")


def test_a_callback_can_stop_training(table):
    assert Simple(max_epochs=9).set_callbacks(Record(stop_at=1)).fit(table).n_epochs_ == 2


def test_teardown_after_a_failure_and_the_state_is_as_before(table):
    record = Record()
    fitted = Simple(max_epochs=2, random_state=0).set_callbacks(record).fit(table)
    before = fitted.transform(table)
    fitted.set_params(lr=1e30, optimizer="sgd")
    with pytest.raises(DivergedError):
        fitted.fit(table)
    assert record.events[-1] == "teardown"
    assert not hasattr(fitted, "_callback_fit_ctx")
    np.testing.assert_array_equal(fitted.transform(table), before)


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_progress_bar_through_pipeline_and_grid_search(n_jobs, table, capsys):
    pytest.importorskip("rich")
    y = np.arange(60) % 2
    pipe = Pipeline([("enc", Simple(max_epochs=2, random_state=0)), ("probe", LogisticRegression())])
    pipe.set_callbacks(callback.ProgressBar()).fit(table, y)
    shown = capsys.readouterr().out
    assert "Simple" in shown
    assert "100%" in shown
    search = GridSearchCV(Pipeline(pipe.steps), {"enc__max_epochs": [1, 2]}, cv=2, n_jobs=n_jobs)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(table, y)
    assert "Simple" in capsys.readouterr().out
