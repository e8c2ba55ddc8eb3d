"""Rows of pictures: images as they are, rows of a table as strips of colour."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "as_images",
    "check_axes",
    "check_same_shape",
    "draw_images",
    "draw_strips",
    "first_rows",
    "grid_size",
    "unit_range",
]

IMAGE_INCHES = 0.85  # width of a picture, with the gap beside it
STRIP_INCHES = (2.4, 0.34)  # width and height of a strip, with the gap below it


def first_rows(X: Any, n_samples: int) -> Any:
    """The first rows of X (an array, a list, a DataFrame), in X's own type."""
    if n_samples < 1:
        raise ValueError(f"n_samples={n_samples}: at least one sample is needed to draw.")
    return X[:n_samples]


def as_images(rows: np.ndarray, image_shape: tuple[int, ...]) -> np.ndarray:
    """Rows of a table folded into images (n_samples, height, width, channels)."""
    if rows.ndim != 2 or len(image_shape) not in (2, 3) or rows.shape[1] != math.prod(image_shape):
        raise ValueError(
            f"image_shape={image_shape} does not fit rows of shape {rows.shape}; expected (height, width) or (height, "
            "width, channels) whose product is the number of columns."
        )
    height, width, channels = image_shape if len(image_shape) == 3 else (*image_shape, 1)
    return rows.reshape(-1, height, width, channels)  # (n, h * w * c) -> (n, h, w, c)


def check_axes(array: np.ndarray, name: str) -> None:
    """Raise ValueError unless the array is a table or images that can be drawn."""
    if len(array) == 0 or not (array.ndim == 2 or (array.ndim == 4 and array.shape[3] in (1, 3))):
        raise ValueError(
            f"{name} got an array of shape {array.shape}; expected at least one row, of a table (n_samples, "
            "n_features) or of images (n_samples, height, width, channels) with 1 or 3 channels; grey images get their "
            "axis with X[..., np.newaxis]."
        )


def check_same_shape(array: np.ndarray, originals: np.ndarray, name: str) -> None:
    """Raise ValueError unless both arrays have one shape."""
    if array.shape != originals.shape:
        raise ValueError(
            f"{name} got originals of shape {originals.shape} beside an array of shape {array.shape}; both must have "
            "the same shape."
        )


def unit_range(images: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Images with black at 0 and white at 1.

    Black and white are 0 and 255 where `like` is uint8, 0 and 1 where it is within [0, 1], else its least and its
    greatest value. What is beyond them is clipped.
    """
    if like.dtype == np.uint8:
        low, high = 0.0, 255.0
    else:
        low, high = float(like.min()), float(like.max())
        if low >= 0 and high <= 1:
            low, high = 0.0, 1.0
    return ((images.astype(np.float32) - low) / (high - low or 1.0)).clip(0, 1)


def grid_size(
    array: np.ndarray, n_lines: int, n_columns: int, label_inches: float = 0.0, title_inches: float = 0.0
) -> tuple[float, float]:
    """Inches that a new figure needs for a grid of rows like these: width, height.

    There is room for labels on its left and, in a grid of images, for titles above each line.
    """
    if array.ndim == 2:
        width, height = STRIP_INCHES
        # room for the colour bar, and for the bar's ticks
        return n_columns * width + 0.9 + label_inches, max(1.3, n_lines * height + 0.6)
    height = IMAGE_INCHES * array.shape[1] / array.shape[2] + title_inches
    return n_columns * IMAGE_INCHES + 0.2 + label_inches, n_lines * height + 0.5


def draw_images(
    ax: Any, lines: Sequence[Sequence[np.ndarray]], title_inches: float = 0.0, **image_kw: Any
) -> np.ndarray:
    """Draw pictures (height, width, channels) of values in [0, 1], `lines` from the top down.

    `title_inches` is the room for titles above each line, of axes as large as :func:`grid_size` says.

    Returns
    -------
    ndarray of shape (n_lines, n_columns)
        The artists.
    """
    height, width = lines[0][0].shape[:2]
    cells = [[image[:, :, 0] if image.shape[2] == 1 else image for image in line] for line in lines]
    kw = {"cmap": "gray", "vmin": 0, "vmax": 1, "aspect": "equal"} | image_kw
    return _draw_cells(ax, cells, height / width, (0.08, 0.08 + title_inches / IMAGE_INCHES), kw)


def draw_strips(ax: Any, lines: Sequence[Sequence[np.ndarray]], **image_kw: Any) -> np.ndarray:
    """Draw rows (n_features,) as strips of one colour scale, with its bar.

    Returns
    -------
    ndarray of shape (n_lines, n_columns)
        The artists.
    """
    cells = [[row[np.newaxis] for row in line] for line in lines]  # each (1, n_features)
    values = np.concatenate([row for line in lines for row in line])
    kw = {"cmap": "viridis", "vmin": values.min(), "vmax": values.max(), "aspect": "auto"} | image_kw
    artists = _draw_cells(ax, cells, 1.0, (0.04, 0.25), kw)
    ax.figure.colorbar(artists[0, 0], ax=ax, label="value", fraction=0.05, pad=0.03)
    return artists


def _draw_cells(
    ax: Any, cells: list[list[np.ndarray]], height: float, gaps: tuple[float, float], image_kw: dict[str, Any]
) -> np.ndarray:
    """Draw arrays side by side, each 1 wide and `height` high, with a tick at the middle of each line and column."""
    artists = np.empty((len(cells), len(cells[0])), dtype=object)
    lefts = np.arange(artists.shape[1]) * (1 + gaps[0])
    tops = np.arange(artists.shape[0]) * (height + gaps[1])
    for i, j in np.ndindex(artists.shape):
        extent = (lefts[j], lefts[j] + 1, tops[i] + height, tops[i])
        artists[i, j] = ax.imshow(cells[i][j], **{"extent": extent, "interpolation": "nearest"} | image_kw)
    ax.set(xlim=(0, lefts[-1] + 1), ylim=(tops[-1] + height, 0))
    ax.set_xticks(lefts + 0.5, [""] * len(lefts))
    ax.set_yticks(tops + height / 2, [""] * len(tops))
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return artists
