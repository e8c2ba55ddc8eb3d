"""Transformers against a loop over tokens, and sequences in packed rows."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skrep.backbones import ROTARY_BASE, Grid, Transformer

SHAPES = [
    {"norm": norm, "positions": positions, "activation": activation, "causal": causal}
    for norm in ("post", "pre")
    for positions in ("learned", "rotary")
    for activation in ("gelu", "glu")
    for causal in (False, True)
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "-".join(map(str, shape.values())))


def built(shape, width=8, n_heads=2):
    torch.manual_seed(0)
    module = Transformer(n_layers=2, n_heads=n_heads, **shape).build(11, 16, width)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def packed(sequences, length):
    """Sequences one behind the other in rows, cut nowhere."""
    rows, places = [], []
    for number, tokens in enumerate(sequences):
        if not rows or len(rows[-1]) + len(tokens) > length:
            rows.append([])
        places.append((len(rows) - 1, len(rows[-1])))
        rows[-1] += [(token, at, at % 2, number) for at, token in enumerate(tokens)]
    rows = [row + [(0, 0, 0, -1)] * (length - len(row)) for row in rows]
    return Grid(*torch.tensor(rows).permute(2, 0, 1)), places


def turned(vector, position):
    """A vector of pairs (i, i + half) as complex numbers, multiplied by powers of e."""
    half = len(vector) // 2
    z = vector[:half].double() + 1j * vector[half : 2 * half].double()
    angles = position * ROTARY_BASE ** (-torch.arange(half).double() / half)
    z = z * torch.exp(1j * angles)
    return torch.cat([z.real, z.imag, vector[2 * half :].double()])


def naive(module, tokens, shape):
    """One sequence, token by token, in float64."""
    module = module.double()
    x = [module.tokens.weight[t] + module.types.weight[i % 2] for i, t in enumerate(tokens)]
    if shape["positions"] == "learned":
        x = [v + module.positions.weight[i] for i, v in enumerate(x)]
    x = [module.norm(v) for v in x]
    for layer in module.layers:
        pre = shape["norm"] == "pre"
        seen = [layer.norm1(v) if pre else v for v in x]
        width, n_heads = len(x[0]), layer.attention.n_heads
        parts = [layer.attention.qkv(v).view(3, n_heads, width // n_heads) for v in seen]
        gathered = []
        for i in range(len(x)):
            heads = []
            for h in range(n_heads):
                q, ks, vs = parts[i][0, h], [p[1, h] for p in parts], [p[2, h] for p in parts]
                if shape["positions"] == "rotary":
                    q, ks = turned(q, i), [turned(k, j) for j, k in enumerate(ks)]
                n_seen = i + 1 if shape["causal"] else len(x)
                scores = torch.stack([q @ k / math.sqrt(len(q)) for k in ks[:n_seen]]).softmax(0)
                heads.append(sum(s * v for s, v in zip(scores, vs[:n_seen], strict=True)))
            gathered.append(layer.attention.out(torch.cat(heads)))
        x = [v + g if pre else layer.norm1(v + g) for v, g in zip(x, gathered, strict=True)]
        for i, v in enumerate(x):
            hidden = layer.feed_forward.expand(layer.norm2(v) if pre else v)
            if shape["activation"] == "glu":
                gate, value = hidden.chunk(2)
                hidden = F.gelu(gate) * value
            else:
                hidden = F.gelu(hidden)
            added = v + layer.feed_forward.out(hidden)
            x[i] = added if pre else layer.norm2(added)
    return torch.stack([module.last_norm(v) for v in x] if module.last_norm is not None else x)


@every_shape
def test_against_a_loop_over_tokens(shape):
    module = built(shape)
    tokens = [3, 1, 4, 1, 5]
    grid, _ = packed([tokens], 5)
    with torch.no_grad():
        ours = module(grid)[0]
        expected = naive(module, tokens, shape)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


@every_shape
def test_packed_rows_are_as_rows_of_one_sequence(shape):
    module = built(shape)
    generator = np.random.default_rng(0)
    sequences = [generator.integers(11, size=n).tolist() for n in (3, 9, 4, 16, 1, 7)]
    grid, places = packed(sequences, 16)
    with torch.no_grad():
        together = module(grid)
        for tokens, (row, column) in zip(sequences, places, strict=True):
            alone = module(packed([tokens], len(tokens))[0])[0]
            np.testing.assert_allclose(together[row, column : column + len(tokens)], alone, atol=1e-5)


@every_shape
def test_nothing_leaks_between_sequences(shape):
    module = built(shape)
    sequences = [[1, 2, 3], [4, 5, 6, 7], [8, 9]]
    before, places = packed(sequences, 16)
    after, _ = packed([sequences[0], [10, 9, 8, 7], sequences[2]], 16)
    (_, start), (_, end) = places[1], places[2]
    with torch.no_grad():
        first, second = module(before)[0], module(after)[0]
    others = [*range(start), *range(end, end + 2)]
    np.testing.assert_array_equal(first[others], second[others])
    assert (first[start:end] != second[start:end]).any(1).all()
    module(before)[0, :start].sum().backward()
    assert float(module.tokens.weight.grad[4:].abs().max()) == 0


@every_shape
def test_attention_is_what_forward_gathers(shape):
    module = built(shape)
    grid, _ = packed([[1, 2, 3], [4, 5]], 8)
    with torch.no_grad():
        maps = module.attention(grid)
        states = list(module.states(grid))
    assert len(maps) == len(states) - 1 == 2
    for weights in maps:
        assert weights.shape == (1, 2, 8, 8)
        np.testing.assert_allclose(weights.sum(3), 1, rtol=1e-5)
        assert float(weights[0, :, :3, 3:].abs().max()) == 0
        if shape["causal"]:
            assert float(weights.triu(1).abs().max()) == 0
    layer = module.layers[0]
    with torch.no_grad():
        values = layer.attention.qkv(states[0]).unflatten(2, (3, 2, 4))[:, :, 2].transpose(1, 2)
        gathered = layer.attention.out((maps[0] @ values).transpose(1, 2).flatten(2))
        rotation = module._rotation(grid)
        expected = layer.attention(states[0], grid.visible(module.causal, torch.float32), rotation)
    np.testing.assert_allclose(gathered, expected, atol=1e-5)


def test_causal_tokens_do_not_see_what_comes():
    module = built({"norm": "pre", "positions": "rotary", "activation": "glu", "causal": True})
    with torch.no_grad():
        first, second = (module(packed([[1, 2, 3, last]], 4)[0])[0] for last in (4, 9))
    np.testing.assert_allclose(first[:3], second[:3], atol=1e-6)


def test_heads_and_widths():
    assert Transformer().build(5, 8, 128).layers[0].attention.n_heads == 2
    assert Transformer(activation="glu").build(5, 8, 128).layers[0].feed_forward.out.in_features == 344
    with pytest.raises(ValueError, match=r"Transformer\(n_heads=3\): a width of 8"):
        Transformer(n_heads=3).build(5, 8, 8)
    odd = Transformer(positions="rotary").build(5, 8, 3)
    assert odd(packed([[1, 2]], 4)[0]).shape == (1, 4, 3)


def test_blocks_hold_every_parameter_once():
    for shape in SHAPES:
        module = built(shape)
        parameters = [p for block in module.blocks() for part in block for p in part.parameters()]
        assert {id(p) for p in parameters} == {id(p) for p in module.parameters()}
        assert len(parameters) == len(list(module.parameters()))
