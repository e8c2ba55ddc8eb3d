"""MoCo and SimCLR with their defaults on images, and the three dictionaries of He et al. 2020 (figure 3, in small).

``--part labels`` learns from the 60,000 training images of MNIST and Fashion-MNIST and probes with 100, 600 and 6000
labels (test accuracy, mean of 5 stratified draws). ``--part cifar`` learns from the 50,000 of CIFAR-10, and probes with
1 % and all of the labels, and with the nearest neighbours. The probe is StandardScaler + LogisticRegression(C=0.1).
``--part dictionaries`` learns from 20,000 training images of CIFAR-10 with each dictionary and growing numbers of
negatives, tests on 5,000 other training images, and draws the figure of the user guide. ``--quick`` is all three on a
few hundred images, for an epoch.
"""

import argparse
import io
import resource
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._data import cifar10, mnist
from benchmarks._options import add_data_option, parse
from skrep import MoCoTransformer, PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.evaluation import knn_score

METHODS: dict[str, Any] = {"SimCLR": SimCLRTransformer(random_state=0), "MoCo": MoCoTransformer(random_state=0)}
RULE = "|---|---|---|---|---|---|"
NEGATIVES = [32, 128, 512, 2048]
DICTIONARIES = ("end_to_end", "memory_bank", "queue")
PARTS = ["labels", "cifar", "dictionaries"]
QUICK = {
    "part": PARTS, "images": 200, "labels": [50, 100], "negatives": [16, 32], "epochs": 1, "set": ["fashion_mnist"],
    "figure": io.BytesIO(),
}  # fmt: skip


def probe(Z: np.ndarray, y: np.ndarray, Z_test: np.ndarray, y_test: np.ndarray, n_labels: int, n_draws: int) -> str:
    """Test accuracy with so many labels, mean and standard deviation over draws."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    scores = []
    for state in range(n_draws if n_labels < len(y) else 1):
        rows = np.arange(len(y))
        if n_labels < len(y):
            rows, _ = train_test_split(rows, train_size=n_labels, stratify=y, random_state=state)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 50,000 rows of raw pixels take thousands of steps
            scores.append(model.fit(Z[rows], y[rows]).score(Z_test, y_test))
    return f"{np.mean(scores):.4f}" + (f" ± {np.std(scores, ddof=1):.4f}" if len(scores) > 1 else "")


def flat(X: np.ndarray) -> np.ndarray:
    rows: np.ndarray = X.reshape(len(X), -1) / np.float32(255)  # (n, height, width, channels) -> (n, n_pixels)
    return rows


def labels(options: argparse.Namespace) -> None:
    """MNIST and Fashion-MNIST."""
    for name in options.set:
        X, y, X_test, y_test = mnist(options.data, name, options.images)
        X, X_test = X[..., np.newaxis], X_test[..., np.newaxis]  # (n, 28, 28) -> (n, 28, 28, 1)
        columns = " | ".join(f"{n} labels" for n in options.labels)
        print(f"\n{name}\n\n| features | epochs | fit s | {columns} |\n|---|---|---{'|---' * len(options.labels)}|")
        for label, encoder in {
            "raw pixels": None,
            "untrained": RandomEncoder(like=METHODS["SimCLR"]),
            **{m: METHODS[m] for m in options.only},
        }.items():
            Z, Z_test, n_epochs, seconds = encoded(encoder, X, X_test, options.epochs)
            cells = [probe(Z, y, Z_test, y_test, n, 5) for n in options.labels]
            print(f"| {label} | {n_epochs} | {seconds} | {' | '.join(cells)} |", flush=True)


def encoded(
    encoder: Any, X: np.ndarray, X_test: np.ndarray, epochs: int | None
) -> tuple[np.ndarray, np.ndarray, str, str]:
    """Features of both parts; epochs and seconds, where there are any, for a table."""
    if encoder is None:
        return flat(X), flat(X_test), "", ""
    encoder = clone(encoder)
    if "max_epochs" in encoder.get_params():
        encoder.set_params(max_epochs=epochs)
    begin = time.perf_counter()
    if isinstance(encoder, PCAEncoder):
        X, X_test = flat(X), flat(X_test)
    encoder.fit(X)
    seconds = time.perf_counter() - begin
    n_epochs = str(getattr(encoder, "n_epochs_", ""))
    return encoder.transform(X), encoder.transform(X_test), n_epochs, f"{seconds:.0f}"


def cifar(options: argparse.Namespace) -> None:
    """CIFAR-10 with the default network."""
    X, y = cifar10(options.data, options.images or 50_000)
    X_test, y_test = cifar10(options.data, options.images or 10_000, "test")
    few = max(50, len(y) // 100)
    print(f"\n| features | epochs | fit s | {few} labels | all labels | 20 neighbours |\n{RULE}")
    n_axes = min(512, len(X))
    baselines = {"raw": None, f"PCA, {n_axes}": PCAEncoder(n_axes), "untrained": RandomEncoder(like=METHODS["SimCLR"])}
    encoders = ({} if options.no_baselines else baselines) | {m: METHODS[m] for m in options.only}
    for label, encoder in encoders.items():
        Z, Z_test, n_epochs, seconds = encoded(encoder, X, X_test, options.epochs)
        cells = [probe(Z, y, Z_test, y_test, n, 5) for n in (few, len(y))]
        cells.append(f"{knn_score(None, Z, y, Z_test, y_test):.4f}")
        print(f"| {label} | {n_epochs} | {seconds} | {' | '.join(cells)} |", flush=True)


def dictionaries(options: argparse.Namespace) -> None:
    """He et al. 2020, figure 3, in small."""
    X, y = cifar10(options.data, options.images or 25_000)
    n_train = 4 * len(X) // 5
    n_labels = min(600, n_train // 2)
    train, held_out = slice(0, n_train), slice(n_train, None)
    found: dict[str, list[float]] = {dictionary: [] for dictionary in DICTIONARIES}
    print(f"\n| dictionary | negatives | batch | fit s | {n_labels} labels | 20 neighbours |\n{RULE}")
    begin = time.perf_counter()
    for dictionary in options.dictionary:
        for n in options.negatives:
            sizes: dict[str, Any] = (
                {"batch_size": n} if dictionary == "end_to_end" else {"queue_size": n, "batch_size": min(128, n_train)}
            )
            encoder = MoCoTransformer(dictionary=dictionary, random_state=0, **sizes)
            Z, Z_test, _, seconds = encoded(encoder, X[train], X[held_out], options.epochs or 10)
            nearest = knn_score(None, Z, y[train], Z_test, y[held_out])
            found[dictionary].append(nearest)
            few = probe(Z, y[train], Z_test, y[held_out], n_labels, 5)
            print(f"| {dictionary} | {n} | {sizes['batch_size']} | {seconds} | {few} | {nearest:.4f} |", flush=True)
    print(f"\n{(time.perf_counter() - begin) / 60:.0f} minutes")
    if options.figure is not None:
        draw(found, options.negatives, options.figure)


def draw(found: dict[str, list[float]], negatives: list[int], file: Path | io.BytesIO) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for (dictionary, accuracies), marker in zip(found.items(), "os^", strict=True):
        ax.plot(negatives[: len(accuracies)], accuracies, marker=marker, label=dictionary)
    ax.set(xscale="log", xlabel="negatives", ylabel="accuracy of 20 nearest neighbours", xticks=negatives)
    ax.set_xticklabels(map(str, negatives))
    ax.minorticks_off()
    ax.legend()
    figure.savefig(file, dpi=150)
    plt.close(figure)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks moco")
    add_data_option(parser, "mnist.npz, fashion_mnist.npz and cifar10.npz")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=["labels"])
    parser.add_argument("--images", type=int, default=None, help="at most so many to train with, and to test")
    parser.add_argument("--labels", type=int, nargs="+", default=[100, 600, 6000], help="labels: numbers of them")
    parser.add_argument("--negatives", type=int, nargs="+", default=NEGATIVES, help="dictionaries: numbers of them")
    parser.add_argument("--set", nargs="+", choices=["mnist", "fashion_mnist"], default=["mnist", "fashion_mnist"])
    parser.add_argument("--only", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--dictionary", nargs="+", choices=DICTIONARIES, default=DICTIONARIES)
    parser.add_argument("--no-baselines", action="store_true", help="cifar: the methods alone")
    parser.add_argument("--epochs", type=int, default=None, help="default: the estimator's own; 10 for dictionaries")
    parser.add_argument("--figure", type=Path, default=None, help="dictionaries: where the picture goes")
    parser.add_argument("--threads", type=int, default=None)
    options = parse(parser, arguments, QUICK, required=("data",))
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"{torch.get_num_threads()} torch threads, torch {torch.__version__}")
    for part in options.part:
        {"labels": labels, "cifar": cifar, "dictionaries": dictionaries}[part](options)
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")
