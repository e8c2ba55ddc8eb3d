"""One torch thread: the fits of this suite are tiny, and two threads on a busy machine make them ten times slower."""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # for this process and the ones that tests start
os.environ["SCIPY_ARRAY_API"] = "1"  # without it scikit-learn skips its array API checks

import numpy as np
import pytest
import torch
from hypothesis import settings
from sklearn.datasets import load_digits

torch.set_num_threads(1)
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
