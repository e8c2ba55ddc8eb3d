"""Images with a hole."""

import torch
from torch import Tensor

from skrep.params import Real, param, params
from skrep.views.image import Boxes, ImageView, Interval, chance, draw_boxes

__all__ = ["RandomErasing"]


@params
class RandomErasing(ImageView):
    """Paint over a random box in a random part of the images (Zhong et al. 2020, "Random erasing data augmentation").

    The box gets the image's mean colour, which is what zero is to standardised images.

    Parameters
    ----------
    p : float, default=0.5
        Probability with which a box is erased.
    scale : tuple of (float, float), default=(0.02, 0.2)
        Least and greatest share of the image's area.
    ratio : tuple of (float, float), default=(0.3, 3.3)
        Least and greatest ratio of the box's width to its height.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import RandomErasing
    >>> RandomErasing()(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """

    p: float = param(Real(low=0, high=1), default=0.5)
    scale: tuple[float, float] = param(Interval(0.001, 1), default=(0.02, 0.2))
    ratio: tuple[float, float] = param(Interval(0.001, 1000), default=(0.3, 3.3))

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Boxes:
        erased = chance(self.p, batch, generator)
        top, left, high, wide = draw_boxes(batch, height, width, self.scale, self.ratio, generator)
        return Boxes(top, left, high * erased, wide * erased)

    def apply(self, x: Tensor, drawn: Boxes) -> Tensor:
        rows, columns = torch.arange(x.shape[2], device=x.device), torch.arange(x.shape[3], device=x.device)
        top, left, high, wide = (side[:, None] for side in drawn)
        in_rows, in_columns = (rows >= top) & (rows < top + high), (columns >= left) & (columns < left + wide)
        hole = in_rows[:, None, :, None] & in_columns[:, None, None, :]  # (batch, 1, height, width)
        return torch.where(hole, x.mean((2, 3), keepdim=True), x)
