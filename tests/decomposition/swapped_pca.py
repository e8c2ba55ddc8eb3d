"""A pytest plugin: PCAEncoder stands where scikit-learn's tests import PCA from."""

import sklearn.decomposition

from skrep import PCAEncoder

PCAEncoder.__name__ = "PCA"
sklearn.decomposition.PCA = PCAEncoder
