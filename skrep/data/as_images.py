"""Rows of pixels folded into images, as a step of a Pipeline."""

import math
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skrep.params import Integer, SequenceOf, check_params, param, params

__all__ = ["AsImages"]


@params
class AsImages(TransformerMixin, BaseEstimator):
    """Fold each row of a table into an image, channels last.

    Flat rows of pixels are what scikit-learn's own image data sets are. In a :class:`~sklearn.pipeline.Pipeline` this
    step hands them as images to an encoder that takes images. Nothing is learned, pixels keep their values, and
    ``set_output`` leaves images alone: an image is no row of a DataFrame.

    Parameters
    ----------
    shape : tuple of (int, int) or (int, int, int) or None, default=None
        Height, width and, if there are several, channels. None folds into the smallest square, one channel, padded with
        zeros at the end.

    Attributes
    ----------
    image_shape_ : tuple of (int, int, int)
        Height, width and channels.
    n_features_in_ : int
        Number of columns seen in ``fit``.

    Raises
    ------
    ValueError
        In ``fit``, if rows do not have as many columns as `shape` has pixels.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep.data import AsImages
    >>> X, _ = load_digits(return_X_y=True)
    >>> AsImages((8, 8)).fit_transform(X).shape
    (1797, 8, 8, 1)
    """

    shape: Any = param(SequenceOf(Integer(low=1)), None, default=None)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check that the rows fit into the shape.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of pixels.
        y : None
            Not used.

        Returns
        -------
        self
        """
        check_params(self)
        X = validate_data(self, X, dtype="numeric")
        n_features = X.shape[1]
        side = math.isqrt(n_features - 1) + 1
        shape = (side, side, 1) if self.shape is None else tuple(int(n) for n in self.shape)
        if len(shape) not in (2, 3):
            raise ValueError(f"AsImages(shape={self.shape!r}): expected (height, width) or (height, width, channels).")
        shape = (*shape, 1)[:3]
        if self.shape is not None and math.prod(shape) != n_features:
            raise ValueError(
                f"AsImages(shape={self.shape!r}) has {math.prod(shape)} pixel values, but X has {n_features} columns. "
                "Pass the shape of the images (height, width, channels), or None to pad rows to a square."
            )
        self.image_shape_ = shape
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Rows as images.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows of pixels.

        Returns
        -------
        ndarray of shape (n_samples, height, width, channels)
            In the type in which the rows came.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype="numeric", reset=False)
        missing = math.prod(self.image_shape_) - X.shape[1]
        if missing:
            X = np.pad(X, ((0, 0), (0, missing)))
        images: np.ndarray = X.reshape(-1, *self.image_shape_)  # (n, h * w * c) -> (n, h, w, c)
        return images

    def set_output(self, *, transform: str | None = None) -> Self:
        """Do nothing: images stay arrays, also in a Pipeline whose output is set to DataFrames."""
        return self
