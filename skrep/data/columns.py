"""Columns of a DataFrame that hold no numbers: one sentence with the column, what it holds, and the fix."""

from typing import Any

import numpy as np

__all__ = ["refuse_columns"]

# How names of dtypes begin, in lower case, in pandas and in polars.
DURATIONS, DATES = ("timedelta", "duration"), ("datetime", "date", "period", "time")
CATEGORIES, TEXTS = ("category", "categorical", "enum"), ("object", "str", "utf8")

ONE_HOT = "sklearn.preprocessing.OneHotEncoder"
TFIDF = "sklearn.feature_extraction.text.TfidfVectorizer"


def refuse_columns(X: Any, name: str) -> None:
    """Raise one ValueError for the first column of a DataFrame that holds categories, text, dates or durations.

    Categories and texts that all spell numbers pass, as they do in scikit-learn.

    Parameters
    ----------
    X : object
        What a user passes; only DataFrames are looked at.
    name : str
        The estimator, for the message.

    Raises
    ------
    ValueError
        With the column, its dtype and the fix.
    """
    if not (hasattr(X, "columns") and hasattr(X, "dtypes")):
        return
    for i, (column, dtype) in enumerate(zip(X.columns, X.dtypes, strict=True)):
        kind, value = str(dtype).lower(), None
        if kind.startswith((*CATEGORIES, *TEXTS)):
            value = _not_a_number(getattr(X, "iloc", X)[:, i])
        if kind.startswith(DURATIONS):
            holds, fix = "durations", f"Make numbers of them first, such as X[{column!r}].dt.total_seconds()."
        elif kind.startswith(DATES) or hasattr(value, "isoformat"):
            fix = f"Make numbers of them first, such as X[{column!r}].dt.year, or the days since a fixed date."
            holds = "dates"
        elif value is None:
            continue
        elif kind.startswith(CATEGORIES):
            holds, fix = (
                f"categories such as {value!r:.40}",
                f"Encode them first with {ONE_HOT} in a ColumnTransformer.",
            )
        elif isinstance(value, str):
            holds = f"text such as {value!r:.40}"
            fix = f"In a ColumnTransformer, encode few distinct values with {ONE_HOT}, longer texts with {TFIDF}."
        else:
            holds, fix = f"objects such as {value!r:.40}", "Make columns of numbers of them first."
        raise ValueError(f"{name} takes numbers; column {column!r} (dtype {dtype}) holds {holds}. {fix}")


def _not_a_number(column: Any) -> Any:
    """The first value that is no number and not missing; None if there is none."""
    try:
        np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError):
        for value in column:
            try:
                float(value)
            except (TypeError, ValueError):
                if value is not None and type(value).__name__ not in ("NAType", "NaTType"):
                    return value
    return None
