"""Blurred images."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skrep.params import Real, param, params
from skrep.views.image import ImageView, Interval, chance, uniform

__all__ = ["GaussianBlur"]


class Blurs(NamedTuple):
    """How each image is blurred: tensors of shape (batch,)."""

    blurred: Tensor
    sigma: Tensor  # pixels


@params
class GaussianBlur(ImageView):
    """Blur a random part of the images.

    The kernel is as in SimCLR (Chen et al. 2020, appendix A): a tenth of the image's shorter side wide, an odd number
    of pixels and at least three. The image goes on beyond its border as its mirror image.

    Parameters
    ----------
    sigma : tuple of (float, float), default=(0.1, 2.0)
        Least and greatest standard deviation of the kernel, in pixels; uniform.
    p : float, default=0.5
        Probability with which an image is blurred.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import GaussianBlur
    >>> GaussianBlur()(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """

    sigma: tuple[float, float] = param(Interval(0.01, 100), default=(0.1, 2.0))
    p: float = param(Real(low=0, high=1), default=0.5)

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Blurs:
        return Blurs(chance(self.p, batch, generator), uniform(*self.sigma, (batch,), generator))

    def apply(self, x: Tensor, drawn: Blurs) -> Tensor:
        batch, channels, height, width = x.shape
        shorter = min(height, width)
        reach = min(max(1, round(shorter / 10) // 2), shorter - 1)  # a mirror image cannot be larger than the image
        offsets = torch.arange(-reach, reach + 1, device=x.device)
        weights = torch.exp(-0.5 * (offsets / drawn.sigma[:, None]).square())  # (batch, 2 * reach + 1)
        weights = torch.where(drawn.blurred[:, None], weights / weights.sum(1, keepdim=True), (offsets == 0).float())
        kernels = weights.to(x.dtype).repeat_interleave(channels, 0)[:, None]  # (batch * channels, 1, 2 * reach + 1)
        planes = x.reshape(1, batch * channels, height, width)
        planes = F.pad(planes, (reach,) * 4, mode="reflect")
        planes = F.conv2d(planes, kernels[:, :, :, None], groups=batch * channels)
        planes = F.conv2d(planes, kernels[:, :, None, :], groups=batch * channels)
        return planes.view(batch, channels, height, width)
