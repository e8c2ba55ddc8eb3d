"""FastICAEncoder against scikit-learn's FastICA and python-picard's own estimator: seconds of fit, Amari distances.

Mixed Laplace sources as float32. Runs alternate; medians, and the median over rounds of the ratio to FastICA with its
default whitening. The Amari distance is that of the unmixing matrix found to the planted one: 0 is perfect, 1 worst.
"""

import argparse
import importlib
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.decomposition import FastICA

from benchmarks._options import parse
from benchmarks._peers import available
from skrep.decomposition import FastICAEncoder

PEER = "scikit-learn, svd"
QUICK = {"runs": 1, "shape": (2000, 8)}


def amari(unmixing: np.ndarray, mixing: np.ndarray) -> float:
    """0 where the product is a permutation, up to scale (Amari, Cichocki & Yang 1996)."""
    P = np.abs(unmixing.astype(np.float64) @ mixing)
    rows = (P / P.max(1, keepdims=True)).sum(1) - 1
    columns = (P / P.max(0, keepdims=True)).sum(0) - 1
    return float(rows.sum() + columns.sum()) / (2 * len(P) * (len(P) - 1))


def sides() -> dict[str, Callable[[int], Any]]:
    """An estimator for each seed, by name."""
    made: dict[str, Callable[[int], Any]] = {
        "skrep, svd": lambda seed: FastICAEncoder(random_state=seed),
        "skrep, eigh": lambda seed: FastICAEncoder(whiten_solver="eigh", random_state=seed),
        "skrep, eigh, order": lambda seed: FastICAEncoder(whiten_solver="eigh", order="negentropy", random_state=seed),
        PEER: lambda seed: FastICA(random_state=seed),
        "scikit-learn, eigh": lambda seed: FastICA(whiten_solver="eigh", random_state=seed),
    }
    if torch.cuda.is_available():
        made["skrep, svd, without CUDA"] = lambda seed: FastICAEncoder(random_state=seed, device="cpu")
    picard = available("python-picard", lambda: importlib.import_module("picard"))
    if picard is not None:
        theirs = picard.Picard
        made["skrep, picard"] = lambda seed: FastICAEncoder(solver="picard", random_state=seed)
        made["python-picard"] = lambda seed: theirs(tol=1e-4, random_state=seed)
    return made


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks ica")
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--shape", type=int, nargs=2, default=(20_000, 64), metavar=("ROWS", "COLUMNS"))
    options = parse(parser, arguments, QUICK)
    n_samples, n_sources = options.shape
    seconds: dict[str, list[float]] = {}
    distances: dict[str, list[float]] = {}
    iterations: dict[str, list[int]] = {}
    makers = sides()
    warnings.simplefilter("ignore")  # that a run of max_iter did not converge shows in its distance
    for run in range(options.runs + 1):
        rng = np.random.default_rng(run)
        mixing = rng.normal(size=(n_sources, n_sources))
        X = (rng.laplace(size=(n_samples, n_sources)) @ mixing.T).astype(np.float32)
        for side, make in makers.items():
            begin = time.perf_counter()
            fitted = make(run).fit(X)
            if run:  # the first round warms up
                seconds.setdefault(side, []).append(time.perf_counter() - begin)
                distances.setdefault(side, []).append(amari(fitted.components_, mixing))
                iterations.setdefault(side, []).append(getattr(fitted, "n_iter_", 0))
    print(
        f"{n_samples} x {n_sources}, {options.runs} alternating runs, {torch.get_num_threads()} threads, "
        f"scikit-learn {sklearn.__version__}, torch {torch.__version__}\n"
    )
    print(f"| | fit s | times as fast as {PEER} | iterations | Amari distance |")
    print("|---|---|---|---|---|")
    for side, times in seconds.items():
        ratio = statistics.median(theirs / ours for theirs, ours in zip(seconds[PEER], times, strict=True))
        steps = f"{statistics.median(iterations[side]):.0f}" if any(iterations[side]) else ""
        distance = f"{statistics.median(distances[side]):.5f}"
        print(f"| {side} | {statistics.median(times):.3f} | {ratio:.2f} | {steps} | {distance} |")


if __name__ == "__main__":
    main(sys.argv[1:])
