"""Accuracy by number of labels."""

from collections.abc import Mapping
from typing import Any, Self

from skrep.displays.figures import axes_or_new
from skrep.evaluation import Comparison, FewLabelScores

__all__ = ["FewLabelDisplay"]

# What a method has to beat, drawn behind the methods.
BASELINES = {
    "raw": {"color": "0.35", "linestyle": (0, (5, 2)), "marker": "", "zorder": 1.9},
    "random": {"color": "0.6", "linestyle": (0, (2, 2)), "marker": "", "zorder": 1.9},
}
MARKERS = "os^DvPX"
# Labels of the x axis are at least this share of its length apart.
LEAST_STEP = 0.08


class FewLabelDisplay:
    """Test score of a linear probe by number of labels, for several encoders.

    It is recommended to use :meth:`from_comparison` or :meth:`from_scores`.

    Parameters
    ----------
    curves : mapping of str to FewLabelScores
        What :func:`skrep.evaluation.few_label_probe` returned, by name of the encoder. The names "raw" (the columns
        themselves) and "random" (an untrained network) are drawn as baselines, dashed and grey.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure that holds them.
    lines_ : dict of str to matplotlib Line2D
        Mean over the draws of labels, by name.
    bands_ : dict of str to matplotlib PolyCollection
        The mean plus and minus one standard deviation over the draws, by name.
    """

    def __init__(self, curves: Mapping[str, FewLabelScores]):
        self.curves = curves

    def plot(self, ax: Any = None) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If there is no curve.
        """
        if not self.curves:
            raise ValueError(f"{type(self).__name__} got no curve to draw; pass the scores of at least one encoder.")
        self.ax_ = axes_or_new(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        self.lines_, self.bands_ = {}, {}
        methods = [name for name in self.curves if name not in BASELINES]
        for name, scores in self.curves.items():
            style = BASELINES.get(name) or {"marker": MARKERS[methods.index(name) % len(MARKERS)], "markersize": 5}
            order = sorted(range(len(scores.n_labels)), key=scores.n_labels.__getitem__)
            n_labels = [scores.n_labels[i] for i in order]
            mean, sd = scores.mean[order], scores.sd[order]
            (line,) = self.ax_.plot(n_labels, mean, label=name, **style)
            self.bands_[name] = self.ax_.fill_between(
                n_labels, mean - sd, mean + sd, color=line.get_color(), alpha=0.15, linewidth=0, zorder=1.8
            )
            self.lines_[name] = line
        self.ax_.set(xscale="log", xlabel="labels in all", ylabel=f"test {next(iter(self.curves.values())).metric}")
        self._label_ticks()
        self.ax_.legend()
        return self

    def _label_ticks(self) -> None:
        """Ticks at the numbers of labels that were tried, as far as their labels have room."""
        tried = sorted({n for scores in self.curves.values() for n in scores.n_labels})
        step = (tried[-1] / tried[0]) ** LEAST_STEP
        ticks = tried[-1:]
        for n in tried[-2::-1]:
            if n * step <= ticks[-1]:
                ticks.append(n)
        self.ax_.set_xticks(ticks, [f"{n}" for n in ticks])
        self.ax_.minorticks_off()

    @classmethod
    def from_comparison(cls, comparison: Comparison, *, ax: Any = None) -> Self:
        """Draw what :func:`skrep.evaluation.compare` found.

        Parameters
        ----------
        comparison : Comparison
            With at least one row.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        FewLabelDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If no encoder was compared.
        """
        return cls.from_scores({row.name: row.scores for row in comparison.rows}, ax=ax)

    @classmethod
    def from_scores(cls, scores: Mapping[str, FewLabelScores], *, ax: Any = None) -> Self:
        """Draw what :func:`skrep.evaluation.few_label_probe` found for several encoders.

        Parameters
        ----------
        scores : mapping of str to FewLabelScores
            By name of the encoder; "raw" and "random" are drawn as baselines.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        FewLabelDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If there is no curve.
        """
        return cls(scores).plot(ax)
