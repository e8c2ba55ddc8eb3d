r"""Views that change colours. Four numbers an image say all of it, so that several cost one pass over the pixels.

Let :math:`L` be the matrix that turns a colour grey, and :math:`K` the one that keeps its chroma only, turned by a
quarter of the colour circle (of the YIQ colour space). Saturation by :math:`s` and a turn of the hue by :math:`h` are

.. math:: H = L + s \cos h\, (I - L) + s \sin h\, K,

contrast by :math:`c` takes a pixel away from the mean grey :math:`m` of its image, and brightness by :math:`b` scales
all of it: :math:`x' = b\, (c H x + (1 - c)\, m)`. As :math:`LK = KL = 0` and :math:`K^2 = L - I`, such maps commute,
and two of them make one of their kind: :math:`b`, :math:`c` and :math:`s` are multiplied, :math:`h` is added.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from skrep.params import Real, param, params
from skrep.views.image import ImageView, chance, uniform

__all__ = ["ColorJitter", "ColourView", "RandomGrey"]

# red, green and blue -> luma Y and chroma I, Q (ITU-R BT.601, NTSC 1953)
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], dtype=torch.float64)
GREY = YIQ[0].expand(3, 3)
TURN = YIQ.inverse() @ torch.tensor([[0, 0, 0], [0, 0, -1], [0, 1, 0]], dtype=torch.float64) @ YIQ


class Colours(NamedTuple):
    """What is done to the colours of each image: tensors of shape (batch,)."""

    brightness: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor  # radians


class ColourView(ImageView):
    """A view that changes colours."""

    def apply(self, x: Tensor, drawn: Colours) -> Tensor:
        return self.apply_all([self], x, [drawn])

    @staticmethod
    def apply_all(views: Sequence["ColourView"], x: Tensor, drawn: Sequence[Colours]) -> Tensor:
        """Apply colour views one after the other; values are cut off at 0 and 1 once, at the end.

        Parameters
        ----------
        views : sequence of ColourView
            The views; their order does not matter.
        x : torch.Tensor of shape (batch, channels, height, width)
            Images.
        drawn : sequence of Colours
            What each view has drawn.

        Returns
        -------
        torch.Tensor of shape (batch, channels, height, width)
            The views.
        """
        brightness, contrast, saturation, hue = (torch.stack(numbers) for numbers in zip(*drawn, strict=True))
        return _recolour(x, Colours(brightness.prod(0), contrast.prod(0), saturation.prod(0), hue.sum(0)))


def _recolour(x: Tensor, colours: Colours) -> Tensor:
    brightness, contrast, saturation, hue = (number.to(x.dtype)[:, None, None] for number in colours)
    eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    # channels that are not red, green and blue are each their own grey, and have no chroma
    grey, turn = (GREY.to(eye), TURN.to(eye)) if x.shape[1] == 3 else (eye, torch.zeros_like(eye))
    chroma = saturation * (hue.cos() * (eye - grey) + hue.sin() * turn)
    mix = brightness * contrast * (grey + chroma)  # (batch, channels, channels)
    rest = brightness * (1 - contrast) * (grey @ x.mean((2, 3))[:, :, None])  # (batch, channels, 1)
    pixels = torch.baddbmm(rest, mix, x.flatten(2)).clamp_(0, 1)  # (batch, channels, height * width)
    return pixels.reshape(x.shape)


@params
class ColorJitter(ColourView):
    """Change brightness, contrast, saturation and hue of a random part of the images.

    The factors are drawn as in torchvision (and SimCLR, Chen et al. 2020, appendix A). Two things differ. The hue is
    turned in the YIQ colour space, not in HSV: a linear map, which leaves the grey value as it is. And values are cut
    off at 0 and 1 once, at the end, and not after each step: no light or dark part is lost on the way, and the order of
    the steps does not matter.

    Images whose channels are not three (red, green, blue) have no saturation and no hue: each channel changes its
    brightness, and its contrast about its own mean.

    Parameters
    ----------
    brightness : float, default=0.4
        The factor is uniform between ``max(0, 1 - brightness)`` and ``1 + brightness``.
    contrast : float, default=0.4
        Likewise, of the distance from the image's mean grey value.
    saturation : float, default=0.4
        Likewise, of the distance from the pixel's grey value.
    hue : float, default=0.1
        Greatest turn of the hue to either side, as a share of the colour circle; at most 0.5.
    p : float, default=0.8
        Probability with which an image is changed.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import ColorJitter
    >>> ColorJitter()(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """

    brightness: float = param(Real(low=0), default=0.4)
    contrast: float = param(Real(low=0), default=0.4)
    saturation: float = param(Real(low=0), default=0.4)
    hue: float = param(Real(low=0, high=0.5), default=0.1)
    p: float = param(Real(low=0, high=1), default=0.8)

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Colours:
        changed = chance(self.p, batch, generator)
        brightness, contrast, saturation = (
            uniform(max(0.0, 1 - strength), 1 + strength, (batch,), generator).where(changed, 1)
            for strength in (self.brightness, self.contrast, self.saturation)
        )
        hue = uniform(-self.hue, self.hue, (batch,), generator).where(changed, 0) * (2 * torch.pi)
        return Colours(brightness, contrast, saturation, hue)


@params
class RandomGrey(ColourView):
    """Take the colour from a random part of the images: all three channels become the luma.

    Images whose channels are not three are left as they are.

    Parameters
    ----------
    p : float, default=0.2
        Probability with which an image turns grey.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import RandomGrey
    >>> red = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None]  # (1, 3, 1, 1)
    >>> RandomGrey(1.0)(red, torch.Generator().manual_seed(0)).flatten()
    tensor([0.2990, 0.2990, 0.2990])
    """

    p: float = param(Real(low=0, high=1), default=0.2)

    def _draw(self, batch: int, height: int, width: int, generator: torch.Generator) -> Colours:
        colourful = (~chance(self.p, batch, generator)).float()
        same = torch.ones_like(colourful)
        return Colours(same, same, colourful, torch.zeros_like(same))
