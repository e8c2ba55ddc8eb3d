"""The bridge to scikit-learn's callbacks (1.9, experimental): one task an epoch.

Everything that touches that interface is in this file. Before 1.9 there is none, and the bridge does nothing.
"""

from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["CONTEXT_ATTRIBUTES", "CallbackSupportMixin", "EpochTasks", "with_callbacks"]

Method = TypeVar("Method", bound=Callable[..., Any])

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks

    AVAILABLE = True
except ImportError:  # scikit-learn < 1.9
    AVAILABLE = False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stands where scikit-learn has no callbacks yet."""

    def with_callbacks(method: Method) -> Method:
        """Return the method as it is."""
        return method


# What scikit-learn keeps on the estimator while it fits; a failed fit must leave it there for the teardown.
CONTEXT_ATTRIBUTES = ("_callback_fit_ctx", "_skl_callbacks_to_teardown", "_parent_callback_ctx", "_skl_callbacks")


class EpochTasks:
    """Tells scikit-learn's callbacks of a fit and its epochs.

    Parameters
    ----------
    estimator : estimator
        The one being fitted.
    n_epochs : int
        How many epochs are planned.
    """

    def __init__(self, estimator: Any, n_epochs: int):
        self._estimator, self._epoch = estimator, None
        self._fit = None
        if AVAILABLE and (getattr(estimator, "_skl_callbacks", None) or hasattr(estimator, "_parent_callback_ctx")):
            self._fit = estimator._init_callback_context(max_subtasks=n_epochs)
            self._fit.call_on_fit_task_begin(estimator=estimator)

    def begin(self) -> None:
        """An epoch begins."""
        if self._fit is not None:
            self._epoch = self._fit.subcontext(task_name="epoch").call_on_fit_task_begin(estimator=self._estimator)

    def end(self) -> bool:
        """An epoch has ended; True if a callback asks to stop."""
        return bool(self._epoch is not None and self._epoch.call_on_fit_task_end(estimator=self._estimator))

    def close(self) -> None:
        """The fit has ended."""
        if self._fit is not None:
            self._fit.call_on_fit_task_end(estimator=self._estimator)
