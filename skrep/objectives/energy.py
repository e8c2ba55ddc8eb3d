"""Losses of machines that give each row an energy, up to a constant that nobody knows."""

from torch import Tensor
from torch.nn import functional as F

__all__ = ["contrastive_divergence", "neighbour_entropy", "sparsity_penalty"]


def contrastive_divergence(data: Tensor, fantasy: Tensor) -> Tensor:
    """Mean free energy of the data less that of the model's own rows.

    Its gradient is that of minus the log-likelihood, where the model's rows are drawn from the model (Hinton 2002,
    equation 3); its value says nothing of how well the model fits.

    Parameters
    ----------
    data, fantasy : torch.Tensor of shape (n,), (m,)
        Free energies, in nats.

    Returns
    -------
    torch.Tensor
        A scalar.
    """
    return data.mean() - fantasy.mean()


def neighbour_entropy(data: Tensor, neighbours: Tensor, n_columns: int) -> Tensor:
    """How badly rows are told from rows that differ from them in one column drawn at random.

    For bits that are turned over it estimates minus the log of the pseudo-likelihood without bias (Besag 1975), for
    noise that is added it is conditional noise-contrastive estimation (Ceylan & Gutmann 2018, equation 9), of one
    column at a time.

    Parameters
    ----------
    data, neighbours : torch.Tensor of shape (n,)
        Free energies of rows and of their neighbours.
    n_columns : int
        Number of columns.

    Returns
    -------
    torch.Tensor
        A scalar, in nats for a row.
    """
    return n_columns * F.softplus(data - neighbours).mean()


def sparsity_penalty(activity: Tensor, target: float) -> Tensor:
    """Summed squared distance of the units' mean activity from a target (Lee, Ekanadham & Ng 2007, equation 5).

    Parameters
    ----------
    activity : torch.Tensor of shape (n_hidden,)
        Mean of each unit over a batch.
    target : float
        What it should be.

    Returns
    -------
    torch.Tensor
        A scalar.
    """
    return (activity - target).square().sum()
