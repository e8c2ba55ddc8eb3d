"""How far projections are spread over the sphere: what collapse shows in first."""

import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.exceptions import CollapseWarning

__all__ = ["Spread"]


# Networks that learn stay above 0.2, and mostly above 0.4; see tests/contrastive/test_collapse.py.
COLLAPSED = 0.1


class Spread(nn.Module):
    """Gathers the moments of projections over an epoch; as buffers, so that a checkpoint holds them.

    Parameters
    ----------
    projection_dim : int
        Width of a projection.
    """

    total: Tensor
    outer: Tensor
    count: Tensor

    def __init__(self, projection_dim: int):
        super().__init__()
        self.register_buffer("total", torch.zeros(projection_dim))
        self.register_buffer("outer", torch.zeros(projection_dim, projection_dim))
        self.register_buffer("count", torch.zeros(()))
        self.has_warned = False

    @torch.no_grad()
    def add(self, projections: Tensor) -> None:
        """Count a batch in, of shape (batch, projection_dim)."""
        z = F.normalize(projections.detach().float(), dim=1)
        self.total.add_(z.sum(0))
        self.outer.addmm_(z.T, z)
        self.count.add_(len(z))

    @torch.no_grad()
    def read(self, label: str) -> dict[str, float]:
        """What was counted in, and begin anew.

        Parameters
        ----------
        label : str
            Names the method in the warning.

        Returns
        -------
        dict
            "projection_std": the standard deviation of normalised projections, averaged over their dimensions, times
            the root of how many there are. 1 where they lie in all directions alike, 0 where all are the same.
            "effective_rank": the exponential of the entropy of their singular values (Roy & Vetterli 2007; "RankMe",
            Garrido et al. 2023): how many directions they use, from 1 to `projection_dim`.

        Warns
        -----
        CollapseWarning
            The first time that "projection_std" is below 0.1.
        """
        mean, second = (moment.cpu().double() / self.count.cpu().double() for moment in (self.total, self.outer))
        variance = (second.diagonal() - mean.square()).clamp(min=0)  # (projection_dim,)
        powers = torch.linalg.eigvalsh(second)  # squares of singular values, up to a factor
        singular = torch.where(powers > 1e-6 * powers.max(), powers, 0).sqrt()  # the rest is rounding
        share = singular / singular.sum().clamp(min=1e-300)  # all may be zero
        for moment in (self.total, self.outer, self.count):
            moment.zero_()
        std, rank = float(variance.sqrt().mean() * len(mean) ** 0.5), float(torch.special.entr(share).sum().exp())
        if std < COLLAPSED and not self.has_warned:
            self.has_warned = True
            warnings.warn(
                f"{label}: the network gives all rows nearly the same projection (projection_std {std:.2g}, of 1; "
                f"effective_rank {rank:.1f} of {len(mean)}): its features will hardly be better than those of an "
                "untrained one. Look at the views (sample_views), in which rows must differ, and lower lr. A loss of "
                "your own needs negatives (skrep.objectives.info_nce), or a predictor behind one view and a gradient "
                "that is stopped at the other.",
                CollapseWarning,
                stacklevel=2,
            )
        return {"projection_std": std, "effective_rank": rank}
