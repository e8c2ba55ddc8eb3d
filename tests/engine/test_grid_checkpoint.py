"""A grid search over what only matters to transform trains each fold once."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skrep.params import Integer, param, params
from tests.methods import Simple


@params
class Layered(Simple):
    layer: int = param(Integer(low=0), trains=False, default=0)

    def transform(self, X: Any) -> np.ndarray:
        return super().transform(X) * (1 + self.layer)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_over_layers_trains_each_fold_once(n_jobs, table, tmp_path):
    y = np.arange(60) % 2
    pipe = Pipeline(
        [("enc", Layered(max_epochs=2, random_state=0, checkpoint=tmp_path)), ("probe", LogisticRegression())]
    )
    search = GridSearchCV(pipe, {"enc__layer": [0, 1, 2], "probe__C": [0.1, 1.0]}, cv=3, n_jobs=n_jobs).fit(table, y)
    assert len(list(tmp_path.glob("*.skrep"))) == 4  # three folds and the refit
    without = GridSearchCV(pipe.set_params(enc__checkpoint=None), search.param_grid, cv=3).fit(table, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], without.cv_results_["mean_test_score"])
