import numpy as np
import pytest
import torch
from torch import nn

from skrep.backbones import ConvNet, Pixels, by_channel, make_encoder
from skrep.data import ArraySource


@pytest.fixture
def images():
    return (np.random.default_rng(0).random((40, 6, 7, 3)) * [255, 100, 30]).astype(np.uint8)


def test_pixels_are_scaled_by_the_type_and_back():
    for dtype, low, high in [(np.uint8, 0, 255), (np.float32, 0, 1), (np.float32, 0, 16), (np.float32, -3, 3)]:
        x = np.linspace(low, high, 4 * 5 * 5 * 2).reshape(4, 5, 5, 2).astype(dtype)
        encoder, _ = make_encoder(ArraySource(x), ConvNet(2), None)
        unit = encoder.scale(torch.from_numpy(x).float())
        assert unit.shape == (4, 2, 5, 5)
        np.testing.assert_allclose(unit, ((x.astype(float) - low) / (high - low)).transpose(0, 3, 1, 2), atol=1e-6)
        np.testing.assert_allclose(encoder.scale.inverse(unit), x, atol=1e-4)


def test_floats_within_the_unit_interval_are_left_alone():
    x = np.full((4, 5, 5, 1), 0.5, dtype=np.float32)
    encoder, _ = make_encoder(ArraySource(x), ConvNet(2), None)
    assert torch.equal(encoder.scale(torch.from_numpy(x)), torch.full((4, 1, 5, 5), 0.5))


def test_channels_are_standardised(images):
    encoder, _ = make_encoder(ArraySource(images), ConvNet(2), None)
    z = encoder.standardize(encoder.scale(torch.from_numpy(images).float()))
    np.testing.assert_allclose(z.mean((0, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(z.std((0, 2, 3)), 1, rtol=1e-3)
    unit = torch.rand(3, 3, 6, 7)
    np.testing.assert_allclose(encoder.standardize(encoder.standardize.inverse(unit)), unit, atol=1e-4)


def test_a_channel_without_contrast_is_only_centred():
    mean, variance = torch.full((6, 7, 1), 0.3, dtype=torch.float64), torch.zeros(6, 7, 1, dtype=torch.float64)
    assert by_channel(mean, variance).scale.item() == 1
    assert Pixels(2.0, 2.0)(torch.full((1, 1, 1, 1), 2.0)).item() == 0


def test_layers_by_name_and_position(images):
    source = ArraySource(images)
    x = source.take(torch.arange(5), torch.device("cpu"))
    torch.manual_seed(0)
    whole = make_encoder(source, ConvNet(2), None)[0].eval()
    torch.manual_seed(0)
    block = make_encoder(source, ConvNet(2), None, "1.0")[0].eval()
    z = whole.standardize(whole.scale(x))
    expected = whole.backbone[1][0](whole.backbone[0](z)).mean((2, 3))
    np.testing.assert_allclose(block(x).detach(), expected.detach(), atol=1e-6)
    assert torch.equal(block.embed(whole.scale(x)), whole(x))  # training sees all of the backbone


def test_tokens_are_averaged(images):
    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.block, self.gain = nn.Flatten(2), nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.gain * self.block(x).flatten(1)

    source = ArraySource(images)
    encoder, width = make_encoder(source, Tokens(), None, "block")
    assert width == 3 * 42
    assert encoder(source.take(torch.arange(5), torch.device("cpu"))).shape == (5, 42)


def test_what_comes_after_a_layer_does_not_run(images):
    class Fails(nn.Module):
        calls = 0

        def forward(self, x):
            Fails.calls += 1
            return x.flatten(1)

    source = ArraySource(images)
    encoder, _ = make_encoder(source, nn.Sequential(nn.Conv2d(3, 4, 3), Fails()), None, 0)
    before = Fails.calls
    assert encoder(source.take(torch.arange(5), torch.device("cpu"))).shape == (5, 4)
    assert Fails.calls == before


def test_a_backbone_with_nothing_to_learn(images):
    source = ArraySource(images)
    for backbone in (
        nn.Flatten(),
        nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.BatchNorm2d(3, affine=False), nn.Flatten()),
    ):
        name = type(backbone).__name__
        with pytest.raises(ValueError, match=rf"backbone={name}\b.*LazyLinear\(64\).*n_components"):
            make_encoder(source, backbone, None)
        encoder, width = make_encoder(source, backbone, 5)  # as the message says
        assert width == 5
        assert any(True for _ in encoder.parameters())
    encoder, width = make_encoder(source, nn.Sequential(nn.Flatten(), nn.LazyLinear(64)), None)
    assert width == 64
    with pytest.raises(ValueError, match=r"backbone=Identity\b.*LazyLinear\(64\).*n_components"):
        make_encoder(ArraySource(np.zeros((9, 4), np.float32)), nn.Identity(), None)
