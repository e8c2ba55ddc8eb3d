"""Words as vectors, learned from the words around them."""

from skrep.words.word2vec import Word2VecTransformer

__all__ = ["Word2VecTransformer"]
