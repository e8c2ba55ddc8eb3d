import numpy as np
import pytest
import torch

from skrep.datasets import load_emoji, load_fashion
from skrep.views import GaussianBlur, RandomFlip, RandomResizedCrop, default_views


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_grey_images_are_neither_mirrored_nor_cut(channels):
    kinds = {type(view) for view in default_views((28, 28, channels)).views}
    assert not kinds & {RandomFlip, RandomResizedCrop}


def test_blur_is_for_large_colour_images():
    assert not any(isinstance(view, GaussianBlur) for view in default_views((64, 90, 3)).views)
    assert any(isinstance(view, GaussianBlur) for view in default_views((65, 90, 3)).views)


@pytest.mark.parametrize("load", [load_fashion, load_emoji])
def test_views_of_one_image_are_more_alike_than_of_two(load):
    images, _ = load(return_X_y=True)
    x = torch.from_numpy(images[:200] / np.float32(255)).permute(0, 3, 1, 2)
    view = default_views(images.shape[1:])
    generator = torch.Generator().manual_seed(0)
    first, second = (view(x, generator) for _ in range(2))
    assert first.shape == x.shape
    own = (first - second).square().mean((1, 2, 3))
    other = (first - second.roll(1, 0)).square().mean((1, 2, 3))
    assert (own < other).float().mean() > 0.57  # two standard errors above chance, in pixels
    assert own.min() > 0  # and yet none is the same


def test_tables_keep_most_of_their_entries():
    x = torch.randn(500, 10, generator=torch.Generator().manual_seed(0))
    seen = default_views((10,))(x, torch.Generator().manual_seed(1))
    correlation = torch.corrcoef(torch.stack([x.flatten(), seen.flatten()]))[0, 1]
    assert 0.4 < correlation < 0.8
