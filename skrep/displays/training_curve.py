"""Loss by epoch."""

from collections.abc import Sequence
from typing import Any, Self

from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import axes_or_new, require_matplotlib

__all__ = ["TrainingCurveDisplay"]


class TrainingCurveDisplay:
    """Training and validation loss by epoch.

    It is recommended to use :meth:`from_estimator`. Several displays can share one axes.

    Parameters
    ----------
    epochs : sequence of int of shape (n_epochs,)
        Numbers of the epochs.
    train_loss : sequence of float of shape (n_epochs,)
        Mean loss over the training rows.
    valid_loss : sequence of float of shape (n_epochs,) or None, default=None
        Mean loss over the held-out rows; NaN leaves a gap.
    lr : sequence of float of shape (n_epochs,) or None, default=None
        Learning rate.
    name : str or None, default=None
        Name in the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure that holds them.
    train_line_ : matplotlib Line2D
        Training loss, a solid line.
    valid_line_ : matplotlib Line2D or None
        Validation loss, a dashed line of the same colour.
    lr_line_ : matplotlib Line2D or None
        Learning rate, with ``plot_lr=True``.
    """

    def __init__(
        self,
        epochs: Sequence[int],
        train_loss: Sequence[float],
        valid_loss: Sequence[float] | None = None,
        lr: Sequence[float] | None = None,
        name: str | None = None,
    ):
        self.epochs = epochs
        self.train_loss = train_loss
        self.valid_loss = valid_loss
        self.lr = lr
        self.name = name

    def plot(self, ax: Any = None, *, name: str | None = None, plot_lr: bool = False, **line_kw: Any) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        name : str or None, default=None
            Name in the legend; None takes the display's own.
        plot_lr : bool, default=False
            Whether to draw the learning rate, on an axis of its own on the right.
        **line_kw
            Passed to matplotlib's ``plot`` for both losses.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the learning rate is asked for and there is none.
        """
        if plot_lr and self.lr is None:
            raise ValueError("plot_lr=True needs learning rates, and this display has lr=None; pass lr to its class.")
        require_matplotlib(type(self).__name__)
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        self.ax_ = axes_or_new(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        name = self.name if name is None else name
        train, valid = ("training", "validation") if name is None else (f"{name}, training", f"{name}, validation")
        # a single epoch is no line
        line_kw = {"marker": "o" if len(self.epochs) == 1 else None} | normalize_kwargs(line_kw, Line2D)
        (self.train_line_,) = self.ax_.plot(self.epochs, self.train_loss, **{"label": train} | line_kw)
        self.valid_line_ = self.lr_line_ = None
        if self.valid_loss is not None:
            dashed = {"color": self.train_line_.get_color(), "linestyle": "--", "fillstyle": "none", "label": valid}
            (self.valid_line_,) = self.ax_.plot(self.epochs, self.valid_loss, **line_kw | dashed)
        if plot_lr:
            lr_axes = self.ax_.twinx()
            (self.lr_line_,) = lr_axes.plot(self.epochs, self.lr, color="0.6", linestyle=":")
            lr_axes.set_ylabel("learning rate (dotted)", color="0.4")
            lr_axes.spines["top"].set_visible(False)
        self.ax_.set(xlabel="epoch", ylabel="loss")
        self.ax_.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        self.ax_.legend()
        return self

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, ax: Any = None, name: str | None = None, plot_lr: bool = False, **line_kw: Any
    ) -> Self:
        """Draw what an estimator noted while it was trained.

        Parameters
        ----------
        estimator : fitted estimator with ``history_``
            Any skrep estimator that is trained in epochs.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        name : str or None, default=None
            Name in the legend; None takes the name of the class.
        plot_lr : bool, default=False
            Whether to draw the learning rate, on an axis of its own on the right.
        **line_kw
            Passed to matplotlib's ``plot`` for both losses.

        Returns
        -------
        TrainingCurveDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``history_``.
        """
        require_matplotlib(cls.__name__)
        check_is_fitted(estimator)
        if not hasattr(estimator, "history_"):
            raise TypeError(
                f"{type(estimator).__name__} has no history_, which {cls.__name__} draws; pass an estimator that is "
                "trained in epochs (of a Pipeline or a search, the fitted step itself)."
            )
        history = estimator.history_
        has_valid = any("valid_loss" in row for row in history)
        display = cls(
            [row["epoch"] for row in history],
            [row["train_loss"] for row in history],
            # epochs before a warm start or a partial_fit may be without
            [row.get("valid_loss", float("nan")) for row in history] if has_valid else None,
            [row["lr"] for row in history],
            type(estimator).__name__ if name is None else name,
        )
        return display.plot(ax, plot_lr=plot_lr, **line_kw)
