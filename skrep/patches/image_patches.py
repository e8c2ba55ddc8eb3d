"""Patches of images with equal brightness and contrast, whitened (Coates, Lee & Ng 2011).

"An analysis of single-layer networks in unsupervised feature learning", AISTATS 2011,
https://proceedings.mlr.press/v15/coates11a.html. Its constants are for pixels from 0 to 255.
"""

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skrep.data import Source, read_images
from skrep.data.sources import CHUNK_BYTES
from skrep.engine import all_or_nothing, draw_seed
from skrep.params import RANDOM_STATE, Integer, Real, SequenceOf, check_params, param, params
from skrep.solvers.scatter import scatter_of

__all__ = ["ImagePatches"]

# Added to the variance of the pixels of a patch, so that noise in even patches stays small; pixels are in [0, 1] here.
CONTRAST_FLOOR = 10 / 255**2

# A variance along an axis that is rounding: pixels in steps of 1/255, or floats of seven digits, have more.
NO_VARIANCE = 1e-10

# Patches that are worked on at a time. What is computed of them then mostly stays in the processor's cache.
CHUNK_PATCHES = 2048

# Pixels so far outside the range that fit saw would overflow when they are squared.
FARTHEST = 1e15


@params
class ImagePatches(TransformerMixin, BaseEstimator):
    """Patches of images, as rows for a method that learns from rows.

    Each patch loses its brightness and its contrast: its mean is subtracted, and it is divided by the square root of
    its variance plus 10 (for pixels from 0 to 255). What is left is whitened: turned, stretched and turned back, so
    that pixels are no longer correlated and still look like pixels (ZCA). What is learned from such patches are edges;
    without whitening it is mostly blurs, because neighbouring pixels are alike.

    Patches do not depend on the units of the images: bytes and the same images as floats from 0 to 1 give the same.

    Parameters
    ----------
    size : int or tuple of (int, int), default=6
        Height and width of a patch in pixels.
    stride : int, default=1
        Pixels from a patch to the next in ``transform``. ``fit`` and ``sample`` draw from all positions.
    normalize : bool, default=True
        Whether to equalise brightness and contrast. If False, patches are pixels from 0 (black) to 1 (white).
    whiten : bool, default=True
        Whether to whiten.
    regularization : float, default=0.1
        Added to the variance along each axis before it is scaled to one, so that noise is not blown up. In units of the
        variance of a normalised pixel, which is about one; without `normalize`, of the mean variance of a pixel. Larger
        values leave patches smoother. With 0, axes without variance are left out.
    n_patches : int, default=100000
        Patches from which ``fit`` learns to whiten; all of them, if the images have no more.
    random_state : int, RandomState instance or None, default=None
        Decides which patches are drawn.

    Attributes
    ----------
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of the images.
    patch_shape_ : tuple of (int, int, int)
        Height, width and channels of a patch.
    grid_shape_ : tuple of (int, int)
        Rows and columns of patches in an image.
    mean_ : ndarray of shape (n_values,) or None
        Mean of the patches before they are whitened; None without `whiten`. ``n_values`` is height times width times
        channels of a patch.
    whitening_ : ndarray of shape (n_values, n_values) or None
        What patches are multiplied by.
    unwhitening_ : ndarray of shape (n_values, n_values) or None
        Its (pseudo-)inverse.

    See Also
    --------
    skrep.PatchEncoder : Features of whole images from their patches.

    Examples
    --------
    >>> from skrep.datasets import load_emoji
    >>> from skrep.patches import ImagePatches
    >>> images = load_emoji().images[:100]
    >>> patches = ImagePatches(8, random_state=0).fit(images)
    >>> patches.sample(images, 1000).shape  # 8 x 8 pixels of three colours
    (1000, 192)
    >>> patches.transform(images[:2]).shape
    (2, 25, 25, 192)
    """

    size: Any = param(Integer(low=1), SequenceOf(Integer(low=1)), default=6)
    _: KW_ONLY
    stride: int = param(Integer(low=1), default=1)
    normalize: bool = param(bool, default=True)
    whiten: bool = param(bool, default=True)
    regularization: float = param(Real(low=0), default=0.1)
    n_patches: int = param(Integer(low=1), default=100_000)
    random_state: int | np.random.RandomState | None = param(*RANDOM_STATE, default=None)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Draw patches and learn to whiten them.

        Parameters
        ----------
        X : array-like, list, ImageFiles or torch.utils.data.Dataset of shape (n_samples, height, width, channels)
            Images, uint8 or floats; read in chunks.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For images or parameters that cannot be used; the message names the fix.
        """
        with all_or_nothing(self):
            check_params(self)
            self._learn(self._read(X, reset=True), draw_seed(self.random_state))
        return self

    def sample(self, X: Any, n_patches: int, random_state: Any = None) -> np.ndarray:
        """Draw patches at random, each position of each image at most once, and in random order.

        Parameters
        ----------
        X : array-like, list, ImageFiles or torch.utils.data.Dataset of shape (n_samples, height, width, channels)
            Images.
        n_patches : int
            How many; all of them, if the images have no more.
        random_state : int, RandomState instance or None, default=None
            Decides which; None takes that of the estimator.

        Returns
        -------
        ndarray of shape (n_patches, n_values), float32
            Normalised and whitened.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If `X` is not what was fitted.
        """
        check_is_fitted(self)
        if not Integer(low=1).accepts(n_patches):
            raise ValueError(f"ImagePatches.sample(n_patches={n_patches!r}): n_patches must be {Integer(low=1)}.")
        seed = draw_seed(self.random_state if random_state is None else random_state)
        return self._whitened(self._draw(self._read(X, reset=False), n_patches, seed))

    def transform(self, X: Any) -> np.ndarray:
        """All patches of each image.

        They take as many times the memory of the images as a patch has pixels, at a stride of 1.

        Parameters
        ----------
        X : array-like, list, ImageFiles or torch.utils.data.Dataset of shape (n_samples, height, width, channels)
            Images.

        Returns
        -------
        ndarray of shape (n_samples, n_rows, n_columns, n_values), float32
            Normalised and whitened; rows and columns of patches are those of ``grid_shape_``.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If `X` is not what was fitted.
        """
        check_is_fitted(self)
        images = self._read(X, reset=False)
        n_positions, n_values = math.prod(self.grid_shape_), math.prod(self.patch_shape_)
        result = np.empty((len(images), n_positions, n_values), dtype=np.float32)
        for i, positions, patches in self._in_pieces(images):
            result[i, positions] = patches
        return result.reshape(len(images), *self.grid_shape_, n_values)  # n_positions -> n_rows, n_columns

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Undo the whitening of patches.

        Brightness and contrast do not come back: the pixels of normalised patches are around 0, with a variance of
        about 1. Without `normalize` they are what they were, from 0 (black) to 1 (white).

        Parameters
        ----------
        X : array-like of shape (..., n_values)
            Whitened patches.

        Returns
        -------
        ndarray of shape (..., height, width, channels), float32
            The pixels of each patch.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If there are not as many values as in a patch.
        """
        pixels = self.to_pixels(X)
        # (n_values,) -> (height, width, channels)
        return pixels if self.mean_ is None else pixels + self.mean_.reshape(self.patch_shape_)

    def to_pixels(self, atoms: Any) -> np.ndarray:
        """What atoms, or other directions among whitened patches, add to the pixels of a patch: to look at them.

        Parameters
        ----------
        atoms : array-like of shape (..., n_values)
            Such as the ``components_`` of a dictionary that was learned from patches.

        Returns
        -------
        ndarray of shape (..., height, width, channels), float32
            Pixels; an atom leaves those as they are that are 0.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If there are not as many values as in a patch.
        """
        check_is_fitted(self)
        atoms = np.asarray(atoms, dtype=np.float32)
        if atoms.ndim == 0 or atoms.shape[-1] != math.prod(self.patch_shape_):
            raise ValueError(
                f"ImagePatches got an array of shape {atoms.shape}; expected (..., {math.prod(self.patch_shape_)}), "
                f"for patches of shape {self.patch_shape_}."
            )
        pixels: np.ndarray = atoms if self.unwhitening_ is None else atoms @ self.unwhitening_
        return pixels.reshape(*atoms.shape[:-1], *self.patch_shape_)  # (..., h * w * c) -> (..., h, w, c)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Do nothing: patches stay arrays, also in a Pipeline whose output is set to DataFrames."""
        return self

    def _read(self, X: Any, *, reset: bool) -> Source:
        return read_images(self, X, reset=reset)

    def _learn(self, images: Source, seed: int) -> None:
        """Fit, on images that have been read."""
        size = tuple(int(side) for side in ((self.size, self.size) if np.ndim(self.size) == 0 else self.size))
        if len(size) != 2:
            raise ValueError(f"ImagePatches(size={self.size!r}): expected a number of pixels or (height, width).")
        height, width, channels = images.shape
        if size[0] > height or size[1] > width:
            raise ValueError(
                f"ImagePatches(size={self.size!r}): patches of {size[0]}x{size[1]} pixels (height x width) are larger "
                f"than the images of {height}x{width}. Choose a smaller size."
            )
        if self.normalize and size == (1, 1) and channels == 1:
            raise ValueError(f"ImagePatches(size={self.size!r}): one pixel has no contrast. Set normalize=False.")
        self.image_shape_ = (height, width, channels)
        self.patch_shape_ = (size[0], size[1], channels)
        self.grid_shape_ = (height - size[0]) // int(self.stride) + 1, (width - size[1]) // int(self.stride) + 1
        self._pixel_range = images.pixel_range()
        self.mean_: np.ndarray | None = None
        self.whitening_ = self.unwhitening_ = None
        if self.whiten:
            self._learn_whitening(self._draw(images, self.n_patches, seed))

    def _learn_whitening(self, patches: np.ndarray) -> None:
        starts = range(0, len(patches), CHUNK_PATCHES)
        scatter = scatter_of(
            (patches[start : start + CHUNK_PATCHES].astype(np.float64) for start in starts), patches.shape[1]
        )
        variances, axes = np.linalg.eigh(scatter.matrix / max(1, len(patches) - 1))
        unit = 1.0 if self.normalize else variances.mean() + CONTRAST_FLOOR
        stretched = np.sqrt(variances.clip(0) + self.regularization * unit)
        used = stretched**2 > NO_VARIANCE
        axes, stretched = axes[:, used], stretched[used]
        self.mean_ = scatter.mean.astype(np.float32)
        self.whitening_ = ((axes / stretched) @ axes.T).astype(np.float32)
        self.unwhitening_ = ((axes * stretched) @ axes.T).astype(np.float32)

    def _draw(self, images: Source, n_patches: int, seed: int) -> np.ndarray:
        """Patches at random positions, (n_patches, n_values), not whitened; reads only the images that are needed."""
        n_rows, n_columns = (n - side + 1 for n, side in zip(images.shape[:2], self.patch_shape_[:2], strict=True))
        n_all = len(images) * n_rows * n_columns
        drawn = np.random.default_rng(seed).choice(n_all, min(n_patches, n_all), replace=False)
        image, row, column = np.unravel_index(drawn, (len(images), n_rows, n_columns))
        order = np.argsort(image)  # by image; every patch still goes to its place
        needed, first = np.unique(image[order], return_index=True)
        first = np.append(first, len(drawn))
        patches = np.empty((len(drawn), math.prod(self.patch_shape_)), dtype=np.float32)
        chunk_images = max(1, CHUNK_BYTES // (8 * math.prod(images.shape)))
        for start in range(0, len(needed), chunk_images):
            some = needed[start : start + chunk_images]
            at = order[first[start] : first[start + len(some)]]
            windows = self._windows(self._pixels(images.take(torch.from_numpy(some), torch.device("cpu"))))
            found = windows[np.searchsorted(some, image[at]), row[at], column[at]]
            patches[at] = found.reshape(len(at), -1)  # (n, h, w, c) -> (n, h * w * c)
        return self._normalized(patches)

    def _in_pieces(self, images: Source) -> Iterator[tuple[int, slice, np.ndarray]]:
        """Image, positions in it and the patches there, (n_patches, n_values), for all patches of each image.

        No piece has patches of several images: matrix kernels round differently for different numbers and positions of
        rows, and the patches of an image would depend on the images beside it.
        """
        n_columns = self.grid_shape_[1]
        n_rows = max(1, CHUNK_PATCHES // n_columns)
        all_pixels = (image for chunk in images.chunks() for image in self._pixels(chunk))
        for i, image in enumerate(all_pixels):
            windows = self._windows(image)[:: self.stride, :: self.stride]
            for row in range(0, len(windows), n_rows):
                # (n_rows, n_columns, h, w, c) -> (n_rows * n_columns, h * w * c)
                patches = windows[row : row + n_rows].reshape(-1, math.prod(self.patch_shape_))
                start = row * n_columns
                yield i, slice(start, start + len(patches)), self._whitened(self._normalized(patches))

    def _windows(self, pixels: np.ndarray) -> np.ndarray:
        """A view of all patches, (..., n_rows, n_columns, height, width, channels), at a stride of 1."""
        windows = sliding_window_view(pixels, self.patch_shape_[:2], axis=(-3, -2))
        return np.moveaxis(windows, -3, -1)

    def _pixels(self, images: Tensor) -> np.ndarray:
        """Images with black at 0 and white at 1, float32."""
        low, high = self._pixel_range
        pixels: np.ndarray = ((images.to(torch.float64) - low) / (high - low or 1.0)).to(torch.float32).numpy()
        if np.abs(pixels).max() > FARTHEST:
            raise ValueError(
                f"X holds pixels up to {float(images.abs().max()):.3g}, but the images in fit went from {low:.3g} to "
                f"{high:.3g}. Rescale them as those were."
            )
        return pixels

    def _normalized(self, patches: np.ndarray) -> np.ndarray:
        """The rows (n, n_values) with equal brightness and contrast."""
        if self.normalize:
            patches = patches - patches.mean(1, keepdims=True)
            variance = np.einsum("ij,ij->i", patches, patches) / (patches.shape[1] - 1)
            patches /= np.sqrt(variance + np.float32(CONTRAST_FLOOR))[:, None]
        return patches

    def _whitened(self, patches: np.ndarray) -> np.ndarray:
        return patches if self.whitening_ is None else (patches - self.mean_) @ self.whitening_
