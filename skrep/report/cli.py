"""``python -m skrep compare``: one line from data to a table, and to a page."""

import argparse
import contextlib
import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skrep._version import __version__
from skrep.autoencoder import AutoEncoderTransformer
from skrep.contrastive import SimCLRTransformer
from skrep.decomposition import PCAEncoder
from skrep.evaluation import compare
from skrep.evaluation.held_out import as_rows
from skrep.exceptions import DivergedError
from skrep.report.html import require_report, write_report
from skrep.report.progress import Progress
from skrep.report.tables import LabelledRows, load
from skrep.untrained import RandomEncoder

__all__ = ["main"]

BASELINES = ("raw", "random")
ENCODERS = ("pca", "autoencoder", "simclr")


def make_encoders(names: Sequence[str], rows: LabelledRows, seed: int) -> dict[str, Any]:
    """The encoders of the table by name, ready for these rows, the two baselines first."""
    pca = PCAEncoder(min(32, rows.n_columns, len(rows.y) // 2), random_state=seed)
    made: dict[str, Any] = {
        "raw": None,
        "random": RandomEncoder(like=SimCLRTransformer(random_state=seed)),
        "pca": make_pipeline(FunctionTransformer(as_rows), pca) if rows.are_images else pca,
        "autoencoder": AutoEncoderTransformer(random_state=seed),
        "simclr": SimCLRTransformer(random_state=seed),
    }
    made = {name: made[name] for name in [*BASELINES, *ENCODERS] if name in {*BASELINES, *names}}
    if rows.preparation is None:
        return made
    return {
        name: clone(rows.preparation) if encoder is None else make_pipeline(clone(rows.preparation), encoder)
        for name, encoder in made.items()
    }


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
        help=(
            ".csv, .parquet or .npz (arrays X and y), or a folder with one sub-folder of images for each class; "
            "left out: scikit-learn's digits"
        ),
    )
    compare_.add_argument("--target", metavar="COL", help="the column (or array) that holds the classes")
    compare_.add_argument(
        "--size", metavar="N", type=int, help="resize the images of a folder to N x N pixels (default: as they are)"
    )
    compare_.add_argument(
        "--encoders",
        metavar="A,B",
        default=",".join(ENCODERS),
        help=f"any of {', '.join(ENCODERS)}; raw and random are always there (default: all)",
    )
    compare_.add_argument(
        "--budget",
        metavar="SECONDS",
        type=float,
        help="about how long all fits together may take: encoders get fewer epochs if need be (default: no limit)",
    )
    compare_.add_argument("--report", metavar="FILE", type=Path, help="also write one HTML page with pictures")
    compare_.add_argument(
        "--resamples", metavar="N", type=int, default=10, help="draws of labels for each number of them (default: 10)"
    )
    compare_.add_argument(
        "--seed", metavar="N", type=int, default=0, help="decides the split, the draws and the encoders (default: 0)"
    )
    return parser.parse_args(arguments)


def check(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Refuse what cannot be done, before anything is read or fitted."""
    unknown = sorted(set(names) - {*BASELINES, *ENCODERS})
    if unknown:
        raise ValueError(f"--encoders: {', '.join(unknown)} is not known. Choose from {', '.join(ENCODERS)}.")
    if options.resamples < 1:
        raise ValueError(f"--resamples {options.resamples}: at least 1 is needed.")
    if not 0 <= options.seed < 2**32:
        raise ValueError(f"--seed {options.seed}: expected a whole number from 0 to {2**32 - 1}.")
    if options.budget is not None and not 0 < options.budget < math.inf:
        raise ValueError(f"--budget {options.budget:g}: expected seconds, a number above 0.")
    if options.size is not None and options.size < 1:
        raise ValueError(f"--size {options.size}: expected a number of pixels, at least 1.")
    if options.report is not None:
        require_report(options.report)


def run_compare(options: argparse.Namespace, command: str) -> int:
    """Carry out ``compare`` and return the exit status."""
    begin = time.perf_counter()
    names = [name.strip() for name in options.encoders.split(",") if name.strip()]
    check(options, names)
    rows = load(options.data, options.target, options.size)
    print("\n".join([str(rows), *rows.notes]), flush=True)
    encoders = make_encoders(names, rows, options.seed)
    if options.budget is not None:
        print("  timing an epoch of each encoder ...", file=sys.stderr, flush=True)
    with contextlib.closing(Progress(sys.stderr)) as progress:
        comparison = compare(
            encoders,
            rows.X,
            rows.y,
            n_resamples=options.resamples,
            unlabeled_value=None,  # rows without a class were left out
            random_state=options.seed,
            time_budget=options.budget,
            on_progress=progress,
        )
    print(f"{comparison.n_train} rows to learn from, {comparison.n_test} held out for testing.")
    print("Test accuracy of a logistic regression on the features, by labels per class (labels in all);")
    print(f"mean ± standard deviation over {options.resamples} draws of labels, * is the best of a column.\n")
    print(comparison, flush=True)
    if options.report is not None:
        run = {
            "Command": command,
            "Seed": str(options.seed),
            "Draws of labels": str(options.resamples),
            "Time": f"{time.perf_counter() - begin:.0f} s",
        }
        write_report(options.report, comparison, rows, run)
        print(f"\nThe report is in {options.report}.")
    if comparison.interrupted is None:
        return 0
    missing = [name for name in encoders if name not in {*comparison.failed, *(row.name for row in comparison.rows)}]
    print(f"skrep: interrupted; missing: {', '.join(missing)}", file=sys.stderr)
    return 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        The exit status: 0; 2 for input that cannot be used, told in one line; 130 after Ctrl-C, with the table and the
        report of the encoders that were through.
    """
    options = parse(arguments)
    command = shlex.join(["python", "-m", "skrep", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        return run_compare(options, command)
    except (ValueError, TypeError, OSError, DivergedError, MemoryError) as error:
        print(f"skrep: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("skrep: interrupted", file=sys.stderr)
        return 130
