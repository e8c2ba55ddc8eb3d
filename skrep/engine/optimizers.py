"""Optimizers by name, with weight decay only where it belongs."""

import inspect
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from skrep.engine.lars import LARS

__all__ = ["DEFAULT_LR", "OPTIMIZERS", "make_optimizer"]

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "lars": LARS,
}
# SGD comes with momentum: plain SGD is never what one wants for these losses.
_EXTRA: dict[str, dict[str, Any]] = {"sgd": {"momentum": 0.9}}
# LARS, measured on digits, MNIST and Fashion-MNIST in batches of 32 to 256: SimCLR's loss is lowest at 2 to 10, but
# autoencoders of images, whose biases take the rate as it is, diverge at 2; at 0.3 either learns too little.
DEFAULT_LR = {"adam": 2e-3, "adamw": 2e-3, "sgd": 0.05, "lars": 1.0}


def make_optimizer(
    optimizer: str | type[torch.optim.Optimizer],
    parameters: Iterable[tuple[str, nn.Parameter]],
    *,
    lr: float,
    weight_decay: float,
    lr_scales: Mapping[str, float] = MappingProxyType({}),
    **options: Any,
) -> torch.optim.Optimizer:
    """Build an optimizer over named parameters.

    Parameters whose names begin with a key of `lr_scales` have a rate of so many times `lr`.

    Vectors (biases, the gains of normalisation layers) are not decayed, as has been the custom since ResNet training
    recipes (He et al. 2019, "Bag of tricks"). One fused kernel updates all parameters where torch has it.

    Raises
    ------
    ValueError
        If it is not the class of an optimizer.
    TypeError
        If the optimizer does not take one of the options.
    """
    kind: Any = OPTIMIZERS[optimizer] if isinstance(optimizer, str) else optimizer
    is_optimizer = isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    if not is_optimizer or kind.__name__ == "LBFGS":
        raise ValueError(
            f"optimizer={getattr(kind, '__name__', kind)}: expected 'adamw', 'adam', 'sgd', 'lars' or a class of "
            "torch.optim that takes one step a batch (LBFGS does not)."
        )
    options = (_EXTRA.get(optimizer, {}) if isinstance(optimizer, str) else {}) | options
    known = inspect.signature(kind).parameters
    named = [(name, p) for name, p in parameters if p.requires_grad]
    trained = [p for _, p in named]
    alike: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for is_matrix in (True, False):
        for name, p in named:
            if (p.ndim > 1) == is_matrix:
                scale = next((scale for start, scale in lr_scales.items() if name.startswith(start)), 1.0)
                alike.setdefault((scale, is_matrix), []).append(p)
    groups = [
        {"params": some, "lr": scale * lr, "weight_decay": weight_decay if is_matrix else 0.0}
        for (scale, is_matrix), some in alike.items()
    ]
    if "weight_decay" not in known:
        for group in groups:
            del group["weight_decay"]
    fusable = all(p.device.type in ("cpu", "cuda", "mps") and p.is_floating_point() for p in trained)
    if "fused" in known and not {"fused", "foreach", "differentiable"} & options.keys() and fusable:
        options["fused"] = True
    try:
        build: Any = kind
        made: torch.optim.Optimizer = build(groups, lr=lr, **options)
    except TypeError as error:
        raise TypeError(f"{kind.__name__} does not take these options: {sorted(options)} ({error})") from None
    return made
