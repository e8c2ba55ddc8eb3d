"""MoCo and SimCLR with their defaults on images, and the three dictionaries of He et al. 2020 (figure 3, in small).

``--part labels`` learns from the 60,000 training images of MNIST and Fashion-MNIST and probes with 100, 600 and 6000
labels (test accuracy, mean of 5 stratified draws). ``--part cifar`` learns from the 50,000 of CIFAR-10, and probes with
1 % and all of the labels, and with the nearest neighbours. The probe is StandardScaler + LogisticRegression(C=0.1).
``--part dictionaries`` learns from 20,000 training images of CIFAR-10 with each dictionary and growing numbers of
negatives, tests on 5,000 other training images, and draws the figure of the user guide.
"""

import argparse
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

from benchmarks._data import add_data_option, cifar10
from skrep import MoCoTransformer, PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.evaluation import knn_score

METHODS: dict[str, Any] = {"SimCLR": SimCLRTransformer(random_state=0), "MoCo": MoCoTransformer(random_state=0)}
RULE = "|---|---|---|---|---|---|"
NEGATIVES = (32, 128, 512, 2048)
DICTIONARIES = ("end_to_end", "memory_bank", "queue")


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
        with np.load(options.data / f"{name}.npz") as archive:
            X, y, X_test, y_test = (archive[part] for part in ("x_train", "y_train", "x_test", "y_test"))
        X, X_test = X[..., np.newaxis], X_test[..., np.newaxis]  # (n, 28, 28) -> (n, 28, 28, 1)
        print(f"\n{name}\n\n| features | epochs | fit s | 100 labels | 600 labels | 6000 labels |\n{RULE}")
        for label, encoder in {
            "raw pixels": None,
            "untrained": RandomEncoder(like=METHODS["SimCLR"]),
            **{m: METHODS[m] for m in options.only},
        }.items():
            Z, Z_test, n_epochs, seconds = encoded(encoder, X, X_test, options.epochs)
            cells = [probe(Z, y, Z_test, y_test, n, 5) for n in (100, 600, 6000)]
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
    X, y = cifar10(options.data, 50_000)
    X_test, y_test = cifar10(options.data, 10_000, "test")
    print("\n| features | epochs | fit s | 1 % of labels | all labels | 20 neighbours |\n" + RULE)
    baselines = {"raw": None, "PCA, 512": PCAEncoder(512), "untrained": RandomEncoder(like=METHODS["SimCLR"])}
    encoders = ({} if options.no_baselines else baselines) | {m: METHODS[m] for m in options.only}
    for label, encoder in encoders.items():
        Z, Z_test, n_epochs, seconds = encoded(encoder, X, X_test, options.epochs)
        cells = [probe(Z, y, Z_test, y_test, n, 5) for n in (500, len(y))]
        cells.append(f"{knn_score(None, Z, y, Z_test, y_test):.4f}")
        print(f"| {label} | {n_epochs} | {seconds} | {' | '.join(cells)} |", flush=True)


def dictionaries(options: argparse.Namespace) -> None:
    """He et al. 2020, figure 3, in small."""
    X, y = cifar10(options.data, 25_000)
    train, held_out = slice(0, 20_000), slice(20_000, None)
    found: dict[str, list[float]] = {dictionary: [] for dictionary in DICTIONARIES}
    print("\n| dictionary | negatives | batch | fit s | 600 labels | 20 neighbours |\n" + RULE)
    begin = time.perf_counter()
    for dictionary in options.dictionary:
        for n in NEGATIVES:
            sizes: dict[str, Any] = (
                {"batch_size": n} if dictionary == "end_to_end" else {"queue_size": n, "batch_size": 128}
            )
            encoder = MoCoTransformer(dictionary=dictionary, random_state=0, **sizes)
            Z, Z_test, _, seconds = encoded(encoder, X[train], X[held_out], options.epochs or 10)
            nearest = knn_score(None, Z, y[train], Z_test, y[held_out])
            found[dictionary].append(nearest)
            few = probe(Z, y[train], Z_test, y[held_out], 600, 5)
            print(f"| {dictionary} | {n} | {sizes['batch_size']} | {seconds} | {few} | {nearest:.4f} |", flush=True)
    print(f"\n{(time.perf_counter() - begin) / 60:.0f} minutes")
    if options.figure is not None:
        draw(found, options.figure)


def draw(found: dict[str, list[float]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
    for (dictionary, accuracies), marker in zip(found.items(), "os^", strict=True):
        ax.plot(NEGATIVES[: len(accuracies)], accuracies, marker=marker, label=dictionary)
    ax.set(xscale="log", xlabel="negatives", ylabel="accuracy of 20 nearest neighbours", xticks=NEGATIVES)
    ax.set_xticklabels(map(str, NEGATIVES))
    ax.minorticks_off()
    ax.legend()
    figure.savefig(path, dpi=150)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks moco")
    add_data_option(parser, required=True)
    parser.add_argument("--part", choices=["labels", "cifar", "dictionaries"], default="labels")
    parser.add_argument("--set", nargs="+", choices=["mnist", "fashion_mnist"], default=["mnist", "fashion_mnist"])
    parser.add_argument("--only", nargs="*", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--dictionary", nargs="+", choices=DICTIONARIES, default=DICTIONARIES)
    parser.add_argument("--no-baselines", action="store_true", help="cifar: the methods alone")
    parser.add_argument("--epochs", type=int, default=None, help="default: the estimator's own; 10 for dictionaries")
    parser.add_argument("--figure", type=Path, default=None, help="dictionaries: where the picture goes")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"{torch.get_num_threads()} torch threads, torch {torch.__version__}")
    {"labels": labels, "cifar": cifar, "dictionaries": dictionaries}[options.part](options)
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")
