"""The progress bar: epochs, loss, samples per second, time left; and a word where a fit will take long."""

import logging
import math
import sys
from typing import Any

from tqdm import tqdm

from skrep.engine.duration import Duration
from skrep.engine.searches import place_in_search

__all__ = ["Progress"]

log = logging.getLogger("skrep")


class Progress:
    """One bar over all epochs of a fit; none when `verbose` is 0.

    Parameters
    ----------
    label : str
        What is shown in front, such as the estimator's name; in a search, candidate and fold follow it.
    n_epochs : int or None
        Number of epochs; None where that is not known beforehand.
    n_samples : int
        Training samples an epoch.
    verbose : int
        0 shows nothing, 1 shows the bar, 2 also leaves one line an epoch.
    unit : str, default="samples"
        What is counted.
    duration : Duration or None, default=None
        Estimates the time of the fit, which is said once where it is long: to the logger "skrep", and on a terminal
        above the bar. None says nothing.
    """

    def __init__(
        self,
        label: str,
        n_epochs: int | None,
        n_samples: int,
        verbose: int,
        unit: str = "samples",
        duration: Duration | None = None,
    ):
        self._verbose, self._n_epochs, self._n_samples, self._duration = verbose, n_epochs, n_samples, duration
        self._bar: Any = None
        if verbose:
            total = None if n_epochs is None else n_epochs * n_samples
            place = place_in_search()
            label = f"{label}, {place}" if place else label
            options = {"unit": f" {unit}", "unit_scale": True, "dynamic_ncols": True}
            self._bar = tqdm(total=total, desc=label, bar_format=self._format(0), **options)

    def skip(self, n_samples: int) -> None:
        """Start from here: what an earlier run did does not count as this run's speed."""
        if self._bar is not None and n_samples:
            self._bar.initial = self._bar.n = n_samples
            self._bar.bar_format = self._format(n_samples // self._n_samples)
        if self._duration is not None:
            self._duration.skip(n_samples)

    def advance(self, n_samples: int) -> None:
        """Count samples."""
        if self._bar is not None:
            self._bar.update(n_samples)
        if self._duration is not None:
            text = self._duration.advance(n_samples)
            if text is not None:
                self._duration = None
            if text:
                self._say(text)

    def epoch(self, epoch: int, train_loss: float, valid_loss: float | None) -> None:
        """Show what an epoch came to."""
        if self._bar is None:
            return
        losses = {"loss": f"{train_loss:.4g}"} | ({} if valid_loss is None else {"valid": f"{valid_loss:.4g}"})
        is_last = self._bar.total is None or self._bar.n >= self._bar.total
        self._bar.bar_format = self._format(epoch)
        self._bar.set_postfix(losses, refresh=is_last)
        if self._verbose > 1:
            width = int(math.log10(self._n_epochs or 1)) + 1
            of = "" if self._n_epochs is None else f"/{self._n_epochs}"
            self._bar.write(f"epoch {epoch:{width}d}{of}  " + "  ".join(f"{k} {v}" for k, v in losses.items()))

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()

    def _format(self, epoch: int) -> str:
        """What the bar looks like after an epoch: it moves with the samples, but what is counted are epochs."""
        if self._n_epochs is None:
            return f"{{desc}}: {epoch} epochs [{{elapsed}}, {{rate_fmt}}{{postfix}}]"
        share = f"{{percentage:3.0f}}%|{{bar}}| {epoch}/{self._n_epochs} epochs"
        return f"{{desc}}: {share} [{{elapsed}}<{{remaining}}, {{rate_fmt}}{{postfix}}]"

    def _say(self, text: str) -> None:
        if self._bar is None:
            log.info(text)
            return
        with self._bar.external_write_mode(file=sys.stderr):  # the bar makes room, and is drawn again below
            log.info(text)
            if sys.stderr.isatty():
                print(text, file=sys.stderr)
