"""Compiled objects inside scikit-learn's estimators, taken apart and put together with a look at every index.

Their compiled code reads where the arrays point without looking. A file must not make it read elsewhere.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["COMPILED"]

# For each kind: the class, a function from an object to plain values, and one back that checks them.
COMPILED: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {}
