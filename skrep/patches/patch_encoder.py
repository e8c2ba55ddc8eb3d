"""Features of images from codes of their patches (Coates, Lee & Ng 2011; Coates & Ng 2011).

"An analysis of single-layer networks in unsupervised feature learning", AISTATS 2011,
https://proceedings.mlr.press/v15/coates11a.html, and "The importance of encoding versus training with sparse coding and
vector quantization", ICML 2011.
"""

import math
from dataclasses import KW_ONLY
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skrep.data import Source, read_images, refuse_groups
from skrep.engine import all_or_nothing, draw_seed, note_rows
from skrep.engine.randomness import derive_seed
from skrep.params import RANDOM_STATE, Integer, SequenceOf, check_params, param, params
from skrep.patches.image_patches import ImagePatches
from skrep.sparse import SparseCoder

__all__ = ["PatchEncoder"]


class _Coder:
    """What can code rows."""

    def accepts(self, value: object) -> bool:
        return not isinstance(value, type) and all(hasattr(value, name) for name in ("fit", "transform", "get_params"))

    def __str__(self) -> str:
        return "an estimator with fit and transform"


@params
class PatchEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A convolutional layer that is learned without gradients and without labels.

    Patches are drawn from the images, normalised and whitened, and any method for rows learns from them: a dictionary,
    centroids, components. To encode an image, every patch of it is coded, and codes are summed up over each quarter of
    the image. With 1600 atoms a linear classifier on such features is right for 80 % of CIFAR-10 (Coates & Ng 2011);
    to learn them takes some seconds.

    Sums over many patches are large: standardise the features before a linear model.

    Parameters
    ----------
    coder : estimator or None, default=None
        Codes patches: any transformer of rows, such as SparseCoder, PCAEncoder or scikit-learn's KMeans. None is the
        encoding of Coates & Ng (2011): a :class:`skrep.SparseCoder` that learns unit atoms by OMP-1 and codes by a soft
        threshold, the positive and negative parts apart. It has four times as many atoms as a patch has values, at most
        400; more are better, as far as time and memory allow.
    patches : ImagePatches or None, default=None
        How patches are cut, normalised and whitened; None is ``ImagePatches()``, of 6 x 6 pixels.
    pooling : "quadrants" or tuple of (int, int), default="quadrants"
        Regions over which codes are summed up: (2, 2), or rows and columns. Where patches cannot be split evenly, the
        upper and left regions have more.
    n_patches : int or None, default=None
        Patches on which `coder` is fitted; all of them, if the images have no more. None takes as many as `patches`
        learns to whiten from, 100,000 by default.
    random_state : int, RandomState instance or None, default=None
        Decides which patches are drawn, and the random numbers of `coder` and `patches` where theirs is None.

    Attributes
    ----------
    coder_ : estimator
        Fitted on patches.
    patches_ : ImagePatches
        Fitted on the images.
    n_features_out_ : int
        Number of features: number of regions times the length of a code, region by region.
    image_shape_ : tuple of (int, int, int)
        Height, width and channels of the images seen in ``fit``.

    See Also
    --------
    skrep.SimCLRTransformer : A deep network that learns from distorted images.

    Notes
    -----
    Images are coded one after the other, so that the features of an image do not depend on those beside it, and in
    pieces of at most 2048 patches (or one row of them): memory grows neither with the number of images nor with their
    height. 27 x 27 patches of an image of 32 x 32 pixels, coded by 1600 atoms whose positive and negative parts are
    apart, take 9.3 MB.

    Examples
    --------
    >>> from skrep import PatchEncoder, PCAEncoder
    >>> from skrep.datasets import load_emoji
    >>> images = load_emoji().images[:100]
    >>> PatchEncoder(PCAEncoder(16), random_state=0).fit_transform(images).shape  # in each quarter 16 features
    (100, 64)
    """

    coder: Any = param(_Coder(), None, default=None)
    _: KW_ONLY
    patches: ImagePatches | None = param(ImagePatches, None, default=None)
    pooling: Any = param("quadrants", SequenceOf(Integer(low=1)), default="quadrants")
    n_patches: int | None = param(Integer(low=1), None, default=None)
    random_state: int | np.random.RandomState | None = param(*RANDOM_STATE, default=None)

    reads: ClassVar[tuple[str, ...]] = ("images",)
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Draw patches, learn to whiten them, and fit the coder on them.

        Parameters
        ----------
        X : array-like, list, ImageFiles or torch.utils.data.Dataset of shape (n_samples, height, width, channels)
            Images, uint8 or floats; read in chunks.
        y, groups : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For images or parameters that cannot be used; the message names the fix.
        """
        refuse_groups(groups, type(self).__name__)
        with all_or_nothing(self):
            check_params(self)
            images = self._read(X, reset=True)
            note_rows(self, len(images))
            seed = draw_seed(self.random_state)
            patches = _seeded(ImagePatches() if self.patches is None else self.patches, derive_seed(seed, 0))
            check_params(patches)
            patches._learn(images, draw_seed(patches.random_state))
            self.patches_ = patches
            self._splits = self._resolve_pooling()
            drawn = patches._draw(images, self.n_patches or patches.n_patches, derive_seed(seed, 1))
            rows = patches._whitened(drawn)
            coder = _default_coder(rows) if self.coder is None else self.coder
            self.coder_ = _seeded(coder, derive_seed(seed, 2)).fit(rows)
            self.n_features_out_ = math.prod(self._splits) * self._code(rows[:2]).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features of each image.

        Parameters
        ----------
        X : array-like, list, ImageFiles or torch.utils.data.Dataset of shape (n_samples, height, width, channels)
            Images.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Sums of codes, in the type that the coder gives for float32.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If `X` is not what was fitted.
        """
        check_is_fitted(self)
        images = self._read(X, reset=False)
        regions = self._regions()
        features = None
        for i, positions, patches in self.patches_._in_pieces(images):
            pooled = regions[:, positions] @ self._code(patches)
            if features is None:
                features = np.zeros((len(images), *pooled.shape), dtype=pooled.dtype)
            features[i] += pooled
        assert features is not None
        if not np.isfinite(features).all():
            raise ValueError(
                f"PatchEncoder(coder=...): {type(self.coder_).__name__}.transform returned NaN or infinity for finite "
                "patches, or sums of codes overflow."
            )
        return features.reshape(len(images), -1)  # (n, n_regions, n_codes) -> (n, n_regions * n_codes)

    @property
    def _n_features_out(self) -> int:
        n_features: int = self.n_features_out_
        return n_features

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _read(self, X: Any, *, reset: bool) -> Source:
        return read_images(self, X, reset=reset)

    def _resolve_pooling(self) -> tuple[int, int]:
        """Rows and columns of regions."""
        splits = (2, 2) if isinstance(self.pooling, str) else tuple(self.pooling)
        if len(splits) != 2:
            raise ValueError(f'PatchEncoder(pooling={self.pooling!r}): expected "quadrants" or (rows, columns).')
        grid = self.patches_.grid_shape_
        if splits[0] > grid[0] or splits[1] > grid[1]:
            raise ValueError(
                f"PatchEncoder(pooling={self.pooling!r}) splits each image into {splits[0]}x{splits[1]} regions, but "
                f"it has {grid[0]}x{grid[1]} patches. Choose smaller patches or fewer regions, as pooling=(1, 1)."
            )
        return splits

    def _regions(self) -> np.ndarray:
        """One where a patch is in a region, else zero: (n_regions, n_positions)."""
        grid, splits = self.patches_.grid_shape_, self._splits
        row, column = (np.arange(n) * k // n for n, k in zip(grid, splits, strict=True))
        region = (row[:, np.newaxis] * splits[1] + column).ravel()  # (n_rows, n_columns) -> (n_positions,)
        inside: np.ndarray = region == np.arange(math.prod(splits))[:, np.newaxis]
        return inside.astype(np.float32)

    def _code(self, patches: np.ndarray) -> np.ndarray:
        codes = np.asarray(self.coder_.transform(patches))
        if codes.ndim != 2 or codes.dtype.kind not in "buif":
            raise ValueError(
                f"PatchEncoder(coder=...): {type(self.coder_).__name__}.transform returned an array of shape "
                f"{codes.shape} and dtype {codes.dtype} for {len(patches)} patches; expected a dense one of numbers, "
                "(n_patches, n_codes)."
            )
        return codes if codes.dtype.kind == "f" else codes.astype(np.float32)


def _default_coder(patches: np.ndarray) -> SparseCoder:
    n_patches, n_values = patches.shape
    return SparseCoder(min(400, 4 * n_values, n_patches), algorithm="threshold", split_sign=True)


def _seeded(part: Any, seed: int) -> Any:
    """A clone that takes from the seed each random state that is None."""
    made = clone(part)
    for i, (name, value) in enumerate(sorted(made.get_params().items())):
        if name.split("__")[-1] == "random_state" and value is None:
            made.set_params(**{name: derive_seed(seed, i)})
    return made
