"""How long a fit will take, from its first second."""

import time

__all__ = ["Duration"]

# Seconds from which on a fit is long, and seconds of steps from which that is told.
LONG, MEASURED = 20.0, 1.0


class Duration:
    """Estimates the time of a fit; nothing of the training depends on it.

    Parameters
    ----------
    name : str
        The estimator.
    n_epochs : int
        Epochs in all, at most.
    n_samples : int
        Training samples an epoch.
    limit : float or None, default=None
        Seconds after which the clock ends training.
    may_stop : bool, default=False
        Whether training may stop early.
    change : str, default="max_epochs or budget_minutes"
        The parameters that decide how long it takes.
    """

    def __init__(
        self,
        name: str,
        n_epochs: int,
        n_samples: int,
        *,
        limit: float | None = None,
        may_stop: bool = False,
        change: str = "max_epochs or budget_minutes",
    ):
        self._name, self._n_epochs, self._n_samples = name, n_epochs, n_samples
        self._limit, self._may_stop, self._change = limit, may_stop, change
        self._n = self._n_before = 0
        self._began = time.monotonic()
        self._first: tuple[float, int] | None = None  # when the first step ended, and the samples until then

    def skip(self, n_samples: int) -> None:
        """Start from here: an earlier run did these."""
        self._n = self._n_before = n_samples

    def advance(self, n_samples: int) -> str | None:
        """Count the samples of a step: None until the time is known, then what to say of it; "" where it is short."""
        self._n += n_samples
        now = time.monotonic()
        if self._first is None:  # the first step loads and compiles what the others find
            self._first = now, self._n
            return None
        since, n_then = self._first
        if now - since < MEASURED or self._n == n_then:
            return None
        rate, left = (self._n - n_then) / (now - since), self._n_epochs * self._n_samples - self._n
        if left <= 0:
            return ""
        seconds, is_limited = now - self._began + left / rate, False
        n_epochs = f"{self._n_epochs} epochs"
        if self._limit is not None and self._limit < seconds:
            n_done = self._n + max(0.0, self._limit - (now - self._began)) * rate
            seconds, is_limited = self._limit, True
            n_epochs = f"about {max(1, round(n_done / self._n_samples))} epochs"
        if seconds <= LONG:
            return ""
        at_most = "at most " if self._may_stop else ""
        rest = "the rest of " if self._n_before else ""
        why = " (budget_minutes)" if is_limited else ""
        return (
            f"{self._name}: fit will take {at_most}about {in_words(seconds)}{why}, for {rest}{n_epochs}. To spend less "
            f"or more, set {self._change}."
        )


def in_words(seconds: float) -> str:
    """A time as one says it."""
    if seconds < 90:
        return f"{5 * round(seconds / 5)} seconds"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} minutes"
    if seconds < 48 * 3600:
        return f"{round(seconds / 3600)} hours"
    return f"{round(seconds / 86400)} days"
