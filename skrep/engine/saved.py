"""A fitted network as sizes and named weights, and back: files hold no layers and run no code."""

import copy
import warnings
from typing import Any

import torch
from sklearn.base import BaseEstimator
from skorch.exceptions import DeviceWarning
from torch import Tensor, nn

from skrep.data import from_outline
from skrep.engine.devices import resolve_device
from skrep.engine.weights import built_without_memory, differences, put_attributes, put_weights, take_weights

__all__ = ["device_here", "network_state", "restored_network"]


def network_state(method: Any) -> dict[str, Any]:
    """What a file keeps of a fitted network: the outline of the data it was built for, and its weights by name.

    Parameters
    ----------
    method : Encoder
        Fitted.

    Raises
    ------
    TypeError
        If the network cannot be built anew from the method's parameters and these shapes.
    """
    module = _uncompiled(method.net_.module_)
    weights, outline = take_weights(module), method._outline
    frozen = [name for name, parameter in module.named_parameters() if not parameter.requires_grad]
    try:  # what load will do
        rebuilt = _rebuilt(method, outline, len(weights))
        others = differences(module, rebuilt)
        put_weights(rebuilt, weights, frozen)
    except Exception as error:
        raise TypeError(
            f"cannot save {type(method).__name__}: rebuilding the network from its parameters and the shape of a row "
            f"gives a different one ({_first_line(error)}). Set parameters back that were changed after fit. A "
            "method's make_module may take from the data what becomes a parameter or a buffer, but no layers or "
            "numbers (data.fact is for those), and must not read numbers from tensors."
        ) from error
    return {"outline": outline, "weights": weights, "frozen": frozen, "attributes": others}


def restored_network(method: Any, network: dict[str, Any]) -> nn.Module:
    """The network of a :func:`network_state`, on the CPU.

    Parameters
    ----------
    method : Encoder
        Has the attributes that were saved beside it.
    network : dict
        What :func:`network_state` returned.
    """
    weights = network["weights"]
    module = _rebuilt(method, network["outline"], len(weights))
    put_weights(module, weights, network["frozen"])
    put_attributes(module, network["attributes"])
    return module


def device_here(method: Any) -> torch.device:
    """The device that the method names, or the CPU where this machine has none such, with a warning."""
    try:
        return resolve_device(method.device)
    except ValueError as error:
        warnings.warn(f"{error} The network is on the CPU.", DeviceWarning, stacklevel=2)
        return torch.device("cpu")


def _rebuilt(method: Any, outline: dict[str, Any], n_weights: int) -> nn.Module:
    """The network with its shapes, but no memory behind them."""
    bare = _without_memory(method, {})
    return built_without_memory(lambda: bare._build(from_outline(outline), 0), n_weights)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _uncompiled(module: nn.Module) -> nn.Module:
    inner: nn.Module = getattr(module, "_orig_mod", module)  # torch.compile wraps
    return inner


def _shape_of(tensor: Tensor) -> Tensor:
    bare = tensor.detach().to("meta")
    return nn.Parameter(bare, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else bare


def _without_memory(part: Any, known: dict[int, Any]) -> Any:
    """A copy of an estimator or a part in which the torch modules among the parameters have shapes alone."""
    if id(part) in known:
        return known[id(part)]
    if isinstance(part, nn.Module):
        tensors = {id(tensor): _shape_of(tensor) for tensor in (*part.parameters(), *part.buffers())}
        known[id(part)] = copy.deepcopy(part, tensors)
    elif isinstance(part, BaseEstimator) and not isinstance(part, type):
        bare = known[id(part)] = copy.copy(part)
        for name, value in part.get_params(deep=False).items():
            setattr(bare, name, _without_memory(value, known))
    return known.get(id(part), part)
