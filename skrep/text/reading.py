"""What a user passes as documents: how it is read, checked and cut into words."""

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from skrep.params import param, params

__all__ = [
    "WORD_PATTERN",
    "DocumentInput",
    "TextInput",
    "TextLines",
    "is_iterator",
    "read_documents",
    "require_reiterable",
    "require_documents",
]

# Words of one character or more: CountVectorizer's has two, and so neither I nor a.
WORD_PATTERN = r"(?u)\b\w+\b"


@params(kw_only=True)
class DocumentInput:
    """How documents are read, with the parameters of scikit-learn's ``CountVectorizer``.

    Parameters
    ----------
    input : {"content", "filename", "file"}, default="content"
        What each item of X is: the document itself (text, bytes, or a list of its words), the name of a file that
        holds one, or an open file.
    encoding : str, default="utf-8"
        Of files and bytes.
    decode_error : {"strict", "ignore", "replace"}, default="strict"
        What to do about bytes that are no text in that encoding.
    strip_accents : {"ascii", "unicode"} or callable or None, default=None
        How accents are taken off letters; None leaves them.
    lowercase : bool, default=True
        Whether letters become small. (Lists of words are taken as they are.)
    preprocessor : callable or None, default=None
        A function of a text that returns a text, instead of the two above.
    """

    input: str = param("content", "filename", "file", trains=False, default="content")
    encoding: str = param(str, trains=False, default="utf-8")
    decode_error: str = param("strict", "ignore", "replace", trains=False, default="strict")
    strip_accents: Any = param("ascii", "unicode", callable, None, trains=False, default=None)
    lowercase: bool = param(bool, trains=False, default=True)
    preprocessor: Callable[[str], str] | None = param(callable, None, trains=False, default=None)

    # how texts are cut, where that is no parameter
    tokenizer: ClassVar[Any] = None
    stop_words: ClassVar[Any] = None
    token_pattern: ClassVar[str] = WORD_PATTERN
    analyzer: ClassVar[Any] = "word"

    def _vectorizer(self) -> CountVectorizer:
        """scikit-learn's own reader of these parameters; it decodes, prepares and cuts."""
        names = ("input", "encoding", "decode_error", "strip_accents", "lowercase", "preprocessor", "token_pattern")
        tokenizer = self.tokenizer if callable(self.tokenizer) else None
        stop_words = list(self.stop_words) if isinstance(self.stop_words, (tuple, set, frozenset)) else self.stop_words
        return CountVectorizer(
            **{name: getattr(self, name) for name in names},
            tokenizer=tokenizer,
            stop_words=stop_words,
            analyzer=self.analyzer,
        )


@params(kw_only=True)
class TextInput(DocumentInput):
    r"""How documents become words, with the parameters of scikit-learn's ``CountVectorizer``.

    Parameters
    ----------
    tokenizer : callable, SubwordTokenizer, tokenizers.Tokenizer or None, default=None
        A function of a text that returns its words; or pieces of words, from Hugging Face's ``tokenizers``. None takes
        `token_pattern`.
    stop_words : {"english"}, list of str or None, default=None
        Words that are left out.
    token_pattern : str, default="(?u)\\b\\w+\\b"
        A regular expression of what is a word. The default and ``CountVectorizer``'s ``r"(?u)\b\w\w+\b"`` are found in
        machine code, others by Python.
    analyzer : "word" or callable, default="word"
        A callable turns an item of X (as it is read) into a list of words, instead of all of the above.
    """

    tokenizer: Any = param(default=None)  # type: ignore[misc]
    stop_words: Any = param("english", list, tuple, set, frozenset, None, default=None)  # type: ignore[misc]
    token_pattern: str = param(str, default=WORD_PATTERN)  # type: ignore[misc]
    analyzer: Any = param("word", callable, default="word")  # type: ignore[misc]


class TextLines:
    r"""The lines of text files as documents, read anew each time: a corpus larger than memory.

    Parameters
    ----------
    paths : path-like or list of path-like
        Files, in their order; those that end in .gz, .bz2 or .xz are unpacked as they are read.
    encoding : str, default="utf-8"
        Of the files.
    errors : {"strict", "ignore", "replace"}, default="strict"
        What to do about bytes that are no text in that encoding.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from skrep.text import TextLines
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "corpus.txt"
    >>> _ = path.write_text("one document\nand another\n")
    >>> list(TextLines(path))
    ['one document', 'and another']
    """

    def __init__(self, paths: Any, encoding: str = "utf-8", errors: str = "strict"):
        single = isinstance(paths, (str, os.PathLike))
        self.paths = [Path(path) for path in ([paths] if single else paths)]
        self.encoding, self.errors = encoding, errors
        for path in self.paths:
            if not path.is_file():
                raise FileNotFoundError(f"{path} is not a file. Check the path.")

    def __iter__(self) -> Iterator[str]:
        openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
        for path in self.paths:
            opener = openers.get(path.suffix, open)
            with opener(path, "rt", encoding=self.encoding, errors=self.errors, newline="\n") as lines:
                for line in lines:
                    yield line.rstrip("\r\n")

    def __repr__(self) -> str:
        return f"TextLines({', '.join(map(str, self.paths))})"


def read_documents(texts: DocumentInput, X: Any) -> Iterator[Any]:
    """Each document, as text or as a list of words; one that is neither is an error.

    Parameters
    ----------
    texts : DocumentInput
        How items are read.
    X : iterable
        The items.
    """
    require_documents(X)
    decode = texts._vectorizer().decode
    kind: type | None = None
    for i, item in enumerate(X):
        document = _read(item, i, decode, texts)
        if kind is None:
            kind = type(document)
        elif type(document) is not kind:
            raise ValueError(
                f"document {i} is a {_named(document)}; expected a {_named(kind())}, as the documents before it. Pass "
                "texts, or lists of words, throughout."
            )
        yield document


def _named(document: Any) -> str:
    return "list of words" if isinstance(document, list) else "text"


def require_documents(X: Any, name: str = "X") -> None:
    """Raise ValueError for what cannot be a collection of documents; `name` is what the message calls it."""
    expected = "expected an iterable of documents, each a text or a list of words"
    if isinstance(X, os.PathLike):
        raise ValueError(
            f"{name} is a {type(X).__name__}; {expected}. skrep.text.TextLines({str(X)!r}) reads the lines of a file."
        )
    if isinstance(X, (str, bytes)):
        raise ValueError(f"{name} is a single {type(X).__name__}; {expected}. Pass a list of one, [text].")
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) != 1:
        fix = "Pass one column, such as " + ("df['text']." if hasattr(X, "columns") else f"{name}[:, 0].")
        if getattr(getattr(X, "dtype", None), "kind", "O") in "biufc":
            fix = "Numbers and images are for others, such as AutoEncoderTransformer."
        raise ValueError(f"{name} is a {type(X).__name__} of shape {tuple(shape)}; {expected}. {fix}")
    if isinstance(X, (Mapping, Set)) or not hasattr(X, "__iter__"):
        raise ValueError(f"{name} is a {type(X).__name__}; {expected}. Pass a list.")


def require_reiterable(documents: Any, name: str) -> None:
    """Raise ValueError unless these are documents that each fit can go through; `name` is that of the parameter."""
    require_documents(documents, name)
    if is_iterator(documents):
        raise ValueError(
            f"{name} is a one-shot iterator: another fit would find it empty. Pass a list or skrep.text.TextLines."
        )


def is_iterator(documents: Any) -> bool:
    """Whether documents can be gone through only once."""
    return iter(documents) is documents


def _read(item: Any, i: int, decode: Callable[[Any], str], texts: DocumentInput) -> Any:
    if texts.input == "content":
        if isinstance(item, str):
            return str(item)
        if isinstance(item, (list, tuple)) or (isinstance(item, np.ndarray) and item.ndim == 1):
            words = list(item)
            for word in words:
                if not isinstance(word, str):
                    raise ValueError(
                        f"document {i} is a list that holds {_shown(word)} ({type(word).__name__}); expected words. "
                        "Turn it into text with str()."
                    )
            return words
    elif texts.input == "filename" and not isinstance(item, (str, os.PathLike)):
        raise ValueError(f"item {i} is {_shown(item)} ({type(item).__name__}); input='filename' expects paths.")
    elif texts.input == "file" and not hasattr(item, "read"):
        raise ValueError(f"item {i} is {_shown(item)} ({type(item).__name__}); input='file' expects open files.")
    if texts.input != "content" or isinstance(item, bytes):
        try:
            return decode(item)
        except UnicodeDecodeError as error:
            raise ValueError(
                f"document {i} is not text in {texts.encoding} ({error.reason} at byte {error.start}). Name its "
                "encoding, or pass decode_error='replace'."
            ) from None
    is_nan = isinstance(item, (float, np.floating)) and item != item
    missing = item is None or is_nan or type(item).__name__ in ("NAType", "NaTType")
    fix = "Put '' where a text is missing, as X.fillna('') does." if missing else "Turn it into text with str()."
    raise ValueError(
        f"document {i} is {_shown(item)} ({type(item).__name__}); expected a text or a list of words. {fix}"
    )


def _shown(item: Any) -> str:
    """What an item looks like, on one line."""
    return " ".join(repr(item).split())[:40]
