"""Pieces of words that Hugging Face's tokenizers learns or is given."""

import pickle
import sys

import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skrep.text import SubwordTokenizer, TextInput, tokenise

tokenizers = pytest.importorskip("tokenizers")

MODELS = ["wordpiece", "bpe", "byte_bpe"]
TEXTS = ["low lower lowest", "new newer newest", "a slow widow, won't she?", "größer groß größte"] * 3

# What stands before a piece that begins, or goes on within, a word.
UNMARKED = {"wordpiece": "##", "bpe": "", "byte_bpe": "Ġ"}


def fitted(model="wordpiece", texts=TEXTS, **options):
    return SubwordTokenizer(model, **{"vocab_size": 300, "min_frequency": 2} | options).fit(texts)


def said(tokenised):
    starts = [0, *tokenised.stream.ends]
    tokens = tokenised.stream.tokens(0, len(tokenised.stream))
    words = [tokenised.words[number] if number >= 0 else None for number in tokens]
    return [words[a:b] for a, b in zip(starts, tokenised.stream.ends, strict=False)]


@pytest.mark.parametrize("model", MODELS)
def test_pieces_make_up_the_text(model):
    """Also of words that were never seen, as long as their letters were."""
    tokenizer = fitted(model)
    texts = ["slowest widower", "lowlow", "größt", "newest"]
    for text, pieces in zip(texts, tokenizer.tokenize(texts), strict=True):
        library = tokenizers.Tokenizer.from_str(tokenizer.json_)
        joined = "".join(pieces).replace(UNMARKED[model], "") if UNMARKED[model] else "".join(pieces)
        if model == "byte_bpe":
            joined = library.decode(library.encode(text).ids).replace(" ", "")
        assert joined == text.replace(" ", "")
        assert len(pieces) < len(text.replace(" ", ""))  # longer ones than letters were learned
    assert tokenizer.tokenize([]) == []
    assert tokenizer.tokenize([""]) == [[]]


@pytest.mark.parametrize("model", MODELS)
def test_sizes(model):
    sizes = [
        tokenizers.Tokenizer.from_str(fitted(model, vocab_size=size).json_).get_vocab_size() for size in (260, 270)
    ]
    assert sizes[0] <= 260
    assert sizes[0] <= sizes[1] <= 270
    rare = fitted(model, min_frequency=100)
    assert max(len(piece.replace(UNMARKED[model], "")) for piece in rare.tokenize(["lower"])[0]) == 1
    assert len(fitted(model).tokenize(["lower"])[0]) < 5


def test_chinese_characters_are_words_to_wordpiece():
    texts = ["今天天气很好,我们去看low潮" + "今天" * 60, "lower lowest"] * 3
    pieces = fitted(texts=texts).tokenize([texts[0][:18], "lowest潮", "かな漢字"])
    assert pieces[0] == [*"今天天气很好,我们去看", "low", "潮", "今", "天", "今"]
    assert pieces[1] == ["lowest", "潮"]
    assert pieces[2] == ["[UNK]", "[UNK]", "[UNK]"]  # never seen


def test_bytes_say_any_text():
    tokenizer = fitted("byte_bpe")
    library = tokenizers.Tokenizer.from_str(tokenizer.json_)
    text = "😀 漢字\0\n\tZ\u0335"
    assert library.decode(library.encode(text).ids) == text
    assert tokenizer.tokenize([text])[0] == library.encode(text).tokens


@pytest.mark.parametrize("model", ["wordpiece", "bpe"])
def test_letters_that_were_never_seen_are_unknown(model):
    assert fitted(model).tokenize(["漢 low"])[0][0] == "[UNK]"
    assert SubwordTokenizer(model).fit([]).tokenize(["low"])[0][0] == "[UNK]"


@pytest.mark.parametrize("model", MODELS)
def test_the_same_texts_give_the_same_pieces(model):
    first = fitted(model).json_
    assert fitted(model, texts=iter(TEXTS)).json_ == first
    assert len({fitted(model).json_ for _ in range(4)}) == 1  # its tables hash anew each time


def test_a_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    learned = fitted("bpe")
    path.write_text(learned.json_, encoding="utf8")
    for file in (path, str(path)):
        given = SubwordTokenizer(file=file).fit(iter(["texts that", "are not read"]))
        assert given.tokenize(TEXTS) == learned.tokenize(TEXTS)
    for content in ("", "{}", "[1]", "no json"):
        path.write_text(content, encoding="utf8")
        with pytest.raises(ValueError, match=r"file='.*tokenizer\.json'"):
            SubwordTokenizer(file=path).fit(TEXTS)
    with pytest.raises(ValueError, match=r"file='.*none\.json'"):
        SubwordTokenizer(file=tmp_path / "none.json").fit(TEXTS)


def test_special_tokens_are_not_words():
    """BERT's [CLS] and [SEP], which its tokenizer puts around texts."""
    library = tokenizers.Tokenizer.from_str(fitted().json_)
    library.add_special_tokens(["[CLS]", "[SEP]"])
    pairs = [(token, library.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    library.post_processor = tokenizers.processors.BertProcessing(pairs[1], pairs[0])
    assert library.encode("low").tokens == ["[CLS]", "low", "[SEP]"]
    assert said(tokenise(TextInput(tokenizer=library), ["low", ""])) == [["low"], []]
    ours = SubwordTokenizer(file=None)
    ours.json_ = library.to_str()
    assert ours.tokenize(["low"]) == [["low"]]
    assert [encoding.tokens for encoding in ours.encode_batch(["low"])] == [["[CLS]", "low", "[SEP]"]]


@pytest.mark.parametrize("model", MODELS)
def test_documents_as_pieces(model):
    tokenizer = fitted(model)
    library = tokenizers.Tokenizer.from_str(tokenizer.json_)
    texts = ["Slow WIDOW", "", "größer low"]
    for cut in (tokenizer, library):
        for texts_input in (TextInput(tokenizer=cut), TextInput()):
            pieces = said(tokenise(texts_input, texts, tokenizer=cut))
            assert pieces == tokenizer.tokenize([text.lower() for text in texts])
    assert said(tokenise(TextInput(tokenizer=tokenizer, lowercase=False), texts)) == tokenizer.tokenize(texts)
    known = ["low"]
    expected = [[piece if piece in known else None for piece in document] for document in pieces]
    assert said(tokenise(TextInput(tokenizer=tokenizer), texts, known, grow=False)) == expected


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("text", ["\ud800", "low \udfff lower"])
def test_lone_surrogates(model, text):
    """They are no text in UTF-8, in which the library works; each is as a letter that is not there."""
    for texts in ([text], ["low", text]):
        pieces = fitted(model, texts=[*TEXTS, *texts]).tokenize([*texts, "low"])
        assert pieces[-1] == fitted(model).tokenize(["low"])[0]
        assert len(pieces) == len(texts) + 1
    assert len(said(tokenise(TextInput(tokenizer=fitted(model)), [text, "low"]))) == 2


@pytest.mark.parametrize("text", ["nul\0 low", "low" * 50_000, "😀", " \n\t "])
@pytest.mark.parametrize("model", MODELS)
def test_hostile_texts(model, text):
    pieces = fitted(model).tokenize([text, "low"])
    assert len(pieces) == 2
    assert pieces[1] == fitted(model).tokenize(["low"])[0]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a single text", r"\bX\b.*\bstr\b"),
        (b"bytes", r"\bX\b.*\bbytes\b"),
        ([1, 2], r"text 0\b.*\b1\b"),
        (["text", None], r"text 1\b.*None"),
        ([["a", "list"]], r"text 0\b.*\['a', 'list'\]"),
        (5, r"\bX\b.*\bint\b"),
    ],
    ids=repr,
)
def test_what_is_no_texts(texts, message):
    with pytest.raises(ValueError, match=message):
        SubwordTokenizer().fit(texts)


def test_one_text_is_not_cut():
    with pytest.raises(ValueError, match=r"\btexts\b.*\bstr\b"):
        fitted().tokenize("low lower")


@pytest.mark.parametrize(
    "options", [{"model": "unigram"}, {"vocab_size": 0}, {"min_frequency": 0}, {"file": 3}], ids=str
)
def test_parameters(options):
    with pytest.raises(ValueError, match="{}={!r}".format(*next(iter(options.items())))):
        SubwordTokenizer(**options).fit(TEXTS)


def test_before_fit_and_after():
    tokenizer = SubwordTokenizer(vocab_size=50)
    with pytest.raises(NotFittedError):
        tokenizer.tokenize(["low"])
    assert tokenizer.fit(TEXTS) is tokenizer
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again.json_ == tokenizer.json_
    assert again.tokenize(TEXTS) == tokenizer.tokenize(TEXTS)
    assert not hasattr(clone(tokenizer), "json_")
    assert clone(tokenizer).get_params() == {"file": None, "min_frequency": 2, "model": "wordpiece", "vocab_size": 50}
    first = tokenizer.json_
    assert tokenizer.fit(["other texts"] * 5).json_ != first


def test_without_the_library(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"pip install 'skrep\[text\]'"):
        SubwordTokenizer().fit(TEXTS)
