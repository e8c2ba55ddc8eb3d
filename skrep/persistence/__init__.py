"""Files that hold plain values and run no code: saved estimators, and the state of training runs."""

from skrep.persistence.container import remove_abandoned, replacing
from skrep.persistence.files import load, save
from skrep.persistence.objects import OF_MODULES, OF_RECURRENT
from skrep.persistence.values import Writer, can_store, read_state, write_state

__all__ = [
    "OF_MODULES",
    "OF_RECURRENT",
    "Writer",
    "can_store",
    "load",
    "read_state",
    "remove_abandoned",
    "replacing",
    "save",
    "write_state",
]
