"""The probe: features divided by one number, against each feature divided by its own spread.

Test accuracy at 1, 5 and 10 labels a class, mean over draws, of StandardScaler + LogisticRegression (old) and of
``skrep.evaluation.default_classifier`` (new) on the same features and draws. A rotation, all principal components, has
the information of the raw columns: a fair probe gives both the same. Encoders are trained briefly, on the same rows.
``--quick`` takes one table.
"""

import argparse
import time
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from benchmarks._data import cifar10, mnist, news
from benchmarks._options import add_data_option, parse
from skrep import AutoEncoderTransformer, RandomEncoder, SimCLRTransformer, SparseCoder, Word2VecTransformer
from skrep.datasets import load_emoji
from skrep.evaluation import default_classifier, few_label_probe
from skrep.evaluation.held_out import as_rows

LABELS = (1, 5, 10)
N_IMAGES = 5000
QUICK = {"draws": 2, "sets": ["wine"]}


def rows_of(name: str, folder: Any) -> tuple[Any, np.ndarray]:
    if name == "digits":
        digits = load_digits()
        return digits.images[..., np.newaxis] / 16, digits.target
    if name in ("wine", "breast cancer"):
        X, y = (load_wine if name == "wine" else load_breast_cancer)(return_X_y=True)
        return StandardScaler().fit_transform(X), y
    if name in ("mnist", "fashion_mnist"):
        images, y, _, _ = mnist(folder, name, N_IMAGES)
        return images[..., np.newaxis], y
    if name == "cifar10":
        return cifar10(folder, N_IMAGES)
    if name == "emoji":
        X, y = load_emoji(return_X_y=True)
        return X, y
    texts, y = news(folder, N_IMAGES)
    return texts, y


def encoders_of(name: str, X: Any) -> dict[str, Any]:
    if name == "news":
        tfidf = TfidfVectorizer(min_df=3, sublinear_tf=True, stop_words="english")
        return {
            "TF-IDF": tfidf,
            "SVD of TF-IDF, 64": make_pipeline(tfidf, TruncatedSVD(64, random_state=0)),
            "Word2Vec": Word2VecTransformer(random_state=0),
        }
    flat = FunctionTransformer(as_rows)
    width = as_rows(X[:1]).shape[1]
    epochs: dict[str, Any] = {"max_epochs": 5 if len(X) > 3000 else 20} if X.ndim == 4 else {}
    return {
        "raw": flat,
        "rotation": make_pipeline(flat, PCA(svd_solver="full")),
        "PCA, 32": make_pipeline(flat, PCA(min(32, width), random_state=0)),
        "sparse codes, 64": make_pipeline(flat, SparseCoder(64, max_iter=10, random_state=0)),
        "untrained": RandomEncoder(like=SimCLRTransformer(random_state=0)),
        "autoencoder": AutoEncoderTransformer(max_epochs=10 if len(X) > 3000 else None, random_state=0),
        "SimCLR": SimCLRTransformer(random_state=0, **epochs),
    }


SETS = ["digits", "wine", "breast cancer", "mnist", "fashion_mnist", "cifar10", "emoji", "news"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks probe")
    add_data_option(parser)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--sets", nargs="*", choices=SETS, help="default: all")
    options = parse(parser, arguments, QUICK)
    old = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    old_sparse = make_pipeline(StandardScaler(with_mean=False), LogisticRegression(max_iter=2000))
    heads = [f"{n} {which}" for n in LABELS for which in ("old", "new")]
    print("| | | " + " | ".join(heads) + " | CPU s of both |\n|---|---" + "|---" * (len(heads) + 1) + "|")
    for name in options.sets or SETS:
        X, y = rows_of(name, options.data)
        enough = [label for label, n in zip(*np.unique(y, return_counts=True), strict=True) if n > 20]
        rows = np.flatnonzero(np.isin(y, enough))
        X = [X[i] for i in rows] if isinstance(X, list) else X[rows]
        X_train, X_test, y_train, y_test = train_test_split(X, y[rows], test_size=0.3, stratify=y[rows], random_state=0)
        for label, encoder in encoders_of(name, X).items():
            Z, Z_test = encoder.fit(X_train).transform(X_train), encoder.transform(X_test)
            begin = time.process_time()
            means = [
                few_label_probe(
                    FunctionTransformer(), Z, y_train, Z_test, y_test,
                    labels=LABELS, n_resamples=options.draws, probe=probe,
                ).mean
                for probe in (old_sparse if label == "TF-IDF" else old, default_classifier())
            ]  # fmt: skip
            cells = [f"{value:.3f}" for pair in zip(*means, strict=True) for value in pair]
            print(f"| {name} | {label} | " + " | ".join(cells) + f" | {time.process_time() - begin:.0f} |", flush=True)
