"""Containers of tensors: what networks get and return."""

from collections.abc import Callable
from typing import Any

__all__ = ["map_nested"]


def map_nested(change: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to the items of a dict, list, tuple or named tuple; everything else stays what it is."""
    if isinstance(value, dict):
        return {key: change(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(change, value))
    if isinstance(value, (tuple, list)):
        return type(value)(map(change, value))
    return value
