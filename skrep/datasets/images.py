"""Images to try a method on: no download, a tenth of a second to load."""

from importlib.resources import files
from typing import Any

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_emoji", "load_fashion"]


def _load(name: str, return_X_y: bool) -> Any:
    folder = files("skrep.datasets") / "data" / name
    with (folder / "images.npz").open("rb") as file, np.load(file) as arrays:
        bunch = Bunch(**arrays, DESCR=(folder / "README.txt").read_text(encoding="utf8"))
    bunch.target = bunch.target.astype(np.int64)
    return (bunch.images, bunch.target) if return_X_y else bunch


def load_fashion(*, return_X_y: bool = False) -> Any:
    """Load 5,000 images of Fashion-MNIST: photographs of clothing, 500 in each of ten classes.

    They are drawn at random from the training images (Xiao et al. 2017, https://arxiv.org/abs/1708.07747), and are
    under the MIT licence.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of all that there is.

    Returns
    -------
    sklearn.utils.Bunch or (ndarray, ndarray)
        With the attributes

        - ``images``: ndarray of shape (5000, 28, 28, 1), uint8; grey, light on black
        - ``target``: ndarray of shape (5000,), int64; the class, 0 to 9
        - ``target_names``: ndarray of shape (10,), str; what the classes are
        - ``DESCR``: str; source, licence and how the images were chosen

    Examples
    --------
    >>> from skrep.datasets import load_fashion
    >>> fashion = load_fashion()
    >>> fashion.images.shape
    (5000, 28, 28, 1)
    >>> print(fashion.target_names[fashion.target[0]])
    Ankle boot
    """
    return _load("fashion", return_X_y)


def load_emoji(*, return_X_y: bool = False) -> Any:
    """Load 1,906 Noto emoji: pictures in colour, each with a caption and one of nine categories.

    The pictures are under the Apache License 2.0.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(images, target)`` instead of all that there is.

    Returns
    -------
    sklearn.utils.Bunch or (ndarray, ndarray)
        With the attributes

        - ``images``: ndarray of shape (1906, 32, 32, 3), uint8; red, green and blue, on white
        - ``names``: ndarray of shape (1906,), str; the captions, Unicode names in lower case
        - ``target``: ndarray of shape (1906,), int64; the category, 0 to 8
        - ``target_names``: ndarray of shape (9,), str; what the categories are
        - ``DESCR``: str; source, licence and what was done to the pictures

    Examples
    --------
    >>> from skrep.datasets import load_emoji
    >>> emoji = load_emoji()
    >>> emoji.images.shape
    (1906, 32, 32, 3)
    >>> print(emoji.names[0], "/", emoji.target_names[emoji.target[0]])
    grinning face / Smileys & Emotion
    """
    return _load("emoji", return_X_y)
