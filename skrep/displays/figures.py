"""What every display needs of matplotlib: to be there, a figure, colours."""

from typing import Any

__all__ = ["COLOURS", "axes_or_new", "require_matplotlib"]

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
