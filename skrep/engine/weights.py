"""The weights of a network as named tensors, and back into a network that was built without any."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["built_without_memory", "put_weights", "take_weights"]

# Calls of torch functions that building and trying out a network may take. Those of this package take six a weight.
CALLS_FOR_A_WEIGHT = 50
CALLS_IN_ANY_CASE = 2000
CALLS_AT_MOST = 400_000

# Initial values, which have no place to go to; torch would import half of itself for them.
_FILLS = {"normal_", "uniform_", "bernoulli_", "random_", "constant_", "fill_", "zero_", "zeros_", "ones_"}


def built_without_memory(build: Callable[[], nn.Module], n_weights: int) -> nn.Module:
    """A network on the meta device, where tensors are shapes with no memory behind them.

    Parameters
    ----------
    build : callable
        Makes the network.
    n_weights : int
        About how many parameters and buffers it will have. A network of many times as many layers is given up, since
        even shapes take time.

    Raises
    ------
    ValueError
        If it has far more.
    """
    with torch.device("meta"), _Bounded(min(CALLS_AT_MOST, CALLS_FOR_A_WEIGHT * n_weights + CALLS_IN_ANY_CASE)):
        module = build()
    return module.to("meta")


class _Bounded(TorchFunctionMode):
    def __init__(self, most: int):
        super().__init__()
        self.left = most

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ValueError("the network is far larger than its weights")
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _FILLS:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


def _places(module: nn.Module) -> Iterator[tuple[str, dict[str, Tensor | None], str]]:
    """Where each parameter and buffer is kept: its full name, and the dict and the key under which it stands there."""
    for prefix, part in module.named_modules():
        for slots in (part._parameters, part._buffers):
            for name in slots:
                yield f"{prefix}.{name}" if prefix else name, slots, name


def take_weights(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers by name, those too that ``state_dict`` leaves out; shared ones once."""
    weights: dict[int, tuple[str, Tensor]] = {}
    for name, slots, key in _places(module):
        tensor = slots[key]
        if tensor is not None and id(tensor) not in weights:
            weights[id(tensor)] = name, tensor.detach()
    return dict(weights.values())


def put_weights(module: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put tensors in the places of those that the module was built with, such as tensors on the meta device.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    weights : dict of str to torch.Tensor
        As :func:`take_weights` gave them; they are not copied.

    Raises
    ------
    ValueError
        If names, shapes or types are not those of the module. Nothing is changed then.
    """
    asked = {name: (tuple(t.shape), t.dtype) for name, t in take_weights(module).items()}
    given = {name: (tuple(t.shape), t.dtype) for name, t in weights.items()}
    if asked != given:
        name = next(n for n in [*asked, *given] if asked.get(n) != given.get(n))
        raise ValueError(f"the network has {name} as {asked.get(name)}, the weights as {given.get(name)}")
    new: dict[int, Tensor] = {}
    for name, slots, key in _places(module):
        old = slots[key]
        if old is None:
            continue
        if id(old) not in new:
            tensor = weights[name]
            new[id(old)] = nn.Parameter(tensor, old.requires_grad) if isinstance(old, nn.Parameter) else tensor
        slots[key] = new[id(old)]
    assert not any(tensor.is_meta for tensor in take_weights(module).values())
