"""Sparse coding and dictionary learning."""

from skrep.sparse.coder import SparseCoder

__all__ = ["SparseCoder"]
