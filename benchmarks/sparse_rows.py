"""Networks and sparse coding on one-hot columns: from sparse rows against from dense ones.

A generated table of 40 columns of 20 categories and 9 of numbers passes through OneHotEncoder and StandardScaler, in a
ColumnTransformer that gives sparse rows or dense ones, and into each encoder for one epoch, in a fresh process. Peak
memory is what ``fit`` and ``transform`` take beyond the table, the imports and a fit of 500 rows. One thread of
torch. ``--quick`` takes 1000 rows and two encoders.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import skrep
from benchmarks._measure import peak_memory
from benchmarks._options import parse

N_CATEGORIES, N_ONE_HOT, N_NUMBERS = 20, 40, 9
ONE_EPOCH: dict[str, Any] = {"max_epochs": 1, "random_state": 0}
ENCODERS: dict[str, Any] = {
    "AutoEncoderTransformer": skrep.AutoEncoderTransformer(16, **ONE_EPOCH),
    "SimCLRTransformer": skrep.SimCLRTransformer(16, **ONE_EPOCH),
    "MoCoTransformer": skrep.MoCoTransformer(16, **ONE_EPOCH),
    "RBMEncoder": skrep.RBMEncoder(16, **ONE_EPOCH),
    "DeepBeliefEncoder": skrep.DeepBeliefEncoder(16, rbm=skrep.RBMEncoder(max_epochs=1), **ONE_EPOCH),
    "DeepBoltzmannEncoder": skrep.DeepBoltzmannEncoder(16, **ONE_EPOCH),
    "RandomEncoder": skrep.RandomEncoder(16, random_state=0),
    "SparseCoder": skrep.SparseCoder(16, algorithm="threshold", max_iter=1, random_state=0),
}
QUICK = {"rows": 1000, "only": ["AutoEncoderTransformer", "SparseCoder"]}

FIT = """
import time
import warnings
import numpy as np
import torch
from benchmarks.sparse_rows import pipeline, table

torch.set_num_threads(1)
warnings.simplefilter("ignore")
name, is_sparse, rows, path = sys.argv[1:]
X, made = table(int(rows)), pipeline(name, is_sparse == "True")
made.fit(X[:500]).transform(X[:500])
begin, start = peak(), time.perf_counter()
features = made.fit(X).transform(X)
np.savez(path, features=features, seconds=time.perf_counter() - start)
print(begin, peak())
"""


def table(n_rows: int) -> pd.DataFrame:
    """Columns of categories and of numbers that depend on a few common causes."""
    rng = np.random.default_rng(0)
    causes = rng.standard_normal((n_rows, 5))
    mixed = causes @ rng.standard_normal((5, N_ONE_HOT + N_NUMBERS)) + rng.standard_normal(
        (n_rows, N_ONE_HOT + N_NUMBERS)
    )
    ranks = mixed[:, :N_ONE_HOT].argsort(0).argsort(0)  # (n_rows, n_one_hot)
    categories = (ranks * N_CATEGORIES // n_rows).astype(np.int8)
    return pd.concat(
        [pd.DataFrame(categories).add_prefix("c"), pd.DataFrame(mixed[:, N_ONE_HOT:]).add_prefix("x")], axis=1
    )


def pipeline(name: str, is_sparse: bool) -> Pipeline:
    parts = [
        ("one_hot", OneHotEncoder(), [f"c{i}" for i in range(N_ONE_HOT)]),
        ("numbers", StandardScaler(), [f"x{i}" for i in range(N_NUMBERS)]),
    ]
    return make_pipeline(ColumnTransformer(parts, sparse_threshold=1.0 if is_sparse else 0.0), ENCODERS[name])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks sparse_rows")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--only", nargs="*", choices=ENCODERS, default=list(ENCODERS))
    options = parse(parser, arguments, QUICK)
    n_columns = N_ONE_HOT * N_CATEGORIES + N_NUMBERS
    size = options.rows * n_columns * 8 / 2**20
    print(f"{options.rows} rows of {n_columns} columns: {size:.0f} MiB dense in float64, half of that in float32\n")
    print(
        "| encoder | MiB, sparse | MiB, dense | seconds, sparse | seconds, dense | same bits |\n|---" + "|---" * 5 + "|"
    )
    for name in options.only:
        memory, made = [], []
        for is_sparse in (True, False):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "features.npz")
                begin, end = peak_memory(FIT, name, is_sparse, options.rows, path)
                memory.append(end - begin)
                made.append(dict(np.load(path)))
        cells = [*(f"{mib:.0f}" for mib in memory), *(f"{found['seconds']:.1f}" for found in made)]
        same = np.array_equal(made[0]["features"], made[1]["features"])
        print(f"| {name} | {' | '.join(cells)} | {'yes' if same else 'NO'} |", flush=True)
