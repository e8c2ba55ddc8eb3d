"""Hyper-parameters are dataclass fields.

``__init__`` can then do nothing but store them, ``inspect.signature`` shows all of them, editors complete them and
scikit-learn reaches each one by name. A field says what it accepts once, in its declaration; :func:`check_params`
holds it to that inside ``fit``, where scikit-learn expects errors to be raised.

>>> from sklearn.base import BaseEstimator
>>> @params
... class Shift(BaseEstimator):
...     by: float = param(Real(low=0), default=1.0)
>>> check_params(Shift(by=-2))
Traceback (most recent call last):
    ...
ValueError: Shift(by=-2): by must be a number of at least 0.
"""

import copy
import dataclasses
import inspect
import math
import numbers
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, dataclass_transform

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

__all__ = [
    "RANDOM_STATE",
    "FittedParts",
    "Integer",
    "Real",
    "RowCount",
    "SequenceOf",
    "SharedRows",
    "check_params",
    "is_fitted",
    "param",
    "params",
]

T = TypeVar("T")

# Where scikit-learn prints estimators: it asks parameters for their repr.
_PRINTERS = ("sklearn.utils._pprint", "_get_params_html")


class _Number:
    _kind: Any
    _name: str

    def __init__(
        self, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False, open_high: bool = False
    ):
        self.low, self.high, self.open_low, self.open_high = low, high, open_low, open_high

    def accepts(self, value: object) -> bool:
        if not isinstance(value, self._kind) or isinstance(value, bool):
            return False
        number: Any = value
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return bool(above and below and math.isfinite(number))

    def __str__(self) -> str:
        bounds = []
        if self.low > -math.inf:
            bounds.append(f"{'above' if self.open_low else 'of at least'} {self.low:g}")
        if self.high < math.inf:
            bounds.append(f"{'below' if self.open_high else 'at most'} {self.high:g}")
        return " ".join([self._name, " and ".join(bounds)]).strip()


class Integer(_Number):
    """A whole number between two bounds (included unless ``open_``)."""

    _kind, _name = numbers.Integral, "a whole number"


class Real(_Number):
    """A finite number between two bounds (included unless ``open_``)."""

    _kind, _name = numbers.Real, "a number"


class SequenceOf:
    """A list or tuple whose items all satisfy one constraint."""

    def __init__(self, item: _Number):
        self.item = item

    def accepts(self, value: object) -> bool:
        return isinstance(value, Sequence) and not isinstance(value, str) and all(map(self.item.accepts, value))

    def __str__(self) -> str:
        return f"a list or tuple of which each item is {self.item}"


# What a ``random_state`` accepts.
RANDOM_STATE = (Integer(low=0, high=2**32 - 1), np.random.RandomState, None)


def param(*valid: object, default: T, trains: bool = True) -> T:
    """Declare a hyper-parameter: its default, and what it accepts.

    Parameters
    ----------
    *valid : object
        The alternatives: :class:`Integer`, :class:`Real`, :class:`SequenceOf`, a string or ``None`` (that very value),
        a class (its instances) or the builtin ``callable``. With none given, every value is accepted.
    default : object
        The default value.
    trains : bool, default=True
        Whether what is trained depends on it: such parameters identify a run in a checkpoint folder.
    """
    made: T = dataclasses.field(default=default, metadata={"valid": valid, "trains": trains})
    return made


def _accepts(rule: Any, value: object) -> bool:
    if hasattr(rule, "accepts"):
        return bool(rule.accepts(value))
    if rule is None:
        return value is None
    if isinstance(rule, str):
        return isinstance(value, str) and bool(value == rule)  # an array compared with a string would be an array
    if rule is callable:
        return bool(callable(value))
    return bool(isinstance(value, rule))


def _describe(rule: Any) -> str:
    if rule is callable:
        return "a callable"
    if isinstance(rule, type):
        return "True or False" if rule is bool else f"an instance of {rule.__name__}"
    return repr(rule) if rule is None or isinstance(rule, str) else str(rule)


def check_params(estimator: Any) -> None:
    """Raise one ValueError that names the first hyper-parameter whose value its declaration does not accept."""
    for base in type(estimator).__mro__:
        if left := [name for name, value in vars(base).items() if isinstance(value, dataclasses.Field)]:
            raise TypeError(f"{base.__name__} declares {', '.join(left)}, but is not decorated. Put @params above it.")
    for field in dataclasses.fields(estimator):
        valid, value = field.metadata.get("valid", ()), getattr(estimator, field.name)
        if valid and not any(_accepts(rule, value) for rule in valid):
            *head, last = [_describe(rule) for rule in valid]
            expected = f"{', '.join(head)} or {last}" if head else last
            given = repr(value)
            given = given if len(given) <= 80 else given[:77] + "..."
            raise ValueError(f"{type(estimator).__name__}({field.name}={given}): {field.name} must be {expected}.")


_SECTION = re.compile(r"^[A-Z][A-Za-z ]+\n-+$", re.MULTILINE)


def _section(doc: str, title: str) -> tuple[int, int]:
    """Where the body of a section of a numpydoc docstring begins and ends; (0, 0) without one."""
    found = re.search(rf"^{title}\n-+\n", doc, re.MULTILINE)
    if not found:
        return 0, 0
    end = _SECTION.search(doc, found.end())
    return found.end(), end.start() if end else len(doc)


def _entries(doc: str, title: str) -> dict[str, str]:
    """The entries of a section, by name."""
    start, end = _section(doc, title)
    entries = re.split(r"\n(?=\S)", doc[start:end].rstrip())
    return {re.split(r"[ :]", entry, maxsplit=1)[0]: entry for entry in entries if entry.strip()}


def _own_parameters_first(cls: Any) -> None:
    """Let the signature show keyword-only parameters by the class that declares them, the nearest first."""
    self, *given = inspect.signature(cls.__init__).parameters.values()
    positional = [p for p in given if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    declared = [vars(base).get("__annotations__", {}) for base in cls.__mro__]
    by_name = sorted(
        (p for p in given if p.kind is inspect.Parameter.KEYWORD_ONLY),
        key=lambda p: next(i for i, names in enumerate(declared) if p.name in names),
    )
    cls.__init__.__signature__ = inspect.Signature([self, *positional, *by_name])


def _complete_docstring(cls: type) -> None:
    """Add to the class's help the parameters and attributes that its bases document.

    Parameters stand in the order of the signature. Attributes of the class stand first, then those of its bases, the
    nearest first; one that the class cannot have, by its ``reads``, is left out.
    """
    bases = [inspect.cleandoc(base.__doc__ or "") for base in cls.__mro__[1:] if dataclasses.is_dataclass(base)]
    own_doc = (cls.__doc__ or "").partition("(")[0] != cls.__name__  # dataclasses write the signature where none is
    doc = inspect.cleandoc((cls.__doc__ or "") if own_doc else next(iter(bases), "").split("\n\n")[0])
    for title in ("Parameters", "Attributes"):
        entries: dict[str, str] = {}
        for base in (*reversed(bases), doc):
            entries |= _entries(base, title)
        if title == "Parameters":
            names = [name for name in inspect.signature(cls).parameters if name in entries]
        else:
            own = _entries(doc, title)
            names = [*own, *(name for name in entries if name not in own and _may_have(cls, name))]
        if not names:
            continue
        start, end = _section(doc, title)
        if not start:  # before the sections that come after it
            later = _SECTIONS[_SECTIONS.index(title) + 1 :]
            found = [m.start() for m in _SECTION.finditer(doc) if m.group().split("\n")[0] in later]
            at = min(found, default=len(doc))
            head = f"{doc[:at].rstrip()}\n\n{title}\n{'-' * len(title)}\n"
            doc, start, end = head + doc[at:], len(head), len(head)
        doc = doc[:start] + "\n".join(entries[name] for name in names) + "\n\n" + doc[end:]
    cls.__doc__ = doc.rstrip()


_SECTIONS = ["Parameters", "Attributes", "See Also", "Notes", "References", "Examples"]

# Fitted attributes of one kind of input.
_OF_KIND = {"n_features_in_": "table", "image_shape_": "images", "n_channels_in_": "sequences"}


def _may_have(cls: type, attribute: str) -> bool:
    reads = getattr(cls, "reads", ())
    kind = _OF_KIND.get(attribute)
    return kind is None or not isinstance(reads, tuple) or kind in reads


@dataclass_transform(eq_default=False, field_specifiers=(param, dataclasses.field))
def params(cls: type[T] | None = None, /, *, kw_only: bool = False) -> Any:
    """Make a class's annotated attributes its hyper-parameters.

    A thin layer over :func:`dataclasses.dataclass` that keeps scikit-learn's equality and ``repr`` and completes the
    docstring with the parameters documented by base classes.

    Parameters
    ----------
    cls : type
        The class to decorate.
    kw_only : bool, default=False
        Whether the fields can only be passed by name.
    """

    def decorate(cls: type[T]) -> type[T]:
        made = dataclasses.dataclass(eq=False, repr=False, match_args=False, kw_only=kw_only)(cls)
        _own_parameters_first(made)
        _complete_docstring(made)
        return made

    decorated: Callable[[type[T]], type[T]] | type[T] = decorate if cls is None else decorate(cls)
    return decorated


class FittedParts:
    """Mixin of estimators that are made of others: parts that are fitted stay fitted in a clone.

    ``GridSearchCV`` and ``cross_val_score`` clone what they are given; a probe of a fitted encoder would otherwise be
    one of an unfitted encoder. Fitted parts are shared, their parameters are not.
    """

    def __sklearn_clone__(self) -> Any:
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}  # type: ignore[arg-type]
        parts = {
            name: copy.copy(part)  # so that parameters can be set on one alone
            for name, part in given.items()
            if isinstance(part, BaseEstimator) and not isinstance(part, type) and is_fitted(part)
        }
        return _clone_beside(self, parts, FittedParts)


class SharedRows:
    """Mixin of estimators with rows among their parameters: clones share them, and a repr counts them."""

    _rows = ("unlabeled",)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add those of estimators among them.

        Returns
        -------
        dict of str to object
        """
        found: dict[str, Any] = super().get_params(deep)  # type: ignore[misc]
        caller = sys._getframe(1)  # to print a step of a Pipeline, scikit-learn calls nothing else of it
        if {caller.f_globals.get("__name__"), caller.f_code.co_name} & {*_PRINTERS}:
            found |= {name: RowCount(found[name]) for name in self._rows if found[name] is not None}
        return found

    def __sklearn_clone__(self) -> Any:
        rows = {name: getattr(self, name) for name in self._rows}
        return _clone_beside(self, rows, SharedRows)


def _clone_beside(estimator: Any, kept: dict[str, Any], mixin: type) -> Any:
    """A clone, by what follows `mixin`, with some parameters as they are."""
    bare = copy.copy(estimator)
    vars(bare).update(dict.fromkeys(kept))  # or scikit-learn would copy them
    copied = super(mixin, bare).__sklearn_clone__()  # type: ignore[arg-type]
    vars(copied).update(kept)
    return copied


class RowCount:
    """What stands for rows in a repr."""

    def __init__(self, rows: Any):
        self.rows = rows

    def __repr__(self) -> str:
        shape = getattr(self.rows, "shape", ())
        if shape or hasattr(self.rows, "__len__"):
            return f"<{shape[0] if shape else len(self.rows)} rows>"
        return f"<{type(self.rows).__name__}>"


def is_fitted(estimator: Any) -> bool:
    """Whether an estimator has been fitted, a Pipeline in all its steps; what needs no ``fit`` has not."""
    if isinstance(estimator, FrozenEstimator):
        return True
    if isinstance(estimator, Pipeline):  # scikit-learn asks the last step alone, which may need no fit
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough") and _needs_fit(step)]
        return bool(steps) and all(map(is_fitted, steps))
    if not _needs_fit(estimator):
        return False
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _needs_fit(estimator: Any) -> bool:
    return not hasattr(estimator, "__sklearn_tags__") or bool(get_tags(estimator).requires_fit)
