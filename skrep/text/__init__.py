"""Text: documents of every kind become a stream of numbered words, once; and words become vectors."""

from skrep.text.encoder import TextEncoder
from skrep.text.pooling import POOLINGS, centre_and_distance, common_direction, means, pooled
from skrep.text.reading import (
    WORD_PATTERN,
    DocumentInput,
    TextInput,
    TextLines,
    is_iterator,
    read_documents,
    require_documents,
    require_reiterable,
)
from skrep.text.sequences import Sequences, SpecialTokens, TextSource, in_own_rows, packed
from skrep.text.skip_gram import skip_gram_vectors
from skrep.text.stream import TokenStream
from skrep.text.subword_tokenizer import SubwordTokenizer, require_tokenizer, tokenizers_library
from skrep.text.token_reader import TokenReader
from skrep.text.tokenise import Tokenised, code_points, learned_tokenizer, tokenise
from skrep.text.vectors import WordVectors

__all__ = [
    "POOLINGS",
    "WORD_PATTERN",
    "DocumentInput",
    "Sequences",
    "SpecialTokens",
    "TextEncoder",
    "TextSource",
    "SubwordTokenizer",
    "TextInput",
    "TextLines",
    "TokenReader",
    "TokenStream",
    "Tokenised",
    "WordVectors",
    "code_points",
    "common_direction",
    "means",
    "pooled",
    "read_documents",
    "require_reiterable",
    "require_documents",
    "require_tokenizer",
    "centre_and_distance",
    "in_own_rows",
    "is_iterator",
    "learned_tokenizer",
    "packed",
    "skip_gram_vectors",
    "tokenise",
    "tokenizers_library",
]
