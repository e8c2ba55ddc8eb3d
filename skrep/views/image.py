"""What views of images have in common: first the random numbers of a whole batch, then its pixels."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skrep.params import Real, check_params

__all__ = ["Boxes", "ImageView", "Interval", "chance", "draw_boxes", "uniform"]


class Interval:
    """A pair of numbers (low, high) with ``low <= high``, both between two bounds (included)."""

    def __init__(self, low: float, high: float):
        self.low, self.high = low, high

    def accepts(self, value: object) -> bool:
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(map(Real().accepts, value)):
            return False
        return bool(self.low <= value[0] <= value[1] <= self.high)

    def __str__(self) -> str:
        return f"a pair (low, high) of numbers with {self.low:g} <= low <= high <= {self.high:g}"


class ImageView(BaseEstimator):
    """A view of images: :meth:`draw` the numbers of each image, then :meth:`apply` them to the batch.

    The two are apart so that what was drawn can be looked at, and so that :class:`~skrep.views.Chain` can apply several
    views in one pass over the pixels.
    """

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return a view of each image.

        Parameters
        ----------
        x : torch.Tensor of shape (batch, channels, height, width)
            Images with values in [0, 1], float.
        generator : torch.Generator
            Where all random numbers come from; on the device of `x`.

        Returns
        -------
        torch.Tensor of shape (batch, channels, height, width)
            With values in [0, 1] up to rounding, of the dtype of `x`; `x` itself is left as it is.

        Raises
        ------
        ValueError
            For a parameter that cannot be used, or an `x` that is not a batch of images.
        """
        return self.apply(x, self.draw(x.shape, generator))

    def draw(self, shape: Sequence[int], generator: torch.Generator) -> Any:
        """Draw the numbers of each image.

        Parameters
        ----------
        shape : tuple of (batch, channels, height, width)
            Of the images.
        generator : torch.Generator
            Where the numbers come from, and on whose device they are.

        Returns
        -------
        Tensor or named tuple of Tensor
            With one entry for each image, in the first dimension.

        Raises
        ------
        ValueError
            For a parameter that cannot be used, or a shape that is not that of a batch of images.
        """
        check_params(self)
        if len(shape) != 4:
            raise ValueError(
                f"{type(self).__name__} views images of shape (batch, channels, height, width), got shape "
                f"{tuple(shape)}; for tables there is RandomFeatureCorruption."
            )
        batch, _, height, width = shape
        return self._draw(batch, height, width, generator)

    def apply(self, x: Tensor, drawn: Any) -> Tensor:
        """Return the views that the drawn numbers stand for.

        Parameters
        ----------
        x : torch.Tensor of shape (batch, channels, height, width)
            Images.
        drawn : Tensor or named tuple of Tensor
            What :meth:`draw` has returned for the shape of `x`.

        Returns
        -------
        torch.Tensor of shape (batch, channels, height, width)
            The views.
        """
        raise NotImplementedError

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Any:
        raise NotImplementedError


def uniform(low: float, high: float, size: Sequence[int], generator: torch.Generator) -> Tensor:
    """Float32 numbers between `low` and `high`."""
    return torch.empty(size, device=generator.device).uniform_(low, high, generator=generator)


def chance(p: float, batch: int, generator: torch.Generator) -> Tensor:
    """One boolean for each image, true with probability `p`; of shape (batch,)."""
    return torch.rand(batch, generator=generator, device=generator.device) < p


class Boxes(NamedTuple):
    """One box of whole pixels in each image: float tensors of shape (batch,)."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor


def draw_boxes(
    batch: int,
    height: int,
    width: int,
    area: tuple[float, float],
    ratio: tuple[float, float],
    generator: torch.Generator,
) -> Boxes:
    """Draw a box in each image, by the rejection of Szegedy et al. 2015 ("Going deeper with convolutions").

    A share of the image's area (uniform) and a ratio of width to height (log-uniform) are drawn up to ten times, until
    the box fits into the image; its position is uniform. Where none of the ten fits, the box is empty.
    """
    tries = (batch, 10)
    areas = uniform(*area, tries, generator) * (height * width)
    ratios = uniform(math.log(ratio[0]), math.log(ratio[1]), tries, generator).exp()
    heights, widths = (areas / ratios).sqrt().round(), (areas * ratios).sqrt().round()
    fits = (heights > 0) & (heights <= height) & (widths > 0) & (widths <= width)
    first = fits.byte().argmax(1, keepdim=True)
    high, wide = (sides.where(fits, 0).gather(1, first)[:, 0] for sides in (heights, widths))
    top, left = uniform(0, 1, (2, batch), generator)
    return Boxes(_place(top, height - high), _place(left, width - wide), high, wide)


def _place(share: Tensor, room: Tensor) -> Tensor:
    """A whole number from 0 to `room`, each with the same probability."""
    return (share * (room + 1)).floor().minimum(room)  # rounding may take the product up to room + 1
