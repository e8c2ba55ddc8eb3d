"""Input of every kind, read in batches: validated once, converted as late as possible."""

from skrep.data.ahead import ahead
from skrep.data.as_images import AsImages
from skrep.data.batches import Batch, evenly
from skrep.data.episodes import Episodes
from skrep.data.files import ImageFiles
from skrep.data.labels import read_groups, read_labels, refuse_groups
from skrep.data.matrix import Matrix, read_matrix
from skrep.data.outline import from_outline
from skrep.data.pairs import Pairs
from skrep.data.sequences import Crops, Sequences, SequenceSource, read_sequences
from skrep.data.sources import ArraySource, DatasetSource, ShapeSource, Source
from skrep.data.validation import read, read_images, read_rows, read_table, refuse_other_kinds, refuse_other_units

__all__ = [
    "ArraySource",
    "AsImages",
    "Batch",
    "Crops",
    "DatasetSource",
    "Episodes",
    "ImageFiles",
    "Matrix",
    "Pairs",
    "SequenceSource",
    "Sequences",
    "ShapeSource",
    "Source",
    "ahead",
    "evenly",
    "from_outline",
    "read",
    "read_groups",
    "read_images",
    "read_labels",
    "read_matrix",
    "read_rows",
    "read_sequences",
    "read_table",
    "refuse_groups",
    "refuse_other_kinds",
    "refuse_other_units",
]
