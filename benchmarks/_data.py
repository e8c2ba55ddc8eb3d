"""Data sets for benchmarks: scikit-learn's own, and larger ones where a folder with them is given."""

import argparse
import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets

__all__ = ["add_data_option", "cifar10", "labelled_tables"]


def add_data_option(parser: argparse.ArgumentParser, *, required: bool = False) -> None:
    """``--data FOLDER``: where mnist.npz and fashion_mnist.npz (x_train, y_train, x_test, y_test) are."""
    parser.add_argument(
        "--data",
        type=Path,
        required=required,
        help="folder with mnist.npz and fashion_mnist.npz (arrays x_train, y_train, x_test, y_test)",
    )


def labelled_tables(folder: Path | None, n_images: int = 4000) -> dict[str, tuple[Any, Any]]:
    """Rows and classes by name, of training parts only: columns in different units are standardised."""
    tables: dict[str, tuple[Any, Any]] = {}
    for name in ("digits", "breast_cancer", "wine"):
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        if name != "digits":
            X = (X - X.mean(0)) / X.std(0)
        tables[name] = X, y
    X, y = datasets.make_classification(
        2000, 40, n_informative=12, n_redundant=20, n_classes=4, n_clusters_per_class=2, class_sep=1.5, random_state=0
    )
    tables["planted"] = X, y
    for name in ("mnist", "fashion_mnist"):
        if folder is not None:
            with np.load(folder / f"{name}.npz") as archive:
                x, y = archive["x_train"][:n_images], archive["y_train"][:n_images]
            tables[name] = x.reshape(len(x), -1), y
    return tables


def cifar10(folder: Path, n_images: int, part: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """The first images of a part ("train" or "test") of cifar10.npz, (n, 32, 32, 3) uint8, and their classes.

    Images are stored as WebP strips of 500, one below the other: ``train_webp`` are the bytes of all strips,
    ``train_webp_offsets`` their ends, ``train_labels`` the classes.
    """
    from PIL import Image

    with np.load(folder / "cifar10.npz") as archive:
        data, ends, classes = (archive[f"{part}_{name}"] for name in ("webp", "webp_offsets", "labels"))
    n_strips = -(-n_images // 500)
    strips = [
        np.asarray(Image.open(io.BytesIO(data[begin:end].tobytes())).convert("RGB"))
        for begin, end in itertools.pairwise(ends[: n_strips + 1])
    ]
    return np.concatenate(strips).reshape(-1, 32, 32, 3)[:n_images], classes[:n_images]  # (500 k, 32, 3) -> images
