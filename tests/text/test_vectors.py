"""Verbs of word vectors against plain loops and gensim's, files both ways, damaged files."""

import copy
import pickle
import random
import re
from itertools import chain, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from skrep.text import WordVectors

# Some differ in case alone, which upper() joins in odd ways too.
WORDS = [
    "King", "king", "KING", "queen", "Queen", "man", "Man", "woman", "paris", "Paris", "france", "groß", "GROSS",
    "İ", "\u0131", "i", "rome", "italy", "漢字", "😀", "don't", "New_York",
]  # fmt: skip


def make(seed=0, width=6, words=WORDS):
    return WordVectors(words, np.random.default_rng(seed).normal(size=(len(words), width)))


@pytest.fixture(scope="module")
def vectors():
    return make()


@pytest.fixture(scope="module")
def gensims(vectors):
    keyed = pytest.importorskip("gensim.models").KeyedVectors(6)
    keyed.add_vectors(vectors.words, vectors.vectors)
    return keyed


def same(got, expected):
    """The same words in the same order, and the same numbers to rounding."""
    assert [word for word, _ in got] == [word for word, _ in expected]
    np.testing.assert_allclose([value for _, value in got], [value for _, value in expected], rtol=1e-5, atol=1e-6)


# --- verbs against plain loops ----------------------------------------------------------------------------------------


def unit(vector):
    return np.asarray(vector, float) / np.linalg.norm(vector)


QUESTIONS = [
    ("king", ()),
    (["king"], ()),
    (["king", "woman"], ["man"]),
    (["king", "king", "rome"], ["man", "italy"]),
    ((), "paris"),
    ((), ["paris", "i"]),
]


def ranked(vectors, score, given, n_words):
    """All words but those in question, the best first."""
    scores = [(word, score(unit(vectors[word]))) for word in vectors.words[:n_words] if word not in given]
    return sorted(scores, key=lambda pair: -pair[1])


@pytest.mark.parametrize("restrict_vocab", [None, 10, 100, 0])
@pytest.mark.parametrize(("positive", "negative"), QUESTIONS)
def test_most_similar(vectors, positive, negative, restrict_vocab):
    plus, minus = ([given] if isinstance(given, str) else list(given) for given in (positive, negative))
    mean = unit(sum(unit(vectors[word]) for word in plus) - sum(unit(vectors[word]) for word in minus))
    expected = ranked(vectors, lambda u: u @ mean, plus + minus, restrict_vocab)
    for topn in (None, 3, 10, 1000, 1, 0):
        got = vectors.most_similar(positive, negative, topn=topn, restrict_vocab=restrict_vocab)
        same(got, expected[:topn])
    assert all(type(value) is float for _, value in got)


@pytest.mark.parametrize("restrict_vocab", [None, 10])
@pytest.mark.parametrize(("positive", "negative"), QUESTIONS)
def test_most_similar_by_products(vectors, positive, negative, restrict_vocab):
    plus, minus = ([given] if isinstance(given, str) else list(given) for given in (positive, negative))

    def score(u):
        shares = [[(1 + unit(vectors[word]) @ u) / 2 for word in words] for words in (plus, minus)]
        return np.prod(shares[0]) / np.prod(shares[1])

    expected = ranked(vectors, score, plus + minus, restrict_vocab)
    got = vectors.most_similar_cosmul(positive, negative, topn=5, restrict_vocab=restrict_vocab)
    assert [word for word, _ in got] == [word for word, _ in expected[:5]]
    np.testing.assert_allclose([v for _, v in got], [v for _, v in expected[:5]], rtol=1e-3)


@pytest.mark.parametrize("verb", ["most_similar", "most_similar_cosmul"])
def test_vectors_stand_for_words(vectors, verb):
    ask = getattr(vectors, verb)
    direction = 7 * vectors["king"]
    by_word = ask("king", topn=None)
    for positive in (direction, [direction], direction[None], direction.astype(np.float64)):
        got = ask(positive, topn=None)
        assert got[0][0] == "king"  # it is not known which word that is
        same(got[1:], by_word)
    by_both = ask(["king", "rome"], ["man"], topn=None)
    same([pair for pair in ask([direction, "rome"], ["man"], topn=None) if pair[0] != "king"], by_both)


@pytest.mark.parametrize("verb", ["most_similar", "most_similar_cosmul"])
def test_questions_without_an_answer(vectors, verb):
    ask = getattr(vectors, verb)
    for positive, negative in [("west", ()), (["king", "west"], ()), ("king", "west"), ((), ["west"])]:
        with pytest.raises(KeyError, match=r"'west'.*\b22\b"):
            ask(positive, negative)
    with pytest.raises(ValueError, match=r"positive.*negative"):
        ask()
    with pytest.raises(ValueError, match=r"positive.*negative"):
        ask([], [])


def test_similarity(vectors):
    for word, other in product(["king", "groß", "😀"], ["queen", "king"]):
        expected = unit(vectors[word]) @ unit(vectors[other])
        assert vectors.similarity(word, other) == pytest.approx(expected, abs=1e-6)
    assert type(vectors.similarity("king", "man")) is float
    with pytest.raises(KeyError, match="west"):
        vectors.similarity("king", "west")


@given(words=st.lists(st.sampled_from([*WORDS, "west"]), min_size=1, max_size=7))
def test_doesnt_match(words):
    vectors = make()
    known = [word for word in words if word in vectors]
    if not known:
        with pytest.raises(ValueError, match="words"):
            vectors.doesnt_match(words)
        return
    mean = np.mean([unit(vectors[word]) for word in known], axis=0)
    cosines = {word: unit(vectors[word]) @ mean for word in known}
    got = vectors.doesnt_match(iter(words))
    assert cosines[got] == pytest.approx(min(cosines.values()), abs=1e-6)


def test_zero_vectors():
    vectors = WordVectors(["zero", "one", "two"], np.array([[0, 0], [1, 0], [1, 1]]))
    assert vectors.similarity("zero", "one") == 0
    np.testing.assert_array_equal(vectors.unit_vectors[0], [0, 0])
    assert vectors.most_similar("one") == [("two", pytest.approx(0.5**0.5)), ("zero", 0.0)]
    assert vectors.most_similar("zero") == [("one", 0.0), ("two", 0.0)]
    assert np.isfinite([value for _, value in vectors.most_similar_cosmul(["one"], ["zero"])]).all()


def test_as_a_collection(vectors):
    assert len(vectors) == len(list(vectors)) == len(WORDS)
    assert list(vectors) == WORDS
    assert "king" in vectors
    assert "west" not in vectors
    assert 3 not in vectors
    np.testing.assert_array_equal(vectors["king"], vectors.vectors[1])
    np.testing.assert_array_equal(vectors[["queen", "king"]], vectors.vectors[[3, 1]])
    assert vectors[[]].shape == (0, 6)
    np.testing.assert_array_equal(vectors[np.str_("king")], vectors["king"])
    for word in ("west", ["king", "west"]):
        with pytest.raises(KeyError, match=r"'west'.*\b22\b"):
            vectors[word]
    assert repr(vectors) == "WordVectors(22 words, n_components=6)"
    assert vectors.vectors.dtype == np.float32
    assert make(words=[]).most_similar(np.ones(6)) == []


@pytest.mark.parametrize(
    ("words", "vectors", "counts", "message"),
    [
        (["a"], np.ones((2, 3)), None, r"\b1\b.*\bvectors\b.*\(2, 3\)"),
        (["a", "b"], np.ones(2), None, r"\b2\b.*\bvectors\b.*\(2,\)"),
        (["a", "b", "a"], np.ones((3, 1)), None, "'a'.*words"),
        (["a", 1], np.ones((2, 1)), None, r"\bwords\b.*\btexts\b"),
        (["a", None], np.ones((2, 1)), None, r"\bwords\b.*\btexts\b"),
        (["a", "b"], np.ones((2, 1)), [1], r"\b2\b.*\bcounts\b.*\(1,\)"),
        (["a"], np.ones((1, 1)), [[1]], r"\b1\b.*\bcounts\b.*\(1, 1\)"),
    ],
)
def test_words_and_vectors_that_do_not_fit(words, vectors, counts, message):
    with pytest.raises(ValueError, match=message):
        WordVectors(words, vectors, counts)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))])
@pytest.mark.parametrize("counts", [None, np.arange(len(WORDS))])
def test_copies(again, counts):
    vectors = WordVectors(WORDS, np.random.default_rng(0).normal(size=(len(WORDS), 6)), counts)
    before = vectors.most_similar("king")  # vectors of length 1 are not in the copy
    other = again(vectors)
    assert other.words == vectors.words
    assert other.index == vectors.index
    np.testing.assert_array_equal(other.vectors, vectors.vectors)
    if counts is None:
        assert other.counts is None
    else:
        np.testing.assert_array_equal(other.counts, counts)
    assert other.most_similar("king") == before


def test_a_damaged_pickle_is_an_error():
    state = make().__getstate__()
    for damage, message in (
        ({"words": WORDS[:-1]}, r"\b21\b.*\bvectors\b.*\(22, 6\)"),
        ({"words": ["king"] * 22}, "'king'.*words"),
        ({"counts": np.zeros(3, np.int64)}, r"\b22\b.*\bcounts\b.*\(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            WordVectors.__new__(WordVectors).__setstate__(state | damage)


# --- against human judgement ------------------------------------------------------------------------------------------

ASKED = product(["king", "Man", "rome", "west"], [*WORDS[8:14], "East"])
PAIRS = [(a, b, i * 7 % 11 / 2) for i, (a, b) in enumerate(ASKED)]


def test_word_pairs(vectors):
    expected = [(score, unit(vectors[a]) @ unit(vectors[b])) for a, b, score in PAIRS if a in vectors and b in vectors]
    pearson, spearman, oov_ratio = vectors.evaluate_word_pairs(PAIRS, case_insensitive=False)
    for got, measure in ((pearson, pearsonr), (spearman, spearmanr)):
        right = measure(*zip(*expected, strict=True))
        assert got.statistic == pytest.approx(right.statistic, abs=1e-6)
        assert got.pvalue == pytest.approx(right.pvalue, abs=1e-5)
    assert oov_ratio == pytest.approx(100 * (1 - len(expected) / len(PAIRS)))
    np.testing.assert_allclose(vectors.evaluate_word_pairs(iter(PAIRS), case_insensitive=False)[1], spearman)


def write_pairs(path, pairs):
    path.write_text("# a comment\n\n" + "".join(f"{a}\t{b}\t{score}\n" for a, b, score in pairs), encoding="utf8")
    return path


@pytest.mark.parametrize("case_insensitive", [True, False])
@pytest.mark.parametrize("restrict_vocab", [None, 300_000, 12])
def test_word_pairs_as_gensim_has_them(tmp_path, vectors, gensims, restrict_vocab, case_insensitive):
    path = write_pairs(tmp_path / "pairs.tsv", PAIRS)
    options = {"restrict_vocab": restrict_vocab, "case_insensitive": case_insensitive}
    got, expected = vectors.evaluate_word_pairs(path, **options), gensims.evaluate_word_pairs(str(path), **options)
    np.testing.assert_allclose(got[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(got[1], expected[1], atol=1e-5)
    assert got[2] == pytest.approx(expected[2])


def test_word_pairs_that_cannot_be_used(tmp_path, vectors):
    with pytest.raises(ValueError, match=r"\b2 pairs\b.*\b0\b.*\b22\b"):
        vectors.evaluate_word_pairs([("west", "king", 1), ("king", "east", 2)])
    with pytest.raises(ValueError, match=r"\b0 pairs\b.*\b0\b.*\b22\b"):
        vectors.evaluate_word_pairs([])
    for line in ("king queen 3", "king\tqueen", "king\tqueen\tmuch", "king\tqueen\t1\t2"):
        path = tmp_path / "pairs.tsv"
        path.write_text(f"# fine\nking\tman\t1\n{line}\n", encoding="utf8")
        with pytest.raises(ValueError, match=r"pairs\.tsv.*\bline 3\b.*number"):
            vectors.evaluate_word_pairs(path)


def some_questions(words, n, seed):
    draw = random.Random(seed)
    return [draw.sample(words, 4) if i % 5 else draw.choices(words, k=4) for i in range(n)]


def write_questions(path, sections):
    lines = []
    for name, questions in sections.items():
        lines += [f": {name}", *(" ".join(question) for question in questions), ""]
    path.write_text("\n".join(lines), encoding="utf8")
    return path


def answer(vectors, question, fold, n_words):
    """Whether the nearest word is the answer but for its case; None if it cannot be asked."""
    words = vectors.words[:n_words]
    first = {}
    for word in words:
        first.setdefault(fold(word), word)
    folded = [fold(word) for word in question]
    if not all(word in first for word in folded):
        return None
    a, b, c = (unit(vectors[first[word]]) for word in folded[:3])
    others = [word for word in words if fold(word) not in folded[:3]]
    best = max(others, key=lambda word: unit(vectors[word]) @ (b - a + c), default=None)
    return best is not None and fold(best) == folded[3]


SECTIONS = {"one": some_questions([*WORDS, "west"], 300, 0), "two words": some_questions(WORDS, 400, 1), "empty": []}


@pytest.mark.parametrize("case_insensitive", [True, False])
@pytest.mark.parametrize("restrict_vocab", [None, 300_000, 12])
def test_analogies(tmp_path, vectors, restrict_vocab, case_insensitive):
    path = write_questions(tmp_path / "questions.txt", SECTIONS)
    options = {"restrict_vocab": restrict_vocab, "case_insensitive": case_insensitive}
    score, sections = vectors.evaluate_word_analogies(path, **options)
    fold = str.upper if case_insensitive else str
    answers = [
        [
            is_right
            for question in questions
            if (is_right := answer(vectors, question, fold, restrict_vocab)) is not None
        ]
        for questions in SECTIONS.values()
    ]
    assert [section["section"] for section in sections] == [*SECTIONS, "Total accuracy"]
    everything = list(chain.from_iterable(answers))
    for section, right in zip(sections, [*answers, everything], strict=True):
        assert (len(section["correct"]), len(section["incorrect"])) == (sum(right), len(right) - sum(right))
    assert 0 < score < 1
    assert score == pytest.approx(np.mean(everything))
    asked = sections[-1]["correct"] + sections[-1]["incorrect"]
    assert {len(question) for question in asked} == {4}


@pytest.mark.parametrize("case_insensitive", [True, False])
@pytest.mark.parametrize("restrict_vocab", [None, 12])
def test_analogies_as_gensim_has_them(tmp_path, vectors, gensims, restrict_vocab, case_insensitive):
    path = write_questions(tmp_path / "questions.txt", SECTIONS)
    options = {"restrict_vocab": restrict_vocab, "case_insensitive": case_insensitive}
    score, sections = vectors.evaluate_word_analogies(path, **options)
    expected, theirs = gensims.evaluate_word_analogies(str(path), **options)
    assert score == pytest.approx(expected)
    fold = str.upper if case_insensitive else str
    for key in ("correct", "incorrect"):
        asked = [[tuple(map(fold, question)) for question in side[-1][key]] for side in (sections, theirs)]
        assert sorted(asked[0]) == sorted(asked[1])


def test_many_analogies_are_answered_in_parts(tmp_path, monkeypatch, vectors):
    path = write_questions(tmp_path / "questions.txt", SECTIONS)
    expected = vectors.evaluate_word_analogies(path)
    monkeypatch.setattr("skrep.text.vectors.QUESTIONS", 7)
    assert vectors.evaluate_word_analogies(path) == expected


def test_analogies_that_cannot_be_used(tmp_path, vectors):
    path = tmp_path / "questions.txt"
    for text, message in [
        (": a\nking man queen\n", r"questions\.txt.*\bline 2\b.*section"),
        ("king man queen woman\n", r"questions\.txt.*\bline 1\b.*section"),
        (": a\nking man queen west\n", r"\bquestion\b.*\bwords\b.*\b22\b"),
        ("", r"\bquestion\b.*\bwords\b.*\b22\b"),
    ]:
        path.write_text(text, encoding="utf8")
        with pytest.raises(ValueError, match=message):
            vectors.evaluate_word_analogies(path)


# --- gensim's verbs ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Call to deprecated:DeprecationWarning")  # gensim calls what it gave up itself
@pytest.mark.parametrize("restrict_vocab", [None, 10])
@pytest.mark.parametrize(("positive", "negative"), QUESTIONS)
def test_most_similar_as_gensim_has_it(vectors, gensims, positive, negative, restrict_vocab):
    options = {"positive": positive or None, "negative": negative or None, "restrict_vocab": restrict_vocab, "topn": 6}
    mine = {"positive": positive, "negative": negative, "restrict_vocab": restrict_vocab, "topn": 6}
    same(vectors.most_similar(**mine), gensims.most_similar(**options))
    if restrict_vocab is None and positive:  # which gensim asks for here, and looks among all words
        got, expected = vectors.most_similar_cosmul(**mine), gensims.most_similar_cosmul(**options)
        assert [word for word, _ in got] == [word for word, _ in expected]
        np.testing.assert_allclose([v for _, v in got], [v for _, v in expected], rtol=1e-3)


def test_other_verbs_as_gensim_has_them(vectors, gensims):
    draw = random.Random(0)
    for _ in range(50):
        words = draw.sample(WORDS, draw.randint(3, 8))  # two are as far from their mean
        assert vectors.doesnt_match(words) == gensims.doesnt_match(words)
        assert vectors.similarity(*words[:2]) == pytest.approx(gensims.similarity(*words[:2]), abs=1e-6)


# --- files ------------------------------------------------------------------------------------------------------------

ODD_WORDS = [
    "naïve", "e\u0301", "nul\0", "no\u00a0break", "\ufeffmark", "#", "1", "1.5", "\x1cseparator", "x" * 5000,
]  # fmt: skip


@pytest.fixture(params=[False, True], ids=["text", "binary"])
def binary(request):
    return request.param


def edge_values(words):
    """Vectors with numbers that are hard to write, and bytes that look like white space."""
    vectors = np.random.default_rng(0).normal(size=(len(words), 5)).astype(np.float32)
    tiny, huge = np.finfo(np.float32).tiny, np.finfo(np.float32).max
    vectors[0] = [0, -0.0, tiny, -huge, 1e-45]
    vectors[1] = np.frombuffer(b" \n \n\n\n\n\n    \r\n\r\n\0\0 \n", np.float32)
    return vectors


def test_files_come_back(tmp_path, binary):
    words = [*WORDS, *ODD_WORDS]
    vectors = WordVectors(words, edge_values(words))
    path = tmp_path / "vectors"
    vectors.save_word2vec_format(path, binary=binary)
    again = WordVectors.load_word2vec_format(path, binary=binary)
    assert again.words == words
    assert again.vectors.tobytes() == vectors.vectors.tobytes()
    assert again.counts is None
    for limit in (1, 3, len(words), len(words) + 9):
        some = WordVectors.load_word2vec_format(str(path), binary=binary, limit=limit)
        assert some.words == words[:limit]
        np.testing.assert_array_equal(some.vectors, vectors.vectors[:limit])


def test_gensim_reads_our_files(tmp_path, binary):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    words = [*WORDS, *ODD_WORDS]
    vectors = WordVectors(words, edge_values(words))
    path = tmp_path / "vectors"
    vectors.save_word2vec_format(path, binary=binary)
    for limit in (None, 4):
        theirs = keyed.load_word2vec_format(str(path), binary=binary, limit=limit)
        assert theirs.index_to_key == words[:limit]
        np.testing.assert_array_equal(theirs.vectors, vectors.vectors[:limit])


def test_we_read_gensims_files(tmp_path, binary):
    words = [*WORDS, *ODD_WORDS]
    theirs = pytest.importorskip("gensim.models").KeyedVectors(5)
    values = edge_values(words)
    theirs.add_vectors(words, values)
    path = tmp_path / "vectors"
    theirs.save_word2vec_format(str(path), binary=binary)
    read = WordVectors.load_word2vec_format(path, binary=binary)
    assert read.words == theirs.index_to_key
    np.testing.assert_array_equal(read.vectors, theirs.vectors)
    some = WordVectors.load_word2vec_format(path, binary=binary, limit=2)
    assert some.words == theirs.index_to_key[:2]


def test_files_of_glove_and_of_other_programs(tmp_path):
    path = tmp_path / "vectors"
    path.write_bytes(b"the 0.5 -1 2e-3\n, 1 2 3\ntwo words 4 5 6\n")
    vectors = WordVectors.load_word2vec_format(path)
    assert vectors.words == ["the", ",", "two words"]
    np.testing.assert_array_equal(vectors.vectors, np.array([[0.5, -1, 2e-3], [1, 2, 3], [4, 5, 6]], np.float32))
    assert WordVectors.load_word2vec_format(path, limit=2).words == ["the", ","]
    path.write_bytes(b"2 2\r\nthe 1 2 \r\nof 3 4 \r\n")  # as word2vec's program ends lines
    np.testing.assert_array_equal(WordVectors.load_word2vec_format(path)[["of", "the"]], [[3, 4], [1, 2]])
    values = np.arange(4, dtype="<f4").reshape(2, 2)
    path.write_bytes(b"2 2\nthe " + values[0].tobytes() + b"of " + values[1].tobytes())  # no line ends
    np.testing.assert_array_equal(WordVectors.load_word2vec_format(path, binary=True)[["the", "of"]], values)


@pytest.mark.parametrize("errors", ["ignore", "replace"])
def test_words_that_are_not_utf8(tmp_path, errors, binary):
    path = tmp_path / "vectors"
    values = np.ones(2, "<f4").tobytes() if binary else b"1 1"
    path.write_bytes(b"2 2\nfine " + values + b"\ngr\xf6\xdfer " + values + b"\n")
    words = WordVectors.load_word2vec_format(path, binary=binary, errors=errors).words
    assert words == ["fine", b"gr\xf6\xdfer".decode("utf8", errors)]
    with pytest.raises(ValueError, match=r"vectors.* (line 3|word 1)") as caught:
        WordVectors.load_word2vec_format(path, binary=binary)
    assert type(caught.value) is ValueError


@pytest.mark.parametrize("word", ["", "two words", "line\nend", "tab\t", "\r", "\u2028", "\x85", "\ud800"])
def test_words_that_cannot_be_written(tmp_path, word, binary):
    path = tmp_path / "vectors"
    with pytest.raises(ValueError, match=rf"{re.escape(repr(word))}.*word2vec"):
        make(words=["fine", word]).save_word2vec_format(path, binary=binary)
    assert not path.exists()


def test_truncated_files(tmp_path, binary):
    """Wherever a file ends early, but within its last number, that is an error."""
    path = tmp_path / "vectors"
    vectors = WordVectors(["first", "größer", "😀"], np.array([[1.25, -2.5], [3, 4], [5, 6.75]]))
    vectors.save_word2vec_format(path, binary=binary)
    whole = path.read_bytes()
    last = 1 if binary else len(b".75\n")  # of "6.75" a part is a number too
    for size in range(len(whole) - last):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="vectors") as caught:
            WordVectors.load_word2vec_format(path, binary=binary)
        assert type(caught.value) is ValueError
    path.write_bytes(whole[:-1])
    assert WordVectors.load_word2vec_format(path, binary=binary).words == vectors.words


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\0" * 50,
        b"2 2\n",
        b"1 2\nword 1 x\n",
        b"1 2\nword 1\n",
        b"1 2\nword\n",
        b"2 2\nword 1 2\nword 1 2\n",
        b"2 2\na 1 2\n\n",
        b"1 2\na 1 2\nb 3 4\n",
        b"a 1 2\nb 1\n",
        b"a 1 2\n\nb 1 2\n",
        b"99999999999999999999 9999999\na 1 2\n",
        b"1000000000 100000\na 1 2\n",
        b"1 0\na\n",
        b'{"a": [1, 2]}\n',
        b"PK\x03\x04 \xff\xfe\n\x00",
    ],
)
def test_files_of_other_kinds(tmp_path, content, binary):
    path = tmp_path / "vectors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"vectors|'word'.*\bwords\b") as caught:
        WordVectors.load_word2vec_format(path, binary=binary)
    assert type(caught.value) is ValueError


def test_the_other_format(tmp_path, binary):
    path = tmp_path / "vectors"
    make().save_word2vec_format(path, binary=binary)
    with pytest.raises(ValueError, match="vectors") as caught:
        WordVectors.load_word2vec_format(path, binary=not binary)
    assert type(caught.value) is ValueError


def test_limits(tmp_path, binary):
    path = tmp_path / "vectors"
    make().save_word2vec_format(path, binary=binary)
    for limit in (0, -1):
        with pytest.raises(ValueError, match=f"limit={limit}"):
            WordVectors.load_word2vec_format(path, binary=binary, limit=limit)


def test_a_file_that_is_not_there(tmp_path, binary):
    with pytest.raises(FileNotFoundError):
        WordVectors.load_word2vec_format(tmp_path / "none", binary=binary)
