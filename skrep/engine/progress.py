"""The progress bar: loss, samples per second, time left."""

import math
from typing import Any

from tqdm import tqdm

__all__ = ["Progress"]


class Progress:
    """One bar over all samples of a fit; silent when `verbose` is 0.

    Parameters
    ----------
    label : str
        What is shown in front, such as the estimator's name.
    n_epochs : int or None
        Number of epochs; None where that is not known beforehand.
    n_samples : int
        Training samples an epoch.
    verbose : int
        0 is silent, 1 shows the bar, 2 also leaves one line an epoch.
    unit : str, default="samples"
        What is counted.
    """

    def __init__(self, label: str, n_epochs: int | None, n_samples: int, verbose: int, unit: str = "samples"):
        self._verbose, self._n_epochs = verbose, n_epochs
        self._bar: Any = None
        if verbose:
            total = None if n_epochs is None else n_epochs * n_samples
            self._bar = tqdm(total=total, desc=label, unit=f" {unit}", unit_scale=True, dynamic_ncols=True)
        self.silent = self._bar is None

    def skip(self, n_samples: int) -> None:
        """Start from here: what an earlier run did does not count as this run's speed."""
        if self._bar is not None:
            self._bar.initial = self._bar.n = n_samples

    def advance(self, n_samples: int) -> None:
        """Count samples."""
        if self._bar is not None:
            self._bar.update(n_samples)

    def epoch(self, epoch: int, train_loss: float, valid_loss: float | None) -> None:
        """Show what an epoch came to."""
        if self._bar is None:
            return
        losses = {"loss": f"{train_loss:.4g}"} | ({} if valid_loss is None else {"valid": f"{valid_loss:.4g}"})
        of = "" if self._n_epochs is None else f"/{self._n_epochs}"
        is_last = self._bar.total is None or self._bar.n >= self._bar.total
        self._bar.set_postfix({"epoch": f"{epoch}{of}"} | losses, refresh=is_last)
        if self._verbose > 1:
            width = int(math.log10(self._n_epochs or 1)) + 1
            self._bar.write(f"epoch {epoch:{width}d}{of}  " + "  ".join(f"{k} {v}" for k, v in losses.items()))

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
