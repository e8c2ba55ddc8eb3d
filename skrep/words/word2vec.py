"""word2vec: words as vectors that predict, or are predicted by, the words around them (Mikolov et al. 2013).

Documents are cut into words once, vectors are learned from the stream of all words, and a document's features are the
mean of its words' vectors. The steps themselves are in :mod:`skrep.solvers.word2vec`, in machine code, and in
:mod:`skrep.solvers.word2vec_torch`, for GPUs.
"""

import numbers
import os
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from skrep.data import refuse_groups
from skrep.engine import all_or_nothing, draw_seed, note_rows, resolve_device
from skrep.engine.randomness import derive_seed
from skrep.params import RANDOM_STATE, Integer, Real, SharedRows, check_params, param, params
from skrep.text import (
    POOLINGS,
    TextInput,
    Tokenised,
    TokenStream,
    WordVectors,
    centre_and_distance,
    common_direction,
    learned_tokenizer,
    means,
    pooled,
    require_reiterable,
    require_tokenizer,
    tokenise,
)
from skrep.words.learning import SCORE, TRAIN, WordLearner
from skrep.words.training import mean_loss
from skrep.words.vocabulary import Vocabulary, find_vocabulary, grown_vocabulary

__all__ = ["Word2VecTransformer"]

# Of documents from their centre: where LogisticRegression's default penalty is near its best.
DISTANCE = 2.0

# What a fit sets.
_FITTED = {
    "vectors_", "tokenizer_", "history_", "resumed_from_", "n_documents_", "_inputs", "_outputs", "_paths",
    "_rare_words", "_rare_counts", "_document_counts", "_min_count", "_seed", "_fitted_with", "_direction", "_scales",
}  # fmt: skip


@params
class Word2VecTransformer(SharedRows, TextInput, ClassNamePrefixFeaturesOutMixin, TransformerMixin, WordLearner):
    r"""Vectors of words, learned from raw texts, and documents as means of their words.

    Skip-gram predicts each word from every word near it, CBOW from the mean of them all. A prediction is not held
    against the whole vocabulary but against a few words drawn at random (negative sampling), or made along a tree of
    yes-or-no questions (hierarchical softmax).

    Parameters
    ----------
    n_components : int, default=100
        Width of the vectors.
    algorithm : {"skip-gram", "cbow"}, default="skip-gram"
        What is predicted from what. CBOW is faster, and needs more text to be as good.
    loss : {"negative_sampling", "hierarchical_softmax"}, default="negative_sampling"
        How a prediction is scored.
    window : int, default=10
        Words to each side that count as near, at most: for each word as many as are drawn from 1, ..., `window`. Wide
        windows learn what words are about, narrow ones (5, 3) how they are used.
    negative : int, default=5
        Words drawn as negatives for each word, with "negative_sampling". They are drawn once for a word's whole window.
    ns_exponent : float, default=0.75
        Negatives are drawn in proportion to this power of their frequency.
    sample : float or None, default=None
        Frequency from which on a word is left out by chance, the more the more frequent it is; 0 leaves out none. None
        is 0.001, or ten times an average word's frequency where that is more.
    min_count : int or None, default=None
        How often a word has to occur in all documents together. None: 5 times where there are 300,000 words, 2
        from ten thousand on, else once.
    max_features : int or None, default=None
        Words in the vocabulary, at most: the most frequent.
    vocabulary : list of str or None, default=None
        The words to learn vectors of, instead of the two above.
    subwords : tuple of (int, int) or None, default=None
        Shortest and longest character n-grams of which words are made too, (3, 6) in fastText: words that were never
        seen then have vectors as well.
    n_buckets : int, default=262144
        Vectors of n-grams, which share them by their hash.
    correct_cbow : bool, default=True
        Whether in CBOW the gradient of the mean is divided among the words in it, as calculus has it. False gives it
        to each in full, as Mikolov's program and gensim do (Irsoy et al. 2021).
    pooling : {"mean", "sif", "idf", "max"}, default="mean"
        How words' vectors become a document's: their mean; a mean in which frequent words count less, without the
        direction that documents have in common (smooth inverse frequency, Arora et al. 2017); a mean weighted by
        inverse document frequency; or the largest value in each column.
    standardize : bool, default=True
        Whether features are centred on the documents of ``fit``, and multiplied by a number, the same for all, that
        puts these at a distance of 2 from their centre (root mean square). Plain means of words lie far from zero and
        close together, and the penalty of a ``LogisticRegression`` would weigh too much.
    vectors : WordVectors or None, default=None
        Vectors to use as they are; none are learned, and ``fit`` only counts words for `pooling`.
    unlabeled : iterable of documents or None, default=None
        Further documents to learn from, beside those of ``fit``: in a Pipeline, those without labels.
    max_epochs : int or None, default=None
        Passes over the words. None takes as many as come to 30 million words, but 5 to 30.
    lr : float or None, default=None
        Learning rate of a pair of words at the beginning; it falls along a line with the words read. None takes 0.025,
        for CBOW 0.075, and 0.05 without `correct_cbow`.
    min_lr : float, default=0.0001
        What it does not fall below.
    validation_fraction : float or None, default=None
        Part of the documents held out of training, on which the loss is followed.
    n_jobs : int or None, default=None
        Threads. With one, the same `random_state` gives the same bits; several write to the same vectors without
        waiting for one another (Recht et al. 2011), which differs each time. None is 1, -1 all processors.
    device : str, default="cpu"
        "cpu" trains in machine code; "cuda" or another device of torch does the same in batches.
    random_state : int, RandomState instance or None, default=None
        Decides the first vectors and every draw.
    checkpoint : path-like or None, default=None
        A folder for training runs. A ``fit`` that was interrupted goes on where it was, with one thread to the bit; one
        that had finished is loaded, also with another `pooling`. Runs are told apart by parameters and words.
    verbose : int, default=0
        1 shows a progress bar with loss, words a second and time left; 2 also leaves a line for each epoch.

    Attributes
    ----------
    vectors_ : WordVectors
        The words, the most frequent first, and their vectors, with ``most_similar`` and its like.
    history_ : list of dict
        "epoch", "train_loss" and, with `validation_fraction`, "valid_loss" for each pass: the mean loss of a pair of
        words, in CBOW of a word.
    n_documents_ : int
        Documents seen in ``fit``, with those of `unlabeled`.
    tokenizer_ : SubwordTokenizer or None
        The fitted `tokenizer`, where that is one.
    resumed_from_ : tuple of (int, int) or None
        Epoch and block of the checkpoint that training went on from.

    See Also
    --------
    skrep.text.WordVectors : What ``vectors_`` can be asked.

    Notes
    -----
    A document without a known word has features of zeros, the centre of all; with `subwords` unseen words have parts
    that are known. Losses are means over pairs of words, and do not compare where `window`, `negative` or the words
    differ.

    A document is cut nowhere, however long. Words that are left out by `min_count`, `stop_words` or `sample` are gone
    before windows are laid, so that windows reach over them.

    References
    ----------
    Mikolov, Chen, Corrado & Dean (2013), arXiv:1301.3781. Mikolov, Sutskever, Chen, Corrado & Dean (2013),
    arXiv:1310.4546. Bojanowski, Grave, Joulin & Mikolov (2017), arXiv:1607.04606, for `subwords`. Ji, Satish, Li &
    Dubey (2016), arXiv:1604.04661, for the negatives of a window. Arora, Liang & Ma (2017), A simple but
    tough-to-beat baseline for sentence embeddings.

    Examples
    --------
    >>> from skrep import Word2VecTransformer
    >>> texts = ["a cat sat on a mat", "a dog sat on a rug", "the cat chased the dog"]
    >>> w2v = Word2VecTransformer(8, random_state=0).fit(texts)
    >>> w2v.transform(["a cat on a rug", ""]).shape
    (2, 8)
    >>> "cat" in w2v.vectors_
    True
    """

    n_components: int = param(Integer(low=1), default=100)
    _: KW_ONLY
    algorithm: str = param("skip-gram", "cbow", default="skip-gram")
    loss: str = param("negative_sampling", "hierarchical_softmax", default="negative_sampling")
    window: int = param(Integer(low=1, high=2**31 - 1), default=10)
    negative: int = param(Integer(low=1, high=2**20), default=5)
    ns_exponent: float = param(Real(), default=0.75)
    sample: float | None = param(Real(low=0), None, default=None)
    min_count: int | None = param(Integer(low=1), None, default=None)
    max_features: int | None = param(Integer(low=1), None, default=None)
    vocabulary: Any = param(list, tuple, None, default=None)
    subwords: Any = param(list, tuple, None, default=None)
    n_buckets: int = param(Integer(low=1, high=2**30), default=2**18)
    correct_cbow: bool = param(bool, default=True)
    pooling: str = param(*POOLINGS, default="mean")
    standardize: bool = param(bool, default=True)
    vectors: WordVectors | None = param(WordVectors, None, default=None)
    unlabeled: Any = param(default=None)
    max_epochs: int | None = param(Integer(low=1), None, default=None)
    lr: float | None = param(Real(low=0, open_low=True), None, default=None)
    min_lr: float = param(Real(low=0), default=1e-4)
    validation_fraction: float | None = param(Real(low=0, high=1, open_low=True, open_high=True), None, default=None)
    n_jobs: int | None = param(Integer(), None, default=None)
    device: str = param(str, default="cpu")
    random_state: int | np.random.RandomState | None = param(*RANDOM_STATE, default=None)
    checkpoint: Any = param(str, os.PathLike, None, default=None)
    verbose: int = param(Integer(low=0), bool, default=0)

    reads: ClassVar[tuple[str, ...]] = ("texts",)
    __metadata_request__fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}
    __metadata_request__partial_fit: ClassVar[dict[str, Any]] = {"groups": UNUSED}

    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Learn vectors of the words in some documents.

        Parameters
        ----------
        X : iterable of str, of lists of str, of bytes or of paths, of length n_documents
            The documents: a list, a column of a DataFrame, :class:`~skrep.text.TextLines`, a generator; see `input`.
            They are gone through once, twice with a `tokenizer` that learns.
        y, groups : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For documents or parameters that cannot be used; the message names the fix.
        DivergedError
            If the loss is not finite.
        """
        refuse_groups(groups, type(self).__name__)
        with all_or_nothing(self):
            self._fit(X)
        return self

    def fit_transform(self, X: Any, y: Any = None, *, groups: Any = None) -> np.ndarray:
        """``fit(X).transform(X)``, but documents are cut into words once.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in :meth:`fit`.
        y, groups : None
            Not used.

        Returns
        -------
        ndarray of shape (n_documents, n_components), float32
        """
        refuse_groups(groups, type(self).__name__)
        with all_or_nothing(self):
            documents = self._fit(X)
        return self._features(documents)

    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Go on learning from more documents, in one pass at the full learning rate; new words get vectors.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in :meth:`fit`. Words that have come to occur `min_count` times, in all calls together,
            are new words; they follow the others. `unlabeled` and `validation_fraction` are not used.
        y, groups : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in :meth:`fit`; what was learned before is not lost.
        """
        refuse_groups(groups, type(self).__name__)
        with all_or_nothing(self):
            self._partial_fit(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features of documents.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in :meth:`fit`.

        Returns
        -------
        ndarray of shape (n_documents, n_components), float32
            A document's features do not depend on those beside it.

        Raises
        ------
        ValueError
            If `X` is not documents.
        """
        check_is_fitted(self)
        check_params(self)
        if self._inputs is not None or self.subwords is not None:
            self._require_trained("transform")  # machine code looks n-grams up
        return self._features(self._tokenise(X, self.vectors_.words, grow=self._inputs is not None))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean loss of a prediction on documents with its sign turned, so that larger is better.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in :meth:`fit`.
        y : None
            Not used.

        Returns
        -------
        float
            Score; NaN where no two known words are near one another. Draws are the same in each call.

        Raises
        ------
        ValueError
            If the vectors were not learned here.
        """
        check_is_fitted(self)
        self._check_together()
        self._require_trained("score")
        stream = self._known_only(self._tokenise(X, self.vectors_.words, grow=False))
        return -mean_loss(self._weights(), stream, derive_seed(self._seed, SCORE))

    # --- fit ------------------------------------------------------------------------------------------------------

    def _fit(self, X: Any) -> Tokenised:
        """Learn; the documents of X as words."""
        self._check_together()
        seed = draw_seed(self.random_state)
        self._forget()
        self.tokenizer_ = learned_tokenizer(self, self.tokenizer, X, self.unlabeled)
        documents = self._tokenise(X, (), grow=True)
        note_rows(self, documents.stream.n_documents)
        everything = documents
        if self.unlabeled is not None:
            more = self._tokenise(self.unlabeled, documents.words, grow=True)
            everything = Tokenised(documents.stream.followed_by(more.stream), more.words)
        self._find_vocabulary(everything)
        stream = self._known_only(everything)
        self._inputs = self._outputs = self._paths = None
        if self.vectors is None:
            self._learn(stream, seed)
        else:
            self._no_history()
        self._fit_pooling(stream)
        return documents

    def _partial_fit(self, X: Any) -> None:
        self._check_together()
        if self.vectors is not None:
            raise ValueError("partial_fit cannot go on from vectors=, which are used as they are. Use fit.")
        if not hasattr(self, "vectors_"):
            self._forget()
            self.tokenizer_ = learned_tokenizer(self, self.tokenizer, X)
            documents = self._tokenise(X, (), grow=True)
            self._find_vocabulary(documents)
            self._inputs = None
            self._begin(draw_seed(self.random_state))
        else:
            self._require_trained("partial_fit")
            documents = self._tokenise(X, [*self.vectors_.words, *self._rare_words], grow=True)
            self._grow_vocabulary(documents)
        stream = self._known_only(documents)
        lr = self._peak_lr()
        seed = derive_seed(self._seed, TRAIN, len(self.history_))
        training = self._training(stream, seed=seed, lr=lr, min_lr=lr)
        history = training.train(None)
        self.history_ = [*self.history_, *(row | {"epoch": len(self.history_) + 1} for row in history)]
        self._take(training)
        self._fit_pooling(stream)

    def _check_together(self) -> None:
        check_params(self)
        if self.subwords is not None:
            whole = all(isinstance(n, numbers.Integral) for n in self.subwords)
            if len(self.subwords) != 2 or not whole or not 1 <= self.subwords[0] <= self.subwords[1]:
                raise ValueError(
                    f"subwords={self.subwords!r}: expected the shortest and the longest n-gram, such as (3, 6)."
                )
            if self.vectors is not None:
                raise ValueError("subwords are learned, but vectors= are used as they are. Leave one of them out.")
        require_tokenizer(self.tokenizer)
        if self.vocabulary is not None and not len(self.vocabulary):
            raise ValueError("vocabulary is empty; expected words.")
        if self.unlabeled is not None:
            require_reiterable(self.unlabeled, "unlabeled")
        resolve_device(self.device)
        if self.n_jobs == 0:
            raise ValueError("n_jobs=0: expected a number of threads, -1 for all processors, or None.")

    # --- documents and words --------------------------------------------------------------------------------------

    def _documents(self, X: Any, *, reset: bool) -> Any:
        """Hook: what X says, as an iterable of documents; `reset` is True in ``fit``."""
        return X

    def _tokenise(self, X: Any, known: Sequence[str], *, grow: bool) -> Tokenised:
        documents = self._documents(X, reset=not hasattr(self, "vectors_"))
        fitted = getattr(self, "tokenizer_", None)
        return tokenise(self, documents, known, tokenizer=fitted, grow=grow, n_jobs=self._threads())

    def _forget(self) -> None:
        """Leave nothing of an earlier fit."""
        for name in _FITTED & vars(self).keys():
            delattr(self, name)

    def _find_vocabulary(self, documents: Tokenised) -> None:
        """Which words have vectors: set vectors_ (without vectors, if they are to be learned) and what is rare."""
        self.n_documents_ = documents.stream.n_documents
        given = self.vectors.words if self.vectors is not None else self.vocabulary
        found = find_vocabulary(documents, given, self.min_count, self.max_features, self._are_stop_words)
        self._keep(found)
        width = self.n_components if self.vectors is None else self.vectors.vectors.shape[1]
        vectors = np.zeros((len(found.words), width), np.float32) if self.vectors is None else self.vectors.vectors
        self.vectors_ = WordVectors(found.words, vectors, found.counts)

    def _grow_vocabulary(self, documents: Tokenised) -> None:
        """Words that have become frequent enough get vectors."""
        words, counts = self.vectors_.words, self._counts
        rare = self._rare_words, self._rare_counts
        known = Vocabulary(words, counts, self._document_counts, *rare, self._min_count)
        most = None if self.max_features is None else max(0, self.max_features - len(known.words))
        most = 0 if self.vocabulary is not None else most
        grown = grown_vocabulary(known, documents, most, self._are_stop_words)
        self._keep(grown)
        self.n_documents_ += documents.stream.n_documents
        self._add_words(grown.words, grown.counts)

    def _keep(self, vocabulary: Vocabulary) -> None:
        self._min_count = vocabulary.min_count
        self._rare_words, self._rare_counts = vocabulary.rare_words, vocabulary.rare_counts
        self._document_counts = vocabulary.in_documents

    def _are_stop_words(self, words: list[str]) -> np.ndarray:
        """Which words are left out, (n_words,) bool."""
        stop_words = self._vectorizer().get_stop_words() or ()
        return np.fromiter((word in stop_words for word in words), bool, len(words))

    def _known_only(self, documents: Tokenised) -> TokenStream:
        """The stream without words that have no vector of their own."""
        return documents.stream.renumbered(self._places(documents.words))

    def _places(self, words: list[str]) -> np.ndarray:
        """Which of the vocabulary words are, or -1."""
        return np.fromiter((self.vectors_.index.get(word, -1) for word in words), np.int32, len(words))

    # --- features -------------------------------------------------------------------------------------------------

    def _fit_pooling(self, stream: TokenStream) -> None:
        """What documents have in common, and the scale of their features, however words will be pooled."""
        vectors = self.vectors_
        self._direction = common_direction(stream, vectors.vectors, self._counts)
        places = np.arange(len(vectors), dtype=np.int32)
        self._scales = {
            how: centre_and_distance(self._pooled(stream, places, vectors.vectors, how)) for how in POOLINGS
        }

    def _pooled(self, stream: TokenStream, places: np.ndarray, vectors: np.ndarray, how: str) -> Iterator[np.ndarray]:
        counts = self._counts, self._document_counts, self.n_documents_
        return pooled(stream, places, vectors, how, *counts, self._direction)

    def _features(self, documents: Tokenised) -> np.ndarray:
        vectors, places = self.vectors_.vectors, self._places(documents.words)
        if self._inputs is not None:  # words that were not seen in training have parts that were
            unknown = np.flatnonzero((places < 0) & ~self._are_stop_words(documents.words))
            parts, ends = self._parts([documents.words[i] for i in unknown], len(vectors), has_own=False)
            has_parts = np.diff(ends, prepend=0) > 0
            places[unknown[has_parts]] = len(vectors) + np.arange(has_parts.sum())
            vectors = np.concatenate([vectors, means(parts, ends[has_parts], self._inputs)])
        none = np.empty((0, vectors.shape[1]), np.float32)
        features = np.concatenate([none, *self._pooled(documents.stream, places, vectors, self.pooling)])
        if self.standardize:
            centre, distance = self._scales[self.pooling]
            is_empty = ~features.any(axis=1)
            features -= centre
            features *= np.float32(DISTANCE / distance)
            features[is_empty] = 0
        return features

    @property
    def _n_features_out(self) -> int:
        return int(self.vectors_.vectors.shape[1])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_scales")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
