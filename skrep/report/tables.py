"""Files that people have, read as rows and classes."""

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

__all__ = ["LabelledRows", "load"]

# A text column with more distinct values than this is taken for free text or an identifier.
MAX_CATEGORIES = 50


@dataclass
class LabelledRows:
    """Rows, their classes, where they came from, and what had to be done to them.

    Attributes
    ----------
    X : ndarray or DataFrame of shape (n_samples, n_features)
        Rows.
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


def load(data: str | None, target: str | None) -> LabelledRows:
    """Read a data set by path; None is scikit-learn's digits.

    Raises
    ------
    ValueError, FileNotFoundError
        One sentence: what is wrong with the file, and the fix.
    """
    if data is None:
        if target is not None:
            raise ValueError(f"--target {target} needs DATA, a file with that column.")
        X, y = load_digits(return_X_y=True)
        return LabelledRows(X, y, "scikit-learn's digits (8x8 images as rows)")
    path = Path(data)
    if not path.exists():
        raise FileNotFoundError(
            f"{data} does not exist. Give the path of a .csv, .parquet or .npz file, or nothing for "
            "scikit-learn's digits."
        )
    kind = path.suffix.lower()
    if kind == ".npz":
        return _load_npz(path, target)
    if kind not in (".csv", ".parquet"):
        raise ValueError(
            f"{data} is {'a folder' if path.is_dir() else f'a {kind or path.name!r} file'}; .csv, .parquet and "
            ".npz are read."
        )
    return _load_frame(path, target)


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
    if y.ndim != 1 or len(y) != len(X):
        raise ValueError(f"{path}: y has shape {y.shape} and X {X.shape}; expected one class for each row of X.")
    if X.ndim != 2:
        raise ValueError(
            f"{path}: X has shape {X.shape}; expected a table (n_samples, n_features). Flatten images with "
            "X.reshape(len(X), -1)."
        )
    classes = _classes(pd.Series(y), path)
    if X.dtype.kind == "f" and np.isnan(X).any():
        frame = pd.DataFrame(X, columns=[f"column {i}" for i in range(X.shape[1])])
        return LabelledRows(frame, classes, path.name, *_prepare(frame, path))
    return LabelledRows(X, classes, path.name)


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
    classes = y if pd.api.types.is_numeric_dtype(y) else y.astype(str)
    return np.asarray(classes)


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f", ... ({len(names)} in all)" if len(names) > 8 else "")
