"""What every view of images promises."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skrep.views import (
    Chain,
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    RandomAffine,
    RandomErasing,
    RandomFlip,
    RandomGrey,
    RandomResizedCrop,
)

SIMCLR = Chain([RandomResizedCrop(), RandomFlip(), ColorJitter(), RandomGrey()])
VIEWS = [*SIMCLR.views, RandomAffine(), GaussianBlur(), RandomErasing()]
ALL = [*VIEWS, SIMCLR, Chain([RandomErasing(), RandomAffine(), RandomResizedCrop(), GaussianBlur()])]
with_views = pytest.mark.parametrize("view", ALL, ids=str)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@with_views
@pytest.mark.parametrize("shape", [(16, 3, 12, 12), (16, 1, 9, 14), (4, 3, 1, 1), (3, 5, 40, 2)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_shape_dtype_and_range(view, shape, dtype):
    x = torch.rand(shape, generator=seeded(), dtype=dtype)
    before = x.clone()
    seen = view(x, seeded(1))
    assert seen.shape == x.shape
    assert seen.dtype == dtype
    assert torch.equal(x, before)
    assert ((seen > -1e-6) & (seen < 1 + 1e-6)).all()


@with_views
def test_random_numbers_come_from_the_generator_alone(view):
    x = torch.rand(16, 3, 12, 12, generator=seeded())
    before = torch.get_rng_state()
    seen = view(x, seeded(1))
    assert torch.equal(seen, clone(view)(x, seeded(1)))
    assert not torch.equal(seen, view(x, seeded(2)))
    assert torch.equal(torch.get_rng_state(), before)


@with_views
def test_memory_format_changes_nothing(view):
    x = torch.rand(16, 3, 12, 12, generator=seeded())
    last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(view(last, seeded(1)), view(x, seeded(1)), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "view",
    [RandomResizedCrop(), ColorJitter(p=1), RandomAffine(), GaussianBlur((0.5, 2), p=1), RandomErasing(1)],
    ids=str,
)
def test_each_image_has_its_own_numbers(view):
    x = torch.rand(1, 3, 32, 32, generator=seeded()).expand(50, -1, -1, -1)
    assert len(view(x, seeded()).flatten(1).unique(dim=0)) > 48


@pytest.mark.parametrize(
    ("never", "always"),
    [
        (RandomFlip(0), RandomFlip(1)),
        (RandomFlip(0, 0), RandomFlip(0, 1)),
        (ColorJitter(p=0), ColorJitter(p=1)),
        (RandomGrey(0), RandomGrey(1)),
        (GaussianBlur(p=0), GaussianBlur((1, 2), p=1)),
        (RandomErasing(0), RandomErasing(1)),
    ],
    ids=str,
)
def test_never_and_always(never, always):
    x = torch.rand(200, 3, 8, 8, generator=seeded())
    same, changed = ((view(x, seeded(1)) - x).abs().amax((1, 2, 3)) for view in (never, always))
    assert (same < 1e-6).all()
    assert (changed > 1e-3).all()


@pytest.mark.parametrize(
    "view",
    [
        RandomFlip(0.3),
        RandomFlip(0, 0.3),
        ColorJitter(p=0.3),
        RandomGrey(0.3),
        GaussianBlur((1, 2), p=0.3),
        RandomErasing(0.3),
    ],
    ids=str,
)
def test_probability_is_of_each_image(view):
    x = torch.rand(4000, 3, 6, 6, generator=seeded())
    changed = (view(x, seeded(1)) - x).abs().amax((1, 2, 3)) > 1e-3
    assert abs(changed.float().mean() - 0.3) < 3 * np.sqrt(0.3 * 0.7 / len(x))
    # neighbours in the batch are drawn apart
    assert abs(np.corrcoef(changed[1:], changed[:-1])[0, 1]) < 3 / np.sqrt(len(x))


def test_noise_on_images():
    x = torch.rand(50, 3, 16, 16, generator=seeded())
    noise = GaussianNoise(0.1)(x, seeded()) - x
    np.testing.assert_allclose(noise.std((0, 2, 3)), 0.1, rtol=0.03)


@with_views
def test_a_table_is_refused(view):
    with pytest.raises(ValueError, match=r"\(batch, channels, height, width\).*\(5, 3\).*RandomFeatureCorruption"):
        view(torch.zeros(5, 3), seeded())


@pytest.mark.parametrize(
    ("view", "message"),
    [
        (
            RandomResizedCrop(scale=(0.5, 0.2)),
            r"scale must be a pair \(low, high\) of numbers with .* low <= high <= 1",
        ),
        (RandomResizedCrop(scale=(0.5, 1.5)), "scale must be a pair"),
        (RandomResizedCrop(scale=0.5), r"scale=0\.5"),
        (RandomResizedCrop(ratio=(0, 1)), r"ratio=\(0, 1\)"),
        (RandomResizedCrop(ratio=(1, float("nan"))), r"ratio=\(1, nan\)"),
        (RandomFlip(1.5), r"horizontal=1\.5.*\b0\b.*\b1\b"),
        (RandomAffine(rotation=-1), "rotation=-1"),
        (RandomAffine(scale=(0, 1)), r"scale=\(0, 1\)"),
        (ColorJitter(hue=0.6), r"hue=0\.6.*\b0\b.*\b0\.5\b"),
        (ColorJitter(brightness="0.4"), "brightness='0.4'"),
        (RandomGrey(p=None), r"\bp=None"),
        (GaussianBlur(sigma=(0, 1)), r"sigma=\(0, 1\)"),
        (GaussianBlur(sigma=("a", "b")), r"sigma=\('a', 'b'\)"),
        (RandomErasing(p=-0.1), r"\bp=-0\.1"),
    ],
    ids=str,
)
def test_bad_parameters(view, message):
    with pytest.raises(ValueError, match=f"{type(view).__name__}.*{message}"):
        view(torch.rand(2, 3, 8, 8), seeded())
    with pytest.raises(ValueError, match=message):
        Chain([view])(torch.rand(2, 3, 8, 8), seeded())
