"""Input of every kind, read in batches: validated once, converted as late as possible."""

from skrep.data.ahead import ahead
from skrep.data.as_images import AsImages
from skrep.data.batches import Batch, evenly
from skrep.data.episodes import Episodes
from skrep.data.files import ImageFiles
from skrep.data.labels import (
    as_targets,
    labelled_rows,
    read_groups,
    read_indicators,
    read_labels,
    read_quantities,
    refuse_groups,
    report_set_aside,
    require_length,
)
from skrep.data.matrix import Matrix, read_matrix
from skrep.data.outline import from_outline
from skrep.data.pairs import Pairs
from skrep.data.sequences import Crops, Sequences, SequenceSource, read_sequences
from skrep.data.sources import ArraySource, DatasetSource, ShapeSource, Source
from skrep.data.sparse_rows import SparseSource
from skrep.data.units import units_differ, warn_of_units
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
    "SparseSource",
    "ahead",
    "as_targets",
    "evenly",
    "from_outline",
    "labelled_rows",
    "read",
    "read_groups",
    "read_images",
    "read_indicators",
    "read_labels",
    "read_matrix",
    "read_quantities",
    "read_rows",
    "read_sequences",
    "read_table",
    "refuse_groups",
    "refuse_other_kinds",
    "refuse_other_units",
    "report_set_aside",
    "require_length",
    "units_differ",
    "warn_of_units",
]
