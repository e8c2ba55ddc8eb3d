"""Several views as one."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skrep.params import check_params, param, params

__all__ = ["Chain"]


class _Views:
    """A list or tuple of callables, as a constraint of :func:`skrep.params.param`."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, list | tuple) and all(map(callable, value))

    def __str__(self) -> str:
        return "a list of views, such as [RandomFlip(), ColorJitter()]"


@params
class Chain(BaseEstimator):
    """Apply views one after the other.

    Neighbours that move pixels (crop, flip, affine) share one resampling, and neighbours that change colours (jitter,
    grey) one pass over the pixels: faster, and an image is blurred by interpolation and cut off at 0 and 1 once. The
    random numbers are those that the views would draw one by one. The background that affine views fill in is that of
    the image as it was before the first of the views that share a resampling.

    Parameters
    ----------
    views : sequence of views, default=()
        Objects that are called as ``view(x, generator)``; an empty sequence leaves `x` as it is.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import Chain, ColorJitter, RandomFlip, RandomResizedCrop
    >>> chain = Chain([RandomResizedCrop(), RandomFlip(), ColorJitter()])
    >>> chain(torch.rand(8, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 32, 32])
    """

    views: Sequence[Any] = param(_Views(), default=())

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return what the last view makes of what the views before it have made of `x`.

        Parameters
        ----------
        x : torch.Tensor of shape (batch, ...)
            What the first view takes.
        generator : torch.Generator
            Where all random numbers come from; on the device of `x`.

        Returns
        -------
        torch.Tensor of shape (batch, ...)
            Of the shape and dtype of `x`.

        Raises
        ------
        ValueError
            For a parameter of a view that cannot be used, or an `x` that a view does not take.
        """
        check_params(self)
        for apply_all, neighbours in groupby(self.views, lambda view: getattr(view, "apply_all", None)):
            views = list(neighbours)
            if apply_all is None:
                for view in views:
                    x = view(x, generator)
            else:
                x = apply_all(views, x, [view.draw(x.shape, generator) for view in views])
        return x
