"""Objects as names and plain values: estimators, torch modules, functions.

An estimator is the name of its class and its state, which is plain values and other objects. Encoders that are networks
say themselves what their state is (``_saved_state``) and build their network anew from it (``_restore_state``).
"""

import types
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch
from torch import nn

from skrep.persistence.compiled import COMPILED
from skrep.persistence.names import name_of
from skrep.persistence.values import Reader, Writer

__all__ = ["ObjectReader", "ObjectWriter"]

_FUNCTIONS = (type, np.ufunc, types.FunctionType, types.BuiltinFunctionType)

# What every torch module has, hooks among them; and what recurrent ones derive from their weights.
_OF_MODULES = set(vars(nn.Module()))
_OF_RECURRENT = {"_flat_weights", "_flat_weight_refs"}


class ObjectWriter(Writer):
    """Turns objects into JSON, arrays and names.

    Attributes
    ----------
    names : list of str
        The classes and functions met so far; the JSON refers to them by position.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self._objects: dict[int, tuple[int, Any]] = {}

    def write_other(self, value: Any) -> Any:
        """Objects."""
        if isinstance(value, _FUNCTIONS):
            return {"name": self._name(value)}
        if id(value) in self._objects:
            return {"same": self._objects[id(value)][0]}
        number = len(self._objects)
        self._objects[id(value)] = number, value
        if isinstance(value, Bunch):
            return {"bunch": self.write(dict(value)), "number": number}
        for kind, (cls, take, _) in COMPILED.items():
            if type(value) is cls:
                return {"compiled": kind, "state": self.write(take(value)), "number": number}
        name = self._name(type(value))
        if hasattr(type(value), "_saved_state"):
            attributes, network = value._saved_state()
            written = self._attributes(attributes)
            return {"encoder": name, "state": written, "network": self.inside(" network", network), "number": number}
        if isinstance(value, nn.Module):
            return {"module": name, "state": self._module(value), "number": number}
        return {"object": name, "state": self._attributes(self._state(value)), "number": number}

    def _name(self, thing: Any) -> int:
        try:
            name = name_of(thing)
        except TypeError as error:
            raise TypeError(f"cannot save {self.where}: {error}") from None
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def _attributes(self, state: dict[str, Any]) -> Any:
        return {"dict": {name: self.inside(f".{name}", item) for name, item in state.items()}}

    def _state(self, value: Any) -> dict[str, Any]:
        cls = type(value)
        is_plain = cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__
        state = value.__getstate__() if is_plain and hasattr(value, "__dict__") else None
        if not isinstance(state, dict):
            raise TypeError(f"cannot save {self.where}, a {cls.__name__}: it is not made of plain attributes.")
        if cls.__module__.startswith("sklearn.") and "memory" in state:
            state = state | {"memory": None}  # a folder of pickles, on this machine
        return state

    def _module(self, module: nn.Module) -> dict[str, Any]:
        if any(slot for name, slot in vars(module).items() if name.endswith("_hooks") and name in _OF_MODULES):
            raise TypeError(f"cannot save {self.where}, a {type(module).__name__} with hooks; remove them.")
        derived = _OF_MODULES | (_OF_RECURRENT if isinstance(module, nn.RNNBase) else set())
        return {
            "training": module.training,
            "parameters": {
                name: [self.inside(f".{name}", p), p is not None and p.requires_grad]
                for name, p in module._parameters.items()
            },
            "buffers": {
                name: [self.inside(f".{name}", b), name not in module._non_persistent_buffers_set]
                for name, b in module._buffers.items()
            },
            "modules": {name: self.inside(f".{name}", part) for name, part in module._modules.items()},
            "attributes": self._attributes({k: v for k, v in vars(module).items() if k not in derived}),
        }


class ObjectReader(Reader):
    """Turns JSON, arrays and the things behind the names back into objects.

    Parameters
    ----------
    arrays : list of ndarray
        As the writer left them.
    named : list of classes and functions
        What the names stand for.
    """

    def __init__(self, arrays: list[np.ndarray], named: list[Any]):
        super().__init__(arrays)
        self._named = named
        self._objects: dict[int, Any] = {}
        self._parameters: dict[int, nn.Parameter] = {}

    def _read_name(self, position: int) -> Any:
        return self._named[position]

    def _read_same(self, number: int) -> Any:
        return self._objects[number]

    def _read_bunch(self, items: Any, number: int) -> Bunch:
        made = self._objects[number] = Bunch()
        made.update(self.read(items))
        return made

    def _read_compiled(self, kind: str, state: Any, number: int) -> Any:
        self._objects[number] = COMPILED[kind][2](self.read(state))
        return self._objects[number]

    def _read_encoder(self, position: int, state: Any, network: Any, number: int) -> Any:
        made = self._new(position, BaseEstimator, number)
        made._restore_state(self._attributes(type(made), state), self.read(network))
        return made

    def _read_object(self, position: int, state: Any, number: int) -> Any:
        made = self._new(position, object, number)
        attributes = self._attributes(type(made), state)
        if type(made).__module__.startswith("sklearn.") and attributes.get("memory") is not None:
            raise ValueError("a scikit-learn estimator has memory=, a folder of pickles")
        if hasattr(made, "__setstate__"):
            made.__setstate__(attributes)
        else:
            vars(made).update(attributes)
        return made

    def _read_module(self, position: int, state: dict[str, Any], number: int) -> nn.Module:
        made: nn.Module = self._new(position, nn.Module, number)
        nn.Module.__init__(made)
        for name, (parameter, learns) in state["parameters"].items():
            made.register_parameter(name, None if parameter is None else self._parameter(parameter, learns))
        for name, (buffer, is_saved) in state["buffers"].items():
            made.register_buffer(name, self.read(buffer), persistent=bool(is_saved))
        for name, part in state["modules"].items():
            made.register_module(name, self.read(part))
        attributes = self._attributes(type(made), state["attributes"])
        if attributes.keys() & _OF_MODULES:
            raise ValueError(f"a {type(made).__name__} has attributes that are torch's own")
        vars(made).update(attributes)
        made.training = bool(state["training"])
        if isinstance(made, nn.RNNBase):
            made._init_flat_weights()
        return made

    def _parameter(self, written: dict[str, Any], learns: bool) -> nn.Parameter:
        position = written["tensor"]
        if position not in self._parameters:
            self._parameters[position] = nn.Parameter(self.read(written), requires_grad=bool(learns))
        return self._parameters[position]

    def _new(self, position: int, kind: type, number: int) -> Any:
        cls = self._named[position]
        if not isinstance(cls, type) or not issubclass(cls, kind):
            raise ValueError(f"{cls!r} is not a class of {kind.__name__}s")
        others = hasattr(cls, "_restore_state") or issubclass(cls, nn.Module)
        if kind is object and (others or cls.__module__.split(".")[0] in ("builtins", "numpy", "torch")):
            raise ValueError(f"a {cls.__name__} is not made of plain attributes")
        self._objects[number] = cls.__new__(cls)
        return self._objects[number]

    def _attributes(self, cls: type, state: Any) -> dict[str, Any]:
        """The attributes of an object; none of them may stand in the place of a method."""
        attributes: dict[str, Any] = self.read(state)
        parameters = getattr(cls, "__dataclass_fields__", {})  # whose defaults may be functions
        for name in attributes.keys() - parameters.keys():
            if name.startswith("__") or callable(getattr(cls, name, None)):
                raise ValueError(f"a {cls.__name__} has its {name} replaced")
        return attributes
