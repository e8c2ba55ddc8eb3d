"""Texts and arguments that nobody would write: a defined result or one plain error, and the fitted state kept."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import skrep
from skrep.backbones import Transformer
from skrep.text import SubwordTokenizer
from tests.engine.test_training import weights
from tests.language.test_masked_lm import BERT, PAIRS, TEXTS, copied, quick
from tests.text.odd_texts import LONG, ODD_TEXTS

# --- texts that give a result ----------------------------------------------------------------------------------------

DEFINED = {
    **ODD_TEXTS,
    "names of special tokens": [
        "[CLS] tide [SEP] [MASK] [PAD] [UNK]",
        "<s> </s> <mask> <pad>",
        "[MASK]" * 50,
        "[mask]",
    ],
    "pieces": ["##tide ##", "# # ##a", "Ġtide Ċ"],
    "every code point": ["".join(map(chr, range(start, start + 256))) for start in range(0, 0x110000, 2**14)],
    "letters without a word": ["." * 10**4, "tide reef"],
}
MODELS = {"wordpiece": None, "byte_bpe": SubwordTokenizer("byte_bpe", vocab_size=300), "bpe": SubwordTokenizer("bpe")}
FITTED = {}


def fitted_once(model="wordpiece"):
    """Shared; what changes it works on a copy."""
    if model not in FITTED:
        FITTED[model] = quick(tokenizer=MODELS[model]).fit(TEXTS)
    return FITTED[model]


@pytest.mark.parametrize(
    "model", [pytest.param(name, marks=() if name == "wordpiece" else pytest.mark.exhaustive) for name in MODELS]
)
@pytest.mark.parametrize("case", DEFINED)
def test_odd_texts_have_features(case, model):
    texts = DEFINED[case]
    if model != "wordpiece":  # each letter is a token
        texts = [text.replace(LONG, LONG[: 10**4]) if isinstance(text, str) else text for text in texts]
    learned = copied(fitted_once(model))  # what was not seen in training
    vocabulary = list(learned.vocabulary_)
    for options in ({"pooling": "cls", "layer": "all"}, {"pooling": "mean", "layer": -1}):
        features = learned.set_params(**options).transform(texts)
        assert features.shape == (len(texts), learned.n_features_out_)
        assert np.isfinite(features).all()
        np.testing.assert_array_equal(learned.transform(texts[-1:])[0], features[-1])
    assert not np.isinf(learned.score(texts))
    learned.partial_fit(texts)
    assert np.isfinite(learned.transform(TEXTS)).all()
    assert learned.vocabulary_ == vocabulary


@pytest.mark.parametrize("case", [case for case in DEFINED if "million" not in case])
def test_odd_texts_can_be_learned_from(case, tmp_path):
    texts = DEFINED[case]
    for options in ({}, {"whole_words": True, "masking": "static"}):
        bert = quick(**options)
        features = bert.fit_transform(texts)
        assert features.shape == (len(texts), 8)
        assert np.isfinite(features).all()
        np.testing.assert_array_equal(bert.transform(texts), features)
        assert len({*bert.vocabulary_}) == len(bert.vocabulary_)
        assert [bert.vocabulary_[0], bert.vocabulary_[4]] == ["[PAD]", "[MASK]"]
        skrep.save(bert, tmp_path / "file")
        np.testing.assert_array_equal(skrep.load(tmp_path / "file").transform(texts), features)


def test_a_long_word_can_be_learned_from():
    bert = quick(max_length=128).fit(["x" * 10**4 + " tide", "tide"])
    assert np.isfinite(bert.transform(["tide", LONG[:200]])).all()


def test_lists_of_odd_words(tmp_path):
    lists = [["", " ", "a b", "\n", "\ud800", "\0", "\0\0"], ["", "\0", "a b"], [], ["[MASK]", "[CLS]", "[PAD]"]]
    bert = quick().fit(lists)
    features = bert.transform(lists)
    assert np.isfinite(features).all()
    assert {"", " ", "a b", "\0", "\0\0"} < {*bert.vocabulary_}
    assert len({*bert.vocabulary_}) == len(bert.vocabulary_)
    skrep.save(bert, tmp_path / "file")
    np.testing.assert_array_equal(skrep.load(tmp_path / "file").transform(lists), features)


@pytest.mark.parametrize("model", MODELS)
def test_documents_without_a_known_character(model):
    bert = fitted_once(model)
    features = bert.transform(["", " ", "\n\t", "\u3000\u00a0", "你好", "☃"])
    assert np.isfinite(features).all()
    assert features[0].any()  # the tokens that begin and end a sequence are there
    if model != "byte_bpe":
        np.testing.assert_array_equal(features[0], features[1])
        np.testing.assert_array_equal(features[0], features[2])
        assert bert.tokenize("你 ☃") == ["[CLS]", "[UNK]", "[UNK]", "[SEP]"]
    assert bert.transform([]).shape == (0, 8)
    assert bert.transform(np.empty((0, 2), object)).shape == (0, 8)


def test_names_of_special_tokens_in_texts_are_text():
    """Only ``fill_mask``, ``tokenize`` and ``attention`` read them."""
    bert = fitted_once("byte_bpe")
    for name in ("[CLS]", "[SEP]", "[MASK]", "[PAD]"):
        first, second = bert.transform([f"tide {name.lower()}", f"tide {name}"])
        np.testing.assert_array_equal(first, second)
        assert len(bert.tokenize(f"tide {name.lower()}")) > 5  # several pieces, none of them special
    assert bert.tokenize("tide[MASK]").count("[MASK]") == 1
    assert bert.tokenize("tide[CLS]").count("[CLS]") == 1


def test_a_text_of_nothing_but_masks_is_never_hidden():
    bert = quick().fit([["[MASK]"] * 9, ["tide", "[MASK]", "[SEP]"]])
    for tokens in bert.sample_views([["[MASK]"] * 9]):
        assert tokens == ["[CLS]", *["[MASK]"] * 9, "[SEP]"]
    assert np.isnan(bert.score([["[MASK]"]]))


@settings(max_examples=15)
@given(st.lists(st.one_of(st.text(), st.text("ab [MASK]\0\ud800"), st.sampled_from(["", "tide reef the"])), max_size=6))
def test_any_text(texts):
    for model in ("wordpiece", "byte_bpe"):
        bert = fitted_once(model)
        features = bert.transform(texts)
        assert features.shape == (len(texts), 8)
        assert np.isfinite(features).all()
        for text, row in zip(texts, features, strict=True):
            np.testing.assert_array_equal(bert.transform([text])[0], row)
        for text in texts:
            if len(text) < 8:
                shown = bert.tokenize(text)
                assert shown[0] == "[CLS]"
                assert shown[-1] == "[SEP]"
                assert shown.count("[MASK]") == text.count("[MASK]")
                assert np.isfinite(bert.attention(text)).all()


@given(st.lists(st.tuples(st.text(max_size=60), st.text(max_size=60)), min_size=1, max_size=4))
@settings(max_examples=10)
def test_any_pair(pairs):
    if "pairs" not in FITTED:
        FITTED["pairs"] = quick(backbone=BERT, tokenizer=SubwordTokenizer("byte_bpe", vocab_size=300)).fit(PAIRS)
    array = np.empty((len(pairs), 2), object)
    for i, pair in enumerate(pairs):
        array[i] = pair
    features = FITTED["pairs"].transform(array)
    assert np.isfinite(features).all()
    np.testing.assert_array_equal(FITTED["pairs"].transform(array[-1:])[0], features[-1])


# --- texts that are refused ------------------------------------------------------------------------------------------

REFUSED = {
    "a str": ("the tide", r"\bX\b.*\bstr\b"),
    "bytes": (b"the tide", r"\bX\b.*\bbytes\b"),
    "None": (None, r"\bX\b.*\bNoneType\b"),
    "a number": (5, r"\bX\b.*\bint\b"),
    "a dict": ({"a": 1}, r"\bX\b.*\bdict\b"),
    "a set": ({"a", "b"}, r"\bX\b.*\bset\b"),
    "a frame": (pd.DataFrame({"text": TEXTS}), r"DataFrame.*\(40, 1\).*df\['text'\]"),
    "a frame of three": (pd.DataFrame({"a": TEXTS, "b": TEXTS, "c": TEXTS}), r"shape \(40, 3\)"),
    "a frame of numbers": (pd.DataFrame({"a": [1, 2], "b": [3, 4]}), r"document 0\b(?:(?!list).)*\b1\b"),
    "a frame with a missing text": (pd.DataFrame({"a": ["x", "y"], "b": ["z", None]}), r"document 1\b.*\bnan\b"),
    "one axis too many": (np.array([["a"], ["b"]]), r"ndarray.*\(2, 1\).*X\[:, 0\]"),
    "three axes": (np.zeros((2, 2, 2)), r"ndarray.*\(2, 2, 2\)"),
    "None among them": ([*TEXTS, None], r"document 40\b.*None"),
    "None first": ([None, *TEXTS], r"document 0\b(?:(?!list).)*None"),
    "NaN": ([*TEXTS, float("nan")], r"document 40\b.*\bnan\b"),
    "NA": (pd.Series([*TEXTS, pd.NA], dtype=object), r"document 40\b.*\bNA\b"),
    "NaT": ([*TEXTS, pd.NaT], r"document 40\b.*\bNaT\b"),
    "numbers": ([1, 2, 3], r"document 0\b(?:(?!list).)*\b1\b"),
    "a number among them": ([*TEXTS, 1.5], r"document 40\b.*\b1\.5\b"),
    "rows of numbers": (np.zeros((3, 4)), r"ndarray.*\(3, 4\).*[Nn]umbers"),
    "pairs of numbers": (np.zeros((3, 2)), r"document 0\b.*\b0\.0\b"),
    "lists of numbers": ([[1, 2], [3]], r"document 0\b.*\blist\b.*\b1\b"),
    "lists with None": ([["a", None]], r"document 0\b.*\blist\b.*None"),
    "lists of lists": ([[["a"]]], r"document 0\b.*\blist\b.*\['a'\]"),
    "texts and lists": (["c", ["a", "b"]], r"document 1\b(?:(?!text).)*\blist\b.*\btexts\b"),
    "bytes that are no text": ([b"\xff\xfe\xfa"], r"document 0\b.*utf-8"),
    "tensors": ([torch.ones(3)], r"document 0\b.*Tensor"),
    "series": ([pd.Series(["a", "b"])], r"document 0\b.*Series"),
    "dicts": ([{"text": "a"}], r"document 0\b.*\bdict\b"),
    "objects": ([object()], r"document 0\b.*\bobject\b"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_text_is_refused(case):
    X, message = REFUSED[case]
    fitted = copied(fitted_once())
    before, state = weights(fitted).clone(), set(vars(fitted))
    fresh = quick()
    for call in (fresh.fit, fresh.fit_transform, fresh.partial_fit, fitted.transform, fitted.score, fitted.fit,
                 fitted.partial_fit, fitted.sample_views):  # fmt: skip
        with pytest.raises(ValueError, match=message) as caught:
            call(X)
        assert type(caught.value) is ValueError
        assert "\n" not in str(caught.value).strip()
        assert len(str(caught.value)) < 400
    assert not [name for name in vars(fresh) if name.endswith("_")]
    assert set(vars(fitted)) == state
    assert torch.equal(weights(fitted), before)


@pytest.mark.parametrize(
    "X", [[], np.array([], str), pd.Series([], dtype=object), np.empty((0, 2), object), ()], ids=repr
)
def test_no_documents_at_all_is_told(X):
    for call in ("fit", "fit_transform", "partial_fit"):
        with pytest.raises(ValueError, match=r"\bX\b.*documents.*MaskedLMTransformer"):
            getattr(quick(backbone=BERT), call)(X)


@pytest.mark.parametrize("texts", [[""], ["", " ", "\n"], ["\u3000"]], ids=repr)
@pytest.mark.parametrize("options", [{}, {"masking": "static"}, {"tokenizer": str.split}], ids=str)
def test_nothing_to_learn_from_is_defined(texts, options):
    bert = quick(**options, embeddings="random").fit(texts)
    features = bert.transform([*texts, "tide"])
    assert features.shape == (len(texts) + 1, 8)
    assert np.isfinite(features).all()
    assert np.isnan(bert.score(texts))
    assert np.isfinite(bert.partial_fit(texts).transform(texts)).all()


# --- arguments -------------------------------------------------------------------------------------------------------


def test_parameters_that_were_changed_after_fit():
    fitted = fitted_once()
    for change in ({"max_length": 8}, {"max_length": 10**6}, {"n_components": 3}, {"backbone": Transformer(n_layers=5)},
                   {"tokenizer": str.split}, {"vocab_size": 1}, {"mask_fraction": 1.0}, {"masking": "static"},
                   {"next_sentence": True}, {"init": "nowhere"}, {"unlabeled": ["a"]}, {"random_state": 5},
                   {"lowercase": False}, {"batch_size": 1}):  # fmt: skip
        bert = copied(fitted).set_params(**change)
        np.testing.assert_array_equal(bert.transform(TEXTS), fitted.transform(TEXTS))
    for change in ({"pooling": "median"}, {"layer": 99}, {"layer": "last"}, {"mask_fraction": 2}):
        with pytest.raises(ValueError, match="{}={!r}".format(*next(iter(change.items())))):
            copied(fitted).set_params(**change).transform(TEXTS)


def test_masks_of_everything():
    bert = quick(mask_fraction=1).fit(TEXTS)
    assert np.isfinite(bert.score(TEXTS))
    assert bert.sample_views(["tide"])[0][1] in {*bert.vocabulary_}


def test_long_documents_with_sentence_ends_everywhere():
    bert = fitted_once()
    for text in ("." * 3000, "tide. " * 1000, "." * 22, "." * 23):
        assert np.isfinite(bert.transform([text])).all()
