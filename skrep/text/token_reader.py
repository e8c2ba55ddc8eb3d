"""Documents as numbered tokens: a vocabulary that is learned, and sequences that a transformer reads."""

import copy
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skrep.data import refuse_groups
from skrep.params import Integer, SharedRows, param, params
from skrep.text.reading import (
    DocumentInput,
    is_iterator,
    read_documents,
    require_documents,
    require_reiterable,
)
from skrep.text.sequences import SpecialTokens, TextSource
from skrep.text.stream import TokenStream
from skrep.text.subword_tokenizer import SubwordTokenizer, require_tokenizer
from skrep.text.tokenise import learned_tokenizer, tokenise

__all__ = ["CPU", "TokenReader"]

CPU = torch.device("cpu")

# Pieces in the vocabulary, where the user says nothing.
PIECES = 8000

# What ends a sentence.
SENTENCE_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f", "\u2026")  # of Chinese and Japanese too


@params(kw_only=True)
class TokenReader(SharedRows, DocumentInput):
    """What an estimator of documents learns of their tokens, and how it reads documents then.

    Parameters
    ----------
    tokenizer : SubwordTokenizer, tokenizers.Tokenizer, callable or None, default=None
        How texts are cut. None learns 8000 pieces of words: ``SubwordTokenizer("wordpiece")``. A callable of a text
        returns its words.
    vocab_size : int, default=8000
        Tokens in the vocabulary, at most, where documents are lists of words or `tokenizer` is a callable: the most
        frequent. (A SubwordTokenizer has its own.)
    max_length : int or None, default=None
        Most tokens in a sequence. Longer documents are cut into windows, at the end of a sentence where one is near,
        and no token is left out. None is 128.
    unlabeled : iterable of documents or None, default=None
        Further documents to learn from, beside those of ``fit``: in a Pipeline, those without labels.

    Attributes
    ----------
    vocabulary_ : list of str
        The tokens, by their numbers.
    tokenizer_ : SubwordTokenizer or None
        The fitted `tokenizer`, where that is one.
    """

    tokenizer: Any = param(trains=False, default=None)  # type: ignore[misc]
    vocab_size: int = param(Integer(low=1), trains=False, default=PIECES)
    max_length: int | None = param(Integer(low=8), None, default=None)
    unlabeled: Any = param(trains=False, default=None)

    def read(self, X: Any, y: Any = None, groups: Any = None, *, reset: bool) -> TextSource:
        """Hook: documents as sequences of tokens, and in ``fit`` the vocabulary."""
        refuse_groups(groups, type(self).__name__)
        if reset:
            require_tokenizer(self.tokenizer)
        more = None if self.unlabeled is None or not reset else _columns(self.unlabeled, "unlabeled")
        for documents in more or ():
            require_reiterable(documents, "unlabeled")
        columns = _columns(self._documents(X, reset=reset), "X")
        if more is not None and len(more) != len(columns):
            raise ValueError(
                f"unlabeled has {len(more)} text(s) a document, X has {len(columns)}. Pass pairs in both, or in none."
            )
        if reset:
            self._learn_tokens([*columns, *(more or ())])
        streams = [self._stream(column) for column in columns]
        if more is not None:
            streams = [stream.followed_by(self._stream(extra)) for stream, extra in zip(streams, more, strict=True)]
        first, second = streams[0], streams[1] if len(streams) > 1 else None
        if not first.n_documents and reset:
            raise ValueError(f"X has no documents; {type(self).__name__} needs some to learn from.")
        if second is not None and first.n_documents != second.n_documents:
            raise ValueError(f"{first.n_documents} first texts, but {second.n_documents} second ones.")
        return TextSource(first, second, self._special, self._length, self._ends_sentence())

    def _documents(self, X: Any, *, reset: bool) -> Any:
        """What X says, as an iterable of documents; `reset` is True in ``fit``."""
        return X

    def _learn_tokens(self, collections: list[Any]) -> None:
        """Set the vocabulary and all else that reading needs."""
        raise NotImplementedError

    def _reads_as(self) -> DocumentInput:
        """How documents become text."""
        return self

    def _set_length(self, longest: int) -> None:
        self._length: int = self.max_length or longest

    def _learn_vocabulary(self, collections: list[Any], special: tuple[str, ...]) -> None:
        """The vocabulary of pieces, or of words where documents are lists of them."""
        self._names: tuple[str, ...] = special  # padding, unknown, begin, end, mask
        self._between: int = 1  # how often `end` stands between the texts of a pair
        first = None if is_iterator(collections[0]) else next(iter(collections[0]), None)
        is_list = isinstance(first, (list, tuple, np.ndarray))
        self._knows_words: bool = callable(self.tokenizer) or (self.tokenizer is None and is_list)
        self.tokenizer_: SubwordTokenizer | None = None if self._knows_words else self._fitted_tokenizer(collections)
        pieces = self._frequent_words(collections) if self.tokenizer_ is None else self.tokenizer_.pieces()
        names = set(self._names)
        self.vocabulary_ = [*self._names, *(piece for piece in pieces if piece not in names)]

    def _fitted_tokenizer(self, collections: list[Any]) -> SubwordTokenizer:
        tokenizer = SubwordTokenizer(vocab_size=PIECES) if self.tokenizer is None else self.tokenizer
        if isinstance(tokenizer, SubwordTokenizer):
            fitted = learned_tokenizer(self, tokenizer, *collections)
            assert fitted is not None
            return fitted
        as_it_is = SubwordTokenizer()  # but that no text is cut off
        as_it_is.json_ = tokenizer.to_str()
        return as_it_is

    def _stream(self, documents: Any) -> TokenStream:
        tokenizer = getattr(self, "tokenizer_", None) or self.tokenizer
        texts = self._reads_as()
        if not callable(self.tokenizer) or texts is not self:
            documents = _of_kind(list if self._knows_words else str, read_documents(texts, documents))
            texts = DocumentInput(
                **{f.name: getattr(texts, f.name) for f in fields(DocumentInput)} | {"input": "content"}
            )
        found = tokenise(texts, documents, self.vocabulary_, tokenizer=tokenizer, grow=False)
        return found.stream.renumbered(np.arange(len(self.vocabulary_)), none=self._special.unknown)

    def _frequent_words(self, collections: list[Any]) -> list[str]:
        counts: dict[str, int] = {}
        for documents in collections:
            if is_iterator(documents):
                raise ValueError(
                    "X (or unlabeled) is a one-shot iterator, but documents must be read twice: first for the "
                    "vocabulary. Pass a list."
                )
            found = tokenise(self, documents, (), tokenizer=self.tokenizer)
            for word, count in zip(found.words, found.stream.counts(len(found.words))[0], strict=True):
                counts[word] = counts.get(word, 0) + int(count)
        return sorted(counts, key=lambda word: -counts[word])[: self.vocab_size]

    @property
    def _special(self) -> SpecialTokens:
        number = {name: self.vocabulary_.index(name) for name in self._names}
        padding, unknown, begin, end, mask = (number[name] for name in self._names)
        return SpecialTokens(padding, unknown, begin, end, mask, self._between)

    def _ends_sentence(self) -> np.ndarray:
        ends = np.zeros(len(self.vocabulary_), bool)
        for number, piece in enumerate(self.vocabulary_):
            ends[number] = piece in SENTENCE_ENDS
        return ends

    def _continues(self) -> Tensor:
        """Which tokens continue a word, (n_vocabulary,)."""
        pieces = [piece for piece in self.vocabulary_ if piece not in self._names]
        if self._knows_words:
            return torch.zeros(len(self.vocabulary_), dtype=torch.bool)
        assert self.tokenizer_ is not None
        prefix = json.loads(self.tokenizer_.json_)["model"].get("continuing_subword_prefix")  # "##"
        if prefix:
            return torch.tensor([piece.startswith(prefix) for piece in self.vocabulary_])
        if any(piece.startswith("Ġ") for piece in pieces):
            return torch.tensor([not piece.startswith("Ġ") for piece in self.vocabulary_])
        raise ValueError(
            f"{type(self).__name__}(whole_words=True): the pieces of this tokenizer do not say where words begin. Use "
            "SubwordTokenizer('wordpiece') or 'byte_bpe'."
        )

    def _single(self, text: str | Sequence[str]) -> TextSource:
        """One text as a document; masks in it are tokens."""
        special, mask = self._special, self._names[4]
        if isinstance(text, str) == self._knows_words and not callable(self.tokenizer):
            expected = "a list of words" if self._knows_words else "a str"
            raise ValueError(f"text is {text!r:.60} ({type(text).__name__}); expected {expected}.")
        if isinstance(text, str):
            parts: list[Any] = text.replace("[MASK]", mask).split(mask)
            parts = [*(part.rstrip() for part in parts[:-1]), parts[-1]]  # as published tokenizers do
        else:
            words = [mask if word == "[MASK]" else word for word in text]
            at = [-1, *(i for i, word in enumerate(words) if word == mask), len(words)]
            parts = [list(words[i + 1 : j]) for i, j in itertools.pairwise(at)]
        as_content = copy.copy(self)
        as_content.input = "content"
        stream = as_content._stream(parts)
        starts = [0, *stream.ends.tolist()]
        pieces: list[np.ndarray] = []
        for i, (start, end) in enumerate(itertools.pairwise(starts)):
            pieces += [np.array([special.mask], np.int32)] * (i > 0) + [np.asarray(stream.tokens(start, end))]
        tokens = np.concatenate(pieces).astype(np.int32)
        if len(tokens) > self._length - 2:
            raise ValueError(f"text has {len(tokens)} tokens; at most {self._length - 2} fit into a sequence.")
        single = TokenStream()
        single.append(tokens, np.array([len(tokens)]))
        return TextSource(single.finish(), None, special, self._length, self._ends_sentence())


def _columns(X: Any, name: str) -> list[Any]:
    """The documents, or first and second texts of pairs."""
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 2:
        take: Callable[[int], Any] = (lambda j: X.iloc[:, j]) if hasattr(X, "iloc") else (lambda j: X[:, j])
        return [take(0), take(1)]
    require_documents(X, name)
    return [X]


def _of_kind(kind: type, documents: Iterator[Any]) -> Iterator[Any]:
    """The documents; one that is not what the network was trained on is an error."""
    for document in documents:
        if not isinstance(document, kind):
            known, got = ("lists of words", "texts") if kind is list else ("texts", "lists of words")
            raise ValueError(f"the network knows {known}, but X holds {got}. Pass {known}.")
        yield document
