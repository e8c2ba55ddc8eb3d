"""Input of every kind, read in batches: validated once, converted as late as possible."""

from skrep.data.ahead import ahead
from skrep.data.as_images import AsImages
from skrep.data.batches import Batch, ordered_batches, shuffled_batches
from skrep.data.files import ImageFiles
from skrep.data.matrix import Matrix, read_matrix
from skrep.data.sources import ArraySource, DatasetSource, ShapeSource, Source
from skrep.data.validation import read_rows, read_table, refuse_other_units

__all__ = [
    "ArraySource",
    "AsImages",
    "Batch",
    "DatasetSource",
    "ImageFiles",
    "Matrix",
    "ShapeSource",
    "Source",
    "ahead",
    "ordered_batches",
    "read_matrix",
    "read_rows",
    "read_table",
    "refuse_other_units",
    "shuffled_batches",
]
