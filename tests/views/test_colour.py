from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from skrep.views import ColorJitter, RandomGrey

LUMA = np.array([0.299, 0.587, 0.114])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def brightness(image, factor):
    return factor * image


def contrast(image, factor):
    grey = image @ LUMA if image.shape[2] == 3 else image[..., 0]
    return factor * image + (1 - factor) * grey.mean()


def saturation(image, factor):
    if image.shape[2] == 1:
        return image
    return factor * image + (1 - factor) * (image @ LUMA)[..., None]


def hue(image, angle):
    """Turn the chroma, a complex number I + iQ."""
    if image.shape[2] == 1:
        return image
    from_rgb = np.array([LUMA, [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    y, i, q = np.moveaxis(image @ from_rgb.T, 2, 0)
    chroma = (i + 1j * q) * np.exp(1j * angle)
    return np.stack([y, chroma.real, chroma.imag], 2) @ np.linalg.inv(from_rgb).T


@pytest.mark.parametrize("order", list(permutations(range(4)))[::5], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_jitter_is_four_steps_in_any_order(channels, order):
    view = ColorJitter(0.8, 0.8, 0.8, 0.5)
    x = torch.rand(30, channels, 5, 6, generator=seeded(), dtype=torch.float64)
    drawn = view.draw(x.shape, seeded(1))
    seen = view.apply(x, drawn).permute(0, 2, 3, 1).numpy()
    for image, result, *numbers in zip(x.permute(0, 2, 3, 1).numpy(), seen, *map(np.asarray, drawn), strict=True):
        expected = image
        for step in order:
            expected = (brightness, contrast, saturation, hue)[step](expected, float(numbers[step]))
        np.testing.assert_allclose(result, expected.clip(0, 1), atol=1e-12)


def test_jitter_of_one_channel_has_no_colour():
    x = torch.rand(30, 1, 5, 6, generator=seeded())
    torch.testing.assert_close(ColorJitter(0, 0, 0.9, 0.5, p=1)(x, seeded()), x)


def test_jitter_numbers():
    view = ColorJitter(0.4, 1.5, 0.2, 0.1, p=0.8)
    drawn = view.draw((10_000, 3, 8, 8), seeded())
    drawn = drawn._make(numbers.numpy() for numbers in drawn)
    changed = drawn.hue != 0
    assert abs(changed.mean() - 0.8) < 0.012
    for numbers in drawn[:3]:
        assert (numbers[~changed] == 1).all()
    ranges = [(0.6, 1.4), (0, 2.5), (0.8, 1.2), (-0.2 * np.pi, 0.2 * np.pi)]
    for numbers, (low, high) in zip(drawn, ranges, strict=True):
        assert kstest(numbers[changed], "uniform", (low, high - low)).pvalue > 0.01
    np.testing.assert_allclose(np.corrcoef(np.stack(drawn)[:, changed]), np.eye(4), atol=0.04)


def test_what_is_not_jittered_keeps_its_bits():
    x = torch.rand(50, 3, 8, 8, generator=seeded())
    assert torch.equal(ColorJitter(p=0)(x, seeded()), x)


def test_grey():
    view = RandomGrey(0.4)
    x = torch.rand(2000, 3, 4, 4, generator=seeded())
    seen = view(x, seeded(1))
    luma = torch.einsum("c,bchw->bhw", torch.tensor(LUMA, dtype=torch.float32), x)[:, None].expand_as(x)
    grey = (seen - luma).abs().amax((1, 2, 3)) < 1e-6
    torch.testing.assert_close(seen[~grey], x[~grey])
    assert abs(grey.float().mean() - 0.4) < 0.035


def test_grey_leaves_other_channels_alone():
    for channels in (1, 2, 4):
        x = torch.rand(5, channels, 4, 4, generator=seeded())
        assert torch.equal(RandomGrey(1)(x, seeded()), x)
