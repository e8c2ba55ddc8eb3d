"""MaskedLMTransformer: what it learns, features against naive sums, the same bits, and scikit-learn's tools."""

import pickle
import re

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import FeatureUnion, make_pipeline

import skrep
import skrep.language.masked_lm
from skrep import MaskedLMTransformer
from skrep.backbones import Grid, Transformer
from skrep.text import SubwordTokenizer
from tests.engine.test_checkpoints import count_epochs
from tests.engine.test_training import Ctrl, weights

SMALL = Transformer(n_layers=2, n_heads=2, norm="pre", positions="rotary", activation="glu", eps=1e-5)
BERT = Transformer(n_layers=2, n_heads=2)
WORDS = ["tide", "reef", "mast", "keel", "oven", "dough", "yeast", "crust", "goal", "cup", "pitch", "the", "of", "and"]


def texts_of(n, seed=0, most=12):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(3, most))) + "." for _ in range(n)]


TEXTS = texts_of(40)
LONG = " ".join(texts_of(9, seed=1))  # many windows
PAIRS = pd.DataFrame({"first": TEXTS, "second": TEXTS[::-1]})


def quick(**options):
    settings = {"n_components": 8, "backbone": SMALL, "max_epochs": 1, "max_length": 24, "random_state": 0}
    return MaskedLMTransformer(**settings | options)


@pytest.fixture(scope="module")
def fitted():
    """Shared; what changes it works on a copy."""
    return quick(max_epochs=2).fit(TEXTS)


def copied(estimator):
    return pickle.loads(pickle.dumps(estimator))


# --- by hand ---------------------------------------------------------------------------------------------------------


def pieces(bert, text):
    """Tokens of a text, with no special ones."""
    known = {piece: number for number, piece in enumerate(bert.vocabulary_)}
    return [known[piece] for piece in bert.tokenizer_.tokenize([text.lower()])[0]]


def windows_by_hand(bert, tokens, room):
    """None longer than room; one that is not the last ends with a sentence, if one ends in its second half."""
    windows = []
    while len(tokens) > room:
        ends = [n for n in range(room // 2 + 1, room + 1) if bert.vocabulary_[tokens[n - 1]] in ".!?"]
        n = ends[-1] if ends else room
        windows.append(tokens[:n])
        tokens = tokens[n:]
    return [*windows, tokens] if tokens or not windows else windows


def sequences_by_hand(bert, text, max_length):
    begin, end = (bert.vocabulary_.index(name) for name in ("[CLS]", "[SEP]"))
    windows = windows_by_hand(bert, pieces(bert, text), max_length - 2)
    return [([begin, *window, end], [0] * (len(window) + 2)) for window in windows]


def states_by_hand(bert, tokens, types):
    """(n_layers + 1, n_tokens, width) of one sequence in a row of its own."""
    row = torch.tensor([tokens])
    grid = Grid(row, torch.arange(len(tokens))[None], torch.tensor([types]), torch.zeros_like(row))
    module = bert.net_.module_.eval()
    with torch.no_grad():
        return torch.stack(list(module.encoder.transformer.states(grid)))[:, 0]


def pooled_by_hand(bert, sequences, pooling, layers):
    states = [states_by_hand(bert, *sequence) for sequence in sequences]
    if pooling == "cls":
        found = torch.stack([state[:, 0] for state in states]).mean(0)
    else:
        joined = torch.cat(states, 1)
        found = joined.mean(1) if pooling == "mean" else joined.max(1).values
    return found[layers].flatten().numpy()


# --- features --------------------------------------------------------------------------------------------------------

LAYERS = {"None": (None, [2]), "0": (0, [0]), "1": (1, [1]), "-1": (-1, [2]), "-3": (-3, [0]), "list": ([2, 0], [2, 0]),
          "twice": ([1, -2], [1, 1]), "all": ("all", [0, 1, 2]), "numpy": (np.int64(1), [1])}  # fmt: skip


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("case", LAYERS)
def test_features_are_those_of_a_naive_sum(case, pooling, fitted):
    layer, layers = LAYERS[case]
    bert = copied(fitted).set_params(layer=layer, pooling=pooling)
    documents = [TEXTS[0], LONG, "", TEXTS[1], LONG[: len(LONG) // 3], "Tide REEF"]
    sequences = [sequences_by_hand(bert, text, 24) for text in documents]
    assert len(sequences[1]) > 3
    expected = [pooled_by_hand(bert, some, pooling, layers) for some in sequences]
    features = bert.transform(documents)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, expected, atol=2e-6)
    assert bert.n_features_out_ == 8 * len(layers) == len(bert.get_feature_names_out())


@pytest.mark.parametrize("backbone", [SMALL, BERT, None], ids=["pre", "post", "default"])
def test_features_of_each_shape_of_network(backbone):
    bert = quick(backbone=backbone, layer="all").fit(TEXTS)
    documents = [TEXTS[0], LONG]
    expected = [
        pooled_by_hand(bert, sequences_by_hand(bert, text, 24), "mean", list(range(bert.n_layers_ + 1)))
        for text in documents
    ]
    np.testing.assert_allclose(bert.transform(documents), expected, atol=2e-6)


@pytest.mark.parametrize("max_length", [8, 9, 24, 500])
def test_no_token_of_a_document_is_lost(max_length):
    bert = quick(max_length=max_length, max_epochs=0, layer=0).fit(TEXTS)
    sequences = sequences_by_hand(bert, LONG, max_length)
    assert [t for tokens, _ in sequences for t in tokens[1:-1]] == pieces(bert, LONG)
    for pooling in ("mean", "cls", "max"):
        bert.set_params(pooling=pooling)
        expected = pooled_by_hand(bert, sequences, pooling, [0])
        np.testing.assert_allclose(bert.transform([LONG])[0], expected, atol=2e-6)


def pair_by_hand(bert, first, second, max_length):
    """The shorter text has half of the room at most; of several windows those with the same number go together."""
    begin, end = (bert.vocabulary_.index(name) for name in ("[CLS]", "[SEP]"))
    texts = [pieces(bert, first), pieces(bert, second)]
    room = max_length - 3
    least = min(len(texts[0]), len(texts[1]), room // 2)
    shorter = 0 if len(texts[0]) <= len(texts[1]) else 1
    cut = [windows_by_hand(bert, texts[i], max(1, least if i == shorter else room - least)) for i in range(2)]
    sequences = []
    for i in range(max(map(len, cut))):
        a, b = cut[0][i % len(cut[0])], cut[1][i % len(cut[1])]
        sequences.append(([begin, *a, end, *b, end], [0] * (len(a) + 2) + [1] * (len(b) + 1)))
    return sequences


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_features_of_pairs(pooling):
    bert = quick(backbone=BERT, pooling=pooling, layer="all").fit(PAIRS)
    pairs = [
        ("tide reef", "oven."),
        ("", ""),
        ("tide", ""),
        ("", "tide"),
        ("tide.", LONG),
        (LONG, "oven"),
        (LONG, LONG),
    ]
    expected = [pooled_by_hand(bert, pair_by_hand(bert, *pair, 24), pooling, [0, 1, 2]) for pair in pairs]
    frame = pd.DataFrame(pairs, columns=["a", "b"])
    array = np.array(pairs, object)
    for X in (frame, array, array.astype(str), frame.set_index(np.arange(9, 2, -1))):
        np.testing.assert_allclose(bert.transform(X), expected, atol=2e-6)
    swapped = bert.transform(frame[["b", "a"]])
    assert not np.allclose(swapped[0], bert.transform(frame)[0], atol=1e-4)
    assert np.isfinite(bert.score(frame))


def test_pairs_of_lists_of_words():
    array = np.empty((20, 2), object)
    for i in range(20):
        array[i, 0], array[i, 1] = TEXTS[i].split(), TEXTS[-i].split()
    bert = quick(backbone=BERT).fit(array)
    assert "tide" in bert.vocabulary_
    assert bert.transform(array[:3]).shape == (3, 8)


def test_unequal_and_missing_second_texts_are_told():
    with pytest.raises(ValueError, match=r"document 0\b.*None.*fillna"):
        quick().fit(np.array([["tide", None]], object))
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        quick().fit(np.array([["a", "b", "c"]] * 2))


def test_alone_or_in_company_to_the_bit(fitted):
    documents = [*TEXTS, "", LONG, "tide", *texts_of(30, seed=4)]
    for options in ({}, {"pooling": "cls", "layer": "all"}, {"pooling": "max", "layer": 1}):
        bert = copied(fitted).set_params(**options)
        together = bert.transform(documents)
        for i in (0, 7, 40, 41, 42, 60):
            np.testing.assert_array_equal(bert.transform([documents[i]])[0], together[i])
        np.testing.assert_array_equal(bert.transform(documents[::-1]), together[::-1])


def test_documents_that_are_read_in_several_pieces(fitted, monkeypatch):
    together = fitted.transform([*TEXTS, LONG])
    monkeypatch.setattr("skrep.text.sequences.CHUNK_TOKENS", 20)
    np.testing.assert_array_equal(fitted.transform([*TEXTS, LONG]), together)


@pytest.mark.parametrize("layer", [3, -4, [0, 5], []])
def test_layers_that_are_not_there(layer, fitted):
    with pytest.raises(ValueError, match=rf"layer={re.escape(repr(layer))}.*\b0\b.*\b1\b.*\b2\b"):
        quick(layer=layer).fit(TEXTS)
    bert = copied(fitted).set_params(layer=layer)
    with pytest.raises(ValueError, match=rf"layer={re.escape(repr(layer))}.*\b0\b.*\b1\b.*\b2\b"):
        bert.transform(TEXTS)
    assert bert.set_params(layer=None).transform(TEXTS).shape == (40, 8)


# --- what is learned -------------------------------------------------------------------------------------------------


def grammar(n, seed=0):
    """The third word follows from the first, the fourth from the second."""
    rng = np.random.default_rng(seed)
    return [f"s{i} v{j} o{i} p{j}" for i, j in rng.integers(0, 4, (n, 2))]


def test_a_grammar_is_learned():
    texts = grammar(96)
    options = {"n_components": 32, "tokenizer": str.split, "batch_size": 16, "mask_fraction": 0.3, "lr": 0.01}
    bert = quick(max_epochs=60, embeddings="random", **options).fit(texts)
    losses = [row["train_loss"] for row in bert.history_]
    assert losses[-1] < 0.5 * losses[0] < np.log(len(bert.vocabulary_))
    for i in range(4):
        for j in range(4):
            ((best, probability), *_), *_ = bert.fill_mask(f"s{i} v{j} [MASK] p{j}")
            assert best == f"o{i}"
            assert probability > 0.5
    assert bert.score(texts) > quick(max_epochs=0, **options).fit(texts).score(texts) + 1


def test_static_masks_are_learned_by_heart():
    static, dynamic = (
        quick(
            n_components=32,
            tokenizer=str.split,
            mask_fraction=0.3,
            lr=0.01,
            batch_size=16,
            max_epochs=40,
            masking=masking,
            embeddings="random",
        )
        .fit(grammar(96))
        .history_[-1]["train_loss"]
        for masking in ("static", "dynamic")
    )
    assert static < 0.7 * dynamic


def test_guesses_are_probabilities_of_the_network(fitted):
    found = fitted.fill_mask("tide [MASK] the [MASK].", n_guesses=10**6)
    assert len(found) == 2
    shown = fitted.tokenize("tide [MASK] the [MASK].")
    assert shown == ["[CLS]", "tide", "[MASK]", "the", "[MASK]", ".", "[SEP]"]
    tokens = [fitted.vocabulary_.index(token) for token in shown]
    module = fitted.net_.module_
    last = states_by_hand(fitted, tokens, [0] * 7)[-1]
    with torch.no_grad():
        expected = module.logits(last).softmax(1).numpy()
    for guesses, at in zip(found, (2, 4), strict=True):
        assert [p for _, p in guesses] == sorted((p for _, p in guesses), reverse=True)
        assert sum(p for _, p in guesses) == pytest.approx(1, abs=1e-5)
        ours = dict(guesses)
        for number, token in enumerate(fitted.vocabulary_):
            assert ours[token] == pytest.approx(expected[at, number], abs=1e-6)
    assert [len(guesses) for guesses in fitted.fill_mask("[MASK] [MASK]", 3)] == [3, 3]


def test_what_cannot_be_filled(fitted):
    with pytest.raises(ValueError, match=r"\btext\b.*\[MASK\]"):
        fitted.fill_mask("tide")
    with pytest.raises(ValueError, match=r"\btext\b.*\b31\b.*\b22\b"):
        fitted.fill_mask("tide " * 30 + "[MASK]")
    with pytest.raises(NotFittedError):
        quick().fill_mask("a [MASK]")


def test_next_sentence_is_learned(monkeypatch):
    told = []
    original = MaskedLMTransformer.objective

    def record(self, outputs, target):
        told.append((target[1], outputs.follows.argmax(1) == target[1]))
        return original(self, outputs, target)

    monkeypatch.setattr(MaskedLMTransformer, "objective", record)
    rng = np.random.default_rng(0)
    topics = rng.integers(0, 6, 120)
    texts = [" ".join(f"t{topic}w{i}" for i in rng.integers(0, 3, 8)) for topic in topics]
    bert = quick(
        backbone=BERT,
        n_components=16,
        tokenizer=str.split,
        next_sentence=True,
        embeddings="random",
        max_epochs=60,
        lr=0.01,
        batch_size=32,
    ).fit(texts)
    follows, right = (torch.cat(column) for column in zip(*told[-len(told) // 6 :], strict=True))
    assert 0.3 < follows.float().mean() < 0.7
    assert right.float().mean() > 0.75  # a tenth or so comes from another document on the same topic
    first = torch.cat([right for _, right in told[: len(told) // 20]])
    assert first.float().mean() < 0.7
    assert np.isfinite(bert.score(texts))
    assert bert.transform(texts[:3]).shape == (3, 16)


def test_next_sentence_needs_single_texts():
    with pytest.raises(ValueError, match=r"next_sentence=True.*pairs.*next_sentence=False"):
        quick(next_sentence=True, backbone=BERT).fit(PAIRS)
    with pytest.raises(ValueError, match=r"next_sentence=True.*documents.*tokens"):
        quick(next_sentence=True, backbone=BERT, tokenizer=str.split).fit(["tide", "reef"])


def test_network_without_training():
    bert = quick(max_epochs=0, embeddings="random").fit(TEXTS)
    assert bert.history_ == []
    assert bert.n_epochs_ == 0
    transformer = bert.net_.module_.encoder.transformer
    assert float(transformer.tokens.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
    assert -bert.score(TEXTS) == pytest.approx(np.log(len(bert.vocabulary_)), rel=0.05)
    assert bert.transform(TEXTS).shape == (40, 8)


# --- masks -----------------------------------------------------------------------------------------------------------


def masks_of(monkeypatch, **options):
    """For each epoch the tokens of each sequence and what was seen in their place."""
    drawn = []
    original = skrep.language.masked_lm.mask_tokens

    def record(tokens, *args, **kwargs):
        seen, chosen = original(tokens, *args, **kwargs)
        drawn.append((tokens.clone(), seen.clone(), chosen.clone()))
        return seen, chosen

    monkeypatch.setattr(skrep.language.masked_lm, "mask_tokens", record)
    texts = sorted(set(texts_of(30, seed=5)))
    bert = quick(max_epochs=3, batch_size=10**6, mask_fraction=0.4, **options).fit(texts)
    monkeypatch.undo()
    epochs = []
    for tokens, seen, _ in drawn:
        starts = (tokens == bert.vocabulary_.index("[CLS]")).nonzero()[:, 0].tolist()
        ends = [*starts[1:], len(tokens)]
        epochs.append(
            {tuple(tokens[a:b].tolist()): tuple(seen[a:b].tolist()) for a, b in zip(starts, ends, strict=True)}
        )
    return bert, drawn, epochs


@pytest.mark.parametrize("whole_words", [False, True])
def test_static_masks_are_the_same_each_epoch_and_dynamic_ones_are_not(whole_words, monkeypatch):
    _, _, static = masks_of(monkeypatch, masking="static", whole_words=whole_words)
    _, _, dynamic = masks_of(monkeypatch, masking="dynamic", whole_words=whole_words)
    assert len(static) == len(dynamic) == 3
    assert static[0] == static[1] == static[2]
    assert dynamic[0].keys() == static[0].keys()
    assert dynamic[0] != dynamic[1] != dynamic[2]
    _, _, again = masks_of(monkeypatch, masking="static", whole_words=whole_words, random_state=1)
    assert again[0] != static[0]
    hidden = np.mean([token != shown for row in static[0].items() for token, shown in zip(*row, strict=True)])
    assert 0.2 < hidden < 0.5


def test_no_special_token_is_ever_hidden_or_put_in(monkeypatch):
    bert, drawn, _ = masks_of(monkeypatch)
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    special = torch.tensor([bert.vocabulary_.index(name) for name in names])
    for tokens, seen, chosen in drawn:
        assert not torch.isin(tokens[chosen], special).any()
        put_in = seen[chosen]
        assert not torch.isin(put_in[put_in != special[4]], special).any()
        stays = torch.ones(len(tokens), dtype=torch.bool)
        stays[chosen] = False
        assert torch.equal(seen[stays], tokens[stays])


@pytest.mark.parametrize("model", ["wordpiece", "byte_bpe"])
def test_pieces_of_a_word_are_chosen_together(model, monkeypatch):
    tokenizer = SubwordTokenizer(model, vocab_size=300 if model == "byte_bpe" else 60)
    bert, drawn, _ = masks_of(monkeypatch, tokenizer=tokenizer, whole_words=True)
    several = 0
    for tokens, _, chosen in drawn:
        is_chosen = torch.zeros(len(tokens), dtype=torch.bool)
        is_chosen[chosen] = True
        word = []
        for token, hidden in zip(tokens.tolist(), is_chosen.tolist(), strict=True):
            piece = bert.vocabulary_[token]
            goes_on = piece.startswith("##") if model == "wordpiece" else not piece.startswith("Ġ")
            is_special = piece in ("[CLS]", "[SEP]", "[UNK]")
            if is_special or not goes_on or not word:
                word = []
            if not is_special:
                word.append(hidden)
                several += len(word) > 1
                assert len({*word}) == 1
    assert several > 50


def test_whole_words_need_pieces_that_say_where_words_begin():
    with pytest.raises(ValueError, match=r"whole_words=True.*SubwordTokenizer\('wordpiece'\)"):
        quick(whole_words=True, tokenizer=SubwordTokenizer("bpe")).fit(TEXTS)
    quick(whole_words=True).fit([text.split() for text in TEXTS])  # words are whole
    texts = ["a b c d"] * 20  # WordPiece without a piece that goes on with a word: each is one
    assert torch.equal(weights(quick(whole_words=True).fit(texts)), weights(quick().fit(texts)))


@pytest.mark.parametrize("options", [{}, {"whole_words": True}, {"masking": "static"}], ids=str)
def test_score_is_the_loss_of_a_naive_sum(options, monkeypatch):
    bert = quick(batch_size=7, **options).fit(TEXTS)
    documents = [*texts_of(20, seed=8), LONG, ""]
    drawn = []
    original = skrep.language.masked_lm.mask_tokens

    def record(tokens, *args, **kwargs):
        drawn.append((tokens, *original(tokens, *args, **kwargs)))
        return drawn[-1][1:]

    monkeypatch.setattr(skrep.language.masked_lm, "mask_tokens", record)
    score = bert.score(documents)
    monkeypatch.undo()
    losses, n_tokens = [], 0
    begin = bert.vocabulary_.index("[CLS]")
    for tokens, seen, chosen in drawn:
        n_tokens += len(tokens)
        starts = [*(tokens == begin).nonzero()[:, 0].tolist(), len(tokens)]
        for at in chosen.tolist():
            a = max(start for start in starts if start <= at)
            b = min(start for start in starts if start > at)
            last = states_by_hand(bert, seen[a:b].tolist(), [0] * (b - a))[-1]
            with torch.no_grad():
                losses.append(-float(bert.net_.module_.logits(last[at - a]).log_softmax(0)[tokens[at]]))
    by_hand = [sequences_by_hand(bert, text, 24) for text in documents]
    assert n_tokens == sum(len(tokens) for some in by_hand for tokens, _ in some)
    assert score == pytest.approx(-np.mean(losses), abs=1e-5)
    assert bert.score(documents) == score  # the masks are the same
    assert len(losses) / n_tokens == pytest.approx(0.15, abs=0.08)


def test_score_changes_nothing(fitted):
    before = weights(fitted).clone()
    assert fitted.score(TEXTS) == copied(fitted).score(TEXTS) == fitted.score(TEXTS, y=[1] * 40)
    assert torch.equal(weights(fitted), before)
    assert np.isnan(fitted.score([]))
    assert np.isnan(fitted.score([""]))


# --- the same bits ---------------------------------------------------------------------------------------------------


def test_random_state_decides_every_bit():
    first, second, other = (quick(random_state=seed).fit(TEXTS) for seed in (0, 0, 1))
    assert torch.equal(weights(first), weights(second))
    assert first.history_ == second.history_
    assert not torch.equal(weights(first), weights(other))


def test_the_callers_generators_stay_where_they_were():
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(2), np.random.rand(2)
    torch.manual_seed(3)
    np.random.seed(3)
    bert = quick(backbone=Transformer(dropout=0.1), next_sentence=True).fit(TEXTS)
    bert.sample_views(TEXTS)
    bert.score(TEXTS)
    bert.transform(TEXTS)
    assert torch.equal(torch.rand(2), expected[0])
    np.testing.assert_array_equal(np.random.rand(2), expected[1])


RUNS = {
    "dynamic": {},
    "static": {"masking": "static"},
    "next sentence": {"next_sentence": True, "backbone": BERT},
    "whole words": {"whole_words": True, "tokenizer": SubwordTokenizer(vocab_size=60)},
    "dropout": {"backbone": Transformer(n_heads=2, dropout=0.2)},
    "held out": {"validation_fraction": 0.2, "early_stopping": 50},
    "all": {"next_sentence": True, "masking": "static", "whole_words": True, "backbone": Transformer(dropout=0.1)},
}


LATER = [pytest.param(at, marks=pytest.mark.exhaustive) for at in [(0, 2), (2, 3)]]


@pytest.mark.parametrize("at", [(1, 1), *LATER])
@pytest.mark.parametrize("case", RUNS)
def test_ctrl_c_then_resume(case, at, tmp_path):
    options = {"max_epochs": 3, "batch_size": 8} | RUNS[case]
    whole = quick(**options).fit(TEXTS)
    interrupted = quick(**options, checkpoint=tmp_path, callbacks=[Ctrl(at, "raise" if at[0] else "signal")])
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(TEXTS)
    assert not [name for name in vars(interrupted) if name.endswith("_")]
    resumed = quick(**options, checkpoint=tmp_path).fit(TEXTS)
    assert resumed.resumed_from_ == at
    assert resumed.history_ == whole.history_
    assert torch.equal(weights(resumed), weights(whole))
    np.testing.assert_array_equal(resumed.transform(TEXTS), whole.transform(TEXTS))
    assert resumed.score(TEXTS) == whole.score(TEXTS)


@pytest.fixture
def epochs_trained(monkeypatch):
    return count_epochs(monkeypatch)


def test_what_does_not_change_training_is_not_in_the_key(tmp_path, epochs_trained):
    quick(checkpoint=tmp_path).fit(TEXTS)
    for options in ({"pooling": "max"}, {"layer": [0, 1]}, {"layer": "all", "pooling": "cls"}, {"verbose": 0}):
        assert quick(checkpoint=tmp_path, **options).fit(TEXTS).resumed_from_ == (1, 0)
    assert len(epochs_trained) == 1


@pytest.mark.parametrize(
    "change",
    [{"mask_fraction": 0.2}, {"masking": "static"}, {"whole_words": True}, {"max_length": 16}, {"lr": 0.01},
     {"unlabeled": ["tide"]}, {"tokenizer": str.split}, {"lowercase": False}, {"next_sentence": True}],
    ids=str,
)  # fmt: skip
def test_other_parameters_are_another_run(change, tmp_path):
    texts = [text.title() for text in TEXTS]
    quick(checkpoint=tmp_path).fit(texts)
    assert quick(**{"checkpoint": tmp_path} | change).fit(texts).resumed_from_ is None


def test_a_grid_over_pooling_and_layer_trains_once_a_fold(tmp_path, epochs_trained):
    y = np.arange(40) % 2
    pipe = make_pipeline(quick(checkpoint=tmp_path, max_epochs=2), LogisticRegression())
    grid = {"maskedlmtransformer__pooling": ["mean", "cls", "max"], "maskedlmtransformer__layer": [0, -1, "all"]}
    search = GridSearchCV(pipe, grid, cv=2).fit(TEXTS, y)
    assert len(epochs_trained) == 2 * 3  # two folds and the refit
    assert len(list(tmp_path.glob("*.skrep"))) == 3
    without = GridSearchCV(clone(pipe).set_params(maskedlmtransformer__checkpoint=None), grid, cv=2).fit(TEXTS, y)
    np.testing.assert_array_equal(search.cv_results_["mean_test_score"], without.cv_results_["mean_test_score"])


@pytest.mark.parametrize("options", [{}, {"next_sentence": True}, {"pooling": "max", "layer": "all"}], ids=str)
def test_files(options, tmp_path):
    bert = quick(**options).fit(TEXTS)
    skrep.save(bert, tmp_path / "bert")
    loaded = skrep.load(tmp_path / "bert")
    assert torch.equal(weights(loaded), weights(bert))
    documents = [*TEXTS, LONG, ""]
    for change in ({}, {"pooling": "cls", "layer": [0, -1]}):
        for estimator in (bert, loaded):
            estimator.set_params(**change)
        np.testing.assert_array_equal(loaded.transform(documents), bert.transform(documents))
    assert loaded.score(documents) == bert.score(documents)
    assert loaded.fill_mask("tide [MASK]") == bert.fill_mask("tide [MASK]")
    skrep.save(bert, tmp_path / "changed")
    np.testing.assert_array_equal(skrep.load(tmp_path / "changed").transform(documents), bert.transform(documents))


@pytest.mark.parametrize("options", [{}, {"masking": "static"}], ids=str)
def test_training_goes_on_from_files(options, tmp_path):
    bert = quick(**options).fit(TEXTS)
    skrep.save(bert, tmp_path / "bert")
    copies = [skrep.load(tmp_path / "bert"), skrep.load(tmp_path / "bert"), copied(bert)]
    more = texts_of(30, seed=3)
    for estimator in copies:
        estimator.partial_fit(more).partial_fit(TEXTS)
        assert torch.equal(weights(estimator), weights(copies[0]))
        assert estimator.n_epochs_ == 3
    assert not torch.equal(weights(copies[0]), weights(bert))


def test_pickle(fitted):
    again = copied(fitted)
    np.testing.assert_array_equal(again.transform(TEXTS), fitted.transform(TEXTS))
    assert again.score(TEXTS) == fitted.score(TEXTS)
    np.testing.assert_array_equal(again.attention("tide reef"), fitted.attention("tide reef"))


# --- more training ---------------------------------------------------------------------------------------------------


def test_warm_start_keeps_the_vocabulary():
    bert = quick(warm_start=True).fit(TEXTS)
    vocabulary, before = list(bert.vocabulary_), weights(bert).clone()
    bert.fit(["squid whale and octopus"] * 20)
    assert bert.vocabulary_ == vocabulary
    assert not torch.equal(weights(bert), before)
    assert bert.n_epochs_ == 2
    assert quick().fit(["squid whale and octopus"] * 20).vocabulary_ != vocabulary


@pytest.mark.parametrize("options", [{"n_components": 16}, {"backbone": Transformer(n_layers=1)}], ids=str)
def test_warm_start_refuses_another_network(options):
    bert = quick(warm_start=True).fit(TEXTS)
    before = bert.transform(TEXTS)
    with pytest.raises(ValueError, match=r"MaskedLMTransformer\(warm_start=True\)"):
        bert.set_params(**options).fit(TEXTS)
    np.testing.assert_array_equal(bert.transform(TEXTS), before)  # nothing is lost


def test_vectors_of_skip_gram_learn_slowly():
    by_embeddings = {}
    for embeddings in ("word2vec", "random"):
        net = quick(embeddings=embeddings).fit(TEXTS).net_
        table = net.module_.encoder.transformer.tokens.weight
        by_embeddings[embeddings] = {
            any(p is table for p in group["params"]): peak
            for group, peak in zip(net.optimizer_.param_groups, net.peak_lrs_, strict=True)
            if group["weight_decay"]
        }
    assert by_embeddings["word2vec"] == {True: pytest.approx(2e-4), False: pytest.approx(2e-3)}
    assert by_embeddings["random"] == {True: pytest.approx(2e-3)}


def test_partial_fit_learns_what_fit_does():
    texts = grammar(96)
    bert = quick(tokenizer=str.split, n_components=16, lr=0.01, batch_size=16)
    for _ in range(20):
        bert.partial_fit(texts)
    losses = [row["train_loss"] for row in bert.history_]
    assert len(losses) == bert.n_epochs_ == 20
    assert losses[-1] < losses[0] - 0.3
    vocabulary = list(bert.vocabulary_)
    bert.partial_fit(["unheardof v1", "s1"])
    assert bert.vocabulary_ == vocabulary


def test_a_failed_call_leaves_the_estimator_as_it_was(fitted):
    bert = copied(fitted)
    before, state = weights(bert).clone(), set(vars(bert))
    for call in (bert.fit, bert.partial_fit):
        with pytest.raises(ValueError, match=r"document 40\b.*None"):
            call([*TEXTS, None])
        assert set(vars(bert)) == state
        assert torch.equal(weights(bert), before)
    bert.set_params(callbacks=[Ctrl((0, 1), "raise")])
    with pytest.raises(KeyboardInterrupt):
        bert.fit(TEXTS[::2])
    assert torch.equal(weights(bert), before)


# --- documents -------------------------------------------------------------------------------------------------------


def test_unlabeled_documents_are_learned_from():
    more = ["squid whale octopus"] * 9
    bert = quick(unlabeled=more).fit(TEXTS)
    assert "squid" in bert.vocabulary_
    assert torch.equal(weights(bert), weights(quick().fit([*TEXTS, *more])))
    assert bert.transform(TEXTS).shape == (40, 8)
    assert bert.score(TEXTS) == quick().fit([*TEXTS, *more]).score(TEXTS)
    pairs = quick(backbone=BERT, unlabeled=PAIRS[20:]).fit(PAIRS[:20])
    assert torch.equal(weights(pairs), weights(quick(backbone=BERT).fit(PAIRS)))


def test_unlabeled_that_cannot_be_used():
    for unlabeled, message in (
        (iter(TEXTS), r"\bunlabeled\b(?!\)).*iterator"),
        ("tide", r"\bunlabeled\b.*\bstr\b"),
        (5, r"\bunlabeled\b.*\bint\b"),
        (PAIRS, r"\bunlabeled\b.*\b2\b.*\bX\b.*\b1\b"),
    ):
        with pytest.raises(ValueError, match=message):
            quick(unlabeled=unlabeled).fit(TEXTS)
    with pytest.raises(ValueError, match=r"\bunlabeled\b.*\b1\b.*\bX\b.*\b2\b"):
        quick(backbone=BERT, unlabeled=TEXTS).fit(PAIRS)


@pytest.mark.parametrize("options", [{}, {"tokenizer": str.split}, {"tokenizer": SubwordTokenizer("bpe")}], ids=str)
def test_iterators_can_be_gone_through_once(options, fitted):
    with pytest.raises(ValueError, match=r"\bX\b.*iterator.*\blist\b"):
        quick(**options).fit(iter(TEXTS))
    np.testing.assert_array_equal(fitted.transform(iter(TEXTS)), fitted.transform(TEXTS))
    assert fitted.score(text for text in TEXTS) == fitted.score(TEXTS)


def test_containers_of_texts(fitted):
    expected = fitted.transform(TEXTS)
    for X in (tuple(TEXTS), np.array(TEXTS), np.array(TEXTS, object), pd.Series(TEXTS, index=range(40, 0, -1)),
              [text.encode() for text in TEXTS], [text.upper() for text in TEXTS]):  # fmt: skip
        np.testing.assert_array_equal(fitted.transform(X), expected)


def test_lists_of_words():
    lists = [text.replace(".", " .").split() for text in TEXTS]
    bert = quick().fit(lists)
    assert {*bert.vocabulary_[5:]} == {*WORDS, "."}
    counts = [sum(words.count(word) for words in lists) for word in bert.vocabulary_[5:]]
    assert counts == sorted(counts, reverse=True)
    assert bert.tokenize(["tide", "unheardof", "[MASK]"]) == ["[CLS]", "tide", "[UNK]", "[MASK]", "[SEP]"]
    assert len(bert.fill_mask(["tide", "[MASK]", "reef"])[0]) == 5
    assert len(quick(vocab_size=7).fit(lists).vocabulary_) == 12
    by_function = quick(tokenizer=str.split).fit([" ".join(words) for words in lists])
    assert by_function.vocabulary_ == bert.vocabulary_
    assert torch.equal(weights(by_function), weights(bert))
    np.testing.assert_array_equal(by_function.transform([" ".join(lists[0])]), bert.transform([lists[0]]))
    with pytest.raises(ValueError, match=r"\blists\b.*\bX\b.*\btexts\b"):
        bert.transform(TEXTS)


def test_files_of_texts(tmp_path):
    paths = []
    for i, text in enumerate(TEXTS):
        paths.append(tmp_path / f"{i}.txt")
        paths[-1].write_text(text)
    np.testing.assert_array_equal(
        quick(input="filename").fit(paths).transform(paths), quick().fit(TEXTS).transform(TEXTS)
    )


def test_hugging_faces_own_tokenizer():
    tokenizers = pytest.importorskip("tokenizers")
    learned = SubwordTokenizer(vocab_size=60).fit([text.lower() for text in TEXTS])
    own = tokenizers.Tokenizer.from_str(learned.json_)
    bert = quick(tokenizer=own).fit(TEXTS)
    np.testing.assert_array_equal(
        bert.transform(TEXTS), quick(tokenizer=SubwordTokenizer(vocab_size=60)).fit(TEXTS).transform(TEXTS)
    )


def test_tokenizers_that_cannot_be_used():
    for tokenizer in (5, "wordpiece", {"a": 1}):
        with pytest.raises(ValueError, match=f"tokenizer={re.escape(repr(tokenizer))}"):
            quick(tokenizer=tokenizer).fit(TEXTS)


def test_parameters_that_cannot_be_used():
    for options, message in (
        ({"mask_fraction": 0}, r"mask_fraction=0\b"),
        ({"mask_fraction": 1.1}, r"mask_fraction=1\.1"),
        ({"max_length": 7}, "max_length=7"),
        ({"masking": "once"}, "masking='once'"),
        ({"pooling": "sum"}, "pooling='sum'"),
        ({"layer": True}, "layer=True"),
        ({"layer": 1.0}, r"layer=1\.0"),
        ({"n_components": 9}, r"n_heads=\d\).*\b9\b"),
        ({"init": "/nowhere", "backbone": None}, "init=.*n_components, backbone.*tokenizer"),
        ({"init": "/nowhere", "backbone": None, "n_components": None}, r"nowhere.config\.json\b.*\bfolder\b"),
        ({"backbone": "bert"}, "backbone='bert'"),
    ):
        with pytest.raises(ValueError, match=message):
            quick(**options).fit(TEXTS)


# --- looking inside --------------------------------------------------------------------------------------------------


def test_tokens_of_a_text(fitted):
    assert fitted.tokenize("Tide, reef") == ["[CLS]", "tide", "[UNK]", "reef", "[SEP]"]
    assert fitted.tokenize("") == ["[CLS]", "[SEP]"]
    assert fitted.tokenize("tide[MASK]reef") == ["[CLS]", "tide", "[MASK]", "reef", "[SEP]"]
    with pytest.raises(ValueError, match=r"\btext\b.*\btokens\b.*\b22\b"):
        fitted.tokenize(LONG)


@pytest.mark.parametrize("backbone", [SMALL, BERT, Transformer(n_heads=2, causal=True)], ids=["pre", "post", "causal"])
def test_attention_is_that_of_the_network(backbone):
    bert = quick(backbone=backbone).fit(TEXTS)
    text = "tide reef the [MASK]."
    maps = bert.attention(text)
    n = len(bert.tokenize(text))
    assert maps.shape == (2, 2, n, n)
    np.testing.assert_allclose(maps.sum(3), 1, atol=1e-5)
    assert (maps >= 0).all()
    assert np.allclose(np.triu(maps, 1), 0) == backbone.causal
    # the last layer's output from its maps
    tokens = [bert.vocabulary_.index(token) for token in bert.tokenize(text)]
    before, after = states_by_hand(bert, tokens, [0] * n)[-2:]
    transformer = bert.net_.module_.encoder.transformer
    layer = transformer.layers[-1]
    with torch.no_grad():
        inside = layer.norm1(before) if backbone.norm == "pre" else before
        values = layer.attention.qkv(inside)[:, 16:].unflatten(1, (2, 4)).permute(1, 0, 2)
        added = layer.attention.out((torch.from_numpy(maps[-1]) @ values).permute(1, 0, 2).flatten(1))
        if backbone.norm == "pre":
            x = before + added
            expected = transformer.last_norm(x + layer.feed_forward(layer.norm2(x)[None])[0])
        else:
            x = layer.norm1(before + added)
            expected = layer.norm2(x + layer.feed_forward(x[None])[0])
    np.testing.assert_allclose(after, expected, atol=1e-5)


def test_attention_does_not_depend_on_layer_and_pooling(fitted):
    maps = fitted.attention("tide reef")
    np.testing.assert_array_equal(copied(fitted).set_params(layer=0, pooling="cls").attention("tide reef"), maps)
    with pytest.raises(ValueError, match=r"\btext\b.*\btokens\b.*\b22\b"):
        fitted.attention(LONG)


def test_sample_views_show_what_is_hidden(fitted):
    bert = copied(fitted).set_params(mask_fraction=0.5)
    shown = bert.sample_views(TEXTS)
    assert shown == bert.sample_views(TEXTS)
    assert shown != bert.sample_views(TEXTS, random_state=1)
    plain = [bert.tokenize(text) for text in TEXTS]
    assert [len(tokens) for tokens in shown] == [len(tokens) for tokens in plain]
    changed = [a != b for some, others in zip(shown, plain, strict=True) for a, b in zip(some, others, strict=True)]
    assert 0.25 < np.mean(changed) < 0.55
    assert all(tokens[0] == "[CLS]" and tokens[-1] == "[SEP]" for tokens in shown)
    assert len(bert.sample_views([LONG])) == len(sequences_by_hand(bert, LONG, 24))
    pairs = quick(next_sentence=True, backbone=BERT).fit(TEXTS).sample_views(TEXTS)
    assert all(tokens.count("[SEP]") == 2 for tokens in pairs)


# --- among scikit-learn's tools --------------------------------------------------------------------------------------


def test_clone(fitted):
    again = clone(fitted)
    assert not hasattr(again, "net_")
    np.testing.assert_array_equal(again.fit(TEXTS).transform(TEXTS), fitted.transform(TEXTS))
    nested = clone(quick()).set_params(backbone__n_layers=1).fit(TEXTS)
    assert nested.n_layers_ == 1
    assert nested.backbone_.n_layers == 1


def test_pipelines():
    y = np.array(["oven" in text for text in TEXTS])
    pipe = make_pipeline(quick(), LogisticRegression())
    assert cross_val_score(pipe, TEXTS, y, cv=2).shape == (2,)
    union = FeatureUnion([("bert", quick(layer="all")), ("tfidf", TfidfVectorizer())])
    features = union.fit_transform(TEXTS)
    assert features.shape[1] == 24 + len(WORDS)
    assert len(union.get_feature_names_out()) == features.shape[1]
    assert make_pipeline(union, LogisticRegression()).fit(TEXTS, y).score(TEXTS, y) > 0.8


def test_frames_of_features():
    frame = quick(layer=[0, 1]).set_output(transform="pandas").fit_transform(pd.Series(TEXTS, index=range(40, 80)))
    assert list(frame.columns) == [f"maskedlmtransformer{i}" for i in range(16)]
    assert list(frame.index) == list(range(40, 80))


def test_not_fitted():
    for call in ("transform", "score", "tokenize", "attention", "sample_views", "save_pretrained"):
        with pytest.raises(NotFittedError):
            getattr(quick(), call)(TEXTS)


def test_held_out_documents_are_never_trained_on(monkeypatch):
    seen = {True: set(), False: set()}
    original = MaskedLMTransformer.make_views

    def record(self, data, module):
        views = original(self, data, module)

        def recorded(batch, generator):
            rows = batch.x.tokens.split(batch.x.lengths.tolist())
            seen[module.training].update(tuple(row.tolist()) for row in rows)
            return views(batch, generator)

        return recorded

    texts = sorted(set(texts_of(60, seed=6)))
    monkeypatch.setattr(MaskedLMTransformer, "make_views", record)
    bert = quick(validation_fraction=0.25, max_epochs=2).fit(texts)
    assert len(seen[True]) + len(seen[False]) == len(texts)
    assert not seen[True] & seen[False]
    assert len(seen[False]) == round(0.25 * len(texts))
    assert all(row["valid_loss"] > 0 for row in bert.history_)


def test_a_second_fit_from_published_weights(tmp_path):
    MaskedLMTransformer(8, max_epochs=1, random_state=0).fit(TEXTS).save_pretrained(tmp_path)
    bert = MaskedLMTransformer(init=tmp_path, warm_start=True, max_epochs=1, random_state=0)
    assert len(bert.fit(TEXTS).fit(TEXTS).history_) == 2


def test_partial_fit_makes_pairs_of_neighbours_too():
    bert = MaskedLMTransformer(8, next_sentence=True, random_state=0)
    losses = [bert.partial_fit(TEXTS).history_[-1]["train_loss"] for _ in range(3)]
    assert losses[-1] < losses[0]


def test_a_tokenizer_that_cuts_texts_off_does_not():
    tokenizers = pytest.importorskip("tokenizers")
    from skrep.text import SubwordTokenizer

    made = tokenizers.Tokenizer.from_str(SubwordTokenizer().fit(TEXTS).json_)
    made.enable_truncation(2)
    bert = MaskedLMTransformer(8, tokenizer=made, max_epochs=0, random_state=0).fit(TEXTS)
    assert len(bert.tokenize(TEXTS[0])) >= 2 + len(TEXTS[0].split())


def test_a_text_network_takes_no_lists_and_the_other_way_round():
    bert = MaskedLMTransformer(8, max_epochs=0, random_state=0).fit(TEXTS)
    with pytest.raises(ValueError, match=r"\btexts\b.*\bX\b.*\blists\b"):
        bert.transform([TEXTS[0].split()])
    with pytest.raises(ValueError, match=r"\btext\b.*\blist\b.*\bstr\b"):
        bert.fill_mask([TEXTS[0]])
    with pytest.raises(ValueError, match="n_guesses=-1"):
        bert.fill_mask("the [MASK]", n_guesses=-1)
    arrays = [np.array(text.split()) for text in TEXTS]
    assert MaskedLMTransformer(8, max_epochs=0, random_state=0).fit(arrays).transform(arrays[:2]).shape == (2, 8)


def test_a_layer_that_is_not_there_is_told_before_training(monkeypatch):
    monkeypatch.setattr("skrep.engine.Net.fit_loop", lambda *args, **options: pytest.fail("it trained"))
    with pytest.raises(ValueError, match="layer=5"):
        MaskedLMTransformer(8, layer=5).fit(TEXTS)
