"""BERT's rule for hidden tokens."""

import copy

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from skrep import MaskedLMTransformer
from skrep.data import Batch
from skrep.objectives import token_cross_entropy
from skrep.text import SpecialTokens, TextSource, TokenStream, packed
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
    texts = ["the cat sat on the mat", "a dog ran", "fish swim in the deep sea"] * 10
    bert, read = MaskedLMTransformer(16, max_epochs=1, random_state=0), []
    make_views = bert.make_views
    bert.make_views = lambda data, module: (read.append(data), make_views(data, module))[1]
    data, module = (bert.fit(texts), read[-1])[1], bert.net_.module_
    index = torch.arange(len(data))
    views = bert.make_views(data, module)
    (grid, at, _), (tokens, _) = views(Batch(data.take(index, torch.device("cpu")), None, index), torch.Generator())
    with torch.no_grad():
        ours = bert.objective(module((grid, at, None)), (tokens, None))
        everywhere = module.logits(module.encoder.transformer(grid).flatten(0, 1))
        target = torch.full((len(everywhere),), -100)
        target[at] = tokens
        assert abs(float(ours - F.cross_entropy(everywhere, target))) < 1e-6


def test_whole_words_are_chosen_and_changed_token_by_token():
    n = 1_000_000
    lengths = torch.randint(1, 4, (n,), generator=torch.Generator().manual_seed(2))
    words = torch.arange(n).repeat_interleave(lengths)[:n]
    firsts = torch.searchsorted(words, words)  # where the word of each token begins
    tokens = torch.randint(N_SPECIAL, N_TOKENS, (n,), generator=torch.Generator().manual_seed(1))
    seen, chosen = masked(tokens, words=firsts)
    of_word = torch.zeros(n, dtype=torch.bool)
    of_word[chosen] = True
    assert torch.equal(of_word, of_word[firsts])
    n_words = int(words[-1]) + 1
    assert within_three_errors(int((of_word & (firsts == torch.arange(n))).sum()), n_words, 0.15)
    hidden = seen[chosen] == MASK
    assert within_three_errors(int(hidden.sum()), len(chosen), 0.8)  # what becomes of each is drawn for each
    beside = (firsts[chosen][1:] == firsts[chosen][:-1]).nonzero()[:, 0]  # of the same word
    assert within_three_errors(int((hidden[beside] == hidden[beside + 1]).sum()), len(beside), 0.8**2 + 0.2**2)


def test_everything_and_nothing_can_be_chosen():
    tokens = torch.arange(20)
    before = tokens.clone()
    _, chosen = masked(tokens, fraction=1.0)
    assert chosen.tolist() == list(range(N_SPECIAL, 20))
    assert torch.equal(tokens, before)
    seen, chosen = masked(torch.arange(N_SPECIAL), fraction=1.0)
    assert seen.tolist() == list(range(N_SPECIAL))
    assert len(chosen) == 0
    alone = torch.zeros(3, dtype=torch.int64)  # a vocabulary of special tokens
    seen, chosen = mask_tokens(alone, alone > 0, 0.15, draws(3), MASK, alone[:0])
    assert len(chosen) == 0
    assert torch.equal(seen, alone)


@pytest.fixture(scope="module")
def words():
    """A network of words, and a million of them in sequences."""
    known = [f"w{i}" for i in range(500)]
    bert = MaskedLMTransformer(8, max_epochs=0, embeddings="random", random_state=0).fit([known])
    generator = np.random.default_rng(0)
    numbers = generator.integers(0, 500 + N_SPECIAL, size=1_000_000).astype(np.int32)  # special ones too
    stream = TokenStream()
    stream.append(numbers, np.arange(100, len(numbers) + 1, 100, dtype=np.int64))
    assert bert.vocabulary_[:N_SPECIAL] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    special = SpecialTokens(*range(N_SPECIAL))
    source = TextSource(stream.finish(), None, special, 128, np.zeros(500 + N_SPECIAL, bool))
    return bert, source.as_windows()


def views_of(bert, data, seed, index=None):
    """What a batch is shown as, token by token: where it was chosen, what is seen, what was there."""
    index = torch.arange(len(data)) if index is None else index
    sequences = data.take(index, torch.device("cpu"))
    views = bert.make_views(data, bert.net_.module_)
    (grid, at, _), (hidden, _) = views(Batch(sequences, None, index), torch.Generator().manual_seed(seed))
    _, place = packed(sequences, data.shape[0])
    where = torch.full((grid.tokens.numel(),), -1)
    where[place] = torch.arange(len(place))
    chosen = torch.zeros(len(place), dtype=torch.bool)
    chosen[where[at]] = True
    assert torch.equal(sequences.tokens[where[at]], hidden)
    return chosen, grid.tokens.flatten()[place], sequences.tokens


@pytest.mark.parametrize("masking", ["dynamic", "static"])
def test_statistics_of_what_the_network_is_shown(masking, words):
    bert, data = words
    chosen, seen, tokens = views_of(copy.copy(bert).set_params(masking=masking), data, 0)
    may = tokens >= N_SPECIAL
    assert bool(may[chosen].all())
    assert torch.equal(seen[~chosen], tokens[~chosen])
    assert within_three_errors(int(chosen.sum()), int(may.sum()), 0.15)
    now, then = seen[chosen], tokens[chosen]
    n, by_chance = len(now), 0.1 / 500
    assert within_three_errors(int((now == MASK).sum()), n, 0.8)
    assert within_three_errors(int((now == then).sum()), n, 0.1 + by_chance)
    drawn = now[(now != MASK) & (now != then)]
    assert within_three_errors(len(drawn), n, 0.1 - by_chance)
    counts = torch.bincount(drawn, minlength=500 + N_SPECIAL)
    assert counts[:N_SPECIAL].sum() == 0
    expected = len(drawn) / 500  # each other token is as likely
    assert abs(float(((counts[N_SPECIAL:] - expected) ** 2 / expected).sum()) - 499) < 5 * np.sqrt(2 * 499)


def test_static_masks_stay_with_their_tokens_and_dynamic_ones_do_not(words):
    bert, data = words
    n = 500
    order = torch.randperm(n, generator=torch.Generator().manual_seed(0))
    for masking, is_same in (("static", True), ("dynamic", False)):
        changed = copy.copy(bert).set_params(masking=masking)
        first = [part.split(102) for part in views_of(changed, data, 0, torch.arange(n))]
        second = [part.split(102) for part in views_of(changed, data, 1, order)]  # another epoch, another order
        for a, b in zip(first[:2], second[:2], strict=True):
            same = [torch.equal(a[int(window)], b[at]) for at, window in enumerate(order)]
            assert all(same) if is_same else not any(same)
