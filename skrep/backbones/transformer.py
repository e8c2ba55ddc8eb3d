"""Transformers for sequences of tokens (Vaswani et al. 2017, arXiv:1706.03762), several sequences to a row."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones.layers import Linear
from skrep.params import Integer, Real, check_params, param, params

__all__ = ["ROTARY_BASE", "Grid", "Transformer", "TransformerModule"]

# Width of a head, where the user says nothing: that of BERT and of most since.
HEAD_WIDTH = 64

# Of the first weights (Devlin et al. 2019).
INITIAL_STD = 0.02

# Of rotary positions: the longest wave is 2 pi times as many tokens.
ROTARY_BASE = 10_000.0


class Grid(NamedTuple):
    """Sequences of tokens in rows, several to a row; tokens see those of their own sequence alone."""

    tokens: Tensor  # (n_rows, length), int64
    positions: Tensor  # (n_rows, length): of each token in its sequence
    types: Tensor  # (n_rows, length): 0, or 1 in the second text of a pair
    sequences: Tensor  # (n_rows, length): to which sequence it belongs; -1 is padding

    def visible(self, causal: bool, dtype: torch.dtype) -> Tensor:
        """What is added to the scores of attention: 0 where a token may look, -inf elsewhere."""
        same = self.sequences[:, :, None] == self.sequences[:, None, :]  # (n_rows, length, length)
        if causal:
            same = same.tril()
        hidden = torch.zeros(same.shape, dtype=dtype, device=same.device).masked_fill_(~same, -torch.inf)
        return hidden[:, None]  # (n_rows, 1, length, length): the same for all heads


class Attention(nn.Module):
    """Each token gathers what the tokens of its sequence hold, weighted by how well they answer its query."""

    def __init__(self, width: int, n_heads: int, dropout: float):
        super().__init__()
        self.n_heads, self.dropout = n_heads, dropout
        self.qkv, self.out = Linear(width, 3 * width), Linear(width, width)

    def forward(self, x: Tensor, visible: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        q, k, v = self._heads(x, rotation)
        p = self.dropout if self.training else 0.0
        z = F.scaled_dot_product_attention(q, k, v, visible.to(q.dtype), p)
        return self.out(z.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]  # -> (n_rows, length, width)

    def weights(self, x: Tensor, visible: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        """How much each token looks at each, (n_rows, n_heads, length, length); rows sum to 1."""
        q, k, _ = self._heads(x, rotation)
        return (q @ k.transpose(2, 3) / math.sqrt(q.shape[3]) + visible).softmax(3)

    def _heads(self, x: Tensor, rotation: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        parts: Tensor = self.qkv(x)  # (n_rows, length, 3 * width)
        # -> three of (n_rows, n_heads, length, head_width)
        q, k, v = parts.unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        if rotation is not None:
            q, k = _rotated(q, *rotation), _rotated(k, *rotation)
        return q, k, v


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = cos.shape[3]
    first, second = x[..., :half], x[..., half : 2 * half]  # each (n_rows, n_heads, length, head_width // 2)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return torch.cat([*turned, x[..., 2 * half :]], 3).to(x.dtype)  # of an odd width the last column stays


class FeedForward(nn.Module):
    """A perceptron for each token by itself, with GELU, or gated by it (Shazeer 2020, arXiv:2002.05202)."""

    def __init__(self, width: int, hidden: int, gated: bool):
        super().__init__()
        self.gated = gated
        self.expand, self.out = Linear(width, 2 * hidden if gated else hidden), Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.expand(x)  # (n_rows, length, width) -> (n_rows, length, hidden), twice where gated
        if self.gated:
            gate, value = hidden.chunk(2, 2)
            return self.out(F.gelu(gate) * value)  # type: ignore[no-any-return]
        return self.out(F.gelu(hidden))  # type: ignore[no-any-return]


class Layer(nn.Module):
    """Attention, then the perceptron, each added to what it got; normalised before (pre) or after (post)."""

    norm1: nn.Module

    def __init__(
        self, width: int, hidden: int, n_heads: int, pre: bool, is_first: bool, gated: bool, dropout: float, eps: float
    ):
        super().__init__()
        self.pre = pre
        self.attention, self.feed_forward = Attention(width, n_heads, dropout), FeedForward(width, hidden, gated)
        # what comes to the first layer is normalised already
        self.norm1 = nn.Identity() if pre and is_first else nn.LayerNorm(width, eps)
        self.norm2 = nn.LayerNorm(width, eps)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, visible: Tensor, rotation: tuple[Tensor, Tensor] | None) -> Tensor:
        if self.pre:
            x = x + self.drop(self.attention(self.norm1(x), visible, rotation))
            return x + self.drop(self.feed_forward(self.norm2(x)))  # type: ignore[no-any-return]
        x = self.norm1(x + self.drop(self.attention(x, visible, rotation)))
        return self.norm2(x + self.drop(self.feed_forward(x)))  # type: ignore[no-any-return]


class TransformerModule(nn.Module):
    """What :class:`Transformer` builds: tokens to vectors, (n_rows, length) to (n_rows, length, width)."""

    cos: Tensor
    sin: Tensor

    def __init__(
        self,
        n_tokens: int,
        max_length: int,
        width: int,
        *,
        n_layers: int,
        n_heads: int,
        hidden: int,
        norm: str,
        positions: str,
        activation: str,
        causal: bool,
        dropout: float,
        eps: float,
        n_types: int,
    ):
        super().__init__()
        self.width, self.max_length, self.n_layers = width, max_length, n_layers
        self.pre, self.rotary, self.causal = norm == "pre", positions == "rotary", causal
        self.tokens = nn.Embedding(n_tokens, width)
        self.types = nn.Embedding(n_types, width) if n_types else None
        self.positions = None if self.rotary else nn.Embedding(max_length, width)
        if self.rotary:
            half = width // n_heads // 2
            angles = torch.arange(max_length)[:, None] * ROTARY_BASE ** (-torch.arange(half) / max(1, half))
            self.register_buffer("cos", angles.cos(), persistent=False)  # (max_length, head_width // 2)
            self.register_buffer("sin", angles.sin(), persistent=False)
        self.norm = nn.LayerNorm(width, eps)  # of the embeddings
        self.last_norm = nn.LayerNorm(width, eps) if self.pre else None
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            Layer(width, hidden, n_heads, self.pre, i == 0, activation == "glu", dropout, eps) for i in range(n_layers)
        )
        for name, part in self.named_modules():
            if isinstance(part, (nn.Linear, nn.Embedding)):
                # what is added on the way through many layers begins smaller (Radford et al. 2019)
                shrink = math.sqrt(2 * n_layers) if self.pre and name.endswith(".out") else 1.0
                nn.init.normal_(part.weight, std=INITIAL_STD / shrink)
            if isinstance(part, nn.Linear):
                nn.init.zeros_(part.bias)

    def forward(self, grid: Grid) -> Tensor:
        *_, last = self.states(grid)
        return last

    def states(self, grid: Grid) -> Iterator[Tensor]:
        """The embeddings, then the output of each layer, each (n_rows, length, width)."""
        for _, _, output in self._run(grid):
            yield output

    def attention(self, grid: Grid) -> list[Tensor]:
        """For each layer, how much each token looks at each, (n_rows, n_heads, length, length)."""
        maps = []
        for layer, x, _ in self._run(grid):
            if layer is not None:
                x = layer.norm1(x) if self.pre else x
                maps.append(layer.attention.weights(x, grid.visible(self.causal, x.dtype), self._rotation(grid)))
        return maps

    def _run(self, grid: Grid) -> Iterator[tuple[Any, Tensor, Tensor]]:
        x: Tensor = self.tokens(grid.tokens)  # (n_rows, length, width)
        if self.types is not None:
            x = x + self.types(grid.types.clamp(max=self.types.num_embeddings - 1))  # RoBERTa has one
        if self.positions is not None:
            x = x + self.positions(grid.positions)
        x = self.drop(self.norm(x))
        yield None, x, x
        visible, rotation = grid.visible(self.causal, x.dtype), self._rotation(grid)
        for i, layer in enumerate(self.layers):
            before, x = x, layer(x, visible, rotation)
            is_last = i == self.n_layers - 1
            yield layer, before, self.last_norm(x) if is_last and self.last_norm is not None else x

    def _rotation(self, grid: Grid) -> tuple[Tensor, Tensor] | None:
        if not self.rotary:
            return None
        # (n_rows, length, half) -> (n_rows, 1, length, half): the same for all heads
        return self.cos[grid.positions][:, None], self.sin[grid.positions][:, None]

    def blocks(self) -> list[list[nn.Module]]:
        """The parts from the input to the output, for learning rates by depth."""
        inputs = (self.tokens, self.types, self.positions, self.norm)
        first: list[nn.Module] = [part for part in inputs if part is not None]
        layers: list[list[nn.Module]] = [[layer] for layer in self.layers]
        if self.last_norm is not None:
            layers[-1].append(self.last_norm)
        return [first, *layers]


@params
class Transformer(BaseEstimator):
    """Layers of self-attention over tokens.

    Parameters
    ----------
    n_layers : int, default=2
        Layers, each attention and a perceptron.
    n_heads : int or None, default=None
        Heads of attention. None takes one for 64 columns of width.
    hidden : int or None, default=None
        Width of the perceptrons. None takes four times that of the tokens; two thirds of it, to the next multiple of
        8, with "glu", which has three matrices for two.
    norm : {"post", "pre"}, default="post"
        Whether sums are normalised (BERT), or what goes into attention and perceptrons, and what comes out at the end,
        as ModernBERT has it (Warner et al. 2024, arXiv:2412.13663); that trains more easily.
    positions : {"learned", "rotary"}, default="learned"
        A vector for each position (BERT), or queries and keys turned by it (Su et al. 2021, arXiv:2104.09864).
    activation : {"gelu", "glu"}, default="gelu"
        Of the perceptrons: GELU, or one half of the columns gated by GELU of the other.
    causal : bool, default=False
        Whether tokens see those before them alone.
    dropout : float, default=0.0
        Share of the numbers that are left out in training, in attention and of what is added.
    eps : float, default=1e-12
        Added to variances in normalisation.

    References
    ----------
    Devlin, Chang, Lee & Toutanova (2019), arXiv:1810.04805.
    """

    n_layers: int = param(Integer(low=1), default=2)
    n_heads: int | None = param(Integer(low=1), None, default=None)
    hidden: int | None = param(Integer(low=1), None, default=None)
    norm: str = param("post", "pre", default="post")
    positions: str = param("learned", "rotary", default="learned")
    activation: str = param("gelu", "glu", default="gelu")
    causal: bool = param(bool, default=False)
    dropout: float = param(Real(low=0, high=1, open_high=True), default=0.0)
    eps: float = param(Real(low=0, open_low=True), default=1e-12)

    def build(self, n_tokens: int, max_length: int, width: int, n_types: int = 2) -> TransformerModule:
        """Make the network.

        Parameters
        ----------
        n_tokens : int
            Tokens in the vocabulary.
        max_length : int
            Tokens in a sequence, at most.
        width : int
            Width of a token's vector.
        n_types : int, default=2
            Kinds of text that have a vector of their own: first and second of a pair; 0 has none.

        Returns
        -------
        torch.nn.Module

        Raises
        ------
        ValueError
            If the width cannot be shared among the heads.
        """
        check_params(self)
        n_heads = max(1, width // HEAD_WIDTH) if self.n_heads is None else self.n_heads
        if width % n_heads:
            raise ValueError(
                f"Transformer(n_heads={n_heads}): a width of {width} cannot be shared among {n_heads} heads. Set "
                "n_heads to a divisor."
            )
        hidden = self.hidden or (math.ceil(width / 3) * 8 if self.activation == "glu" else 4 * width)
        return TransformerModule(
            n_tokens,
            max_length,
            width,
            n_layers=self.n_layers,
            n_heads=n_heads,
            hidden=hidden,
            norm=self.norm,
            positions=self.positions,
            activation=self.activation,
            causal=self.causal,
            dropout=self.dropout,
            eps=self.eps,
            n_types=n_types,
        )
