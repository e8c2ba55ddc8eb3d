"""SimCLR with default parameters on MNIST or Fashion-MNIST: a probe with 100, 600 and 6000 labels.

Features are learned from the 60,000 training images without labels, then StandardScaler + LogisticRegression(C=0.1) on
a few labelled ones; test accuracy, the mean of 5 stratified draws (seeds 0 to 4).
"""

import argparse
import resource
import time
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks._data import add_data_option
from skrep import RandomEncoder, SimCLRTransformer

LABELS = (100, 600, 6000)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks mnist_simclr")
    add_data_option(parser, required=True)
    parser.add_argument("--set", choices=["mnist", "fashion_mnist"], default="mnist")
    parser.add_argument("--epochs", type=int, default=None, help="default: the estimator's own")
    parser.add_argument("--threads", type=int, default=None)
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    with np.load(options.data / f"{options.set}.npz") as archive:
        X, y, X_test, y_test = (archive[name] for name in ("x_train", "y_train", "x_test", "y_test"))
    X, X_test = X[..., np.newaxis], X_test[..., np.newaxis]  # (n, 28, 28) -> (n, 28, 28, 1)
    simclr = SimCLRTransformer(max_epochs=options.epochs, random_state=0)
    print(f"{options.set}, {torch.get_num_threads()} torch threads, torch {torch.__version__}\n")
    print("| features | fit s | " + " | ".join(f"{n} labels" for n in LABELS) + " |\n|---|---|---|---|---|")
    print(_line("raw pixels", None, 0.0, (X, y, X_test, y_test)), flush=True)
    for name, encoder in {"untrained": RandomEncoder(like=simclr), "SimCLR": simclr}.items():
        begin = time.perf_counter()
        encoder.fit(X)
        print(_line(name, encoder, time.perf_counter() - begin, (X, y, X_test, y_test)), flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"\n{simclr.n_epochs_} epochs; peak memory {peak:.0f} MiB")


def _line(name: str, encoder: Any, seconds: float, data: tuple[np.ndarray, ...]) -> str:
    X, y, X_test, y_test = data
    Z, Z_test = (
        (part.reshape(len(part), -1) / 255.0 if encoder is None else encoder.transform(part)) for part in (X, X_test)
    )
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    cells = []
    for n in LABELS:
        draws = [train_test_split(np.arange(len(y)), train_size=n, stratify=y, random_state=s)[0] for s in range(5)]
        scores = [probe.fit(Z[rows], y[rows]).score(Z_test, y_test) for rows in draws]
        cells.append(f"{np.mean(scores):.4f} ± {np.std(scores, ddof=1):.4f}")
    return f"| {name} | {seconds:.0f} | {' | '.join(cells)} |"
