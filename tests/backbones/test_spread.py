import math

import numpy as np
import pytest
import torch

from skrep.backbones import Spread
from skrep.exceptions import CollapseWarning


def by_numpy(z):
    """Standard deviation of rows of length one, and the exponential of the entropy of their singular values."""
    z = z.astype(np.float64)
    z = z / np.linalg.norm(z, axis=1, keepdims=True)
    singular = np.linalg.svd(z, compute_uv=False)
    share = singular / singular.sum()
    share = share[share > 0]
    return z.std(0).mean() * math.sqrt(z.shape[1]), np.exp(-(share * np.log(share)).sum())


def followed(z, batch=50):
    spread = Spread(z.shape[1])
    for part in torch.from_numpy(z).split(batch):
        spread.add(part)
    return spread


@pytest.mark.parametrize("n", [3, 40, 1000])
@pytest.mark.parametrize("dim", [2, 16, 64])
@pytest.mark.parametrize("kind", ["even", "few directions", "off centre", "uneven"])
def test_it_is_what_numpy_says(kind, dim, n):
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n, dim))
    if kind == "few directions":
        z = rng.normal(size=(n, 2)) @ rng.normal(size=(2, dim))
    if kind == "off centre":
        z = z + 1
    if kind == "uneven":
        z = z * np.geomspace(1, 0.03, dim)
    z = (100 * z).astype(np.float32)
    found = followed(z).read("Method")
    std, rank = by_numpy(z)
    assert found["projection_std"] == pytest.approx(std, rel=1e-4)
    assert found["effective_rank"] == pytest.approx(rank, rel=5e-3)


def test_limits():
    even = np.concatenate([np.eye(8), -np.eye(8)]).astype(np.float32)
    found = followed(even).read("Method")
    assert found["projection_std"] == pytest.approx(1)
    assert found["effective_rank"] == pytest.approx(8, rel=1e-5)
    line = np.outer(np.repeat([1, -1], 10), np.arange(1.0, 5)).astype(np.float32)
    assert followed(line).read("Method")["effective_rank"] == pytest.approx(1, abs=1e-3)


def test_each_reading_begins_anew():
    z = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    spread = followed(z[:100])
    spread.read("Method")
    for part in torch.from_numpy(z[100:]).split(30):
        spread.add(part.bfloat16() if len(part) < 30 else part)
    assert spread.read("Method")["projection_std"] == pytest.approx(by_numpy(z[100:])[0], rel=1e-2)


def collapsed(n=100, dim=16, width=0.05):
    rng = np.random.default_rng(0)
    return (np.ones(dim) + width * rng.normal(size=(n, dim))).astype(np.float32)


def test_it_warns_once():
    spread = followed(collapsed())
    with pytest.warns(CollapseWarning, match=r"^Method: .*projection_std 0\.0\d+.*sample_views.*\blr\b") as told:
        found = spread.read("Method")
    assert len(told) == 1
    assert found["projection_std"] == pytest.approx(by_numpy(collapsed())[0], rel=1e-2)
    spread.add(torch.from_numpy(collapsed()))
    spread.read("Method")  # a second warning would be an error


def test_one_point():
    for z in (collapsed(width=0), -3 * collapsed(width=0)):
        with pytest.warns(CollapseWarning):
            found = followed(z).read("Method")
        assert found["projection_std"] < 0.01
        assert found["effective_rank"] == pytest.approx(1, abs=0.05)


def test_many_rows_in_single_precision():
    """Sums over a long epoch."""
    z = collapsed(1000, 64, 0.3)
    spread = Spread(64)
    for _ in range(1000):
        spread.add(torch.from_numpy(z))
    assert spread.read("Method")["projection_std"] == pytest.approx(by_numpy(z)[0], rel=1e-3)


def test_it_is_kept_in_checkpoints_and_learns_nothing():
    spread = followed(collapsed())
    assert {"total", "outer", "count"} == spread.state_dict().keys()
    assert not list(spread.parameters())
    grown = torch.randn(4, 16, requires_grad=True)
    spread.add(grown)
    assert not spread.total.requires_grad


def test_nothing_at_all():
    with pytest.warns(CollapseWarning):
        found = followed(0 * collapsed()).read("Method")
    assert found["projection_std"] == 0
    assert math.isfinite(found["effective_rank"])
