"""What a file keeps of data: shapes and facts, from which the network of a method is built anew."""

from typing import Any

from skrep.data.pairs import Pairs
from skrep.data.sources import ShapeSource, Source

__all__ = ["from_outline"]


def from_outline(outline: dict[str, Any]) -> Source:
    """A source without rows, of what :meth:`Source.outline` said.

    Parameters
    ----------
    outline : dict
        "shape" and "facts" of rows; or "first" and "second" of pairs, each such a dict.

    Raises
    ------
    ValueError
        If nothing could have these shapes.
    """
    if "first" in outline:
        return Pairs(_rows(outline["first"]), _rows(outline["second"]))
    return _rows(outline)


def _rows(outline: dict[str, Any]) -> ShapeSource:
    return ShapeSource(tuple(outline["shape"]), outline["facts"], outline.get("moments"))
