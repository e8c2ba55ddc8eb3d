"""How the variance of features is spread over dimensions."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import numpy as np
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from skrep.displays.figures import axes_or_new, require_matplotlib

__all__ = ["SpectrumDisplay"]

# Shares below this are what rounding left of 0, and would take a logarithmic axis down to 1e-33.
LEAST_SHARE = 1e-8


class SpectrumDisplay:
    """Share of the variance that each component has, and that the first ones have together.

    It is recommended to use :meth:`from_estimator` or :meth:`from_features`. The solid line is the share of each
    component, the dashed one their running sum. Several displays can share one axes.

    Parameters
    ----------
    explained_variance : array-like of shape (n_components,)
        Variance along each component, greatest first.
    total_variance : float or None, default=None
        Variance of the data, where there are components beyond these; None takes the sum of `explained_variance`.
    name : str or None, default=None
        Name in the legend.

    Attributes
    ----------
    effective_dimensions_ : float or None
        How many equal variances would have the entropy of these: exp(-sum p log p) with p the shares, the effective
        rank of the covariance matrix (Roy & Vetterli 2007). It is 1 where all variance is along one direction, and 0
        without any. None where `total_variance` says that these components are not all.
    line_ : matplotlib Line2D
        Share of each component; none is drawn below 1e-8.
    cumulative_line_ : matplotlib Line2D
        Share of the first components together.
    marks_ : matplotlib Line2D
        Points of the dashed line that the legend names.
    ax_ : matplotlib Axes
        Axes with the lines.
    figure_ : matplotlib Figure
        Figure that holds them.
    """

    def __init__(self, explained_variance: Any, total_variance: float | None = None, name: str | None = None):
        self.explained_variance = explained_variance
        self.total_variance = total_variance
        self.name = name

    def plot(
        self,
        ax: Any = None,
        *,
        marks: Sequence[float] = (0.9, 0.95),
        yscale: str = "linear",
        name: str | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw the spectrum.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        marks : sequence of float or int, default=(0.9, 0.95)
            What to mark and to write into the legend, each as PCA's ``n_components``: a share in (0, 1) that the first
            components reach, or a number of components. For a share that is not reached, all components are marked.
        yscale : {"linear", "log"}, default="linear"
            Scale of the shares: "linear" shows how many components are worth keeping, "log" how the small ones fall.
            Where displays share axes, the last one decides.
        name : str or None, default=None
            Name in the legend; None takes the display's own.
        **line_kw
            Passed to matplotlib's ``plot`` for both lines.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If there is no component, a variance is negative, `yscale` is unknown, or a mark is neither share nor number
            of components.
        """
        require_matplotlib(type(self).__name__)
        from matplotlib.cbook import normalize_kwargs
        from matplotlib.lines import Line2D
        from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

        if yscale not in ("linear", "log"):
            raise ValueError(f"yscale={yscale!r}: expected 'linear' or 'log'.")
        shares = self._shares()
        cumulative = shares.cumsum()
        counts = _marked(marks, cumulative)
        self.effective_dimensions_ = _effective_dimensions(shares)
        self.ax_ = axes_or_new(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        numbers = np.arange(1, len(shares) + 1)
        # a single component is no line
        line_kw = {"marker": "o" if len(shares) == 1 else None} | normalize_kwargs(line_kw, Line2D)
        label = self._legend_entry(name, counts, cumulative)
        drawn = np.where(shares >= LEAST_SHARE, shares, np.nan)
        (self.line_,) = self.ax_.plot(numbers, drawn, **{"label": label} | line_kw)
        dashed = {"color": self.line_.get_color(), "linestyle": "--", "label": None}
        (self.cumulative_line_,) = self.ax_.plot(numbers, cumulative, **line_kw | dashed)
        points = {"color": self.line_.get_color(), "linestyle": "", "marker": "o", "markersize": 5}
        (self.marks_,) = self.ax_.plot(counts, [cumulative[n - 1] for n in counts], **points)
        if yscale == "log" and cumulative[-1] > 0:  # without any variance there is no logarithm to draw
            self.ax_.set(yscale="log")
            self.ax_.set_ylim(top=1.5, auto=None)  # the bottom goes on following what others draw
            self.ax_.yaxis.set_minor_locator(NullLocator())
        else:
            self.ax_.set(yscale="linear", ylim=(0, 1.03))
        self.ax_.set(xlabel="component", ylabel="share of variance (dashed: running sum)")
        self.ax_.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        self.ax_.yaxis.set_major_formatter(FuncFormatter(lambda share, _: _per_cent(share)))
        if label:
            self.ax_.legend()
        return self

    def _shares(self) -> np.ndarray:
        variance = np.asarray(self.explained_variance, dtype=np.float64)
        if variance.ndim != 1 or len(variance) == 0 or not (variance >= 0).all():
            raise ValueError(
                f"{type(self).__name__} got explained_variance={self.explained_variance!r}; expected one variance of "
                "at least 0 a component."
            )
        total = variance.sum() if self.total_variance is None else self.total_variance
        return variance / (total or 1.0)

    def _legend_entry(self, name: str | None, counts: list[int], cumulative: np.ndarray) -> str:
        name = self.name if name is None else name
        entry = [] if name is None else [name]
        for n in counts:
            entry.append(f"{_per_cent(cumulative[n - 1])} in {n} component{'s' if n > 1 else ''}")
        if self.effective_dimensions_ is not None:
            entry.append(f"{self.effective_dimensions_:.1f} effective dimensions")
        return "\n".join(entry)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any = None,
        *,
        ax: Any = None,
        name: str | None = None,
        marks: Sequence[float] = (0.9, 0.95),
        yscale: str | None = None,
        **line_kw: Any,
    ) -> Self:
        """Draw the variance that an estimator explains, or the spectrum of the features that it gives to rows.

        Parameters
        ----------
        estimator : fitted transformer
            Without `X`, one with ``explained_variance_`` and ``explained_variance_ratio_``, such as PCAEncoder or
            scikit-learn's PCA, IncrementalPCA and TruncatedSVD; with `X`, any.
        X : array-like of shape (n_samples, ...) or None, default=None
            Rows, whose features' covariance is decomposed as in :meth:`from_features`.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        name : str or None, default=None
            Name in the legend; None takes the name of the class.
        marks : sequence of float or int, default=(0.9, 0.95)
            Shares in (0, 1) and numbers of components to mark, as in :meth:`plot`.
        yscale : {"linear", "log"} or None, default=None
            Scale of the shares; None is "linear" without `X` and "log" with it.
        **line_kw
            Passed to matplotlib's ``plot`` for both lines.

        Returns
        -------
        SpectrumDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no ``explained_variance_`` and there is no `X`, or no ``transform``.
        ValueError
            If a mark is neither share nor number of components.
        """
        require_matplotlib(cls.__name__)
        check_is_fitted(estimator)
        name = type(estimator).__name__ if name is None else name
        if X is not None:
            if not hasattr(estimator, "transform"):
                raise TypeError(f"{type(estimator).__name__} has no transform, which {cls.__name__} needs for X.")
            Z = estimator.transform(X)
            return cls.from_features(Z, ax=ax, name=name, marks=marks, yscale=yscale or "log", **line_kw)
        if not (hasattr(estimator, "explained_variance_") and hasattr(estimator, "explained_variance_ratio_")):
            raise TypeError(
                f"{type(estimator).__name__} has no explained_variance_ and explained_variance_ratio_; pass X, whose "
                "features' covariance is then drawn (or of a Pipeline the fitted PCA itself)."
            )
        variance, share = estimator.explained_variance_.sum(), estimator.explained_variance_ratio_.sum()
        total = float(variance / share) if share > 0 else None
        return cls(estimator.explained_variance_, total, name).plot(
            ax, marks=marks, yscale=yscale or "linear", **line_kw
        )

    @classmethod
    def from_features(
        cls,
        Z: Any,
        *,
        ax: Any = None,
        name: str | None = None,
        marks: Sequence[float] = (0.9, 0.95),
        yscale: str = "log",
        **line_kw: Any,
    ) -> Self:
        """Draw the eigenvalues of the covariance of features.

        Where they fall steeply or end early, the features have collapsed onto few directions (Jing et al. 2022,
        "Understanding dimensional collapse in contrastive self-supervised learning").

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features)
            Features of at least two samples. There are no more eigenvalues than samples: take several times as many
            samples as features.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.
        name : str or None, default=None
            Name in the legend.
        marks : sequence of float or int, default=(0.9, 0.95)
            Shares in (0, 1) and numbers of components to mark, as in :meth:`plot`.
        yscale : {"linear", "log"}, default="log"
            Scale of the shares.
        **line_kw
            Passed to matplotlib's ``plot`` for both lines.

        Returns
        -------
        SpectrumDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If `Z` is no matrix of finite numbers, or a mark is neither share nor number of components.
        """
        require_matplotlib(cls.__name__)
        Z = check_array(Z, dtype=np.float64, ensure_min_samples=2, estimator=cls.__name__, input_name="Z")
        centred = Z - Z.mean(0)
        # both products have the same eigenvalues, but for zeros
        product = centred.T @ centred if Z.shape[0] > Z.shape[1] else centred @ centred.T
        variance = np.linalg.eigvalsh(product)[::-1].clip(0) / (len(Z) - 1)
        return cls(variance, name=name).plot(ax, marks=marks, yscale=yscale, **line_kw)


def _effective_dimensions(shares: np.ndarray) -> float | None:
    total = shares.sum()
    if total == 0:
        return 0.0
    if total < 1 - 1e-5:  # as near as float32 comes
        return None
    positive = shares[shares > 0]
    return float(np.exp(-(positive * np.log(positive)).sum()))


def _marked(marks: Sequence[float], cumulative: np.ndarray) -> list[int]:
    """Numbers of components that the marks stand for, each once, in order."""
    counts = set()
    for mark in marks:
        if isinstance(mark, Integral) and not isinstance(mark, bool) and 1 <= mark <= len(cumulative):
            counts.add(int(mark))
        elif not isinstance(mark, Integral) and 0 < mark < 1:
            counts.add(min(int(np.searchsorted(cumulative, mark)) + 1, len(cumulative)))
        else:
            raise ValueError(
                f"marks={marks!r}: expected shares in (0, 1) and numbers of components from 1 to {len(cumulative)}."
            )
    return sorted(counts)


def _per_cent(share: float) -> str:
    return f"{100 * share:.3g} %"
