import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler

from skrep.data.units import units_differ


@pytest.mark.parametrize(
    ("load", "differ"),
    [(load_wine, True), (load_breast_cancer, True), (load_diabetes, False), (load_digits, False), (load_iris, False)],
)
def test_tables_that_everybody_knows(load, differ):
    X = load(return_X_y=True)[0]
    assert units_differ(X.min(axis=0), X.max(axis=0)) == differ
    Z = StandardScaler().fit_transform(X)
    assert not units_differ(Z.min(axis=0), Z.max(axis=0))


def test_one_odd_column_in_twelve_decides_nothing():
    high = np.ones(12)
    assert not units_differ(np.zeros(12), high)
    high[0] = 1e6
    assert not units_differ(np.zeros(12), high)
    high[1:3] = 1e6
    assert units_differ(np.zeros(12), high)


def test_columns_that_do_not_vary_do_not_count():
    low, high = np.array([0.0, 5.0, 1e6]), np.array([1.0, 7.0, 1e6 * (1 + 1e-9)])
    assert not units_differ(low, high)
    assert not units_differ(np.ones(3), np.ones(3))
    assert not units_differ(np.array([-np.inf, 0, 0]), np.array([np.inf, 1, np.inf]))
    assert units_differ(-np.array([1e308, 1.0]), np.array([1e308, 1.0]))  # without an overflow
