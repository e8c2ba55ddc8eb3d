"""The one training engine: it knows batches, schedules, precision and checkpoints, and no method."""

from skrep.engine.checkpoints import RunFolder, fingerprint
from skrep.engine.devices import resolve_device, resolve_precision
from skrep.engine.encode import encode
from skrep.engine.net import Net, Task
from skrep.engine.randomness import draw_seed, seeded_initialisation
from skrep.engine.ranks import Ranks, join_ranks
from skrep.engine.weights import built_without_memory, differences, put_attributes, put_weights, take_weights
from skrep.engine.work import training_operations

__all__ = [
    "Net",
    "Ranks",
    "RunFolder",
    "Task",
    "built_without_memory",
    "differences",
    "draw_seed",
    "encode",
    "fingerprint",
    "join_ranks",
    "put_attributes",
    "put_weights",
    "resolve_device",
    "resolve_precision",
    "seeded_initialisation",
    "take_weights",
    "training_operations",
]
