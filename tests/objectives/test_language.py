"""The loss of predicted tokens."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import gradcheck
from torch.nn import functional as F

from skrep.objectives import token_cross_entropy


def drawn(n, n_vocabulary, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, n_vocabulary, dtype=torch.float64, generator=generator)
    return logits, torch.randint(n_vocabulary, (n,), generator=generator)


@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 100))
def test_against_a_naive_loop(n, n_vocabulary, seed):
    logits, tokens = drawn(n, n_vocabulary, seed)
    expected = 0.0
    for row, token in zip(logits.tolist(), tokens.tolist(), strict=True):
        expected -= math.log(math.exp(row[token]) / sum(math.exp(value) for value in row)) / n
    assert math.isclose(float(token_cross_entropy(logits, tokens)), expected, rel_tol=1e-9, abs_tol=1e-12)


def test_gradients_by_finite_differences():
    logits, tokens = drawn(5, 4)
    assert gradcheck(lambda x: token_cross_entropy(x, tokens), (logits.requires_grad_(),))


def test_a_network_that_knows_nothing_is_at_the_logarithm_of_the_vocabulary():
    loss = token_cross_entropy(torch.zeros(7, 8000), torch.arange(7))
    assert math.isclose(float(loss), math.log(8000), rel_tol=1e-6)


def test_logits_of_any_size():
    logits = torch.full((2, 3), -1e30)
    logits[:, 1] = 1e30
    assert float(token_cross_entropy(logits, torch.tensor([1, 1]))) == 0
    assert torch.isfinite(token_cross_entropy(logits, torch.tensor([0, 1])))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_tokens_at_all(dtype):
    weight = torch.ones(4, 3, dtype=dtype, requires_grad=True)
    loss = token_cross_entropy(torch.empty(0, 3, dtype=dtype) @ weight.T, torch.empty(0, dtype=torch.int64))
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == dtype
    assert float(loss.detach()) == 0
    np.testing.assert_array_equal(weight.grad, np.zeros((4, 3)))


def test_chosen_tokens_alone_and_all_with_the_others_ignored():
    logits, tokens = (part.float() if part.is_floating_point() else part for part in drawn(200, 50))
    chosen = torch.arange(3, 200, 7)
    ignored = torch.full_like(tokens, -100)
    ignored[chosen] = tokens[chosen]
    everywhere, alone = (logits.clone().requires_grad_() for _ in range(2))
    F.cross_entropy(everywhere, ignored).backward()
    loss = token_cross_entropy(alone[chosen], tokens[chosen])
    loss.backward()
    assert abs(float(loss.detach() - F.cross_entropy(logits, ignored))) < 1e-6
    np.testing.assert_allclose(alone.grad, everywhere.grad, atol=1e-7)
