"""The learning of words' vectors: the weights behind them, and the run that trains these."""

import hashlib
import math
import warnings
from contextlib import ExitStack
from dataclasses import fields
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from skrep.engine import RunFolder, fingerprint, resolve_device
from skrep.engine.randomness import derive_seed
from skrep.exceptions import CheckpointWarning, DivergedError
from skrep.solvers.word2vec_steps import CompiledWeights, Task, keep_probabilities, negative_tables
from skrep.text import TextInput, TokenStream, WordVectors, code_points, means
from skrep.words.training import STATE_KEYS, Training, Weights

__all__ = ["SCORE", "TRAIN", "WordLearner"]

# Words that a default fit reads, all epochs together, and the epochs that this may come to.
DEFAULT_WORDS, EPOCHS = 30_000_000, (5, 30)

# Frequency from which on words are left out by chance, in a vocabulary of ten thousand or more.
SAMPLE = 1e-3

# Peak learning rates of skip-gram, of CBOW whose inputs share a gradient, and of CBOW where each gets all of it.
LR = {"skip-gram": 0.025, "cbow": 0.075, "uncorrected": 0.05}

# What does not change the vectors, and so is not in a run's key.
_NOT_TRAINED = {
    "pooling", "standardize", "n_jobs", "device", "checkpoint", "verbose", "random_state", "unlabeled", "vocabulary",
    "min_count", "max_features",
}  # fmt: skip

# Places in a fit, for seeds.
_INITIAL, _SPLIT, TRAIN, SCORE = 0, 1, 2, 3


class WordLearner(BaseEstimator):
    """What learns the vectors of a vocabulary, and goes on learning them.

    It needs the parameters below and, in ``vectors_``, words and their counts. Weights are the words' vectors or, where
    words are made of n-grams, ``_inputs``, of which vectors are the means; ``_outputs``, which predict; and the
    ``_paths`` of hierarchical softmax.
    """

    n_components: int
    algorithm: str
    loss: str
    window: int
    negative: int
    ns_exponent: float
    sample: float | None
    subwords: Any
    n_buckets: int
    correct_cbow: bool
    vectors: WordVectors | None
    max_epochs: int | None
    lr: float | None
    min_lr: float
    validation_fraction: float | None
    n_jobs: int | None
    device: str
    random_state: int | np.random.RandomState | None
    checkpoint: Any
    verbose: int

    vectors_: WordVectors
    _inputs: np.ndarray | None
    _outputs: np.ndarray | None
    _paths: tuple[np.ndarray, np.ndarray] | None

    # --- what was learned -----------------------------------------------------------------------------------------

    def _no_history(self) -> None:
        self.history_: list[dict[str, Any]] = []
        self.resumed_from_: tuple[int, int] | None = None

    @property
    def _counts(self) -> np.ndarray:
        """How often each word occurred."""
        counts = self.vectors_.counts
        assert counts is not None
        return counts

    def _settings(self) -> dict[str, Any]:
        """Parameters that give the weights their shape and meaning."""
        names = ("n_components", "algorithm", "loss", "subwords", "n_buckets", "vectors")
        return {name: getattr(self, name) for name in names}

    def _require_trained(self, call: str) -> None:
        if self._outputs is None:
            raise ValueError(f"{call} needs vectors that were learned here, but this encoder was given vectors=.")
        for name, value in self._settings().items():
            if value is not self._fitted_with[name] and value != self._fitted_with[name]:
                raise ValueError(
                    f"{name}={value!r}, but this encoder was fitted with {self._fitted_with[name]!r}. Set it back, or "
                    f"fit again before {call}."
                )
        self._require_fitting_weights()

    def _require_fitting_weights(self) -> None:
        """Raise ValueError where weights, tree and words do not fit together."""
        assert self._outputs is not None
        n_words, n_rows = len(self.vectors_), len(self._outputs)  # machine code trusts them; a file may say anything
        width = self.vectors_.vectors.shape[1]
        n_inputs = n_words if self._inputs is None else len(self._inputs) - self.n_buckets
        nodes_fit = self._paths is None or (
            self._paths[1].shape == (n_words,)
            and all(array.dtype.kind == "i" for array in self._paths)
            and (np.diff(self._paths[1], prepend=0) >= 0).all()
            and self._paths[1].max(initial=0) == len(self._paths[0])
            and ((self._paths[0] >= 0) & (self._paths[0] < 2 * n_rows)).all()
        )
        if (
            n_inputs != n_words
            or (self._inputs is None) != (self.subwords is None)
            or (self._paths is None) != (self.loss == "negative_sampling")
            or (self._paths is None and n_rows != n_words)
            or not nodes_fit
            or any(w.dtype != np.float32 or w.shape[1:] != (width,) for w in (self._all_inputs(), self._outputs))
        ):
            raise ValueError(f"the weights of this encoder do not fit its {n_words} words. Fit again.")

    # --- weights --------------------------------------------------------------------------------------------------

    def _first_inputs(self, n_rows: int, seed: int) -> np.ndarray:
        """Uniform in +-0.5 / n_components."""
        draws = np.random.default_rng(seed).random((n_rows, self.n_components), np.float32)
        first: np.ndarray = (draws - np.float32(0.5)) / np.float32(self.n_components)
        return first

    def _begin(self, seed: int) -> None:
        """The weights before training, and nothing of it."""
        self._seed = seed
        self._fitted_with = self._settings()
        self._no_history()
        n_words = len(self.vectors_)
        inputs = self._first_inputs(n_words + (self.n_buckets if self.subwords else 0), derive_seed(seed, _INITIAL))
        self._paths = None
        if self.loss == "hierarchical_softmax":
            from skrep.solvers.huffman import huffman_paths

            self._paths = huffman_paths(self._counts)
        n_outputs = n_words if self._paths is None else max(1, n_words - 1)
        self._outputs = np.zeros((n_outputs, self.n_components), np.float32)
        self._set_inputs(inputs)

    def _add_words(self, words: list[str], counts: np.ndarray) -> None:
        """Weights of words that now follow those of the vocabulary, and counts of all."""
        n_old = len(self.vectors_)
        inputs, outputs = self._all_inputs(), self._outputs
        assert outputs is not None
        first = self._first_inputs(len(words) - n_old, derive_seed(self._seed, _INITIAL, n_old))
        inputs = np.concatenate([inputs[:n_old], first, inputs[n_old:]])
        self._outputs = np.concatenate([outputs, np.zeros_like(first)])
        if self._paths is not None and len(first):
            from skrep.solvers.huffman import huffman_paths, join_trees

            self._paths = join_trees(*self._paths, *huffman_paths(counts[n_old:]))
        self.vectors_ = WordVectors(words, np.zeros((len(words), inputs.shape[1]), np.float32), counts)
        self._set_inputs(inputs)

    def _set_inputs(self, inputs: np.ndarray) -> None:
        """Hold the weights of the inputs: words' vectors, or with n-grams what these will be the means of."""
        if self.subwords is None:
            self.vectors_ = WordVectors(self.vectors_.words, inputs, self._counts)
        else:
            self._inputs = inputs

    def _all_inputs(self) -> np.ndarray:
        return self.vectors_.vectors if self._inputs is None else self._inputs

    def _parts(self, words: list[str], first_bucket: int, *, has_own: bool) -> tuple[np.ndarray, np.ndarray]:
        """Rows of the inputs that words are the mean of, one word behind the other, and where they end."""
        from skrep.solvers.scan import ngram_rows

        characters, ends = code_points([f"<{word}>" for word in words])
        lengths = np.diff(ends, prepend=0)
        least, most = self.subwords[0], min(self.subwords[1], int(lengths.max(initial=0)))
        n_most = len(words) + sum(int(np.maximum(lengths - n + 1, 0).sum()) for n in range(least, most + 1))
        rows, row_ends = np.empty(n_most, np.int32), np.empty(len(words), np.int64)
        n = ngram_rows(characters, ends, least, most, first_bucket, self.n_buckets, has_own, rows, row_ends)
        return rows[:n], row_ends

    def _task(self) -> Task:
        counts = self._counts
        n_words = len(counts)
        is_cbow = self.algorithm == "cbow"
        paths, path_ends = (np.empty(0, np.int32), np.zeros(0, np.int64)) if self._paths is None else self._paths
        if self.subwords is None:
            parts, part_ends = np.arange(n_words, dtype=np.int32), np.arange(1, n_words + 1)
        else:
            parts, part_ends = self._parts(self.vectors_.words, n_words, has_own=True)
        thresholds, others = negative_tables(counts, self.ns_exponent)
        return Task(
            window=self.window,
            negative=self.negative if self._paths is None else 0,
            is_cbow=is_cbow,
            uses_bags=is_cbow or self.subwords is not None,
            shares_error=is_cbow and self.correct_cbow and self.subwords is None,
            keep=keep_probabilities(counts, max(SAMPLE, 10 / n_words) if self.sample is None else self.sample),
            thresholds=thresholds,
            others=others,
            paths=paths,
            path_ends=path_ends,
            parts=parts,
            part_ends=part_ends,
        )

    def _weights(self) -> Weights:
        device, task = resolve_device(self.device), self._task()
        inputs, outputs = self._all_inputs(), self._outputs
        assert outputs is not None
        if device.type == "cpu":
            return CompiledWeights(task, inputs, outputs)
        from skrep.solvers.word2vec_torch import TorchWeights

        return TorchWeights(task, inputs, outputs, device)

    # --- a run of training ----------------------------------------------------------------------------------------

    def _threads(self) -> int:
        n_jobs: int = joblib.effective_n_jobs(1 if self.n_jobs is None else self.n_jobs)
        return n_jobs

    def _peak_lr(self) -> float:
        shares = self.algorithm == "skip-gram" or (self.correct_cbow and self.subwords is None)
        return self.lr or LR[self.algorithm if shares else "uncorrected"]

    def _learn(self, stream: TokenStream, seed: int) -> None:
        """Train to the end, or load what was trained."""
        with ExitStack() as stack:
            run: RunFolder | None = None
            saved: dict[str, Any] | None = None
            if self.checkpoint is not None:
                run = RunFolder(self.checkpoint, self._run_key(stream, seed), STATE_KEYS)
                stack.enter_context(run.locked())
                saved = run.read()
            self._begin(seed)
            if saved is not None:
                saved = self._take_saved(saved)
            train, held_out = self._split(stream)
            n_epochs = self.max_epochs or int(np.clip(round(DEFAULT_WORDS / max(len(train), 1)), *EPOCHS))
            training = self._training(
                train,
                held_out=held_out,
                n_epochs=n_epochs,
                seed=self._seed,
                lr=self._peak_lr(),
                min_lr=self.min_lr,
                run=run,
                is_fit=True,
            )
            self.history_ = training.train(saved)
            self._take(training)

    def _take_saved(self, saved: dict[str, Any]) -> dict[str, Any] | None:
        """Take over the weights of a checkpoint, and return it; that of another run warns and is ignored."""
        numbers_fit = all(type(saved[name]) is int and saved[name] >= 0 for name in ("epoch", "block", "n_predictions"))
        arrays_fit = all(
            isinstance(saved[name], np.ndarray) and saved[name].shape == own.shape and saved[name].dtype == own.dtype
            for name, own in (("inputs", self._all_inputs()), ("outputs", np.asarray(self._outputs)))
        )
        if not (numbers_fit and arrays_fit and type(saved["seed"]) is int and type(saved["history"]) is list):
            warnings.warn(
                f"the file in checkpoint={str(self.checkpoint)!r} is not of this run. Training begins afresh.",
                CheckpointWarning,
                stacklevel=6,
            )
            return None
        self._seed = saved["seed"]
        self._set_inputs(saved["inputs"])
        self._outputs = saved["outputs"]
        self.resumed_from_ = saved["epoch"], saved["block"]
        return saved

    def _run_key(self, stream: TokenStream, seed: int) -> str:
        """A name for all that decides the vectors; words stand for the documents and how they are read."""
        of_texts = {field.name for field in fields(TextInput)}
        parameters = self.get_params(deep=False).items()
        decides = {name: value for name, value in parameters if name not in of_texts | _NOT_TRAINED}
        digest = hashlib.sha256()
        for tokens, ends in stream.chunks():
            digest.update(tokens.tobytes() + ends.tobytes())
        seed_key = None if self.random_state is None else seed
        return fingerprint(type(self).__name__, decides, seed_key, self.vectors_.words, digest.hexdigest())

    def _split(self, stream: TokenStream) -> tuple[TokenStream, TokenStream | None]:
        """The documents to train on, and those held out."""
        if self.validation_fraction is None:
            return stream, None
        n = stream.n_documents
        n_held_out = max(1, round(self.validation_fraction * n))
        if n_held_out >= n:
            raise ValueError(
                f"validation_fraction={self.validation_fraction} of {n} documents leaves none to train on. Pass more "
                "documents or a smaller fraction."
            )
        is_held_out = np.zeros(n, bool)
        is_held_out[np.random.default_rng(derive_seed(self._seed, _SPLIT)).permutation(n)[:n_held_out]] = True
        return stream.documents(~is_held_out), stream.documents(is_held_out)

    def _training(
        self,
        stream: TokenStream,
        *,
        seed: int,
        lr: float,
        min_lr: float,
        held_out: TokenStream | None = None,
        n_epochs: int = 1,
        run: RunFolder | None = None,
        is_fit: bool = False,
    ) -> Training:
        return Training(
            weights=self._weights(),
            stream=stream,
            held_out=held_out,
            n_epochs=n_epochs,
            lr=lr,
            min_lr=min_lr,
            seed=seed,
            n_jobs=self._threads() if resolve_device(self.device).type == "cpu" else 1,
            run=run,
            label=type(self).__name__,
            verbose=int(self.verbose),
            is_fit=is_fit,
        )

    def _take(self, training: Training) -> None:
        """Take over what was trained."""
        inputs, self._outputs = training.weights.weights()
        if not (np.isfinite(inputs).all() and np.isfinite(self._outputs).all()):
            raise DivergedError(f"the vectors are not finite after training at lr={training.lr:g}. Use a smaller lr.")
        self._set_inputs(inputs)
        if self.subwords is not None:
            words = self.vectors_.words
            vectors = means(*self._parts(words, len(words), has_own=True), inputs)
            self.vectors_ = WordVectors(words, vectors, self._counts)
        if math.isnan(self.history_[-1]["train_loss"]):
            warnings.warn(
                "no document holds two known words near each other, so that nothing was learned from these documents.",
                ConvergenceWarning,
                stacklevel=5,
            )
