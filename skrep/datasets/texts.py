"""Texts to try a method on: no download, a fifth of a second to load."""

import lzma
from importlib.resources import files
from typing import Any

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_wikipedia"]


def load_wikipedia(*, return_X_y: bool = False) -> Any:
    """Load 4,712 paragraphs of English Wikipedia, from 89 articles.

    They are under the licence CC BY-SA 3.0: who passes them on names where they are from, and keeps the licence.

    Parameters
    ----------
    return_X_y : bool, default=False
        Whether to return ``(texts, target)`` instead of all that there is.

    Returns
    -------
    sklearn.utils.Bunch or (list of str, ndarray)
        With the attributes

        - ``texts``: list of 4712 str; the paragraphs, those of an article together and in their order
        - ``target``: ndarray of shape (4712,), int64; the article, 0 to 88
        - ``target_names``: ndarray of shape (89,), str; titles of the articles
        - ``DESCR``: str; source, licence and how the paragraphs were chosen

    Examples
    --------
    >>> from skrep.datasets import load_wikipedia
    >>> wikipedia = load_wikipedia()
    >>> len(wikipedia.texts)
    4712
    >>> print(wikipedia.target_names[wikipedia.target[0]], "/", wikipedia.texts[0][:35])
    Anarchism / Anarchism is a political philosophy
    """
    folder = files("skrep.datasets") / "data" / "wikipedia"
    names: list[str] = []
    texts: list[str] = []
    target: list[int] = []
    # a line is a title, "= Anarchism =", or a paragraph
    for line in lzma.decompress((folder / "texts.txt.xz").read_bytes()).decode("utf8").splitlines():
        if line.startswith("= "):
            names.append(line[2:-2])
        else:
            texts.append(line)
            target.append(len(names) - 1)
    bunch = Bunch(
        texts=texts,
        target=np.array(target, np.int64),
        target_names=np.array(names),
        DESCR=(folder / "README.txt").read_text(encoding="utf8"),
    )
    return (bunch.texts, bunch.target) if return_X_y else bunch
