"""Pieces of words, by Hugging Face's ``tokenizers`` (an optional dependency)."""

import functools
import itertools
import json
import os
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from skrep.params import Integer, check_params, param, params
from skrep.text.reading import require_documents

__all__ = ["SubwordTokenizer", "require_tokenizer", "split_with", "takes_batches", "tokenizers_library"]


# Letters of a word from which on WordPiece calls it unknown.
LONGEST_WORD = 100


def takes_batches(tokenizer: Any) -> bool:
    """Whether it is one of that library's tokenizers, or ours."""
    return hasattr(tokenizer, "encode_batch")


def require_tokenizer(tokenizer: Any) -> None:
    """Raise ValueError for a parameter that cannot cut texts; None can."""
    if tokenizer is not None and not callable(tokenizer) and not takes_batches(tokenizer):
        raise ValueError(
            f"tokenizer={tokenizer!r:.60}: expected a function of a text, a SubwordTokenizer or a tokenizer of Hugging "
            "Face's tokenizers."
        )


def split_with(tokenizer: Any, texts: list[str]) -> list[list[str]]:
    """Pieces of each text; special tokens, such as [CLS], are not added."""
    valid = [_valid(text) for text in texts]
    return [encoding.tokens for encoding in tokenizer.encode_batch(valid, add_special_tokens=False)]


def _checked(i: int, text: Any) -> str:
    if not isinstance(text, str):
        raise ValueError(f"text {i} is {text!r:.40} ({type(text).__name__}); expected a text.")
    return _valid(text)


def _valid(text: str) -> str:
    """The text with lone surrogates, which are not UTF-8, replaced."""
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def tokenizers_library() -> Any:
    """Hugging Face's ``tokenizers``, or an ImportError that says how to get it."""
    try:
        import tokenizers
    except ImportError:
        raise ImportError("pieces of words need Hugging Face's tokenizers: pip install 'skrep[text]'.") from None
    return tokenizers


# Chinese characters, each a word for BERT, since no spaces say where words begin.
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]")

_SURROGATE = re.compile("[\ud800-\udfff]")


@functools.lru_cache(8)
def _from_json(text: str) -> Any:
    tokenizer = tokenizers_library().Tokenizer.from_str(text)
    tokenizer.no_truncation()  # some files ask for it; no text is cut without a word
    tokenizer.no_padding()
    return tokenizer


@params
class SubwordTokenizer(BaseEstimator):
    """Cut texts into words and pieces of words that occur often, so that no word is unknown.

    Hugging Face's ``tokenizers`` does the work, and learns the pieces from the texts of ``fit``. As the `tokenizer` of
    an encoder it is fitted with it.

    Parameters
    ----------
    model : {"wordpiece", "bpe", "byte_bpe"}, default="wordpiece"
        "bpe" joins the most frequent pairs of characters (Sennrich et al. 2016), "byte_bpe" of bytes, as GPT-2 does: it
        can say any text. "wordpiece" is BERT's, for which each Chinese character is a word.
    vocab_size : int, default=8000
        Pieces, at most.
    min_frequency : int, default=2
        How often a pair of pieces has to occur to become one.
    file : path-like or None, default=None
        A ``tokenizer.json``, which is used as it is; nothing is learned.

    Attributes
    ----------
    json_ : str
        The tokenizer as that library writes it.

    Raises
    ------
    ImportError
        In ``fit``, without ``tokenizers``.

    Examples
    --------
    >>> from skrep.text import SubwordTokenizer
    >>> tokenizer = SubwordTokenizer("bpe", vocab_size=40).fit(["low lower lowest"] * 9)
    >>> tokenizer.tokenize(["slow"])
    [['s', 'low']]
    """

    model: str = param("wordpiece", "bpe", "byte_bpe", default="wordpiece")
    vocab_size: int = param(Integer(low=1), default=8000)
    min_frequency: int = param(Integer(low=1), default=2)
    file: Any = param(str, os.PathLike, None, default=None)

    def fit(self, X: Iterable[str], y: Any = None) -> Self:
        """Learn the pieces.

        Parameters
        ----------
        X : iterable of str
            Texts; gone through once.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `file` is not a tokenizer's.
        """
        check_params(self)
        library = tokenizers_library()
        if self.file is not None:
            try:
                tokenizer = library.Tokenizer.from_file(str(Path(self.file)))
            except Exception as error:  # the library raises just that
                raise ValueError(f"file={str(self.file)!r} cannot be read as a tokenizer ({error}).") from None
        else:
            require_documents(X)
            readable = map(_checked, itertools.count(), X)
            if self.model == "wordpiece":
                self.json_ = self._wordpiece(library, readable)
                return self
            tokenizer, trainer = self._untrained(library)
            tokenizer.train_from_iterator(readable, trainer)
        self.json_ = tokenizer.to_str()
        return self

    def _wordpiece(self, library: Any, texts: Iterable[str]) -> str:
        """A tokenizer that is the same each time.

        The library would number letters within words in the order of hashes, which differ from process to process, and
        ties are broken by numbers. As special tokens they have theirs beforehand.
        """
        apart = (text if text.isascii() else _HAN.sub(r" \g<0> ", text) for text in texts)
        words = Counter(word for text in apart for word in text.split() if len(word) <= LONGEST_WORD)
        tokenizer, trainer = self._untrained(library)
        trainer.special_tokens = [
            "[UNK]",
            *(f"##{letter}" for letter in sorted({c for word in words for c in word[1:]})),
        ]
        tokenizer.train_from_iterator(
            itertools.chain.from_iterable(map(itertools.repeat, words, words.values())), trainer
        )
        state = json.loads(tokenizer.to_str())
        state["added_tokens"] = state["added_tokens"][:1]
        return json.dumps(state, ensure_ascii=False)

    def _untrained(self, library: Any) -> tuple[Any, Any]:
        options = {"vocab_size": self.vocab_size, "min_frequency": self.min_frequency, "show_progress": False}
        if self.model == "byte_bpe":
            tokenizer = library.Tokenizer(library.models.BPE())
            tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
            tokenizer.decoder = library.decoders.ByteLevel()
            alphabet = library.pre_tokenizers.ByteLevel.alphabet()
            return tokenizer, library.trainers.BpeTrainer(initial_alphabet=alphabet, **options)
        unknown = {"unk_token": "[UNK]"}
        tokenizer = library.Tokenizer(
            library.models.WordPiece(**unknown) if self.model == "wordpiece" else library.models.BPE(**unknown)
        )
        by_punctuation = library.pre_tokenizers.BertPreTokenizer()
        tokenizer.pre_tokenizer = by_punctuation
        kind = library.trainers.WordPieceTrainer if self.model == "wordpiece" else library.trainers.BpeTrainer
        if self.model == "wordpiece":
            by_character = library.pre_tokenizers.Split(library.Regex(_HAN.pattern), "isolated")
            tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence([by_character, by_punctuation])
            tokenizer.decoder = library.decoders.WordPiece()
        return tokenizer, kind(special_tokens=["[UNK]"], **options)

    def encode_batch(self, texts: list[str], add_special_tokens: bool = True) -> list[Any]:
        """What ``tokenizers.Tokenizer.encode_batch`` gives: with ids, pieces and places in the text.

        Parameters
        ----------
        texts : list of str
            Texts.
        add_special_tokens : bool, default=True
            Whether the tokenizer may add tokens such as [CLS].

        Returns
        -------
        list of tokenizers.Encoding
        """
        check_is_fitted(self)
        encodings: list[Any] = _from_json(self.json_).encode_batch(texts, add_special_tokens=add_special_tokens)
        return encodings

    def pieces(self) -> list[str]:
        """All pieces, in the order of their numbers; a number that stands for none has an empty one."""
        check_is_fitted(self)
        numbers: dict[str, int] = _from_json(self.json_).get_vocab(with_added_tokens=True)
        pieces = [""] * (max(numbers.values(), default=-1) + 1)
        for piece, number in numbers.items():
            pieces[number] = piece
        return pieces

    def tokenize(self, texts: list[str]) -> list[list[str]]:
        """Pieces of each text.

        Parameters
        ----------
        texts : list of str
            Texts.

        Returns
        -------
        list of list of str
        """
        require_documents(texts, "texts")
        return split_with(self, texts)
