"""PCAEncoder against scikit-learn, in memory and out of core: seconds, variances, memory.

In memory, ``fit`` with the default solver against each of scikit-learn's, on MNIST (60000x784, float32, 50 components)
and, with ``--shapes``, on other shapes. Out of core, the same rows from a memory-mapped file in chunks of 4000: ``fit``
with ``batch_size=4000`` against IncrementalPCA, whose ``partial_fit`` gets the chunks. Runs alternate in one process;
medians, and the median of ratios to skrep (bold: scikit-learn's fastest). Variances are held against a full
decomposition in float64. Peak memory is that of fresh processes which fit files of random rows, one ten times as long
as the other. ``--quick`` generates 1000 rows.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA, IncrementalPCA

from benchmarks._data import mnist
from benchmarks._measure import alternate, peak_memory
from benchmarks._options import parse
from skrep import PCAEncoder

SOLVERS = ("covariance_eigh", "randomized", "arpack", "full")
N_COMPONENTS, N_FEATURES = 50, 784
QUICK = {"runs": 1, "rows": 1000, "batch": 250}

SHAPES = [  # rows, columns, components
    (200_000, 100, 10), (20_000, 1500, 50), (5000, 3000, 50), (5000, 784, 10), (2000, 2000, 50), (1000, 20_000, 50),
    (300, 100_000, 20),
]  # fmt: skip

PEAK_OF_FIT = """
import numpy as np
from skrep import PCAEncoder

begin = peak()
PCAEncoder(int(sys.argv[2])).fit(np.load(sys.argv[1], mmap_mode="r"))
print(begin, peak())
"""


def rows_like_images(n_samples: int, n_features: int, dtype: Any = np.float32, seed: int = 0) -> np.ndarray:
    """Rows whose variances fall as those of images do, with noise and a mean."""
    rng = np.random.default_rng(seed)
    rank = min(n_samples, n_features, 300)
    axes = rng.standard_normal((rank, n_features), np.float32) / np.arange(1, rank + 1, dtype=np.float32)[:, None]
    X = rng.standard_normal((n_samples, rank), np.float32) @ axes
    X += 0.1 * rng.standard_normal((n_samples, n_features), np.float32) + 1
    return X.astype(dtype, copy=False)


def in_memory(X: np.ndarray, n_components: int, runs: int) -> None:
    fitted: dict[str, Any] = {}

    def fit(name: str, estimator: Any) -> Callable[[], None]:
        return lambda: fitted.update({name: estimator.fit(X)})

    sides = {"skrep": fit("skrep", PCAEncoder(n_components, random_state=0))}
    for solver in SOLVERS:
        if solver == "covariance_eigh" and X.shape[1] > 4000:
            continue  # a matrix of (n_features, n_features)
        if solver == "full" and min(X.shape) > 1000:
            continue  # a minute and more
        sides[solver] = fit(solver, PCA(n_components, svd_solver=solver, random_state=0))
    seconds = alternate(sides, runs)
    # all of it where there is time, else by ARPACK, which is as exact
    reference = PCA(n_components, svd_solver="full" if min(X.shape) <= 1000 else "arpack", random_state=0)
    exact = reference.fit(X.astype(np.float64)).explained_variance_
    shape = f"{X.shape[0]}x{X.shape[1]}, {n_components}"
    ratios = {
        side: statistics.median(a / b for a, b in zip(times, seconds["skrep"], strict=False))
        for side, times in seconds.items()
    }
    fastest = min(ratios.keys() - {"skrep"}, key=ratios.__getitem__)
    for side, times in seconds.items():
        off = np.abs(fitted[side].explained_variance_ / exact - 1).max()
        ratio = f"**{ratios[side]:.2f}**" if side == fastest else f"{ratios[side]:.2f}"
        print(f"| {shape} | {X.dtype} | {side} | {statistics.median(times):.3f} | {ratio} | {off:.1e} |", flush=True)


def out_of_core(X: np.ndarray, folder: Path, batch: int, runs: int) -> None:
    np.save(folder / "rows.npy", X)
    mapped = np.load(folder / "rows.npy", mmap_mode="r")
    fitted: dict[str, Any] = {}

    def ours() -> None:
        fitted["skrep"] = PCAEncoder(N_COMPONENTS, batch_size=batch).fit(mapped)

    def theirs() -> None:
        fitted["IncrementalPCA"] = model = IncrementalPCA(N_COMPONENTS, batch_size=batch)
        for start in range(0, len(mapped), batch):
            model.partial_fit(mapped[start : start + batch])

    seconds = alternate({"skrep": ours, "IncrementalPCA": theirs}, runs, most=60)
    exact = PCA(N_COMPONENTS, svd_solver="full").fit(X.astype(np.float64)).explained_variance_
    print("\n| out of core | seconds | largest relative error of explained_variance_ |\n|---|---|---|")
    for side, times in seconds.items():
        off = np.abs(fitted[side].explained_variance_ / exact - 1).max()
        print(f"| {side} | {statistics.median(times):.2f} | {off:.1e} |")
    ratio = statistics.median(b / a for a, b in zip(*seconds.values(), strict=True))
    print(f"\nskrep is {ratio:.1f} times as fast")


def memory(folder: Path, n_samples: int) -> None:
    path = folder / f"{n_samples}.npy"
    file = np.lib.format.open_memmap(path, "w+", np.float32, (n_samples, N_FEATURES))
    for start in range(0, n_samples, 10_000):
        file[start : start + 10_000] = rows_like_images(min(10_000, n_samples - start), N_FEATURES, seed=start)
    file.flush()
    del file
    begin, end = peak_memory(PEAK_OF_FIT, path, N_COMPONENTS)
    print(f"| {n_samples} | {path.stat().st_size / 2**20:.0f} | {begin:.0f} | {end:.0f} |", flush=True)
    path.unlink()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks pca")
    parser.add_argument("--data", type=Path, help="folder with mnist.npz; without it, rows are generated")
    parser.add_argument("--rows", type=int, default=60_000, help="rows to generate; of MNIST, 60,000 or fewer")
    parser.add_argument("--batch", type=int, default=4000, help="rows of a chunk out of core")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shapes", action="store_true", help="also other shapes and float64")
    parser.add_argument("--scratch", type=Path, help="folder on a disk with room for 2.5 GB; default: the system's")
    options = parse(parser, arguments, QUICK)
    if options.data is None:
        X = rows_like_images(options.rows, N_FEATURES)
    else:
        images, *_ = mnist(options.data, most=options.rows)
        X = images.reshape(-1, N_FEATURES).astype(np.float32)  # (n, 28, 28) -> rows
    print("| shape, components | dtype | solver | seconds | to skrep | to exact variances |\n|---|---|---|---|---|---|")
    in_memory(X, N_COMPONENTS, options.runs)
    if options.shapes:
        for n_samples, n_features, n_components in SHAPES:
            for dtype in (np.float32, np.float64):
                in_memory(rows_like_images(n_samples, n_features, dtype), n_components, options.runs)
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        out_of_core(X, Path(folder), options.batch, options.runs)
        if Path("/proc/self/status").exists():
            print("\n| rows | file, MiB | peak memory before fit, MiB | peak memory of fit, MiB |\n|---|---|---|---|")
            for n_samples in (options.rows, 10 * options.rows):
                memory(Path(folder), n_samples)
