"""Options of a benchmark, with ``--quick`` for each of them."""

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_data_option", "parse"]


def add_data_option(
    parser: argparse.ArgumentParser,
    contents: str = "mnist.npz and fashion_mnist.npz (arrays x_train, y_train, x_test, y_test)",
) -> None:
    """``--data FOLDER``: where the large data sets are."""
    parser.add_argument("--data", type=Path, help=f"folder with {contents}")


def parse(
    parser: argparse.ArgumentParser, arguments: list[str], quick: dict[str, Any], required: tuple[str, ...] = ()
) -> argparse.Namespace:
    """The options; with ``--quick``, `quick` in the place of their defaults. What is given explicitly wins over both.

    Options in `required` have to be given, but for ``--quick``.
    """
    parser.add_argument(
        "--quick", action="store_true", help="the whole benchmark in small, within seconds and without any --data"
    )
    if parser.parse_known_args(arguments)[0].quick:
        parser.set_defaults(**quick)
    options = parser.parse_args(arguments)
    missing = [f"--{name}" for name in required if getattr(options, name) is None]
    if missing and not options.quick:
        parser.error(f"needs {' and '.join(missing)}, or --quick")
    if options.quick:
        print("Quick figures say nothing but that the benchmark runs: sizes are tiny, and data that come with skrep or")
        print("its peers are in the place of --data.\n", flush=True)
    return options
