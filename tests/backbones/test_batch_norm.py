import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skrep.backbones import split_batch_norm


def layer(channels, kind, **options):
    torch.manual_seed(0)
    made = kind(channels, **options)
    if made.affine:
        nn.init.normal_(made.weight), nn.init.normal_(made.bias)
    return made


def rows(n, shape, seed=0):
    return 3 * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed)) + 2


SHAPES = [((5,), nn.BatchNorm1d), ((5, 7), nn.BatchNorm1d), ((5, 4, 3), nn.BatchNorm2d)]


@pytest.mark.parametrize("n_parts", [2, 3, 8])
@pytest.mark.parametrize("n", [6, 17, 32])
@pytest.mark.parametrize(("shape", "kind"), SHAPES, ids=["rows", "sequences", "images"])
def test_each_part_is_as_alone(n, n_parts, shape, kind):
    split, alone = layer(5, kind), layer(5, kind)
    x = rows(n, shape).requires_grad_()
    y = x.detach().clone().requires_grad_()
    upstream = rows(n, shape, 1)
    with split_batch_norm(n_parts):
        output = split(x)
    used = min(n_parts, n // 2)
    expected = torch.cat([alone(part) for part in y.tensor_split(used)])
    torch.testing.assert_close(output, expected)
    assert len(y.tensor_split(used)[-1]) >= 2
    (output * upstream).sum().backward()
    (expected * upstream).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    torch.testing.assert_close(split.weight.grad, alone.weight.grad)
    torch.testing.assert_close(split.bias.grad, alone.bias.grad)
    assert split.num_batches_tracked == 1


@pytest.mark.parametrize("n", [1, 2, 3])
def test_parts_have_two_rows_at_least(n):
    x = rows(n, (5, 4, 4))
    split, whole = layer(5, nn.BatchNorm2d), layer(5, nn.BatchNorm2d)
    with split_batch_norm(4):
        output = split(x)
    assert torch.equal(output, whole(x))
    assert torch.equal(split.running_var, whole.running_var)


def test_running_statistics_move_as_in_one_step():
    x = rows(600, (5,))
    split, whole = layer(5, nn.BatchNorm1d), layer(5, nn.BatchNorm1d)
    with split_batch_norm(6):
        split(x)
    whole(x)
    torch.testing.assert_close(split.running_mean, whole.running_mean, atol=0.02, rtol=0)
    torch.testing.assert_close(split.running_var, whole.running_var, atol=0.05, rtol=0.02)
    parts = x.split(100)  # to the letter: one step of 0.1 towards the mean over parts, from 0 and 1
    torch.testing.assert_close(split.running_mean, 0.1 * torch.stack([part.mean(0) for part in parts]).mean(0))
    torch.testing.assert_close(split.running_var, 0.9 + 0.1 * torch.stack([part.var(0) for part in parts]).mean(0))


def test_memory_stays_channels_last():
    x = rows(12, (6, 5, 4)).contiguous(memory_format=torch.channels_last)
    bare = layer(6, nn.BatchNorm2d)
    results = {}
    for name, given in [("last", x), ("first", x.contiguous())]:
        norm, given = copy.deepcopy(bare), given.clone().requires_grad_()
        with split_batch_norm(3):
            output = norm(given)
        output.square().sum().backward()
        results[name] = output.detach(), given.grad, norm.weight.grad
        if name == "last":
            assert output.is_contiguous(memory_format=torch.channels_last)
    for last, first in zip(results["last"], results["first"], strict=True):
        torch.testing.assert_close(last, first, atol=1e-4, rtol=1e-5)


def test_nothing_else_changes():
    x = rows(12, (5,))
    norm = layer(5, nn.BatchNorm1d).eval()
    outside, before = norm(x), copy.deepcopy(norm.state_dict())
    with split_batch_norm(4):
        assert torch.equal(norm(x), outside)  # what is trained no more
        instance = F.instance_norm(rows(4, (5, 3)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())
    assert torch.equal(instance, F.instance_norm(rows(4, (5, 3))))
    norm.train()
    with split_batch_norm(1):
        split = copy.deepcopy(norm)(x)
    assert torch.equal(split, norm(x))  # and after the context


def test_layers_without_gain_or_running_statistics():
    x = rows(12, (5,))
    for options in ({"affine": False}, {"track_running_stats": False}, {"momentum": 0.5}, {"eps": 1.0}):
        split, alone = (layer(5, nn.BatchNorm1d, **options) for _ in range(2))
        with split_batch_norm(3):
            output = split(x)
        torch.testing.assert_close(output, torch.cat([alone(part) for part in x.split(4)]))
    cumulative = layer(5, nn.BatchNorm1d, momentum=None)  # an average over all batches
    with split_batch_norm(3):
        cumulative(x), cumulative(x + 1)
    torch.testing.assert_close(cumulative.running_mean, x.mean(0) + 0.5)


def test_a_whole_network_in_half_precision():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 3))
    x = rows(10, (1, 5, 5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with split_batch_norm(2):
            output = network(x)
        expected = torch.cat([network(part) for part in x.split(5)])
    torch.testing.assert_close(output, expected)
