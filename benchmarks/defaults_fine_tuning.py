"""The learning rate of FineTuneRegressor.

R² on held-out rows after fine-tuning with 100 labels, mean over draws: three tables behind an autoencoder, and digits
turned by up to 45 degrees, whose angle is to be told, behind SimCLR. Ridge on the same features, without fine-tuning,
stands beside. ``--quick`` takes one table.
"""

import argparse
import time
from typing import Any

import numpy as np
from scipy.ndimage import rotate
from sklearn.datasets import load_diabetes, load_digits, make_friedman1
from sklearn.preprocessing import StandardScaler

from benchmarks._options import parse
from skrep import AutoEncoderTransformer, FineTuneRegressor, SimCLRTransformer
from skrep.evaluation import default_regressor

RATES = [0.00025, 0.0005, 0.001, 0.002, 0.004]
N_LABELS = 100
QUICK = {"draws": 1, "sets": ["diabetes"]}


def diabetes() -> tuple[np.ndarray, np.ndarray]:
    X, y = load_diabetes(return_X_y=True)
    return StandardScaler().fit_transform(X), y


def friedman() -> tuple[np.ndarray, np.ndarray]:
    X, y = make_friedman1(2000, noise=1.0, random_state=0)
    return StandardScaler().fit_transform(X), y


def digits() -> tuple[np.ndarray, np.ndarray]:
    """The ink of the right half from the pixels of the left one."""
    images = load_digits().images
    return images[:, :, :4].reshape(len(images), -1), images[:, :, 4:].sum(axis=(1, 2))  # (n, 8, 4) -> (n, 32)


def turned() -> tuple[np.ndarray, np.ndarray]:
    images = np.pad(load_digits().images, ((0, 0), (2, 2), (2, 2)))
    angles = np.random.default_rng(0).uniform(-45, 45, len(images))
    turned = [rotate(image, angle, reshape=False, order=1) for image, angle in zip(images, angles, strict=True)]
    return np.stack(turned)[..., np.newaxis] / 16, angles  # (n, 12, 12) -> (n, 12, 12, 1)


SETS = {"diabetes": diabetes, "friedman": friedman, "digits": digits, "turned digits": turned}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks defaults_fine_tuning")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--sets", nargs="*", choices=list(SETS), help="default: all")
    options = parse(parser, arguments, QUICK)
    names = options.sets or list(SETS)
    print("| | " + " | ".join(["Ridge", *map(str, RATES)]) + " | s a fit |\n|---" + "|---" * (len(RATES) + 2) + "|")
    for name in names:
        X, y = SETS[name]()
        scores, seconds = [], 0.0
        for draw in range(options.draws):
            order = np.random.default_rng(draw).permutation(len(y))
            train, test = order[len(y) // 4 :], order[: len(y) // 4]
            make: Any = SimCLRTransformer if X.ndim == 4 else AutoEncoderTransformer
            encoder = make(random_state=draw).fit(X[train])
            few = train[:N_LABELS]
            ridge = default_regressor().fit(encoder.transform(X[few]), y[few])
            row = [ridge.score(encoder.transform(X[test]), y[test])]
            for lr in RATES:
                begin = time.process_time()
                tuned = FineTuneRegressor(encoder, lr=lr, random_state=draw).fit(X[few], y[few])
                seconds += time.process_time() - begin
                row.append(tuned.score(X[test], y[test]))
            scores.append(row)
        cells = [f"{value:.3f}" for value in np.mean(scores, axis=0)]
        print(f"| {name} | " + " | ".join(cells) + f" | {seconds / options.draws / len(RATES):.1f} |", flush=True)
