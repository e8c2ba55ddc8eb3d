"""A pytest plugin: PCAEncoder stands where scikit-learn's tests import IncrementalPCA from."""

from typing import Any

import sklearn.decomposition

from skrep import PCAEncoder


def pytest_configure(config: Any) -> None:
    """Swap, in a process that asked for this plugin."""
    PCAEncoder.__name__ = "IncrementalPCA"
    sklearn.decomposition.IncrementalPCA = PCAEncoder
