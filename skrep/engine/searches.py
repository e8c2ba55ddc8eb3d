"""Where in a cross-validation or a search a fit stands: for the progress bar, and for nothing else.

scikit-learn does not tell an estimator which candidate it is, nor which fold it is fitted on. Both are arguments of the
function that fits it, further up the stack, and only read there. Where that function is another one, nothing is known.
"""

import sys
from collections.abc import Iterator
from numbers import Number
from types import FrameType
from typing import Any

__all__ = ["place_in_search"]

VALIDATION = "sklearn.model_selection._validation"

# Characters of a parameter's value, and of all parameters, in the label of a bar.
VALUE_WIDTH, WIDTH = 12, 40


def place_in_search() -> str:
    """Candidate, its parameters and fold, such as "candidate 2/6 (lr=0.1), fold 1/5"; empty where they are not known.

    A search says both. In ``cross_validate`` and ``cross_val_score`` the number of the fold is known in one process
    (``n_jobs=1``) only.
    """
    try:
        return ", ".join(_parts(sys._getframe(1)))
    except Exception:  # private names of another scikit-learn: a label is not worth a failed fit
        return ""


def _parts(frame: FrameType) -> Iterator[str]:
    fitting = _above(frame, "_fit_and_score")
    if fitting is None:
        return
    known = fitting.f_locals
    if known["split_progress"] is None:
        validating = _above(fitting, "cross_validate")
        if validating is not None:  # one fit after the other, in this thread
            yield f"fold {validating.f_locals['parallel'].n_completed_tasks + 1}"
        return
    if known["candidate_progress"] is not None:
        candidate, n_candidates = known["candidate_progress"]
        yield f"candidate {candidate + 1}/{n_candidates}" + _shown(known["parameters"] or {})
    fold, n_folds = known["split_progress"]
    yield f"fold {fold + 1}/{n_folds}"


def _above(frame: FrameType | None, name: str) -> FrameType | None:
    """The next call of one of scikit-learn's functions, from here up."""
    while frame is not None and (frame.f_code.co_name != name or frame.f_globals.get("__name__") != VALIDATION):
        frame = frame.f_back
    return frame


def _shown(parameters: dict[str, Any]) -> str:
    pairs = ", ".join(f"{name.split('__')[-1]}={_short(value)}" for name, value in parameters.items())
    return f" ({_cut(pairs, WIDTH)})" if pairs else ""


def _short(value: Any) -> str:
    """A number or a word as it is, anything else as its kind: the repr of an array or a corpus may be long to make."""
    plain = value is None or isinstance(value, (Number, str))
    return _cut(str(value) if plain else type(value).__name__, VALUE_WIDTH)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
