import numpy as np
import pytest
import torch
from torch import nn

from skrep import SimCLRTransformer
from skrep.backbones import ConvDecoder, ConvNet


@pytest.mark.parametrize(
    "shape", [(4, 4, 1), (8, 8, 1), (28, 28, 1), (32, 32, 3), (5, 17, 2), (96, 64, 3), (224, 224, 3)]
)
def test_any_size_of_image(shape):
    height, width, channels = shape
    net = ConvNet(4).build(shape, 7)
    x = torch.randn(2, channels, height, width)
    assert net(x).shape == (2, 7)
    assert ConvDecoder(7, shape, width=4)(net(x)).shape == x.shape
    convolutions = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) >= 3
    before_last = nn.Sequential(*list(net)[:-2])(x)  # ahead of the wide layer and the output
    assert max(before_last.shape[2:]) <= 4


def test_every_pixel_counts():
    torch.manual_seed(0)
    net = ConvNet(8).build((28, 28, 1), 5).eval()
    x = torch.randn(64, 1, 28, 28, requires_grad=True)
    net(x).square().sum().backward()
    assert (x.grad.abs().sum(0) > 0).all()


def test_width_and_default_output():
    net = ConvNet(8).build((32, 32, 3), None)
    assert [layer.out_channels for layer in net.modules() if isinstance(layer, nn.Conv2d)] == [8, 16, 32]
    assert net(torch.zeros(2, 3, 32, 32)).shape == (2, 256)
    assert (net(torch.randn(9, 3, 32, 32)) >= 0).all()


def test_too_small_and_no_image():
    with pytest.raises(ValueError, match=r"ConvNet.*4x4.*3x9"):
        ConvNet().build((3, 9, 1), None)
    with pytest.raises(ValueError, match=r"ConvNet.*\b10\b.*AsImages"):
        ConvNet().build((10,), None)


def test_light_and_colour_cast_have_no_part_in_it():
    rng = np.random.default_rng(0)
    images = rng.random((70, 8, 8, 3))
    gain, haze = rng.uniform(0.3, 1.0, (2, 70, 1, 1, 3))
    darker = gain * images + (1 - gain) * haze
    encoder = SimCLRTransformer(max_epochs=1, random_state=0, backbone=ConvNet(4, instance_norm=True)).fit(images)
    features = encoder.transform(images)
    np.testing.assert_allclose(encoder.transform(darker), features, atol=2e-3 * features.std())
    plain = SimCLRTransformer(max_epochs=1, random_state=0, backbone=ConvNet(4)).fit(images)
    assert np.abs(plain.transform(darker) - plain.transform(images)).max() > features.std()
    np.testing.assert_array_equal(encoder.transform(images[3:50]), features[3:50])  # rows of no others
    assert np.isfinite(encoder.transform(np.full((1, 8, 8, 3), 0.5))).all()
