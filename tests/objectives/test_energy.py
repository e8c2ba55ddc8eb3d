import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from skrep.objectives import contrastive_divergence, neighbour_entropy, sparsity_penalty


def test_against_naive_loops():
    rng = np.random.default_rng(0)
    data, fantasy, neighbours, activity = rng.normal(size=7), rng.normal(size=4), rng.normal(size=7), rng.random(3)
    contrast = sum(data) / 7 - sum(fantasy) / 4
    told = 0.0
    for energy, other in zip(data, neighbours, strict=True):
        told -= math.log(math.exp(-energy) / (math.exp(-energy) + math.exp(-other)))  # the row rather than the other
    penalty = sum((a - 0.1) ** 2 for a in activity)
    tensors = [torch.from_numpy(x) for x in (data, fantasy, neighbours, activity)]
    assert math.isclose(contrastive_divergence(tensors[0], tensors[1]), contrast)
    assert math.isclose(neighbour_entropy(tensors[0], tensors[2], 5), 5 * told / 7)
    assert math.isclose(sparsity_penalty(tensors[3], 0.1), penalty)


def test_gradients_by_finite_differences():
    draws = torch.Generator().manual_seed(0)
    a, b = (torch.randn(5, dtype=torch.float64, generator=draws).requires_grad_() for _ in range(2))
    assert gradcheck(contrastive_divergence, (a, b[:3]))
    assert gradcheck(lambda a, b: neighbour_entropy(a, b, 7), (a, b))
    assert gradcheck(lambda a: sparsity_penalty(a, 0.2), (a,))


@pytest.mark.parametrize("size", [1e4, 1e30])
def test_large_energies_stay_finite(size):
    energies = torch.tensor([size, -size])
    np.testing.assert_allclose(neighbour_entropy(energies, -energies, 2), 2 * size, rtol=1e-6)
    assert neighbour_entropy(-energies[:1], energies[:1], 2) == 0
