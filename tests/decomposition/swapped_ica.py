"""A pytest plugin: FastICAEncoder stands where scikit-learn's tests import FastICA from."""

from typing import Any

import sklearn.decomposition

from skrep.decomposition import FastICAEncoder


def pytest_configure(config: Any) -> None:
    """Swap, in a process that asked for this plugin."""
    sklearn.decomposition.FastICA = FastICAEncoder
