"""Which rows encoders learn from, which of them have a label, and which rows are kept for the test."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_regressor
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold, train_test_split
from sklearn.preprocessing import StandardScaler
from sklearn.utils.multiclass import type_of_target

from skrep.data import ImageFiles, as_targets, labelled_rows, report_set_aside, units_differ
from skrep.evaluation.labels import take_labels
from skrep.evaluation.rows import as_sized, count_rows, take_rows

__all__ = ["HeldOut", "as_rows", "hold_out", "plain", "rows_themselves"]


@dataclass
class HeldOut:
    """Rows to learn from, and rows for the test.

    Attributes
    ----------
    X : rows
        What encoders are trained on: the labelled rows and those without a label.
    known : ndarray of int
        Where the labelled rows are in `X`.
    y : ndarray of shape (n_known,)
        Their labels.
    X_test : rows
        For the test.
    y_test : ndarray of shape (n_test,)
        Their labels, all of them known.
    quantities : bool
        Whether labels are quantities, not classes.
    """

    X: Any
    known: np.ndarray
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray
    quantities: bool

    @property
    def n_unlabeled(self) -> int:
        """How many rows train encoders only."""
        return count_rows(self.X) - len(self.known)


def hold_out(
    caller: str,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    groups: Any = None,
    unlabeled_value: int | None = -1,
    probe: Any = None,
    random_state: int = 0,
) -> HeldOut:
    """Keep a quarter of the labelled rows for the test, unless there are test rows.

    Parameters
    ----------
    caller : str
        The function, for messages.
    X, y, X_test, y_test, groups, unlabeled_value, random_state
        As in :func:`skrep.evaluation.few_label_probe`.
    probe : estimator or None
        Decides whether labels are quantities; None looks at them: numbers with fractions are.

    Raises
    ------
    ValueError
        If rows and labels do not match, or do not suffice.
    """
    if (X_test is None) != (y_test is None):
        raise ValueError("one of X_test and y_test is missing; pass both, or neither to have a quarter held out.")
    X = as_sized(X)
    _require_a_label_each(X, y, "training")
    quantities = _are_quantities(y) if probe is None else bool(is_regressor(probe))
    rows = labelled_rows(y, unlabeled_value, quantities)
    known = np.flatnonzero(rows)
    labels = _known_labels(y, known, caller)
    report_set_aside(rows, caller)
    if X_test is not None:
        if groups is not None:
            raise ValueError("groups decide which rows are held out, and X_test is held out already; pass one of them.")
        X_test = as_sized(X_test)
        _require_a_label_each(X_test, y_test, "test")
        tested = np.flatnonzero(labelled_rows(y_test, unlabeled_value, quantities, _classes(labels, quantities)))
        if not len(tested):
            raise ValueError(f"none of the {count_rows(X_test)} test rows has a label; at least 1 is needed.")
        _require_two_classes(labels, quantities)
        return HeldOut(X, known, labels, take_rows(X_test, tested), take_labels(y_test, tested), quantities)
    _require_two_classes(labels, quantities)
    if groups is None:
        train, test = _split(labels, quantities, random_state)
        others = np.flatnonzero(~rows)
    else:
        names = np.asarray(groups)
        if names.shape != (count_rows(X),):
            raise ValueError(f"groups has shape {names.shape}; expected one group for each row, ({count_rows(X)},).")
        train, test = _split_groups(labels, names[known], quantities, random_state)
        others = np.flatnonzero(~rows & ~np.isin(names, names[known[test]]))
    return HeldOut(
        take_rows(X, np.concatenate([known[train], others])),
        np.arange(len(train)),
        labels[train],
        take_rows(X, known[test]),
        labels[test],
        quantities,
    )


def _split(labels: np.ndarray, quantities: bool, random_state: int) -> list[np.ndarray]:
    """Positions of training and of test rows, stratified by class."""
    n_classes = 1
    if not quantities:
        classes, counts = np.unique(labels, return_counts=True)
        n_classes = len(classes)
        if counts.min() < 2:
            raise ValueError(
                f"class {plain(classes[counts.argmin()])!r} has {counts.min()} row with a label; at least 2 are "
                "needed, one to train on and one to test on. Drop the class or merge it with another; of quantities, "
                "pass a regressor as probe, such as skrep.evaluation.default_regressor()."
            )
    parts: list[np.ndarray] = train_test_split(
        np.arange(len(labels)),
        test_size=max(0.25, n_classes / len(labels)),
        stratify=None if quantities else labels,
        random_state=random_state,
    )
    return parts


def _split_groups(
    labels: np.ndarray, groups: np.ndarray, quantities: bool, random_state: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same, with no group on both sides."""
    n_groups = len(np.unique(groups))
    if n_groups < 2:
        raise ValueError(f"groups has {n_groups} group among the labelled rows; at least 2 are needed.")
    if quantities:
        train, test = next(GroupShuffleSplit(1, test_size=0.25, random_state=random_state).split(groups, groups=groups))
        return train, test
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    groups_of = np.array([len(np.unique(groups[codes == code])) for code in range(len(classes))])
    if groups_of.min() < 2:
        raise ValueError(
            f"class {plain(classes[groups_of.argmin()])!r} has rows of 1 group only; at least 2 are needed, one to "
            "train on and one to test on. Drop the class or merge it with another."
        )
    n_splits = int(min(4, n_groups, counts.min()))
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=random_state).split(codes, codes, groups)
    best: tuple[np.ndarray, np.ndarray] = max(
        folds, key=lambda fold: len(np.unique(codes[fold[0]])) + len(np.unique(codes[fold[1]]))
    )
    unseen = np.setdiff1d(codes[best[1]], codes[best[0]])
    if len(unseen):
        raise ValueError(
            f"no split by groups was found that leaves rows of class {plain(classes[unseen[0]])!r} to train on: its "
            "groups are too large. Pass X_test and y_test."
        )
    return best


def _require_a_label_each(X: Any, y: Any, part: str) -> None:
    if y is None:
        raise ValueError(f"the {part} rows have no y; expected a label for each row, NaN or None where there is none.")
    n_rows, n_labels = count_rows(X), count_rows(as_sized(y))
    if n_rows != n_labels:
        raise ValueError(f"{n_rows} {part} rows but {n_labels} labels; expected one label for each row.")


def _are_quantities(y: Any) -> bool:
    values = as_targets(y)
    if values.ndim != 1:
        return False  # told below
    known = take_labels(values, labelled_rows(values, None))
    return known.dtype.kind == "f" and bool(type_of_target(known) == "continuous")


def _known_labels(y: Any, known: np.ndarray, caller: str) -> np.ndarray:
    values = as_targets(y)
    if values.ndim != 1:
        raise ValueError(
            f"y has shape {values.shape}; {caller} takes one label for each row, (n_samples,). Several labels a row: "
            "cross_val_score of a LinearProbe."
        )
    if not len(known):
        raise ValueError(f"none of the {len(values)} rows in y has a label; expected labels of at least 2 classes.")
    labels: np.ndarray = take_labels(values, known)
    return labels


def _classes(labels: np.ndarray, quantities: bool) -> Any:
    return None if quantities else np.unique(labels)


def _require_two_classes(labels: np.ndarray, quantities: bool) -> None:
    if quantities:
        if len(labels) < 8:  # two for the test
            raise ValueError(f"y has {len(labels)} known values; at least 8 are needed.")
        return
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(f"y has 1 class, {plain(classes[0])!r}; a probe needs at least 2.")


def plain(label: Any) -> Any:
    """A label as Python shows it, for messages."""
    return label.item() if isinstance(label, np.generic) else label


# --- rows as features --------------------------------------------------------------------------------------------


def as_rows(X: Any) -> Any:
    """The numbers of each sample in one row, (n_samples, n_features); files are decoded, sparse rows stay sparse."""
    if issparse(X):
        return X.tocsr()
    if isinstance(X, ImageFiles):
        chunks = (X.__getitems__(range(start, min(start + 256, len(X)))) for start in range(0, len(X), 256))
        return np.concatenate([np.reshape(chunk, (len(chunk), -1)) for chunk in chunks])
    array: np.ndarray = np.asarray(X)
    return array.reshape(len(array), -1)  # (n, h, w, c) -> (n, h * w * c); a table stays what it is


def rows_themselves(X: Any, X_test: Any) -> tuple[Any, Any]:
    """What ``None`` stands for: the columns, standardised if they come in different units, or the pixels.

    Raises
    ------
    ValueError
        For texts, and whatever else is not numbers.
    """
    is_table = issparse(X) or np.ndim(X) == 2
    Z, Z_test = as_rows(X), as_rows(X_test)
    if not issparse(Z) and Z.dtype.kind not in "biuf":
        try:
            Z, Z_test = Z.astype(np.float64), Z_test.astype(np.float64)
        except (ValueError, TypeError):
            raise ValueError(
                f"None stands for the rows themselves as features, and they are no numbers (dtype {Z.dtype}). Leave it "
                "out, or encode them first: a TfidfVectorizer for texts, a OneHotEncoder for categories."
            ) from None
    if is_table and not issparse(Z) and Z.shape[1] and units_differ(Z.min(axis=0), Z.max(axis=0)):
        scaler = StandardScaler().fit(Z)
        return scaler.transform(Z), scaler.transform(Z_test)
    return Z, Z_test
