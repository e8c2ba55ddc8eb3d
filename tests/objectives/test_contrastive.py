import math

import numpy as np
import pytest
import torch

from skrep.objectives import info_nce, nt_xent


def algorithm_1(z, temperature, groups=None):
    """Chen et al. 2020, Algorithm 1, line by line: views 2k - 1 and 2k are of sample k, which is of groups[k]."""
    two_n = len(z)
    s = np.empty((two_n, two_n))
    for i in range(two_n):
        for j in range(two_n):
            s[i, j] = z[i] @ z[j] / (np.linalg.norm(z[i]) * np.linalg.norm(z[j]))

    owner = range(two_n // 2) if groups is None else groups

    def ell(i, j):
        below = sum(math.exp(s[i, k] / temperature) for k in range(two_n) if k == j or owner[k // 2] != owner[i // 2])
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


@pytest.mark.parametrize("groups", [[0, 0], [3, 1, 3, 0, 0, 3], [5, 4, 3, 2, 1], [2] * 7], ids=["2", "6", "5", "one"])
def test_views_of_a_group_are_no_candidates(groups):
    first, second = np.random.default_rng(1).normal(size=(2, len(groups), 5))
    interleaved = np.stack([first, second], axis=1).reshape(-1, 5)  # (n, 2, 5) -> (2 * n, 5)
    z = torch.from_numpy(np.concatenate([first, second])).float().requires_grad_()
    loss = nt_xent(z, 0.3, torch.tensor(groups))
    np.testing.assert_allclose(loss.detach(), algorithm_1(interleaved, 0.3, groups), rtol=1e-5, atol=1e-6)
    loss.backward()
    assert torch.isfinite(z.grad).all()
    if len(set(groups)) == len(groups):  # a group a row is as no groups at all, to the bit
        assert loss == nt_xent(z, 0.3)


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


@pytest.mark.parametrize("temperature", [0.01, 0.2])
@pytest.mark.parametrize("n", [2, 3, 257])
def test_half_precision_in_any_batch_size(n, temperature):
    generator = torch.Generator().manual_seed(n)
    z, negatives = torch.randn(2 * n, 16, generator=generator), torch.randn(40, 16, generator=generator)
    excluded = torch.rand(n, 40, generator=generator) < 0.2
    losses = [
        lambda z: nt_xent(z, temperature),
        lambda z: info_nce(z[:n], z[n:], None, temperature),
        lambda z: info_nce(z[:n], z[n:], negatives.to(z.dtype), temperature, excluded),
    ]
    for loss in losses:
        half = z.bfloat16().requires_grad_()
        value = loss(half)
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        value.backward()
        assert torch.isfinite(half.grad).all()
        np.testing.assert_allclose(value.detach(), loss(half.detach().float()), rtol=0.02, atol=1e-4)


def one_by_one(queries, keys, negatives, temperature, excluded):
    """He et al. 2020, equation 1, for each query on its own; without negatives, other queries' keys are those."""

    def cosine(a, b):
        return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    losses = []
    for i, query in enumerate(queries):
        if negatives is None:
            others = [key for j, key in enumerate(keys) if j != i]
        else:
            others = [key for j, key in enumerate(negatives) if excluded is None or not excluded[i][j]]
        positive = math.exp(cosine(query, keys[i]) / temperature)
        losses.append(-math.log(positive / (positive + sum(math.exp(cosine(query, k) / temperature) for k in others))))
    return sum(losses) / len(losses)


def sides(n, n_negatives, seed=0):
    rng = np.random.default_rng(seed)
    queries, keys = rng.normal(size=(2, n, 5))
    if n_negatives is None:
        return queries, keys, None, None
    return queries, keys, rng.normal(size=(n_negatives, 5)), rng.random((n, n_negatives)) < 0.4


def tensors(*arrays):
    return [
        None if a is None else torch.from_numpy(a) if a.dtype == bool else torch.from_numpy(a).float() for a in arrays
    ]


@pytest.mark.parametrize("temperature", [0.07, 0.2, 1.0])
@pytest.mark.parametrize("n_negatives", [None, 1, 3, 50])
@pytest.mark.parametrize("n", [1, 2, 17])
def test_info_nce_query_by_query(n, n_negatives, temperature):
    queries, keys, negatives, excluded = sides(n, n_negatives)
    q, k, others, left_out = tensors(queries, keys, negatives, excluded)
    expected = one_by_one(queries, keys, negatives, temperature, None)
    np.testing.assert_allclose(info_nce(q, k, others, temperature), expected, rtol=1e-4, atol=1e-6)
    if negatives is not None:
        expected = one_by_one(queries, keys, negatives, temperature, excluded)
        np.testing.assert_allclose(info_nce(q, k, others, temperature, left_out), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("n_negatives", [None, 7])
def test_gradient_of_info_nce_by_finite_differences(n_negatives):
    queries, keys, negatives, excluded = sides(4, n_negatives)
    q, k, others, left_out = tensors(queries, keys, negatives, excluded)
    q.requires_grad_(), k.requires_grad_()
    info_nce(q, k, others, 0.3, left_out).backward()
    for moved, gradient in [(queries, q.grad), (keys, k.grad)]:
        numeric = np.zeros_like(moved)
        for at in np.ndindex(moved.shape):
            before = moved[at]
            up, down = (
                (moved.__setitem__(at, before + step), one_by_one(queries, keys, negatives, 0.3, excluded))[1]
                for step in (1e-6, -1e-6)
            )
            moved[at], numeric[at] = before, (up - down) / 2e-6
        np.testing.assert_allclose(gradient, numeric, rtol=1e-3, atol=1e-5)


def test_keys_of_the_batch_can_be_excluded():
    queries, keys, _, _ = sides(17, None)
    groups = np.arange(17) // 3
    losses = []
    for i in range(17):
        others = np.flatnonzero(groups != groups[i])
        losses.append(one_by_one(queries[i : i + 1], keys[i : i + 1], keys[others], 0.3, None))
    q, k = tensors(queries, keys)
    excluded = torch.from_numpy(groups[:, None] == groups)
    np.testing.assert_allclose(info_nce(q, k, None, 0.3, excluded), np.mean(losses), rtol=1e-4)
    assert excluded.diagonal().all()  # left as it was
    assert info_nce(q, k, None, 0.3, torch.ones(17, 17, dtype=torch.bool)) == 0


def test_bounds_of_info_nce():
    same, others = torch.ones(8, 3), torch.ones(21, 3)
    np.testing.assert_allclose(info_nce(same, same, None, 0.3), math.log(8), rtol=1e-6)
    np.testing.assert_allclose(info_nce(same, same, others, 0.3), math.log(22), rtol=1e-6)
    excluded = torch.arange(21).expand(8, 21) < 9
    np.testing.assert_allclose(info_nce(same, same, others, 0.3, excluded), math.log(13), rtol=1e-6)
    assert info_nce(same, same, others, 0.3, torch.ones(8, 21, dtype=torch.bool)) == 0  # nothing to be mistaken for
    np.testing.assert_allclose(info_nce(same, same, others, 0.3), info_nce(7 * same, same / 9, 5 * others, 0.3))
