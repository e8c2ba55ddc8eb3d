"""``python -m skrep compare``: one line from data to a table."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skrep._version import __version__
from skrep.autoencoder import AutoEncoderTransformer
from skrep.base import RandomEncoder
from skrep.decomposition import PCAEncoder
from skrep.evaluation import compare
from skrep.exceptions import DivergedError
from skrep.report.tables import LabelledRows, load

__all__ = ["main"]

BASELINES = ("raw", "random")
ENCODERS = ("pca", "autoencoder")


def make_encoders(names: Sequence[str], n_features: int, seed: int) -> dict[str, Any]:
    """The encoders of the table by name, the two baselines first."""
    made: dict[str, Any] = {
        "raw": None,
        "random": RandomEncoder(like=AutoEncoderTransformer(random_state=seed)),
        "pca": PCAEncoder(min(32, n_features), random_state=seed),
        "autoencoder": AutoEncoderTransformer(random_state=seed),
    }
    return {name: made[name] for name in [*BASELINES, *ENCODERS] if name in {*BASELINES, *names}}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        "skrep", description="Representation learning behind scikit-learn's fit and transform."
    )
    parser.add_argument("--version", action="version", version=f"skrep {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    compare_ = commands.add_parser(
        "compare",
        help="compare encoders by how well a logistic regression on their features does with few labels",
        description=(
            "Fit each encoder without labels, then train a logistic regression on its features with "
            "few labels, and with all."
        ),
    )
    compare_.add_argument(
        "data",
        nargs="?",
        metavar="DATA",
        help=".csv, .parquet or .npz (arrays X and y); left out: scikit-learn's digits",
    )
    compare_.add_argument("--target", metavar="COL", help="the column (or array) that holds the classes")
    compare_.add_argument(
        "--encoders",
        metavar="A,B",
        default=",".join(ENCODERS),
        help=f"any of {', '.join(ENCODERS)}; raw and random are always there (default: all)",
    )
    compare_.add_argument(
        "--resamples", metavar="N", type=int, default=10, help="draws of labels for each budget (default: 10)"
    )
    compare_.add_argument(
        "--seed", metavar="N", type=int, default=0, help="decides the split, the draws and the encoders (default: 0)"
    )
    return parser.parse_args(arguments)


def run_compare(options: argparse.Namespace) -> None:
    """Carry out ``compare``."""
    names = [name.strip() for name in options.encoders.split(",") if name.strip()]
    unknown = sorted(set(names) - {*BASELINES, *ENCODERS})
    if unknown:
        raise ValueError(f"--encoders: {', '.join(unknown)} is not known. Choose from {', '.join(ENCODERS)}.")
    if options.resamples < 1:
        raise ValueError(f"--resamples {options.resamples}: at least 1 is needed.")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed {options.seed}: expected a whole number from 0 to {2**32 - 1}.")
    rows = load(options.data, options.target)
    _announce(rows)
    counts = np.unique(rows.y, return_counts=True)[1]
    budgets = [budget for budget in (1, 5, 10) if budget <= int(counts.min() * 0.7)]
    n_features = 1 if rows.preparation is None else clone(rows.preparation).fit_transform(rows.X).shape[1]
    n_features = rows.X.shape[1] if rows.preparation is None else n_features
    encoders = make_encoders(names, min(n_features, len(rows.y) // 2), options.seed)
    if rows.preparation is not None:
        encoders = {
            name: clone(rows.preparation) if e is None else make_pipeline(clone(rows.preparation), e)
            for name, e in encoders.items()
        }

    def show(name: str) -> None:
        print(f"  {name} ...", file=sys.stderr, flush=True)

    result = compare(
        encoders,
        rows.X,
        rows.y,
        budgets=[*budgets, 1.0],
        n_resamples=options.resamples,
        random_state=options.seed,
        on_start=show,
    )
    print(f"{result.n_train} rows to learn from, {result.n_test} held out for testing.")
    print("Test accuracy of StandardScaler + LogisticRegression on the features, by labels per class (labels in all);")
    print(f"mean ± standard deviation over {options.resamples} draws of labels, * is the best of a column.\n")
    print(result)


def _announce(rows: LabelledRows) -> None:
    print(f"{rows.name}: {rows.X.shape[0]} rows, {rows.X.shape[1]} columns, {len(np.unique(rows.y))} classes.")
    for note in rows.notes:
        print(note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 0, or 2 for input that cannot be used, told in one line."""
    options = parse(arguments)
    try:
        run_compare(options)
    except (ValueError, TypeError, FileNotFoundError, PermissionError, DivergedError, MemoryError) as error:
        print(f"skrep: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("skrep: interrupted", file=sys.stderr)
        return 130
    return 0
