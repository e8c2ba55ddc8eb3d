"""Encoders with their defaults on tables, against the raw columns at 10 labels a class.

Each split of a table holds out a quarter of its rows; encoders are fitted on the others without labels, and features
go to the probe of ``skrep.evaluation`` with the same draws of labels for all. For each table, in its own units and
standardised by hand: test accuracy, its difference to the raw columns (standardised where their units differ), the
p-value of that difference (paired t-test over all draws) and CPU seconds of a fit. ``--quick`` takes one table.
"""

import argparse
import time
from typing import Any

import numpy as np
import torch
from scipy.stats import ttest_rel
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine, make_classification
from sklearn.preprocessing import StandardScaler

from benchmarks._data import mnist
from benchmarks._options import add_data_option, parse
from skrep import AutoEncoderTransformer, MoCoTransformer, PCAEncoder, RandomEncoder, SimCLRTransformer
from skrep.evaluation.few_label import draw_labels, encode, probe_and_scorer, probe_features
from skrep.evaluation.held_out import hold_out

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


def diabetes() -> Table:
    """Thirds of the progression of diabetes, from measurements in their own units."""
    X, y = load_diabetes(return_X_y=True, scaled=False)
    return X, np.digitize(y, np.quantile(y, [1 / 3, 2 / 3]))


def log_normal() -> Table:
    """Six classes in 12 columns whose logarithms are normal, over seven orders of magnitude."""
    rng = np.random.default_rng(0)
    y = rng.integers(6, size=2000)
    logs = rng.normal(size=(6, 12))[y] + rng.normal(size=(2000, 12))
    return np.exp(logs + rng.uniform(-8, 8, size=12)), y


def mixed() -> Table:
    """Four classes, six categories one-hot encoded in 30 columns, and 6 numbers in units of their own."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=2000)
    taste = rng.dirichlet(np.full(5, 0.7), size=(4, 6))  # (class, category) -> shares of its 5 values
    kinds = np.array([[rng.choice(5, p=taste[label, j]) for j in range(6)] for label in y])
    numbers = (rng.normal(size=(4, 6))[y] + 1.5 * rng.normal(size=(2000, 6))) * 10.0 ** np.arange(-2, 4)
    return np.hstack([np.eye(5)[kinds].reshape(2000, 30), numbers]), y  # (2000, 6, 5) -> (2000, 30)


def long() -> Table:
    """Ten thousand rows of 30 columns, of which 10 are informative and 10 repeat them, in units of their own."""
    X, y = make_classification(10_000, 30, n_informative=10, n_redundant=10, n_classes=5, random_state=0)
    return X * np.random.default_rng(0).lognormal(sigma=3, size=30), y


def wide() -> Table:
    """500 rows of 1000 columns that come from 20 latent numbers."""
    rng = np.random.default_rng(0)
    y = rng.integers(4, size=500)
    latent = rng.normal(size=(4, 20))[y] + rng.normal(size=(500, 20))
    return latent @ rng.normal(size=(20, 1000)) + 2 * rng.normal(size=(500, 1000)), y


def tables(folder: Any) -> dict[str, Any]:
    return {
        "digits": lambda: load_digits(return_X_y=True),
        "MNIST": lambda: tuple(part.reshape(len(part), -1) if part.ndim > 1 else part for part in mnist(folder)[:2]),
        "wine": lambda: load_wine(return_X_y=True),
        "breast cancer": lambda: load_breast_cancer(return_X_y=True),
        "diabetes": diabetes,
        "log-normal": log_normal,
        "latent": lambda: latent(0),
        "mixed": mixed,
        "long": long,
        "wide": wide,
        "uninformative": lambda: uninformative(0),
    }


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks tables")
    add_data_option(parser)
    parser.add_argument("--splits", type=int, default=4)
    parser.add_argument("--draws", type=int, default=8, help="of labels, for each split")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=4000, help="of MNIST")
    parser.add_argument("--only", nargs="*", help="tables to measure")
    parser.add_argument("--encoders", nargs="*", choices=list(ENCODERS), default=list(ENCODERS))
    options = parse(parser, arguments, QUICK)
    torch.set_num_threads(options.threads)
    made = tables(options.data)
    print("| table | encoder | features | accuracy | to raw | p | CPU s |\n|---|---|---|---|---|---|---|")
    for name in options.only or made:
        X, y = made[name]()
        if name == "MNIST":
            X, y = X[: options.rows], y[: options.rows]
        _measure(name, X, y, options)
        _measure(f"{name}, standardised", StandardScaler().fit_transform(X), y, options)


def _measure(name: str, X: np.ndarray, y: np.ndarray, options: argparse.Namespace) -> None:
    scores: dict[str, list[np.ndarray]] = {encoder: [] for encoder in ("raw", *options.encoders)}
    seconds = dict.fromkeys(scores, 0.0)
    widths = {}
    for state in range(options.splits):
        data = hold_out("benchmark", X, y, random_state=state)
        draws = draw_labels(data, [10], n_resamples=options.draws, random_state=state)
        probe, scorer = probe_and_scorer(None, None, data)
        for label in scores:
            begin = time.process_time()
            fitted = None if label == "raw" else clone(ENCODERS[label]).fit(data.X)
            seconds[label] += time.process_time() - begin
            Z, Z_test = encode(fitted, data.X, data.X_test)
            widths[label] = Z.shape[1]
            scores[label].append(probe_features(Z, Z_test, data, draws, probe, scorer).scores[0])
    raw = np.concatenate(scores["raw"])
    print(f"| {name} | raw | {widths['raw']} | {raw.mean():.3f} | | | |", flush=True)
    for label in options.encoders:
        accuracy = np.concatenate(scores[label])
        difference, p = (accuracy - raw).mean(), ttest_rel(accuracy, raw).pvalue
        cells = [name, label, widths[label], f"{accuracy.mean():.3f}", f"{difference:+.3f}", f"{p:.2g}"]
        print(f"| {' | '.join(map(str, cells))} | {seconds[label] / options.splits:.1f} |", flush=True)
