"""Blurred and erased images."""

import math
import random

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from scipy.stats import kstest

from skrep.views import GaussianBlur, RandomErasing


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("size", "kernel"), [((8, 8), 3), ((32, 32), 3), ((60, 50), 5), ((96, 96), 11), ((2, 9), 3)])
def test_blur(size, kernel):
    view = GaussianBlur((0.2, 3.0), p=0.7)
    x = torch.rand(20, 2, *size, generator=seeded(), dtype=torch.float64)
    drawn = view.draw(x.shape, seeded(1))
    assert 0 < drawn.blurred.sum() < 20
    seen = view.apply(x, drawn)
    for image, result, blurred, sigma in zip(x, seen, *drawn, strict=True):
        if not blurred:
            assert torch.equal(result, image)
            continue
        offsets = np.arange(kernel) - kernel // 2
        weights = np.exp(-(offsets**2) / (2 * float(sigma) ** 2))
        expected = image.numpy()
        for axis in (1, 2):
            expected = correlate1d(expected, weights / weights.sum(), axis, mode="mirror")
        np.testing.assert_allclose(result, expected, atol=1e-6)


def test_blur_numbers():
    drawn = GaussianBlur((0.1, 2.0), p=0.25).draw((10_000, 3, 8, 8), seeded())
    assert abs(drawn.blurred.float().mean() - 0.25) < 0.013
    assert kstest(drawn.sigma.numpy(), "uniform", (0.1, 1.9)).pvalue > 0.01


def erase_by_the_book(height, width, scale, ratio, rng):
    """One box (top, left, height, width), as Zhong et al. and torchvision draw it."""
    for _ in range(10):
        area = rng.uniform(*scale) * height * width
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        h, w = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if h < height and w < width:
            return rng.randint(0, height - h), rng.randint(0, width - w), h, w
    return 0, 0, 0, 0


def test_erased_boxes_are_distributed_by_the_book():
    n, rng, scale, ratio = 10_000, random.Random(0), (0.02, 0.4), (0.3, 3.3)
    drawn = np.stack(RandomErasing(1, scale, ratio).draw((n, 3, 32, 24), seeded()), 1).astype(float)
    book = np.array([erase_by_the_book(32, 24, scale, ratio, rng) for _ in range(n)], dtype=float)
    for statistic in (lambda b: b[:, 2] * b[:, 3], lambda b: b[:, 3] / b[:, 2], lambda b: b[:, 0], lambda b: b[:, 1]):
        assert kstest(statistic(drawn), statistic(book)).pvalue > 0.005


def test_erased_boxes_get_the_mean_colour():
    view = RandomErasing(0.5)
    x = torch.rand(60, 3, 15, 11, generator=seeded())
    drawn = view.draw(x.shape, seeded())
    expected = x.clone()
    for image, original, (i, j, h, w) in zip(expected, x, torch.stack(drawn, 1).int().tolist(), strict=True):
        image[:, i : i + h, j : j + w] = original.mean((1, 2))[:, None, None]
    torch.testing.assert_close(view.apply(x, drawn), expected)
    assert 0.3 < (drawn.height > 0).float().mean() < 0.7


def test_a_box_that_never_fits_erases_nothing():
    x = torch.rand(5, 3, 4, 100, generator=seeded())
    assert torch.equal(RandomErasing(1, scale=(0.9, 1), ratio=(0.3, 1))(x, seeded()), x)
