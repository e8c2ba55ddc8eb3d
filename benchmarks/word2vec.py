"""word2vec: seconds, memory and quality beside gensim's, and what features are worth.

``--part speed`` takes turns with gensim: whole fits from raw texts, 5 epochs, two threads. ``quality`` compares vectors
of several seeds: WordSim-353, SimLex-999, analogies, and a logistic regression on means of the words of reviews.
``scale`` reads the corpus once and five times over. ``imdb`` is the probe on labelled reviews, beside TF-IDF.
``--quick`` is all of it on paragraphs of Wikipedia.
"""

import argparse
import re
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from benchmarks._data import corpus, reviews, word_questions
from benchmarks._measure import alternate, peak_memory
from benchmarks._options import add_data_option, parse
from skrep import Word2VecTransformer
from skrep.text import WORD_PATTERN, WordVectors

EPOCHS = 5
PARTS = ["speed", "quality", "scale", "imdb"]
QUICK = {"part": PARTS, "runs": 1}

KINDS: dict[str, dict[str, Any]] = {
    "skip-gram": {},
    "CBOW": {"algorithm": "cbow"},
    "skip-gram, tree": {"loss": "hierarchical_softmax"},
    "CBOW, tree": {"algorithm": "cbow", "loss": "hierarchical_softmax"},
}


def ours(texts: list[str], seed: int = 1, n_jobs: int = 2, epochs: int = EPOCHS, **options: Any) -> WordVectors:
    settings = {"window": 5, "negative": 5, "min_count": 5, "sample": 1e-3} | options
    return Word2VecTransformer(100, max_epochs=epochs, n_jobs=n_jobs, random_state=seed, **settings).fit(texts).vectors_


def split(text: str) -> list[str]:
    """Words as gensim's users cut them."""
    return text.lower().split()


def same_words(text: str) -> list[str]:
    """Words as skrep cuts them."""
    return re.findall(WORD_PATTERN, text.lower())


def gensims(
    texts: list[str], seed: int = 1, n_jobs: int = 2, epochs: int = EPOCHS, cut: Callable = split, **options: Any
) -> WordVectors:
    from gensim.models import Word2Vec

    documents = [cut(text) for text in texts]
    tree = options.get("loss") == "hierarchical_softmax"
    model = Word2Vec(
        documents, vector_size=100, window=5, negative=0 if tree else 5, hs=int(tree), min_count=5, sample=1e-3,
        sg=int(options.get("algorithm") != "cbow"), epochs=epochs, workers=n_jobs, seed=seed,
    )  # fmt: skip
    return WordVectors(model.wv.index_to_key, model.wv.vectors)


def speed(folder: Path | None, runs: int, kinds: dict[str, Any]) -> None:
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


def probe(vectors: WordVectors, data: Any, cut: Callable | None) -> float:
    """Accuracy of a logistic regression on means of words' vectors; words as the side cut them in training."""
    encoder = Word2VecTransformer(vectors=vectors, analyzer=cut or "word")
    (train, y), (test, z) = data["train"], data["test"]
    return float(make_pipeline(encoder, LogisticRegression(max_iter=2000)).fit(train, y).score(test, z))


def quality(folder: Path | None, seeds: int, kinds: dict[str, Any], with_same_words: bool) -> None:
    texts, labelled = corpus(folder), reviews(folder)
    pairs = word_questions(folder)
    cut = same_words if with_same_words else split
    for kind, options in kinds.items():
        sides: dict[str, Callable[..., WordVectors]] = {"gensim": partial(gensims, cut=cut), "skrep": ours}
        for side, make in sides.items():
            rows = []
            for seed in range(1, seeds + 1):
                vectors = make(texts, seed, **options)
                rows.append(
                    [
                        vectors.evaluate_word_pairs(pairs / "wordsim353.tsv")[1].statistic,
                        vectors.evaluate_word_pairs(pairs / "simlex999.txt")[1].statistic,
                        vectors.evaluate_word_analogies(pairs / "questions-words.txt")[0],
                        probe(vectors, labelled, cut if side == "gensim" else None),
                    ]
                )
            mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0, ddof=1) if seeds > 1 else np.zeros(4)
            cells = "  ".join(f"{m:.4f} +- {s:.4f}" for m, s in zip(mean, spread, strict=True))
            print(f"{kind:16} {side:7} WordSim, SimLex, analogies, reviews: {cells}", flush=True)


SCALE = """
import time
from skrep import Word2VecTransformer
from skrep.text import TextLines

Word2VecTransformer(100, min_count=1).fit(["compiled once", "kept on disk"])
begin, start = peak(), time.perf_counter()
lines = TextLines([sys.argv[1]] * int(sys.argv[2]))
Word2VecTransformer(100, max_epochs=1, window=5, n_jobs=2, min_count=int(sys.argv[3]), random_state=0).fit(lines)
print(time.perf_counter() - start, peak() - begin)
"""


def scale(folder: Path | None, runs: int) -> None:
    """One epoch of the corpus once and five times over, from a file of lines; words keep their number."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "corpus.txt"
        path.write_text("\n".join(corpus(folder)) + "\n", encoding="utf8")
        seconds: dict[int, list[float]] = {1: [], 5: []}
        for run in range(runs):
            for times in seconds:
                taken, grown = peak_memory(SCALE, path, times, 5 * times)
                seconds[times].append(taken)
                print(f"run {run}, {times} times over: {taken:.2f} s, memory grew by {grown:.0f} MiB", flush=True)
    once, five = (float(np.median(taken)) for taken in seconds.values())
    print(f"five times the words take {five / once:.2f} times as long")


def imdb(folder: Path | None, n_draws: int) -> None:
    """Test accuracy of a logistic regression by the number of labelled reviews; words from all training reviews."""
    data, more = reviews(folder), corpus(folder)
    (train, y), (test, z) = data["train"], data["test"]
    encoders: dict[str, Any] = {
        "TF-IDF": TfidfVectorizer(),
        "word2vec": Word2VecTransformer(unlabeled=more, n_jobs=2, random_state=0),
        "word2vec, 15 epochs": Word2VecTransformer(unlabeled=more, n_jobs=2, max_epochs=15, random_state=0),
    }
    for name, encoder in encoders.items():
        start = time.perf_counter()
        encoder.fit(train)
        print(f"{name}: fitted in {time.perf_counter() - start:.0f} s", flush=True)
    features = {name: (encoder.transform(train), encoder.transform(test)) for name, encoder in encoders.items()}
    plain = encoders["word2vec"].set_params(standardize=False)
    as_they_are = plain.transform(train), plain.transform(test)
    for name in list(encoders)[1:]:
        sides = zip(features["TF-IDF"], features[name], strict=True)
        features[f"TF-IDF and {name}"] = tuple(hstack([left, csr_array(right)]).tocsr() for left, right in sides)
    features["word2vec, plain means"] = as_they_are
    sizes = {len(y): 1} | {n: draws for n, draws in ((1000, n_draws), (100, 3 * n_draws)) if n < len(y)}
    for name, (x, u) in features.items():
        cells = []
        for n, draws in sizes.items():
            scores = []
            for draw in range(draws):
                chosen = np.arange(len(y)) if n == len(y) else balanced(y, n, draw)
                scores.append(LogisticRegression(max_iter=3000).fit(x[chosen], y[chosen]).score(u, z))
            cells.append(f"{n} labels {np.mean(scores):.4f}")
        print(f"{name:34}", "  ".join(cells), flush=True)


def balanced(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Places of `n` reviews, as many of each class."""
    generator = np.random.default_rng(seed)
    return np.concatenate([generator.choice(np.flatnonzero(y == kind), n // 2, replace=False) for kind in (0, 1)])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks word2vec")
    add_data_option(parser, "text/ and word_eval/")
    parser.add_argument("--part", nargs="+", choices=PARTS)
    parser.add_argument("--only", choices=list(KINDS), nargs="*", default=list(KINDS))
    parser.add_argument("--runs", type=int, default=3, help="runs, seeds or draws")
    parser.add_argument("--same-words", action="store_true", help="quality: gensim gets the words that skrep cuts")
    options = parse(parser, arguments, QUICK, required=("data", "part"))
    kinds = {kind: KINDS[kind] for kind in options.only}
    parts: dict[str, Callable[[], None]] = {
        "speed": partial(speed, options.data, options.runs, kinds),
        "quality": partial(quality, options.data, options.runs, kinds, options.same_words),
        "scale": partial(scale, options.data, options.runs),
        "imdb": partial(imdb, options.data, options.runs),
    }
    for part in options.part:
        parts[part]()
