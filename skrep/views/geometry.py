"""Views that move pixels. Each says where a pixel of the view comes from, so that several cost one resampling."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skrep.params import Real, param, params
from skrep.views.image import Boxes, ImageView, Interval, chance, draw_boxes, uniform

__all__ = ["GeometricView", "RandomAffine", "RandomFlip", "RandomResizedCrop"]


class Places(NamedTuple):
    """Where each pixel of the views comes from, in pixels: 0 is the centre of the first row or column.

    The shapes broadcast to (batch, height, width), so that what treats rows and columns apart stays small.
    """

    rows: Tensor
    columns: Tensor
    inside: Tensor | float  # share that comes from inside the image, in [0, 1]; the rest is background


class GeometricView(ImageView):
    """A view that moves pixels: :meth:`trace` follows each pixel of the view back to its place in the image."""

    def trace(self, drawn: Any, places: Places, height: int, width: int) -> Places:
        """Where places in the view lie in the image.

        Parameters
        ----------
        drawn : tuple of Tensor
            The numbers of each image, from :meth:`draw`.
        places : Places
            Of the view.
        height, width : int
            Of the images, in pixels.

        Returns
        -------
        Places
            In the image. Beyond its border are its border pixels again, as far as `inside` does not say otherwise.
        """
        raise NotImplementedError

    def apply(self, x: Tensor, drawn: Any) -> Tensor:
        return self.apply_all([self], x, [drawn])

    @staticmethod
    def apply_all(views: Sequence["GeometricView"], x: Tensor, drawn: Sequence[Any]) -> Tensor:
        """Apply geometric views one after the other, with one bilinear resampling.

        Parameters
        ----------
        views : sequence of GeometricView
            The views, in the order in which they are applied.
        x : torch.Tensor of shape (batch, channels, height, width)
            Images.
        drawn : sequence
            What each view has drawn.

        Returns
        -------
        torch.Tensor of shape (batch, channels, height, width)
            The views.
        """
        height, width = x.shape[2:]
        places = Places(
            torch.arange(height, dtype=x.dtype, device=x.device)[None, :, None],
            torch.arange(width, dtype=x.dtype, device=x.device)[None, None, :],
            1.0,
        )
        for view, numbers in zip(reversed(views), reversed(drawn), strict=True):
            places = view.trace(numbers, places, height, width)
        return _resample(x, places)


def _resample(x: Tensor, places: Places) -> Tensor:
    batch, _, height, width = x.shape
    grid = torch.empty((batch, height, width, 2), dtype=x.dtype, device=x.device)
    # grid_sample's units: -1 and 1 are the outer edges of the image
    grid[..., 0] = places.columns * (2 / width) + (1 / width - 1)
    grid[..., 1] = places.rows * (2 / height) + (1 / height - 1)
    view = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    if isinstance(places.inside, float):
        return view
    border = torch.cat([x[:, :, 0], x[:, :, -1], x[:, :, 1:-1, 0], x[:, :, 1:-1, -1]], 2)  # (batch, channels, pixels)
    background = border.mean(2)[:, :, None, None]
    return torch.lerp(background, view, places.inside[:, None])


def _per_image(*numbers: Tensor, like: Tensor) -> list[Tensor]:
    """From shape (batch,) to (batch, 1, 1)."""
    return [number.to(like.dtype)[:, None, None] for number in numbers]


@params
class RandomResizedCrop(GeometricView):
    """Cut out a random box and enlarge it to the size of the image.

    The share of the image's area is uniform, the aspect ratio log-uniform and the position uniform on whole pixels, as
    in Szegedy et al. 2015 ("Going deeper with convolutions") and torchvision: up to ten draws until a box fits, then
    the largest box in the middle with an allowed ratio. Interpolation is bilinear and, as when one cuts first and
    resizes then, mixes in no pixel from outside the box.

    Parameters
    ----------
    scale : tuple of (float, float), default=(0.2, 1.0)
        Least and greatest share of the image's area.
    ratio : tuple of (float, float), default=(3/4, 4/3)
        Least and greatest ratio of the box's width to its height.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import RandomResizedCrop
    >>> RandomResizedCrop()(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """

    scale: tuple[float, float] = param(Interval(0.001, 1), default=(0.2, 1.0))
    ratio: tuple[float, float] = param(Interval(0.001, 1000), default=(3 / 4, 4 / 3))

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Boxes:
        box = draw_boxes(batch, height, width, self.scale, self.ratio, generator)
        nearest = min(max(width / height, self.ratio[0]), self.ratio[1])
        high, wide = min(height, round(width / nearest)), min(width, round(height * nearest))
        middle = ((height - high) // 2, (width - wide) // 2, high, wide)
        found = box.width > 0
        return Boxes(*(side.where(found, instead) for side, instead in zip(box, middle, strict=True)))

    def trace(self, drawn: Boxes, places: Places, height: int, width: int) -> Places:
        top, left, high, wide = _per_image(*drawn, like=places.rows)
        # pixel i covers [i - 1/2, i + 1/2]; beyond the centre of the last pixel of the box there is only that pixel
        rows = ((places.rows + 0.5) * (high / height) - 0.5).clamp(min=0).minimum(high - 1) + top
        columns = ((places.columns + 0.5) * (wide / width) - 0.5).clamp(min=0).minimum(wide - 1) + left
        return Places(rows, columns, places.inside)


class Flips(NamedTuple):
    """Which images are mirrored: boolean tensors of shape (batch,)."""

    horizontal: Tensor
    vertical: Tensor


@params
class RandomFlip(GeometricView):
    """Mirror a random part of the images.

    Parameters
    ----------
    horizontal : float, default=0.5
        Probability with which left and right are swapped.
    vertical : float, default=0.0
        Probability with which top and bottom are swapped.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import RandomFlip
    >>> RandomFlip(1.0)(torch.tensor([[[[0.0, 0.5, 1.0]]]]), torch.Generator().manual_seed(0))
    tensor([[[[1.0000, 0.5000, 0.0000]]]])
    """

    horizontal: float = param(Real(low=0, high=1), default=0.5)
    vertical: float = param(Real(low=0, high=1), default=0.0)

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Flips:
        return Flips(chance(self.horizontal, batch, generator), chance(self.vertical, batch, generator))

    def trace(self, drawn: Flips, places: Places, height: int, width: int) -> Places:
        horizontal, vertical = (flip[:, None, None] for flip in drawn)
        rows = torch.where(vertical, height - 1 - places.rows, places.rows)
        columns = torch.where(horizontal, width - 1 - places.columns, places.columns)
        return Places(rows, columns, places.inside)


class Affines(NamedTuple):
    """What is done to each image about its middle: tensors of shape (batch,)."""

    angle: Tensor  # radians
    shear: Tensor
    scale: Tensor
    down: Tensor  # pixels
    right: Tensor


@params
class RandomAffine(GeometricView):
    """Shear, turn, scale and shift each image about its middle, with bilinear interpolation.

    What comes from outside the image gets the mean of the image's border pixels, channel by channel: the background is
    black in some pictures of digits and white in others, and a border that is repeated would draw out strokes.

    Parameters
    ----------
    rotation : float, default=15.0
        Greatest angle, in degrees, to either side.
    shear : float, default=0.3
        Greatest shear to either side: columns that a row moves for each row of distance from the middle.
    shift : float, default=0.125
        Greatest shift up, down, left and right, as a share of the image's height and width.
    scale : tuple of (float, float), default=(0.6, 1.15)
        Least and greatest size of what is seen, relative to the image.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import RandomAffine
    >>> RandomAffine(rotation=30)(torch.rand(8, 1, 28, 28), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 1, 28, 28])
    """

    rotation: float = param(Real(low=0, high=180), default=15.0)
    shear: float = param(Real(low=0), default=0.3)
    shift: float = param(Real(low=0, high=1), default=0.125)
    scale: tuple[float, float] = param(Interval(0.01, 100), default=(0.6, 1.15))

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Affines:
        angle, shear, down, right = uniform(-1, 1, (4, batch), generator)
        scale = uniform(*self.scale, (batch,), generator)
        return Affines(
            angle * math.radians(self.rotation),
            shear * self.shear,
            scale,
            down * self.shift * height,
            right * self.shift * width,
        )

    def trace(self, drawn: Affines, places: Places, height: int, width: int) -> Places:
        angle, shear, scale, down, right = _per_image(*drawn, like=places.rows)
        middle_row, middle_column = (height - 1) / 2, (width - 1) / 2
        y, x = places.rows - down - middle_row, places.columns - right - middle_column
        cos, sin = angle.cos() / scale, angle.sin() / scale
        # the inverse of rotation @ shear: what stands at (y, x) came from here
        rows = cos * y - sin * x + middle_row
        columns = (cos + shear * sin) * x + (sin - shear * cos) * y + middle_column
        inside = places.inside * _share_inside(rows, height) * _share_inside(columns, width)
        return Places(rows, columns, inside)


def _share_inside(places: Tensor, side: int) -> Tensor:
    """Weight that bilinear interpolation between the image and its surroundings gives to the image, along one axis."""
    return torch.minimum(places + 1, side - places).clamp_(0, 1)
