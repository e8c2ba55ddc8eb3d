import math
import random

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from scipy.stats import chisquare, kstest
from torch.nn import functional as F

from skrep.views import RandomAffine, RandomFlip, RandomResizedCrop
from skrep.views.image import Boxes


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def images(*shape, seed=0):
    return torch.rand(shape, generator=seeded(seed))


def crop_by_the_book(height, width, scale, ratio, rng):
    """One box (top, left, height, width), as Szegedy et al. and torchvision draw it."""
    for _ in range(10):
        area = rng.uniform(*scale) * height * width
        aspect = math.exp(rng.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.randint(0, height - h), rng.randint(0, width - w), h, w
    if width / height < ratio[0]:
        h, w = round(width / ratio[0]), width
    elif width / height > ratio[1]:
        h, w = height, round(height * ratio[1])
    else:
        h, w = height, width
    return (height - h) // 2, (width - w) // 2, h, w


@pytest.mark.parametrize(
    ("size", "scale", "ratio"),
    [
        ((32, 32), (0.2, 1.0), (3 / 4, 4 / 3)),
        ((28, 28), (0.8, 1.0), (1 / 2, 2)),  # half of the tries do not fit
        ((24, 40), (0.08, 1.0), (3 / 4, 4 / 3)),
        ((40, 16), (0.3, 0.6), (1, 3)),  # all ten tries fail now and then
    ],
    ids=str,
)
def test_crops_are_distributed_by_the_book(size, scale, ratio):
    n, rng = 10_000, random.Random(0)
    drawn = torch.stack(RandomResizedCrop(scale, ratio).draw((n, 3, *size), seeded()), 1).double().numpy()
    book = np.array([crop_by_the_book(*size, scale, ratio, rng) for _ in range(n)], dtype=float)
    statistics = {
        "area": lambda b: b[:, 2] * b[:, 3],
        "ratio": lambda b: b[:, 3] / b[:, 2],
        "height": lambda b: b[:, 2],
        "top": lambda b: b[:, 0],
        "left": lambda b: b[:, 1],
        "middle row": lambda b: b[:, 0] + b[:, 2] / 2,
        "distance of corner": lambda b: b[:, 0] + b[:, 1],
    }
    for name, statistic in statistics.items():
        assert kstest(statistic(drawn), statistic(book)).pvalue > 0.005, name
    assert (drawn == drawn.round()).all()
    assert (drawn[:, 0] + drawn[:, 2] <= size[0]).all()
    assert (drawn[:, 1] + drawn[:, 3] <= size[1]).all()


def test_crop_positions_are_uniform():
    box = RandomResizedCrop((0.25, 0.25), (1, 1)).draw((9000, 1, 16, 16), seeded())
    assert (box.height == 8).all()
    for corner in box[:2]:
        assert chisquare(np.bincount(corner.int(), minlength=9)).pvalue > 0.01


@pytest.mark.parametrize("size", [(8, 40), (40, 8), (20, 20)], ids=str)
def test_crops_that_cannot_fit_fall_back_to_the_middle(size):
    scale, ratio = ((1, 1), (3 / 4, 3 / 4)) if size == (20, 20) else ((0.9, 1), (3 / 4, 4 / 3))
    boxes = torch.stack(RandomResizedCrop(scale, ratio).draw((5, 3, *size), seeded()), 1)
    expected = crop_by_the_book(*size, scale, ratio, random.Random(0))
    assert boxes.tolist() == [list(expected)] * 5


@pytest.mark.parametrize("size", [(16, 16), (11, 18)], ids=str)
def test_crop_is_cut_then_resize(size):
    view = RandomResizedCrop()
    x = images(40, 3, *size)
    drawn = view.draw(x.shape, seeded())
    expected = [
        F.interpolate(image[None, :, i : i + h, j : j + w], size=size, mode="bilinear", align_corners=False)[0]
        for image, (i, j, h, w) in zip(x, torch.stack(drawn, 1).int().tolist(), strict=True)
    ]
    torch.testing.assert_close(view.apply(x, drawn), torch.stack(expected), rtol=0, atol=1e-5)


def test_crop_mixes_in_nothing_from_outside():
    x = torch.ones(1, 1, 8, 8)
    x[:, :, 2:5, 3:7] = 0.25
    box = Boxes(*(torch.tensor([float(side)]) for side in (2, 3, 3, 4)))
    torch.testing.assert_close(RandomResizedCrop().apply(x, box), torch.full_like(x, 0.25))


def test_flips():
    view = RandomFlip(0.5, 0.3)
    x = images(2000, 2, 5, 6)
    drawn = view.draw(x.shape, seeded())
    expected = [
        image.flip([axis for axis, flip in ((2, horizontal), (1, vertical)) if flip])
        for image, horizontal, vertical in zip(x, *drawn, strict=True)
    ]
    torch.testing.assert_close(view.apply(x, drawn), torch.stack(expected), rtol=0, atol=1e-5)
    assert abs(np.corrcoef(*drawn)[0, 1]) < 0.07


def affine_by_the_book(image, angle, shear, scale, down, right):
    """One channel: what is seen is sheared, then turned, scaled and shifted, over a background of zeros."""
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # of (row, column)
    forward = scale * turn @ np.array([[1, 0], [shear, 1]])
    middle = (np.array(image.shape) - 1) / 2
    backward = np.linalg.inv(forward)
    offset = middle - backward @ np.add(middle, [down, right])
    return affine_transform(image, backward, offset, order=1, mode="grid-constant", cval=0)


@pytest.mark.parametrize("size", [(14, 14), (10, 17)], ids=str)
def test_affine_is_the_inverse_map_over_the_background(size):
    view = RandomAffine(rotation=40, shift=0.3, scale=(0.5, 1.5))
    x = images(30, 2, *size).double()
    drawn = view.draw(x.shape, seeded())
    seen = view.apply(x, drawn).numpy()
    for image, numbers, view_of in zip(x.numpy(), np.stack(drawn, 1).astype(float), seen, strict=True):
        for channel, result in zip(image, view_of, strict=True):
            border = np.ones(size, dtype=bool)
            border[1:-1, 1:-1] = False
            fill = channel[border].mean()
            expected = affine_by_the_book(channel - fill, *numbers) + fill
            np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("background", [0.0, 1.0, 0.4])
def test_affine_continues_a_plain_background(background):
    x = torch.full((20, 3, 12, 12), background)
    x[:, :, 5:7, 5:7] = 0.7
    seen = RandomAffine(rotation=90, scale=(0.4, 0.5), shift=0).__call__(x, seeded())
    torch.testing.assert_close(seen[:, :, 0], torch.full((20, 3, 12), background))


def test_affine_turns_by_degrees():
    x = images(1, 1, 9, 9)
    drawn = RandomAffine(rotation=180, shear=0, shift=0, scale=(1, 1)).draw(x.shape, seeded())
    quarter = drawn._replace(angle=torch.tensor([math.pi / 2]))
    torch.testing.assert_close(RandomAffine().apply(x, quarter), x.rot90(-1, (2, 3)), rtol=0, atol=1e-5)


def test_affine_numbers_are_uniform():
    view = RandomAffine(rotation=20, shear=0.2, shift=0.1, scale=(0.5, 2))
    drawn = view.draw((10_000, 1, 20, 30), seeded())
    drawn = drawn._make(numbers.numpy() for numbers in drawn)
    ends = {"angle": np.radians(20), "shear": 0.2, "down": 0.1 * 20, "right": 0.1 * 30}
    for name, end in ends.items():
        assert kstest(getattr(drawn, name), "uniform", (-end, 2 * end)).pvalue > 0.01, name
    assert kstest(drawn.scale, "uniform", (0.5, 1.5)).pvalue > 0.01
    np.testing.assert_allclose(np.corrcoef(np.stack(drawn)), np.eye(5), atol=0.04)
