"""Packages to compare with that may be missing, or may not import beside this build of torch."""

import importlib
from collections.abc import Callable
from typing import Any

import torch

__all__ = ["available", "torchvision_transforms"]

_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


def available(peer: str, load: Callable[[], Any]) -> Any:
    """What `load` imports; or None, after a line that says why the peer's rows are skipped."""
    try:
        return load()
    except Exception as error:  # not only ImportError: a wheel for another build of torch fails as it likes
        print(f"{peer} is skipped: {type(error).__name__}: {str(error).splitlines()[0]}\n")
        return None


def torchvision_transforms() -> Any:
    """The module ``torchvision.transforms``.

    The wheel on PyPI is built for CUDA. Beside a CPU build of torch its operators are missing, and its import fails;
    no transform of a Pillow image needs them, so empty ones are declared in their place.
    """
    try:
        return importlib.import_module("torchvision.transforms")
    except RuntimeError:
        for name in ("nms", "qnms", "roi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d"):
            _OPERATORS.define(f"{name}() -> Tensor")
            _OPERATORS.define(f"_{name}_backward() -> Tensor")
        return importlib.import_module("torchvision.transforms")
