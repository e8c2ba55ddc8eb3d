"""What displays need: matplotlib, a figure, colours, an estimator that transforms."""

from collections.abc import Iterable
from typing import Any

from sklearn.utils.validation import check_is_fitted

__all__ = [
    "AXIS_LABELS",
    "COLOURS",
    "add_legend",
    "axes_or_new",
    "name_axes",
    "require_matplotlib",
    "require_transformer",
]

# Petroff (2021, https://arxiv.org/abs/2107.02270): ten colours that people with any colour vision tell apart. The two
# greys come last.
COLOURS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#92dadd",
    "#717581",
    "#94a4a2",
)


# What the axes are called, by where an embedding comes from.
AXIS_LABELS = {"pca": "principal component", "tsne": "t-SNE dimension"}


def require_matplotlib(name: str) -> Any:
    """Return pyplot, or say how to install it on behalf of the display called `name`."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f'{name} needs matplotlib, which cannot be imported: pip install "skrep[plots]"') from error
    return plt


def axes_or_new(ax: Any, name: str, figsize: tuple[float, float] | None = None) -> Any:
    """Return `ax`, or the axes of a new figure (in inches) where it is None."""
    plt = require_matplotlib(name)
    if ax is None:
        _, ax = plt.subplots(figsize=figsize, layout="constrained")
        ax.spines[["top", "right"]].set_visible(False)
        ax.set_prop_cycle(color=COLOURS[:8])  # no greys: those are for baselines
    return ax


def require_transformer(estimator: Any, name: str) -> None:
    """Raise TypeError or NotFittedError unless the estimator can transform, on behalf of the display called `name`."""
    if not hasattr(estimator, "transform"):
        raise TypeError(f"{type(estimator).__name__} has no transform; {name} needs a fitted transformer.")
    check_is_fitted(estimator)


def name_axes(ax: Any, method: str | None) -> None:
    """Say what the two axes are of an embedding by `method`; nothing for None."""
    if method is not None:
        ax.set(xlabel=f"{AXIS_LABELS[method]} 1", ylabel=f"{AXIS_LABELS[method]} 2")


def add_legend(ax: Any, names: Iterable[Any], colours: Iterable[Any]) -> Any:
    """A legend beside the axes, with a dot of its colour for each name."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=f"{name}")
        for name, colour in zip(names, colours, strict=True)
    ]
    return ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, handletextpad=0.2)
