import itertools
import pickle

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from skrep.backbones import (
    ACTIVATIONS,
    MLP,
    Linear,
    MLPModule,
    TiedLinear,
    WideAndDeep,
    by_column,
    by_common_scale,
    default_widths,
)


def test_shapes_and_activations():
    for name in ACTIVATIONS:
        mlp = MLPModule([7, 5, 4, 3], name)
        assert mlp(torch.randn(2, 7)).shape == (2, 3)
        kinds = [type(layer) for layer in mlp]
        assert kinds == [Linear, ACTIVATIONS[name], Linear, ACTIVATIONS[name], Linear]


@pytest.mark.parametrize("activation", ["gelu", "relu", "silu", "tanh"])
def test_signal_keeps_its_size_through_the_layers(activation):
    torch.manual_seed(0)
    deep = MLPModule([256] * 8, activation)
    out = deep(torch.randn(512, 256))
    assert 0.1 < out.std() < 3


@pytest.mark.parametrize(("n_in", "n_out"), [*itertools.product([1, 3, 5, 8, 17, 30], [1, 2, 7, 16])])
def test_eval_bits_do_not_depend_on_the_place_in_the_batch(n_in, n_out):
    layer = Linear(n_in, n_out).eval()
    x = torch.randn(64, n_in)
    with torch.inference_mode():
        whole = layer(x)
        for shift in (1, 3, 7, 50):
            assert torch.equal(layer(x.roll(shift, 0)), whole.roll(shift, 0))
    np.testing.assert_allclose(whole, nn.functional.linear(x, layer.weight, layer.bias).detach(), rtol=1e-4, atol=1e-5)


def test_common_scale():
    x = torch.randn(1000, 3) * torch.tensor([1.0, 2.0, 5.0]) + 100
    layer = by_common_scale(x.double().mean(0), x.double().var(0, correction=0))
    z = layer(x)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(z.var(0, correction=0).mean(), 1, rtol=1e-4)
    np.testing.assert_allclose(z.std(0) / z.std(0)[0], x.std(0) / x.std(0)[0], rtol=1e-4)
    np.testing.assert_allclose(layer.inverse(z), x, rtol=1e-5)


@pytest.mark.parametrize("value", [0.0, 5.0, 1e30])
def test_constant_data_are_only_centred(value):
    x = torch.full((4, 2), value)
    for make in (by_common_scale, by_column):
        layer = make(x.double().mean(0), torch.full((2,), 1e-20 * value**2, dtype=torch.float64))
        assert (layer.scale == 1).all()
        assert torch.isfinite(layer(x)).all()


def test_columns_are_scaled_as_by_standard_scaler():
    x = np.random.default_rng(0).normal(5, [1.0, 2.0, 50.0, 0.0], size=(200, 4))
    x[:, 3] = 7
    layer = by_column(torch.from_numpy(x.mean(0)), torch.from_numpy(x.var(0)))
    scaled = layer(torch.from_numpy(x).float())
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(x), atol=1e-5)
    np.testing.assert_allclose(layer.inverse(scaled), x, rtol=1e-5)


def test_tied_layers_share_weights_through_pickle():
    linear = nn.Linear(4, 2)
    both = nn.ModuleList([linear, TiedLinear(linear)])
    assert len(list(both.parameters())) == 3
    loaded = pickle.loads(pickle.dumps(both))
    with torch.no_grad():
        loaded[0].weight.fill_(2.0)
    assert torch.equal(loaded[1](torch.ones(1, 2)) - loaded[1].bias, torch.full((1, 4), 4.0))


def test_default_widths():
    assert default_widths(64, None) == [64, 512, 256, 32]
    assert default_widths(4, None) == [4, 64, 32, 2]
    assert default_widths(3072, 10) == [3072, 512, 256, 10]
    assert default_widths(9, 3, (5,)) == [9, 5, 3]
    assert default_widths(9, 3, ()) == [9, 3]


def test_the_part_builds_the_module_and_names_what_it_cannot_take():
    assert [layer.out_features for layer in MLP((7, 5)).build((10,), 3).linears] == [7, 5, 3]
    with pytest.raises(ValueError, match=r"MLP.*\(8, 8, 1\).*ConvNet"):
        MLP().build((8, 8, 1), 3)


@pytest.mark.parametrize(("n_columns", "n_learned"), [(1, 2), (4, 2), (10, 5), (500, 64)])
def test_columns_pass_beside_the_learned_features(n_columns, n_learned):
    both = WideAndDeep().build((n_columns,), None)
    x = torch.randn(6, n_columns)
    out = both(x)
    assert torch.equal(out[:, :n_columns], x)
    np.testing.assert_allclose(out[:, n_columns:].var(0, correction=0).detach(), 1, rtol=1e-3)  # as loud as a column
    assert out.shape == (6, n_columns + n_learned)
    learned, norm = both.eval().deep(x), both.norm
    expected = (learned - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
    np.testing.assert_allclose(both(x)[:, n_columns:].detach(), expected.detach(), rtol=1e-5, atol=1e-6)


def test_a_linear_layer_gives_columns_and_features_another_width():
    network = WideAndDeep(MLP((7,), "tanh")).build((10,), 4)
    x = torch.randn(6, 10)
    h = network.eval()[0](x)  # (6, 10 + 5)
    np.testing.assert_allclose(
        network(x).detach(), (h @ network[1].weight.T + network[1].bias).detach(), rtol=1e-5, atol=1e-6
    )
    assert [type(layer) for layer in network[0].deep] == [Linear, nn.Tanh, Linear]


def test_columns_with_features_cannot_take_images():
    with pytest.raises(ValueError, match=r"MLP.*\(8, 8, 1\).*ConvNet"):
        WideAndDeep().build((8, 8, 1), None)
    with pytest.raises(ValueError, match=r"MLP\(activation='step'\)"):
        WideAndDeep(MLP(activation="step")).build((8,), None)
    with pytest.raises(ValueError, match=r"WideAndDeep\(deep=3\)"):
        WideAndDeep(3).build((8,), None)
