"""Principal component analysis (Pearson 1901, Hotelling 1933): scikit-learn's, and exact on data larger than memory."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.sparse import issparse
from scipy.sparse.linalg import ArpackError
from sklearn import get_config
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.exceptions import NotFittedError
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted, validate_data

from skrep.data import read_matrix, refuse_groups, refuse_other_kinds, warn_of_units
from skrep.data.sources import tensor_to_array
from skrep.decomposition.principal_axes import (
    DECOMPOSED,
    decompose,
    decompose_tall,
    decompose_wide,
    faster_way,
    scatter_of_model,
)
from skrep.decomposition.reading import (
    as_array,
    chunk_rows,
    grows_in_memory,
    is_on_device,
    project,
    read_scatter,
    read_tensor,
    takes_chunks,
)
from skrep.engine import all_or_nothing, note_rows
from skrep.solvers.scatter import Scatter

__all__ = ["PCAEncoder"]

# What rows that come in chunks are summed in.
ACCUMULATED = ("_dtype", "_scatter", "mean_", "n_samples_", "n_samples_seen_", "var_")


class PCAEncoder(PCA):
    """The directions of largest variance: the best linear code in squared error.

    scikit-learn's :class:`~sklearn.decomposition.PCA`, with its parameters, attributes and dtype rule (float32 in,
    float32 out; everything else float64), and with what it lacks:

    - Data larger than memory. ``fit`` reads a :class:`numpy.memmap`, a :class:`torch.utils.data.Dataset` or a large
      array of integers a chunk at a time, :meth:`partial_fit` takes chunks, and :meth:`merge` adds up parts that
      were fitted elsewhere. The results are those of all rows at once, not an approximation as in
      :class:`~sklearn.decomposition.IncrementalPCA`: the mean and the scatter matrix are summed in float64, and take
      ``8 * n_features**2`` bytes. They are kept, so that :meth:`partial_fit` can go on.
    - Tensors on a GPU, which stay there until they are features.
    - Promises: values so large that variances overflow are an error instead of NaN, and after an error the estimator is
      as it was.

    Parameters
    ----------
    n_components : int, float, "mle" or None, default=None
        Number of features. A float in (0, 1) keeps as many as explain that share of the variance, "mle" takes Minka's
        estimate, None keeps all.
    copy : bool, default=True
        If False, ``fit`` may overwrite `X`.
    whiten : bool, default=False
        Whether to scale the features to unit variance. Along directions without variance they are divided by the
        smallest number that is safe (machine epsilon), as scikit-learn does, and stay finite.
    svd_solver : {"auto", "full", "covariance_eigh", "arpack", "randomized"}, default="auto"
        How data in memory are decomposed; "auto" chooses by shape what is fastest, which is "randomized" only for some
        large shapes and never less accurate than "covariance_eigh" otherwise. Rows that come in chunks are always
        decomposed by the eigenvectors of their scatter matrix. A memory-mapped file and integers are read in chunks
        for "auto" and "covariance_eigh", and as an array for the others.
    tol : float, default=0.0
        Tolerance for "arpack".
    iterated_power : int or "auto", default="auto"
        Power iterations for "randomized".
    n_oversamples : int, default=10
        Additional random vectors for "randomized".
    power_iteration_normalizer : {"auto", "QR", "LU", "none"}, default="auto"
        Normaliser of the power iterations for "randomized".
    random_state : int, RandomState instance or None, default=None
        For "arpack" and "randomized".
    batch_size : int or None, default=None
        Rows that ``fit`` reads at a time. With a number, any `X` is read in chunks, sparse ones too; None reads arrays
        of floats in memory at once, and the rest in chunks of at most 4 million values.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Principal axes, by decreasing variance; the entry of largest magnitude is positive.
    explained_variance_ : ndarray of shape (n_components,)
        Variance along each axis (divided by n_samples - 1).
    explained_variance_ratio_ : ndarray of shape (n_components,)
        Share of the total variance.
    singular_values_ : ndarray of shape (n_components,)
        Of the centred data.
    mean_ : ndarray of shape (n_features,)
        Mean of each column; float64 where rows came in chunks.
    n_components_ : int
        Number of features.
    noise_variance_ : float
        Mean variance of the axes left out, as in probabilistic PCA (Tipping & Bishop 1999).
    n_features_in_ : int
        Number of columns seen in ``fit``.
    n_samples_ : int
        Number of rows.

    See Also
    --------
    AutoEncoderTransformer : A code that need not be linear.

    Notes
    -----
    Where rows came in chunks there are also ``n_samples_seen_``, the number of rows, and ``var_``, the variance of each
    column divided by it, as in :class:`~sklearn.decomposition.IncrementalPCA`.

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque (1983), Algorithms for computing the sample variance, The American
    Statistician 37, 242-247: how the sums of chunks are merged.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import PCAEncoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> PCAEncoder(16).fit_transform(X).shape
    (1797, 16)
    """

    _parameter_constraints = {  # noqa: RUF012
        **PCA._parameter_constraints,
        "batch_size": IncrementalPCA._parameter_constraints["batch_size"],
    }

    reads: ClassVar[tuple[str, ...]] = ("table",)
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}
    __metadata_request__partial_fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}

    def __init__(
        self,
        n_components: int | float | str | None = None,
        *,
        copy: bool = True,
        whiten: bool = False,
        svd_solver: str = "auto",
        tol: float = 0.0,
        iterated_power: int | str = "auto",
        n_oversamples: int = 10,
        power_iteration_normalizer: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        batch_size: int | None = None,
    ):
        super().__init__(
            n_components,
            copy=copy,
            whiten=whiten,
            svd_solver=svd_solver,
            tol=tol,
            iterated_power=iterated_power,
            n_oversamples=n_oversamples,
            power_iteration_normalizer=power_iteration_normalizer,
            random_state=random_state,
        )
        self.batch_size = batch_size

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Find the axes, and forget what was seen before.

        Parameters
        ----------
        X : array-like, sparse matrix, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows.
        y, groups : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used.
        """
        refuse_groups(groups, type(self).__name__)
        refuse_other_kinds(X, type(self).__name__, self.reads)
        with self._checked():
            X = self._forget_and_read(X)
            if takes_chunks(X, self.batch_size, self.svd_solver):
                self._fit_chunks(X)
            else:
                super().fit(X, y)
                self._end_fit()
        return self

    def fit_transform(self, X: Any, y: Any = None, *, groups: Any = None) -> Any:
        """Find the axes and return the features of the same rows, at the price of ``fit`` alone.

        Parameters
        ----------
        X : array-like, sparse matrix, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows.
        y, groups : None
            Not used.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features.

        Raises
        ------
        ValueError
            For data or parameters that cannot be used.
        """
        refuse_groups(groups, type(self).__name__)
        refuse_other_kinds(X, type(self).__name__, self.reads)
        with self._checked():
            X = self._forget_and_read(X)
            if takes_chunks(X, self.batch_size, self.svd_solver):
                self._fit_chunks(X)
                return self.transform(X)
            features = super().fit_transform(X, y)
            self._end_fit()
            return self._finite(features)

    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Take in more rows.

        The axes are computed when they are next asked for, by ``transform`` or as an attribute, so that a call costs no
        more than the products of its rows. Each may have any number of rows, and `n_components` may change in
        between. After a ``fit`` in memory, which keeps no scatter matrix, the model goes on from the covariance of its
        components (``get_covariance``): exactly if all were kept, else as if the variance left out were the same in all
        other directions.

        Parameters
        ----------
        X : array-like, sparse matrix, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            More rows.
        y, groups : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used; what was seen before stays as it was.

        Examples
        --------
        >>> import numpy as np
        >>> from skrep import PCAEncoder
        >>> X = np.random.default_rng(0).normal(size=(1000, 5)) * [5, 4, 3, 2, 1]
        >>> encoder = PCAEncoder(2)
        >>> for start in range(0, 1000, 100):
        ...     encoder = encoder.partial_fit(X[start : start + 100])
        >>> bool(np.allclose(encoder.components_, PCAEncoder(2).fit(X).components_))
        True
        """
        refuse_groups(groups, type(self).__name__)
        refuse_other_kinds(X, type(self).__name__, self.reads)
        with self._checked():
            self._validate_params()
            self._add(*self._read_scatter(as_array(X), reset=not hasattr(self, "mean_")))
        return self

    def merge(self, other: "PCAEncoder") -> Self:
        """Take in the rows that another encoder has seen, on another machine for example.

        Parts of the data are fitted by :meth:`partial_fit`, each by an encoder of its own, and added up in any order.

        Parameters
        ----------
        other : PCAEncoder
            Fitted on rows with the same columns and dtype. It is not changed.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If the two were fitted on other columns or dtypes.
        sklearn.exceptions.NotFittedError
            If one of them has seen no row.

        Examples
        --------
        >>> from functools import reduce
        >>> import numpy as np
        >>> from joblib import Parallel, delayed
        >>> from skrep import PCAEncoder
        >>> X = np.random.default_rng(0).normal(size=(1000, 5)) * [5, 4, 3, 2, 1]
        >>> parts = Parallel(n_jobs=1)(delayed(PCAEncoder(2).partial_fit)(rows) for rows in np.split(X, 4))
        >>> reduce(PCAEncoder.merge, parts).n_samples_seen_
        1000
        """
        if not isinstance(other, PCAEncoder):
            raise TypeError(f"merge got {type(other).__name__}; expected a PCAEncoder that was fitted on other rows.")
        check_is_fitted(self)
        check_is_fitted(other)
        seen = other._seen()
        for what, here, there in (
            ("columns", self.n_features_in_, other.n_features_in_),
            ("feature names", *(list(getattr(part, "feature_names_in_", [])) for part in (self, other))),
            ("dtype", self._rows_dtype(), other._rows_dtype()),
        ):
            if here != there:
                raise ValueError(
                    f"parts with different {what} cannot be merged: {here} and {there}. Fit all of them on the same "
                    "columns in the same dtype."
                )
        with self._checked():
            self._add(seen, other._rows_dtype())
        return self

    def transform(self, X: Any) -> Any:
        """Features of each row.

        Parameters
        ----------
        X : array-like, sparse matrix, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows. Memory-mapped files, Datasets and tensors on a GPU are read a chunk at a time.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Features.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``, or if ``partial_fit`` has seen too few rows for `n_components`.
        ValueError
            If `X` is not what was fitted, or so large that its projection overflows.
        """
        check_is_fitted(self)
        X = as_array(X)
        with np.errstate(over="ignore", invalid="ignore"):
            if is_on_device(X):
                tensor = read_tensor(self, X, reset=False)
                variances = self.explained_variance_
                return self._finite(project(tensor, self.mean_, self.components_, variances, whiten=self.whiten))
            if not grows_in_memory(X):
                return self._finite(super().transform(X))
            matrix = read_matrix(self, X, reset=False)
            chunks = matrix.chunks(chunk_rows(matrix.shape[1]))
            return self._finite(np.concatenate([self._transform(chunk, np) for chunk in chunks]))

    # --- rows that come in chunks ---------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        """Compute what ``partial_fit`` put off; Python asks for it only where no such attribute is there."""
        if name not in DECOMPOSED or "_scatter" not in vars(self):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self._find_axes(NotFittedError)
        return vars(self)[name]

    def _forget_and_read(self, X: Any) -> Any:
        """X for a new fit: as an array, if that is no larger than the scatter matrix that chunks would be summed in."""
        for name in (*DECOMPOSED, *ACCUMULATED):
            self.__dict__.pop(name, None)
        X = as_array(X)
        warn_of_units(self, X)
        if self.batch_size is None and isinstance(X, torch.utils.data.Dataset):
            matrix = read_matrix(self, X, reset=True)
            return matrix.chunk(0, len(matrix)) if matrix.shape[0] < matrix.shape[1] else X
        if self.batch_size is None and is_on_device(X) and X.ndim == 2 and X.shape[0] < X.shape[1]:
            return tensor_to_array(X)
        return X

    def _fit_chunks(self, X: Any) -> None:
        self._validate_params()
        self._add(*self._read_scatter(X, reset=True))
        self._find_axes(ValueError)
        note_rows(self, int(self.n_samples_))

    def _read_scatter(self, X: Any, *, reset: bool) -> tuple[Scatter, np.dtype]:
        """The scatter matrix of X alone, and in which type its rows are."""
        read = read_scatter(self, X, self.batch_size, reset=reset)
        self._refuse_more_components_than_columns()
        return read

    def _add(self, rows: Scatter, dtype: np.dtype) -> None:
        if hasattr(self, "mean_"):
            before, dtype = self._seen(), np.result_type(dtype, self._rows_dtype())
            seen = Scatter(before.n, before.mean, before.matrix.copy())  # sums are in place
            seen.add(rows.n, rows.mean, rows.matrix)
        else:
            seen = rows
        for name in DECOMPOSED:
            self.__dict__.pop(name, None)
        self.mean_, self._scatter, self._dtype = seen.mean, seen.matrix, dtype.name
        self.n_samples_ = self.n_samples_seen_ = seen.n
        self.var_ = np.maximum(seen.matrix.diagonal(), 0) / seen.n
        self._fit_svd_solver = "covariance_eigh"

    def _seen(self) -> Scatter:
        """The sums over all rows so far; after a fit in memory, those that the fitted model stands for."""
        if "_scatter" in vars(self):
            return Scatter(int(self.n_samples_seen_), self.mean_, self._scatter)
        axes, variances = self.components_, self.explained_variance_
        return scatter_of_model(self.n_samples_, self.mean_, axes, variances, float(self.noise_variance_))

    def _rows_dtype(self) -> np.dtype:
        return np.dtype(self._dtype if "_scatter" in vars(self) else self.components_.dtype)

    def _refuse_more_components_than_columns(self) -> None:
        if isinstance(self.n_components, Integral) and self.n_components > self.n_features_in_:
            raise ValueError(
                f"n_components={self.n_components} must be between 0 and n_features={self.n_features_in_}."
            )

    def _find_axes(self, too_few_rows: type[Exception]) -> None:
        self._refuse_more_components_than_columns()
        needed = 2
        if isinstance(self.n_components, Integral):
            needed = max(2, int(self.n_components))
        elif self.n_components == "mle":
            needed = max(2, self.n_features_in_)
        if self.n_samples_seen_ < needed:
            raise too_few_rows(
                f"{type(self).__name__} has seen {self.n_samples_seen_} row(s); n_components={self.n_components!r} "
                f"needs at least {needed}."
            )
        self.__dict__.update(decompose(self._seen(), self.n_components, self._rows_dtype()))

    # --- rows in memory ---------------------------------------------------------------------------------------------

    def _fit(self, X: Any) -> Any:
        """What scikit-learn's ``fit`` and ``fit_transform`` share, where "auto" has more to choose from."""
        if self.svd_solver == "auto" and not issparse(X) and not get_config()["array_api_dispatch"]:
            table = validate_data(self, X, dtype=[np.float64, np.float32], ensure_all_finite=False)
            with suppress(OverflowError, ArpackError):  # NaN shows in sums; scikit-learn's check tells it from overflow
                done = self._fit_faster(table)
                if done is not None:
                    return done
        return super()._fit(X)

    def _fit_faster(self, X: np.ndarray) -> Any:
        """Fit where there is a faster way than scikit-learn's choice; return what its ``_fit`` does, or None."""
        k = int(self.n_components) if isinstance(self.n_components, Integral) else min(X.shape)
        way = faster_way(X, k, copy=self.copy)
        if way == "arpack":
            self._fit_svd_solver = "arpack"
            return self._fit_truncated(X, k, np)
        if way == "tall":
            attributes, (U, S, Vt) = decompose_tall(X, self.n_components), (None, None, None)
        elif way == "wide" and (found := decompose_wide(X, k)) is not None:
            attributes, (U, S, Vt) = found
        else:
            return None
        self.__dict__.update(attributes)
        self._fit_svd_solver = "covariance_eigh"
        return U, S, Vt, X, False, np

    # --- promises ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _checked(self) -> Iterator[None]:
        with all_or_nothing(self), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            try:
                yield
            except (np.linalg.LinAlgError, OverflowError) as error:
                raise ValueError(f"{self._too_large()} ({error})") from None

    def _end_fit(self) -> None:
        """No NaN after a fit in memory."""
        note_rows(self, int(self.n_samples_))
        if not isinstance(self.mean_, np.ndarray):
            return
        if self.n_samples_ == 1:
            raise ValueError(
                "Found array with 1 sample(s) while a minimum of 2 is required by PCAEncoder: one row has no variance."
            )
        if not all(np.isfinite(a).all() for a in (self.components_, self.explained_variance_)):
            raise ValueError(self._too_large())
        if not self.explained_variance_.any():  # shares of nothing
            self.explained_variance_ratio_ = np.zeros_like(self.explained_variance_)

    def _finite(self, features: Any) -> Any:
        values = features.to_numpy() if hasattr(features, "to_numpy") else features
        if isinstance(values, np.ndarray) and not np.isfinite(values).all():
            raise ValueError(self._too_large())
        return features

    def _too_large(self) -> str:
        return (
            f"{type(self).__name__}: X holds values so large, or in so small a float type, that variances or "
            "projections overflow. Rescale it first, for example with sklearn.preprocessing.StandardScaler."
        )
