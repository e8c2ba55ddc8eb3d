"""Every public estimator, with settings that make it quick; image methods also as methods of folded rows."""

import hashlib
import inspect
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import Tensor

import skrep
from skrep.backbones import ConvNet
from skrep.base import Encoder, TorchTransformer
from skrep.data import Source, read_table, refuse_groups
from skrep.patches import ImagePatches

ABSTRACT = {"TorchTransformer"}

# These need labels, and an encoder: see tests/supervised and tests/evaluation.
CLASSIFIERS = {"FineTuneClassifier", "FineTuneRegressor", "LinearProbe", "LinearProbeRegressor"}


def public_estimators() -> dict[str, type]:
    """Classes with fit and transform that skrep exports, by name."""
    exported = {name: getattr(skrep, name) for name in skrep.__all__}
    return {
        name: cls
        for name, cls in exported.items()
        if inspect.isclass(cls) and hasattr(cls, "fit") and name not in ABSTRACT | CLASSIFIERS
    }


class FoldedSource(Source):
    """Rows of a table as square grey images of at least 8x8 pixels, padded with zeros."""

    def __init__(self, rows: Source):
        self.rows, self.n_samples, self.y = rows, len(rows), rows.y
        side = max(8, math.isqrt(rows.shape[0] - 1) + 1)
        self.shape = (side, side, 1)

    def _fold(self, rows: Tensor) -> Tensor:
        missing = math.prod(self.shape) - rows.shape[1]
        return torch.nn.functional.pad(rows, (0, missing)).reshape(-1, *self.shape)

    def take(self, index: Tensor, device: torch.device) -> Tensor:
        return self._fold(self.rows.take(index, device))

    def chunk(self, start: int, stop: int) -> Tensor:
        return self._fold(self.rows.chunk(start, stop))

    def _narrow(self, index: Tensor) -> None:
        self.rows = self.rows.subset(index)


def folded(cls: type) -> type:
    """The class as a method of tables whose rows it sees as images: what scikit-learn's checks can be run on."""

    def read(self: Any, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> Source:
        refuse_groups(groups, type(self).__name__)
        return FoldedSource(read_table(self, X, reset=reset))

    def __sklearn_tags__(self: Any) -> Any:
        tags = cls.__sklearn_tags__(self)
        tags.input_tags.sparse = True  # as in all tables
        return tags

    members = {"read" if issubclass(cls, Encoder) else "_read": read, "__module__": __name__}
    members["__sklearn_tags__"] = __sklearn_tags__
    return type(f"{cls.__name__}OnImages", (cls,), members)  # the fields, and so __init__, are the class's own


def as_documents(cls: type) -> type:
    """The class as a method of tables: a row is a document that names its columns and says where their values are."""

    def _documents(self: Any, X: Any, *, reset: bool) -> Any:
        with np.errstate(invalid="ignore", over="ignore"):  # scikit-learn adds up infinities to find them
            X = validate_data(self, X, dtype="numeric", reset=reset, ensure_min_samples=2 if reset else 1)
        return [["row", *(f"{j}:{np.arcsinh(float(value)):.1f}" for j, value in enumerate(row))] for row in X]

    def __sklearn_tags__(self: Any) -> Any:
        tags = cls.__sklearn_tags__(self)
        tags.input_tags.string, tags.input_tags.two_d_array = False, True
        return tags

    members = {"_documents": _documents, "__sklearn_tags__": __sklearn_tags__, "__module__": __name__}
    return type(f"{cls.__name__}OfRows", (cls,), members)


def quick(cls: type, **options: Any) -> Any:
    """An instance that fits in a blink."""
    names = inspect.signature(cls).parameters
    settings = {"random_state": 0, "max_epochs": 2, "hidden": (8,), "n_components": 2} | options
    if issubclass(cls, skrep.DeepBeliefEncoder):
        settings["rbm"] = skrep.RBMEncoder(max_epochs=2)
    if issubclass(cls, skrep.PatchEncoder):
        coder = skrep.SparseCoder(settings["n_components"], algorithm="threshold", max_iter=2)
        settings |= {"coder": coder, "patches": ImagePatches(6, n_patches=200), "pooling": (1, 1)} | options
    elif cls in IMAGES.values():
        settings |= {"hidden": None} | ({} if "like" in names else {"backbone": ConvNet(2)})
    return cls(**{name: value for name, value in settings.items() if name in names})


_PICKLED: dict[tuple, bytes] = {}


def fitted(cls: type, X: np.ndarray, **options: Any) -> Any:
    """A copy of ``quick(cls, **options)`` fitted on X; a process fits each once."""
    content = hashlib.sha256(np.ascontiguousarray(X).tobytes()).hexdigest()
    key = (cls, X.shape, X.dtype.str, content, repr(sorted(options.items())))
    if key not in _PICKLED:
        _PICKLED[key] = pickle.dumps(quick(cls, **options).fit(X))
    return pickle.loads(_PICKLED[key])


IMAGE_ONLY = {"PatchEncoder": skrep.PatchEncoder}
TEXT_ONLY = {
    "MaskedLMTransformer": skrep.MaskedLMTransformer,
    "Word2VecTransformer": skrep.Word2VecTransformer,
}
NO_TABLES = IMAGE_ONLY | TEXT_ONLY
ESTIMATORS = {name: cls for name, cls in public_estimators().items() if name not in NO_TABLES}
NETWORKS = {name: cls for name, cls in ESTIMATORS.items() if issubclass(cls, Encoder)}
TRAINED = {name: cls for name, cls in ESTIMATORS.items() if issubclass(cls, TorchTransformer)}
TAKES_IMAGES = {name: cls for name, cls in NETWORKS.items() if "images" in cls().reads}
IMAGES = {f"{name}OnImages": folded(cls) for name, cls in (TAKES_IMAGES | IMAGE_ONLY).items()}
FOLDED_NETWORKS = NETWORKS | {name: cls for name, cls in IMAGES.items() if issubclass(cls, Encoder)}
DOCUMENTS = {f"{name}OfRows": as_documents(cls) for name, cls in TEXT_ONLY.items()}
FOLDED = IMAGES | DOCUMENTS

# The two tiers. What every class promises is tested on all of ESTIMATORS | FOLDED, but for the image side of those that
# read tables too. What a reader or the engine promises is tested on one class a reader; on the others by -m exhaustive.
ONE_PER_READER = {
    "AutoEncoderTransformer",  # rows, of tables and of images
    "RBMEncoder",  # tables alone
    "PCAEncoder",  # tables that may be sparse
    "SparseCoder",  # tables in memory or on disk
    "SimCLRTransformerOnImages",  # images, for a network
    "PatchEncoderOnImages",  # images, without a network
    "MaskedLMTransformerOfRows",  # texts
}
PER_CLASS = {*ESTIMATORS, *DOCUMENTS, "SimCLRTransformerOnImages", "PatchEncoderOnImages"}


def tier(classes: dict[str, type], chosen: set[str]) -> list[Any]:
    """Parameters of a test: the chosen classes in the default suite, the others marked exhaustive."""
    assert chosen & classes.keys()
    return [
        pytest.param(cls, id=name, marks=() if name in chosen else pytest.mark.exhaustive)
        for name, cls in classes.items()
    ]


for _name, _cls in FOLDED.items():
    globals()[_name] = _cls  # where pickle looks for them
assert all(issubclass(cls, BaseEstimator) for cls in FOLDED.values())
