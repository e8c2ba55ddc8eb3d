"""The weights of a network as named tensors, and back into a network that was built without any."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from skrep.persistence import OF_MODULES, OF_RECURRENT, Writer, can_store

__all__ = ["built_without_memory", "differences", "put_attributes", "put_weights", "take_weights"]

_OF_TORCH = OF_MODULES | OF_RECURRENT

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


def put_weights(module: nn.Module, weights: dict[str, Tensor], frozen: Collection[str]) -> None:
    """Put tensors in the places of those that the module was built with, such as tensors on the meta device.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    weights : dict of str to torch.Tensor
        As :func:`take_weights` gave them; they are not copied.
    frozen : collection of str
        Names of the parameters that training leaves alone.

    Raises
    ------
    ValueError
        If names, shapes or types are not those of the module. Nothing is changed then.
    """
    asked = {name: (tuple(t.shape), t.dtype) for name, t in take_weights(module).items()}
    given = {name: (tuple(t.shape), t.dtype) for name, t in weights.items()}
    if asked != given:
        name = next(n for n in [*asked, *given] if asked.get(n) != given.get(n))
        raise ValueError(f"they ask for {name} as {asked.get(name)}, the weights have {given.get(name)}")
    new: dict[int, Tensor] = {}
    for name, slots, key in _places(module):
        old = slots[key]
        if old is None:
            continue
        if id(old) not in new:
            tensor = weights[name]
            learns = tensor.is_floating_point() and name not in frozen
            new[id(old)] = nn.Parameter(tensor, learns) if isinstance(old, nn.Parameter) else tensor
        slots[key] = new[id(old)]
    for part in module.modules():
        if isinstance(part, nn.RNNBase):
            part._init_flat_weights()


def differences(module: nn.Module, rebuilt: nn.Module) -> dict[str, dict[str, Any]]:
    """The plain attributes, by part and name, in which a network differs from one that was built anew without weights.

    Raises
    ------
    ValueError
        If it differs in more: in its parts, in attributes of torch's layers, in private ones, in what is not plain.
    """
    found: dict[str, dict[str, Any]] = {}
    parts, others = dict(module.named_modules()), dict(rebuilt.named_modules())
    for name in [*parts, *(others.keys() - parts.keys())]:
        part, other = parts.get(name), others.get(name)
        if part is None or other is None or type(part) is not type(other):
            raise ValueError(f"they ask for {name} as {type(other).__name__}, the network has {type(part).__name__}")
        for key in vars(part).keys() | vars(other).keys():
            value, asked = vars(part).get(key), vars(other).get(key)
            if key in _OF_TORCH or key == "_is_torch_compile" or _is_same(value, asked):
                continue
            if not _may_be_put(other, key) or not can_store(value):
                raise ValueError(f"they ask for {name}.{key} as {asked!r:.80}, the network has {value!r:.80}")
            found.setdefault(name, {})[key] = value
    return found


def put_attributes(module: nn.Module, attributes: dict[str, dict[str, Any]]) -> None:
    """Set the attributes that :func:`differences` found."""
    parts = dict(module.named_modules())
    for name, values in attributes.items():
        for key, value in values.items():
            if not _may_be_put(parts[name], key):
                raise ValueError(f"{name}.{key} cannot be set")
            setattr(parts[name], key, value)


def _may_be_put(part: nn.Module, key: str) -> bool:
    """Whether an attribute is the module's own: compiled code takes the numbers of torch's layers for true."""
    layers = [base for base in type(part).__mro__ if base.__module__.startswith("torch.")]
    is_own = all(base in (nn.Module, nn.Sequential, nn.ModuleList, nn.ModuleDict) for base in layers)
    return is_own and not key.startswith("_") and key in vars(part).keys() - _OF_TORCH


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, nn.Module) or type(one) is not type(other):  # parts are compared one by one
        return type(one) is type(other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    plain = _written(one), _written(other)
    if plain != (None, None):
        return bool(plain[0] == plain[1])
    return one is other or (bool(getattr(one, "__dict__", None)) and _is_same(vars(one), vars(other)))


def _written(value: Any) -> Any:
    """The value as a file would have it, or None if it is not plain."""
    writer = Writer()
    try:
        content = writer.write(value)
    except TypeError:
        return None
    return content, [(array.dtype, array.shape, array.tobytes()) for array in writer.arrays]
