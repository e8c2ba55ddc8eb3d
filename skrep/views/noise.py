"""Corruptions for denoising (Vincent et al. 2010, https://jmlr.org/papers/v11/vincent10a.html)."""

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skrep.params import Real, check_params, param, params

__all__ = ["GaussianNoise", "MaskingNoise"]


@params
class GaussianNoise(BaseEstimator):
    """Add Gaussian noise, independent from entry to entry, to rows or images.

    Parameters
    ----------
    sd : float, default=0.3
        Standard deviation. For rows it is in units of the data's own (the root mean square over the columns); for
        images, whose values are in [0, 1], a tenth is visible noise. Noisy images are not cut off at 0 and 1.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import GaussianNoise
    >>> x = torch.zeros(2, 3)
    >>> GaussianNoise(0.5)(x, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 3])
    """

    sd: float = param(Real(low=0), default=0.3)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return `x` with noise: centred rows of unit scale, or images of shape (batch, channels, height, width)."""
        check_params(self)
        noise = torch.empty_like(x).normal_(generator=generator)
        return torch.add(x, noise, alpha=self.sd)


@params
class MaskingNoise(BaseEstimator):
    """Set a random part of the entries of each row to their column's mean.

    Parameters
    ----------
    fraction : float, default=0.25
        Probability with which an entry is masked.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import MaskingNoise
    >>> MaskingNoise(1.0)(torch.ones(1, 3), torch.Generator().manual_seed(0))
    tensor([[0., 0., 0.]])
    """

    fraction: float = param(Real(low=0, high=1), default=0.25)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return corrupted rows; `x` of shape (batch, n_features) is centred, so that 0 is the mean."""
        check_params(self)
        keep = torch.empty_like(x).bernoulli_(1 - self.fraction, generator=generator)
        return x * keep
