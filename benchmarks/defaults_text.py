"""What Word2VecTransformer's defaults were chosen by: accuracies of a logistic regression, on training parts alone.

Reviews (IMDB, 10,000 training texts and 16,725 without labels; and 2,000 of the former alone), news (AG, 5,000 texts),
sentences (SST-2, 6,920). Words are learned from all of these texts, without labels; then some labels are drawn, and the
rest is tested on. ``--quick`` tries some of the options on paragraphs of Wikipedia.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit

from benchmarks._data import corpus, lines, reviews, sentences
from benchmarks._options import add_data_option, parse
from skrep import Word2VecTransformer

OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "window 3": {"window": 3},
    "window 5": {"window": 5},
    "window 20": {"window": 20},
    "a third of the epochs": {"epochs": 1 / 3},
    "twice the epochs": {"epochs": 2},
    "min_count 1": {"min_count": 1},
    "min_count 2": {"min_count": 2},
    "min_count 5": {"min_count": 5},
    "words of two letters or more": {"token_pattern": r"(?u)\b\w\w+\b"},
    "n-grams of 3 to 6": {"subwords": (3, 6)},
    "CBOW": {"algorithm": "cbow"},
    "hierarchical softmax": {"loss": "hierarchical_softmax"},
    "10 negatives": {"negative": 10},
    "lr 0.05": {"lr": 0.05},
    "sample 0.001": {"sample": 1e-3},
    "sample 0.0001": {"sample": 1e-4},
    "50 components": {"n_components": 50},
    "200 components": {"n_components": 200},
}
QUICK = {"only": ["defaults", "a third of the epochs", "n-grams of 3 to 6", "CBOW", "hierarchical softmax"]}


def table(folder: Path, name: str) -> list[dict[str, str]]:
    header, *rows = (line.split("\t") for line in lines(folder, name))
    return [dict(zip(header, row, strict=True)) for row in rows]


def data_sets(folder: Path | None) -> dict[str, Any]:
    """Texts, classes, further texts, and (labels, draws)."""
    x, y = reviews(folder)["train"]
    if folder is None:
        return {
            "few reviews": (x, y, None, ((80, 2), (40, 4))),
            "reviews": (x, y, corpus(None), ((80, 2), (40, 4))),
        }
    news = table(folder, "ag_news_test.tsv.xz")
    news = [news[i] for i in np.random.default_rng(0).permutation(len(news))[:5000]]
    return {
        "news": (
            [f"{row['title']} {row['text']}" for row in news],
            np.array([row["label"] for row in news]),
            None,
            ((3500, 3), (1000, 10), (100, 30)),
        ),
        "sentences": (*sentences(folder)["train"], None, ((5000, 3), (1000, 10), (100, 30))),
        "few reviews": (x[:2000], y[:2000], None, ((1500, 3), (500, 10), (100, 30))),
        "reviews": (x, y, corpus(folder), ((8000, 3), (1000, 10), (100, 30))),
    }


def accuracies(features: Any, y: np.ndarray, sizes: Any) -> str:
    cells = []
    for n, draws in sizes:
        splitter = StratifiedShuffleSplit(draws, train_size=n, test_size=min(2000, len(y) // 4), random_state=0)
        scores = [
            LogisticRegression(max_iter=3000).fit(features[a], y[a]).score(features[b], y[b])
            for a, b in splitter.split(y, y)
        ]
        cells.append(f"{np.mean(scores):.4f}")
    return "  ".join(cells)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks defaults_text")
    add_data_option(parser, "text/")
    parser.add_argument("--sets", nargs="*", default=["news", "sentences", "few reviews", "reviews"])
    parser.add_argument("--only", nargs="*", default=list(OPTIONS), choices=list(OPTIONS))
    options = parse(parser, arguments, QUICK, required=("data",))
    for name, (texts, y, more, sizes) in data_sets(options.data).items():
        if name not in options.sets:
            continue
        print(f"{name}: accuracy with {', '.join(str(n) for n, _ in sizes)} labels")
        print(f"  {'TF-IDF':32}", accuracies(TfidfVectorizer().fit_transform(texts), y, sizes), flush=True)
        epochs = 0
        for title in options.only:
            changed = dict(OPTIONS[title])
            if "epochs" in changed:
                changed["max_epochs"] = max(1, round(changed.pop("epochs") * epochs))
            start = time.perf_counter()
            encoder = Word2VecTransformer(unlabeled=more, random_state=0, **changed).fit(texts)
            taken = time.perf_counter() - start
            epochs = epochs or len(encoder.history_)
            print(f"  {title:32}", accuracies(encoder.transform(texts), y, sizes), f"  {taken:.0f} s", flush=True)
            if title == "defaults":
                for how in ("sif", "idf", "max"):
                    pooled = encoder.set_params(pooling=how).transform(texts)
                    print(f"  {how:32}", accuracies(pooled, y, sizes), flush=True)
                plain = encoder.set_params(pooling="mean", standardize=False).transform(texts)
                print(f"  {'plain means':32}", accuracies(plain, y, sizes), flush=True)
