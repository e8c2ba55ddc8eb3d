"""The weights of a network as named tensors, and back into a network that was built without any."""

from collections.abc import Iterator

from torch import Tensor, nn

__all__ = ["put_weights", "take_weights"]


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
