"""Sparse coding (Olshausen & Field 1996) with a dictionary learned online (Mairal, Bach, Ponce & Sapiro 2009)."""

import math
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skrep.data import Matrix, read_matrix, refuse_groups, warn_of_units
from skrep.data.sources import tensor_to_array
from skrep.engine import all_or_nothing, draw_seed, note_rows, resolve_device
from skrep.params import RANDOM_STATE, Integer, Real, check_params, param, params
from skrep.sparse.coding import Coding, objective, products, too_large
from skrep.sparse.learning import DictionaryLearning, first_atoms

__all__ = ["SparseCoder"]

# Weights of the L1 norm for values of unit size. 1.2 is Mairal et al.'s (2009, section 5) 1.2 / sqrt(n_features) for
# rows of unit norm; 0.25 is the threshold that Coates & Ng (2011, section 4) use on whitened patches.
ALPHA = {"lasso": 1.2, "threshold": 0.25}

# Passes without progress after which learning ends: atoms that were just replaced make a pass or two worse.
PATIENCE = 3

# About what codes hold in memory at a time.
CHUNK_BYTES = 32 * 2**20


class _ArrayLike:
    """What may be a matrix."""

    def accepts(self, value: object) -> bool:
        return isinstance(value, (list, tuple)) or hasattr(value, "__array__")

    def __str__(self) -> str:
        return "an array-like of shape (n_components, n_features)"


@params
class SparseCoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Rows as combinations of few atoms, from a dictionary that is learned or given.

    With atoms D, one in each row, a row x gets the code z that

    - "lasso" minimises ``1/2 ||x - z D||^2 + alpha ||z||_1``, to rounding;
    - "omp": orthogonal matching pursuit, finds greedily with `n_nonzero_coefs` atoms for the smallest ``||x - z D||``;
    - "threshold" is ``sign(x D^T) max(|x D^T| - alpha, 0)``, which costs one product of matrices.

    Parameters
    ----------
    n_components : int or None, default=None
        Number of atoms; None takes as many as there are features. More than that is called overcomplete, and usual.
    dictionary : array-like of shape (n_components, n_features) or None, default=None
        Atoms to code with, as they are; None learns them. An atom of zeros is never used.
    algorithm : {"lasso", "omp", "threshold"}, default="lasso"
        How rows are coded.
    alpha : float or None, default=None
        Weight of the L1 norm ("lasso") or the threshold, in the units of X. None takes 1.2 times ("lasso") or 0.25
        times ("threshold") the root mean square of the values in X: 0.15 for 8x8 patches of unit norm.
    n_nonzero_coefs : int or None, default=None
        Atoms for each row with "omp"; None takes a tenth of the number of features, at least one.
    positive : bool, default=False
        Whether coefficients must not be negative; not for "omp".
    positive_dict : bool, default=False
        Whether atoms must not be negative.
    split_sign : bool, default=False
        Whether features are the positive parts of the code, then the negative parts with their sign turned: twice as
        many, which a linear model can weigh apart.
    learning : {"auto", "online", "batch", "omp1"}, default="auto"
        How the dictionary is learned. "online" updates it after each mini-batch (Mairal et al. 2009), "batch" after
        each pass over all rows; both code as `algorithm` does, and by the lasso for "threshold". "omp1" gives each row
        one atom: spherical k-means (Coates & Ng 2011). "auto" is "omp1" for "threshold" and else "online".
    max_iter : int, default=100
        Passes over the rows, at most.
    batch_size : int, default=256
        Rows in a mini-batch of "online" and of ``partial_fit``.
    tol : float, default=0.001
        Learning ends after three passes in which the mean objective did not fall by this part.
    device : str, default="auto"
        Where rows are coded: "auto" takes the first of CUDA, Apple's MPS and the CPU that is there.
    random_state : int, RandomState instance or None, default=None
        Decides the first atoms and the order of rows.
    verbose : int, default=0
        1 prints the objective after each pass.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Atoms; of unit norm if they were learned.
    alpha_ : float
        The weight in use; 0 for "omp".
    n_features_in_ : int
        Number of columns seen in ``fit``.
    n_iter_ : int
        Passes over the rows.
    n_steps_ : int
        Updates of the dictionary.
    history_ : list of dict
        "epoch" and "train_loss" for each pass: the mean objective of rows, coded with the atoms of that moment.

    See Also
    --------
    PCAEncoder : Dense codes in closed form.
    AutoEncoderTransformer : Codes that a network computes.

    Notes
    -----
    The lasso's optimum is found by feature-sign search and the pursuit by Batch-OMP, in machine code that numba
    compiles at the first call (some seconds, kept on disk). Rows are spread over torch's threads. On a GPU the lasso is
    solved by FISTA, to a duality gap of 1e-5.

    Atoms begin as rows drawn at random; where there are more atoms than rows, the others begin as random directions.
    Atoms that rows stopped using, and atoms that became the same as another, are replaced by the rows that are coded
    worst. Of atoms that depend on one another a row uses independent ones; equal atoms are never used together.

    Unlike in scikit-learn's ``SparseCoder``, `n_components` is the first parameter, `alpha` and `n_nonzero_coefs` hold
    for learning and coding, and an encoder with a given dictionary is fitted like any other. Parameters that were
    changed after ``fit`` are refused: ``SparseCoder(dictionary=coder.components_, ...)`` codes otherwise.

    ``numpy.memmap`` and torch Datasets are read in pieces; mini-batches are then drawn from pieces in random order.
    Sparse rows are made dense a mini-batch at a time.

    References
    ----------
    Olshausen & Field (1996), Emergence of simple-cell receptive field properties by learning a sparse code for natural
    images. Mairal, Bach, Ponce & Sapiro (2009), Online dictionary learning for sparse coding. Coates & Ng (2011), The
    importance of encoding versus training with sparse coding and vector quantization.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skrep import SparseCoder
    >>> X, _ = load_digits(return_X_y=True)
    >>> coder = SparseCoder(100, random_state=0).fit(X)
    >>> Z = coder.transform(X)
    >>> Z.shape, round(float((Z != 0).mean()), 2)
    ((1797, 100), 0.05)
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    dictionary: Any = param(_ArrayLike(), None, default=None)
    algorithm: str = param("lasso", "omp", "threshold", default="lasso")
    alpha: float | None = param(Real(low=0, open_low=True), None, default=None)
    n_nonzero_coefs: int | None = param(Integer(low=1), None, default=None)
    positive: bool = param(bool, default=False)
    positive_dict: bool = param(bool, default=False)
    split_sign: bool = param(bool, default=False)
    learning: str = param("auto", "online", "batch", "omp1", default="auto")
    max_iter: int = param(Integer(low=1), default=100)
    batch_size: int = param(Integer(low=1), default=256)
    tol: float = param(Real(low=0), default=1e-3)
    device: str = param(str, default="auto")
    random_state: int | np.random.RandomState | None = param(*RANDOM_STATE, default=None)
    verbose: int = param(Integer(low=0), bool, default=0)

    reads: ClassVar[tuple[str, ...]] = ("table",)
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}
    __metadata_request__partial_fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Learn the dictionary, or check the one that was given.

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
        with all_or_nothing(self):
            data, random = self._begin(X, reset=True, min_samples=2 if self.dictionary is None else 1)
            if self.dictionary is None:
                note_rows(self, len(data))
                self._learn(data, random)
        return self

    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Go on learning from more rows: one pass over them, in their order, in mini-batches.

        Parameters
        ----------
        X : array-like, sparse matrix, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows. Those of the first call decide `alpha_`, if `alpha` is None, and are the first atoms: there
            must be as many.
        y, groups : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used; what was learned before is not lost.
        """
        refuse_groups(groups, type(self).__name__)
        with all_or_nothing(self):
            begins = not hasattr(self, "components_")
            if not begins:
                self._refuse_changes()
            data, _ = self._begin(X, reset=begins)
            if self.dictionary is None:
                if begins and len(data) < len(self.components_):
                    raise ValueError(
                        f"the first partial_fit got {len(data)} rows, fewer than n_components={len(self.components_)}: "
                        "its rows are the first atoms. Begin with more rows, or with fewer components."
                    )
                self.components_: np.ndarray = self.components_.copy()  # updates are in place
                self._A: np.ndarray = self._A.copy()
                self._B: np.ndarray = self._B.copy()
                dtype = self.components_.dtype
                learning = self._dictionary_learning()
                learning.one_pass(rows.astype(dtype, copy=False) for rows in data.chunks(self.batch_size))
                self._keep(learning)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Codes of rows.

        Parameters
        ----------
        X : array-like, sparse matrix, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components), or twice as wide with `split_sign`
            float32 for float32 rows, else float64.

        Raises
        ------
        ValueError
            If `X` is not what was fitted.
        """
        from skrep.solvers.threshold import split_signs

        check_is_fitted(self)
        self._refuse_changes()
        data = read_matrix(self, X, reset=False)
        solve = self._coding().solver(self.components_.astype(data.dtype, copy=False), self.algorithm)
        features = np.empty((len(data), self._n_features_out), data.dtype)
        start = 0
        for rows in data.chunks(self._chunk_rows(data.shape[1])):
            codes, part = solve(rows), features[start : start + len(rows)]
            if self.split_sign:
                split_signs(codes, part)
            else:
                part[:] = codes
            start += len(rows)
        return features

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows from codes: combinations of atoms.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features_out)
            Codes, as ``transform`` returns them.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Rows.

        Raises
        ------
        ValueError
            If codes have another width.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=[np.float64, np.float32], estimator=self, input_name="X")
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} features, but {type(self).__name__} gives codes of {self._n_features_out}."
            )
        n_atoms = len(self.components_)
        if self.split_sign:
            codes = codes[:, :n_atoms] - codes[:, n_atoms:]
        return products(codes, self.components_.T.astype(codes.dtype), type(self).__name__)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean objective of rows with its sign turned, so that larger is better.

        The objective is ``1/2 ||x - z D||^2 + alpha ||z||_1`` for "lasso" and "threshold", which is only comparable
        between coders of the same `alpha`, and ``1/2 ||x - z D||^2`` for "omp".

        Parameters
        ----------
        X : array-like, sparse matrix, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows.
        y : None
            Not used.

        Returns
        -------
        float
            Score.
        """
        check_is_fitted(self)
        self._refuse_changes()
        data = read_matrix(self, X, reset=False)
        atoms = self.components_.astype(data.dtype, copy=False)
        solve = self._coding().solver(atoms, self.algorithm)
        chunks = data.chunks(self._chunk_rows(data.shape[1]))
        return -sum(objective(rows, solve(rows), atoms, self.alpha_) for rows in chunks) / len(data)

    # --- the start ------------------------------------------------------------------------------------------------

    def _begin(self, X: Any, *, reset: bool, min_samples: int = 1) -> tuple[Matrix, np.random.RandomState]:
        """Check everything; when `reset`, set alpha_ and the first atoms."""
        check_params(self)
        if self.positive and self.algorithm == "omp":
            raise ValueError(
                f"{type(self).__name__}(positive=True, algorithm='omp'): the pursuit fits coefficients by least "
                "squares, whatever their sign. Use algorithm='lasso'."
            )
        resolve_device(self.device)
        data = read_matrix(self, X, reset=reset, min_samples=min_samples)
        random = np.random.RandomState(draw_seed(self.random_state))
        if reset:
            warn_of_units(self, X)
            self.alpha_ = self._resolve_alpha(data)
            if self.dictionary is None:
                n_atoms = self.n_components or data.shape[1]
                self.components_ = first_atoms(data, n_atoms, random, positive=self.positive_dict)
                # of codes, and of codes with rows: A and B of Mairal et al. (2009, Algorithm 1)
                self._A, self._B = np.zeros((n_atoms, n_atoms)), np.zeros((n_atoms, data.shape[1]))
            else:
                self.components_ = self._given_atoms(data)
            self._fitted_with = self._settings()
            self.n_iter_, self.n_steps_, self._n_seen = 0, 0, 0
            self.history_: list[dict[str, float]] = []
        return data, random

    def _settings(self) -> dict[str, Any]:
        """The parameters that give codes and atoms their meaning."""
        names = ("n_components", "algorithm", "alpha", "n_nonzero_coefs", "positive", "positive_dict", "split_sign")
        return {name: getattr(self, name) for name in (*names, "learning")} | {"learned": self.dictionary is None}

    def _refuse_changes(self) -> None:
        for name, value in self._settings().items():
            before = self._fitted_with[name]
            if value != before:
                raise ValueError(
                    f"{type(self).__name__} was fitted with {name}={before!r} and now has {value!r}. Fit it anew; or "
                    "code with the same atoms otherwise by SparseCoder(dictionary=coder.components_, ...)."
                )

    def _given_atoms(self, data: Matrix) -> np.ndarray:
        given = self.dictionary
        given = tensor_to_array(given) if isinstance(given, torch.Tensor) else given
        try:
            atoms: np.ndarray = check_array(given, dtype=data.dtype, copy=True, input_name="dictionary")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{type(self).__name__}(dictionary=...): {error}") from None
        if atoms.shape[1] != data.shape[1]:
            raise ValueError(
                f"{type(self).__name__}: atoms of the dictionary have {atoms.shape[1]} features, rows of X have "
                f"{data.shape[1]}. They must be the same; a dictionary has one atom in each row."
            )
        if self.n_components not in (None, len(atoms)):
            raise ValueError(
                f"{type(self).__name__}(n_components={self.n_components}): the dictionary has {len(atoms)} atoms. "
                "Leave n_components out where a dictionary is given."
            )
        return atoms

    def _resolve_alpha(self, data: Matrix) -> float:
        if self.algorithm == "omp":
            return 0.0
        if self.alpha is not None:
            return float(self.alpha)
        with np.errstate(over="ignore"):
            squares = sum(float(np.square(chunk, dtype=np.float64).sum()) for chunk in data.chunks())
        size = math.sqrt(squares / math.prod(data.shape))
        if not math.isfinite(size):
            raise ValueError(too_large(type(self).__name__))
        return ALPHA[self.algorithm] * (size or 1.0)  # rows of nothing but zeros have codes of zeros for any alpha

    # --- learning -------------------------------------------------------------------------------------------------

    def _learning(self) -> str:
        by_default = "omp1" if self.algorithm == "threshold" else "online"
        return by_default if self.learning == "auto" else self.learning

    def _learned_by(self) -> str:
        """How rows are coded while atoms are learned."""
        if self._learning() == "omp1":
            return "omp1"
        return "lasso" if self.algorithm == "threshold" else self.algorithm

    def _learn(self, data: Matrix, random: np.random.RandomState) -> None:
        learning = self._dictionary_learning()
        online, best, since = self._learning() == "online", math.inf, 0
        for _ in range(self.max_iter):
            if online:
                loss = learning.one_pass(data.shuffled(self.batch_size, random), len(data))
            else:
                loss = learning.one_round(data.shuffled(self._chunk_rows(data.shape[1]), random))
            since = 0 if best - loss > self.tol * best else since + 1
            best = min(best, loss)
            if since == PATIENCE:
                break
        self._keep(learning)

    def _dictionary_learning(self) -> DictionaryLearning:
        """Learning that goes on where it was, and changes the atoms and their statistics in place."""
        return DictionaryLearning(
            atoms=self.components_,
            A=self._A,
            B=self._B,
            n_seen=self._n_seen,
            n_steps=self.n_steps_,
            n_passes=self.n_iter_,
            history=self.history_,
            coding=self._coding(),
            algorithm=self._learned_by(),
            positive=self.positive_dict,
            verbose=self.verbose,
        )

    def _keep(self, learning: DictionaryLearning) -> None:
        """Take over what does not change in place."""
        self._n_seen, self.n_steps_, self.n_iter_ = learning.n_seen, learning.n_steps, learning.n_passes
        self.history_ = learning.history

    # --- coding ---------------------------------------------------------------------------------------------------

    def _coding(self) -> Coding:
        device, label = resolve_device(self.device), type(self).__name__
        return Coding(self.alpha_, self.n_nonzero_coefs, self.positive, device, label)

    def _chunk_rows(self, n_features: int) -> int:
        """Rows that are coded at a time."""
        n_atoms = len(self.components_)
        return max(1, CHUNK_BYTES // (8 * (n_features + 2 * n_atoms)))

    @property
    def _n_features_out(self) -> int:
        return len(self.components_) * (2 if self.split_sign else 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        tags.input_tags.sparse = True
        return tags
