import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from skrep.views import RandomFeatureCorruption


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def entries(n, n_features):
    """A table in which each value tells its row and column."""
    return torch.arange(float(n * n_features)).reshape(n, n_features)


def test_replaced_entries_come_from_their_column():
    x = entries(500, 7)
    seen = RandomFeatureCorruption()(x, seeded())
    assert torch.equal(seen % 7, x % 7)
    assert torch.equal(x, entries(500, 7))


def test_share_of_replaced_entries():
    x = entries(5000, 6)
    kept = RandomFeatureCorruption(0.6)(x, seeded()) == x
    np.testing.assert_allclose(kept.float().mean(0), 0.4, atol=0.03)
    np.testing.assert_allclose(np.corrcoef(kept.T.numpy()), np.eye(6), atol=0.05)
    assert torch.equal(RandomFeatureCorruption(0)(x, seeded()), x)


def test_donors_are_uniform_and_independent():
    n, d = 20, 2000
    donors = (RandomFeatureCorruption(1)(entries(n, d), seeded()) // d).long()  # (n, d)
    assert chisquare(np.bincount(donors.flatten(), minlength=n)).pvalue > 0.01
    # with replacement: two entries of one column share their donor as often as chance has it
    assert abs((donors[0] == donors[1]).float().mean() - 1 / n) < 0.015
    # each entry anew: neither a row nor a column has one donor
    assert abs((donors[:, :-1] == donors[:, 1:]).float().mean() - 1 / n) < 0.005


def test_determinism():
    x = torch.rand(30, 4, generator=seeded())
    before = torch.get_rng_state()
    one, two, other = (RandomFeatureCorruption()(x, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_input():
    with pytest.raises(ValueError, match=r"fraction=1\.2\b.*\b0\b.*\b1\b"):
        RandomFeatureCorruption(1.2)(torch.zeros(2, 2), seeded())
    with pytest.raises(ValueError, match=r"RandomFeatureCorruption.*\(batch, n_features\).*\(2, 3, 4, 4\)"):
        RandomFeatureCorruption()(torch.zeros(2, 3, 4, 4), seeded())
