"""Texts as numbered words: machine code against ``re``, and every way to cut against the same plain loop."""

import importlib
import re
import threading

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from skrep.text import WORD_PATTERN, TextInput, code_points, tokenise
from tests.naming import named

module = importlib.import_module("skrep.text.tokenise")  # of which the package shows the function alone

TWO_LETTERS = r"(?u)\b\w\w+\b"

HOSTILE = [
    "",
    " \t\r\n",
    "Don't stop",
    "The THE the",
    "a_b _ __ 1_000 x2",
    "nul\0in\0side \0",
    "lone \ud800 surrogate\udfffs \udc00\ud800",
    "😀😃 a😀b ❤️ 👩‍👩‍👧 🇩🇪",
    "mixed Кириллица 漢字かな العَرَبِيَّة हिन्दी ไทย",
    "e\u0301 cafe\u0301s Z\u0335a\u0336lgo \u0300alone",
    "İstanbul DİYARBAKIR \u017f ẞ ß ǅ ﬁ",
    "½ ² ٣ Ⅷ ㊿ \U0001d7d8 \U0001d49c",
    "soft\u00adhyphen zero\u200bwidth no\u00a0break \ufeffbom",
    "line\u2028separator next\x85line",
    "x" * 2**20,
    "\U0010ffff\ue000",
]

# Letters of a few scripts and what is none, so that words come again and runs end everywhere.
LETTERS = st.sampled_from("aAbB_1İß\u017fé\u0301\u0300漢😀\0\ud800\udfff' -\n\u00ad\u200b½٣")
TEXTS = st.lists(st.text(LETTERS, max_size=20) | st.text(st.characters(), max_size=20), max_size=12)


def naive(texts, pattern=WORD_PATTERN, known=(), grow=True, cut=None):
    """Each document as words, and all words in the order in which they come; None is a word without a number."""
    words = dict.fromkeys(known)
    documents = []
    for text in texts:
        found = cut(text) if cut else re.findall(pattern, text.lower())
        if grow:
            words.update(dict.fromkeys(found))
        documents.append([word if word in words else None for word in found])
    return documents, list(words)


def said(tokenised):
    """The same of what was tokenised."""
    stream = tokenised.stream
    tokens = stream.tokens(0, len(stream))
    assert tokens.dtype == np.int32
    assert stream.ends.dtype == np.int64
    words = [tokenised.words[number] if number >= 0 else None for number in tokens]
    starts = np.append(0, stream.ends)
    return [words[a:b] for a, b in zip(starts, stream.ends, strict=False)], tokenised.words


@pytest.mark.parametrize("pattern", [WORD_PATTERN, r"\b\w+\b", TWO_LETTERS, r"\b\w\w+\b"])
@given(texts=TEXTS)
def test_machine_code_finds_what_re_finds(pattern, texts):
    assert pattern in module._COMPILED
    assert said(tokenise(TextInput(token_pattern=pattern), texts)) == naive(texts, pattern)


@pytest.mark.parametrize("pattern", [WORD_PATTERN, TWO_LETTERS])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_hostile_texts(monkeypatch, pattern, n_jobs):
    monkeypatch.setattr(module, "BLOCK", 16)
    assert said(tokenise(TextInput(token_pattern=pattern), HOSTILE, n_jobs=n_jobs)) == naive(HOSTILE, pattern)


def test_every_code_point_is_in_words_where_re_says_so():
    in_words = [i for i in range(0x110000) if re.match(r"\w", chr(i))]
    text = " ".join(map(chr, range(0x110000)))
    ((found,), _) = said(tokenise(TextInput(token_pattern=WORD_PATTERN, lowercase=False), [text]))
    assert found == list(map(chr, in_words))


@given(texts=TEXTS, known=st.lists(st.text(LETTERS, max_size=4), max_size=8, unique=True), grow=st.booleans())
def test_known_words_keep_their_numbers(texts, known, grow):
    """Known words may be any text: other tokenizers find them."""
    assert said(tokenise(TextInput(), texts, known, grow=grow)) == naive(texts, known=known, grow=grow)


def test_a_known_word_may_be_empty():
    known = ["", "one", "two"]
    assert said(tokenise(TextInput(), ["two one three"], known, grow=False))[0] == [["two", "one", None]]
    assert said(tokenise(TextInput(), ["two three"], known)) == ([["two", "three"]], [*known, "three"])
    assert said(tokenise(TextInput(), [["two", "", "x"]], known, grow=False))[0] == [["two", "", None]]


@given(texts=TEXTS, block=st.integers(1, 40), n_jobs=st.sampled_from([1, 2, 3]))
def test_blocks_and_threads_change_nothing(texts, block, n_jobs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        assert said(tokenise(TextInput(), iter(texts), n_jobs=n_jobs)) == naive(texts)


def test_the_table_of_words_grows():
    """Hundreds of thousands of characters and words: every array has to be enlarged, more than once."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 60_000, 150_000)
    texts = [" ".join(f"word{n}" for n in part) for part in np.array_split(numbers, 50)]
    tokenised = tokenise(TextInput(), texts, n_jobs=2)
    assert said(tokenised) == naive(texts)
    assert len(tokenised.words) > 50_000


def test_words_whose_hashes_share_a_slot_are_told_apart():
    """The table has 2^13 slots at least: of 4000 words many meet, and each is found again."""
    words = [f"w{i}" for i in range(4000)]
    once = tokenise(TextInput(), [" ".join(words)])
    assert once.words == words
    again = tokenise(TextInput(), [" ".join(words[::-1])], words, grow=False)
    np.testing.assert_array_equal(again.stream.tokens(0, 4000), np.arange(4000)[::-1])


def test_a_million_documents_of_one_word():
    tokenised = tokenise(TextInput(), ("word" for _ in range(10**6)), n_jobs=2)
    assert tokenised.words == ["word"]
    np.testing.assert_array_equal(tokenised.stream.ends, np.arange(1, 10**6 + 1))
    assert not tokenised.stream.tokens(0, 10**6).any()


def test_nothing():
    for texts in [[], iter(()), np.empty(0, object)]:
        tokenised = tokenise(TextInput(), texts, ["known"])
        assert said(tokenised) == ([], ["known"])
    assert said(tokenise(TextInput(), ["", "..."])) == ([[], []], [])


# --- other ways to cut ------------------------------------------------------------------------------------------------


def shout(text):
    return text.upper()


def by_space(text):
    return text.split(" ")


@pytest.mark.parametrize(
    "options",
    [
        {"lowercase": False},
        {"strip_accents": "unicode"},
        {"strip_accents": "ascii"},
        {"preprocessor": shout},
        {"token_pattern": r"\w+'\w+|\w+"},
        {"token_pattern": r"(?:^|\s)(\w+)"},
        {"tokenizer": by_space},
        {"analyzer": by_space},
        {"tokenizer": by_space, "preprocessor": shout},
    ],
    ids=named,
)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_as_count_vectorizer_cuts(options, n_jobs):
    texts = HOSTILE[:-2]
    given = {"token_pattern": WORD_PATTERN} | options
    if callable(options.get("tokenizer")):
        given["token_pattern"] = None
    analyse = CountVectorizer(**given).build_analyzer()
    assert said(tokenise(TextInput(**options), texts, n_jobs=n_jobs)) == naive(texts, cut=analyse)
    known = ["the", "THE", "漢字かな"]
    got = said(tokenise(TextInput(**options), texts, known, grow=False, n_jobs=n_jobs))
    assert got == naive(texts, known=known, grow=False, cut=analyse)


def test_workers_cut_as_one_does(monkeypatch):
    """From some blocks on joblib's workers run functions of the user's; documents keep their order."""
    monkeypatch.setattr(module, "BLOCK", 8)
    monkeypatch.setattr(module, "MANY_BLOCKS", 2)
    texts = [f"document {i} of w{i % 7}" for i in range(40)]
    threads = set()

    def counted(text):
        threads.add(threading.get_ident())
        return by_space(text)

    with joblib.parallel_config(backend="threading"):
        tokenised = tokenise(TextInput(analyzer=counted), texts, n_jobs=2)
    assert said(tokenised) == naive(texts, cut=by_space)
    assert len(threads) > 1


def test_lists_are_taken_as_they_are():
    lists = [["The", "two words", "", "\ud800"], [], ("a", "The"), np.array(["x", "a"]), ["\0"]]
    expected = naive(lists, cut=lambda words: [str(word) for word in words])
    assert said(tokenise(TextInput(), lists)) == expected
    assert said(tokenise(TextInput(token_pattern=r"[a-z]", strip_accents="ascii"), lists)) == expected


@pytest.mark.parametrize("returned", [[1], ["a", None], [b"bytes"], [["nested"]]], ids=str)
@pytest.mark.parametrize("kind", ["tokenizer", "analyzer"])
def test_a_function_that_returns_no_words(kind, returned):
    with pytest.raises(ValueError, match=rf"tokenizer.*analyzer.*{re.escape(repr(returned[-1]))}.*words"):
        tokenise(TextInput(**{kind: lambda text: returned}), ["text"])


@given(texts=TEXTS)
def test_code_points(texts):
    characters, ends = code_points(texts)
    assert characters.dtype == np.uint32
    assert characters.tolist() == [ord(character) for text in texts for character in text]
    assert ends.tolist() == [sum(map(len, texts[: i + 1])) for i in range(len(texts))]
