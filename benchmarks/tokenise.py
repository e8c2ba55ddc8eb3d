"""Texts to numbered words and their counts, in seconds, beside Python's ``re`` and a dict and CountVectorizer.

All sides cut the same words, of two characters or more, from lower-cased texts.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer

from benchmarks._data import corpus
from benchmarks._measure import alternate
from benchmarks._options import add_data_option, parse
from skrep.params import params
from skrep.text import TextInput, tokenise

PATTERN = r"(?u)\b\w\w+\b"
QUICK = {"runs": 1}


@params
class Words(TextInput, BaseEstimator):
    """How the texts are cut."""


def ours(texts: list[str], n_jobs: int, known: list[str] | None = None) -> Any:
    words = tokenise(Words(token_pattern=PATTERN), texts, known or (), grow=known is None, n_jobs=n_jobs)
    return words.stream.counts(len(words.words))


def with_re(texts: list[str]) -> Any:
    find = re.compile(PATTERN).findall
    numbers: defaultdict[str, int] = defaultdict(int)
    numbers.default_factory = numbers.__len__
    stream = [np.array([numbers[word] for word in find(text.lower())], np.int32) for text in texts]
    return np.bincount(np.concatenate(stream))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks tokenise")
    add_data_option(parser, "text/imdb_unsup_22MB.txt.xz")
    parser.add_argument("--runs", type=int, default=5)
    options = parse(parser, arguments, QUICK, required=("data",))
    texts = corpus(options.data)
    vocabulary = tokenise(Words(token_pattern=PATTERN), texts).words
    fitted = CountVectorizer().fit(texts)
    sides: dict[str, Callable[[], Any]] = {
        "re and a dict": partial(with_re, texts),
        "CountVectorizer.fit_transform": lambda: CountVectorizer().fit_transform(texts),
        "CountVectorizer.transform": lambda: fitted.transform(texts),
        "skrep, 1 thread": partial(ours, texts, 1),
        "skrep, 2 threads": partial(ours, texts, 2),
        "skrep, 2 threads, known words": partial(ours, texts, 2, vocabulary),
    }
    seconds = alternate(sides, options.runs)
    peer = float(np.median(seconds["re and a dict"]))
    size = sum(map(len, texts)) / 1e6
    for side, taken in seconds.items():
        median = float(np.median(taken))
        print(f"{side:30} {median:5.2f} s  {size / median:5.1f} million characters/s  {peer / median:4.1f}x")
