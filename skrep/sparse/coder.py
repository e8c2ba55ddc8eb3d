"""Sparse coding (Olshausen & Field 1996) with a dictionary learned online (Mairal, Bach, Ponce & Sapiro 2009)."""

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from skrep.base import all_or_nothing
from skrep.data import Matrix, read_matrix
from skrep.data.sources import tensor_to_array
from skrep.engine import draw_seed, resolve_device
from skrep.params import RANDOM_STATE, Integer, Real, check_params, param, params

__all__ = ["SparseCoder"]

# Weights of the L1 norm for values of unit size. 1.2 is Mairal et al.'s (2009, section 5) 1.2 / sqrt(n_features) for
# rows of unit norm; 0.25 is the threshold that Coates & Ng (2011, section 4) use on whitened patches.
ALPHA = {"lasso": 1.2, "threshold": 0.25}

# How fast old statistics are forgotten: the exponent rho of Mairal et al. (2009, section 3.4.1).
FORGETTING = 5.0

# An atom is replaced if its squared coefficients are on average this small a part of an average atom's.
UNUSED = 1e-2

# Two atoms are the same if their inner product is larger.
SAME = 0.95

# Updates after which atoms are looked at, in online learning.
REPLACE_EVERY = 10

# Passes without progress after which learning ends: atoms that were just replaced make a pass or two worse.
PATIENCE = 3

# Of block coordinate descent on the atoms, where they are updated only once a pass.
ROUNDS = 10

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

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the dictionary, or check the one that was given.

        Parameters
        ----------
        X : array-like, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used.
        """
        with all_or_nothing(self):
            data, random = self._begin(X, reset=True, min_samples=2 if self.dictionary is None else 1)
            if self.dictionary is None:
                self._learn(data, random)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """Go on learning from more rows: one pass over them, in their order, in mini-batches.

        Parameters
        ----------
        X : array-like, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
            The rows. Those of the first call decide `alpha_`, if `alpha` is None, and are the first atoms: there
            must be as many.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For data or parameters that cannot be used; what was learned before is not lost.
        """
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
                self._one_pass(rows.astype(dtype, copy=False) for rows in data.chunks(self.batch_size))
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Codes of rows.

        Parameters
        ----------
        X : array-like, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
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
        solve = self._solver(self.components_.astype(data.dtype, copy=False), self.algorithm)
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
        return self._products(codes, self.components_.T.astype(codes.dtype))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean objective of rows with its sign turned, so that larger is better.

        The objective is ``1/2 ||x - z D||^2 + alpha ||z||_1`` for "lasso" and "threshold", which is only comparable
        between coders of the same `alpha`, and ``1/2 ||x - z D||^2`` for "omp".

        Parameters
        ----------
        X : array-like, torch.Tensor or torch.utils.data.Dataset of shape (n_samples, n_features)
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
        solve = self._solver(atoms, self.algorithm)
        chunks = data.chunks(self._chunk_rows(data.shape[1]))
        return -sum(_objective(rows, solve(rows), atoms, self.alpha_) for rows in chunks) / len(data)

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
            self.alpha_ = self._resolve_alpha(data)
            if self.dictionary is None:
                n_atoms = self.n_components or data.shape[1]
                self.components_ = _first_atoms(data, n_atoms, random, positive=self.positive_dict)
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
            raise ValueError(self._too_large())
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
        online, best, since = self._learning() == "online", math.inf, 0
        for _ in range(self.max_iter):
            if online:
                loss = self._one_pass(data.shuffled(self.batch_size, random), len(data))
            else:
                loss = self._one_round(data.shuffled(self._chunk_rows(data.shape[1]), random))
            since = 0 if best - loss > self.tol * best else since + 1
            best = min(best, loss)
            if since == PATIENCE:
                break

    def _one_pass(self, batches: Iterator[np.ndarray], memory: float = math.inf) -> float:
        """Atoms follow each batch; statistics are averages that forget (section 3.4.1).

        They reach back over `memory` rows at most: in ``fit`` a pass, as older codes are those of other atoms.
        """
        total, n_rows = 0.0, 0
        for rows in batches:
            codes = self._solver(self.components_, self._learned_by())(rows)
            total += self._loss(rows, codes)
            n_rows += len(rows)
            self._n_seen += len(rows)
            weight = min(1.0, max(1 - (1 - len(rows) / self._n_seen) ** FORGETTING, len(rows) / memory))
            self._A *= 1 - weight
            self._B *= 1 - weight
            self._add_statistics(rows, codes, weight / len(rows))
            self._update_atoms(1)
            if self.n_steps_ % REPLACE_EVERY == 0:
                self._replace_atoms(rows, codes)
        return self._end_pass(total / n_rows)

    def _one_round(self, chunks: Iterator[np.ndarray]) -> float:
        """Atoms follow all rows at once."""
        self._A[:], self._B[:] = 0, 0
        solve = self._solver(self.components_, self._learned_by())
        total, n_rows = 0.0, 0
        for rows in chunks:
            codes = solve(rows)
            total += self._loss(rows, codes)
            n_rows += len(rows)
            self._add_statistics(rows, codes, 1.0)
        self._A /= n_rows
        self._B /= n_rows
        self._update_atoms(ROUNDS)
        self._replace_atoms(rows, codes)  # the last chunk is one of random rows
        return self._end_pass(total / n_rows)

    def _loss(self, rows: np.ndarray, codes: np.ndarray) -> float:
        return _objective(rows, codes, self.components_, self.alpha_ if self._learned_by() == "lasso" else 0.0)

    def _add_statistics(self, rows: np.ndarray, codes: np.ndarray, weight: float) -> None:
        from skrep.solvers.dictionary import add_statistics

        add_statistics(codes, rows, self._A, self._B, weight)

    def _update_atoms(self, n_rounds: int) -> None:
        from skrep.solvers.dictionary import update_atoms

        for _ in range(n_rounds):
            update_atoms(self.components_, self._A, self._B, positive=self.positive_dict)
        self.n_steps_ += 1

    def _replace_atoms(self, rows: np.ndarray, codes: np.ndarray) -> None:
        """Put the rows that are coded worst in the place of atoms that are of no use."""
        from skrep.solvers.dictionary import squared_misfit

        atoms = self.components_
        use = np.diag(self._A)
        alike = np.triu(np.abs(atoms @ atoms.T) > SAME, 1).any(0)  # to an earlier atom
        useless = np.flatnonzero((use < UNUSED * use.mean()) | alike)
        misfit = squared_misfit(codes, rows, atoms)
        worst = np.argsort(-misfit, kind="stable")[: len(useless)]
        worst = worst[misfit[worst] > 0]
        useless = useless[: len(worst)]
        atoms[useless] = _unit(rows[worst], positive=self.positive_dict)
        self._A[useless], self._A[:, useless], self._B[useless] = 0, 0, 0

    def _end_pass(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise ValueError(self._too_large())
        self.n_iter_ += 1
        self.history_ = [*self.history_, {"epoch": self.n_iter_, "train_loss": loss}]
        if self.verbose:
            print(f"[{type(self).__name__}] pass {self.n_iter_}, objective {loss:.6g}")
        return loss

    # --- coding ---------------------------------------------------------------------------------------------------

    def _solver(self, atoms: np.ndarray, algorithm: str) -> Callable[[np.ndarray], np.ndarray]:
        """A function from rows to their codes, (n, n_features) -> (n, n_atoms)."""
        n_nonzero = 1 if algorithm == "omp1" else min(self.n_nonzero_coefs or max(1, atoms.shape[1] // 10), len(atoms))
        device = resolve_device(self.device)
        if device.type != "cpu":
            return partial(self._code_on_device, atoms, algorithm, n_nonzero, device)
        if algorithm == "threshold":
            from skrep.solvers.threshold import soft_threshold

            return lambda rows: soft_threshold(self._products(rows, atoms), self.alpha_, positive=self.positive)
        # in float64, as products in float32 do not tell atoms apart that are nearly the same
        wide = atoms.astype(np.float64, copy=False)
        gram = self._products(wide, wide)

        def solve(rows: np.ndarray) -> np.ndarray:
            from skrep.solvers.lasso import lasso
            from skrep.solvers.omp import omp

            products = self._products(rows.astype(np.float64, copy=False), wide)
            if algorithm == "lasso":
                codes = lasso(gram, products, self.alpha_, atoms.shape[1], positive=self.positive)
            else:
                codes = omp(gram, products, n_nonzero)
            with np.errstate(over="ignore"):
                codes = codes.astype(rows.dtype, copy=False)
            return self._finite(codes)

        return solve

    def _products(self, rows: np.ndarray, atoms: np.ndarray) -> np.ndarray:
        """Inner products, (n_rows, n_atoms)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._finite(rows @ atoms.T)

    def _finite(self, values: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            finite = math.isfinite(values.sum())  # the quicker look, whose sum may itself overflow
        if not finite and not np.isfinite(values).all():
            raise ValueError(self._too_large())
        return values

    def _code_on_device(
        self, atoms: np.ndarray, algorithm: str, n_nonzero: int, device: torch.device, rows: np.ndarray
    ) -> np.ndarray:
        from skrep.solvers.on_device import lasso_on_device, omp_on_device, threshold_on_device

        dtype = torch.float32 if device.type == "mps" else None  # which has no float64
        x, d = (torch.tensor(array, device=device, dtype=dtype) for array in (rows, atoms))
        if algorithm == "threshold":
            codes = threshold_on_device(x, d, self.alpha_, positive=self.positive)
        elif algorithm == "lasso":
            codes, n_open = lasso_on_device(x, d, self.alpha_, positive=self.positive)
            if n_open:
                warnings.warn(
                    f"{type(self).__name__}: the codes of {n_open} rows of {len(rows)} are not optimal yet (a duality "
                    "gap above 1e-5). Atoms that are nearly the same, or a small alpha, are slow on this device; "
                    "device='cpu' solves exactly.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
        else:
            codes = omp_on_device(x, d, n_nonzero)
        result: np.ndarray = codes.cpu().numpy().astype(rows.dtype, copy=False)
        return result

    def _chunk_rows(self, n_features: int) -> int:
        """Rows that are coded at a time."""
        n_atoms = len(self.components_)
        return max(1, CHUNK_BYTES // (8 * (n_features + 2 * n_atoms)))

    def _too_large(self) -> str:
        return (
            f"{type(self).__name__}: X, or the dictionary, holds values so large that sums of their squares overflow. "
            "Rescale it first, for example with sklearn.preprocessing.StandardScaler."
        )

    @property
    def _n_features_out(self) -> int:
        return len(self.components_) * (2 if self.split_sign else 1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _objective(rows: np.ndarray, codes: np.ndarray, atoms: np.ndarray, alpha: float) -> float:
    """Sum over rows of ``1/2 ||x - z D||^2 + alpha ||z||_1``."""
    from skrep.solvers.dictionary import squared_misfit

    misfit = float(squared_misfit(codes, rows, atoms).sum())
    return misfit / 2 + (alpha * float(np.abs(codes).sum()) if alpha else 0.0)


def _first_atoms(data: Matrix, n_atoms: int, random: np.random.RandomState, *, positive: bool) -> np.ndarray:
    """Rows at random, and random directions where there are too few rows."""
    index = random.permutation(len(data))[:n_atoms]
    atoms = random.standard_normal((n_atoms, data.shape[1])).astype(data.dtype)
    rows = data.take(np.sort(index))
    useful = np.flatnonzero(rows.any(1))
    atoms[useful] = rows[useful]
    return _unit(atoms, positive=positive)


def _unit(atoms: np.ndarray, *, positive: bool) -> np.ndarray:
    """Each row scaled to unit norm, by way of its largest value so that no square overflows."""
    if positive:
        atoms = np.abs(atoms)
    atoms = atoms / np.abs(atoms).max(1, keepdims=True)
    unit: np.ndarray = atoms / np.linalg.norm(atoms, axis=1, keepdims=True)
    return unit
