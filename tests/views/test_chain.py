import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from sklearn.base import clone

from skrep.views import (
    VIEWS,
    Chain,
    ColorJitter,
    GaussianBlur,
    GaussianNoise,
    RandomAffine,
    RandomErasing,
    RandomFeatureCorruption,
    RandomFlip,
    RandomGrey,
    RandomResizedCrop,
    resolve_views,
)
from tests.naming import named


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def one_by_one(views, x, generator):
    for view in views:
        x = view(x, generator)
    return x


@pytest.mark.parametrize(
    "views",
    [
        [],
        [RandomResizedCrop(), GaussianBlur(), RandomErasing()],
        [GaussianNoise(0.1), RandomAffine(), ColorJitter(), GaussianBlur(), RandomGrey(1)],
        [RandomResizedCrop(), RandomErasing(), RandomFlip()],
    ],
    ids=str,
)
def test_views_that_share_nothing_are_applied_one_by_one(views):
    x = torch.rand(20, 3, 10, 10, generator=seeded())
    assert torch.equal(Chain(views)(x, seeded(1)), one_by_one(views, x, seeded(1)))


@pytest.mark.parametrize(
    "views", [[RandomFlip(0.5, 0.5), RandomResizedCrop()], [RandomFlip(), RandomAffine()]], ids=str
)
def test_flips_lose_nothing(views):
    """A flip hits pixel centres, so that one resampling is as good as two."""
    x = torch.rand(20, 3, 10, 13, generator=seeded())
    torch.testing.assert_close(Chain(views)(x, seeded(1)), one_by_one(views, x, seeded(1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_colours_are_composed(channels):
    views = [ColorJitter(0.2, 0.3, 0.4, 0.1), RandomGrey(0.5), ColorJitter(0.1, 0.2, 0.2, 0.1)]
    x = 0.45 + 0.1 * torch.rand(40, channels, 6, 6, generator=seeded())  # so that nothing is cut off in between
    torch.testing.assert_close(Chain(views)(x, seeded(1)), one_by_one(views, x, seeded(1)), rtol=0, atol=1e-6)


def backward(view, drawn, height, width):
    """The matrices (batch, 3, 3) from (row, column, 1) in the view to the image, and where they are to be trusted."""
    matrices = np.tile(np.eye(3), (len(drawn[0]), 1, 1))
    for matrix, *numbers in zip(matrices, *(np.asarray(n, dtype=float) for n in drawn), strict=True):
        if isinstance(view, RandomResizedCrop):
            top, left, h, w = numbers
            matrix[:2] = [[h / height, 0, (h / height - 1) / 2 + top], [0, w / width, (w / width - 1) / 2 + left]]
        elif isinstance(view, RandomFlip):
            horizontal, vertical = numbers
            if vertical:
                matrix[0] = [-1, 0, height - 1]
            if horizontal:
                matrix[1] = [0, -1, width - 1]
        else:
            angle, shear, scale, down, right = numbers
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            linear = scale * turn @ [[1, 0], [shear, 1]]
            middle = np.array([(height - 1) / 2, (width - 1) / 2])
            forward = np.eye(3)
            forward[:2, :2], forward[:2, 2] = linear, np.add(middle, [down, right]) - linear @ middle
            matrix[:] = np.linalg.inv(forward)
    return matrices


@pytest.mark.parametrize(
    "views",
    [
        [RandomResizedCrop(), RandomAffine(), RandomFlip()],
        [RandomAffine(), RandomFlip(), RandomResizedCrop()],
        [RandomAffine(), RandomAffine(rotation=90)],
        [RandomResizedCrop(), RandomResizedCrop((0.5, 1))],
    ],
    ids=str,
)
def test_geometry_is_composed_as_matrices(views):
    height, width = size = 18, 14
    x = torch.rand(25, 1, *size, generator=seeded(), dtype=torch.float64)
    generator = seeded(1)
    drawn = [view.draw(x.shape, generator) for view in views]
    seen = Chain(views)(x, seeded(1))[:, 0].numpy()
    pixels = np.stack([*np.indices(size).reshape(2, -1), np.ones(height * width)])  # (3, pixels)
    places = np.broadcast_to(pixels, (25, *pixels.shape))
    within, outside = np.ones((25, height * width), bool), np.zeros((25, height * width), bool)
    for view, numbers in zip(reversed(views), reversed(drawn), strict=True):
        places = backward(view, numbers, *size) @ places
        rows, columns = places[:, 0], places[:, 1]
        low, high = np.zeros((2, 1, 1)), np.array(size)[:, None, None] - 1.0
        if isinstance(view, RandomResizedCrop):
            low = np.stack(numbers[:2])[:, :, None]
            high = low + np.stack(numbers[2:])[:, :, None] - 1
        stay = (rows >= low[0]) & (rows <= high[0]) & (columns >= low[1]) & (columns <= high[1])
        if isinstance(view, RandomAffine):
            far = (rows <= -1) | (rows >= height) | (columns <= -1) | (columns >= width)
            outside |= within & far
        within &= stay
    assert within.mean() > 0.2
    border = np.ones(size, bool)
    border[1:-1, 1:-1] = False
    for image, result, place, sure, far in zip(
        x[:, 0].numpy(), seen.reshape(25, -1), places, within, outside, strict=True
    ):
        expected = map_coordinates(image, place[:2], order=1)
        np.testing.assert_allclose(result[sure], expected[sure], atol=1e-5)
        np.testing.assert_allclose(result[far], image[border].mean(), atol=1e-5)


def test_what_lies_outside_a_crop_is_background_to_an_affine_view():
    """An affine view of a crop shows the crop, not what was around it."""
    x = torch.zeros(30, 1, 16, 16)
    x[:, :, 1:-1, 1:-1] = 1.0  # the border is 0, and so is the background
    views = [RandomResizedCrop((0.3, 0.4), (1, 1)), RandomAffine(0, 0, 0, scale=(0.5, 0.5))]
    boxes = views[0].draw(x.shape, seeded(1))
    inner = (boxes.top > 0) & (boxes.left > 0) & (boxes.top + boxes.height < 16) & (boxes.left + boxes.width < 16)
    seen = Chain(views)(x, seeded(1))[inner]
    assert len(seen) > 5
    expected = torch.zeros(16, 16)
    expected[4:12, 4:12] = 1
    torch.testing.assert_close(seen[:, 0, 5:11, 5:11], torch.ones(len(seen), 6, 6))
    assert (seen[:, 0][:, expected == 0].reshape(len(seen), -1).max(1).values < 0.51).all()
    assert (seen[:, 0, :3] == 0).all()


def test_a_chain_is_cloned_printed_and_refused():
    chain = Chain([RandomFlip(0.1), ColorJitter(p=0.5)])
    assert str(clone(chain)) == str(chain)
    assert "RandomFlip(horizontal=0.1)" in str(chain)
    for views in (["flip"], RandomFlip(), None):
        with pytest.raises(ValueError, match=r"\bviews\b.*\[RandomFlip\(\), ColorJitter\(\)\]"):
            Chain(views)(torch.rand(2, 3, 8, 8), seeded())


def test_chains_of_tables():
    views = [RandomFeatureCorruption(0.3), GaussianNoise(0.1)]
    x = torch.rand(20, 4, generator=seeded())
    assert torch.equal(Chain(views)(x, seeded(1)), one_by_one(views, x, seeded(1)))


def test_names():
    default = RandomFlip()
    assert resolve_views(None, default) is default
    for name, kind in VIEWS.items():
        assert type(resolve_views(name, default)) is kind
    view = RandomGrey(0.3)
    assert resolve_views(view, default) is view
    chain = resolve_views(["crop", view, Chain([])], default)
    assert [type(part) for part in chain.views] == [RandomResizedCrop, RandomGrey, Chain]
    assert resolve_views((), default).views == []


@pytest.mark.parametrize(
    "augment", ["rotate", ["crop", "rotate"], 3, RandomFlip, [RandomFlip], lambda x, g: x], ids=named
)
def test_unknown_names(augment):
    with pytest.raises(ValueError, match=r"augment=.*'crop', .*'corrupt'.*RandomResizedCrop\(\)"):
        resolve_views(augment, RandomFlip())
