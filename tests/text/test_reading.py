"""What users pass as documents: every kind is read, or is one clear error."""

import bz2
import gzip
import io
import lzma
import re
from collections import deque

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from skrep.text import TextInput, TextLines, read_documents, require_documents, tokenise

TEXTS = ["one text", "", "Größe 😀\n"]


def read(X, **options):
    return list(read_documents(TextInput(**options), X))


# --- collections ------------------------------------------------------------------------------------------------------

COLLECTIONS = {
    "list": list,
    "tuple": tuple,
    "deque": deque,
    "generator": lambda texts: (text for text in texts),
    "array": np.array,
    "object array": lambda texts: np.array(texts, object),
    "strings of numpy": lambda texts: np.array(texts, np.dtypes.StringDType()),
    "read-only array": lambda texts: np.broadcast_to(np.array(texts, object), len(texts)),
    "Series": lambda texts: pd.Series(texts, index=[7, 7, 2]),
    "Series of objects": lambda texts: pd.Series(texts, dtype=object),
    "Series of strings": lambda texts: pd.Series(texts, dtype="string"),
    "categorical Series": lambda texts: pd.Series(texts, dtype="category"),
    "Index": pd.Index,
    "values": lambda texts: dict(enumerate(texts)).values(),
    "map": lambda texts: map(str, texts),
}


@pytest.mark.parametrize("collection", COLLECTIONS.values(), ids=COLLECTIONS)
def test_collections(collection):
    documents = read(collection(TEXTS))
    assert documents == TEXTS
    assert {type(document) for document in documents} == {str}  # also of subclasses of it


def test_polars():
    polars = pytest.importorskip("polars")
    assert read(polars.Series(TEXTS)) == TEXTS
    with pytest.raises(ValueError, match=r"DataFrame.*\(3, 1\).*df\['text'\]"):
        read(polars.DataFrame({"text": TEXTS}))
    with pytest.raises(ValueError, match=r"document 1\b.*None.*fillna\(''\)"):
        read(polars.Series(["text", None]))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("one text", r"\bstr\b.*\[text\]"),
        (b"bytes", r"\bbytes\b"),
        (np.str_("text"), r"\bstr_"),
        (pd.DataFrame({"text": TEXTS}), r"DataFrame\b.*\(3, 1\).*df\['text'\]"),
        (np.array([TEXTS, TEXTS]), r"ndarray\b.*\(2, 3\).*\[:, 0\]"),
        (np.array("text"), r"ndarray\b.*\(\)"),
        ({"a": "text"}, r"\bdict\b.*\blist\b"),
        ({"text"}, r"\bset\b"),
        (frozenset(["text"]), r"\bfrozenset\b"),
        (None, r"\bNoneType\b"),
        (3, r"\bint\b"),
        (2.5, r"\bfloat\b"),
        (str.lower, r"\bmethod_descriptor\b"),
    ],
    ids=lambda value: value if isinstance(value, str) and "\\b" in value else "",
)
def test_what_is_no_collection(X, message):
    with pytest.raises(ValueError, match=rf"\bX\b.*{message}"):
        read(X)
    with pytest.raises(ValueError, match=rf"\bunlabeled\b.*{message}"):
        require_documents(X, "unlabeled")


def test_documents_are_read_one_by_one():
    """The first ones are there before the last ones are asked for."""

    def texts():
        yield "a"
        yield 5
        raise AssertionError("read too far")

    documents = read_documents(TextInput(), texts())
    assert next(documents) == "a"
    with pytest.raises(ValueError, match=r"document 1\b.*\b5\b"):
        next(documents)


# --- items ------------------------------------------------------------------------------------------------------------

MISSING = {"None": None, "nan": np.nan, "float32": np.float32("nan"), "NA": pd.NA, "NaT": pd.NaT}
NO_TEXT = {
    "int": 3,
    "float": 2.5,
    "bool": True,
    "numpy": np.int64(4),
    "set": {"a"},
    "dict": {"a": 1},
    "bytearray": bytearray(b"a"),
    "iterator": iter("ab"),
    "function": str.lower,
    "array of no dimension": np.array("text"),
    "Series": pd.Series(["a", "b"]),
    "DataFrame": pd.DataFrame({"a": ["b", "c"]}),
}


@pytest.mark.parametrize("before", [[], ["text"], [["a", "list"]]], ids=["first", "after a text", "after a list"])
@pytest.mark.parametrize("item", MISSING.values(), ids=MISSING)
def test_missing_items(item, before):
    with pytest.raises(ValueError, match=rf"document {len(before)}\b.*''.*fillna\(''\)"):
        read([*before, item])


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_missing_items_of_a_series(dtype):
    with pytest.raises(ValueError, match=r"document 1\b.*''.*fillna\(''\)"):
        read(pd.Series(["text", None], dtype=dtype))


@pytest.mark.parametrize("before", [[], ["text"]], ids=["first", "later"])
@pytest.mark.parametrize("item", NO_TEXT.values(), ids=NO_TEXT)
def test_items_that_are_no_text(item, before):
    with pytest.raises(
        ValueError, match=rf"(?s)document {len(before)}\b(?:(?!\blist\b).)*\b{type(item).__name__}\b.*\bstr\(\)"
    ):
        read([*before, item])


def test_a_long_item_does_not_fill_the_screen():
    with pytest.raises(ValueError, match=r"document 0\b(?:(?!\blist\b).)*\bset\b") as caught:
        read([set(range(10**5))])
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("words", [["a", "b"], ("a", "b"), np.array(["a", "b"]), np.array(["a", "b"], object)])
def test_lists_of_words(words):
    documents = read([words, [], words])
    assert documents == [["a", "b"], [], ["a", "b"]]
    assert {type(document) for document in documents} == {list}


@pytest.mark.parametrize("bad", [1, None, np.nan, pd.NA, b"bytes", ["nested"], 2.0, np.array(["a"])], ids=str)
def test_lists_of_what_is_no_word(bad):
    with pytest.raises(ValueError, match=rf"document 1\b.*\blist\b.*\b{type(bad).__name__}\b.*words.*\bstr\(\)"):
        read([["a"], ["a", bad]])


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["text", ["a", "list"]], r"document 1\b(?:(?!text).)*\blist\b.*\btexts\b"),
        ([["a", "list"], "text"], r"document 1\b(?:(?!list|\().)*\btext\b.*\blist\b"),
        ([["a"], ["b"], b"text"], r"document 2\b(?:(?!list|\().)*\btext\b.*\blist\b"),
        (["", []], r"document 1\b(?:(?!text).)*\blist\b.*\btexts\b"),
    ],
)
def test_texts_and_lists_do_not_mix(items, message):
    with pytest.raises(ValueError, match=message):
        read(items)
    with pytest.raises(ValueError, match=message):
        tokenise(TextInput(), items, n_jobs=2)


# --- bytes and files --------------------------------------------------------------------------------------------------


def test_bytes_are_decoded():
    assert read([text.encode() for text in TEXTS]) == TEXTS
    assert read(np.array(["one", "two"], "S")) == ["one", "two"]
    assert read(["text", "größer".encode("latin-1")], encoding="latin-1") == ["text", "größer"]
    assert read(["größer".encode("utf-16")], encoding="utf-16") == ["größer"]
    wrong = b"gr\xf6\xdfer"
    assert read([wrong], decode_error="ignore") == ["grer"]
    assert read([wrong], decode_error="replace") == ["gr\ufffd\ufffder"]
    with pytest.raises(ValueError, match=r"document 1\b.*utf-8.*invalid start byte.*\b2\b") as caught:
        read(["text", wrong])
    assert type(caught.value) is ValueError
    assert "decode_error='replace'" in str(caught.value)


@pytest.fixture
def paths(tmp_path):
    paths = [tmp_path / f"{i}.txt" for i in range(len(TEXTS))]
    for path, text in zip(paths, TEXTS, strict=True):
        path.write_bytes(text.encode())
    return paths


def test_file_names(paths):
    for X in (paths, [str(path) for path in paths], pd.Series([str(path) for path in paths]), iter(paths)):
        assert read(X, input="filename") == TEXTS
    wrong = paths[0].with_name("wrong.txt")
    wrong.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ValueError, match=r"document 1\b.*utf-8"):
        read([paths[0], wrong], input="filename")
    for item in (5, None, ["words"], b"bytes"):
        with pytest.raises(ValueError, match=rf"item 1\b.*\b{type(item).__name__}\b.*input='filename'"):
            read([paths[0], item], input="filename")
    with pytest.raises(FileNotFoundError):
        read([paths[0].with_name("none.txt")], input="filename")


def test_open_files(paths):
    with paths[0].open("rb") as first, paths[1].open(encoding="utf8") as second:
        assert read([first, second, io.StringIO(TEXTS[2])], input="file") == TEXTS
    with pytest.raises(ValueError, match=r"item 0\b.*\bstr\b.*input='file'"):
        read(["text"], input="file")


def test_what_is_read_is_what_count_vectorizer_reads(paths):
    for X, kind in ((TEXTS, "content"), (paths, "filename"), ([io.StringIO(text) for text in TEXTS], "file")):
        words = CountVectorizer(input=kind).fit(X).get_feature_names_out()
        for file in X if kind == "file" else ():
            file.seek(0)
        mine = tokenise(TextInput(input=kind, token_pattern=r"(?u)\b\w\w+\b"), X).words
        assert sorted(mine) == sorted(words)


OPENERS = {".txt": open, ".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}


@pytest.mark.parametrize("ending", OPENERS)
def test_lines_of_files(tmp_path, ending):
    path = tmp_path / f"corpus{ending}"
    with OPENERS[ending](path, "wb") as file:
        file.write("first\n\nGröße\u2028\x85 same line\r\nno end".encode())
    lines = TextLines(path)
    expected = ["first", "", "Größe\u2028\x85 same line", "no end"]
    assert list(lines) == expected
    assert list(lines) == expected  # read anew
    assert read(lines) == expected
    assert list(TextLines([str(path), path])) == 2 * expected
    assert path.name in repr(lines)


def test_lines_that_cannot_be_read(tmp_path):
    path = tmp_path / "corpus.txt"
    with pytest.raises(FileNotFoundError, match=r"corpus\.txt"):
        TextLines(path)
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path))):
        TextLines([tmp_path])
    path.write_bytes(b"good\ngr\xf6\xdfer\n")
    assert list(TextLines(path, encoding="latin-1")) == ["good", "größer"]
    assert list(TextLines(path, errors="replace")) == ["good", "gr\ufffd\ufffder"]
    with pytest.raises(ValueError, match="utf-8"):
        list(TextLines(path))
    assert list(TextLines([])) == []


def test_a_few_lines_leave_no_file_open(tmp_path):
    """Warnings are errors here, also that of a file that was left open."""
    path = tmp_path / "corpus.txt"
    path.write_text("one\ntwo\n", encoding="utf8")
    lines = iter(TextLines(path))
    assert next(lines) == "one"
    del lines
