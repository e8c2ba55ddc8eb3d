"""The views that contrastive methods take where the user names none."""

from typing import Any

from skrep.views.blur import GaussianBlur
from skrep.views.chain import Chain
from skrep.views.colour import ColorJitter, RandomGrey
from skrep.views.corruption import RandomFeatureCorruption
from skrep.views.erasing import RandomErasing
from skrep.views.geometry import RandomAffine, RandomFlip, RandomResizedCrop
from skrep.views.noise import GaussianNoise

__all__ = ["default_views"]

# Blur hides what sharp edges give away on large images; on small ones it hides the object (Chen et al. 2020, B.9).
BLUR_FROM = 65


def default_views(shape: tuple[int, ...]) -> Any:
    """Distortions that leave what one usually wants to know of a row.

    Parameters
    ----------
    shape : tuple of int
        Of one row: (n_features,), or (height, width, channels) for images.

    Returns
    -------
    view
        Tables: entries that are replaced by other rows' values (SCARF), and noise on all.
        Grey images: small affine distortions, holes, brightness and noise; digits, letters and drawings mean something
        else when they are mirrored or cut.
        Colour images: the crops, flips, colours and greys of SimCLR, with blur from 65 pixels a side on.
    """
    if len(shape) == 1:
        return Chain([RandomFeatureCorruption(), GaussianNoise(0.3)])
    if shape[2] != 3:
        light = ColorJitter(brightness=0.4, contrast=0.0, p=1.0)
        return Chain([RandomAffine(), RandomErasing(), light, GaussianNoise(0.05)])
    views = [RandomResizedCrop(), RandomFlip(), ColorJitter(), RandomGrey()]
    if min(shape[:2]) >= BLUR_FROM:
        views.append(GaussianBlur())
    return Chain(views)
