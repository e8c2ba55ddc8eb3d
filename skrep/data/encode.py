"""Running a trained encoder over rows of one shape."""

from typing import Any

import numpy as np
import torch
from torch import nn

__all__ = ["encode"]


@torch.inference_mode()
def encode(network: nn.Module, source: Any, device: torch.device, rows: int) -> np.ndarray:
    """Apply a network to every row, in eval mode and float32.

    The rows pass in chunks of one fixed size, the last one padded with zeros. Matrix kernels round differently for
    different sizes; with one size a row's features do not depend on which rows it came with, and memory is bounded.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (rows, ...) to (rows, ...).
    source : Source
        The data.
    device : torch.device
        Where the network is.
    rows : int
        Chunk size.

    Returns
    -------
    ndarray of shape (n_samples, ...), float32

    Raises
    ------
    ValueError
        If the network does not return as many rows as it gets.
    """
    network.eval()
    result: np.ndarray | None = None
    batch = torch.zeros(rows, *source.shape, device=device)
    for start in range(0, source.n_samples, rows):
        index = torch.arange(start, min(start + rows, source.n_samples))
        n_filled = len(index)
        batch[:n_filled] = source.take(index, device)
        batch[n_filled:] = 0
        features = network(batch)
        if features.ndim == 0 or len(features) != rows:
            raise ValueError(
                f"the network returned shape {tuple(features.shape)} for {rows} rows; expected ({rows}, ...)."
            )
        if result is None:
            result = np.empty((source.n_samples, *features.shape[1:]), dtype=np.float32)
        result[start : start + n_filled] = features[:n_filled].float().cpu().numpy()
    assert result is not None
    return result
