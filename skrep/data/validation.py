"""What a user passes as X, checked once and turned into a :class:`~skrep.data.Source`."""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from skrep.data.columns import refuse_columns
from skrep.data.sequences import read_sequences
from skrep.data.sources import ArraySource, DatasetSource, Source, is_memory_mapped, tensor_to_array
from skrep.data.sparse_rows import SparseSource, dense, in_rows, with_values

__all__ = ["read", "read_images", "read_rows", "read_table", "refuse_other_kinds", "refuse_other_units"]

LARGEST = float(np.finfo(np.float32).max)

# A last axis of more than this many channels, with this few on the second, is a channels-first array.
MAX_CHANNELS = 4


def read(estimator: Any, X: Any, *, reset: bool) -> Source:
    """Validate rows of a kind that the estimator reads, and return them as a source.

    Parameters
    ----------
    estimator : estimator
        Its ``reads`` names the kinds: "table", "images", both, or "sequences".
    X : array-like, list, DataFrame, torch.Tensor, ImageFiles or torch.utils.data.Dataset
        The rows.
    reset : bool
        True in ``fit``.

    Returns
    -------
    Source

    Raises
    ------
    ValueError, TypeError
        If `X` is of another kind, or cannot be used; one message with what was got, what was expected and the fix.
    """
    readers = {
        ("table",): read_table,
        ("images",): read_images,
        ("table", "images"): read_rows,
        ("sequences",): read_sequences,
    }
    source: Source = readers[tuple(estimator.reads)](estimator, X, reset=reset)
    return source


def read_rows(estimator: Any, X: Any, *, reset: bool) -> Source:
    """Validate a table or a set of images and return it as a source.

    Images have four axes (n_samples, height, width, channels); everything else is read as a table.

    Parameters
    ----------
    estimator : estimator
        Its ``image_shape_``, or ``n_features_in_`` and ``feature_names_in_``, are set (`reset`) or compared with `X`.
    X : array-like, torch.Tensor, ImageFiles or torch.utils.data.Dataset
        Numbers, finite, within float32's range.
    reset : bool
        True in ``fit``: at least two rows are then needed.

    Returns
    -------
    Source

    Raises
    ------
    ValueError, TypeError
        One message with what was got, what was expected and the fix.
    """
    X, are_images = _look_for_images(X)
    if not reset and are_images != hasattr(estimator, "image_shape_"):
        name = type(estimator).__name__
        if are_images:
            raise ValueError(
                f"{name} was fitted on a table of {estimator.n_features_in_} features and got images of shape "
                f"{_shape_of(X)}. Pass rows, or fit on images."
            )
        raise ValueError(
            f"{name} was fitted on images of shape {estimator.image_shape_} (height, width, channels) and got X of "
            f"shape {_shape_of(X)}. Pass images (n_samples, height, width, channels); skrep.data.AsImages folds rows "
            "of pixels."
        )
    if are_images:
        return read_images(estimator, X, reset=reset)
    source = read_table(estimator, X, reset=reset)
    if reset:
        for attribute in ("image_shape_", "_pixel_range"):
            estimator.__dict__.pop(attribute, None)
    return source


def _shape_of(X: Any) -> tuple[int, ...]:
    rows: Any = X
    if isinstance(X, torch.utils.data.Dataset):
        return (len(rows), *np.shape(_first(rows)))
    return tuple(np.shape(rows))


def _first(dataset: Any) -> Any:
    item = dataset[0]
    return item[0] if isinstance(item, (tuple, list)) else item


def _look_for_images(X: Any) -> tuple[Any, bool]:
    """X, stacked if it is a list of images, and whether it is read as images."""
    if isinstance(X, torch.utils.data.Dataset):
        sized = hasattr(X, "__len__") and hasattr(X, "__getitem__") and len(X) > 0
        return X, sized and np.ndim(_first(X)) == 3
    if isinstance(X, (list, tuple)) and X and hasattr(X[0], "getbands"):  # Pillow's images
        X = [np.atleast_3d(np.asarray(item)) for item in X]
    if isinstance(X, (list, tuple)) and X and all(getattr(item, "ndim", 0) == 3 for item in X):
        for i, item in enumerate(X):
            if item.shape != X[0].shape:
                raise ValueError(
                    f"image {i} of the list has shape {tuple(item.shape)}, image 0 has {tuple(X[0].shape)}: all images "
                    "must have one size. Resize them first, for example with Pillow's Image.resize."
                )
        X = np.stack([tensor_to_array(item) if isinstance(item, torch.Tensor) else item for item in X])
    return X, len(getattr(X, "shape", ())) == 4


def read_images(estimator: Any, X: Any, *, reset: bool) -> Source:
    """Validate a set of images and return it as a source.

    Parameters
    ----------
    estimator : estimator
        Its ``image_shape_`` is set (`reset`) or compared with that of `X`.
    X : array-like, list, ImageFiles, torch.Tensor or torch.utils.data.Dataset
        Images, (n_samples, height, width, channels), finite.
    reset : bool
        True in ``fit``: at least two images are then needed.

    Returns
    -------
    Source

    Raises
    ------
    ValueError, TypeError
        One message with what was got, what was expected and the fix.
    """
    X, are_images = _look_for_images(X)
    if not are_images:
        name = type(estimator).__name__
        refuse_other_kinds(X, name, ("images",))
        shape = _shape_of(X)
        like = "" if reset else f" of shape {estimator.image_shape_}"
        fix = {
            2: "Fold rows of pixels with skrep.data.AsImages((height, width)), as the step before it in a Pipeline.",
            3: "Grey images need an axis for the channel: X[..., np.newaxis].",
        }.get(len(shape), "")
        raise ValueError(
            f"{name} takes images{like} (n_samples, height, width, channels), got X of shape {shape}. {fix}".strip()
        )
    name = type(estimator).__name__
    source: Source
    if isinstance(X, torch.utils.data.Dataset):
        source = DatasetSource(X)
        _refuse_channels_first((len(source), *source.shape), name)
    else:
        X = tensor_to_array(X) if isinstance(X, torch.Tensor) else np.asanyarray(X)
        if isinstance(X, np.ma.MaskedArray):
            raise ValueError(f"{name} got masked images. Fill them first, for example with X.filled(0).")
        _refuse_channels_first(X.shape, name)
        source = ArraySource(_as_trainable_images(X, name))
    shape = source.shape
    if len(source) < (2 if reset else 1):
        raise ValueError(
            f"Found array with {len(source)} sample(s) (shape={(len(source), *shape)}) while a minimum of "
            f"{2 if reset else 1} is required by {name}."
        )
    if 0 in shape:
        raise ValueError(f"{name} got images of shape {shape} (height, width, channels), without a pixel.")
    if reset:
        estimator.image_shape_ = shape
        estimator._pixel_range = source.pixel_range()
        for attribute in ("n_features_in_", "feature_names_in_"):
            estimator.__dict__.pop(attribute, None)
    elif shape != estimator.image_shape_:
        raise ValueError(
            f"X has images of shape {shape} (height, width, channels), but {name} is expecting "
            f"{estimator.image_shape_}. Resize them, or fit on images of this size."
        )
    else:
        refuse_other_units(source, estimator._pixel_range, name)
    return source


def refuse_other_units(images: Source, pixel_range: tuple[float, float], name: str) -> None:
    """Bytes from 0 to 255 where floats up to 1 were fitted, or the other way round, are a mistake."""
    first = images.chunk(0, min(64, len(images)))
    if first.dtype == torch.uint8 and pixel_range == (0.0, 1.0):
        raise ValueError(
            f"{name} was fitted on images from 0 to 1 and got uint8, from 0 to 255. Convert them as the images in fit "
            "were, for example by X / 255."
        )
    if first.dtype != torch.uint8 and pixel_range == (0.0, 255.0) and 0 < float(first.max()) <= 1:
        raise ValueError(
            f"{name} was fitted on images from 0 to 255 and got floats of at most 1. Pass uint8, for example "
            "(255 * X).astype(numpy.uint8)."
        )


def _refuse_channels_first(shape: tuple[int, ...], name: str) -> None:
    if shape[1] <= MAX_CHANNELS < shape[3]:
        raise ValueError(
            f"{name} got X of shape {shape}, which looks like channels first; images are (n_samples, height, width, "
            "channels). Pass X.transpose(0, 2, 3, 1); of a tensor X.permute(0, 2, 3, 1); in a Dataset's __getitem__ "
            "image.permute(1, 2, 0)."
        )


def _as_trainable_images(X: np.ndarray, name: str) -> np.ndarray:
    """uint8 and memory maps as they are, the rest as float32, after a look at every value."""
    if X.dtype == np.uint8:
        return X
    if X.dtype.kind not in "buif":
        raise ValueError(f"{name} got images of dtype {X.dtype}; expected uint8 or floats.")
    for start, chunk in _chunks(X):
        finite = np.isfinite(chunk)
        if not finite.all():
            bad = start + int((~finite).reshape(len(chunk), -1).any(1).argmax())
            raise ValueError(f"Input X contains NaN or infinity in image {bad}. Clean or leave out such images.")
        # the spread of the values must be a float32 as well
        if chunk.size and float(np.abs(chunk, dtype=np.float64).max()) > LARGEST / 4:
            raise ValueError(
                f"Input X contains a value too large for dtype('float32') in which {name} computes. Rescale the images "
                "to [0, 1]."
            )
    if is_memory_mapped(X):
        return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))
    return np.ascontiguousarray(X, dtype=np.float32)


def _chunks(X: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    rows = max(1, 2**23 // max(1, int(np.prod(X.shape[1:]))))
    for start in range(0, len(X), rows):
        yield start, X[start : start + rows]


def read_table(estimator: Any, X: Any, *, reset: bool) -> Source:
    """Validate a table and return it as a source.

    Parameters
    ----------
    estimator : estimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set (`reset`) or compared with those of `X`.
    X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
        Numbers, finite, within float32's range.
    reset : bool
        True in ``fit``: at least two rows are then needed.

    Returns
    -------
    Source

    Raises
    ------
    ValueError, TypeError
        One message with what was got, what was expected and the fix.
    """
    if isinstance(X, Source):  # what another estimator has read
        if reset:
            estimator.n_features_in_ = X.shape[0]
        return X.anew()
    if isinstance(X, torch.utils.data.Dataset):
        return read_dataset(estimator, X, reset=reset)
    X = check_table(estimator, X, reset=reset, ensure_min_samples=2 if reset else 1)
    name = type(estimator).__name__
    if reset:
        _refuse_lost_columns(X, name)
    X = _as_trainable(X, name)
    return SparseSource(X) if issparse(X) else ArraySource(X)


def check_table(estimator: Any, X: Any, *, reset: bool, **rules: Any) -> Any:
    """``validate_data`` for numbers of any type (`rules` are passed on), with skrep's messages.

    Sparse matrices come back as :func:`~skrep.data.sparse_rows.in_rows` makes them.
    """
    name = type(estimator).__name__
    if isinstance(X, torch.Tensor):
        X = tensor_to_array(X)
    if isinstance(X, np.ma.MaskedArray):
        raise ValueError(f"{name} got a masked array. Fill it first, for example with X.filled(0).")
    refuse_other_kinds(X, name, getattr(estimator, "reads", ("table",)))
    X = in_rows(X) if issparse(X) else X
    try:
        # the sum in the check for NaN may itself overflow
        with np.errstate(over="ignore", invalid="ignore"):
            return validate_data(estimator, X, reset=reset, dtype="numeric", accept_sparse="csr", **rules)
    except ValueError as error:
        if "could not convert" in str(error) or "dtype='numeric' is not compatible" in str(error):
            raise ValueError(
                f"{name} got values that are not numbers ({error}). Encode text columns first, for example with "
                "sklearn.preprocessing.OneHotEncoder inside a ColumnTransformer."
            ) from None
        raise


# What an estimator that reads a kind of input takes.
EXPECTED = {
    "table": "a table (n_samples, n_features)",
    "images": "images (n_samples, height, width, channels)",
}


def refuse_other_kinds(X: Any, name: str, reads: Sequence[str]) -> None:
    """Raise one ValueError for a path, texts, sequences, or an array of other than two axes that is not images.

    Parameters
    ----------
    X : object
        What a user passes.
    name : str
        The estimator, for the message.
    reads : sequence of {"table", "images"}
        What it takes.
    """
    expected = " or ".join(EXPECTED[kind] for kind in reads if kind in EXPECTED) or EXPECTED["table"]
    if isinstance(X, (str, os.PathLike)):
        raise ValueError(
            f"{name} takes {expected}, got the {type(X).__name__} {str(X)[:60]!r}. Read the file first: numpy.load, "
            "pandas.read_csv, skrep.data.ImageFiles for a folder of images, skrep.text.TextLines for lines of text."
        )
    if type(X) in (bytes, set, frozenset, dict):
        raise ValueError(f"{name} takes {expected}, got a {type(X).__name__}.")
    first = _first_of(X)
    if isinstance(first, (str, bytes)):
        raise ValueError(
            f"{name} takes {expected}, got texts: values that are not numbers, such as {first[:40]!r}. "
            "MaskedLMTransformer and Word2VecTransformer take texts; TfidfVectorizer makes a table of them."
        )
    if isinstance(first, np.ndarray) and first.ndim < 3 and _lengths_differ(X):
        raise ValueError(
            f"{name} takes {expected}, got a list of {len(X)} arrays of different lengths. Cut or pool them to one "
            "length first."
        )
    if "table" not in reads:
        return
    refuse_columns(X, name)
    shape: tuple[int, ...] = tuple(getattr(X, "shape", (0, 0)))
    n_axes = len(shape)
    if n_axes == 3 and "images" in reads:
        raise ValueError(
            f"Found array with dim 3: got shape {shape}, which could be grey images or sequences. {name} takes "
            f"{expected}: for grey images add the channel axis, X[..., np.newaxis]."
        )
    if n_axes == 3:
        raise ValueError(
            f"Found array with dim 3, while dim <= 2 is required by {name}: got shape {shape}, which could be "
            "grey images or sequences. For a table of flattened rows pass X.reshape(len(X), -1); for images add the "
            "channel axis, X[..., np.newaxis], and use an estimator that takes images."
        )
    if n_axes > 3:
        raise ValueError(
            f"Found array with dim {n_axes}, while dim <= 2 is required by {name}: got shape {shape}. "
            "Pass X.reshape(len(X), -1) to treat each image as a row of numbers."
        )


def _first_of(X: Any) -> Any:
    """The first item of a list or of a column; None for everything else."""
    if isinstance(X, (list, tuple)):
        return X[0] if X else None
    if issparse(X):
        return None
    is_column = len(getattr(X, "shape", ())) == 1 and len(X) and getattr(X, "dtype", None) is not None
    return np.asarray(X[:1]).ravel()[0] if is_column and not isinstance(X, torch.Tensor) else None


def _lengths_differ(X: Any) -> bool:
    return len({np.shape(item) for item in X}) > 1


def _refuse_lost_columns(X: Any, name: str) -> None:
    """Small differences of large numbers (time stamps, say) would vanish in float32."""
    if X.dtype.kind not in "fiu" or X.dtype.itemsize <= 4 or is_memory_mapped(X):
        return
    high, low = (dense(ends).ravel().astype(np.float64) for ends in (X.max(0), X.min(0)))  # (n_features,)
    size = np.maximum(np.abs(high), np.abs(low))
    with np.errstate(over="ignore"):
        spread = high - low
    lost = (spread < 16 * np.finfo(np.float32).eps * size) & (spread > 1e-10 * size)
    if lost.any():
        column = int(lost.argmax())
        raise ValueError(
            f"column {column} of X goes from {low[column]:.10g} to {high[column]:.10g}: float32, in which {name} "
            "computes, cannot tell such values apart. Centre the columns first, for example with "
            "sklearn.preprocessing.StandardScaler."
        )


def _as_trainable(X: Any, name: str) -> Any:
    """float32 (uint8 and memory maps stay what they are: each batch is converted when it is read)."""
    if issparse(X):
        return with_values(X, _as_trainable(X.data[:, np.newaxis], name).ravel())  # (n_values,) -> (n_values, 1)
    mapped = is_memory_mapped(X)
    if X.dtype.kind == "f" and X.dtype.itemsize > 4 and X.size:
        # chunks of rows, so that a memory map larger than memory is not read at once
        rows = max(1, 2**23 // max(1, X.shape[1]))
        largest = max(float(np.abs(X[i : i + rows]).max()) for i in range(0, len(X), rows))
        if largest > LARGEST:
            raise ValueError(
                f"Input X contains a value of magnitude {largest:.3g}, too large for dtype('float32') in which {name} "
                f"computes (at most {LARGEST:.3g}). Rescale it first, for example with "
                "sklearn.preprocessing.StandardScaler."
            )
    if mapped or X.dtype == np.uint8:
        return X if X.dtype.isnative else X.astype(X.dtype.newbyteorder("="))
    return np.ascontiguousarray(X, dtype=np.float32)


def read_dataset(estimator: Any, X: Any, *, reset: bool) -> Source:
    """A Dataset of rows, as :func:`read_table` returns it."""
    name = type(estimator).__name__
    if not hasattr(X, "__len__") or not hasattr(X, "__getitem__"):
        raise TypeError(
            f"{name} got an iterable-style Dataset ({type(X).__name__}); it needs a map-style one, with "
            "__len__ and __getitem__."
        )
    if len(X) < (2 if reset else 1):
        raise ValueError(
            f"Found a Dataset with {len(X)} sample(s) while a minimum of {2 if reset else 1} is required by {name}."
        )
    source = DatasetSource(X)
    if len(source.shape) != 1:
        raise ValueError(
            f"{name} needs a Dataset whose items are rows of numbers, 1-D; item 0 has shape {source.shape}. "
            "Flatten it in __getitem__."
        )
    (n_features,) = source.shape
    if reset:
        estimator.n_features_in_ = n_features
        estimator.__dict__.pop("feature_names_in_", None)
    elif n_features != estimator.n_features_in_:
        raise ValueError(
            f"X has {n_features} features, but {name} is expecting {estimator.n_features_in_} features as input."
        )
    return source
