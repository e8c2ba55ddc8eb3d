"""Coates & Ng's single-layer features of CIFAR-10 against raw pixels, principal components and an untrained network.

6x6 patches, normalised and whitened, a dictionary by OMP-1, a soft threshold of 0.25 with positive and negative parts
apart, sums over quadrants. Features go to StandardScaler + LogisticRegression, whose C is chosen for each encoder on
20,000 training images. The published accuracy is 79 to 80 % (Coates & Ng 2011, Table 1: 1600 atoms, 50,000 images, an
L2 support vector machine). ``--quick`` takes 300 emoji.
"""

import argparse
import resource
import time
import warnings
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmarks._data import cifar10
from benchmarks._options import add_data_option, parse
from skrep import PatchEncoder, PCAEncoder, RandomEncoder, SimCLRTransformer, SparseCoder

STRENGTHS = [1e-4, 1e-3, 3e-3, 1e-2]
QUICK = {"train": 300, "test": 100, "atoms": 32, "patches": 4000, "threads": 1}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks patches")
    add_data_option(parser, "cifar10.npz")
    parser.add_argument("--train", type=int, default=50_000, help="training images")
    parser.add_argument("--test", type=int, default=10_000, help="test images")
    parser.add_argument("--patches", type=int, default=400_000, help="patches to learn atoms from")
    parser.add_argument("--atoms", type=int, default=1600)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*", help="encoders to measure")
    options = parse(parser, arguments, QUICK, required=("data",))
    torch.set_num_threads(options.threads)
    begin = time.perf_counter()
    X, y = cifar10(options.data, options.train)
    X_test, y_test = cifar10(options.data, options.test, part="test")
    coder = SparseCoder(options.atoms, algorithm="threshold", alpha=0.25, split_sign=True, learning="omp1")
    flat = X.reshape(len(X), -1), X_test.reshape(len(X_test), -1)  # (n, 32, 32, 3) -> (n, 3072)
    runs: dict[str, tuple[Any, Any, Any]] = {
        "raw pixels": (None, *flat),
        "PCA, 256 components": (PCAEncoder(256, whiten=True), *flat),
        "untrained network": (RandomEncoder(like=SimCLRTransformer(random_state=0), random_state=0), X, X_test),
        "patches": (PatchEncoder(coder, n_patches=options.patches, random_state=0), X, X_test),
    }
    print("| encoder | features | fit s | transform s | C | probe s | test accuracy |\n|---|---|---|---|---|---|---|")
    for label in options.only or runs:
        _measure(label, *runs[label], y, y_test)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"\n{time.perf_counter() - begin:.0f} s in all; peak memory {peak:.1f} GiB.")


def _measure(label: str, encoder: Any, X: np.ndarray, X_test: np.ndarray, y: np.ndarray, y_test: np.ndarray) -> None:
    seconds = [time.perf_counter()]
    if encoder is not None:
        encoder.fit(X)
    seconds.append(time.perf_counter())
    Z, Z_test = (x.astype(np.float32) if encoder is None else encoder.transform(x) for x in (X, X_test))
    seconds.append(time.perf_counter())
    scaler = StandardScaler(copy=False).fit(Z)
    Z, Z_test = scaler.transform(Z), scaler.transform(Z_test)
    n = min(16_000, 4 * len(Z) // 5)
    warnings.simplefilter("ignore", ConvergenceWarning)  # a probe that is not done after 200 steps does not get better
    scores = [_probe(C).fit(Z[:n], y[:n]).score(Z[n : n + n // 4], y[n : n + n // 4]) for C in STRENGTHS]
    best = STRENGTHS[int(np.argmax(scores))]
    accuracy = _probe(best).fit(Z, y).score(Z_test, y_test)
    seconds.append(time.perf_counter())
    fit, transform, probe = np.diff(seconds)
    print(
        f"| {label} | {Z.shape[1]} | {fit:.1f} | {transform:.1f} | {best:g} | {probe:.0f} | {accuracy:.4f} |",
        flush=True,
    )


def _probe(C: float) -> LogisticRegression:
    return LogisticRegression(C=C, max_iter=200, tol=1e-3)
