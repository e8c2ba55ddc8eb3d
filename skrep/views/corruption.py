"""Corruption of tables for contrastive learning."""

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from skrep.params import Real, check_params, param, params

__all__ = ["RandomFeatureCorruption"]


@params
class RandomFeatureCorruption(BaseEstimator):
    """Replace a random part of the entries of each row by entries of other rows, column by column.

    A replaced entry is drawn from its column's own marginal distribution, as in SCARF (Bahri et al. 2022,
    https://openreview.net/forum?id=CuV_qYkmKb3): it is the column's value in a row of the batch, drawn with replacement
    for each entry anew.

    Parameters
    ----------
    fraction : float, default=0.4
        Probability with which an entry is replaced. SCARF replaces 60 % in one view and none in the other; where both
        are corrupted, 40 % in each leaves about as much that they share.

    Examples
    --------
    >>> import torch
    >>> from skrep.views import RandomFeatureCorruption
    >>> x = torch.arange(6.0).reshape(3, 2)
    >>> RandomFeatureCorruption()(x, torch.Generator().manual_seed(0)).shape
    torch.Size([3, 2])
    """

    fraction: float = param(Real(low=0, high=1), default=0.4)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return corrupted rows.

        Parameters
        ----------
        x : torch.Tensor of shape (batch, n_features)
            The rows.
        generator : torch.Generator
            Where all random numbers come from; on the device of `x`.

        Returns
        -------
        torch.Tensor of shape (batch, n_features)
            Of the dtype of `x`, which is left as it is.

        Raises
        ------
        ValueError
            For a `fraction` that cannot be used, or an `x` that is not a table.
        """
        check_params(self)
        if x.ndim != 2:
            raise ValueError(
                f"RandomFeatureCorruption views tables of shape (batch, n_features), got shape {tuple(x.shape)}; for "
                "images there are RandomResizedCrop, RandomAffine and others."
            )
        donors = torch.randint(len(x), x.shape, generator=generator, device=x.device)
        replaced = torch.rand(x.shape, generator=generator, device=x.device) < self.fraction
        return torch.where(replaced, x.gather(0, donors), x)
