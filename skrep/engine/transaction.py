"""All or nothing: an estimator is what it was before a call that failed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skrep.engine.sklearn_callbacks import CONTEXT_ATTRIBUTES

__all__ = ["all_or_nothing"]


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[None]:
    """Put the estimator's attributes back as they were if the block fails."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        kept = {name: vars(estimator)[name] for name in CONTEXT_ATTRIBUTES if name in vars(estimator)}
        vars(estimator).clear()
        vars(estimator).update(before | kept)
        raise
