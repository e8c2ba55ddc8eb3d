"""Several encoders side by side, on the same rows and the same labels."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import clone, is_regressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EarlyStopping

from skrep.evaluation.few_label import (
    FewLabelScores,
    Labels,
    as_features,
    draw_labels,
    probe_and_scorer,
    probe_features,
    require_encoder,
    require_probe,
)
from skrep.evaluation.held_out import hold_out, rows_themselves
from skrep.exceptions import DivergedError
from skrep.params import is_fitted

__all__ = ["Comparison", "ComparisonRow", "compare"]

# What one encoder's failure looks like; the others go on.
FAILURES = (ValueError, TypeError, DivergedError, MemoryError)

# Test rows whose features are kept for pictures; they are in random order.
N_SHOWN = 1000


@dataclass(frozen=True)
class ComparisonRow:
    """One encoder: its name, width, seconds for ``fit`` and ``transform``, and the probe's scores.

    Attributes
    ----------
    name : str
        As given.
    n_features : int
        Width of the features.
    fit_seconds, transform_seconds : float
        Wall-clock time of ``fit``, and of ``transform`` for training and test rows together; an encoder that was fitted
        before takes 0 s.
    scores : FewLabelScores
        Test scores.
    standardized : FewLabelScores or None
        Test scores of the usual probe, StandardScaler and LogisticRegression (Ridge for quantities), on the same
        features and draws. Only for encoders that are not trained by epochs, the baselines of those that are, and
        only where no probe and no scorer of one's own was passed, which may go together.
    encoder : estimator or None
        Fitted; None for the columns themselves.
    features : ndarray or sparse matrix of shape (n_shown, n_features)
        Of the first 1000 test rows at most, for pictures.
    """

    name: str
    n_features: int
    fit_seconds: float
    transform_seconds: float
    scores: FewLabelScores
    standardized: FewLabelScores | None = None
    encoder: Any = field(default=None, repr=False)
    features: Any = field(default=None, repr=False)


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
        What else there is to know, in sentences: rows without a label, what `time_budget` changed.
    y_shown : ndarray of shape (n_shown,)
        Labels of the test rows whose features the rows hold.
    """

    n_train: int
    n_test: int
    rows: list[ComparisonRow] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    interrupted: str | None = None
    notes: list[str] = field(default_factory=list)
    y_shown: np.ndarray | None = field(default=None, repr=False)

    def lines(self) -> list[tuple[str, ComparisonRow, FewLabelScores]]:
        """The lines of the table: a name, the encoder's row, and scores; baselines have a second line."""
        lines = []
        for row in self.rows:
            lines.append((row.name, row, row.scores))
            if row.standardized is not None:
                lines.append((f"{row.name}, standardized", row, row.standardized))
        return lines

    def best(self) -> np.ndarray:
        """The best mean score for each number of labels, of shape (n_labels,), rounded to the three digits shown."""
        best: np.ndarray = np.max([scores.mean.round(3) for _, _, scores in self.lines()], axis=0)
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
            "encoder" if first.metric == "accuracy" else f"{first.metric} of",
            "features",
            "fit s",
            "transform s",
            *(f"{name} ({n})" for name, n in zip(first.names, first.n_labels, strict=True)),
        ]
        best = self.best()
        body = []
        for name, row, scores in self.lines():
            marks = ["*" if m.round(3) == b else " " for m, b in zip(scores.mean, best, strict=True)]
            cells = [
                f"{m:.3f}{mark}" + (f"± {sd:.3f}" if len(score) > 1 else "")
                for m, mark, sd, score in zip(scores.mean, marks, scores.sd, scores.scores, strict=True)
            ]
            facts = [str(row.n_features), f"{row.fit_seconds:.2f}", f"{row.transform_seconds:.2f}"]
            body.append([name, *(facts if scores is row.scores else [""] * 3), *cells])
        if first.majority is not None:
            cells = [f"{first.majority:.3f} " + (" " * 7 if len(score) > 1 else "") for score in first.scores]
            body.append([first.majority_name, "", "", "", *cells])
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
    labels: Labels | None = None,
    n_resamples: int = 10,
    probe: Any = None,
    scoring: Any = None,
    groups: Any = None,
    unlabeled_value: int | None = -1,
    random_state: int = 0,
    time_budget: float | None = None,
    on_progress: Callable[[str, int, int | None], None] | None = None,
) -> Comparison:
    """Fit each encoder without labels and probe its features with few.

    A quarter of the labelled rows is held out before anything is fitted. Every encoder sees the same training rows, and
    every probe the same draws of labels. Encoders that are not trained by epochs, the rows themselves among them, are
    the baselines of those that are: they are also scored by the usual StandardScaler and LogisticRegression.

    Parameters
    ----------
    encoders : mapping of str to estimator or None
        Transformers by name, cloned and not changed; one that is fitted is used as it is. None stands for the columns
        themselves, standardised if they come in different units, or the pixels.
    X : array-like, sparse matrix, list or ImageFiles of shape (n_samples, ...)
        Rows, images (n_samples, height, width, channels), or texts.
    y : array-like of shape (n_samples,)
        Classes, or quantities. NaN, None and `unlabeled_value` stand for no label: such rows train the encoders only.
    labels, n_resamples, probe, scoring, groups, unlabeled_value, random_state
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
        Printing it gives a table; ``*`` marks the best of each column, the last line is the score of the commonest
        class as the only answer.

    Raises
    ------
    ValueError
        If labels cannot be drawn from `y`, the probe cannot give what the scorer needs, or `time_budget` is not above
        0.
    TypeError
        If `encoders` is no mapping.
    Exception
        An encoder that is a class, or raises ValueError, TypeError, DivergedError or MemoryError, is listed in
        ``failed`` and the others go on; the first error is raised if none comes through.
    KeyboardInterrupt
        Ctrl-C before the first encoder is through. Later it ends the comparison, whose rows so far are returned with
        ``interrupted`` set.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import PCAEncoder
    >>> from skrep.evaluation import compare
    >>> X, y = load_digits(return_X_y=True)
    >>> result = compare({"raw": None, "pca": PCAEncoder(16)}, X, y, labels=[1, 5])
    >>> [row.name for row in result.rows]
    ['raw', 'pca']
    """
    if not isinstance(encoders, Mapping) or not encoders:
        raise TypeError(
            f"encoders is {_in_words(encoders)}; expected a dict of names and encoders, such as "
            '{"raw": None, "pca": PCAEncoder(16)}.'
        )
    if time_budget is not None and not time_budget > 0:
        raise ValueError(f"time_budget={time_budget!r}: expected seconds, a number above 0, or None for no limit.")
    require_probe(probe)
    data = hold_out(
        "compare", X, y, groups=groups, unlabeled_value=unlabeled_value, probe=probe, random_state=random_state
    )
    draws = draw_labels(data, labels, n_resamples=n_resamples, random_state=random_state)
    model, scorer = probe_and_scorer(probe, scoring, data)
    result = Comparison(len(data.y), len(data.y_test), y_shown=data.y_test[:N_SHOWN])
    if data.n_unlabeled:
        result.notes.append(f"{data.n_unlabeled} more rows without a label trained the encoders.")
    epochs, cuts = ({}, {}) if time_budget is None else _plan_epochs(encoders, data.X, time_budget)
    errors = []
    for name, encoder in encoders.items():
        try:
            require_encoder(encoder)
            begin = time.perf_counter()
            fitted = _fit(name, encoder, data.X, epochs.get(name, {}), on_progress)
            after_fit = time.perf_counter()
            if fitted is None:
                Z, Z_test = rows_themselves(data.X, data.X_test)
            else:
                Z, Z_test = (fitted.transform(part) for part in (data.X, data.X_test))
            after_transform = time.perf_counter()
            scores = probe_features(Z, Z_test, data, draws, model, scorer)
            usual = None
            if probe is None and not callable(scoring) and not _was_trained(fitted):
                usual = probe_features(Z, Z_test, data, draws, _usual_probe(model, Z), scorer, majority=False)
            shown = as_features(Z_test)[:N_SHOWN].copy()  # a view would keep all rows alive
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
            result.rows.append(ComparisonRow(name, shown.shape[1], *seconds, scores, usual, fitted, shown))
            if name in cuts:
                result.notes.append(cuts[name])
    if errors and not result.rows:
        raise errors[0]
    return result


def _in_words(encoders: Any) -> str:
    return "empty" if isinstance(encoders, Mapping) else f"a {type(encoders).__name__}"


def _usual_probe(model: Any, Z: Any) -> Pipeline:
    """What most people put behind an encoder."""
    linear = Ridge() if is_regressor(model) else LogisticRegression(max_iter=2000)
    return make_pipeline(StandardScaler(with_mean=not issparse(Z)), linear)


def _was_trained(fitted: Any) -> bool:
    """Whether it is a network that was trained by epochs, or a Pipeline with one."""
    parts = [step for _, step in fitted.steps] if isinstance(fitted, Pipeline) else [fitted]
    return any(hasattr(part, "history_") for part in parts)


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
    if encoder is None or is_fitted(encoder):
        return encoder
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
        if isinstance(encoder, type) or not hasattr(encoder, "get_params") or is_fitted(encoder):
            continue  # None, what will be listed as failed, and what is used as it is
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
