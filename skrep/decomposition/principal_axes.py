"""Principal axes: from a scatter matrix, and of rows that are few or many beside their columns."""

from numbers import Integral
from typing import Any

import numpy as np
from sklearn.decomposition._pca import _infer_dimension
from sklearn.utils.extmath import svd_flip

from skrep.decomposition.reading import chunk_rows
from skrep.solvers.scatter import Scatter, leading_eigenpairs, scatter_of

__all__ = ["DECOMPOSED", "decompose", "decompose_tall", "decompose_wide", "faster_way", "scatter_of_model"]

# What follows from the scatter matrix, computed when it is first asked for.
DECOMPOSED = (
    "components_",
    "explained_variance_",
    "explained_variance_ratio_",
    "n_components_",
    "noise_variance_",
    "singular_values_",
)

# Where "auto" departs from scikit-learn's choice, by timings of each solver (benchmarks pca --shapes). Products of
# columns with one another, or of rows, are fastest where the other side is ten times as long and there are not too many
# for the components that are wanted; "arpack", which is exact, where X stays in a processor's cache.
ASPECT, NARROW, NARROW_PER_COMPONENT = 10, 1000, 50
CACHED_BYTES = range(2**22, 2**24)


def decompose(scatter: Scatter, n_components: Any, dtype: np.dtype) -> dict[str, Any]:
    """What scikit-learn's full decomposition of the same rows finds."""
    most = min(scatter.n, len(scatter.mean))
    k = int(n_components) if isinstance(n_components, Integral) else most
    values, vectors = leading_eigenpairs(scatter.matrix, max(1, k))
    _, axes = svd_flip(None, vectors.T, u_based_decision=False)
    total = scatter.matrix.trace()
    variances = values / (scatter.n - 1)
    with np.errstate(invalid="ignore"):
        ratios = (values / total).astype(dtype)  # NaN of no variance at all
    if n_components == "mle":
        k = int(_infer_dimension(variances, scatter.n))
    elif n_components is not None and not isinstance(n_components, Integral):
        k = min(most, int(np.searchsorted(np.cumsum(ratios), n_components, side="right")) + 1)
    noise = max(0.0, total - values[:k].sum()) / (scatter.n - 1) / (most - k) if k < most else 0.0
    return {
        "components_": np.ascontiguousarray(axes[:k], dtype),
        "explained_variance_": variances[:k].astype(dtype),
        "explained_variance_ratio_": np.nan_to_num(ratios[:k]),
        "singular_values_": np.sqrt(values[:k]).astype(dtype),
        "noise_variance_": dtype.type(noise),
        "n_components_": k,
    }


def faster_way(X: np.ndarray, k: int, *, copy: bool) -> str | None:
    """Which decomposition of X is faster than the one that scikit-learn chooses: "tall", "wide", "arpack" or None."""
    n, n_features = X.shape
    narrow = max(NARROW, NARROW_PER_COMPONENT * k)
    if n >= ASPECT * n_features and n_features <= narrow and k <= n_features:
        return "tall"
    if n_features >= ASPECT * n and n <= narrow and 0 < k < n:
        return "wide"
    if X.nbytes in CACHED_BYTES and 0 < k < 0.8 * min(X.shape) and copy and np.isfinite(X.sum()):
        return "arpack"
    return None


def decompose_tall(X: np.ndarray, n_components: Any) -> dict[str, Any]:
    """What :func:`decompose` finds, of an array of many rows, by the eigenvectors of the covariance of columns."""
    rows = chunk_rows(X.shape[1])
    scatter = scatter_of((X[i : i + rows] for i in range(0, len(X), rows)), X.shape[1])
    found = decompose(scatter, n_components, X.dtype)
    return {**found, "mean_": scatter.mean.astype(X.dtype), "n_samples_": len(X)}


def decompose_wide(X: np.ndarray, k: int) -> tuple[dict[str, Any], tuple[np.ndarray, np.ndarray, np.ndarray]] | None:
    """The same of an array of few rows, by the eigenvectors of the products of rows; and its U, S and Vt.

    None where rounding could hide some of them.
    """
    mean = X.mean(axis=0)
    centred = X - mean
    products = (centred @ centred.T).astype(np.float64)
    if not np.isfinite(products).all():
        raise OverflowError("products of rows overflow")
    values, vectors = leading_eigenpairs(products, k)
    if values[-1] <= 1000 * np.finfo(X.dtype).eps * values[0]:
        return None
    # squares lose half of the digits: one step of subspace iteration brings them back
    basis, _ = np.linalg.qr(centred.T @ vectors.astype(X.dtype))  # (n_features, k)
    U, S, Vt = np.linalg.svd(centred @ basis, full_matrices=False)
    U, Vt = svd_flip(U, Vt @ basis.T, u_based_decision=False)
    variances, total = S**2 / (len(X) - 1), np.trace(products) / (len(X) - 1)
    return {
        "mean_": mean,
        "components_": Vt,
        "singular_values_": S.copy(),
        "explained_variance_": variances,
        "explained_variance_ratio_": variances / X.dtype.type(total),
        "noise_variance_": max(0.0, float(total - variances.sum(dtype=np.float64))) / (len(X) - k),
        "n_samples_": len(X),
        "n_components_": k,
    }, (U, S, Vt)


def scatter_of_model(n: int, mean: np.ndarray, axes: np.ndarray, variances: np.ndarray, noise: float) -> Scatter:
    """The sums over rows that a fitted model stands for, with the same variance in all directions but its axes."""
    mean, axes, variances = (np.asarray(a, np.float64) for a in (mean, axes, variances))
    k, n_features = axes.shape
    # in few rows, the noise is a mean over fewer directions than there are
    noise = noise * (min(n, n_features) - k) / max(1, n_features - k)
    matrix = (axes.T * (variances - noise)) @ axes
    matrix[np.diag_indices(n_features)] += noise
    return Scatter(n, mean, matrix * (n - 1))
