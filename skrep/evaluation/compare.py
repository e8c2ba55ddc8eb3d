"""Several encoders side by side, on the same rows and the same labels."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import clone
from skorch.callbacks import Callback, EarlyStopping

from skrep.evaluation.few_label import (
    FewLabelScores,
    as_rows,
    describe_budget,
    draw_labels,
    probe_features,
    split,
)
from skrep.exceptions import DivergedError

__all__ = ["Comparison", "ComparisonRow", "compare"]

# What one encoder's failure looks like; the others go on.
FAILURES = (ValueError, TypeError, DivergedError, MemoryError)

# Test rows whose features are kept for pictures; they are in random order.
N_SHOWN = 1000


@dataclass(frozen=True)
class ComparisonRow:
    """One encoder: its name, width, seconds for ``fit`` and ``transform``, and the probe's accuracies.

    Attributes
    ----------
    name : str
        As given.
    n_features : int
        Width of the features.
    fit_seconds, transform_seconds : float
        Wall-clock time of ``fit``, and of ``transform`` for training and test rows together.
    scores : FewLabelScores
        Test accuracies.
    encoder : estimator or None
        Fitted; None for the columns themselves.
    features : ndarray of shape (n_shown, n_features)
        Of the first 1000 test rows at most, for pictures.
    """

    name: str
    n_features: int
    fit_seconds: float
    transform_seconds: float
    scores: FewLabelScores
    encoder: Any = field(default=None, repr=False)
    features: np.ndarray | None = field(default=None, repr=False)


@dataclass
class Comparison:
    """What :func:`compare` found.

    Attributes
    ----------
    n_train, n_test : int
        Number of rows.
    rows : list of ComparisonRow
        The encoders that came through, in the order in which they were given.
    failed : dict of str to str
        Encoders that raised an error, by name, with its message.
    interrupted : str or None
        The encoder that Ctrl-C broke off; it and those after it have no row.
    notes : list of str
        What `time_budget` changed, in sentences.
    y_shown : ndarray of shape (n_shown,)
        Classes of the test rows whose features the rows hold.
    """

    n_train: int
    n_test: int
    rows: list[ComparisonRow] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: str | None = None
    notes: list[str] = field(default_factory=list)
    y_shown: np.ndarray | None = field(default=None, repr=False)

    def best(self) -> np.ndarray:
        """The best mean accuracy for each budget, of shape (n_budgets,), rounded to the three digits that are shown."""
        best: np.ndarray = np.max([row.scores.mean.round(3) for row in self.rows], axis=0)
        return best

    def __str__(self) -> str:
        lines = self._table() if self.rows else ["no encoder was compared"]
        remarks = [f"{name} failed: {message}" for name, message in self.failed.items()] + self.notes
        if self.interrupted is not None:
            remarks.append(f"interrupted during {self.interrupted}")
        return "\n".join([*lines, *([""] if remarks else []), *remarks])

    def _table(self) -> list[str]:
        first = self.rows[0].scores
        header = [
            "encoder",
            "features",
            "fit s",
            "transform s",
            *(f"{describe_budget(b)} ({n})" for b, n in zip(first.budgets, first.n_labels, strict=True)),
        ]
        best = self.best()
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

        return [render(header), "-" * len(render(header)), *map(render, body)]


def compare(
    encoders: Mapping[str, Any],
    X: Any,
    y: Any,
    *,
    budgets: Sequence[int | float] = (1, 5, 10, 1.0),
    n_resamples: int = 10,
    C: float = 1.0,
    random_state: int = 0,
    time_budget: float | None = None,
    on_progress: Callable[[str, int, int | None], None] | None = None,
) -> Comparison:
    """Fit each encoder without labels and probe its features with few.

    A quarter of the rows is held out before anything is fitted. Every encoder sees the same training rows, and every
    probe the same draws of labels.

    Parameters
    ----------
    encoders : mapping of str to estimator or None
        Transformers by name, cloned and not changed; None stands for the columns themselves, or the pixels.
    X : array-like or ImageFiles of shape (n_samples, ...)
        Rows, or images (n_samples, height, width, channels).
    y : array-like of shape (n_samples,)
        Classes.
    budgets, n_resamples, C, random_state
        As in :func:`few_label_probe`.
    time_budget : float or None, default=None
        Seconds that all fits together should take at most. One epoch of each encoder that is trained by epochs (that
        has the parameters ``max_epochs`` and ``callbacks``, be it as a step of a Pipeline) is timed on a clone. The
        time left is then shared out: each gets what it needs for all its epochs or an equal share, whichever is less,
        and what one does not need goes to the others. An encoder that gets less has fewer epochs, at least one, and
        its learning-rate schedule still runs to its end; ``notes`` of the result say so. Other encoders are fitted as
        they are, and their seconds do not count.
    on_progress : callable or None, default=None
        Called as ``on_progress(name, epoch, n_epochs)``: with (name, 0, None) before an encoder is fitted, and after
        each epoch of one that is trained; `n_epochs` is None where `budget_minutes` decides.

    Returns
    -------
    Comparison
        Printing it gives a table; ``*`` marks the best of each column.

    Raises
    ------
    ValueError
        If a budget cannot be drawn from `y`, or `time_budget` is not above 0.
    Exception
        An encoder that raises ValueError, TypeError, DivergedError or MemoryError is listed in ``failed`` and the
        others go on; the first error is raised if none comes through.
    KeyboardInterrupt
        Ctrl-C before the first encoder is through. Later it ends the comparison, whose rows so far are returned with
        ``interrupted`` set.

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
    if time_budget is not None and not time_budget > 0:
        raise ValueError(f"time_budget={time_budget!r}: expected seconds, a number above 0, or None for no limit.")
    X_train, X_test, y_train, y_test = split(X, y, random_state)
    draws = draw_labels(y_train, budgets, n_resamples=n_resamples, random_state=random_state)
    result = Comparison(len(y_train), len(y_test), y_shown=y_test[:N_SHOWN])
    epochs, cuts = ({}, {}) if time_budget is None else _plan_epochs(encoders, X_train, time_budget)
    errors = []
    for name, encoder in encoders.items():
        try:
            begin = time.perf_counter()
            fitted = _fit(name, encoder, X_train, epochs.get(name, {}), on_progress)
            after_fit = time.perf_counter()
            Z, Z_test = (as_rows(part) if fitted is None else fitted.transform(part) for part in (X_train, X_test))
            after_transform = time.perf_counter()
            scores = probe_features(Z, y_train, Z_test, y_test, budgets, draws, C=C)
        except FAILURES as error:
            errors.append(error)
            result.failed[name] = " ".join(str(error).split())
        except KeyboardInterrupt:
            if not result.rows:
                raise
            result.interrupted = name
            return result
        else:
            seconds = after_fit - begin, after_transform - after_fit
            shown = np.asarray(Z_test)[:N_SHOWN].copy()  # a view would keep all rows alive
            result.rows.append(ComparisonRow(name, np.shape(Z)[1], *seconds, scores, fitted, shown))
            if name in cuts:
                result.notes.append(cuts[name])
    if errors and not result.rows:
        raise errors[0]
    return result


def _fit(
    name: str,
    encoder: Any,
    X: Any,
    epochs: dict[str, int],
    on_progress: Callable[[str, int, int | None], None] | None,
) -> Any:
    """A fitted clone, or None for None."""
    if on_progress is not None:
        on_progress(name, 0, None)
    if encoder is None:
        return None
    fitted = clone(encoder).set_params(**epochs)
    if on_progress is None:
        return fitted.fit(X)
    given = {f"{step}callbacks": fitted.get_params()[f"{step}callbacks"] for step in _trained_steps(encoder)}
    _add_callbacks(fitted, lambda: _ReportEpochs(name, on_progress))
    return fitted.fit(X).set_params(**given)


def _trained_steps(encoder: Any) -> list[str]:
    """The prefixes, as of ``set_params``, of what is trained by epochs inside an estimator ("" for itself)."""
    params = {} if encoder is None else encoder.get_params()
    steps = [name.removesuffix("max_epochs") for name in params if name.endswith("max_epochs")]
    return [step for step in steps if f"{step}callbacks" in params]


def _add_callbacks(encoder: Any, make: Callable[[], Callback]) -> dict[str, Any]:
    """Add a callback to each step that is trained, and return them by step."""
    params = encoder.get_params()
    made = {step: make() for step in _trained_steps(encoder)}
    encoder.set_params(**{f"{step}callbacks": [*(params[f"{step}callbacks"] or ()), made[step]] for step in made})
    return made


class _ReportEpochs(Callback):
    """Reports each epoch."""

    only_watches = True  # a checkpointed run is the same run with it
    on_progress: Callable[[str, int, int | None], None] | None = None  # of a copy in another process

    def __init__(self, name: str, on_progress: Callable[[str, int, int | None], None]):
        self.name, self.on_progress = name, on_progress

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if self.on_progress is not None:
            n_epochs = net.max_epochs if net.budget_seconds is None else None  # the clock decides
            self.on_progress(self.name, len(net.history), n_epochs)

    def __sklearn_clone__(self) -> "_ReportEpochs":
        return self  # whoever is listening cannot be copied

    def __getstate__(self) -> dict[str, Any]:
        return {}  # nor pickled with a fitted encoder


class _FirstEpoch(EarlyStopping):
    """Times the first epoch, notes how many there would be, and stops."""

    n_epochs = 0

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.begin = time.perf_counter()

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.seconds, self.n_epochs = time.perf_counter() - self.begin, net.max_epochs
        if net.budget_seconds is not None:
            self.n_epochs = min(self.n_epochs, max(1, math.ceil(net.budget_seconds / self.seconds)))
        raise KeyboardInterrupt  # how skorch's EarlyStopping stops a net


def _plan_epochs(
    encoders: Mapping[str, Any], X: Any, time_budget: float
) -> tuple[dict[str, dict[str, int]], dict[str, str]]:
    """What keeps the fits within the budget, by encoder: parameters, and a sentence on what they change."""
    begin = time.perf_counter()
    full: dict[str, dict[str, int]] = {}  # epochs without a limit, by encoder and parameter
    needed: dict[str, float] = {}  # seconds for them
    fixed = 0.0  # seconds that fits take besides their epochs
    for name, encoder in encoders.items():
        if not _trained_steps(encoder):
            continue
        trial = clone(encoder)
        # or a second trial would load the first
        trial.set_params(**{key: None for key in trial.get_params() if key.endswith("checkpoint")})
        first = _add_callbacks(trial, _FirstEpoch)
        started = time.perf_counter()
        try:
            trial.fit(X)
        except FAILURES:
            continue  # it will be told when the encoder has its turn
        trained = {step: callback for step, callback in first.items() if callback.n_epochs}
        if trained:
            full[name] = {f"{step}max_epochs": callback.n_epochs for step, callback in trained.items()}
            needed[name] = sum(callback.seconds * callback.n_epochs for callback in trained.values())
            fixed += time.perf_counter() - started - sum(callback.seconds for callback in trained.values())
    left = time_budget - fixed - (time.perf_counter() - begin)
    plan, cuts = {}, {}
    for i, name in enumerate(sorted(needed, key=needed.__getitem__)):
        share = max(0.0, left) / (len(needed) - i)
        if needed[name] > share:
            plan[name] = {key: max(1, int(n * share / needed[name])) for key, n in full[name].items()}
            counts = " and ".join(f"{plan[name][key]} of {n}" for key, n in full[name].items())
            cuts[name] = f"{name} was trained for {counts} epochs, to fit all encoders in about {time_budget:g} s."
        left -= min(share, needed[name])
    return plan, cuts
