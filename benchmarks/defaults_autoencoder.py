"""The measurements behind AutoEncoderTransformer's defaults.

For each candidate: accuracy of StandardScaler + LogisticRegression at 5 labels a class, mean over splits and draws,
with the seconds of a fit. Candidates vary one parameter at a time around the base. ``--quick`` varies two of them on
one table.
"""

import argparse
import time
from typing import Any

import numpy as np

from benchmarks._data import labelled_tables
from benchmarks._options import add_data_option, parse
from skrep import AutoEncoderTransformer, PCAEncoder, RandomEncoder
from skrep.evaluation import few_label_probe

BASE: dict[str, Any] = {}
CANDIDATES: dict[str, list[Any]] = {
    "noise": [0.0, 0.25, 1.0],
    "max_epochs": [25, 50, 100],
    "batch_size": [32, 64, 256],
    "lr": [5e-4, 1e-3, 4e-3],
    "activation": ["relu", "tanh", "silu"],
    "hidden": [(), (128,), (256, 128), (512,), (1024, 512)],
    "n_components": [8, 16, 64, 128],
    "tied": [True],
    "weight_decay": [0.0, 1e-2],
}
QUICK = {"splits": 1, "only": ["tied", "weight_decay"], "tables": ["wine"]}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks defaults_autoencoder")
    add_data_option(parser)
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=list(CANDIDATES), help="parameters to vary")
    parser.add_argument("--images", type=int, default=4000, help="training images of MNIST and Fashion-MNIST")
    parser.add_argument("--tables", nargs="*", help="tables to measure on; default: all")
    options = parse(parser, arguments, QUICK)
    tables = labelled_tables(options.data, options.images, options.tables)
    print("| candidate | " + " | ".join(tables) + " | mean |\n|---" * 1 + "|---" * (len(tables) + 1) + "|")

    def line(label: str, encoder: Any) -> None:
        cells, means = [], []
        for X, y in tables.values():
            begin = time.perf_counter()
            scores = [
                few_label_probe(encoder, X, y, labels=[5], n_resamples=10, random_state=s).mean[0]
                for s in range(options.splits)
            ]
            cells.append(f"{np.mean(scores):.3f} ({(time.perf_counter() - begin) / options.splits:.0f} s)")
            means.append(np.mean(scores))
        print(f"| {label} | " + " | ".join(cells) + f" | {np.mean(means):.4f} |", flush=True)

    line("raw", None)
    line("PCA, 90 % of variance", PCAEncoder(0.9))
    line("untrained", RandomEncoder(like=AutoEncoderTransformer(random_state=0)))
    line("defaults", AutoEncoderTransformer(random_state=0, **BASE))
    for name in options.only:
        for value in CANDIDATES[name]:
            line(f"{name}={value}", AutoEncoderTransformer(random_state=0, **BASE | {name: value}))
