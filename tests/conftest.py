"""One torch thread: the fits of this suite are tiny, and two threads on a busy machine make them ten times slower.

Run in parallel, a file stays in one process, where each class is fitted once. The files that start processes of their
own or read clocks follow one another in the same process, and so do those that numba compiles most for.
"""

import os
import signal
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # for this process and the ones that tests start
os.environ["SCIPY_ARRAY_API"] = "1"  # without it scikit-learn skips its array API checks

import numpy as np
import pytest
import torch
from hypothesis import settings
from sklearn.datasets import load_digits

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in a job that a shell put into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROCESSES = (
    "tests/engine/test_checkpoints.py",
    "tests/engine/test_grid_checkpoint.py",
    "tests/engine/test_ranks.py",
    "tests/evaluation/test_cluster.py",
    "tests/evaluation/test_compare.py",
    "tests/persistence/test_damage.py",
    "tests/persistence/test_hostile.py",
    "tests/report/test_cli.py",
    "tests/words/test_training.py",
)
KERNELS = ("tests/solvers/", "tests/sparse/", "tests/words/")
LONGEST = ("processes", "kernels")


def scope(nodeid: str) -> str:
    """What runs in one process."""
    file = nodeid.split("::")[0]
    if file in PROCESSES:
        return "processes"
    if file.startswith(KERNELS):
        return "kernels"
    return nodeid.split("[")[0] if file == "tests/test_contract.py" else file  # as long as ten others


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class Files(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    return Files(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """First what takes longest, so that no worker is left with it."""
    place = {name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(scope(item.nodeid), len(place)))  # otherwise as collected


settings.register_profile("suite", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("suite")


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """600 of scikit-learn's digits as rows, and their classes."""
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600]


@pytest.fixture
def table() -> np.ndarray:
    """60 rows of 6 correlated columns, float32."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(60, 3)) @ rng.normal(size=(3, 6)) + 0.1 * rng.normal(size=(60, 6))).astype(np.float32)
