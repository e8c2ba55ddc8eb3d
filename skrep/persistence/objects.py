"""Objects as names and plain values: estimators, torch modules, functions.

An estimator is the name of its class and its state, which is plain values and other objects. Encoders that are networks
say themselves what they are (``_saved_attributes``, ``_saved_network``) and become it again (``_restore_state``).
"""

import contextlib
import inspect
import re
import types
from collections import Counter
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch
from torch import nn

from skrep.persistence.checks import check
from skrep.persistence.compiled import put_together, take_apart
from skrep.persistence.names import CLOSED, name_of
from skrep.persistence.values import Reader, Writer, pick

__all__ = ["MAX_NAMES", "OF_MODULES", "OF_RECURRENT", "ObjectReader", "ObjectWriter"]

_FUNCTIONS = (type, np.ufunc, types.FunctionType, types.BuiltinFunctionType, type(np.mean))

# What scikit-learn's estimators have of this machine, and which ones: a folder of pickles, a function, a number of
# threads, an address in memory; and what watches their training.
_OF_MACHINE = ("_kmeans_single", "_n_threads", "_stop_words_id")
_HOMES = ("sklearn.cluster.", "sklearn.feature_extraction.", "sklearn.pipeline")
_CALLBACKS = "_skl_callbacks"

_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,40}")

# What every torch module has, hooks and a compiled form among them; and what recurrent ones derive from their weights.
OF_MODULES = {*vars(nn.Module()), "_compiled_call_impl"}
OF_RECURRENT = {"_flat_weights", "_flat_weight_refs"}

# It takes most of a second to build so many anew.
MAX_NAMES = 1_000
MAX_OBJECTS = 18_000
MAX_RANDOM_STATES = 1_000
MAX_MODULES = 3_000
MAX_NETWORKS = 500


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
        self._open: set[int] = set()
        self._built: Counter[str] = Counter()

    def write_other(self, value: Any) -> Any:
        """Objects."""
        if isinstance(value, _FUNCTIONS):
            return {"name": self._name(value)}
        if id(value) in self._open:
            raise TypeError(f"cannot save {self.where}: it holds itself.")
        if id(value) in self._objects:
            return {"same": self._objects[id(value)][0]}
        number = len(self._objects)
        self._objects[id(value)] = number, value
        self._open.add(id(value))
        written = self._write_object(value, number)
        self._open.remove(id(value))
        return written

    def _write_object(self, value: Any, number: int) -> Any:
        _count(self._built, "objects", MAX_OBJECTS)
        if isinstance(value, Bunch):
            return {"bunch": self.write(dict(value)), "number": number}
        if (taken := take_apart(value)) is not None:
            if taken[0] == "random state":
                _count(self._built, "random states", MAX_RANDOM_STATES)
            return {"compiled": taken[0], "parts": self.write(taken[1]), "number": number}
        if type(value).__module__ == "builtins":
            raise TypeError(
                f"cannot save {self.where}: a {type(value).__name__} is neither a plain value nor has a name."
            )
        name = self._name(type(value))
        if hasattr(type(value), "_saved_network"):
            _count(self._built, "networks", MAX_NETWORKS)
            written = self._attributes(type(value), value._saved_attributes())
            network = self.inside(" network", value._saved_network())
            _count(self._built, "torch modules", MAX_MODULES, _n_parts(value))
            return {"encoder": name, "state": written, "network": network, "number": number}
        if isinstance(value, nn.Module):
            _count(self._built, "torch modules", MAX_MODULES)
            return {"module": name, "state": self._module(value), "number": number}
        return {"object": name, "state": self._attributes(type(value), self._state(value)), "number": number}

    def _name(self, thing: Any) -> int:
        try:
            name = name_of(thing)
        except TypeError as error:
            raise TypeError(f"cannot save {self.where}: {error}") from None
        if name not in self.names:
            _count(self._built, "classes and functions", MAX_NAMES)
            self.names.append(name)
        return self.names.index(name)

    def _attributes(self, cls: type, state: dict[str, Any]) -> Any:
        try:
            _require_no_method_replaced(cls, state)
        except ValueError as error:
            raise TypeError(f"cannot save {self.where}: {error}.") from None
        return {"dict": {name: self.inside(f".{name}", item) for name, item in state.items()}}

    def _state(self, value: Any) -> dict[str, Any]:
        cls, state = type(value), None
        if cls.__reduce_ex__ is object.__reduce_ex__ and cls.__reduce__ is object.__reduce__:
            with contextlib.suppress(TypeError):
                made, arguments, state, *items = value.__reduce_ex__(2)
                is_plain = made.__name__ == "__newobj__" and arguments == (cls,) and not any(items)
                state = ({} if state is None else state) if is_plain else None
        if not isinstance(state, dict):
            raise TypeError(
                f"cannot save {self.where}, a {cls.__name__}: it is not made of plain attributes. Pass what it stands "
                "for as numbers, text or arrays."
            )
        try:
            check(value)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise TypeError(f"cannot save {self.where}, a {cls.__name__}: {error}.") from None
        state = {name: item for name, item in state.items() if name != _CALLBACKS}
        state |= dict.fromkeys(state.keys() & {*_of_machine(cls), *getattr(cls, "_not_saved", ())})
        if cls.__module__ == "sklearn.utils._metadata_requests" and not isinstance(state["owner"], str):
            state["owner"] = type(state["owner"]).__name__  # the estimator that it is in, for error messages
        return state

    def _module(self, module: nn.Module) -> dict[str, Any]:
        if isinstance(module, nn.modules.lazy.LazyModuleMixin):
            raise TypeError(f"cannot save {self.where}, a {type(module).__name__}: its sizes are not there yet.")
        if any(slot for name, slot in vars(module).items() if name.endswith("_hooks") and name in OF_MODULES):
            raise TypeError(f"cannot save {self.where}, a {type(module).__name__} with hooks; remove them.")
        derived = OF_MODULES | (OF_RECURRENT if isinstance(module, nn.RNNBase) else set())
        return {
            "training": module.training,
            "parameters": {
                name: [None if p is None else self.tensor(p), p is not None and p.requires_grad]
                for name, p in module._parameters.items()
            },
            "buffers": {
                name: [self.inside(f".{name}", b), name not in module._non_persistent_buffers_set]
                for name, b in module._buffers.items()
            },
            "modules": {name: self.inside(f".{name}", part) for name, part in module._modules.items()},
            "attributes": self._attributes(type(module), {k: v for k, v in vars(module).items() if k not in derived}),
        }


def _of_machine(cls: type) -> set[str]:
    """Which attributes of a class stay on the machine."""
    bases = [base for base in cls.__mro__ if base.__module__.startswith(_HOMES)]
    has_memory = any("memory" in inspect.signature(base).parameters for base in bases)
    return ({*_OF_MACHINE, "memory"} if has_memory else set(_OF_MACHINE)) if bases else set()


def _require_no_method_replaced(cls: type, state: dict[str, Any]) -> None:
    """Attributes may stand for what a user's class defines, but not for methods of ours and of libraries."""
    parameters = getattr(cls, "__dataclass_fields__", {})  # whose defaults may be functions
    known = [base for base in cls.__mro__ if base.__module__.split(".")[0] in CLOSED]
    for name in state.keys() - parameters.keys():
        if name.startswith("__") or any(callable(getattr(base, name, None)) for base in known):
            raise ValueError(f"a {cls.__name__} has its {name} replaced")


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
        self._built: Counter[str] = Counter()

    def _read_name(self, position: int) -> Any:
        return pick(self._named, position)

    def _read_same(self, number: int) -> Any:
        return self._objects[number]

    def _read_bunch(self, items: Any, number: int) -> Bunch:
        made = Bunch()
        made.update(self.read(items))
        if not all(isinstance(item, (BaseEstimator, str)) for item in made.values()):
            raise ValueError("a Bunch holds more than estimators")
        return self._known(number, made)

    def _read_compiled(self, kind: str, parts: Any, number: int) -> Any:
        if kind == "random state":
            _count(self._built, "random states", MAX_RANDOM_STATES)
        return self._known(number, put_together(kind, self.read(parts)))

    def _read_encoder(self, position: int, state: Any, network: Any, number: int) -> Any:
        _count(self._built, "networks", MAX_NETWORKS)
        made = self._new(position, BaseEstimator)
        made._restore_state(self._attributes(type(made), state), self.read(network))
        _count(self._built, "torch modules", MAX_MODULES, _n_parts(made))
        return self._known(number, made)

    def _read_object(self, position: int, state: Any, number: int) -> Any:
        made = self._new(position, object)
        attributes = self._attributes(type(made), state)
        if any(attributes.get(name) is not None for name in {_CALLBACKS, *_of_machine(type(made))}):
            raise ValueError("a scikit-learn estimator has memory=, threads or callbacks of another machine")
        if not _VERSION.fullmatch(str(attributes.get("_sklearn_version", "1"))):  # it is shown to the user
            raise ValueError("a scikit-learn estimator has no version")
        if hasattr(made, "__setstate__"):
            made.__setstate__(attributes)
        else:
            vars(made).update(attributes)
        check(made)
        return self._known(number, made)

    def _read_module(self, position: int, state: dict[str, Any], number: int) -> nn.Module:
        _count(self._built, "torch modules", MAX_MODULES)
        made: nn.Module = self._new(position, nn.Module)
        nn.Module.__init__(made)
        for name, (parameter, learns) in state["parameters"].items():
            made.register_parameter(name, None if parameter is None else self._read_parameter(parameter, learns))
        for name, (buffer, is_saved) in state["buffers"].items():
            made.register_buffer(name, self.read(buffer), persistent=bool(is_saved))
        for name, part in state["modules"].items():
            made.register_module(name, self.read(part))
        attributes = self._attributes(type(made), state["attributes"])
        if attributes.keys() & OF_MODULES:
            raise ValueError(f"a {type(made).__name__} has attributes that are torch's own")
        vars(made).update(attributes)
        made.training = bool(state["training"])
        if isinstance(made, nn.RNNBase):
            _require_fitting_weights(made)
            made._init_flat_weights()
        self._known(number, made)
        return made

    def _known(self, number: int, made: Any) -> Any:
        """Keep an object that is whole, for the places where it stands again."""
        _count(self._built, "objects", MAX_OBJECTS)
        self._objects[number] = made
        return made

    def _new(self, position: int, kind: type) -> Any:
        cls = pick(self._named, position)
        if not isinstance(cls, type) or not issubclass(cls, kind):
            raise ValueError(f"{cls!r} is not a class of {kind.__name__}s")
        others = hasattr(cls, "_restore_state") or issubclass(cls, nn.Module)
        if kind is object and (others or cls.__module__.split(".")[0] in ("builtins", "numpy", "torch")):
            raise ValueError(f"a {cls.__name__} is not made of plain attributes")
        return cls.__new__(cls)

    def _attributes(self, cls: type, state: Any) -> dict[str, Any]:
        """The attributes of an object; none of them may stand in the place of a method."""
        attributes: dict[str, Any] = self.read(state)
        _require_no_method_replaced(cls, attributes)
        return attributes


def _count(built: Counter[str], kind: str, most: int, n: int = 1) -> None:
    built[kind] += n
    if built[kind] > most:
        raise TypeError(f"more than {most} {kind} are more than a file may hold.")


def _n_parts(encoder: Any) -> int:
    return sum(1 for _ in encoder.net_.module_.modules()) if hasattr(encoder, "net_") else 0


def _require_fitting_weights(module: nn.RNNBase) -> None:
    """Compiled code reads as many weights as the sizes say."""
    gates = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}[module.mode]
    sides = ("", "_reverse") if module.bidirectional else ("",)
    n_hidden, n_out = module.hidden_size, module.proj_size or module.hidden_size
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(min(module.num_layers, len(module._parameters))):
        n_in = n_out * len(sides) if layer else module.input_size
        for side in sides:
            at = f"_l{layer}{side}"
            shapes |= {f"weight_ih{at}": (gates * n_hidden, n_in), f"weight_hh{at}": (gates * n_hidden, n_out)}
            if module.bias:
                shapes |= {f"bias_ih{at}": (gates * n_hidden,), f"bias_hh{at}": (gates * n_hidden,)}
            if module.proj_size:
                shapes[f"weight_hr{at}"] = (n_out, n_hidden)
    given = {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}
    if given != shapes or module._flat_weights_names != list(shapes):
        raise ValueError(f"a {type(module).__name__} has other weights than its sizes say")
