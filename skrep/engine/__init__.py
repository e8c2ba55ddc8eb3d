"""The one training engine: it knows batches, schedules, precision and checkpoints, and no method."""

from skrep.engine.checkpoints import RunFolder, fingerprint
from skrep.engine.devices import resolve_device, resolve_precision
from skrep.engine.net import Net
from skrep.engine.randomness import draw_seed, seeded_initialisation
from skrep.engine.ranks import Ranks, join_ranks
from skrep.engine.recipe import Recipe, up_to
from skrep.engine.refit import note_rows
from skrep.engine.transaction import all_or_nothing

__all__ = [
    "Net",
    "Ranks",
    "Recipe",
    "RunFolder",
    "all_or_nothing",
    "draw_seed",
    "fingerprint",
    "join_ranks",
    "note_rows",
    "resolve_device",
    "resolve_precision",
    "seeded_initialisation",
    "up_to",
]
