"""Files made to harm whoever loads them. Run as a program, this loads the files that it is told to, under guard.

A case is a function that writes one file. Most begin as a file of ``skrep.save``, of which one thing is then changed,
so that nothing but this one thing can be the reason for an error; all digests are made to fit.
"""

import functools
import hashlib
import io
import json
import marshal
import os
import pickle
import re
import signal
import struct
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import joblib
import numpy as np
import torch
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MultiLabelBinarizer, PolynomialFeatures, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from torch import nn

import skrep
from skrep import AutoEncoderTransformer, RandomEncoder, SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.persistence import read_state
from skrep.persistence.container import MAX_JSON_CONTAINERS
from skrep.persistence.objects import MAX_MODULES, MAX_NETWORKS

MEMORY = 2 * 2**30
SECONDS = 20  # after which a load is stopped from outside
CANARY = "skrep_canary"  # a module that leaves a file behind where it is imported
PAYLOAD = f"touch {CANARY}.ran"

Case = Callable[[Path], None]
HOSTILE: dict[str, Case] = {}
BOMBS: dict[str, Case] = {}
ODD: dict[str, Case] = {}  # what skrep never writes and no one is harmed by: these may be loaded or refused

TABLE = np.random.default_rng(0).normal(size=(24, 4)).astype(np.float32)
IMAGES = np.random.default_rng(0).random((6, 8, 8, 1)).astype(np.float32)


# --- files of skrep.save, taken apart -------------------------------------------------------------------------------


class Draft:
    """A file of ``skrep.save`` in parts that can be changed: names, the content as JSON, arrays as .npy bytes."""

    def __init__(self, estimator: Any):
        # small arrays as members, too
        with tempfile.TemporaryDirectory() as folder, mock.patch("skrep.persistence.values.SMALL_BYTES", -1):
            skrep.save(estimator, Path(folder, "file"))
            with zipfile.ZipFile(Path(folder, "file")) as archive:
                content = json.loads(archive.read("state.json"))
                self.manifest = json.loads(archive.read("manifest.json"))
                self.arrays = [archive.read(f"arrays/{i}.npy") for i in range(len(archive.namelist()) - 2)]
        self.names, self.root = content["names"], content["estimator"]
        self.text: bytes | None = None  # in the place of all that

    def nodes(self, kind: str) -> list[dict[str, Any]]:
        """All nodes of a kind, from the outside in."""

        def walk(value: Any) -> Iterator[dict[str, Any]]:
            if isinstance(value, dict) and kind in value:
                yield value
            for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
                yield from walk(item)

        return list(walk(self.root))

    def state(self, kind: str) -> dict[str, Any]:
        """The attributes of the first node of a kind."""
        found: dict[str, Any] = self.nodes(kind)[0]["state"]
        return (found["attributes"] if kind == "module" else found)["dict"]

    @property
    def network(self) -> dict[str, Any]:
        """What is known of the network of an encoder."""
        known: dict[str, Any] = self.root["network"]["dict"]
        return known

    @property
    def outline(self) -> dict[str, Any]:
        """What it was built for."""
        shapes: dict[str, Any] = self.network["outline"]["dict"]
        return shapes

    @property
    def weights(self) -> dict[str, Any]:
        """Its weights by name."""
        named: dict[str, Any] = self.network["weights"]["dict"]
        return named

    def put(self, value: Any) -> None:
        """A value in the place of the string "HERE"."""
        text = json.dumps(self.root)
        assert text.count('"HERE"') == 1
        self.root = json.loads(text.replace('"HERE"', json.dumps(value)))

    def members(self) -> dict[str, bytes]:
        """The members of the file, with digests that fit."""
        for kind in ("name", "object", "encoder", "module"):
            for node in self.nodes(kind):
                if isinstance(node[kind], str):  # written out for the reader of this module
                    if node[kind] not in self.names:
                        self.names.append(node[kind])
                    node[kind] = self.names.index(node[kind])
        text = json.dumps({"names": self.names, "estimator": self.root}).encode()
        members = {f"arrays/{i}.npy": data for i, data in enumerate(self.arrays)}
        members["state.json"] = text if self.text is None else self.text
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in members.items()}
        manifest = self.manifest | {"sha256": digests}
        return members | {"manifest.json": json.dumps(manifest).encode()}

    def write(self, path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in self.members().items():
                archive.writestr(zipfile.ZipInfo(name), data)


@functools.cache
def _pickled(kind: str) -> bytes:
    rng = np.random.default_rng(0)
    if kind == "value":
        estimator: Any = FunctionTransformer(np.log1p, kw_args={"value": "HERE", "array": rng.normal(size=(20, 3))})
    elif kind == "numbers":
        estimator = FunctionTransformer(kw_args={"random_state": np.random.RandomState(0)})
    elif kind == "tensor":
        estimator = AutoEncoderTransformer(net_params={"value": "HERE", "tensor": torch.ones(3)})
    elif kind == "table":
        estimator = AutoEncoderTransformer(2, hidden=(8,), max_epochs=1, random_state=0).fit(TABLE)
    elif kind == "images":
        estimator = AutoEncoderTransformer(2, backbone=ConvNet(2), max_epochs=1, random_state=0).fit(IMAGES)
    elif kind == "random":
        estimator = RandomEncoder(random_state=0).fit(TABLE)
    elif kind == "backbone":
        backbone = nn.Sequential(nn.Unflatten(1, (4, 1)), nn.LSTM(1, 3, batch_first=True))
        estimator = SimCLRTransformer(backbone=backbone)
    elif kind == "fitted backbone":
        estimator = SimCLRTransformer(2, backbone=nn.Sequential(nn.Linear(4, 3)), max_epochs=1, random_state=0)
        estimator.fit(TABLE)
    elif kind == "pipeline":
        network = AutoEncoderTransformer(2, hidden=(8,), max_epochs=1, random_state=0)
        estimator = make_pipeline(StandardScaler(), network, LogisticRegression()).fit(TABLE, np.arange(24) % 2)
    elif kind == "powers":
        estimator = PolynomialFeatures().fit(TABLE)
    elif kind == "labels":
        estimator = MultiLabelBinarizer().fit([{1, 2}, {3}])
    elif kind == "deep":
        estimator = AutoEncoderTransformer(2, hidden=(8,) * 190, max_epochs=1, random_state=0).fit(TABLE)
    elif kind == "tree":
        estimator = DecisionTreeRegressor(random_state=0).fit(rng.normal(size=(10_000, 2)), rng.normal(size=10_000))
    elif kind == "columns":
        estimator = ColumnTransformer([("first", FunctionTransformer(np.exp), [0]), ("rest", "passthrough", [1])])
    return pickle.dumps(Draft(estimator))


KINDS = [
    "value", "numbers", "tensor", "table", "deep", "images", "random", "backbone", "fitted backbone", "pipeline",
    "columns", "labels", "powers", "tree",
]  # fmt: skip


def draft(kind: str) -> Draft:
    made: Draft = pickle.loads(_pickled(kind))
    return made


def case(table: dict[str, Case], name: str) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        assert name not in table
        table[name] = function
        return function

    return add


def changed(table: dict[str, Case], name: str, kind: str, change: Callable[[Draft], Any]) -> None:
    """Add the case of a draft with a change."""

    @case(table, name)
    def _(path: Path) -> None:
        made = draft(kind)
        change(made)
        made.write(path)


def holding(table: dict[str, Case], name: str, value: Any, *arrays: np.ndarray, kind: str = "value") -> None:
    """Add the case of a value in a file; arrays that it refers to begin at position 1."""

    def change(made: Draft) -> None:
        made.put(value() if callable(value) else value)
        made.arrays += [npy(array) for array in arrays]

    changed(table, name, kind, change)


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def header(text: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """An .npy file with this header, whatever it says."""
    encoded = text.encode("latin1") + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(encoded))
    return b"\x93NUMPY" + bytes(version) + size + encoded + data


# --- files of others, which run what they hold ----------------------------------------------------------------------


class Runs:
    """A pickle of this runs a command."""

    def __reduce__(self) -> Any:
        return os.system, (PAYLOAD,)


class Imports:
    """A pickle of this imports the canary."""

    def __reduce__(self) -> Any:
        return __import__, (CANARY,)


def _saved_by_torch(**options: Any) -> bytes:
    file = io.BytesIO()
    torch.save({"weights": torch.ones(2), "more": Runs()}, file, **options)
    return file.getvalue()


def _saved_by_joblib() -> bytes:
    file = io.BytesIO()
    joblib.dump([np.ones(3), Runs()], file)
    return file.getvalue()


def _object_array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Runs()], dtype=object), allow_pickle=True)
    return file.getvalue()


def _zipped(**members: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("_json", ".json").replace("_py", ".py"), data)
    return file.getvalue()


_CODE = f"import os; os.system({PAYLOAD!r})"
_SKOPS = {
    "__class__": "system", "__module__": "os", "__loader__": "FunctionNode", "content": PAYLOAD, "protocol": 2
}  # fmt: skip
_KERAS = {"class_name": "Lambda", "config": {"function": [marshal.dumps(compile(_CODE, "f", "exec")).hex(), None]}}

FOREIGN: dict[str, Callable[[], bytes]] = {
    "pickle": lambda: pickle.dumps(Runs()),
    "pickle of protocol 0": lambda: pickle.dumps(Runs(), protocol=0),
    "pickle that imports": lambda: pickle.dumps(Imports()),
    "joblib": _saved_by_joblib,
    "torch.save": _saved_by_torch,
    "torch.save of old": lambda: _saved_by_torch(_use_new_zipfile_serialization=False),
    "npy of objects": _object_array,
    "marshalled code": lambda: marshal.dumps(compile(_CODE, "f", "exec")),
    "Python": _CODE.encode,
    "skops": lambda: _zipped(schema_json=json.dumps(_SKOPS)),
    "Keras": lambda: _zipped(config_json=json.dumps(_KERAS), metadata_json="{}"),
    "zip with __main__": lambda: _zipped(__main___py=_CODE),
    "empty file": bytes,
    "text": lambda: b"weights" * 1000,
}
for _name, _make in FOREIGN.items():
    HOSTILE[_name] = functools.partial(lambda make, path: path.write_bytes(make()), _make)


# --- names ----------------------------------------------------------------------------------------------------------

NAMES = [
    "os.system", "posix.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "builtins.getattr",
    "builtins.__import__", "builtins.compile", "builtins.open", "builtins.type", "pickle.loads", "marshal.loads",
    "importlib.import_module", "functools.partial", "operator.methodcaller", "ctypes.CDLL", "torch.load",
    "torch.hub.load", "torch.nn.functional.linear", "torch.nn.functional.torch", "torch.nn.Module.apply",
    "torch.nn.init.normal_", "torch.nn.parallel.DistributedDataParallel", "numpy.load", "numpy.vectorize",
    "numpy.frompyfunc", "numpy.fromfile", "numpy.memmap", "joblib.load", "skrep.load", "skrep.save",
    "skrep.persistence.save", "skrep.persistence.objects.ObjectReader", "skrep.engine.RunFolder",
    "sklearn.datasets.fetch_openml", "sklearn.utils._testing.check_skip_network", "sklearn.clone",
    "sklearn.pipeline.check_memory", "sklearn.pipeline.Pipeline.fit", "sklearn.linear_model._base.make_dataset",
    "sklearn.model_selection.HalvingGridSearchCV", "sklearn.experimental.enable_halving_search_cv",
    "sklearn.impute.IterativeImputer", "sklearn..pipeline", "", ".", "os", "antigravity.geohash", "pdb.Pdb",
    "__main__.draft", f"{CANARY}.run", f"{CANARY}.deeper.run", f"sklearn.{CANARY}", f"sklearn.pipeline.{CANARY}",
]  # fmt: skip

for _name in NAMES:
    holding(HOSTILE, f"name {_name!r}", {"name": _name})
holding(HOSTILE, "name that is a path", {"name": f"../{CANARY}.run"})
holding(HOSTILE, "name of several lines", {"name": "os.system\n\x1b[31mAll is well.\n"})
changed(HOSTILE, "names that are numbers", "value", lambda d: d.names.append(7))
changed(ODD, "names in a dict", "value", lambda d: setattr(d, "names", dict.fromkeys(d.names, 1)))
for _wrong in (-1, True, 0.0, 99, None, [0], 10**30):

    def _change(made: Draft, wrong: Any = _wrong) -> None:
        made.nodes("name")[0]["name"] = wrong

    changed(HOSTILE, f"position of a name {_wrong!r}", "columns", _change)


# --- objects --------------------------------------------------------------------------------------------------------


def _object(cls: str, number: int = 90, **attributes: Any) -> dict[str, Any]:
    return {"object": cls, "state": {"dict": attributes}, "number": number}


def _module(cls: str, number: int = 90, /, **parts: Any) -> dict[str, Any]:
    state: dict[str, Any] = {"training": True, "parameters": {}, "buffers": {}, "modules": {}, "attributes": {}}
    state |= parts
    state["attributes"] = {"dict": state["attributes"]}
    return {"module": cls, "state": state, "number": number}


_SYSTEM = {"name": "os.system"}
_HARMLESS = {"name": "torch.nn.functional.relu"}
_FUNCTION = _object("sklearn.preprocessing.FunctionTransformer", func=_SYSTEM, kw_args={"dict": {"x": PAYLOAD}})


def _set(kind: str, **attributes: Any) -> Callable[[Draft], Any]:
    return lambda made: made.state(kind).update(attributes)


def _nested(depth: int, inside: Any) -> Any:
    for i in range(depth):
        steps = [{"tuple": [f"step{i}", inside]}]
        inside = _object("sklearn.pipeline.Pipeline", 100 + i, steps=steps, memory=None, verbose=False)
    return inside


for _depth in (1, 5, 20, 100):
    holding(HOSTILE, f"os.system in Pipelines {_depth} deep", functools.partial(_nested, _depth, _FUNCTION))
changed(HOSTILE, "os.system in a ColumnTransformer", "columns", lambda d: d.nodes("name")[0].update(_SYSTEM))
changed(HOSTILE, "os.system in a step", "pipeline", lambda d: d.state("object")["steps"].append(_FUNCTION))
changed(
    HOSTILE,
    "a step's transform replaced",
    "columns",
    lambda d: d.nodes("object")[1]["state"]["dict"].update(transform=_HARMLESS),
)
for _attribute in ("fit", "transform", "__class__", "__dict__", "__setstate__", "__reduce__", "__sklearn_tags__"):
    changed(HOSTILE, f"an estimator's {_attribute} replaced", "value", _set("object", **{_attribute: _HARMLESS}))
    changed(HOSTILE, f"an encoder's {_attribute} replaced", "table", _set("encoder", **{_attribute: _HARMLESS}))
for _attribute in ("_build", "read", "_restore_net", "make_module", "make_views", "get_params", "lr_scales"):
    changed(HOSTILE, f"an encoder's {_attribute} replaced", "table", _set("encoder", **{_attribute: _HARMLESS}))
for _attribute in (
    "forward", "__call__", "__class__", "_call_impl", "_forward_hooks", "_forward_pre_hooks", "_backward_hooks",
    "_load_state_dict_pre_hooks", "_parameters", "_modules", "_compiled_call_impl",
):  # fmt: skip
    changed(HOSTILE, f"a module's {_attribute} replaced", "backbone", _set("module", **{_attribute: _HARMLESS}))

for _parameter, _value in {
    "lr_schedule": _SYSTEM,
    "optimizer": {"name": "subprocess.Popen"},
    "callbacks": [_SYSTEM],
    "net_params": {"dict": {"iterator_train": _SYSTEM}},
    "noise": _SYSTEM,
    "backbone": _SYSTEM,
    "random_state": _SYSTEM,
}.items():
    changed(HOSTILE, f"os.system as {_parameter}", "table", _set("encoder", **{_parameter: _value}))
changed(HOSTILE, "os.system as augment", "fitted backbone", _set("encoder", augment=[_SYSTEM]))
changed(HOSTILE, "os.system as like", "random", _set("encoder", like=_SYSTEM))
_making = {
    "callbacks": [{"name": "sklearn.pipeline.Pipeline"}],
    "net_params": {"dict": {"callbacks__Pipeline__steps": []}},
}
changed(HOSTILE, "a class to be called as a callback", "table", _set("encoder", **_making))
changed(HOSTILE, "net_params of the method", "table", _set("encoder", net_params={"dict": {"module": _HARMLESS}}))
changed(ODD, "net_params unknown", "table", _set("encoder", net_params={"dict": {"nonsense": 1}}))
changed(HOSTILE, "a Pipeline's memory", "pipeline", _set("object", memory="folder of pickles"))
_agglomeration = _object("sklearn.cluster.FeatureAgglomeration", memory="folder of pickles")
holding(HOSTILE, "a cluster's memory", _agglomeration)


def _use(made: Draft, attribute: str, array: np.ndarray) -> None:
    made.state("object")[attribute] = {"array": len(made.arrays)}
    made.arrays.append(npy(array))


changed(HOSTILE, "labels that are there twice", "labels", lambda d: _use(d, "classes_", np.full(10**6, 3)))
changed(HOSTILE, "powers with a number for a truth", "powers", _set("object", interaction_only=3))
changed(HOSTILE, "a function as an object", "value", lambda d: d.root.update(object="torch.nn.functional.relu"))
changed(HOSTILE, "a ufunc as an object", "value", lambda d: d.root.update(object="numpy.log"))
changed(HOSTILE, "a number's class as an object", "value", lambda d: d.root.update(object="numpy.float64"))
for _cls in ("object", "int", "str", "bytes"):
    holding(HOSTILE, f"builtins.{_cls} as an object", _object(f"builtins.{_cls}", x=1))
holding(HOSTILE, "an optimizer as an object", _object("torch.optim.SGD", param_groups=[]))
holding(HOSTILE, "a module as an object", _object("torch.nn.Identity"))
holding(HOSTILE, "an encoder as an object", _object("skrep.AutoEncoderTransformer", _seed=4))
holding(HOSTILE, "an estimator as a module", _module("sklearn.pipeline.Pipeline"))
holding(HOSTILE, "a function as a module", _module("torch.nn.functional.relu"))
changed(HOSTILE, "an estimator as an encoder", "table", lambda d: d.root.update(encoder="sklearn.pipeline.Pipeline"))
changed(HOSTILE, "a module as an encoder", "table", lambda d: d.root.update(encoder="torch.nn.Identity"))
changed(HOSTILE, "the abstract class as an encoder", "table", lambda d: d.root.update(encoder="skrep.TorchTransformer"))
for _name, _root in {
    "a number": 7, "nothing": None, "a list": [1], "a class": {"name": "sklearn.pipeline.Pipeline"},
    "a module": _module("torch.nn.Identity"), "a dict": {"dict": {"transform": _HARMLESS}},
}.items():  # fmt: skip
    changed(HOSTILE, f"{_name} in the place of the estimator", "value", lambda d, r=_root: setattr(d, "root", r))

holding(HOSTILE, "same without the other", {"same": 77})
holding(HOSTILE, "same of no number", {"same": [0]})
holding(HOSTILE, "an estimator in itself", {"same": 0})
changed(
    HOSTILE,
    "a Pipeline that is its own step",
    "pipeline",
    lambda d: d.state("object")["steps"].append({"tuple": ["s", {"same": 0}]}),
)
changed(HOSTILE, "an encoder like itself", "random", _set("encoder", like={"same": 0}))
changed(HOSTILE, "like a Pipeline", "random", _set("encoder", like=_object("sklearn.pipeline.Pipeline", steps=[])))
_looped = _module("torch.nn.Sequential", 91, modules={"0": {"same": 91}})
changed(HOSTILE, "a module in itself", "fitted backbone", _set("encoder", backbone=_looped))
changed(HOSTILE, "a module in itself, not fitted", "backbone", _set("encoder", backbone=_looped))
holding(HOSTILE, "a bunch in itself", {"bunch": {"dict": {"x": {"same": 92}}}, "number": 92})


def _lie_in_lstm(**attributes: Any) -> Callable[[Draft], Any]:
    return lambda made: made.nodes("module")[2]["state"]["attributes"]["dict"].update(attributes)


changed(HOSTILE, "an LSTM larger than its weights", "backbone", _lie_in_lstm(hidden_size=20_000))
changed(HOSTILE, "an LSTM with wider rows than its weights", "backbone", _lie_in_lstm(input_size=400_000))
changed(HOSTILE, "an LSTM with other names of weights", "backbone", _lie_in_lstm(_flat_weights_names=[["forward"]]))
changed(
    HOSTILE,
    "a module's part that is a function",
    "backbone",
    lambda d: d.state("encoder")["backbone"]["state"]["modules"].update({"0": _HARMLESS}),
)

changed(HOSTILE, "weights of another name", "table", lambda d: d.weights.update(x=d.weights.popitem()[1]))
changed(HOSTILE, "a weight missing", "table", lambda d: d.weights.popitem())
changed(HOSTILE, "a weight too many", "table", lambda d: d.weights.update(x={"tensor": 0, "dtype": "float32"}))
changed(
    HOSTILE,
    "a weight of another shape",
    "table",
    lambda d: d.weights["decoder.2.bias"].update(d.weights["decoder.0.bias"]),
)
changed(HOSTILE, "a weight of another type", "table", lambda d: d.weights["decoder.2.bias"].update(dtype="int32"))
changed(HOSTILE, "a weight that is None", "table", lambda d: d.weights.update({"decoder.2.bias": None}))
changed(HOSTILE, "a weight that is no tensor", "table", lambda d: d.weights.update({"decoder.2.bias": {"array": 9}}))
changed(HOSTILE, "weights in a list", "table", lambda d: d.network.update(weights=[]))
changed(HOSTILE, "attributes in a list", "table", lambda d: d.root.update(state=[]))
changed(HOSTILE, "no attributes", "table", lambda d: d.root.update(state=None))
changed(HOSTILE, "attributes missing", "table", lambda d: d.root.pop("state"))
changed(HOSTILE, "a network that is a list", "table", lambda d: d.root.update(network=[1]))
changed(HOSTILE, "a network that is missing", "table", lambda d: d.root.pop("network"))
changed(
    HOSTILE,
    "a network of weights alone",
    "table",
    lambda d: [d.network.pop(k) for k in list(d.network) if k != "weights"],
)
for _table, _key, _wrong in [
    (HOSTILE, "history", 7), (HOSTILE, "outline", 4), (HOSTILE, "outline", {"dict": {"first": 1, "second": 2}}),
    (ODD, "seed", "zero"), (ODD, "batch_size", "many"), (ODD, "epochs", [1]),
]:  # fmt: skip

    def _change(made: Draft, key: str = _key, wrong: Any = _wrong) -> None:
        assert key in made.network
        made.network[key] = wrong

    changed(_table, f"a network's {_key} that is {str(_wrong)[:8]!r}", "table", _change)
for _part, _attribute in [
    ("encoder.backbone.0", "in_features"), ("encoder.backbone.0", "weight"), ("encoder", "forward"), ("", "_modules"),
    ("", "training"), ("projector", "_forward_hooks"), ("encoder", "__class__"), ("encoder", "backbone"),
    ("encoder", "new"), ("elsewhere", "width"), ("encoder", "_compiled_call_impl"),
]:  # fmt: skip

    def _change(made: Draft, part: str = _part, attribute: str = _attribute) -> None:
        made.network["attributes"] = {"dict": {part: {"dict": {attribute: 10**9}}}}

    changed(HOSTILE, f"a network's {_part} with another {_attribute}", "fitted backbone", _change)
for _wrong in ({"tuple": [1] * 10}, 4, "x"):
    changed(HOSTILE, f"a shape that is {_wrong}", "table", lambda d, w=_wrong: d.outline.update(shape=w))
for _wrong in ("x", [{"tuple": ["width", "x"]}], [{"tuple": ["n_chains", 8]}], [1], [{"tuple": [1, 2, 3]}]):
    changed(HOSTILE, f"facts that are {_wrong}", "fitted backbone", lambda d, w=_wrong: d.outline.update(facts=w))
for _wrong in ("hpu", "privateuseone", "mkldnn", "meta", "nowhere", 3, "cpu\n", None, ["cpu"]):
    changed(ODD, f"device {_wrong!r}", "table", _set("encoder", device=_wrong))
changed(HOSTILE, "hidden units in a string", "table", _set("encoder", hidden="8"))
changed(HOSTILE, "another activation", "table", _set("encoder", activation="__class__"))


# --- plain values ---------------------------------------------------------------------------------------------------

_FOUR = np.arange(4.0)
for _wrong in (True, -1, 0.0, "0", 99, None, [0], {"dict": {}}, 10**30):
    holding(HOSTILE, f"position of an array {_wrong!r}", {"array": _wrong})
    holding(HOSTILE, f"position of a tensor {_wrong!r}", {"tensor": _wrong, "dtype": "float32"}, kind="tensor")


def _sparse(form: str, shape: list[int], indices: list[int], indptr: list[int], data: Any = None) -> Any:
    parts = np.ones(len(indices)) if data is None else data, np.array(indices, "i4"), np.array(indptr, "i4")
    return {"sparse": form, "shape": shape, "parts": [{"array": 1}, {"array": 2}, {"array": 3}]}, *parts


for _name, _args in {
    "columns out of range": ("csr_matrix", [2, 3], [0, 1_000_000], [0, 1, 2]),
    "rows out of range": ("csc_array", [2, 3], [0, 1_000_000], [0, 1, 2, 2]),
    "negative columns": ("csr_matrix", [2, 3], [0, -5], [0, 1, 2]),
    "rows that go back": ("csr_array", [3, 3], [0, 1], [0, 100, -100, 2]),
    "rows that go out and back, and no value": ("csr_matrix", [2, 3], [], [0, 100_000_000, 0]),
    "too few rows": ("csr_matrix", [200, 3], [0, 1], [0, 1, 2]),
    "negative sides": ("csr_matrix", [-2, -3], [0, 1], [0, 1, 2]),
    "values in a square": ("csr_matrix", [2, 3], [0, 1], [0, 1, 2], np.ones((2, 2))),
}.items():
    holding(HOSTILE, f"sparse with {_name}", *_sparse(*_args))
holding(HOSTILE, "sparse of another form", {"sparse": "__class__", "shape": [1, 1], "parts": []})
holding(HOSTILE, "sparse of numbers", {"sparse": "csr_matrix", "shape": [2, 2], "parts": [1, 2, 3]})
_SOME = np.arange(99, dtype=np.int32)
for _table, _name, _state in [
    (HOSTILE, "position of 625", {"position": 625}),
    (HOSTILE, "position before the first", {"position": -1}),
    (HOSTILE, "huge position", {"position": 10**30}),
    (HOSTILE, "text for a position", {"position": "5"}),
    (HOSTILE, "short key", {"key": [1] * 623}),
    (HOSTILE, "key that is none", {"key": 5}),
    (HOSTILE, "text for a number", {"gauss": "x"}),
    (HOSTILE, "another part", {"more": 1}),
    (ODD, "position between two", {"position": 1.5}),
]:

    def _change(made: Draft, state: dict[str, Any] = _state) -> None:
        parts = made.nodes("compiled")[0]["parts"]["dict"]
        assert parts.keys() >= state.keys() - {"more"}
        parts.update(state)

    changed(_table, f"RandomState with {_name}", "numbers", _change)
for _name, _node in {
    "set of lists": {"set": [[1]], "frozen": False},
    "keys that are lists": {"pairs": [[[1], 2]]},
    "three in a pair": {"pairs": [[1, 2, 3]]},
    "mask of another size": {"masked": [{"array": 0}, [True, False], None]},
    "one part of a masked array": {"masked": [[1]]},
    "objects of another number": {"objects": [1, 2], "shape": [3]},
    "objects of a negative shape": {"objects": [1], "shape": [-1, -1]},
    "objects of a fractional shape": {"objects": [1], "shape": [1.0]},
    "objects of a shape of lists": {"objects": [], "shape": [[], 3]},
    "small array of a shape of lists": {"small": "<f8", "shape": [[], 3], "order": "C", "bytes": ""},
    "small array of another shape": {"small": "<f8", "shape": [2], "order": "C", "bytes": "00" * 8},
    "small array of a negative shape": {"small": "<f8", "shape": [-1, -1], "order": "C", "bytes": "00" * 8},
    "small array of objects": {"small": "|O", "shape": [1], "order": "C", "bytes": "00" * 8},
    "small array of odd bytes": {"small": "<f8", "shape": [1], "order": "C", "bytes": "00" * 7},
    "small array of no size": {"small": "|V0", "shape": [0], "order": "C", "bytes": ""},
    "small array without an order": {"small": "<f8", "shape": [1], "bytes": "00" * 8},
    "range of four": {"range": [1, 2, 3, 4]},
    "range without a step": {"range": [1, 2, 0]},
    "complex of three": {"complex": [1, 2, 3]},
    "complex of text": {"complex": ["1", "2"]},
    "objects of 100 axes": {"objects": [1], "shape": [1] * 100},
    "objects of no shape": {"objects": [1]},
    "scalar that is no character": {"scalar": "<U1", "bytes": "ffffffff"},
    "scalar of objects": {"scalar": "|O", "bytes": "00" * 8},
    "scalar with columns of objects": {"scalar": "i4,O", "bytes": "00" * 12},
    "scalar of too few bytes": {"scalar": "<f8", "bytes": "00"},
    "scalar of no size": {"scalar": "|V0", "bytes": ""},
    "scalar of an impossible type": {"scalar": ["<f8"], "bytes": "00" * 8},
    "type of objects": {"dtype": "O"},
    "type that is None": {"dtype": None},
    "type in a dict": {"dtype": {"names": ["a"], "formats": ["O"]}},
    "type of columns of objects": {"dtype": "f8,O"},
    "type that is unknown": {"dtype": "os.system"},
    "torch type that is unknown": {"torch": "load"},
    "torch type in a list": {"torch": ["float32"]},
    "bytes that are none": {"bytes": "0g"},
    "bytes that are a number": {"bytes": 5},
    "integer that is none": {"int": "0xg"},
    "integer that is a number": {"int": 5},
    "float that is none": {"float": "abc"},
    "float in a list": {"float": ["inf"]},
    "path that is a number": {"path": 5},
    "slice of four": {"slice": [1, 2, 3, 4]},
    "tuple of a number": {"tuple": 5},
    "dict of a list": {"dict": [["a", 1]]},
    "ordered list": {"ordered": [1, 2]},
    "unknown kind": {"pickle": "gASVJQ=="},
    "kind of Python": {"__class__": "os.system"},
    "kind with more than it takes": {"tuple": [], "self": 1},
    "kind with less than it takes": {"sparse": "csr_matrix"},
    "kind of nothing": {},
}.items():
    holding(HOSTILE, f"{_name}", _node)
for _name, _node in {
    "mask of text": {"masked": [[1, 2], ["a", "b"], 0]},
    "fill value of another kind": {"masked": [[1], [True], [1, 2]]},
    "small array with text of no characters": {"small": "<U1", "shape": [1], "order": "C", "bytes": "ff" * 4},
    "tensor in an order of text": {"tensor": 1, "dtype": "int32", "order": "F"},
    "text that is a number": {"str_": {"tuple": []}},
    "integer of 5000 digits": {"int": "f" * 5000},
    "objects of a huge shape": {"objects": [], "shape": [0, 10**9, 10**9]},
}.items():
    holding(ODD, f"{_name}", _node, _SOME)
for _name, _node, _array in [
    ("tensor of text", {"tensor": 1, "dtype": "float32"}, np.array(["a", "b"])),
    ("tensor in the other byte order", {"tensor": 1, "dtype": "float64"}, np.arange(4, dtype=">f8")),
    ("tensor of columns", {"tensor": 1, "dtype": "float64"}, np.zeros(2, "f8,f8")),
    ("tensor of an unknown type", {"tensor": 1, "dtype": "load"}, _FOUR),
    ("tensor that is quantized", {"tensor": 1, "dtype": "quint8"}, np.arange(4, dtype=np.uint8)),
    ("tensor of a type of other size", {"tensor": 1, "dtype": "complex128"}, np.arange(3, dtype=np.uint8)),
    ("tensor of no type", {"tensor": 1}, _FOUR),
    ("tensor in an order of other axes", {"tensor": 1, "dtype": "float64", "order": [0, 1]}, _FOUR),
    ("tensor of integers that learns", {"tensor": 1, "dtype": "int64", "learns": True}, np.arange(3)),
    ("parameter of nothing", {"parameter": {"array": 1}, "learns": True}, _FOUR),
    ("parameter of a parameter", {"parameter": {"parameter": {}}, "learns": True}, _FOUR),
    ("tensor of a type in a list", {"tensor": 1, "dtype": ["float64"]}, _FOUR),
]:
    holding(HOSTILE, _name, _node, _array, kind="tensor")


# --- arrays ---------------------------------------------------------------------------------------------------------

_FLOATS = "{'descr': '<f8', 'fortran_order': False, 'shape': (6,), }"
ARRAYS: dict[str, Callable[[], bytes]] = {
    "array of pickled objects": _object_array,
    "array with columns of objects": lambda: header(
        "{'descr': [('a', '<i8'), ('b', '|O')], 'fortran_order': False, 'shape': (1,), }", pickle.dumps(Runs())
    ),
    "array of subarrays of objects": lambda: header(
        "{'descr': [('a', '|O', (2,))], 'fortran_order': False, 'shape': (1,), }", b"\0" * 16
    ),
    "array whose header is code": lambda: header(f"__import__('os').system({PAYLOAD!r})"),
    "array whose header calls": lambda: header(_FLOATS.replace("(6,)", "tuple([6])"), b"\0" * 48),
    "array of another version": lambda: header(_FLOATS, b"\0" * 48, (2, 0)),
    "array of a future version": lambda: header(_FLOATS, b"\0" * 48, (9, 9)),
    "array of other bytes": lambda: pickle.dumps(Runs()),
    "array of no bytes": bytes,
    "array with a header that ends early": lambda: header(_FLOATS)[:40],
    "array of a negative shape": lambda: header(_FLOATS.replace("6", "-6"), b"\0" * 48),
    "array of two negative sides": lambda: header(_FLOATS.replace("6,", "-6, -1"), b"\0" * 48),
    "array of a fractional shape": lambda: header(_FLOATS.replace("6", "6.0"), b"\0" * 48),
    "array of a shape of text": lambda: header(_FLOATS.replace("6", "'6'"), b"\0" * 48),
    "array of old and huge integers": lambda: header(_FLOATS.replace("6", "9" * 400 + "L"), b"\0" * 48),
    "array of no size": lambda: header(_FLOATS.replace("<f8", "|V0")),
    "array of empty text": lambda: header(_FLOATS.replace("<f8", "<U0")),
    "array that is too short": lambda: header(_FLOATS, b"\0" * 40),
    "array that is too long": lambda: header(_FLOATS, b"\0" * 56),
    "array with more in its header": lambda: header(_FLOATS.replace("}", "'x': 1}"), b"\0" * 48),
    "array with less in its header": lambda: header("{'descr': '<f8'}", b"\0" * 48),
    "array in an order that is none": lambda: header(_FLOATS.replace("False", "'yes'"), b"\0" * 48),
    "array of an unknown type": lambda: header(_FLOATS.replace("<f8", "os.system"), b"\0" * 48),
    "array of 65 axes": lambda: header(_FLOATS.replace("6,", "6," + "1," * 64), b"\0" * 48),
    "array of a nested type": lambda: header(_FLOATS.replace("'<f8'", "[('a'," * 300 + "'<f8'" + ")]" * 300)),
    "array of a deep header": lambda: header("(" * 9000 + ")" * 900),
    "array in a link": lambda: b"/etc/passwd",
}
for _name, _make in ARRAYS.items():
    changed(HOSTILE, _name, "value", lambda d, make=_make: d.arrays.__setitem__(0, make()))


# --- manifest and JSON ----------------------------------------------------------------------------------------------

for _key, _wrong in [
    ("format", 99), ("format", "1"), ("format", [1]), ("format", None), ("format", True), ("format", 0), ("format", -1),
    ("format", 0.5), ("format", float("nan")), ("format", 10**4000), ("kind", "training run"), ("kind", ["estimator"]),
    ("kind", None), ("kind", "estimator\n" * 2), ("kind", "x" * 10**5),
]:  # fmt: skip
    _said = str(_wrong) if len(str(_wrong)) < 30 else "very long"
    changed(HOSTILE, f"{_key} {_said!r}", "value", lambda d, key=_key, wrong=_wrong: d.manifest.update({key: wrong}))
changed(HOSTILE, "a newer skrep of a long name", "value", lambda d: d.manifest.update(format=9, skrep="\n9" * 10**5))
for _key in ("format", "kind"):
    changed(HOSTILE, f"no {_key}", "value", lambda d, key=_key: d.manifest.pop(key))


def _replaced(name: str, change: Callable[[dict[str, bytes]], Any]) -> None:
    """Add the case of a file of which members are changed, after the digests were taken."""

    @case(HOSTILE, name)
    def _(path: Path) -> None:
        members = draft("value").members()
        change(members)
        with zipfile.ZipFile(path, "w") as archive:
            for member, data in members.items():
                archive.writestr(zipfile.ZipInfo(member), data)


def _digests(members: dict[str, bytes], change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads(members["manifest.json"])
    manifest["sha256"] = change(manifest["sha256"])
    members["manifest.json"] = json.dumps(manifest).encode()


for _name, _data in {
    "a list": b"[]", "a number": b"1", "nothing": b"null", "text": b'"x"', "empty": b"", "no UTF-8": b"\xff\xfe\xff",
    "cut": b'{"format": 1', "two": b"{}{}", "only a format": b'{"format": 1}',
}.items():  # fmt: skip
    _replaced(f"manifest that is {_name}", lambda m, data=_data: m.update({"manifest.json": data}))
_replaced("no manifest", lambda m: m.pop("manifest.json"))
_replaced("no state", lambda m: m.pop("state.json"))
_replaced("no array", lambda m: m.pop("arrays/0.npy"))
_replaced("a member too many", lambda m: m.update({"arrays/1.npy": b""}))
_replaced("an executable too many", lambda m: m.update({"__main__.py": _CODE.encode()}))
_replaced("a folder", lambda m: m.update({"arrays/": b""}))
_replaced("another state", lambda m: m.update({"state.json": m["state.json"].replace(b"log1p", b"log10")}))
_replaced("another array", lambda m: m.update({"arrays/0.npy": npy(np.zeros((2, 3)))}))
_replaced("digests in a list", lambda m: _digests(m, list))
_replaced("digests that are None", lambda m: _digests(m, lambda d: dict.fromkeys(d)))
_replaced("no digests", lambda m: _digests(m, lambda d: None))
for _bad in (
    "../escaped", "/tmp/escaped", "..\\escaped", "C:\\escaped", "arrays/../state.json", "arrays/00.npy",
    "arrays/\uff17.npy", "arrays/2.npy", "STATE.JSON", "arrays/1.npy\n", "x" * 60_000,
):  # fmt: skip

    def _add(members: dict[str, bytes], bad: str = _bad) -> None:
        members[bad] = npy(_FOUR)
        _digests(members, lambda d: d | {bad: hashlib.sha256(npy(_FOUR)).hexdigest()})

    _replaced(f"a listed member {_bad[:30]!r}", _add)
    _replaced(f"an unlisted member {_bad[:30]!r}", lambda m, bad=_bad: m.update({bad: npy(_FOUR)}))


def _json(name: str, change: Callable[[bytes], bytes], table: dict[str, Case] = HOSTILE) -> None:
    """Add the case of a content that is other text."""

    def apply(made: Draft) -> None:
        made.text = change(made.members()["state.json"])

    changed(table, name, "value", apply)


_json("JSON with NaN", lambda t: t.replace(b'"HERE"', b"NaN"), ODD)
_json("JSON with -Infinity", lambda t: t.replace(b'"HERE"', b"-Infinity"), ODD)
_json("JSON with 1e999", lambda t: t.replace(b'"HERE"', b"1e999"), ODD)
_json("JSON with 5000 digits", lambda t: t.replace(b'"HERE"', b"1" * 5000))
_json("JSON with two of a key", lambda t: t.replace(b'"HERE"', b'1, "value": {"name": 0}'), ODD)
_json("JSON cut", lambda t: t[:-5])
_json("JSON and more", lambda t: t + b" []")
_json("JSON of pickles", lambda t: pickle.dumps(Runs()))
_json("JSON without names", lambda t: b'{"estimator": 1}')
_json("JSON without estimator", lambda t: b'{"names": []}')
_json("JSON list", lambda t: b"[]")
_json("names that are one string", lambda t: b'{"names": "os.system", "estimator": 1}')


# --- zip ------------------------------------------------------------------------------------------------------------


class Zip:
    """Records of a zip, written as one likes."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.directory: list[bytes] = []

    def local(self, name: bytes, data: bytes, *, method: int = 0, flags: int = 0, size: int | None = None) -> int:
        """A member; returns where it begins."""
        at = len(self.body)
        size = len(data) if size is None else size
        crc = zlib.crc32(data) if method == 0 else 0
        self.body += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 33, crc, len(data), min(size, 2**32 - 1), len(name), 0
        )
        self.body += name + data
        self.entry(name, at, crc, len(data), size, method=method, flags=flags)
        return at

    def entry(
        self, name: bytes, at: int, crc: int, packed: int, size: int, *, method: int = 0, flags: int = 0,
        mode: int = 0, extra: bytes = b"", comment: bytes = b"",
    ) -> None:  # fmt: skip
        """A line of the table of contents."""
        if max(packed, size) >= 2**32:
            extra += struct.pack("<HHQQ", 1, 16, size, packed)
            size = packed = 2**32 - 1
        self.directory.append(
            struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, flags, method, 0, 33, crc, packed, size, len(name),
                        len(extra), len(comment), 0, 0, mode << 16, at) + name + extra + comment
        )  # fmt: skip

    def bytes(self, *, zip64: tuple[int, int] | None = None, fake: bool = False, count: int | None = None) -> bytes:
        """The file. `zip64` are the numbers of members and of bytes of the table that a zip64 record states; a fake one
        is none, but stands in a comment where one would be looked for."""
        start, n = len(self.body), len(self.directory)
        more = b""
        if zip64 or fake:
            count64, size64 = zip64 or (3, 159)
            record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count64, count64, size64, start)
            at = start + sum(map(len, self.directory))
            more = (b"----" + record[4:] if fake else record) + struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
        if fake:
            self.entry(b"last", 0, 0, 0, 0, comment=more)
            more = b""
        table = b"".join(self.directory)
        n = min(n, 65535) if count is None else count
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, n, n, len(table), start, 0)
        return bytes(self.body) + table + more + end


def _valid_zip() -> Zip:
    made = Zip()
    for name, data in draft("value").members().items():
        made.local(name.encode(), data)
    return made


@case(HOSTILE, "two members of one name")
def _(path: Path) -> None:
    made = _valid_zip()
    made.local(b"state.json", b'{"names": ["os.system"], "estimator": {"name": 0}}')
    path.write_bytes(made.bytes())


@case(HOSTILE, "a member that is encrypted")
def _(path: Path) -> None:
    made = Zip()
    for name, data in draft("value").members().items():
        made.local(name.encode(), data, flags=1 if name == "state.json" else 0)
    path.write_bytes(made.bytes())


@case(HOSTILE, "a member with another name inside")
def _(path: Path) -> None:
    made = _valid_zip()
    made.body[:] = bytes(made.body).replace(b"arrays/0.npy", b"../../../0.x", 1)
    path.write_bytes(made.bytes())


@case(ODD, "members with names that end early")
def _(path: Path) -> None:
    made = Zip()
    for name, data in draft("value").members().items():
        made.local(name.encode() + b"\0/../../escaped", data)
    path.write_bytes(made.bytes())


@case(ODD, "a pickle before the zip")
def _(path: Path) -> None:
    path.write_bytes(pickle.dumps(Runs()) + _valid_zip().bytes())


@case(ODD, "arrays that say they are links")
def _(path: Path) -> None:
    made = _valid_zip()
    made.directory[0] = made.directory[0][:38] + struct.pack("<L", 0o120777 << 16) + made.directory[0][42:]
    path.write_bytes(made.bytes())


@case(HOSTILE, "a link")
def _(path: Path) -> None:
    made = _valid_zip()
    made.entry(b"link", made.local(b"link", b"/etc/passwd"), zlib.crc32(b"/etc/passwd"), 11, 11, mode=0o120777)
    made.directory.pop(-2)
    path.write_bytes(made.bytes())


@case(HOSTILE, "members on each other")
def _(path: Path) -> None:
    made = draft("value")
    made.arrays *= 2
    members, whole = made.members(), Zip()
    at = 0
    for name, data in members.items():
        if name == "arrays/1.npy":
            whole.entry(name.encode(), at, zlib.crc32(data), len(data), len(data))
        else:
            at = whole.local(name.encode(), data)
    path.write_bytes(whole.bytes())


@case(HOSTILE, "a zip on several disks")
def _(path: Path) -> None:
    data = bytearray(_valid_zip().bytes(zip64=(3, 200)))
    data[-22 - 4 : -22] = struct.pack("<L", 9)
    path.write_bytes(data)


@case(HOSTILE, "a table of contents beyond the file")
def _(path: Path) -> None:
    data = bytearray(_valid_zip().bytes())
    data[-6:-2] = struct.pack("<L", 2**31)
    path.write_bytes(data)


@case(HOSTILE, "a comment at the end")
def _(path: Path) -> None:
    data = bytearray(_valid_zip().bytes())
    data[-2:] = struct.pack("<H", 7)
    path.write_bytes(data + b"comment")


@case(HOSTILE, "a member that claims to begin later")
def _(path: Path) -> None:
    made = _valid_zip()
    made.directory[0] = made.directory[0].replace(
        struct.pack("<2L", 0, 0) + b"arrays/0", struct.pack("<2L", 0, 99) + b"arrays/0"
    )
    path.write_bytes(made.bytes())


# --- bombs in the zip -----------------------------------------------------------------------------------------------


def _packed(method: int) -> bytes:
    """1 GiB of zeros, or what claims to be."""
    if method == zipfile.ZIP_DEFLATED:
        pack = zlib.compressobj(9, zlib.DEFLATED, -15)
        block = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)
        return block * 1024 + pack.flush(zlib.Z_FINISH)
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("x", bytes(2**22))
        info = archive.getinfo("x")
        file.seek(info.header_offset + 31)
        return file.read(info.compress_size)


for _name, _method in {"deflate": 8, "bzip2": 12, "lzma": 14}.items():
    for _member in ("state.json", "manifest.json", "arrays/0.npy"):

        def _write(path: Path, method: int = _method, member: str = _member) -> None:
            made = Zip()
            for name, data in draft("value").members().items():
                if name == member:
                    made.local(name.encode(), _packed(method), method=method, size=2**30)
                else:
                    made.local(name.encode(), data)
            path.write_bytes(made.bytes())

        BOMBS[f"1 GiB by {_name} in {_member}"] = _write


def _many(n: int, **numbers: Any) -> Case:
    def write(path: Path) -> None:
        made = _valid_zip()
        line = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0)
        made.directory += [line + b"%07x" % i for i in range(n)]
        path.write_bytes(made.bytes(**numbers))

    return write


BOMBS["200,000 members"] = _many(200_000)
BOMBS["200,000 members that say they are 3"] = _many(200_000, count=3)
BOMBS["200,000 members in a zip64"] = _many(200_000, zip64=(200_003, 200_000 * 53))
BOMBS["200,000 members in a zip64 that says 3"] = _many(200_000, zip64=(3, 200_000 * 53))
BOMBS["200,000 members beside what looks like zip64"] = _many(200_000, fake=True)
BOMBS["1,000,000 members beside what looks like zip64"] = _many(1_000_000, fake=True)
BOMBS["48,000 members that say they are 3"] = _many(48_000, count=3)


@case(BOMBS, "a zip64 record elsewhere")
def _(path: Path) -> None:
    # newer zipfiles go where the locator points; what stands right before it may say less
    n = 400_000
    line = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0)
    table = b"".join(line + b"%07x" % i for i in range(n))
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44 + 56, 45, 45, 0, 0, n, n, len(table), 0)
    decoy = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, 159, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(table), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(table + record + decoy + locator + end)


@case(BOMBS, "a table of contents of notes")
def _(path: Path) -> None:
    made = _valid_zip()
    for i in range(600):
        made.entry(b"x%d" % i, 0, 0, 0, 0, extra=struct.pack("<HH", 9, 60_000) + bytes(60_000), comment=bytes(65_000))
    path.write_bytes(made.bytes())


@case(BOMBS, "10,000 members in one place")
def _(path: Path) -> None:
    data, made = npy(np.zeros(10**6)), Zip()
    digest = hashlib.sha256(data).hexdigest()
    manifest = draft("value").manifest | {"sha256": {f"arrays/{i}.npy": digest for i in range(10_000)}}
    at = made.local(b"arrays/0.npy", data)
    crc = zlib.crc32(data)
    for i in range(1, 10_000):
        made.entry(b"arrays/%d.npy" % i, at, crc, len(data), len(data))
    made.local(b"state.json", b"{}")
    made.local(b"manifest.json", json.dumps(manifest).encode())
    path.write_bytes(made.bytes())


@case(BOMBS, "a member of 1 TiB in a file of 2 KiB")
def _(path: Path) -> None:
    made = Zip()
    for name, data in draft("value").members().items():
        made.local(name.encode(), data)
    name, at = b"arrays/0.npy", 0
    made.directory.pop(0)
    made.entry(name, at, 0, 2**40, 2**40)
    path.write_bytes(made.bytes())


@case(BOMBS, "a member of 1 TiB in a file with a hole")
def _(path: Path) -> None:
    members = draft("value").members()
    made = Zip()
    made.local(b"state.json", members["state.json"])
    made.local(b"manifest.json", members["manifest.json"])
    made.entry(b"arrays/0.npy", len(made.body), 0, 2**40, 2**40)
    first = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 2**32 - 1, 2**32 - 1, 12, 0) + b"arrays/0.npy"
    table = b"".join(made.directory)
    start = len(made.body) + len(first) + 2**40
    record = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, len(table), start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + len(table), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, 2**32 - 1, 2**32 - 1, 0)
    with open(path, "wb") as file:
        file.write(bytes(made.body) + first)
        file.seek(start)
        file.write(table + record + locator + end)


@case(BOMBS, "zips in a zip")
def _(path: Path) -> None:
    inside = bytes(2**20)
    for _ in range(6):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for i in range(10):
                archive.writestr(f"{i}.zip", inside)
        inside = file.getvalue()
    members = draft("value").members() | {"arrays/1.npy": inside}
    _digests(members, lambda d: d | {"arrays/1.npy": hashlib.sha256(inside).hexdigest()})
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)


# --- bombs in arrays and JSON ---------------------------------------------------------------------------------------

for _name, _shape in {
    "10^9 elements": "(1000000000,)", "10^18 elements": "(1000000000, 1000000000)",
    "no element and a huge side": "(0, 4611686018427387904, 4611686018427387904)",
    "sides of 4000 digits": f"({'9' * 4000},)", "one element in 3000 axes": f"({'1,' * 3000})",
}.items():  # fmt: skip
    changed(BOMBS, f"array of {_name}", "value",
            lambda d, s=_shape: d.arrays.__setitem__(0, header(_FLOATS.replace("(6,)", s))))  # fmt: skip
changed(
    BOMBS,
    "array of one huge element",
    "value",
    lambda d: d.arrays.__setitem__(0, header(_FLOATS.replace("<f8", "|V2147483647").replace("6,", ""))),
)
changed(
    BOMBS,
    "array of no element of a huge type",
    "value",
    lambda d: d.arrays.__setitem__(0, header(_FLOATS.replace("<f8", "(9999999,9999999)f8").replace("6", "0"))),
)
changed(
    BOMBS,
    "array with a header of 60 KB",
    "value",
    lambda d: d.arrays.__setitem__(0, header(_FLOATS + " " * 60_000, bytes(48))),
)

_P = 2**61 - 1  # Python hashes an integer by its remainder of this


def _colliding(n: int) -> list[Any]:
    return [{"int": hex(5 + _P * i)} for i in range(n)]


def _colliding_complex(n: int) -> list[Any]:
    numbers = (np.complex128(complex(2**50 - 1000003 * i, i)) for i in range(n))
    return [{"scalar": "<c16", "bytes": number.tobytes().hex()} for number in numbers]


holding(BOMBS, "set of 40,000 numbers of one hash", lambda: {"set": _colliding(40_000), "frozen": False})
holding(BOMBS, "dict of 40,000 keys of one hash", lambda: {"pairs": [[n, 0] for n in _colliding(40_000)]})
holding(BOMBS, "set of 40,000 complex numbers of one hash", lambda: {"set": _colliding_complex(40_000), "frozen": True})
holding(
    BOMBS,
    "set of 40,000 plain numbers of one hash",
    lambda: {"set": [5 + _P * i for i in range(40_000)], "frozen": True},
)
holding(BOMBS, "type of 500,000 columns", {"dtype": "i4," * 500_000})
holding(BOMBS, "objects of a shape that is text", {"objects": [], "shape": ["x", 10**9, 10]})
holding(BOMBS, "small array of a shape that is text",
        {"small": "<f8", "shape": ["x", 10**9, 10], "order": "C", "bytes": ""})  # fmt: skip
holding(BOMBS, "range of 10^18", {"range": [0, 10**18, 1], "x": 1})
holding(BOMBS, "objects of a shape that is a list", {"objects": [], "shape": [[0], 10**8, 10]})
holding(BOMBS, "sparse of a huge shape", *_sparse("csr_matrix", [10**12, 10**12], [0, 1], [0, 1, 2]))
holding(BOMBS, "integer of 10^8 digits", lambda: {"int": "f" * 10**8})
holding(BOMBS, "float of 5 * 10^7 digits", lambda: {"float": "1" * 5 * 10**7 + "x"})


def _split(parts: tuple[Any, ...]) -> tuple[Any, list[np.ndarray]]:
    return parts[0], list(parts[1:])


def _deep(opened: bytes, closed: bytes, depth: int) -> Callable[[bytes], bytes]:
    return lambda text: text.replace(b'"HERE"', opened * depth + b"1" + closed * depth)


for _depth in (450, 100_000, 900_000):
    _json(f"lists {_depth:,} deep", _deep(b"[", b"]", _depth), BOMBS)
    _json(f"tuples {_depth:,} deep", _deep(b'{"tuple":[', b"]}", _depth), BOMBS)
    _json(f"dicts {_depth:,} deep", _deep(b'{"dict":{"a":', b"}}", _depth), BOMBS)
_json("all sorts 300 deep", _deep(b'{"ordered":{"dict":{"a":[{"tuple":[', b"]}]}}}", 300), BOMBS)


def _wide(item: bytes, n: int) -> Callable[[bytes], bytes]:
    # the end is an error, so that such a file could not be taken for a good one
    return lambda text: text.replace(b'"HERE"', b"[" + (item + b",") * n + b'{"unknown":1}]')


_json("1,990,000 lists", _wide(b"[]", 1_990_000), BOMBS)
_json("7,900,000 numbers", _wide(b"1", 7_900_000), BOMBS)
_json("7,900,000 texts", _wide(b'""', 7_900_000), BOMBS)


def _full(name: str, node: Any, *arrays: np.ndarray, kind: str = "value") -> None:
    """Add the case of a list of as many equal nodes as a file may hold; arrays that they refer to begin at 1."""

    def change(made: Draft) -> None:
        made.arrays += [npy(array) for array in arrays]
        text = json.dumps(node)
        fit = (MAX_JSON_CONTAINERS - 50) // (text.count("{") + text.count("["))
        made.text = _wide(text.encode(), fit)(made.members()["state.json"])

    changed(BOMBS, f"as many as may be: {name}", kind, change)


_MANY, _INDEX = np.ones(10**6), np.arange(10**6, dtype=np.int32)
for _name, _node, _arrays in [
    ("lists", [], []),
    ("tuples", {"tuple": []}, []),
    ("sets", {"set": [], "frozen": True}, []),
    ("integers", {"int": "0x1"}, []),
    ("names", {"name": 0}, []),
    ("types", {"dtype": "<f8"}, []),
    ("scalars", {"scalar": "<f8", "bytes": "00" * 8}, []),
    ("arrays of objects", {"objects": [], "shape": [0]}, []),
    ("small masked arrays", {"masked": [{"array": 1}, {"array": 1}, None]}, [np.ones(3)]),
    ("masked arrays", {"masked": [{"array": 1}, {"array": 1}, None]}, [_MANY]),
    ("small sparse matrices", *_split(_sparse("csr_matrix", [1, 3], [0, 2], [0, 2]))),
    ("sparse matrices", {"sparse": "csr_matrix", "shape": [1, 10**6], "parts": [{"array": i} for i in (1, 2, 3)]},
     [_MANY, _INDEX, np.array([0, 10**6])]),
    ("estimators", {"object": 0, "state": {"dict": {}}, "number": 7}, []),
    ("bunches", {"bunch": {"dict": {}}, "number": 7}, []),
]:  # fmt: skip
    _full(_name, _node, *_arrays)
_json(
    "a dict of 4,000,000 keys",
    lambda t: t.replace(
        b'"HERE"', b'{"dict":{' + b",".join(b'"%d":1' % i for i in range(4 * 10**6)) + b',"x":{"unknown":1}}}'
    ),
    BOMBS,
)
_json("a text of 10^8 characters", lambda t: t.replace(b'"HERE"', b'{"' + b"x" * 10**8 + b'":1}'), BOMBS)
_json("a manifest's worth of brackets", lambda t: b"[" * 250_000_000, BOMBS)
changed(BOMBS, "1,000,000 names", "value", lambda d: d.names.extend(f"sklearn.pipeline.x{i}" for i in range(10**6)))
changed(BOMBS, "1,000,000 times one name", "value", lambda d: d.names.extend(["numpy.nothing"] * 10**6))
changed(BOMBS, "a name of 10^7 characters", "value", lambda d: d.names.append("a." * 5_000_000))


@case(BOMBS, "a manifest that is deep")
def _(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", b"[" * 1_200_000 + b"]" * 1_200_000)


@case(BOMBS, "20,000 arrays")
def _(path: Path) -> None:
    made = draft("value")
    made.arrays *= 19_998
    made.put({"unknown": 1})
    made.write(path)


_OF_FUNCTION = (
    "func", "inverse_func", "validate", "accept_sparse", "check_inverse", "feature_names_out", "kw_args", "inv_kw_args"
)  # fmt: skip


# --- bombs in networks ----------------------------------------------------------------------------------------------


def _outline(**values: Any) -> Callable[[Draft], Any]:
    return lambda made: made.outline.update(values)


changed(BOMBS, "hidden layers of 10^9 units", "table", _set("encoder", hidden={"tuple": [10**9, 10**9]}))
changed(BOMBS, "hidden layers of 10^18 units", "table", _set("encoder", hidden={"tuple": [10**18, 10**18]}))
changed(BOMBS, "1,000,000 hidden layers", "table", _set("encoder", hidden=[1] * 10**6))
changed(BOMBS, "a code of 10^12", "table", _set("encoder", n_components=10**12))
changed(BOMBS, "a code of 10^400", "table", _set("encoder", n_components={"int": hex(10**400)}))
changed(BOMBS, "a ConvNet of width 10^9", "images", lambda d: d.nodes("object")[0]["state"]["dict"].update(width=10**9))
changed(
    BOMBS,
    "a ResNet of depth 10^9",
    "images",
    _set("encoder", backbone=_object("skrep.backbones.ResNet", depth=10**9, stem=None)),
)
changed(BOMBS, "rows of 10^12", "table", _outline(shape={"tuple": [10**12]}))
changed(BOMBS, "images of 10^6 x 10^6", "images", _outline(shape={"tuple": [10**6, 10**6, 3]}))
changed(BOMBS, "images of 10^30 channels", "images", _outline(shape={"tuple": [8, 8, {"int": hex(10**30)}]}))
changed(BOMBS, "rows of no column", "table", _outline(shape={"tuple": [0]}))
changed(BOMBS, "rows of -4 columns", "table", _outline(shape={"tuple": [-4]}))
changed(BOMBS, "rows of 4.0 columns", "table", _outline(shape={"tuple": [4.0]}))
changed(BOMBS, "a width of 10^12", "fitted backbone", _outline(facts=[{"tuple": ["width", 10**12]}]))
_callback = {"callbacks": [{"name": "torch.nn.Linear"}],
             "net_params": {"dict": {"callbacks__Linear__in_features": 10_000, "callbacks__Linear__out_features": 10_000}}}  # fmt: skip # noqa: E501
changed(BOMBS, "a callback that is a large network", "table", _set("encoder", **_callback))


def _doubled(depth: int) -> Any:
    """An estimator in which the same one stands twice, in which the same one stands twice, and so on."""
    cls = "sklearn.compose.TransformedTargetRegressor"
    made: Any = _object("sklearn.preprocessing.FunctionTransformer", 200, **dict.fromkeys(_OF_FUNCTION))
    for i in range(depth):
        number = made["number"]
        more = {"func": None, "inverse_func": None, "check_inverse": True}
        made = _object(cls, 201 + i, regressor=made, transformer={"same": number}, **more)
    return made


def _doubled_modules(depth: int) -> Any:
    made: Any = _module("torch.nn.Identity", 300)
    for i in range(depth):
        made = _module("torch.nn.Sequential", 301 + i, modules={"0": made, "1": {"same": made["number"]}})
    return made


changed(ODD, "estimators doubled 30 times", "table", _set("encoder", noise=_doubled(30)))
changed(BOMBS, "modules doubled 25 times", "fitted backbone", _set("encoder", backbone=_doubled_modules(25)))


def _untold(made: Draft, depth: int) -> None:
    made.state("encoder")["backbone"] = _doubled_modules(depth)
    _outline(facts=[])(made)


changed(BOMBS, "modules doubled 25 times, of no known width", "fitted backbone", lambda d: _untold(d, 25))


@case(BOMBS, "a recurrent network over 10^7 steps")
def _(path: Path) -> None:
    made = draft("fitted backbone")
    attributes = draft("backbone").nodes("module")[2]
    parameters = attributes["state"]["parameters"]
    for value in parameters.values():
        value[0]["tensor"] += len(made.arrays)
    made.arrays += draft("backbone").arrays
    steps = _module("torch.nn.Unflatten", 301, attributes={"dim": 1, "unflattened_size": {"tuple": [10**7, 1]}})
    lstm = _module("torch.nn.LSTM", 302, parameters=parameters, attributes=attributes["state"]["attributes"]["dict"])
    made.state("encoder")["backbone"] = _module("torch.nn.Sequential", 303, modules={"0": steps, "1": lstm})
    _outline(shape={"tuple": [10**7]}, width=None)(made)
    made.write(path)


def _of_many_layers(made: Draft) -> None:
    modules = {str(i): _module("torch.nn.Identity", 300 + i) for i in range(100_000)}
    made.state("encoder")["backbone"] = _module("torch.nn.Sequential", 299, modules=modules)


changed(BOMBS, "a backbone of 100,000 layers", "fitted backbone", _of_many_layers)


def _repeated(name: str, kind: str, find: Callable[[Draft], list[Any]], most: int = MAX_JSON_CONTAINERS) -> None:
    """Add the case of a list of the nodes of a file, the last of them as often as may be."""

    @case(BOMBS, name)
    def _(path: Path) -> None:
        made, of_function = draft(kind), dict.fromkeys(_OF_FUNCTION)
        nodes = find(made)
        made.root = _object("sklearn.preprocessing.FunctionTransformer", 399, **of_function | {"kw_args": nodes})
        made.members()  # names become positions
        first, last = json.dumps(nodes[:-1])[1:-1], json.dumps(nodes[-1])
        fit = (MAX_JSON_CONTAINERS - 50 - len(re.findall(r"[\[{]", first))) // len(re.findall(r"[\[{]", last))
        made.root["state"]["dict"]["kw_args"] = "HERE"
        whole = _wide(last.encode(), min(fit, most))(made.members()["state.json"])
        made.text = whole.replace(b'"kw_args": [', b'"kw_args": [' + (first.encode() + b"," if first else b""))
        made.write(path)


_repeated("3000 networks", "table", lambda d: [d.root], 3000)
_repeated("as many as may be: networks", "table", lambda d: [d.root], MAX_NETWORKS - 1)
_repeated("as many as may be: deep networks", "deep", lambda d: [d.root], MAX_NETWORKS - 1)
_repeated("as many as may be: RandomStates", "numbers", lambda d: d.nodes("compiled"))
_repeated("as many as may be: trees", "tree", lambda d: d.nodes("compiled"))


def _of_one_backbone(made: Draft) -> list[Any]:
    modules = {str(i): _module("torch.nn.Identity", 300 + i) for i in range(MAX_MODULES - 10)}
    modules["0"] = made.state("encoder")["backbone"]["state"]["modules"]["0"]
    first, rest = made.root, json.loads(json.dumps(made.root))
    first["state"]["dict"]["backbone"] = _module("torch.nn.Sequential", 299, modules=modules)
    rest["state"]["dict"]["backbone"] = {"same": 299}
    return [first, rest]


_repeated("as many as may be: networks of one large backbone", "fitted backbone", _of_one_backbone, MAX_NETWORKS - 2)


# --- training runs: the same readers, without objects ---------------------------------------------------------------

RUNS: dict[str, Case] = {}


def _run(name: str, content: Any) -> None:
    @case(RUNS, name)
    def _(path: Path) -> None:
        made = draft("value")
        made.text = json.dumps({"dict": {"module": content}}).encode()
        made.manifest["kind"] = "training run"
        made.write(path)


_run("a run with a name", {"name": 0})
_run("a run with an object", _object("sklearn.pipeline.Pipeline") | {"object": 0})
_run("a run with an encoder", {"encoder": 0, "state": {"dict": {}}, "network": None, "number": 0})
_run("a run with a module", _module("torch.nn.Linear") | {"module": 0})
_run("a run with an unknown kind", {"pickle": "gASVJQ=="})
_run("a run with a mask of another size", {"masked": [[1, 2, 3], [True, False], None]})
_run("a run with 40,000 numbers of one hash", {"set": _colliding(40_000), "frozen": False})
_run("a run of lists 450 deep", functools.reduce(lambda inside, _: [inside], range(450), 1))
_run("a run with an impossible sparse matrix", {"sparse": "csr_matrix", "shape": [-1, -1], "parts": [[1], [1], [1]]})


@case(RUNS, "an estimator as a run")
def _(path: Path) -> None:
    draft("table").write(path)


# --- the program that loads them ------------------------------------------------------------------------------------

# What only runs or writes; compile and exec are also what an import does.
_EVENTS = (
    "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "subprocess.Popen", "pickle.find_class",
    "marshal.loads", "ctypes.dlopen", "socket.connect", "os.remove", "os.rename", "os.mkdir", "os.symlink", "os.chmod",
    "os.truncate", "shutil.rmtree", "shutil.unpack_archive", "exec", "compile", "import", "open", "os.putenv",
)  # fmt: skip
_OURS = ("skrep", "sklearn", "torch", "numpy", "scipy", "skorch")


def _is_importing() -> bool:
    frame: Any = sys._getframe()
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


class Guard:
    """Notes what a load does beyond reading."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.watching = False
        sys.addaudithook(self)

    def __call__(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.watching or event not in _EVENTS:
            return
        if event == "open" and not (isinstance(args[1], str) and set(args[1]) & set("wax+")):
            return
        if event == "import" and args[0].split(".")[0] in _OURS and CANARY not in args[0]:
            return
        if event == "compile" and args[1] == "<unknown>":  # ast.literal_eval, which runs nothing
            return
        if event != "import" and _is_importing() and not any(e.startswith("import") for e in self.seen):
            return
        self.seen.append(f"{event} {args[0]!r}"[:100])


def _peak() -> int:
    """The most bytes that this process has held since the last call."""
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
    Path("/proc/self/clear_refs").write_text("5")
    return peak


def _held() -> int:
    return int(Path("/proc/self/status").read_text().split("VmRSS:")[1].split()[0]) * 1024


def _unpickle(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


def main() -> None:
    """Load the file of each line of the input, and answer with a line of JSON.

    It tells the CPU seconds, the bytes that were held at most, the error and its message, and what was done besides.
    """
    import resource  # which only POSIX has

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:  # so that what is imported once is, and to see that a draft is a good file
            draft(kind).write(Path(folder, "good"))
            skrep.load(Path(folder, "good"))
    guard = Guard()
    print("ready", flush=True)
    for path in map(Path, map(str.strip, sys.stdin)):
        load = {".run": read_state, ".pickle": _unpickle}.get(path.suffix, skrep.load)
        signal.alarm(SECONDS)
        _peak()
        before, error, message, began = _held(), None, "", time.process_time()
        guard.seen, guard.watching = [], True
        try:
            load(path)
        except BaseException as raised:
            error, message = type(raised).__name__, str(raised)
        guard.watching = False
        answer = {"seconds": time.process_time() - began, "bytes": max(0, _peak() - before), "error": error}
        signal.alarm(0)
        print(json.dumps(answer | {"message": message, "done": guard.seen}), flush=True)


if __name__ == "__main__":
    main()
