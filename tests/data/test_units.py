import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.preprocessing import StandardScaler

from skrep import PCAEncoder, SparseCoder
from skrep.data import units_differ


@pytest.mark.parametrize(
    ("load", "differ"),
    [(load_wine, True), (load_breast_cancer, True), (load_diabetes, False), (load_digits, False), (load_iris, False)],
)
def test_tables_that_everybody_knows(load, differ):
    X = load(return_X_y=True)[0]
    assert units_differ(X.min(axis=0), X.max(axis=0)) == differ
    if load is not load_digits:  # pixels that are lit once: standardised, they are the largest
        Z = StandardScaler().fit_transform(X)
        assert not units_differ(Z.min(axis=0), Z.max(axis=0))


def test_a_tenth_of_the_largest_range_and_four_columns_in_five():
    high = np.ones(10)
    assert not units_differ(np.zeros(10), high)
    high[:2] = 0.09
    assert not units_differ(np.zeros(10), high)
    high[2] = 0.09
    assert units_differ(np.zeros(10), high)
    high[:3] = 0.11
    assert not units_differ(np.zeros(10), high)


def test_categories_beside_numbers():
    """Most columns are alike, and the few that are not hold all of the variance."""
    assert units_differ(np.zeros(36), np.r_[np.ones(30), 10.0 ** np.arange(-2, 4)])
    assert units_differ(np.zeros(2), np.array([1.0, 1e6]))
    assert not units_differ(np.zeros(36), np.r_[np.ones(30), np.full(6, 6.0)])  # standardised numbers


def test_columns_that_do_not_vary_do_not_count():
    low, high = np.array([0.0, 5.0, 1e6]), np.array([1.0, 7.0, 1e6 * (1 + 1e-9)])
    assert not units_differ(low, high)
    assert not units_differ(np.ones(3), np.ones(3))
    assert not units_differ(np.array([-np.inf, 0, 0]), np.array([np.inf, 1, np.inf]))
    assert units_differ(-np.array([1e308, 1.0]), np.array([1e308, 1.0]))  # without an overflow


@pytest.mark.parametrize("encoder", [PCAEncoder(2), SparseCoder(4, max_iter=1, random_state=0)])
def test_methods_that_take_columns_as_they_come_say_so(encoder):
    X = load_wine(return_X_y=True)[0]
    name = type(encoder).__name__
    with pytest.warns(
        UserWarning, match=rf"{name} takes\b.* column 12 varies by 3\d\d, column 7 by 0\.12.*StandardScaler"
    ):
        encoder.fit(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clone(encoder).fit(StandardScaler().fit_transform(X))
        clone(encoder).fit(load_digits(return_X_y=True)[0])
        if name == "PCAEncoder":  # whatever is no table of numbers is for others to judge
            clone(encoder).fit(sparse.csr_array(X))
