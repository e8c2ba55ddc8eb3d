"""Text: documents of every kind become a stream of numbered words, once; and words become vectors."""

from skrep.text.pooling import POOLINGS, centre_and_distance, common_direction, means, pooled
from skrep.text.reading import WORD_PATTERN, TextInput, TextLines, read_documents, require_documents
from skrep.text.stream import TokenStream
from skrep.text.subword_tokenizer import SubwordTokenizer
from skrep.text.tokenise import Tokenised, code_points, tokenise
from skrep.text.vectors import WordVectors

__all__ = [
    "POOLINGS",
    "WORD_PATTERN",
    "SubwordTokenizer",
    "TextInput",
    "TextLines",
    "TokenStream",
    "Tokenised",
    "WordVectors",
    "code_points",
    "common_direction",
    "means",
    "pooled",
    "read_documents",
    "require_documents",
    "centre_and_distance",
    "tokenise",
]
