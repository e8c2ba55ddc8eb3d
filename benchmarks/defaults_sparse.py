"""The measurements behind SparseCoder's defaults.

Accuracy of StandardScaler + LogisticRegression at 5 and, of tables with more than 1000 rows, 50 labels a class, mean
over splits and draws, with the seconds of a fit and its probes. alpha is in units of the table's root mean square.
``--quick`` takes one table.
"""

import argparse
import time
from typing import Any

import numpy as np

from benchmarks._data import labelled_tables
from benchmarks._options import add_data_option, parse
from skrep import PCAEncoder, SparseCoder
from skrep.evaluation import few_label_probe

BASELINES: dict[str, Any] = {"raw": None, "PCA, 90 % of variance": PCAEncoder(0.9)}
WEIGHTS = [0.15, 0.3, 0.6, 1.2, 2.4]
THRESHOLDS = [0.06, 0.25, 1.0, 2.0]
QUICK = {"splits": 1, "tables": ["wine"]}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks defaults_sparse")
    add_data_option(parser)
    parser.add_argument("--splits", type=int, default=2)
    parser.add_argument("--images", type=int, default=4000, help="training images of MNIST and Fashion-MNIST")
    parser.add_argument("--tables", nargs="*", help="tables to measure on; default: all")
    options = parse(parser, arguments, QUICK)
    tables = labelled_tables(options.data, options.images, options.tables)
    print("| candidate | " + " | ".join(tables) + " |\n|---" + "|---" * len(tables) + "|")

    def line(label: str, weight: float = 0.0, **settings: Any) -> None:
        cells = []
        for X, y in tables.values():
            encoder = BASELINES.get(label)
            if settings:
                alpha = weight * float(np.sqrt(np.square(X, dtype=np.float64).mean())) or None
                encoder = SparseCoder(random_state=0, alpha=alpha, **settings)
            begin = time.perf_counter()
            scores = [
                few_label_probe(
                    encoder, X, y, labels=[5, 50][: 1 + (len(y) > 1000)], n_resamples=6, random_state=s
                ).mean
                for s in range(options.splits)
            ]
            accuracy = "/".join(f"{value:.3f}" for value in np.mean(scores, axis=0))
            cells.append(f"{accuracy} ({(time.perf_counter() - begin) / options.splits:.1f} s)")
        print(f"| {label} | " + " | ".join(cells) + " |", flush=True)

    for label in BASELINES:
        line(label)
    for weight in WEIGHTS:
        line(f"lasso, {weight}", weight, n_components=128)
    line("lasso, 1.2, signs apart", 1.2, n_components=128, split_sign=True)
    for n_components in (64, 256):
        line(f"lasso, 1.2, {n_components} atoms", 1.2, n_components=n_components)
    for weight in THRESHOLDS:
        line(f"threshold, {weight}, signs apart", weight, n_components=256, algorithm="threshold", split_sign=True)
    for n_nonzero in (2, 8):
        line(f"omp, {n_nonzero}", n_components=128, algorithm="omp", n_nonzero_coefs=n_nonzero)
