"""How well neighbours in the space of features know one another's class."""

from numbers import Integral
from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array, hstack, issparse
from scipy.sparse.linalg import norm
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils import check_array

from skrep.evaluation.few_label import encode, probe_and_scorer, require_encoder
from skrep.evaluation.held_out import hold_out

__all__ = ["knn_score", "unit_rows"]


def knn_score(
    encoder: Any,
    X: Any,
    y: Any,
    X_test: Any = None,
    y_test: Any = None,
    *,
    n_neighbors: int = 20,
    temperature: float = 0.07,
    scoring: Any = None,
    groups: Any = None,
    unlabeled_value: int | None = -1,
    random_state: int = 0,
) -> float:
    """Test accuracy of a vote of the nearest training rows by the cosine of their features.

    The weighted k-nearest-neighbour classifier by which self-supervised learning is judged (Wu et al. 2018,
    https://arxiv.org/abs/1805.01978, section 3.4): each of the `n_neighbors` training rows whose features make the
    least angle with those of a test row votes for its class with the weight exp(cosine / temperature). Nothing is
    trained on the features, nor are they standardised: what is judged is the space as it is.

    Parameters
    ----------
    encoder : estimator or None
        Any scikit-learn transformer. One that is not fitted is cloned and fitted on `X` without labels; None takes the
        columns of `X` themselves, standardised if they come in different units, or its pixels.
    X : array-like, sparse matrix, list or ImageFiles of shape (n_samples, ...)
        Training rows; without `X_test`, a quarter of those with a label is held out for testing, before anything is
        fitted.
    y : array-like of shape (n_samples,)
        Classes. NaN, None and `unlabeled_value` stand for no label: such rows train the encoder and have no vote.
    X_test, y_test : array-like, default=None
        Test rows and their classes.
    n_neighbors : int, default=20
        Training rows that vote. Published numbers have 20 or, on large data, 200.
    temperature : float, default=0.07
        Above 0. Near 0 the nearest row decides alone; infinity counts all neighbours alike. The default is the paper's.
    scoring : str, callable or None, default=None
        As scikit-learn's, of a classifier with ``predict`` and ``predict_proba``; None is accuracy.
    groups : array-like of shape (n_samples,) or None, default=None
        Rows of one group (a person, a burst of photographs) are never on both sides of the split.
    unlabeled_value : int or None, default=-1
        As in :func:`skrep.evaluation.labelled_rows`.
    random_state : int, default=0
        Decides the split.

    Returns
    -------
    float
        Share of the test rows that are given their class, or what `scoring` says.

    Raises
    ------
    ValueError
        If there are fewer training rows than `n_neighbors`, `temperature` is not above 0, the rows and classes do not
        match, or features are not finite.

    Notes
    -----
    Features that are all zero have the cosine 0 with any others. Of classes with equal votes, the first in sorted order
    is taken. Distances are computed in blocks: beside the features and their normalised copies, memory grows with
    n_test * `n_neighbors`.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import PCAEncoder
    >>> from skrep.evaluation import knn_score
    >>> X, y = load_digits(return_X_y=True)
    >>> knn_score(PCAEncoder(16), X, y) > 0.95
    True
    """
    if not isinstance(n_neighbors, Integral) or n_neighbors < 1:
        raise ValueError(f"n_neighbors={n_neighbors!r}: expected a whole number of neighbours, at least 1.")
    if not temperature > 0:
        raise ValueError(f"temperature={temperature!r}: expected a number above 0; the usual one is 0.07.")
    require_encoder(encoder)
    data = hold_out(
        "knn_score", X, y, X_test, y_test, groups=groups, unlabeled_value=unlabeled_value, random_state=random_state
    )
    if data.quantities:
        raise ValueError("y are quantities, numbers with fractions; neighbours vote on classes. Use few_label_probe.")
    if n_neighbors > len(data.y):
        raise ValueError(
            f"n_neighbors={n_neighbors}, but {len(data.y)} training rows have a label; choose at most as many."
        )

    def votes(distances: np.ndarray) -> np.ndarray:
        """exp(cosine / temperature) over that of the nearest: of unit vectors, cosine = 1 - distance ** 2 / 2."""
        closeness = -(distances**2) / 2
        with np.errstate(over="ignore"):  # a vote of 0 at very small temperatures
            return np.exp((closeness - closeness.max(axis=1, keepdims=True)) / temperature)

    voters = KNeighborsClassifier(n_neighbors, weights=votes, algorithm="brute", metric="euclidean")
    voters, scorer = probe_and_scorer(voters, scoring, data)
    features = encode(encoder, data.X, data.X_test)
    Z, Z_test = (unit_rows(part, "features", "knn_score", accept_sparse=True) for part in features)
    Z = Z[data.known]
    zeros = _are_zero(Z)
    if zeros.any():  # a direction of their own: cosine 0 with all test rows
        Z, Z_test = _beside(Z, zeros), _beside(Z_test, np.zeros(len(data.y_test)))
    return float(scorer(voters.fit(Z, data.y), Z_test, data.y_test))


def _are_zero(Z: Any) -> np.ndarray:
    """Which rows have no other number than 0."""
    return np.asarray(abs(Z).max(axis=1).toarray().ravel() == 0 if issparse(Z) else ~Z.any(axis=1))


def _beside(Z: Any, column: np.ndarray) -> Any:
    """Features with one more column."""
    if issparse(Z):
        return hstack([Z, csr_array(column[:, np.newaxis].astype(Z.dtype))], format="csr")  # (n_samples, 1)
    return np.column_stack([Z, column])


def unit_rows(Z: Any, input_name: str, caller: str, accept_sparse: bool = False) -> Any:
    """Features divided by their length, of shape (n_samples, n_features), float32 or float64; zeros stay zeros.

    Raises ValueError, which names `input_name` and `caller`, unless they are a table of finite numbers.
    """
    sparse = "csr" if accept_sparse else False
    Z = check_array(Z, accept_sparse=sparse, dtype=[np.float32, np.float64], input_name=input_name, estimator=caller)
    # scikit-learn's normalize leaves rows shorter than 1e-6 as they are
    if issparse(Z):
        largest = abs(Z).max(axis=1).toarray().ravel()  # (n_samples, 1) -> (n_samples,)
        units = diags_array(1 / np.where(largest > 0, largest, 1)) @ Z
        return (diags_array(1 / norm(units, axis=1).clip(min=1)) @ units).tocsr().astype(Z.dtype)
    largest = np.maximum(Z.max(axis=1), -Z.min(axis=1))[:, np.newaxis]
    units = Z / np.where(largest > 0, largest, 1)  # or squares of very large or small numbers would be lost
    units /= np.linalg.norm(units, axis=1, keepdims=True).clip(min=1)  # below 1 are only zeros
    return units
