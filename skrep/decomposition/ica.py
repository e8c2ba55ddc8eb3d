"""Independent component analysis: FastICA (Hyvärinen 1999) and Picard (Ablin, Cardoso & Gramfort 2018)."""

import math
import warnings
from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skrep.data import Matrix, read_matrix, refuse_groups
from skrep.engine import all_or_nothing, draw_seed, note_rows, resolve_device
from skrep.params import RANDOM_STATE, Integer, Real, check_params, param, params
from skrep.solvers.independent_components import (
    CONTRASTS,
    Contrast,
    LogCosh,
    as_float64,
    as_signals,
    by_negentropy,
    deflation,
    like,
    mean_product,
    parallel,
    picard,
)

__all__ = ["FastICAEncoder"]


@params
class FastICAEncoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Directions along which the data are as far from Gaussian as can be: the sources of a linear mixture.

    scikit-learn's :class:`~sklearn.decomposition.FastICA`, with its parameters, attributes, results and dtype rule
    (float32 in, float32 out; everything else float64), also on a CUDA device. `order` makes the features independent of
    the random start, `solver` offers a second algorithm, and what would be NaN is an error or, where `X` has a lower
    rank than `n_components`, a smaller number of components and a warning.

    Parameters
    ----------
    n_components : int or None, default=None
        Number of features. None takes as many as there are rows or columns, whichever are fewer. More than the rank of
        the centred `X` are lowered to it, with a warning. Not used if `whiten` is False.
    algorithm : {"parallel", "deflation"}, default="parallel"
        Whether "fastica" finds all components at once, or one after the other.
    whiten : {"unit-variance", "arbitrary-variance", False}, default="unit-variance"
        Variance of the features: 1, or 1 / n_samples. With False, `X` must be white already: centred, uncorrelated,
        of unit variance.
    fun : {"logcosh", "exp", "cube"} or callable, default="logcosh"
        The function g by which "fastica" measures distance from Gaussian: g(y) = tanh(alpha y), y exp(-y² / 2) or y³. A
        callable takes an array (n_components, n_samples) and returns g and, for each row, the mean of its derivative;
        it runs on the CPU.
    fun_args : dict or None, default=None
        Keyword arguments of a callable `fun`; {"alpha": number in [1, 2]} for "logcosh", 1 by default.
    max_iter : int, default=200
        Most iterations; for "deflation", of each component.
    tol : float, default=0.0001
        "fastica" stops where 1 - abs(cosine) between each component and itself an iteration before is smaller,
        "picard" where the largest entry of the gradient is.
    w_init : array-like of shape (n_components, n_components) or None, default=None
        Where the search begins, in whitened coordinates. None draws from a normal distribution.
    whiten_solver : {"svd", "eigh"}, default="svd"
        How the data are whitened, in float64 both: "svd" by a QR decomposition of the rows and the singular values of
        its factor, "eigh" by the eigenvectors of the covariance, which is quicker but blind to singular values below
        about 1e-7 of the largest.
    random_state : int, RandomState instance or None, default=None
        Draws the start. None takes fresh entropy; NumPy's global generator is not moved.
    order : {"negentropy"} or None, default=None
        None leaves order and sign to the random start. "negentropy" sorts by decreasing
        (E[G(y)] - E[G(ν)])², Hyvärinen's approximation of negentropy, for a component y of unit variance, a standard
        normal ν, and G' = g; and turns each component to positive skewness or, where skewness is within 0.001 of zero,
        to a positive weight where that is largest in magnitude.
    solver : {"fastica", "picard"}, default="fastica"
        "picard" has the same solutions, and follows the gradient where FastICA's fixed point wavers. It needs
        python-picard, and runs on the CPU.
    device : str, default="auto"
        Where "fastica" runs: "auto" takes CUDA where it is there, else the CPU; or "cpu", "cuda", "cuda:1". Apple's
        MPS, which has no float64, counts as the CPU.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        What centred rows are multiplied by: the unmixing matrix.
    mixing_ : ndarray of shape (n_features, n_components)
        Its pseudo-inverse. Column j shows what component j adds to a row.
    mean_ : ndarray of shape (n_features,)
        Mean of each column. Not there if `whiten` is False.
    whitening_ : ndarray of shape (n_components, n_features)
        Projects centred rows onto the leading principal components, scaled to variance 1 / n_samples. Not there if
        `whiten` is False.
    n_iter_ : int
        Iterations taken; for "deflation", most of any component.
    n_features_in_ : int
        Number of columns seen in ``fit``.

    Warns
    -----
    sklearn.exceptions.ConvergenceWarning
        If `max_iter` iterations were not enough, with the change reached.
    UserWarning
        If `n_components` is lowered, or not used.

    See Also
    --------
    PCAEncoder : Uncorrelated features, by variance.

    References
    ----------
    Hyvärinen, A. (1999). Fast and robust fixed-point algorithms for independent component analysis. IEEE Transactions
    on Neural Networks 10(3). https://doi.org/10.1109/72.761722

    Ablin, P., Cardoso, J.-F., Gramfort, A. (2018). Faster ICA under orthogonal constraint. ICASSP.
    https://arxiv.org/abs/1711.10873

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import FastICAEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> FastICAEncoder(5, order="negentropy", random_state=0).fit_transform(X).shape
    (1797, 5)
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    _: KW_ONLY
    algorithm: str = param("parallel", "deflation", default="parallel")
    whiten: str | bool = param("unit-variance", "arbitrary-variance", bool, default="unit-variance")
    fun: str | Callable[..., Any] = param("logcosh", "exp", "cube", callable, default="logcosh")
    fun_args: dict[str, Any] | None = param(dict, None, default=None)
    max_iter: int = param(Integer(low=1), default=200)
    tol: float = param(Real(low=0), default=1e-4)
    w_init: Any = param(default=None)
    whiten_solver: str = param("svd", "eigh", default="svd")
    random_state: int | np.random.RandomState | None = param(*RANDOM_STATE, default=None)
    order: str | None = param("negentropy", None, default=None)
    solver: str = param("fastica", "picard", default="fastica")
    device: str = param(str, default="auto")

    reads: ClassVar[tuple[str, ...]] = ("table",)
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Find the components.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows; all of them are held in memory, dense.
        y, groups : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used.
        ImportError
            If ``solver="picard"`` and python-picard is not installed.
        """
        refuse_groups(groups, type(self).__name__)
        self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, *, groups: Any = None) -> np.ndarray:
        """Find the components and return the features of the same rows, at the price of ``fit`` alone.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows; all of them are held in memory, dense.
        y, groups : None
            Not used.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features: the estimated sources.

        Raises
        ------
        ValueError
            For data or parameters that cannot be used.
        ImportError
            If ``solver="picard"`` and python-picard is not installed.
        """
        refuse_groups(groups, type(self).__name__)
        rows = self._fit(X)
        weights = torch.from_numpy(self.components_).to(rows.device)
        return (rows @ weights.T).cpu().numpy()

    def transform(self, X: Any) -> np.ndarray:
        """Features of each row.

        Parameters
        ----------
        X : array-like, DataFrame, sparse matrix, torch.Tensor or torch Dataset of shape (n_samples, n_features)
            The rows; a memory-mapped file is read by chunks.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features: the estimated sources.

        Raises
        ------
        ValueError
            If `X` is not what was fitted, or so large that squares of the features overflow.
        """
        check_is_fitted(self)
        matrix = read_matrix(self, X, reset=False)
        with np.errstate(over="ignore", invalid="ignore"):
            features = np.concatenate([self._centred(chunk) @ self.components_.T for chunk in matrix.chunks()])
            if not np.isfinite(np.square(features)).all():
                raise ValueError(self._too_large())
        return features

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows from features: exactly if there are as many components as columns, else their projection.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_components)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows.
        """
        check_is_fitted(self)
        sources = check_array(X, dtype=[np.float64, np.float32])
        if sources.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {sources.shape[1]} features, but {type(self).__name__} has {self._n_features_out} components."
            )
        rows: np.ndarray = sources @ self.mixing_.T
        return rows + self.mean_ if hasattr(self, "mean_") else rows

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = True
        return tags

    def _fit(self, X: Any) -> torch.Tensor:
        """Set the fitted attributes; returns the rows as they were computed with, on the device."""
        with all_or_nothing(self), np.errstate(all="ignore"):
            check_params(self)
            contrast = self._contrast()
            matrix = read_matrix(self, X, reset=True, min_samples=2)
            note_rows(self, len(matrix))
            rows = self._load(matrix)
            size = float(torch.linalg.vector_norm(rows))
            if not math.isfinite(size):
                raise ValueError(self._too_large())
            fitted: dict[str, np.ndarray] = {}
            if self.whiten:
                mean = rows.mean(0, dtype=torch.float64).to(rows.dtype)
                rows -= mean
                axes, singular = self._principal_axes(rows, size)
                fitted["mean_"] = mean.cpu().numpy()
                fitted["whitening_"] = whitening = axes.T / singular[:, None]  # (n_components, n_features)
                signals = as_signals(like(whitening * math.sqrt(len(rows)), rows) @ rows.T)  # (n_components, n_samples)
            else:
                signals = as_signals(self._already_white(rows).T)

            W = self._search(signals, contrast)
            sources = like(W, signals) @ signals
            if self.order == "negentropy":
                order, signs = by_negentropy(as_float64(sources), W @ whitening if self.whiten else W, contrast)
                W, sources = signs[:, None] * W[order], sources[order.tolist()]

            # W is orthogonal, so its transpose serves in the pseudo-inverse
            if not self.whiten:
                fitted["components_"], fitted["mixing_"] = W, W.T
            else:
                unit = self.whiten == "unit-variance"
                scale = np.sqrt(mean_product(sources, sources) / len(rows)) if unit else np.ones(len(W))
                fitted["components_"] = (W / scale[:, None]) @ whitening
                fitted["mixing_"] = (axes * singular) @ (W.T * scale)
            for name in ("mean_", "whitening_", "components_", "mixing_"):
                self.__dict__.pop(name, None)
                if name in fitted:
                    setattr(self, name, np.ascontiguousarray(fitted[name], dtype=matrix.dtype))
            if not (np.isfinite(self.components_).all() and np.isfinite(self.mixing_).all()):
                raise ValueError(self._too_large())
        return rows

    def _contrast(self) -> Contrast:
        """What `fun` stands for, after a look at the parameters that depend on it or on one another."""
        alpha = (self.fun_args or {}).get("alpha", 1.0)
        if not Real(1, 2).accepts(alpha):
            raise ValueError(f"FastICAEncoder(fun_args={self.fun_args!r}): alpha must be in [1,2].")
        if self.whiten is True:
            raise ValueError(
                'FastICAEncoder(whiten=True): whiten must be "unit-variance", "arbitrary-variance" or False.'
            )
        if self.solver == "picard" and self.algorithm != "parallel":
            raise ValueError(
                'FastICAEncoder(solver="picard") finds all components at once: algorithm must be "parallel".'
            )
        if not callable(self.fun):
            return LogCosh(alpha) if self.fun == "logcosh" else CONTRASTS[self.fun]()
        if self.order == "negentropy" or self.solver == "picard":
            raise ValueError(
                'FastICAEncoder: order="negentropy" and solver="picard" need fun="logcosh", "exp" or "cube": a '
                "callable tells g, and they need its integral."
            )
        return _Called(self.fun, self.fun_args or {})

    def _load(self, matrix: Matrix) -> torch.Tensor:
        """A copy of the rows, on the device."""
        rows = np.empty(matrix.shape, matrix.dtype)
        start = 0
        for chunk in matrix.chunks():
            rows[start : start + len(chunk)] = chunk
            start += len(chunk)
        device = resolve_device(self.device)
        on_cpu = device.type != "cuda" or callable(self.fun) or self.solver == "picard"
        return torch.from_numpy(rows) if on_cpu else torch.from_numpy(rows).to(device)

    def _already_white(self, rows: torch.Tensor) -> torch.Tensor:
        n_samples, n_features = rows.shape
        if n_samples < n_features:
            raise ValueError(
                f"FastICAEncoder(whiten=False): {n_samples} rows of {n_features} columns cannot be white. Let the "
                "encoder whiten, or pass fewer columns."
            )
        if self.n_components is not None:
            warnings.warn("Ignoring n_components with whiten=False.", stacklevel=4)
        return rows

    def _principal_axes(self, rows: torch.Tensor, size: float) -> tuple[np.ndarray, np.ndarray]:
        """Axes (n_features, n_components) and singular values of the centred rows; `size` is their norm before."""
        n_samples, n_features = rows.shape
        # entries are rounded to eps of their size, mean included
        noise = 10 * float(torch.finfo(rows.dtype).eps) * size
        if self.whiten_solver == "svd":
            factor = torch.linalg.qr(rows.double(), mode="r").R  # (min(n_samples, n_features), n_features)
            _, singular, axes = np.linalg.svd(factor.cpu().numpy(), full_matrices=False)
            axes = axes.T
        else:
            rows = rows.double()
            values, axes = np.linalg.eigh((rows.T @ rows).cpu().numpy())
            values, axes = values[::-1], axes[:, ::-1]
            singular = np.sqrt(np.maximum(values, 0))
            noise = max(noise, math.sqrt(n_features * np.finfo(np.float64).eps) * singular[0])
        rank = int((singular > noise).sum())
        if rank == 0:
            raise ValueError(
                "FastICAEncoder: X has no variance: all rows are equal, or differ by no more than rounding does. "
                "Where the differences are real, subtract the mean and rescale, for example with "
                "sklearn.preprocessing.StandardScaler."
            )
        wanted = self.n_components or min(n_samples, n_features)
        if wanted > rank:
            warnings.warn(
                f"FastICAEncoder(n_components={self.n_components}): centred, the {n_samples} rows of {n_features} "
                f"columns have rank {rank}. There are some small singular values, or too few rows, so n_components is "
                f"too large: it will be set to {rank}. Pass at most that many, or standardise columns whose units are "
                "very different.",
                stacklevel=4,
            )
        n_components = min(wanted, rank)
        axes, singular = axes[:, :n_components], singular[:n_components]
        return axes * np.where(axes[0] < 0, -1.0, 1.0), singular

    def _start(self, n_components: int) -> np.ndarray:
        if self.w_init is None:
            state = draw_seed(None) if self.random_state is None else self.random_state
            drawn: np.ndarray = check_random_state(state).normal(size=(n_components, n_components))
            return drawn
        try:
            W = np.array(self.w_init, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"FastICAEncoder: w_init must be an array of numbers ({error}).") from None
        if W.shape != (n_components, n_components):
            raise ValueError(
                f"FastICAEncoder: w_init has invalid shape -- should be {(n_components, n_components)}, got {W.shape}."
            )
        if not np.isfinite(W).all() or np.linalg.matrix_rank(W) < n_components:
            raise ValueError("FastICAEncoder: w_init must be finite and have linearly independent rows.")
        return W

    def _search(self, signals: Any, contrast: Contrast) -> np.ndarray:
        """The orthogonal matrix that turns white signals (n_components, n_samples) into sources."""
        W, trouble = self._start(len(signals)), ""
        if self.solver == "picard":
            W, self.n_iter_, trouble = picard(signals, W, contrast, self.max_iter, self.tol)
        else:
            search = parallel if self.algorithm == "parallel" else deflation
            W, self.n_iter_, change = search(signals, W, contrast, self.max_iter, self.tol)
            if math.isnan(change):
                raise ValueError(f"{self._too_large()} A callable fun must not return NaN.")
            if change >= self.tol:
                trouble = (
                    "FastICA did not converge. Consider increasing tolerance or the maximum number of iterations: "
                    f"after {self.n_iter_} iterations, components still change by {change:.2g} (1 - abs(cosine)), and "
                    f"tol is {self.tol:g}."
                )
        if trouble:
            warnings.warn(
                f"{trouble} Raise max_iter or tol. If that does not help, ask for fewer n_components: directions along "
                "which the data are Gaussian have nothing to converge to."
                + (' Or try solver="picard".' if self.solver == "fastica" else ""),
                ConvergenceWarning,
                stacklevel=4,
            )
        return W

    def _centred(self, rows: np.ndarray) -> np.ndarray:
        return rows - self.mean_ if hasattr(self, "mean_") else rows

    def _too_large(self) -> str:
        return (
            "FastICAEncoder: X holds values so large, or so small, that their squares leave the range of its float "
            "type. Rescale it first, for example with sklearn.preprocessing.StandardScaler."
        )


class _Called(Contrast):
    """A user's function."""

    def __init__(self, fun: Callable[..., Any], arguments: dict[str, Any]):
        self.fun, self.arguments = fun, arguments

    def g(self, y: Any) -> tuple[Any, np.ndarray]:
        returned = self.fun(y, **self.arguments)
        if isinstance(returned, tuple) and len(returned) == 2:
            g, slope = map(np.asarray, returned)
            if g.shape == y.shape and slope.shape in (y.shape, y.shape[:1]):
                return g, slope.mean(1) if slope.ndim == 2 else slope
        raise ValueError(
            f"FastICAEncoder(fun={self.fun!r}): fun must return a tuple, for y of shape {y.shape}: g at each value, of "
            f"the same shape, and the mean of its derivative in each row, of shape {y.shape[:1]}."
        )
