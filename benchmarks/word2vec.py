"""word2vec: seconds, memory and quality beside gensim's (``pip install gensim``), and what features are worth.

``--part speed`` takes turns with gensim: whole fits from raw texts, 5 epochs, two threads. ``quality`` compares vectors
of several seeds: WordSim-353, SimLex-999, analogies, and a logistic regression on means of the words of reviews.
``scale`` reads the corpus several times over. ``imdb`` is the probe on labelled reviews, beside TF-IDF.
``defaults`` is what the defaults were chosen by, on training parts alone.
"""

import argparse
import lzma
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks._measure import alternate
from skrep import Word2VecTransformer
from skrep.text import WordVectors

EPOCHS = 5

KINDS: dict[str, dict[str, Any]] = {
    "skip-gram": {},
    "CBOW": {"algorithm": "cbow"},
    "skip-gram, tree": {"loss": "hierarchical_softmax"},
    "CBOW, tree": {"algorithm": "cbow", "loss": "hierarchical_softmax"},
}


def lines(folder: Path, name: str) -> list[str]:
    with lzma.open(folder / "text" / name, "rt", encoding="utf8", newline="\n") as file:
        return file.read().rstrip("\n").split("\n")


def corpus(folder: Path) -> list[str]:
    """16,725 reviews without labels."""
    return lines(folder, "imdb_unsup_22MB.txt.xz")


def reviews(folder: Path) -> dict[str, tuple[list[str], np.ndarray]]:
    """10,000 labelled reviews for training and as many for testing."""
    rows = [line.split("\t") for line in lines(folder, "imdb_10k_10k.tsv.xz")[1:]]
    return {
        part: (
            [row[4] for row in rows if row[0] == part],
            np.array([row[1] in ("pos", "1") for row in rows if row[0] == part], int),
        )
        for part in ("train", "test")
    }


def ours(texts: list[str], seed: int = 1, n_jobs: int = 2, epochs: int = EPOCHS, **options: Any) -> WordVectors:
    settings = {"window": 5, "negative": 5, "min_count": 5, "sample": 1e-3} | options
    return Word2VecTransformer(100, max_epochs=epochs, n_jobs=n_jobs, random_state=seed, **settings).fit(texts).vectors_


def gensims(texts: list[str], seed: int = 1, n_jobs: int = 2, epochs: int = EPOCHS, **options: Any) -> WordVectors:
    from gensim.models import Word2Vec

    documents = [text.lower().split() for text in texts]
    tree = options.get("loss") == "hierarchical_softmax"
    model = Word2Vec(
        documents, vector_size=100, window=5, negative=0 if tree else 5, hs=int(tree), min_count=5, sample=1e-3,
        sg=int(options.get("algorithm") != "cbow"), epochs=epochs, workers=n_jobs, seed=seed,
    )  # fmt: skip
    return WordVectors(model.wv.index_to_key, model.wv.vectors)


def speed(folder: Path, runs: int, kinds: dict[str, Any]) -> None:
    texts = corpus(folder)
    ours(texts[:100], min_count=1, epochs=1)  # compiled once, kept on disk
    for kind, options in kinds.items():
        sides: dict[str, Callable[[], Any]] = {
            "gensim, 2 workers": partial(gensims, texts, **options),
            "skrep, 2 threads": partial(ours, texts, **options),
            "skrep, 1 thread": partial(ours, texts, n_jobs=1, **options),
        }
        seconds = alternate(sides, runs, most=1e9)
        peer = float(np.median(seconds["gensim, 2 workers"]))
        for side, taken in seconds.items():
            median = float(np.median(taken))
            print(
                f"{kind:16} {side:18} {median:6.2f} s  {peer / median:5.2f}x  {np.round(taken, 1).tolist()}", flush=True
            )


def probe(vectors: WordVectors, data: Any, split: bool) -> float:
    """Accuracy of a logistic regression on means of words' vectors; words as the side cut them in training."""
    pipe = make_pipeline(Word2VecTransformer(vectors=vectors), LogisticRegression(max_iter=2000))
    (train, y), (test, z) = (
        ([text.lower().split() for text in data[part][0]] if split else data[part][0], data[part][1])
        for part in ("train", "test")
    )
    return float(pipe.fit(train, y).score(test, z))


def quality(folder: Path, seeds: int, kinds: dict[str, Any]) -> None:
    texts, labelled = corpus(folder), reviews(folder)
    pairs = folder / "word_eval"
    for kind, options in kinds.items():
        for side, make in {"gensim": gensims, "skrep": ours}.items():
            rows = []
            for seed in range(1, seeds + 1):
                vectors = make(texts, seed, **options)
                rows.append(
                    [
                        vectors.evaluate_word_pairs(pairs / "wordsim353.tsv")[1].statistic,
                        vectors.evaluate_word_pairs(pairs / "simlex999.txt")[1].statistic,
                        vectors.evaluate_word_analogies(pairs / "questions-words.txt")[0],
                        probe(vectors, labelled, side == "gensim"),
                    ]
                )
            mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) if seeds > 1 else np.zeros(4)
            cells = "  ".join(f"{m:.4f} +- {s:.4f}" for m, s in zip(mean, spread, strict=True))
            print(f"{kind:16} {side:7} WordSim, SimLex, analogies, reviews: {cells}", flush=True)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks word2vec")
    parser.add_argument("--data", type=Path, required=True, help="folder with text/ and word_eval/")
    parser.add_argument("--part", choices=["speed", "quality"], required=True)
    parser.add_argument("--only", choices=list(KINDS), nargs="*", default=list(KINDS))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(arguments)
    kinds = {kind: KINDS[kind] for kind in options.only}
    {"speed": speed, "quality": quality}[options.part](options.data, options.runs, kinds)
