"""Several encoders side by side, on the same rows and the same labels."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone

from skrep.evaluation.few_label import FewLabelScores, describe_budget, probe_features, split

__all__ = ["Comparison", "ComparisonRow", "compare"]


@dataclass(frozen=True)
class ComparisonRow:
    """One encoder: its name, width, seconds for ``fit`` and ``transform``, and the probe's accuracies."""

    name: str
    n_features: int
    fit_seconds: float
    transform_seconds: float
    scores: FewLabelScores


@dataclass
class Comparison:
    """What :func:`compare` found.

    Attributes
    ----------
    rows : list of ComparisonRow
        In the order in which the encoders were given.
    n_train, n_test : int
        Number of rows.
    """

    n_train: int
    n_test: int
    rows: list[ComparisonRow] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.rows:
            return "no encoder was compared"
        first = self.rows[0].scores
        header = [
            "encoder",
            "features",
            "fit s",
            "transform s",
            *(f"{describe_budget(b)} ({n})" for b, n in zip(first.budgets, first.n_labels, strict=True)),
        ]
        best = np.max([row.scores.mean.round(3) for row in self.rows], axis=0)
        body = []
        for row in self.rows:
            marks = ["*" if m.round(3) == b else " " for m, b in zip(row.scores.mean, best, strict=True)]
            cells = [
                f"{m:.3f}{mark}" + (f"± {sd:.3f}" if len(score) > 1 else "")
                for m, mark, sd, score in zip(row.scores.mean, marks, row.scores.sd, row.scores.scores, strict=True)
            ]
            body.append(
                [row.name, str(row.n_features), f"{row.fit_seconds:.2f}", f"{row.transform_seconds:.2f}", *cells]
            )
        widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]

        def render(line: list[str]) -> str:
            name, *numbers = (
                cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
            )
            return "  ".join([name, *numbers]).rstrip()

        return "\n".join([render(header), "-" * len(render(header)), *map(render, body)])


def compare(
    encoders: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    budgets: Sequence[int | float] = (1, 5, 10, 1.0),
    n_resamples: int = 10,
    C: float = 1.0,
    random_state: int = 0,
    on_start: Callable[[str], None] | None = None,
) -> Comparison:
    """Fit each encoder without labels and probe its features with few.

    A quarter of the rows is held out before anything is fitted. Every encoder sees the same training rows, and every
    probe the same draws of labels.

    Parameters
    ----------
    encoders : mapping of str to estimator or None
        Transformers by name, cloned and not changed; None stands for the columns themselves.
    X : array-like of shape (n_samples, ...)
        Rows.
    y : array-like of shape (n_samples,)
        Classes.
    budgets, n_resamples, C, random_state
        As in :func:`few_label_probe`.
    on_start : callable or None, default=None
        Called with each name before its encoder is fitted.

    Returns
    -------
    Comparison
        Printing it gives a table; ``*`` marks the best of each column.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from skrep import PCAEncoder
    >>> from skrep.evaluation import compare
    >>> X, y = load_wine(return_X_y=True)
    >>> result = compare({"raw": None, "pca": PCAEncoder(5)}, X, y, budgets=[1, 5])
    >>> [row.name for row in result.rows]
    ['raw', 'pca']
    """
    X_train, X_test, y_train, y_test = split(X, y, random_state)
    result = Comparison(len(y_train), len(y_test))
    for name, encoder in encoders.items():
        if on_start is not None:
            on_start(name)
        begin = time.perf_counter()
        fitted = None if encoder is None else clone(encoder).fit(X_train)
        after_fit = time.perf_counter()
        Z, Z_test = (X_train, X_test) if fitted is None else (fitted.transform(X_train), fitted.transform(X_test))
        after_transform = time.perf_counter()
        scores = probe_features(
            Z, y_train, Z_test, y_test, budgets=budgets, n_resamples=n_resamples, C=C, random_state=random_state
        )
        result.rows.append(ComparisonRow(name, np.shape(Z)[1], after_fit - begin, after_transform - after_fit, scores))
    return result
