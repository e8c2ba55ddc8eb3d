"""The pictures that an encoder sees in images: atoms, components, centres, filters."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skrep.displays.figures import axes_or_new, require_matplotlib
from skrep.displays.grid import as_images, draw_images, grid_size

__all__ = ["AtomsDisplay"]

FIGURE_INCHES = 6.4  # width that a new figure does not exceed
LEAST_SIDE = 4  # of square images that need not be named: 4 or 9 columns are a table


class AtomsDisplay:
    """A grid of atoms, each a small picture.

    It is recommended to use :meth:`from_estimator` or :meth:`from_atoms`. Each atom is scaled by its own largest
    magnitude, so that strong and weak ones are seen alike. Zero is the middle grey (of colour atoms: in each channel);
    where no atom has negative values, zero is black. Lines are labelled with the position of their first atom, from 0.

    Parameters
    ----------
    atoms : ndarray of shape (n_atoms, height, width, channels)
        With 1 or 3 channels, in any units.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the grid.
    figure_ : matplotlib Figure
        Figure that holds it.
    images_ : ndarray of matplotlib AxesImage of shape (n_atoms,)
        The pictures, with values in [0, 1].
    """

    def __init__(self, atoms: np.ndarray):
        self.atoms = atoms

    def plot(self, ax: Any = None, **image_kw: Any) -> Self:
        """Draw the grid.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``. A diverging ``cmap``, such as "RdBu_r", tells the signs of grey atoms.

        Returns
        -------
        self

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the atoms are no images.
        """
        name = type(self).__name__
        atoms = np.asarray(self.atoms)
        if atoms.ndim != 4 or len(atoms) == 0 or atoms.shape[3] not in (1, 3):
            raise ValueError(
                f"{name} got atoms of shape {atoms.shape}; expected at least one, as images (n_atoms, height, width, "
                "channels) with 1 or 3 channels."
            )
        n_columns = _columns(len(atoms))
        n_lines = math.ceil(len(atoms) / n_columns)
        width, height = grid_size(atoms, n_lines, n_columns, label_inches=0.3)
        shrink = min(1, FIGURE_INCHES / width)
        self.ax_ = axes_or_new(ax, name, (shrink * width, shrink * height))
        self.figure_ = self.ax_.figure
        cells = np.resize(_unit_range(atoms), (n_lines * n_columns, *atoms.shape[1:]))
        lines = cells.reshape(n_lines, n_columns, *atoms.shape[1:])  # (n, h, w, c) -> (n_lines, n_columns, h, w, c)
        images = draw_images(self.ax_, list(lines), **image_kw).ravel()
        self.images_, fillers = images[: len(atoms)], images[len(atoms) :]
        for image in fillers:
            image.remove()
        self.ax_.set_yticks(self.ax_.get_yticks(), [f"{i * n_columns}" for i in range(n_lines)])
        self.ax_.tick_params(axis="y", labelsize="small", labelcolor="0.4")
        return self

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        image_shape: tuple[int, ...] | None = None,
        max_atoms: int = 100,
        order: Sequence[int] | np.ndarray | None = None,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw what a fitted estimator compares images with.

        Parameters
        ----------
        estimator : fitted estimator
            What is drawn are its ``components_`` (a dictionary, PCA, ICA's filters, NMF), its ``cluster_centers_``, the
            atoms of its ``coder_`` in the shape of its ``patches_``, or the first convolution of its network; of a
            Pipeline those of the last step that has any. They are drawn as the estimator sees them: behind a step that
            whitens, whitened. The atoms of whitened patches become pixels, for :meth:`from_atoms`, by
            ``encoder.patches_.to_pixels(encoder.coder_.components_)``.
        image_shape : tuple of int or None, default=None
            (height, width) or (height, width, channels) of an atom. None takes the shape that the estimator knows, and
            otherwise, for as many numbers as a square has pixels, that square, grey.
        max_atoms : int, default=100
            Of more atoms, the first are drawn.
        order : array-like of int or None, default=None
            Which atoms are drawn, first to last; None draws them as the estimator has them.
        ax : matplotlib Axes or None, default=None
            Where to draw; None makes a new figure, large enough for the grid.
        **image_kw
            Passed to matplotlib's ``imshow``.

        Returns
        -------
        AtomsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        sklearn.exceptions.NotFittedError
            If the estimator is not fitted.
        TypeError
            If the estimator has no atoms.
        ValueError
            If the atoms are no images, their shape is not known or `image_shape` does not fit it.
        """
        require_matplotlib(cls.__name__)
        check_is_fitted(estimator)
        found = _find_atoms(estimator)
        if found is None:
            raise TypeError(
                f"{type(estimator).__name__} has no components_, cluster_centers_, coder_ or convolution that "
                f"{cls.__name__} could draw; pass atoms of other kinds to from_atoms."
            )
        atoms, known_shape = found
        shape = known_shape if image_shape is None else image_shape
        if shape is None and getattr(estimator, "n_features_in_", atoms.shape[1]) != atoms.shape[1]:
            raise ValueError(_unknown_shape(cls.__name__, atoms))  # a step before has made other columns
        return cls.from_atoms(atoms, image_shape=shape, max_atoms=max_atoms, order=order, ax=ax, **image_kw)

    @classmethod
    def from_atoms(
        cls,
        atoms: Any,
        *,
        image_shape: tuple[int, ...] | None = None,
        max_atoms: int = 100,
        order: Sequence[int] | np.ndarray | None = None,
        ax: Any = None,
        **image_kw: Any,
    ) -> Self:
        """Draw the rows of a matrix, or images.

        Parameters
        ----------
        atoms : array-like of shape (n_atoms, n_features) or (n_atoms, height, width, channels)
            Finite numbers.
        image_shape : tuple of int or None, default=None
            (height, width) or (height, width, channels) of a row. None takes images as they are, and rows with as many
            numbers as a square has pixels as that square, grey.
        max_atoms, order, ax, **image_kw
            As in :meth:`from_estimator`.

        Returns
        -------
        AtomsDisplay

        Raises
        ------
        ImportError
            Without matplotlib.
        ValueError
            If the atoms are no images, their shape is not known or `image_shape` does not fit it.
        """
        require_matplotlib(cls.__name__)
        if max_atoms < 1:
            raise ValueError(f"max_atoms={max_atoms}: at least one atom is needed to draw.")
        atoms = check_array(atoms, allow_nd=True, estimator=cls.__name__, input_name="atoms")
        if image_shape is not None:
            atoms = as_images(atoms, image_shape)
        elif atoms.ndim == 2:
            side = math.isqrt(atoms.shape[1])
            if side < LEAST_SIDE or side**2 != atoms.shape[1]:
                raise ValueError(_unknown_shape(cls.__name__, atoms))
            atoms = as_images(atoms, (side, side))
        if order is not None:
            try:
                atoms = atoms[np.asarray(order)]
            except IndexError as error:
                raise ValueError(f"order must hold positions of the {len(atoms)} atoms: {error}.") from None
        return cls(atoms[:max_atoms]).plot(ax, **image_kw)


def _find_atoms(estimator: Any) -> tuple[np.ndarray, tuple[int, ...] | None] | None:
    """Atoms and, where the estimator knows it, the shape that rows of them have as images; None without atoms."""
    if isinstance(estimator, Pipeline):
        steps = (_find_atoms(step) for _, step in reversed(estimator.steps))
        return next((found for found in steps if found is not None), None)
    if hasattr(estimator, "coder_") and hasattr(estimator, "patches_"):
        found = _find_atoms(estimator.coder_)
        return found and (found[0], estimator.patches_.patch_shape_)
    for attribute in ("components_", "cluster_centers_"):
        if hasattr(estimator, attribute):
            rows = np.asarray(getattr(estimator, attribute))
            shape = getattr(estimator, "image_shape_", None)
            return rows, shape if shape is not None and math.prod(shape) == rows.shape[1] else None
    for layer in estimator.net_.module_.encoder.modules() if hasattr(estimator, "net_") else ():
        if isinstance(layer, nn.Conv2d):
            # (out, in, height, width) -> (out, height, width, in)
            return layer.weight.detach().cpu().float().permute(0, 2, 3, 1).numpy(), None
    return None


def _unknown_shape(name: str, atoms: np.ndarray) -> str:
    return (
        f"{name} got atoms of {atoms.shape[1]} numbers, which may be images of several shapes, or no images: pass "
        "image_shape=(height, width) or (height, width, channels). Atoms of a table cannot be drawn as pictures."
    )


def _columns(n_atoms: int) -> int:
    """Columns of a grid, as wide as high or somewhat wider, that leaves the fewest cells empty."""
    side = math.isqrt(n_atoms - 1) + 1
    return min(range(side, 3 * side // 2 + 1), key=lambda n_columns: -n_atoms % n_columns)


def _unit_range(atoms: np.ndarray) -> np.ndarray:
    """Each atom divided by its largest magnitude, and brought into [0, 1]."""
    atoms = atoms.astype(np.float64)
    largest = np.abs(atoms).max(axis=(1, 2, 3), keepdims=True)
    unit = atoms / np.where(largest > 0, largest, 1)
    # less than one level of grey below zero is the rounding of what has no sign
    return unit.clip(0) if atoms.min() > -largest.max() / 256 else (1 + unit) / 2
