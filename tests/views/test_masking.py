"""BERT's rule for hidden tokens."""

import numpy as np
import torch
from torch.nn import functional as F

from skrep.objectives import token_cross_entropy
from skrep.views import mask_tokens

MASK, N_SPECIAL, N_TOKENS = 4, 5, 1000
OTHERS = torch.arange(N_SPECIAL, N_TOKENS)


def draws(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return lambda use: torch.rand(n, generator=generator)


def masked(tokens, fraction=0.15, words=None, seed=0):
    may = tokens >= N_SPECIAL
    return mask_tokens(tokens, may, fraction, draws(len(tokens), seed), MASK, OTHERS, words)


def within_three_errors(count, n, share):
    return abs(count / n - share) < 3 * np.sqrt(share * (1 - share) / n)


def test_statistics_of_a_million_tokens():
    tokens = torch.randint(N_SPECIAL, N_TOKENS, (1_000_000,), generator=torch.Generator().manual_seed(1))
    seen, chosen = masked(tokens)
    assert within_three_errors(len(chosen), len(tokens), 0.15)
    now, then = seen[chosen], tokens[chosen]
    hidden, same = now == MASK, now == then
    assert within_three_errors(int(hidden.sum()), len(chosen), 0.8)
    by_chance = 0.1 / len(OTHERS)  # another token that is the same
    assert within_three_errors(int(same.sum()), len(chosen), 0.1 + by_chance)
    assert within_three_errors(int((~hidden & ~same).sum()), len(chosen), 0.1 - by_chance)
    untouched = torch.ones(len(tokens), dtype=torch.bool)
    untouched[chosen] = False
    assert torch.equal(seen[untouched], tokens[untouched])


def test_special_tokens_are_neither_chosen_nor_drawn():
    tokens = torch.randint(0, 10, (100_000,), generator=torch.Generator().manual_seed(1))
    seen, chosen = masked(tokens)
    assert bool((tokens[chosen] >= N_SPECIAL).all())
    drawn = seen[chosen][(seen[chosen] != tokens[chosen]) & (seen[chosen] != MASK)]
    assert bool((drawn >= N_SPECIAL).all())
    assert drawn.unique().numel() > 500


def test_words_are_chosen_whole():
    tokens = torch.full((90_000,), 7)
    words = torch.arange(90_000) // 3 * 3
    _, chosen = masked(tokens, words=words)
    counts = torch.bincount(chosen // 3, minlength=30_000)
    assert set(counts.tolist()) == {0, 3}
    assert within_three_errors(int((counts > 0).sum()), 30_000, 0.15)


def test_cross_entropy_against_a_loop_and_of_nothing():
    torch.manual_seed(0)
    logits, tokens = torch.randn(6, 9, requires_grad=True), torch.tensor([1, 8, 0, 0, 3, 5])
    expected = -sum(float(row.log_softmax(0)[token]) for row, token in zip(logits.detach(), tokens, strict=True)) / 6
    assert abs(float(token_cross_entropy(logits, tokens).detach()) - expected) < 1e-6
    nothing = token_cross_entropy(logits[:0], tokens[:0])
    nothing.backward()
    assert float(nothing.detach()) == 0
    assert float(logits.grad.abs().max()) == 0


def test_the_loss_of_chosen_tokens_is_that_of_all_where_others_are_ignored():
    from skrep import MaskedLMTransformer

    texts = ["the cat sat on the mat", "a dog ran", "fish swim in the deep sea"] * 10
    bert = MaskedLMTransformer(16, max_epochs=1, random_state=0).fit(texts)
    data, module = bert._read(texts, reset=False).as_windows(), bert.net_.module_
    from skrep.data import Batch

    index = torch.arange(len(data))
    views = bert.make_views(data, module)
    (grid, at, _), (tokens, _) = views(Batch(data.take(index, torch.device("cpu")), None, index), torch.Generator())
    with torch.no_grad():
        ours = bert.objective(module((grid, at, None)), (tokens, None))
        everywhere = module.guess(module.encoder.transformer(grid).flatten(0, 1))
        target = torch.full((len(everywhere),), -100)
        target[at] = tokens
        assert abs(float(ours - F.cross_entropy(everywhere, target))) < 1e-6
