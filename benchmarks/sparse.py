"""SparseCoder against scikit-learn and, where it is installed, SPAMS: seconds, objectives, memory.

20000 grey 8x8 patches with their mean taken off and unit norm, as float32; 256 atoms, alpha 0.15, one thread. Coding
with atoms that SparseCoder learned: the lasso (scikit-learn: lasso_cd) and pursuit of 8 atoms. Learning: one epoch
in mini-batches of 256 rows, judged by the exact lasso objective on 20000 other patches. Runs alternate in one process
after a first of each; what takes longer than 4 seconds runs once. Medians, and the median of ratios to skrep. Peak
memory is that of fresh processes that fit random rows in a memory-mapped file. ``--quick`` takes 500 patches and 64
atoms.
"""

import argparse
import importlib
import math
import statistics
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.decomposition import SparseCoder as PeersCoder
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from benchmarks._data import cifar10
from benchmarks._measure import alternate, peak_memory
from benchmarks._options import add_data_option, parse
from benchmarks._peers import available
from skrep import SparseCoder
from skrep.datasets import load_fashion

SIDE, ALPHA, N_NONZERO, BATCH = 8, 0.15, 8, 256
SHAPES = [(100_000, 200), (1_000_000, 200), (2000, 10_000), (20_000, 10_000)]
QUICK = {"runs": 1, "patches": 500, "atoms": 64, "shapes": [(1000, 100)]}

PEAK_OF_FIT = """
import numpy as np
from skrep import SparseCoder

X = np.load(sys.argv[1], mmap_mode="r")
coder = SparseCoder(64, max_iter=1, random_state=0)
coder.fit(np.array(X[:500])).transform(np.array(X[:500]))
begin = peak()
coder.fit(X)
print(begin, peak())
"""

Coded = dict[str, np.ndarray]


def patches(images: np.ndarray, n_patches: int, seed: int) -> np.ndarray:
    """Patches at random, without those that have hardly any contrast."""
    rng = np.random.default_rng(seed)
    n = 3 * n_patches
    index = (rng.integers(len(images), size=n), *(rng.integers(side - SIDE + 1, size=n) for side in images.shape[1:]))
    windows = np.lib.stride_tricks.sliding_window_view(images, (SIDE, SIDE), (1, 2))
    rows = windows[index].reshape(n, -1).astype(np.float32)  # (n, side, side) -> rows
    rows -= rows.mean(1, keepdims=True)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    kept: np.ndarray = (rows / np.maximum(norms, 1e-6))[norms[:, 0] > 20]  # in grey levels of 0 to 255
    return kept[:n_patches]


def spams_takes(rows: np.ndarray) -> np.ndarray:
    """One row in each column."""
    columns: np.ndarray = np.asfortranarray(rows.T)
    return columns


def objective(X: np.ndarray, Z: np.ndarray, D: np.ndarray, alpha: float) -> float:
    residual = X.astype(np.float64) - Z.astype(np.float64) @ D
    return float((residual**2).sum(1).mean() / 2 + alpha * np.abs(Z).sum(1).mean())


def exact(X: np.ndarray, D: np.ndarray) -> float:
    """The least objective that these atoms allow."""
    X, D = X.astype(np.float64), D.astype(np.float64)
    coder = SparseCoder(dictionary=D / np.linalg.norm(D, axis=1, keepdims=True), alpha=ALPHA)
    return -coder.fit(X[:1]).score(X)


def report(title: str, seconds: dict[str, list[float]], figures: dict[str, float], name: str) -> None:
    print(f"| {title} | seconds | to skrep | {name} |\n|---|---|---|---|")
    for side, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(times, seconds["skrep"], strict=False))
        print(f"| {side} | {statistics.median(times):.3f} | {ratio:.1f} | {figures[side]:.5f} |", flush=True)
    print()


def keep(codes: Coded, side: str, call: Callable[[], Any]) -> Callable[[], None]:
    return lambda: codes.update({side: call()})


def coding(X: np.ndarray, D: np.ndarray, spams: Any, runs: int) -> None:
    X_columns, D_columns = spams_takes(X), spams_takes(D)
    codes: Coded = {}
    lasso = SparseCoder(dictionary=D, alpha=ALPHA, device="cpu").fit(X)
    peers: Any = PeersCoder(D, transform_algorithm="lasso_cd", transform_alpha=ALPHA)
    sides = {
        "skrep": keep(codes, "skrep", lambda: lasso.transform(X)),
        "scikit-learn, lasso_cd": keep(codes, "scikit-learn, lasso_cd", lambda: peers.transform(X)),
    }
    if spams:
        sides["SPAMS"] = keep(
            codes, "SPAMS", lambda: spams.lasso(X_columns, D_columns, lambda1=ALPHA, mode=2, numThreads=1)
        )
    seconds = alternate(sides, runs)
    figures = {side: objective(X, _dense(Z), D, ALPHA) for side, Z in codes.items()}
    report("lasso, alpha 0.15", seconds, figures, "objective")

    codes.clear()
    omp = SparseCoder(dictionary=D, algorithm="omp", n_nonzero_coefs=N_NONZERO, device="cpu").fit(X)
    pursuit: Any = PeersCoder(D, transform_algorithm="omp", transform_n_nonzero_coefs=N_NONZERO)
    sides = {
        "skrep": keep(codes, "skrep", lambda: omp.transform(X)),
        "scikit-learn, omp": keep(codes, "scikit-learn, omp", lambda: pursuit.transform(X)),
    }
    if spams:
        settings = {"L": N_NONZERO, "eps": 0.0, "numThreads": 1}
        sides["SPAMS"] = keep(codes, "SPAMS", lambda: spams.omp(X_columns, D_columns, **settings))
    seconds = alternate(sides, runs)
    figures = {side: objective(X, _dense(Z), D, 0) for side, Z in codes.items()}
    report("pursuit, 8 atoms", seconds, figures, "half the squared error")


def _dense(codes: Any) -> np.ndarray:
    """SPAMS returns a sparse matrix with a row's code in each column."""
    dense: np.ndarray = codes.T.toarray() if hasattr(codes, "toarray") else codes
    return dense


def learning(X: np.ndarray, held_out: np.ndarray, n_atoms: int, spams: Any, runs: int) -> None:
    X_columns = spams_takes(X)
    atoms: Coded = {}
    ours = SparseCoder(n_atoms, alpha=ALPHA, max_iter=1, batch_size=BATCH, random_state=0, device="cpu")
    peers = MiniBatchDictionaryLearning(
        n_atoms, alpha=ALPHA, fit_algorithm="cd", max_iter=1, batch_size=BATCH, random_state=0
    )
    sides = {
        "skrep": keep(atoms, "skrep", lambda: ours.fit(X).components_),
        "scikit-learn, MiniBatchDictionaryLearning": keep(
            atoms, "scikit-learn, MiniBatchDictionaryLearning", lambda: peers.fit(X).components_
        ),
    }
    if spams:
        steps = math.ceil(len(X) / BATCH)
        settings = {"K": n_atoms, "lambda1": ALPHA, "iter": steps, "batchsize": BATCH, "numThreads": 1}
        sides["SPAMS, trainDL"] = keep(
            atoms, "SPAMS, trainDL", lambda: spams.trainDL(X_columns, verbose=False, **settings).T
        )
    seconds = alternate(sides, runs)
    figures = {side: exact(held_out, D) for side, D in atoms.items()}
    report("one epoch of learning", seconds, figures, "objective on other patches")


def memory(folder: Path, shape: tuple[int, int]) -> None:
    path, rng, rows = folder / "rows.npy", np.random.default_rng(0), max(1, 2_000_000 // shape[1])
    file = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        file[start:stop] = rng.standard_normal((stop - start, shape[1]), np.float32)
    file.flush()
    del file
    begin, end = peak_memory(PEAK_OF_FIT, path)
    size = path.stat().st_size / 2**20
    print(f"| {shape[0]} x {shape[1]} | {size:.0f} | {begin:.0f} | {end:.0f} |", flush=True)
    path.unlink()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks sparse")
    add_data_option(parser, "cifar10.npz; without it, patches are of load_fashion")
    parser.add_argument("--patches", type=int, default=20_000)
    parser.add_argument("--atoms", type=int, default=256)
    parser.set_defaults(shapes=SHAPES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scratch", type=Path, help="folder on a disk with room for 800 MB; default: the system's")
    options = parse(parser, arguments, QUICK)
    torch.set_num_threads(1)
    # grey: (n, h, w, channels) -> (n, h, w)
    images = (load_fashion().images if options.data is None else cifar10(options.data, 5000)[0]).mean(3)
    X, held_out = (patches(images, options.patches, seed) for seed in (0, 1))
    spams: Any = available("SPAMS", lambda: importlib.import_module("spams"))
    warnings.simplefilter("ignore")  # scikit-learn's lasso_cd did not converge; that shows in its objective
    print(f"{len(X)} patches, {options.runs} alternating runs, scikit-learn {sklearn.__version__}\n")
    with threadpool_limits(1):
        D = SparseCoder(options.atoms, alpha=ALPHA, max_iter=5, random_state=0, device="cpu").fit(X).components_
        coding(X, D, spams, options.runs)
        learning(X, held_out, options.atoms, spams, options.runs)
    if Path("/proc/self/status").exists():
        print(
            "| rows x columns | file, MiB | peak memory before fit, MiB | peak memory of fit, MiB |\n|---|---|---|---|"
        )
        with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
            for shape in options.shapes:
                memory(Path(folder), shape)


if __name__ == "__main__":
    main(sys.argv[1:])
