import math

import numpy as np
import pytest
import torch

from skrep.objectives import nt_xent


def algorithm_1(z, temperature):
    """Chen et al. 2020, Algorithm 1, line by line: views 2k - 1 and 2k are of sample k."""
    two_n = len(z)
    s = np.empty((two_n, two_n))
    for i in range(two_n):
        for j in range(two_n):
            s[i, j] = z[i] @ z[j] / (np.linalg.norm(z[i]) * np.linalg.norm(z[j]))

    def ell(i, j):
        below = sum(math.exp(s[i, k] / temperature) for k in range(two_n) if k != i)
        return -math.log(math.exp(s[i, j] / temperature) / below)

    return sum(ell(2 * k, 2 * k + 1) + ell(2 * k + 1, 2 * k) for k in range(two_n // 2)) / two_n


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize("n", [2, 3, 17])
def test_it_is_algorithm_1(n, temperature):
    rng = np.random.default_rng(n)
    first, second = rng.normal(size=(2, n, 5))
    interleaved = np.stack([first, second], axis=1).reshape(2 * n, 5)  # (n, 2, 5) -> (2 * n, 5)
    loss = nt_xent(torch.from_numpy(np.concatenate([first, second])).float(), temperature)
    np.testing.assert_allclose(loss, algorithm_1(interleaved, temperature), rtol=1e-5)


def test_gradient_by_finite_differences():
    z = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    grown = z.detach().float().requires_grad_()
    nt_xent(grown, 0.5).backward()
    numeric = torch.zeros_like(z)
    for i in range(6):
        for j in range(4):
            moved = [z.detach().numpy().copy() for _ in range(2)]
            moved[0][i, j] += 1e-6
            moved[1][i, j] -= 1e-6
            order = [0, 3, 1, 4, 2, 5]
            up, down = (algorithm_1(m[order], 0.5) for m in moved)
            numeric[i, j] = (up - down) / 2e-6
    np.testing.assert_allclose(grown.grad, numeric, rtol=1e-3, atol=1e-5)


def test_bounds():
    n = 8
    same = torch.ones(2 * n, 3)
    np.testing.assert_allclose(nt_xent(same, 0.3), math.log(2 * n - 1), rtol=1e-6)
    apart = torch.eye(n).repeat(2, 1)
    expected = -math.log(math.exp(1 / 0.1) / (math.exp(1 / 0.1) + 2 * n - 2))
    np.testing.assert_allclose(nt_xent(apart, 0.1), expected, rtol=1e-3, atol=1e-6)


def test_half_precision_is_finite():
    z = torch.randn(256, 64, generator=torch.Generator().manual_seed(0)).bfloat16()
    loss = nt_xent(z, 0.01)
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
