"""``skrep.save`` and ``skrep.load``: fitted estimators as files that run no code."""

import os
from collections.abc import Iterable
from typing import Any

from sklearn.base import BaseEstimator

from skrep.persistence.container import read_container, refusing, shown, write_container
from skrep.persistence.names import lookup, name_of
from skrep.persistence.objects import MAX_NAMES, ObjectReader, ObjectWriter

__all__ = ["load", "save"]


def save(estimator: BaseEstimator, path: str | os.PathLike) -> None:
    """Write a fitted estimator or Pipeline to a file.

    Parameters
    ----------
    estimator : estimator
        Any of skrep, most of scikit-learn, and Pipelines, ColumnTransformers and searches of them. Fitted or not.
    path : path-like
        The file to write or replace. The ending is free; ``.skrep`` is usual.

    Raises
    ------
    TypeError
        For what cannot be written as plain values; the message names its place. Nothing is written then.
    ValueError
        If there is more than a file may hold: 8,000 trees or two million words.
    OSError
        If the file cannot be written, for example because the disk is full; an old file of that name is untouched.

    See Also
    --------
    load : The way back.

    Notes
    -----
    The file is a zip of JSON and ``.npy`` arrays with a sha256 for each, and holds no code. A loaded estimator gives
    the same bits as the saved one. Not saved: the optimizer's state, training data, scikit-learn's callbacks, and
    ``memory`` of scikit-learn's estimators, which is a folder on this machine.

    A reader, or a machine that loses power, sees the old file or the new one, never a part.

    Examples
    --------
    >>> import tempfile, pathlib, skrep
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y = load_digits(return_X_y=True)
    >>> pipe = make_pipeline(skrep.PCAEncoder(16), LogisticRegression(max_iter=3000)).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skrep.save(pipe, pathlib.Path(folder, "digits.skrep"))
    ...     loaded = skrep.load(pathlib.Path(folder, "digits.skrep"))
    >>> bool((loaded.predict_proba(X) == pipe.predict_proba(X)).all())
    True
    """
    if not isinstance(estimator, BaseEstimator):
        raise TypeError(
            f"save got {type(estimator).__name__!r}; expected an estimator: an instance, such as a fitted Pipeline."
        )
    writer = ObjectWriter()
    content = writer.inside(type(estimator).__name__, estimator)
    write_container(path, "estimator", {"names": writer.names, "estimator": content}, writer.arrays)


def load(path: str | os.PathLike, trusted: Iterable[Any] = ()) -> Any:
    """Read an estimator that :func:`save` wrote.

    Parameters
    ----------
    path : path-like
        The file.
    trusted : iterable of classes and functions, default=()
        Those of your own that the file may use, such as a torch module that is a backbone, a view, or a method derived
        from :class:`TorchTransformer`. What skrep, scikit-learn, torch and NumPy offer needs no mention.

    Returns
    -------
    estimator
        On the device that its ``device`` parameter names, or the CPU where that is not there.

    Raises
    ------
    TypeError
        If `trusted` holds anything but classes and functions.
    ModelFileError
        If the file is damaged, of a newer format, not one of skrep's, or asks for classes that are not trusted.
    OSError
        If there is no such file, or it cannot be read.

    See Also
    --------
    save : The way there.

    Notes
    -----
    Nothing in a file is run, and no module is imported but public ones of skrep, scikit-learn, SciPy and pandas. Names,
    sizes and hashes are checked before anything is built.
    """
    if isinstance(trusted, (str, type)) or not isinstance(trusted, Iterable):
        raise TypeError(
            f"load(trusted={shown(trusted)}): expected a list of classes and functions, trusted=[Backbone]."
        )
    by_name = {name_of(thing): thing for thing in trusted}
    for thing in list(by_name.values()):  # what was defined in the script that saved it, and is imported now
        by_name.setdefault(f"__main__.{thing.__name__}", thing)
    content, arrays = read_container(path, "estimator")
    with refusing(path):
        if len(content["names"]) > MAX_NAMES:
            raise ValueError(f"it names {len(content['names'])} classes and functions; {MAX_NAMES} is the limit")
        named = lookup([str(name) for name in content["names"]], by_name, path)
        estimator = ObjectReader(arrays, named).read(content["estimator"])
        if not isinstance(estimator, BaseEstimator):
            raise ValueError("it holds no estimator")
    return estimator
