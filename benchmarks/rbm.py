"""Boltzmann machines: speed beside scikit-learn's BernoulliRBM, likelihood of MNIST, probes with few and all labels.

Speed: one epoch of 20,000 images of 784 pixels to 256 hidden bits, persistent chains, alternating runs, medians; grey
images and images of bits, float32 and float64. "As plain" is without centring and averaging, as
BernoulliRBM is.

Likelihood: machines of 500 hidden bits are trained on the 60,000 grey training images, from which bits are drawn anew
in every batch; the test images are bits drawn once. The partition function is estimated by annealed importance
sampling with 100 chains and 14,500 temperatures; of nets with two layers the log-likelihood is a lower bound.
Salakhutdinov & Murray (2008, table 2) have -125.53 for CD-1, -105.50 for CD-3 and -86.34 for CD-25.

Probe: the same features of the grey images, StandardScaler and LogisticRegression on 600 labels (mean of 5 stratified
draws, seeds 0 to 4) and on all 60,000; C is chosen for each encoder on the last 10,000 training images. Accuracy on
the test images.

Defaults: mean log-likelihood of the last third of each table's rows after training on the others with the default
number of epochs, in nats above columns that are independent. Tables in [0, 1] become bits.

``--quick`` is all of it on 300 images of ``load_fashion`` and one table, with an epoch for each machine.
"""

import argparse
import functools
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import BernoulliRBM
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skrep
import skrep.exceptions
from benchmarks._data import labelled_tables, mnist
from benchmarks._measure import alternate
from benchmarks._options import add_data_option, parse
from skrep import DeepBeliefEncoder, DeepBoltzmannEncoder, PCAEncoder, RandomEncoder, RBMEncoder

PARTS = ["speed", "machines", "defaults"]
FEW = 600
C = (0.001, 0.01, 0.1, 1.0)
QUICK = {"images": 300, "epochs": 1, "temperatures": 20, "tables": ["wine"], "runs": 1}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks rbm")
    add_data_option(parser)
    parser.add_argument("--part", choices=PARTS, nargs="*", default=PARTS)
    parser.add_argument("--only", nargs="*", help="names of encoders; default: all")
    parser.add_argument("--tables", nargs="*", help="tables to choose defaults on; default: all")
    parser.add_argument("--images", type=int, default=None, help="at most so many to train with, and to test")
    parser.add_argument(
        "--epochs", type=int, default=None, help="default: 40 to 100 for machines, their own for defaults"
    )
    parser.add_argument("--temperatures", type=int, default=14_500, help="of annealed importance sampling")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--save", type=Path, help="folder in which fitted encoders are kept, and found again")
    parser.add_argument("--threads", type=int, default=1)
    options = parse(parser, arguments, QUICK, required=("data",))
    torch.set_num_threads(options.threads)
    X, y, X_test, y_test = mnist(options.data, most=options.images)
    X, X_test = (part.reshape(len(part), -1) / np.float32(255) for part in (X, X_test))  # (n, 28, 28) -> (n, 784)
    if "speed" in options.part:
        _speed(X[:20_000], options.runs)
    if "defaults" in options.part:
        _defaults(options.data, options.tables, options.epochs)
    if "machines" in options.part:
        few = _few(len(y))
        print(f"\n| encoder | fit min | AIS min | test nats | ± | training nats | {few} labels | {len(y):,} labels |")
        print("|---|---|---|---|---|---|---|---|")
        for name, encoder in _encoders(options.epochs, len(X)).items():
            if not options.only or name in options.only:
                _measure(name, encoder, (X, y, X_test, y_test), options.temperatures, options.save)
        print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB")


def _speed(X: np.ndarray, runs: int) -> None:
    bits = _bits(X)
    RBMEncoder(8, max_epochs=1).fit(bits[:100])  # what torch imports at first use
    print("| images | batch | scikit-learn s | skrep s | ratio | as plain s | ratio |\n|---|---|---|---|---|---|---|")
    for images, data in {"grey": X, "bits": bits, "grey, float64": X.astype(np.float64)}.items():
        for batch_size in (10, 100):
            same: dict[str, Any] = {"batch_size": batch_size, "random_state": 0}
            encoders: dict[str, Any] = {
                "theirs": BernoulliRBM(256, n_iter=1, learning_rate=0.01, **same),
                "ours": RBMEncoder(256, max_epochs=1, **same),
                "plain": RBMEncoder(256, max_epochs=1, centring=False, averaging=0, **same),
            }
            sides: dict[str, Any] = {name: functools.partial(e.fit, data) for name, e in encoders.items()}
            seconds = alternate(sides, runs, most=60)
            cells = [f"{statistics.median(seconds['theirs']):.3f}"]
            for side in ("ours", "plain"):
                ratio = statistics.median(a / b for a, b in zip(seconds["theirs"], seconds[side], strict=True))
                cells.append(f"{statistics.median(seconds[side]):.3f} | {ratio:.2f}")
            print(f"| {images} | {batch_size} | {' | '.join(cells)} |", flush=True)


def _defaults(folder: Path | None, only: list[str] | None, epochs: int | None) -> None:
    tables = {}
    for name, (X, _) in labelled_tables(folder, 2000, only).items():
        X = X[np.random.default_rng(0).permutation(len(X))]
        tables[name] = (_bits(X / X.max()) if X.min() >= 0 else X).astype(np.float32)
    settings = {f"lr {lr}": {"lr": lr} for lr in (0.02, 0.05, 0.1, 0.2, 0.4)}
    settings |= {f"batch {size}": {"batch_size": size} for size in (32, 128)}
    settings |= {f"{part} x columns": {"part": part} for part in (0.5, 2)}
    settings |= {"no averaging": {"averaging": 0.0}, "no centring": {"centring": False}, "default": {}}
    print("\n| | " + " | ".join(tables) + " |\n|---" + "|---" * len(tables) + "|")
    for name, options in settings.items():
        cells = [_above_independent(X, max_epochs=epochs, **options) for X in tables.values()]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def _above_independent(X: np.ndarray, part: float | None = None, **options: Any) -> str:
    n = 2 * len(X) // 3
    n_components = None if part is None else round(part * X.shape[1])
    try:
        machine = RBMEncoder(n_components, random_state=0, **options).fit(X[:n])
    except skrep.exceptions.DivergedError:
        return "diverged"
    if X.min() >= 0:
        p = (X[:n].sum(0) + 1) / (n + 2)
        independent = (X[n:] @ np.log(p) + (1 - X[n:]) @ np.log1p(-p)).mean()
    else:
        mean, spread = X[:n].mean(0), X[:n].std(0)
        densities = -0.5 * ((X[n:] - mean) / spread) ** 2 - np.log(spread) - 0.5 * np.log(2 * np.pi)
        independent = densities.sum(1).mean()
    return f"{machine.score(X[n:]) - independent:+.2f}"


def _encoders(epochs: int | None, n_samples: int) -> dict[str, Any]:
    machine: dict[str, Any] = {"lr": 0.1, "batch_size": 100, "random_state": 0}
    return {
        "raw": None,
        "PCA": PCAEncoder(min(500, n_samples)),
        "RandomEncoder": RandomEncoder(500, random_state=0),
        "PCD-1": RBMEncoder(500, max_epochs=epochs or 100, **machine),
        "CD-1": RBMEncoder(500, persistent=False, max_epochs=epochs or 100, **machine),
        "CD-3": RBMEncoder(500, persistent=False, n_gibbs=3, max_epochs=epochs or 100, **machine),
        "CD-25": RBMEncoder(500, persistent=False, n_gibbs=25, max_epochs=epochs or 40, **machine),
        "DBN 500-500": DeepBeliefEncoder(
            500, hidden=(500,), rbm=RBMEncoder(lr=0.1, max_epochs=epochs or 50, batch_size=100), random_state=0
        ),
        "DBM 500-500": DeepBoltzmannEncoder(
            500, n_hidden=500, max_epochs=epochs or 40, lr=0.05, weight_decay=2e-4, batch_size=100, random_state=0
        ),
    }


def _measure(name: str, encoder: Any, data: tuple[np.ndarray, ...], n_temperatures: int, folder: Path | None) -> None:
    X, y, X_test, y_test = data
    begin = time.perf_counter()
    file = None if folder is None else folder / f"{name}.skrep"
    if file is not None and file.exists():
        encoder = skrep.load(file)
        begin = time.perf_counter()
    elif encoder is not None:
        encoder.fit(X)
        if file is not None:
            skrep.save(encoder, file)
    fitted = time.perf_counter()
    if hasattr(encoder, "log_likelihood"):
        test, error = encoder.log_likelihood(_bits(X_test), n_temperatures=n_temperatures)
        measured = time.perf_counter()
        train = encoder.log_likelihood(_bits(X)[:10_000], n_temperatures=n_temperatures).value
        cells = f"{(measured - fitted) / 60:.1f} | {test.mean():.2f} | {error:.2f} | {train.mean():.2f}"
    else:
        cells = " | | | "
    Z, Z_test = (part if encoder is None else encoder.transform(part) for part in (X, X_test))
    print(f"| {name} | {(fitted - begin) / 60:.1f} | {cells} | {_probe(Z, y, Z_test, y_test)} |", flush=True)


def _probe(Z: np.ndarray, y: np.ndarray, Z_test: np.ndarray, y_test: np.ndarray) -> str:
    size, n = _few(len(y)), len(y)
    draws = [train_test_split(np.arange(n), train_size=size, stratify=y, random_state=s)[0] for s in range(5)]
    held_out = np.arange(n) >= 5 * n // 6
    few = draws[0][~held_out[draws[0]]]
    best = {}
    for how_many, rows in {"few": few, "all": np.arange(n // 3)}.items():
        scores = {c: _logistic(c).fit(Z[rows], y[rows]).score(Z[held_out], y[held_out]) for c in C}
        best[how_many] = max(C, key=lambda c: scores[c])
    with_few = [_logistic(best["few"]).fit(Z[rows], y[rows]).score(Z_test, y_test) for rows in draws]
    with_all = _logistic(best["all"]).fit(Z, y).score(Z_test, y_test)
    return f"{np.mean(with_few):.4f} ± {np.std(with_few, ddof=1):.4f} | {with_all:.4f}"


def _few(n: int) -> int:
    return min(FEW, n // 3)


def _logistic(c: float) -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=200, tol=1e-3))


def _bits(X: np.ndarray) -> np.ndarray:
    return (np.random.default_rng(0).random(X.shape, dtype=np.float32) < X).astype(np.float32)
