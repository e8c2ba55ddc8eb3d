"""Input of every kind, read in batches: validated once, converted as late as possible."""

from skrep.data.batches import Batch, ordered_batches, shuffled_batches
from skrep.data.sources import ArraySource, DatasetSource, Source
from skrep.data.validation import read_table

__all__ = ["ArraySource", "Batch", "DatasetSource", "Source", "ordered_batches", "read_table", "shuffled_batches"]
