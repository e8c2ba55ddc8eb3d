"""From sequences of tokens to one vector a document."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skrep.backbones.transformer import TransformerModule
from skrep.text.sequences import Sequences, packed

__all__ = ["TextEncoder"]


class TextEncoder(nn.Module):
    """A transformer, and how the vectors of its tokens become those of documents.

    Parameters
    ----------
    transformer : TransformerModule
        The network.
    pooling : {"mean", "cls", "max"}, default="mean"
        Over all tokens of all windows of a document, those that begin and end them too; or the mean of the vectors of
        the tokens that begin them.
    layers : sequence of int, default=(-1,)
        The layers whose outputs stand side by side; 0 are the embeddings.
    """

    def __init__(self, transformer: TransformerModule, pooling: str = "mean", layers: Sequence[int] = (-1,)):
        super().__init__()
        self.transformer = transformer
        self.pooling, self.layers = pooling, tuple(layers)

    def forward(self, sequences: Sequences) -> Tensor:
        grid, place = packed(sequences, self.transformer.max_length)
        return self.pool(self.vectors(grid)[place], sequences)  # (n_documents, n_features)

    def vectors(self, grid: object) -> Tensor:
        """Of each place in a grid, (n_rows * length, n_layers * width)."""
        states = list(self.transformer.states(grid))  # type: ignore[arg-type]
        return torch.cat([states[layer] for layer in self.layers], 2).flatten(0, 1)

    def pool(self, vectors: Tensor, sequences: Sequences) -> Tensor:
        """Vectors of documents from those of tokens, (n_tokens, width) -> (n_documents, width)."""
        counts = sequences.of_documents
        if self.pooling == "cls":
            vectors = vectors[sequences.positions == 0]  # (n_sequences, width)
            ends = np.searchsorted(sequences.lengths.numpy().cumsum(), counts.numpy().cumsum()) + 1
            counts = torch.from_numpy(np.diff(ends, prepend=0))
        how = "max" if self.pooling == "max" else "mean"
        return torch.segment_reduce(vectors.float(), how, lengths=counts.to(vectors.device))

    def blocks(self) -> list[list[nn.Module]]:
        """The parts from the input to the output."""
        return self.transformer.blocks()
