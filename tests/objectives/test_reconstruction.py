import math

import numpy as np
import torch
from torch.autograd import gradcheck

from skrep.objectives import bernoulli_cross_entropy, squared_error


def test_against_naive_loops():
    rng = np.random.default_rng(0)
    outputs, target = rng.normal(size=(5, 3)), rng.random((5, 3))
    squared, cross = 0.0, 0.0
    for i in range(5):
        for j in range(3):
            squared += (outputs[i, j] - target[i, j]) ** 2
            p = 1 / (1 + math.exp(-outputs[i, j]))
            cross -= target[i, j] * math.log(p) + (1 - target[i, j]) * math.log(1 - p)
    tensors = torch.from_numpy(outputs), torch.from_numpy(target)
    assert math.isclose(squared_error(*tensors), squared / 15)
    assert math.isclose(bernoulli_cross_entropy(*tensors), cross / 15)


def test_gradients_by_finite_differences():
    outputs = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for objective in (squared_error, bernoulli_cross_entropy):
        assert gradcheck(objective, (outputs, target))


def test_extreme_logits_stay_finite():
    assert torch.isfinite(bernoulli_cross_entropy(torch.tensor([[1e4, -1e4]]), torch.tensor([[0.0, 1.0]])))
