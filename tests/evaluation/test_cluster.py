"""A grid search over a dask cluster finds what it finds in one process."""

import sys

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skrep import SimCLRTransformer
from skrep.backbones import MLP

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed")

GRID = {"encoder__temperature": [0.1, 0.5], "probe__C": [0.01, 1.0]}
FOLDS = 3


def make_search(**options):
    encoder = SimCLRTransformer(8, backbone=MLP((16,)), max_epochs=2, random_state=0, device="cpu", **options)
    pipe = Pipeline([("encoder", encoder), ("probe", LogisticRegression(max_iter=1000))])
    return GridSearchCV(pipe, GRID, cv=FOLDS)


@pytest.mark.filterwarnings("ignore:Couldn't detect a suitable IP address")  # dask, without a network
@pytest.mark.exhaustive
def test_a_grid_search_over_a_cluster_is_the_one_in_a_process(digits, tmp_path):
    X, y = digits[0][:200], digits[1][:200]
    alone = make_search().set_params(n_jobs=1).fit(X, y)
    with (
        distributed.LocalCluster(2, processes=True, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
        parallel_config("dask"),
    ):
        spread = make_search(checkpoint=tmp_path).fit(X, y)
        assert any(client.run(lambda: "skrep" in sys.modules).values())  # it was there that rows were encoded
    for name in ("mean_test_score", "std_test_score", "rank_test_score"):
        np.testing.assert_array_equal(spread.cv_results_[name], alone.cv_results_[name])
    assert len(set(alone.cv_results_["mean_test_score"])) > 1
    assert spread.best_params_ == alone.best_params_
    np.testing.assert_array_equal(spread.predict_proba(X), alone.predict_proba(X))
    # the workers shared the folder: each temperature was trained once a fold, whatever the probe, and then the winner
    assert len(list(tmp_path.glob("*.skrep"))) == 2 * FOLDS + 1
