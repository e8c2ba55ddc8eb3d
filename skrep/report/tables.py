"""Files that people have, read as rows or images and classes."""

import math
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_digits
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skrep.data import ImageFiles
from skrep.data.validation import MAX_CHANNELS

__all__ = ["LabelledRows", "load"]

# A text column with more distinct values than this is taken for free text or an identifier.
MAX_CATEGORIES = 50

# A folder's images are decoded once and kept, up to this size; larger ones are read again in each epoch.
MAX_DECODED_BYTES = 2**30


@dataclass
class LabelledRows:
    """Rows, their classes, where they came from, and what had to be done to them.

    Attributes
    ----------
    X : ndarray, DataFrame or ImageFiles
        Rows (n_samples, n_features), or images (n_samples, height, width, channels).
    y : ndarray of shape (n_samples,)
        Classes.
    name : str
        Of the data set.
    preparation : transformer or None
        What turns the rows into numbers, to be fitted on training rows only.
    notes : list of str
        What was done, in sentences.
    """

    X: Any
    y: np.ndarray
    name: str
    preparation: Any = None
    notes: list[str] = field(default_factory=list)

    @property
    def are_images(self) -> bool:
        """Whether X are images and not rows of a table."""
        return len(self.X.shape) == 4

    @property
    def n_columns(self) -> int:
        """Columns that encoders learn from, before categories are one-hot encoded; pixel values of an image."""
        if self.preparation is not None:
            return sum(len(columns) for _, _, columns in self.preparation.transformers)
        return math.prod(self.X.shape[1:])

    def __str__(self) -> str:
        n_classes = len(np.unique(self.y))
        if not self.are_images:
            return f"{self.name}: {self.X.shape[0]} rows, {self.X.shape[1]} columns, {n_classes} classes."
        n, height, width, channels = self.X.shape
        colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
        return f"{self.name}: {n} images of {height}x{width} pixels, {colours}, {n_classes} classes."


def load(data: str | None, target: str | None, size: int | None = None) -> LabelledRows:
    """Read a data set by path; None is scikit-learn's digits.

    Parameters
    ----------
    data : str or None
        A .csv, .parquet or .npz file, or a folder with one sub-folder of images for each class.
    target : str or None
        The column or array that holds the classes.
    size : int or None
        Height and width to which a folder's images are resized.

    Raises
    ------
    ValueError, FileNotFoundError
        One sentence: what is wrong with the file, and the fix.
    """
    if data is None:
        if target is not None:
            raise ValueError(f"--target {target} needs DATA, a file with that column.")
        _refuse_size(size, "scikit-learn's digits")
        digits = load_digits()
        return LabelledRows(digits.images[..., np.newaxis], digits.target, "scikit-learn's digits")
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(
            f"{data} does not exist. Give the path of a .csv, .parquet or .npz file or of a folder of images, or "
            "nothing for scikit-learn's digits."
        )
    if path.is_dir():
        return _load_folder(path, target, size)
    _refuse_size(size, data)
    kind = path.suffix.lower()
    if kind == ".npz":
        return _load_npz(path, target)
    if kind not in (".csv", ".parquet"):
        raise ValueError(
            f"{data} is a {kind or path.name!r} file; .csv, .parquet and .npz files and folders of images are read."
        )
    return _load_frame(path, target)


def _refuse_size(size: int | None, data: str) -> None:
    if size is not None:
        raise ValueError(f"--size {size} is for a folder of images, and {data} is none; leave it out.")


def _load_folder(path: Path, target: str | None, size: int | None) -> LabelledRows:
    if target is not None:
        raise ValueError(f"--target {target}: the classes of a folder of images are its sub-folders; leave it out.")
    try:
        files = ImageFiles(path, size)
    except ImportError as error:
        raise ValueError(str(error)) from None
    except ValueError as error:
        raise ValueError(str(error).replace("Pass size=, to which", "Pass --size N, to which")) from None
    if files.labels is None:
        raise ValueError(
            f"{path} holds images but no sub-folder of them; expected one sub-folder for each class, as "
            f"{path.name}/cat/1.png and {path.name}/dog/2.png."
        )
    name = path.resolve().name
    notes = [] if size is None else [f"Images were resized to {size}x{size} pixels."]
    if math.prod(files.shape) > MAX_DECODED_BYTES:
        notes.append("The images do not fit into 1 GiB and are decoded in each epoch; --size N makes that faster.")
        return LabelledRows(files, files.labels, name, notes=notes)
    return LabelledRows(np.stack(files.__getitems__(range(len(files)))), files.labels, name, notes=notes)


def _load_npz(path: Path, target: str | None) -> LabelledRows:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            wanted = "y" if target is None else target
            if "X" not in names or wanted not in names:
                raise ValueError(
                    f"{path} holds {names}; expected the arrays 'X' and {wanted!r}. Save it with "
                    "numpy.savez(path, X=..., y=...)."
                )
            X, y = archive["X"], archive[wanted]
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as .npz ({error}).") from None
    except ValueError as error:
        if "allow_pickle" in str(error):
            raise ValueError(
                f"{path} holds object arrays, which are pickles and are not opened. Save numbers and strings only."
            ) from None
        raise
    if y.ndim != 1 or X.ndim == 0 or len(y) != len(X):
        raise ValueError(f"{path}: y has shape {y.shape} and X {X.shape}; expected one class for each row of X.")
    if X.ndim not in (2, 3, 4):
        raise ValueError(
            f"{path}: X has shape {X.shape}; expected a table (n_samples, n_features), or images (n_samples, height, "
            "width, channels) or (n_samples, height, width)."
        )
    classes = _classes(pd.Series(y), path)
    if X.ndim > 2:
        return _as_images(X, classes, path)
    if X.dtype.kind == "f" and np.isnan(X).any():
        frame = pd.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])])
        return LabelledRows(frame, classes, path.name, *_prepare(frame, path))
    return LabelledRows(X, classes, path.name)


def _as_images(X: np.ndarray, y: np.ndarray, path: Path) -> LabelledRows:
    notes = []
    if X.ndim == 3:
        X = X[..., np.newaxis]  # (n, h, w) -> (n, h, w, 1)
        notes.append("X has three axes and was read as grey images (n_samples, height, width).")
    if X.shape[1] <= MAX_CHANNELS < X.shape[3]:
        raise ValueError(
            f"{path}: X has shape {X.shape}, which looks like channels first; images are (n_samples, height, width, "
            "channels). Save X.transpose(0, 2, 3, 1)."
        )
    if X.dtype.kind not in "buif":
        raise ValueError(f"{path}: X holds images of dtype {X.dtype}; expected numbers, such as uint8.")
    if not np.isfinite(X).all():
        bad = int((~np.isfinite(X)).reshape(len(X), -1).any(1).argmax())  # (n, h, w, c) -> (n, h * w * c)
        raise ValueError(f"{path}: image {bad} of X holds NaN or infinity. Clean or leave out such images.")
    return LabelledRows(X, y, path.name, notes=notes)


def _load_frame(path: Path, target: str | None) -> LabelledRows:
    try:
        frame = pd.read_csv(path) if path.suffix.lower() == ".csv" else pd.read_parquet(path)
    except ImportError:
        raise ValueError(f"reading {path} needs pyarrow: pip install 'skrep[parquet]'.") from None
    except (OSError, ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} cannot be read as {path.suffix} ({str(error).splitlines()[0]}).") from None
    columns = [str(name) for name in frame.columns]
    if target is None:
        raise ValueError(f"say which column of {path} holds the classes: --target COL, one of {_some(columns)}.")
    if target not in columns:
        raise ValueError(f"{path} has no column {target!r}. Its columns are {_some(columns)}.")
    frame.columns = columns
    y = frame.pop(target)
    notes = []
    if y.isna().any():
        notes.append(f"{int(y.isna().sum())} rows without a class were left out.")
        frame, y = frame[y.notna()], y[y.notna()]
    preparation, more = _prepare(frame, path)
    return LabelledRows(frame, _classes(y, path), path.name, preparation, notes + more)


def _prepare(frame: pd.DataFrame, path: Path) -> tuple[ColumnTransformer, list[str]]:
    numbers: list[str] = []
    categories: list[str] = []
    dropped: list[str] = []
    for name, column in ((str(name), frame[name]) for name in frame.columns):
        if column.isna().all() or column.nunique() < 2:
            dropped.append(name)
        elif pd.api.types.is_bool_dtype(column) or not pd.api.types.is_numeric_dtype(column):
            (categories if column.nunique() <= MAX_CATEGORIES else dropped).append(name)
        else:
            numbers.append(name)
    if not numbers and not categories:
        raise ValueError(
            f"{path} has no column to learn from: besides the target there are only constants, free text or "
            "empty columns."
        )
    notes = []
    if numbers:
        gaps = " (missing ones by the median)" if frame[numbers].isna().any(axis=None) else ""
        notes.append(
            f"{len(numbers)} numeric columns were imputed and scaled{gaps}."
            if gaps
            else f"{len(numbers)} numeric columns were scaled to unit variance."
        )
    if categories:
        notes.append(f"{len(categories)} categorical columns were one-hot encoded: {_some(categories)}.")
    if dropped:
        notes.append(
            f"{len(dropped)} columns were left out (constant, empty, or text with over {MAX_CATEGORIES} "
            f"values): {_some(dropped)}."
        )
    steps = [
        ("numbers", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), categories),
    ]
    return ColumnTransformer([step for step in steps if step[2]]), notes


def _classes(y: pd.Series, path: Path) -> np.ndarray:
    n = y.nunique()
    if n > 100 or (pd.api.types.is_float_dtype(y) and n > 20):
        raise ValueError(
            f"{path}: the target has {n} distinct values, which looks like a quantity. compare needs classes, "
            "at most 100: bin it, or name another column."
        )
    whole = pd.api.types.is_numeric_dtype(y) and bool((y == y.round()).all())
    classes = y if whole else y.astype(str)  # numbers with fractions would be quantities
    return np.asarray(classes)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")
