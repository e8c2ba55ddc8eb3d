"""Every public estimator, with settings that make it quick."""

import inspect
from typing import Any

import skrep
from skrep.base import Encoder, TorchTransformer

ABSTRACT = {"TorchTransformer"}


def public_estimators() -> dict[str, type]:
    """Classes with fit and transform that skrep exports, by name."""
    exported = {name: getattr(skrep, name) for name in skrep.__all__}
    return {
        name: cls
        for name, cls in exported.items()
        if inspect.isclass(cls) and hasattr(cls, "fit") and name not in ABSTRACT
    }


def quick(cls: type, **options: Any) -> Any:
    """An instance that fits in a blink."""
    names = inspect.signature(cls).parameters
    settings = {"random_state": 0, "max_epochs": 2, "hidden": (8,), "n_components": 2} | options
    return cls(**{name: value for name, value in settings.items() if name in names})


ESTIMATORS = public_estimators()
NETWORKS = {name: cls for name, cls in ESTIMATORS.items() if issubclass(cls, Encoder)}
TRAINED = {name: cls for name, cls in ESTIMATORS.items() if issubclass(cls, TorchTransformer)}
