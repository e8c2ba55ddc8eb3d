"""Encoders with their defaults on tables, against the raw columns at 10 labels a class.

Each split of a table holds out a quarter of its rows; encoders are fitted on the others without labels, and features
go to StandardScaler + LogisticRegression with the same draws of labels for all. For each table: test accuracy, its
difference to the raw columns, the p-value of that difference (paired t-test over all draws) and seconds for a fit.
The generated tables have structure that is known: columns that repeat each other, columns that a smooth network made
of a few latent numbers, and columns that say nothing. ``--quick`` takes one table.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from scipy.stats import ttest_rel
from sklearn.base import clone

from benchmarks._data import labelled_tables
from benchmarks._options import parse
from skrep import AutoEncoderTransformer, MoCoTransformer, PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.evaluation.few_label import draw_labels, probe_features, split

Table = tuple[np.ndarray, np.ndarray]

ENCODERS: dict[str, Any] = {
    "PCA, 90 % of variance": PCAEncoder(0.9),
    "untrained": RandomEncoder(like=SimCLRTransformer(random_state=0)),
    "autoencoder": AutoEncoderTransformer(random_state=0),
    "SimCLR": SimCLRTransformer(random_state=0),
    "MoCo": MoCoTransformer(random_state=0),
}
QUICK = {"splits": 1, "draws": 2, "only": ["wine"]}


def latent(seed: int) -> Table:
    """Six classes of two clusters each in five dimensions, seen in 40 columns through a smooth random network."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(12, size=2000)
    position = 1.2 * rng.normal(size=(12, 5))[cluster] + 0.5 * rng.normal(size=(2000, 5))
    hidden = np.tanh(position @ rng.normal(scale=0.7, size=(5, 64)) + rng.normal(scale=0.5, size=64))
    columns = hidden @ rng.normal(size=(64, 40))
    return columns / columns.std(0) + 0.3 * rng.normal(size=columns.shape), cluster % 6


def uninformative(seed: int) -> Table:
    """Five classes of two clusters each in ten columns, among 40 columns of noise."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(10, size=2000)
    informative = 1.5 * rng.normal(size=(10, 10))[cluster] + rng.normal(size=(2000, 10))
    return np.hstack([informative, rng.normal(size=(2000, 40))]), cluster % 5


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks tables")
    parser.add_argument("--splits", type=int, default=6)
    parser.add_argument("--draws", type=int, default=5, help="of labels, for each split")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="tables to measure")
    parser.add_argument("--encoders", nargs="*", choices=list(ENCODERS), default=list(ENCODERS))
    options = parse(parser, arguments, QUICK)
    torch.set_num_threads(options.threads)
    tables = labelled_tables(None) | {"latent": latent(0), "uninformative": uninformative(0)}
    print("| table | encoder | features | accuracy | to raw | p | fit s |\n|---|---|---|---|---|---|---|")
    for name in options.only or tables:
        _measure(name, tables[name], options.splits, options.draws, options.encoders)


def _measure(name: str, table: Table, n_splits: int, n_draws: int, encoders: list[str]) -> None:
    scores: dict[str, list[np.ndarray]] = {encoder: [] for encoder in ("raw", *encoders)}
    seconds = dict.fromkeys(scores, 0.0)
    widths = {"raw": table[0].shape[1]}
    for state in range(n_splits):
        X, X_test, y, y_test = split(*table, state)
        draws = draw_labels(y, [10], n_resamples=n_draws, random_state=state)
        scores["raw"].append(probe_features(X, y, X_test, y_test, [10], draws, C=1.0).scores[0])
        for label in encoders:
            begin = time.perf_counter()
            fitted = clone(ENCODERS[label]).fit(X)
            seconds[label] += time.perf_counter() - begin
            Z, Z_test = fitted.transform(X), fitted.transform(X_test)
            widths[label] = Z.shape[1]
            scores[label].append(probe_features(Z, y, Z_test, y_test, [10], draws, C=1.0).scores[0])
    raw = np.concatenate(scores["raw"])
    print(f"| {name} | raw | {widths['raw']} | {raw.mean():.3f} | | | |")
    for label in encoders:
        accuracy = np.concatenate(scores[label])
        difference, p = (accuracy - raw).mean(), ttest_rel(accuracy, raw).pvalue
        cells = [name, label, widths[label], f"{accuracy.mean():.3f}", f"{difference:+.3f}", f"{p:.2g}"]
        print(f"| {' | '.join(map(str, cells))} | {seconds[label] / n_splits:.1f} |", flush=True)
