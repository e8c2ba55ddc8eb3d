"""torchvision's transforms, also beside a build of torch that its wheel was not made for."""

import importlib
from typing import Any

import torch

__all__ = ["torchvision_transforms"]

_OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


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
