"""Transformers against a loop over tokens, and sequences in packed rows."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skrep.backbones import ROTARY_BASE, Grid, Transformer
from skrep.text import Sequences
from skrep.text import packed as fill

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
    layer, seen = module.layers[0], []
    layer.attention.register_forward_hook(lambda part, inputs, output: seen.append((inputs[0], output)))
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
    (x, expected) = seen[-1]
    with torch.no_grad():
        values = layer.attention.qkv(x).unflatten(2, (3, 2, 4))[:, :, 2].transpose(1, 2)
        gathered = layer.attention.out((maps[0] @ values).transpose(1, 2).flatten(2))
    np.testing.assert_array_equal(x, states[0])
    np.testing.assert_allclose(gathered, expected, atol=1e-5)


def test_causal_tokens_do_not_see_what_comes():
    module = built({"norm": "pre", "positions": "rotary", "activation": "glu", "causal": True})
    with torch.no_grad():
        first, second = (module(packed([[1, 2, 3, last]], 4)[0])[0] for last in (4, 9))
    np.testing.assert_allclose(first[:3], second[:3], atol=1e-6)


def test_heads_and_widths():
    assert Transformer().build(5, 8, 128).layers[0].attention.n_heads == 2
    assert Transformer(activation="glu").build(5, 8, 128).layers[0].feed_forward.out.in_features == 344
    with pytest.raises(ValueError, match=r"Transformer\(n_heads=3\).*\b8\b"):
        Transformer(n_heads=3).build(5, 8, 8)
    odd = Transformer(positions="rotary").build(5, 8, 3)
    assert odd(packed([[1, 2]], 4)[0]).shape == (1, 4, 3)


def test_blocks_hold_every_parameter_once():
    for shape in SHAPES:
        module = built(shape)
        parameters = [p for block in module.blocks() for part in block for p in part.parameters()]
        assert {id(p) for p in parameters} == {id(p) for p in module.parameters()}
        assert len(parameters) == len(list(module.parameters()))


def test_heads_of_odd_width_against_a_loop_over_tokens():
    shape = {"norm": "pre", "positions": "rotary", "activation": "gelu", "causal": False}
    module = built(shape, width=6)  # three columns a head, of which one is not turned
    with torch.no_grad():
        ours = module(packed([[3, 1, 4, 1]], 4)[0])[0]
        expected = naive(module, [3, 1, 4, 1], shape)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def sequences_of(texts):
    lengths = torch.tensor([len(text) for text in texts])
    tokens = torch.tensor([token for text in texts for token in text])
    positions = torch.cat([torch.arange(len(text)) for text in texts])
    return Sequences(tokens, positions % 2, positions, lengths, lengths, torch.arange(len(texts)))


@every_shape
def test_rows_that_training_fills(shape):
    """Outputs and gradients are those of sequences that come alone, wherever they are put."""
    module = built(shape)
    generator = np.random.default_rng(0)
    sequences = sequences_of([generator.integers(11, size=n).tolist() for n in (3, 9, 1, 16, 7, 2, 5)])
    weights = torch.randn(len(sequences.tokens), 8, generator=torch.Generator().manual_seed(0))

    def gradients(loss):
        found = torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)
        return torch.cat([g.flatten() for g in found if g is not None])

    grid, place = fill(sequences, 16)
    together = module(grid).flatten(0, 1)[place]
    ours = gradients((together * weights).sum())
    theirs = torch.zeros_like(ours)
    start = 0
    for i, length in enumerate(sequences.lengths.tolist()):
        part, at = sequences.chosen(np.array([i]))
        assert at.tolist() == list(range(start, start + length))
        grid, place = fill(part, length)
        alone = module(grid).flatten(0, 1)[place]
        np.testing.assert_allclose(together[at].detach(), alone.detach(), atol=1e-5)
        theirs += gradients((alone * weights[at]).sum())
        start += length
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * float(theirs.abs().max()))


@every_shape
def test_padding_is_seen_by_none_and_breaks_nothing(shape):
    module = built(shape)
    grid, _ = packed([[1, 2, 3], [4, 5]], 8)
    rows = Grid(
        *(torch.cat([part, torch.full_like(part, value)]) for part, value in zip(grid, (0, 0, 0, -1), strict=True))
    )
    other = rows._replace(tokens=torch.where(rows.sequences < 0, 9, rows.tokens))
    with torch.no_grad():
        first, second = module(rows), module(other)
    assert torch.isfinite(first).all()  # of a row that is all padding too
    np.testing.assert_array_equal(first[0, :5], second[0, :5])
    module(rows)[0, :5].square().sum().backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in module.parameters() if p.grad is not None)


@every_shape
def test_attention_of_every_layer_is_what_forward_used(shape, monkeypatch):
    module = built(shape)
    grid, _ = packed([[1, 2, 3, 4, 5], [6, 7]], 8)
    used = []

    def attend(q, k, v, visible, dropout):
        weights = torch.empty(*q.shape[:3], k.shape[2])
        for place in np.ndindex(q.shape[0], q.shape[1], q.shape[2]):
            row, head, i = place
            scores = torch.stack([q[place] @ k[row, head, j] for j in range(k.shape[2])]) / math.sqrt(q.shape[3])
            weights[place] = (scores + visible[row, 0, i]).softmax(0)
        used.append(weights)
        return weights @ v

    with torch.no_grad():
        expected, maps = module(grid), module.attention(grid)
        monkeypatch.setattr(F, "scaled_dot_product_attention", attend)
        output = module(grid)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    assert len(maps) == len(used) == 2
    for ours, theirs in zip(maps, used, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_rotary_positions_are_relative():
    module = built({"norm": "pre", "positions": "rotary", "activation": "gelu", "causal": False})
    grid, _ = packed([[1, 2, 3, 4]], 4)
    with torch.no_grad():
        here, later = module(grid), module(grid._replace(positions=grid.positions + 7))
        apart = module(grid._replace(positions=2 * grid.positions))
    np.testing.assert_allclose(here, later, atol=1e-5)
    assert float((here - apart).abs().max()) > 1e-3


def test_second_texts_have_a_vector_where_there_is_one():
    grid, _ = packed([[1, 2, 3, 4]], 4)
    others = grid._replace(types=1 - grid.types)
    for n_types, differs in ((0, False), (1, False), (2, True)):
        torch.manual_seed(0)
        module = Transformer().build(11, 16, 8, n_types).eval()
        with torch.no_grad():
            assert torch.equal(module(grid), module(others)) != differs


def test_numbers_are_left_out_in_training_alone():
    torch.manual_seed(0)
    module = Transformer(dropout=0.5).build(11, 16, 8)
    grid, _ = packed([[1, 2, 3, 4]], 4)
    with torch.no_grad():
        assert not torch.equal(module(grid), module(grid))
        module.eval()
        assert torch.equal(module(grid), module(grid))
        plain = Transformer().build(11, 16, 8)
        plain.load_state_dict(module.state_dict())
        assert torch.equal(plain.train()(grid), module(grid))


@pytest.mark.parametrize("n_heads", [3, 5, 16])
@pytest.mark.parametrize("positions", ["learned", "rotary"])
def test_heads_that_do_not_divide_the_width(n_heads, positions):
    with pytest.raises(ValueError, match=rf"n_heads={n_heads}\).*\b8\b.*n_heads"):
        Transformer(n_heads=n_heads, positions=positions).build(5, 8, 8)


def test_heads_nobody_asked_for_that_do_not_divide_the_width():
    with pytest.raises(ValueError, match=r"n_heads=3\).*\b200\b"):
        Transformer().build(5, 8, 200)
