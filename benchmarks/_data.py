"""Data sets for benchmarks: large ones where a folder with them is given, else what comes with skrep and its peers."""

import io
import itertools
import lzma
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

from skrep.datasets import load_emoji, load_fashion, load_wikipedia

__all__ = ["cifar10", "corpus", "labelled_tables", "lines", "mnist", "news", "reviews", "sentences", "word_questions"]

Labelled = tuple[list[str], np.ndarray]


def labelled_tables(
    folder: Path | None, n_images: int = 4000, only: list[str] | None = None
) -> dict[str, tuple[Any, Any]]:
    """Rows and classes by name, of training parts only: columns in different units are standardised."""
    tables: dict[str, tuple[Any, Any]] = {}
    for name in ("digits", "breast_cancer", "wine"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        if name != "digits":
            X = (X - X.mean(0)) / X.std(0)
        tables[name] = X, y
    X, y = datasets.make_classification(
        2000, 40, n_informative=12, n_redundant=20, n_classes=4, n_clusters_per_class=2, class_sep=1.5, random_state=0
    )
    tables["planted"] = X, y
    for name in ("mnist", "fashion_mnist"):
        if folder is not None:
            with np.load(folder / f"{name}.npz") as archive:
                x, y = archive["x_train"][:n_images], archive["y_train"][:n_images]
            tables[name] = x.reshape(len(x), -1), y
    return {name: table for name, table in tables.items() if only is None or name in only}


def mnist(folder: Path | None, name: str = "mnist", most: int | None = None) -> tuple[np.ndarray, ...]:
    """Images to train with and their classes, then those to test with; (n, 28, 28) uint8, at most `most` of each part.

    Without a folder they are of ``load_fashion``.
    """
    parts = ("x_train", "y_train", "x_test", "y_test")
    if folder is None:
        X, y = load_fashion(return_X_y=True)
        X = X[..., 0]  # (n, 28, 28, 1) -> (n, 28, 28)
        return X[:4000][:most], y[:4000][:most], X[4000:][:most], y[4000:][:most]
    with np.load(folder / f"{name}.npz") as archive:
        return tuple(archive[part][:most] for part in parts)


def cifar10(folder: Path | None, n_images: int, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """The first images of a part ("train" or "test") of cifar10.npz, (n, 32, 32, 3) uint8, and their classes.

    Images are stored as WebP strips of 500, one below the other: ``train_webp`` are the bytes of all strips,
    ``train_webp_offsets`` their ends, ``train_labels`` the classes.
    Without a folder they are of ``load_emoji``.
    """
    if folder is None:
        X, y = load_emoji(return_X_y=True)
        order = np.random.default_rng(0).permutation(len(X))
        rows = (order[:1400] if part == "train" else order[1400:])[:n_images]
        return X[rows], y[rows]

    from PIL import Image

    with np.load(folder / "cifar10.npz") as archive:
        data, ends, classes = (archive[f"{part}_{name}"] for name in ("webp", "webp_offsets", "labels"))
    n_strips = -(-n_images // 500)
    strips = [
        np.asarray(Image.open(io.BytesIO(data[begin:end].tobytes())).convert("RGB"))
        for begin, end in itertools.pairwise(ends[: n_strips + 1])
    ]
    return np.concatenate(strips).reshape(-1, 32, 32, 3)[:n_images], classes[:n_images]  # (500 k, 32, 3) -> images


def lines(folder: Path, name: str) -> list[str]:
    with lzma.open(folder / "text" / name, "rt", encoding="utf8", newline="\n") as file:
        return file.read().rstrip("\n").split("\n")


def corpus(folder: Path | None) -> list[str]:
    """16,725 reviews without labels; without a folder, 400 paragraphs of ``load_wikipedia``."""
    return _paragraphs()[0][:400] if folder is None else lines(folder, "imdb_unsup_22MB.txt.xz")


def reviews(folder: Path | None) -> dict[str, Labelled]:
    """10,000 labelled reviews for training and as many for testing.

    Without a folder, the beginnings of 120 and 60 paragraphs of ``load_wikipedia``; their class is the half of the
    alphabet that their article is in.
    """
    if folder is None:
        texts, y = _paragraphs()
        texts = [text[:200] for text in texts]
        return {"train": (texts[400:520], y[400:520]), "test": (texts[520:580], y[520:580])}
    rows = [line.split("\t") for line in lines(folder, "imdb_10k_10k.tsv.xz")[1:]]
    return {
        part: (
            [row[4] for row in rows if row[0] == part],
            np.array([row[1] in ("pos", "1") for row in rows if row[0] == part], int),
        )
        for part in ("train", "test")
    }


def news(folder: Path | None, most: int) -> Labelled:
    """Titles and leads of AG's news, 4 classes; without a folder, paragraphs of ``load_wikipedia``."""
    if folder is None:
        texts, y = _paragraphs()
        return texts[:most], y[:most]
    rows = [line.split("\t") for line in lines(folder, "ag_news_test.tsv.xz")]
    head, rows = rows[0], rows[1:]
    order = np.random.default_rng(0).permutation(len(rows))[:most]
    text, title, label = (head.index(name) for name in ("text", "title", "label"))
    return [f"{rows[i][title]} {rows[i][text]}" for i in order], np.array([int(rows[i][label]) for i in order])


def sentences(folder: Path | None) -> dict[str, Labelled]:
    """SST-2's sentences and classes by part; without a folder, those of ``reviews``."""
    if folder is None:
        return reviews(None)
    rows = [line.split("\t") for line in lines(folder, "sst2.tsv.xz")[1:]]
    return {
        part: ([r[2] for r in rows if r[0] == part], np.array([r[1] for r in rows if r[0] == part], int))
        for part in sorted({r[0] for r in rows})
    }


def word_questions(folder: Path | None) -> Path:
    """Folder with wordsim353.tsv, simlex999.txt and questions-words.txt: gensim ships them too."""
    if folder is not None:
        return folder / "word_eval"
    return Path(str(files("gensim") / "test" / "test_data"))


def _paragraphs() -> Labelled:
    """Paragraphs in random order, and for each whether its article is of the later half."""
    wikipedia = load_wikipedia()
    order = np.random.default_rng(0).permutation(len(wikipedia.texts))
    late = wikipedia.target > np.median(wikipedia.target)
    return [wikipedia.texts[i] for i in order], late[order].astype(int)
