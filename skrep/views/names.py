"""Views by short names."""

from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator

from skrep.views.blur import GaussianBlur
from skrep.views.chain import Chain
from skrep.views.colour import ColorJitter, RandomGrey
from skrep.views.corruption import RandomFeatureCorruption
from skrep.views.erasing import RandomErasing
from skrep.views.geometry import RandomAffine, RandomFlip, RandomResizedCrop
from skrep.views.noise import GaussianNoise, MaskingNoise

__all__ = ["VIEWS", "resolve_views"]

VIEWS: dict[str, type[BaseEstimator]] = {
    "crop": RandomResizedCrop,
    "flip": RandomFlip,
    "affine": RandomAffine,
    "color": ColorJitter,
    "grey": RandomGrey,
    "blur": GaussianBlur,
    "erase": RandomErasing,
    "noise": GaussianNoise,
    "mask": MaskingNoise,
    "corrupt": RandomFeatureCorruption,
}


def resolve_views(augment: Any, default: Callable[..., Any]) -> Any:
    """Make a view of what a user may pass as one.

    Parameters
    ----------
    augment : None, str, view, or list or tuple of str and views
        None is `default`; a name is a view of `VIEWS` with its defaults; a list is a :class:`Chain`.
    default : view
        What None stands for.

    Returns
    -------
    view
        Called as ``view(x, generator)``.

    Raises
    ------
    ValueError
        For an unknown name, or an object that is not a view.
    """
    if augment is None:
        return default
    if isinstance(augment, list | tuple):
        return Chain([_resolve(item) for item in augment])
    return _resolve(augment)


def _resolve(view: Any) -> Any:
    if isinstance(view, str) and view in VIEWS:
        return VIEWS[view]()
    if isinstance(view, type) or not (callable(view) and hasattr(view, "get_params")):
        raise ValueError(
            f"augment={view!r} is not a view: expected one of the names {', '.join(map(repr, VIEWS))}, an object of "
            "skrep.views such as RandomResizedCrop(), or a list of those."
        )
    return view
