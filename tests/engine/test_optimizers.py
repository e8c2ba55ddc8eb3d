"""LARS against its formula, tensor by tensor, and what else an optimizer has to keep."""

import numpy as np
import pytest
import torch
from torch import nn

from skrep import AutoEncoderTransformer, SimCLRTransformer
from skrep.engine.lars import LARS
from skrep.engine.optimizers import make_optimizer
from tests.engine.test_training import Ctrl, weights
from tests.methods import Simple


def naive_lars(start, gradients, *, lr, momentum, decay, trust):
    """Algorithm 1 of You et al. 2017 for one tensor in float64; a rate and a gradient a step."""
    w, v = start.astype(np.float64), np.zeros(start.shape)
    for rate, g in zip(lr, gradients, strict=True):
        local = 1.0
        if w.ndim > 1:
            local = trust * np.sqrt((w**2).sum()) / (np.sqrt((g**2).sum()) + decay * np.sqrt((w**2).sum()))
        else:
            decay = 0.0
        v = momentum * v + rate * local * (g + decay * w)
        w = w - v
    return w


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("shape", [(), (5,), (4, 3), (6, 2, 3, 3)])
def test_lars_is_its_formula(shape, momentum, decay):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=shape), rng.normal(size=(5, *shape))
    rates = [0.5, 1.0, 0.8, 0.3, 0.1]
    weight = nn.Parameter(torch.from_numpy(np.array(start)).double())
    optimizer = LARS([weight], lr=1.0, momentum=momentum, weight_decay=decay, trust_coefficient=0.02)
    for rate, gradient in zip(rates, gradients, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        weight.grad = torch.from_numpy(np.array(gradient)).double()
        optimizer.step()
    expected = naive_lars(start, gradients, lr=rates, momentum=momentum, decay=decay, trust=0.02)
    np.testing.assert_allclose(weight.detach().numpy(), expected, rtol=1e-12)
    assert not np.allclose(expected, start, rtol=1e-3)


def test_a_matrix_moves_by_a_share_of_its_length_whatever_the_gradient():
    for scale in (1e-6, 1.0, 1e6):
        weight = nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(0)))
        before = weight.detach().clone()
        weight.grad = scale * torch.randn(8, 8, generator=torch.Generator().manual_seed(1))
        LARS([weight], lr=2.0).step()
        torch.testing.assert_close((weight - before).norm(), 0.002 * before.norm(), rtol=1e-4, atol=0)


def test_biases_and_norms_move_by_plain_momentum():
    torch_rng = torch.Generator().manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    vectors = [p for p in module.parameters() if p.ndim == 1]
    assert len(vectors) == 4  # a bias, a gain and a shift, a bias
    copies = [p.detach().clone().requires_grad_() for p in vectors]
    lars = make_optimizer("lars", module.named_parameters(), lr=0.3, weight_decay=0.5)
    sgd = torch.optim.SGD(copies, lr=0.3, momentum=0.9)
    for _ in range(4):
        for p in module.parameters():
            p.grad = torch.randn(p.shape, generator=torch_rng)
        for p, q in zip(vectors, copies, strict=True):
            q.grad = p.grad.clone()
        lars.step()
        sgd.step()
    for p, q in zip(vectors, copies, strict=True):
        torch.testing.assert_close(p, q)
    # a group of one's own that decays everything changes nothing for them
    gain = nn.Parameter(torch.ones(3))
    gain.grad = torch.zeros(3)
    LARS([gain], lr=1.0, weight_decay=0.5).step()
    assert torch.equal(gain, torch.ones(3))


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("weight", "gradient"), [(0.0, 0.0), (0.0, 2.0), (3.0, 0.0), (3.0, 1e-42), (1e-42, 2.0)])
def test_zeros_are_no_nan(weight, gradient, decay):
    parameter = nn.Parameter(torch.full((2, 2), weight))
    optimizer = LARS([parameter], lr=0.5, momentum=0.0, weight_decay=decay)
    parameter.grad = torch.full((2, 2), gradient)
    optimizer.step()
    expected = weight - 0.5 * (gradient + decay * weight)  # the ratio is 1 where a norm is zero
    torch.testing.assert_close(parameter.detach(), torch.full((2, 2), expected))


def test_what_has_no_gradient_stays():
    trained, frozen = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    trained.grad = torch.ones(2, 2)
    optimizer = LARS([trained, frozen], lr=1.0, weight_decay=0.1)
    optimizer.step()
    assert torch.equal(frozen, torch.ones(2, 2))
    assert not torch.equal(trained, torch.ones(2, 2))
    assert frozen not in optimizer.state


def test_closure_is_called_with_gradients_on():
    weight = nn.Parameter(torch.ones(2, 2))
    optimizer = LARS([weight], lr=1.0)

    def closure():
        loss = (weight**2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 4
    assert optimizer.step() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lr": -1.0}, r"LARS\(lr=-1.0\).*\[0, inf\)"),
        ({"lr": float("nan")}, r"LARS\(lr=nan\)"),
        ({"lr": 1.0, "momentum": 1.0}, r"LARS\(momentum=1.0\).*\[0, 1\)"),
        ({"lr": 1.0, "weight_decay": float("inf")}, r"LARS\(weight_decay=inf\)"),
        ({"lr": 1.0, "trust_coefficient": -0.1}, r"LARS\(trust_coefficient=-0.1\)"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        LARS([nn.Parameter(torch.ones(1))], **options)


def test_lars_by_name(table):
    fitted = Simple(optimizer="lars", max_epochs=30, random_state=0, net_params={"optimizer__momentum": 0.8}).fit(table)
    assert fitted.history_[-1]["train_loss"] < fitted.history_[0]["train_loss"]
    optimizer = fitted.net_.optimizer_
    assert isinstance(optimizer, LARS)
    matrices, vectors = optimizer.param_groups
    assert [group["weight_decay"] for group in (matrices, vectors)] == [1e-4, 0]
    assert matrices["momentum"] == 0.8


@pytest.mark.parametrize("method", [AutoEncoderTransformer, SimCLRTransformer])
def test_the_default_rate_of_lars_learns(method, digits):
    images = digits[0][:300].reshape(-1, 8, 8, 1) / 16
    losses = [row["train_loss"] for row in method(optimizer="lars", max_epochs=6, random_state=0).fit(images).history_]
    assert losses[-1] < 0.9 * losses[0]
    assert max(losses) == losses[0]  # twice the rate, and an autoencoder of images diverges


@pytest.mark.parametrize("images", [False, True])
def test_lars_resumes_to_the_bit(images, table, digits, tmp_path):
    if images:  # convolutions: weights and velocities are channels last
        X = digits[0][:48].reshape(-1, 8, 8, 1)
        method, common = SimCLRTransformer, {"max_epochs": 3, "batch_size": 16}
    else:
        X, method, common = table, Simple, {"max_epochs": 3, "batch_size": 20}
    common |= {"optimizer": "lars", "random_state": 0}
    whole = method(**common).fit(X)
    with pytest.raises(KeyboardInterrupt):
        method(**common, checkpoint=tmp_path, callbacks=[Ctrl((1, 2), "raise")]).fit(X)
    resumed = method(**common, checkpoint=tmp_path).fit(X)
    assert resumed.resumed_from_ == (1, 2)
    assert resumed.history_ == whole.history_
    assert torch.equal(weights(resumed), weights(whole))
    for ours, theirs in zip(resumed.net_.optimizer_.state.values(), whole.net_.optimizer_.state.values(), strict=True):
        assert torch.equal(ours["velocity"], theirs["velocity"])
