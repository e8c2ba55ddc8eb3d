"""Masked language models: tokens are hidden, and guessed from those around them (BERT, Devlin et al. 2019)."""

import copy
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, fields
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones import Grid, Linear, Transformer, TransformerModule
from skrep.base import TorchTransformer, Views
from skrep.data import Batch, Source, ordered_batches
from skrep.engine import fingerprint
from skrep.engine.randomness import derive_seed
from skrep.language.published import SPECIAL, Published, read_published, write_published
from skrep.objectives import token_cross_entropy
from skrep.params import Integer, Real, SequenceOf, check_params, param, params
from skrep.text import (
    DocumentInput,
    SpecialTokens,
    SubwordTokenizer,
    TextEncoder,
    TextSource,
    TokenStream,
    encode_documents,
    is_iterator,
    learned_tokenizer,
    packed,
    read_documents,
    require_again_and_again,
    require_documents,
    require_tokenizer,
    skip_gram_vectors,
    tokenise,
    tokenizers_library,
)
from skrep.views import mask_tokens

__all__ = ["MaskedLMTransformer"]

# Where the user says nothing: width, tokens in a sequence, pieces in the vocabulary.
WIDTH, LENGTH, PIECES = 128, 128, 8000

# Measured: far quicker learners than BERT's own shape; see docs/defaults.md.
SHAPE: dict[str, Any] = {"norm": "pre", "positions": "rotary", "activation": "glu", "eps": 1e-5}

# Operations of a default fit, and the epochs that this may come to.
DEFAULT_WORK, EPOCHS = 5e13, (3, 200)

# Peak learning rates, of a network that begins anew and of a published one.
NEW_LR, PUBLISHED_LR = 2e-3, 5e-5

# Learning rate of vectors that skip-gram has learned, as a share of the peak: at the full one they are overwritten.
LEARNED_PACE = 0.1

# What ends a sentence.
SENTENCE_ENDS = (".", "!", "?", "\u3002", "\uff01", "\uff1f", "\u2026")  # of Chinese and Japanese too

# Places in a fit, for seeds.
_STATIC, _SCORE, _EMBEDDINGS = 11, 12, 13


class Guesses(NamedTuple):
    """What the network makes of a batch."""

    tokens: Tensor  # (n_masked, n_vocabulary): how likely each token is
    follows: Tensor | None  # (n_sequences, 2): whether the second text does not follow on the first, or does


class MaskedLM(nn.Module):
    """An encoder, kept, and what guesses tokens from its vectors, which only training and ``fill_mask`` need."""

    def __init__(self, transformer: TransformerModule, eps: float, next_sentence: bool):
        super().__init__()
        width = transformer.width
        self.encoder = TextEncoder(transformer)
        self.dense, self.norm = Linear(width, width), nn.LayerNorm(width, eps)
        self.bias = nn.Parameter(torch.zeros(transformer.tokens.num_embeddings))
        self.follows = nn.Sequential(Linear(width, width), nn.Tanh(), Linear(width, 2)) if next_sentence else None
        for part in (self.dense, *(self.follows or ())):
            if isinstance(part, nn.Linear):
                nn.init.normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)

    def forward(self, inputs: tuple[Grid, Tensor, Tensor | None]) -> Guesses:
        grid, masked, firsts = inputs  # where masked tokens, and those that begin sequences, are in the rows
        vectors: Tensor = self.encoder.transformer(grid).flatten(0, 1)  # (n_rows * length, width)
        follows = None if self.follows is None or firsts is None else self.follows(vectors[firsts])
        return Guesses(self.guess(vectors[masked]), follows)

    def guess(self, vectors: Tensor) -> Tensor:
        """How likely each token is, (n, width) -> (n, n_vocabulary); the last matrix is that of the embeddings."""
        hidden = self.norm(F.gelu(self.dense(vectors)))
        return F.linear(hidden, self.encoder.transformer.tokens.weight, self.bias)


@params
class MaskedLMTransformer(DocumentInput, TorchTransformer):
    """A transformer that learns, from raw texts, to guess hidden tokens; documents as means of its tokens' vectors.

    In each sequence some tokens are hidden, and the network must say what they were from what is around them on both
    sides: BERT, or with masks that are drawn anew each epoch and documents packed into full rows, RoBERTa. The default
    network is small enough to learn something on two processor cores in minutes. `init` takes a published one instead.

    Parameters
    ----------
    n_components : int or None, default=None
        Width of the network. None is 128, or that of `init`.
    backbone : Transformer or None, default=None
        The network, from :mod:`skrep.backbones`. None has two layers of the shape of ModernBERT; ``Transformer()`` has
        that of BERT.
    init : path-like or None, default=None
        A folder with a published model of the shape of BERT, RoBERTa, DistilBERT or MiniLM, as Hugging Face has it, or
        with what ``save_pretrained`` wrote: config.json, model.safetensors, and tokenizer.json or vocab.txt. Texts are
        then cut as its tokenizer does it, whatever `lowercase` and `strip_accents` say, and without `max_epochs`
        nothing is learned.
    tokenizer : SubwordTokenizer, tokenizers.Tokenizer, callable or None, default=None
        How texts are cut. None learns 8000 pieces of words: ``SubwordTokenizer("wordpiece")``. A callable of a text
        returns its words.
    vocab_size : int, default=8000
        Tokens in the vocabulary, at most, where documents are lists of words or `tokenizer` is a callable: the most
        frequent. (A SubwordTokenizer has its own.)
    max_length : int or None, default=None
        Tokens in a sequence, at most. Longer documents are cut into windows, at the end of a sentence where one is
        near, and no token is left out. None is 128, or as many as `init` has positions for.
    embeddings : {"word2vec", "random"}, default="word2vec"
        How the vectors of tokens begin: as those of skip-gram, learned from the same tokens in the first seconds, or at
        random. Guessing learns what tokens mean far more slowly. With published weights they are those.
    mask_fraction : float, default=0.15
        Probability with which a token is chosen to be guessed. Of these, 80 % are hidden, 10 % replaced by another
        token, and 10 % left.
    masking : {"dynamic", "static"}, default="dynamic"
        Whether masks are drawn anew each epoch (RoBERTa), or once (BERT).
    whole_words : bool, default=False
        Whether the pieces of a word are chosen together.
    next_sentence : bool, default=False
        Whether the network also learns to tell if a second text follows on the first, as BERT does; documents are
        then cut into pairs of neighbours, of which half get a second text from elsewhere.
    pooling : {"mean", "cls", "max"}, default="mean"
        How the vectors of a document's tokens become its features: their mean (with the tokens that begin and end
        sequences, as sentence-transformers has it), the vector of the token that begins, or the largest value in each
        column.
    layer : int, list of int, "all" or None, default=None
        Whose output is pooled: 0 are the embeddings, ``n_layers`` or -1 the last layer; several stand side by side.
        None is the last.
    unlabeled : iterable of documents or None, default=None
        Further documents to learn from, beside those of ``fit``: in a Pipeline, those without labels.
    max_epochs : int or None, default=None
        Passes over the tokens. None sizes it by the work that a pass is, to about ten minutes on two cores, but 3 to
        200; with `init`, none. 0 leaves the network as it begins.
    batch_size : int or None, default=None
        Sequences in a step. None takes 32.
    lr : float or None, default=None
        Peak learning rate. None takes 0.002, with `init` 0.00005. Vectors of tokens that began as those of skip-gram
        learn at a tenth of it, or they would be overwritten.
    weight_decay : float, default=0.01
        Decay of weight matrices; biases and normalisation gains are not decayed.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder``.
    vocabulary_ : list of str
        The tokens, by their numbers.
    tokenizer_ : SubwordTokenizer or None
        The fitted `tokenizer`, where that is one.
    backbone_ : Transformer
        What the network was built from.
    n_layers_ : int
        Layers of the network.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`. The loss is in
        nats for a hidden token; a network that has learned nothing is at ``log(len(vocabulary_))``.
    n_epochs_ : int
        Number of epochs trained.
    resumed_from_ : tuple of (int, int) or None
        Epochs and batches that a checkpoint had done.
    n_features_out_ : int
        Number of features, as `layer` is now.

    See Also
    --------
    FineTuneClassifier : Goes on from here with labels, in all layers.
    Word2VecTransformer : A vector for each word, whatever is around it: faster, and hard to beat with little time.

    Notes
    -----
    Pairs of texts are the two columns of a DataFrame or of an array of shape (n_samples, 2), in ``fit``,
    ``transform`` and fine-tuning.

    Sequences are packed into rows, several to a row, and see nothing of one another; the loss and the matrix of the
    vocabulary are computed for the chosen tokens alone.

    References
    ----------
    Devlin, Chang, Lee & Toutanova (2019), BERT, arXiv:1810.04805. Liu et al. (2019), RoBERTa, arXiv:1907.11692.
    Geiping & Goldstein (2022), Cramming, arXiv:2212.14034.

    Examples
    --------
    >>> from skrep import MaskedLMTransformer
    >>> texts = ["a cat sat on a mat", "a dog sat on a rug", "the cat chased the dog"] * 9
    >>> bert = MaskedLMTransformer(16, max_epochs=1, random_state=0).fit(texts)
    >>> bert.transform(["a cat on a rug", ""]).shape
    (2, 16)
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    _: KW_ONLY
    backbone: Transformer | None = param(Transformer, None, default=None)
    init: Any = param(str, os.PathLike, None, default=None)
    tokenizer: Any = param(default=None)  # type: ignore[misc]
    vocab_size: int = param(Integer(low=1), default=PIECES)
    max_length: int | None = param(Integer(low=8), None, default=None)
    embeddings: str = param("word2vec", "random", default="word2vec")
    mask_fraction: float = param(Real(low=0, high=1, open_low=True), default=0.15)
    masking: str = param("dynamic", "static", default="dynamic")
    whole_words: bool = param(bool, default=False)
    next_sentence: bool = param(bool, default=False)
    pooling: str = param("mean", "cls", "max", default="mean")
    layer: Any = param(Integer(), SequenceOf(Integer()), "all", None, default=None)
    unlabeled: Any = param(default=None)
    max_epochs: int | None = param(Integer(low=0), None, default=None)
    batch_size: int | None = param(Integer(low=1), None, default=None)
    lr: float | None = param(Real(low=0, open_low=True), None, default=None)
    weight_decay: float = param(Real(low=0), default=0.01)

    # Of 128 tokens: in minutes on a processor it is steps that are short.
    _largest_batch = 32

    # The tokens, which are in a run's key, stand for how texts are read.
    _not_trained = (
        *TorchTransformer._not_trained,
        *("pooling", "unlabeled", "tokenizer", "vocab_size", "init"),
        *(field.name for field in fields(DocumentInput)),
    )

    # --- hooks ----------------------------------------------------------------------------------------------------

    def make_module(self, data: Source) -> nn.Module:
        """Hook: transformer and what guesses tokens."""
        transformer = self.backbone_.build(len(self.vocabulary_), data.shape[0], self._width, self._n_types)
        return MaskedLM(transformer, self.backbone_.eps, self.next_sentence)

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: some tokens hidden, against what they were."""
        assert isinstance(data, TextSource)
        device = next(module.parameters()).device
        special = self._special
        is_special = torch.zeros(len(self.vocabulary_), dtype=torch.bool)
        is_special[special.numbers()] = True
        others = (~is_special).nonzero()[:, 0].to(device)
        may_be_chosen = (~is_special).to(device)
        continues = self._continues().to(device) if self.whole_words else None
        seed = derive_seed(self._seed, _STATIC)

        def views(batch: Batch, generator: torch.Generator) -> tuple[Any, Any]:
            sequences, follows = batch.x, None
            if self.next_sentence:
                swap, others_of = _partners(len(sequences.lengths), generator)
                documents = data.documents_of(sequences.numbers)
                swap &= documents != documents[others_of]
                own = torch.arange(len(swap))
                sequences = sequences.with_second_of(torch.where(swap, others_of, own))
                follows = (~swap).long().to(device)
            tokens = sequences.tokens

            def draw(use: int) -> Tensor:
                if self.masking == "static":
                    windows = sequences.numbers.repeat_interleave(sequences.lengths).to(device)
                    return _hashed(seed, use, windows, sequences.positions)
                return torch.rand(len(tokens), generator=generator, device=device)

            may, words = may_be_chosen[tokens], None
            if continues is not None:
                at = torch.arange(len(tokens), device=device)
                # behind a special token a word begins
                words = torch.where(continues[tokens] & may & may.roll(1), 0, at).cummax(0).values
            seen, chosen = mask_tokens(tokens, may, self.mask_fraction, draw, special.mask, others, words)
            grid, place = packed(sequences._replace(tokens=seen), data.shape[0])
            firsts = place[sequences.positions == 0] if self.next_sentence else None
            return (grid, place[chosen], firsts), (tokens[chosen], follows)

        return views

    def objective(self, outputs: Guesses, target: tuple[Tensor, Tensor | None]) -> Tensor:
        """Hook: the loss of the tokens that were chosen, and of what follows."""
        tokens, follows = target
        loss = token_cross_entropy(outputs.tokens, tokens)
        if outputs.follows is not None and follows is not None:
            loss = loss + F.cross_entropy(outputs.follows, follows)
        return loss

    def before_training(self, data: Source, module: nn.Module) -> None:
        """Seam: vectors of tokens by skip-gram."""
        if self.embeddings == "random" or self.init is not None:
            return
        assert isinstance(data, TextSource)
        table: Tensor = module.encoder.transformer.tokens.weight  # type: ignore[union-attr, assignment]
        n_tokens, width = table.shape
        vectors, counts = skip_gram_vectors(data.stream(), n_tokens, width, derive_seed(self._seed, _EMBEDDINGS))
        known = counts > 0
        if not known.any():
            return
        vectors = vectors[known] - vectors[known].mean(axis=0)
        size = np.sqrt(np.mean(np.square(vectors))) or 1.0
        with torch.no_grad():
            table[torch.from_numpy(known).to(table.device)] = torch.from_numpy(vectors).to(table) * (table.std() / size)

    # --- reading --------------------------------------------------------------------------------------------------

    def _documents(self, X: Any, *, reset: bool) -> Any:
        """Hook: what X says, as an iterable of documents; `reset` is True in ``fit``."""
        return X

    def _read(self, X: Any, *, reset: bool) -> TextSource:
        if reset:
            require_tokenizer(self.tokenizer)
        more = None if self.unlabeled is None or not reset else _columns(self.unlabeled, "unlabeled")
        for documents in more or ():
            require_again_and_again(documents, "unlabeled")
        columns = _columns(self._documents(X, reset=reset), "X")
        if more is not None and len(more) != len(columns):
            raise ValueError(
                f"unlabeled has {len(more)} text(s) a document, X has {len(columns)}. Pass pairs in both, or in none."
            )
        if reset:
            if self.init is None:
                self._take_sizes()
            if not (self.warm_start and hasattr(self, "vocabulary_")):
                self._find_vocabulary([*columns, *(more or ())])
        streams = [self._stream(column) for column in columns]
        if more is not None:
            streams = [stream.followed_by(self._stream(extra)) for stream, extra in zip(streams, more, strict=True)]
        first, second = streams[0], streams[1] if len(streams) > 1 else None
        if not first.n_documents and reset:
            raise ValueError(f"X has no documents; {type(self).__name__} needs some to learn from.")
        if second is not None and first.n_documents != second.n_documents:
            raise ValueError(f"{first.n_documents} first texts, but {second.n_documents} second ones.")
        return TextSource(first, second, self._special, self._length, self._ends_sentence())

    def _reader(self) -> DocumentInput:
        """How texts are read: with published weights, as their tokenizer does it."""
        if self.init is None:
            return self
        return DocumentInput(
            input=self.input,
            encoding=self.encoding,
            decode_error=self.decode_error,
            lowercase=False,
            preprocessor=self.preprocessor,
        )

    def _stream(self, documents: Any) -> TokenStream:
        tokenizer = getattr(self, "tokenizer_", None) or self.tokenizer
        texts = self._reader()
        if not callable(self.tokenizer) or self.init is not None:
            documents = _of_kind(list if self._knows_words else str, read_documents(texts, documents))
            texts = DocumentInput(
                **{f.name: getattr(texts, f.name) for f in fields(DocumentInput)} | {"input": "content"}
            )
        found = tokenise(texts, documents, self.vocabulary_, tokenizer=tokenizer, grow=False)
        return found.stream.renumbered(np.arange(len(self.vocabulary_)), none=self._special.unknown)

    def _take_sizes(self) -> None:
        """Set what parameters say of the network."""
        self.backbone_ = Transformer(**SHAPE) if self.backbone is None else self.backbone
        self._n_types = 0 if self.backbone_.norm == "pre" else 2  # ModernBERT has none, BERT two
        self._width, self._length = self.n_components or WIDTH, self.max_length or LENGTH

    def _find_vocabulary(self, collections: list[Any]) -> None:
        """Set what else is known before training: tokens, and of published weights these and their sizes."""
        self._published: Published | None = None
        self._knows_words = False
        if self.init is not None:
            if self.tokenizer is not None or self.backbone is not None or self.n_components is not None:
                raise ValueError(
                    f"{type(self).__name__}(init=...) has a network and a tokenizer; leave n_components, backbone and "
                    "tokenizer out."
                )
            found = self._published = read_published(self.init)
            self.tokenizer_: SubwordTokenizer | None = found.tokenizer
            self.vocabulary_ = found.tokenizer.pieces()
            self._names, self._between = found.special, found.between
            self.backbone_, self._width, self._n_types = found.backbone, found.width, found.n_types
            self._length = self.max_length or found.max_length
            if self._length > found.max_length or len(self.vocabulary_) > len(found.weights["tokens.weight"]):
                raise ValueError(
                    f"{self.init} has {found.max_length} positions and {len(found.weights['tokens.weight'])} tokens; "
                    f"max_length={self._length} and its tokenizer's {len(self.vocabulary_)} do not fit."
                )
            missing = len(found.weights["tokens.weight"]) - len(self.vocabulary_)
            self.vocabulary_ += [""] * missing  # tokens without a piece
            return
        self._names, self._between = SPECIAL[0], 1
        first = None if is_iterator(collections[0]) else next(iter(collections[0]), None)
        is_list = isinstance(first, (list, tuple, np.ndarray))
        self._knows_words = callable(self.tokenizer) or (self.tokenizer is None and is_list)
        self.tokenizer_ = None if self._knows_words else self._fitted_tokenizer(collections)
        pieces = self._frequent_words(collections) if self.tokenizer_ is None else self.tokenizer_.pieces()
        names = set(self._names)
        self.vocabulary_ = [*self._names, *(piece for piece in pieces if piece not in names)]

    def _fitted_tokenizer(self, collections: list[Any]) -> SubwordTokenizer:
        tokenizer = SubwordTokenizer(vocab_size=PIECES) if self.tokenizer is None else self.tokenizer
        if isinstance(tokenizer, SubwordTokenizer):
            fitted = learned_tokenizer(self, tokenizer, *collections)
            assert fitted is not None
            return fitted
        as_it_is = SubwordTokenizer()  # but that no text is cut off
        as_it_is.json_ = tokenizer.to_str()
        return as_it_is

    def _frequent_words(self, collections: list[Any]) -> list[str]:
        counts: dict[str, int] = {}
        for documents in collections:
            if is_iterator(documents):
                raise ValueError(
                    "words are counted before they are learned from, but X (or unlabeled) is an iterator, which can "
                    "be gone through once. Pass a list."
                )
            found = tokenise(self, documents, (), tokenizer=self.tokenizer)
            for word, count in zip(found.words, found.stream.counts(len(found.words))[0], strict=True):
                counts[word] = counts.get(word, 0) + int(count)
        return sorted(counts, key=lambda word: -counts[word])[: self.vocab_size]

    @property
    def _special(self) -> SpecialTokens:
        number = {name: self.vocabulary_.index(name) for name in self._names}
        padding, unknown, begin, end, mask = (number[name] for name in self._names)
        return SpecialTokens(padding, unknown, begin, end, mask, self._between)

    def _ends_sentence(self) -> np.ndarray:
        ends = np.zeros(len(self.vocabulary_), bool)
        for number, piece in enumerate(self.vocabulary_):
            ends[number] = piece in SENTENCE_ENDS
        return ends

    def _continues(self) -> Tensor:
        """Which tokens go on with a word, (n_vocabulary,)."""
        pieces = [piece for piece in self.vocabulary_ if piece not in self._names]
        if self._knows_words:
            return torch.zeros(len(self.vocabulary_), dtype=torch.bool)
        assert self.tokenizer_ is not None
        prefix = json.loads(self.tokenizer_.json_)["model"].get("continuing_subword_prefix")  # "##"
        if prefix:
            return torch.tensor([piece.startswith(prefix) for piece in self.vocabulary_])
        if any(piece.startswith("Ġ") for piece in pieces):
            return torch.tensor([not piece.startswith("Ġ") for piece in self.vocabulary_])
        raise ValueError(
            f"{type(self).__name__}(whole_words=True): the pieces of this tokenizer do not say where words begin. Use "
            "SubwordTokenizer('wordpiece') or 'byte_bpe'."
        )

    # --- training -------------------------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from documents, or with `init` alone take over what was learned.

        Parameters
        ----------
        X : iterable of str, of lists of str, of bytes or of paths, of length n_documents
            The documents: a list, a column of a DataFrame, :class:`~skrep.text.TextLines`; or pairs of them in the two
            columns of a DataFrame or an array. They are gone through twice where the tokenizer learns, so that an
            iterator is refused.
        y : None
            Not used.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For documents or parameters that cannot be used, or a folder `init` that cannot be read; the message names
            the fix.
        DivergedError
            If the loss is no longer finite.
        """
        super().fit(X)
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One pass over more documents, at a constant learning rate.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in :meth:`fit`. The vocabulary is that of the first call.
        y : None
            Not used.

        Returns
        -------
        self
        """
        super().partial_fit(X)
        return self

    def _for_training(self, data: Source) -> TextSource:
        """What batches are made of: windows, or pairs of neighbours."""
        assert isinstance(data, TextSource)
        if not self.next_sentence:
            return data.as_windows()
        if data.is_pair:
            raise ValueError("next_sentence=True makes pairs itself; pass single texts, or next_sentence=False.")
        halves = data.halves()
        if len(halves) < 2:
            raise ValueError("next_sentence=True needs documents of two tokens and more, two of them at least.")
        return halves

    def _build_net(self, data: Source, seed: int) -> None:
        super()._build_net(data, seed)
        found = self._published
        self.n_layers_ = self.backbone_.n_layers
        self._layers()  # an error now, not after training
        self._has_head = found is None or found.head is not None
        if found is None:
            return
        self._published = None
        module = self.net_.module_
        if "positions.weight" in found.weights:
            found.weights["positions.weight"] = found.weights["positions.weight"][: self._length]
        module.encoder.transformer.load_state_dict(found.weights)
        if found.head is not None:
            module.load_state_dict(found.head, strict=False)

    def _default_sizes(self, data: Source, module: nn.Module) -> tuple[int, int]:
        if self.max_epochs is not None or self.budget_minutes is not None:
            return super()._default_sizes(data, module)
        batch_size = self.batch_size or self._largest_batch
        if self.init is not None:
            return batch_size, 0
        assert isinstance(data, TextSource)
        transformer: Any = module.encoder.transformer  # type: ignore[union-attr]
        in_layers = sum(p.numel() for p in transformer.layers.parameters())
        of_guesses = self.mask_fraction * transformer.tokens.weight.numel()
        work = 6.0 * (in_layers + of_guesses) * data.n_tokens  # forward, and twice that backward
        return batch_size, int(np.clip(DEFAULT_WORK / work, *EPOCHS))

    def _peak_lr(self) -> float:
        return self.lr or (NEW_LR if self.init is None else PUBLISHED_LR)

    def _lr_scales(self, module: nn.Module) -> dict[str, float]:
        if self.embeddings == "random" or self.init is not None:
            return {}
        return {"encoder.transformer.tokens.": LEARNED_PACE}

    def _run_key(self, data: Source, seed: int, goes_on: bool) -> str:
        found = self._published
        weights = None if found is None else (found.weights, found.backbone)
        return fingerprint(super()._run_key(data, seed, goes_on), self.vocabulary_, weights)

    def _keep_results(self, data: Source, resumed_from: tuple[int, int] | None) -> None:
        super()._keep_results(data, resumed_from)
        self._has_head |= self.n_epochs_ > 0

    def _count_features(self, data: Source) -> None:
        self.net_.module_.eval()  # they are known without a trial

    # --- features -------------------------------------------------------------------------------------------------

    def _layers(self) -> list[int]:
        n = self.n_layers_
        chosen = [-1] if self.layer is None else list(range(n + 1)) if self.layer == "all" else self.layer
        chosen = [chosen] if isinstance(chosen, (int, np.integer)) else list(chosen)
        if not chosen or not all(-n - 1 <= layer <= n for layer in chosen):
            raise ValueError(
                f"{type(self).__name__}(layer={self.layer!r}): the network has the embeddings, 0, and the layers 1 to "
                f"{n}."
            )
        return [int(layer) for layer in chosen]

    def _encoder(self) -> nn.Module:
        encoder: Any = super()._encoder()
        asked = self.pooling, tuple(self._layers())
        if asked != (encoder.pooling, encoder.layers):  # set after fit; copies share the network
            return TextEncoder(encoder.transformer, *asked)
        return encoder  # type: ignore[no-any-return]

    @property
    def n_features_out_(self) -> int:
        """Number of features, as `layer` is now."""
        check_is_fitted(self)
        return self._width * len(self._layers())

    def transform(self, X: Any) -> np.ndarray:
        """Features of documents.

        Parameters
        ----------
        X : iterable of str, of lists of str, of bytes or of paths, of length n_documents
            The documents, or pairs of them in two columns; see `input`.

        Returns
        -------
        ndarray of shape (n_documents, n_features_out), float32
            A document's features do not depend on those beside it.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            Before ``fit``.
        ValueError
            If `X` is not documents.
        """
        check_is_fitted(self)
        check_params(self)
        return super().transform(X)

    def _encode(self, encoder: nn.Module, data: Source, device: torch.device) -> np.ndarray:
        assert isinstance(encoder, TextEncoder)
        assert isinstance(data, TextSource)
        return encode_documents(encoder, data, device)

    @property
    def _fine_tuning_lr(self) -> float:  # type: ignore[override]
        return super()._fine_tuning_lr if self.init is None else PUBLISHED_LR

    def score(self, X: Any, y: Any = None) -> float:
        """The mean loss of hidden tokens of some documents, with its sign turned, so that larger is better.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in ``fit``.
        y : None
            Not used.

        Returns
        -------
        float
            Score, in nats for a token; masks are the same in each call. NaN where no token is hidden.
        """
        check_is_fitted(self)
        self._require_head("score")
        data = self._read(X, reset=False).as_windows()
        return -self._loss_of(data)

    @torch.inference_mode()
    def _loss_of(self, data: TextSource) -> float:
        net = self.net_
        device = torch.device(net.device)
        generator = torch.Generator(device).manual_seed(derive_seed(self._seed, _SCORE))
        net.module_.eval()
        plain = copy.copy(self).set_params(next_sentence=False, masking="dynamic")
        views = plain.make_views(data, net.module_)
        total, n = 0.0, 0
        for batch in ordered_batches(data, net.batch_size, device):
            inputs, (tokens, _) = views(batch, generator)
            total += float(token_cross_entropy(net.module_(inputs).tokens, tokens)) * len(tokens)
            n += len(tokens)
        return total / n if n else float("nan")

    def fill_mask(self, text: str | Sequence[str], n_guesses: int = 5) -> list[list[tuple[str, float]]]:
        """What may stand in the place of hidden tokens.

        Parameters
        ----------
        text : str or list of str
            A text with "[MASK]" (or what the published tokenizer calls it) in the place of one or more tokens; or a
            list of words, where the network was trained on such.
        n_guesses : int, default=5
            How many guesses for each.

        Returns
        -------
        list of list of (str, float)
            For each hidden token the likeliest tokens and their probabilities.

        Raises
        ------
        ValueError
            If nothing is hidden, the text is longer than a sequence, or the published weights lack what guesses.
        """
        check_is_fitted(self)
        self._require_head("fill_mask")
        if n_guesses < 1:
            raise ValueError(f"n_guesses={n_guesses}: expected 1 at least.")
        guesses, hidden = self._guesses(text)
        found = []
        for row in guesses[torch.from_numpy(hidden)]:
            probabilities, numbers = row.topk(min(n_guesses, len(self.vocabulary_)))
            pieces = [self.vocabulary_[number] for number in numbers.tolist()]
            found.append(list(zip(pieces, probabilities.tolist(), strict=True)))
        return found

    def tokenize(self, text: str | Sequence[str]) -> list[str]:
        """The tokens of a text as the network sees it, with those that begin and end it.

        Parameters
        ----------
        text : str or list of str
            The text, which may hold "[MASK]".

        Returns
        -------
        list of str
        """
        check_is_fitted(self)
        return [self.vocabulary_[number] for number in self._single(text).take(torch.arange(1), CPU).tokens.tolist()]

    @torch.inference_mode()
    def attention(self, text: str | Sequence[str]) -> np.ndarray:
        """How much each token of a text looks at each of the others.

        Parameters
        ----------
        text : str or list of str
            The text; no longer than a sequence.

        Returns
        -------
        ndarray of shape (n_layers, n_heads, n_tokens, n_tokens), float32
            From the token of a row to that of a column; rows sum to 1. See :meth:`tokenize` for the tokens.

        Raises
        ------
        ValueError
            If the text is longer than a sequence.
        """
        check_is_fitted(self)
        encoder, grid = self._alone(text)
        maps = torch.cat(encoder.transformer.attention(grid))
        return np.asarray(maps.float().cpu().numpy())

    def _alone(self, text: str | Sequence[str]) -> tuple[Any, Grid]:
        """The encoder, and a text in a row of its own length."""
        encoder: Any = self._encoder()
        encoder.eval()
        device = next(encoder.parameters()).device
        sequences = self._single(text).take(torch.arange(1), device)
        grid, _ = packed(sequences, len(sequences.tokens))
        return encoder, grid

    @torch.inference_mode()
    def _guesses(self, text: str | Sequence[str]) -> tuple[Tensor, np.ndarray]:
        """Probabilities for each token of a text, (n_tokens, n_vocabulary), and where it is hidden."""
        encoder, grid = self._alone(text)
        hidden = np.flatnonzero(grid.tokens[0].cpu().numpy() == self._special.mask)
        if not len(hidden):
            raise ValueError(f"text hides nothing; put {self._names[4]} in the place of a token.")
        module = self.net_.module_
        guesses: Tensor = module.guess(encoder.transformer(grid)[0]).softmax(1).cpu()
        return guesses, hidden

    def _single(self, text: str | Sequence[str]) -> TextSource:
        """One text as a document; masks in it are tokens."""
        special, mask = self._special, self._names[4]
        if isinstance(text, str) == self._knows_words and not callable(self.tokenizer):
            expected = "a list of words" if self._knows_words else "a str"
            raise ValueError(f"text is {text!r:.60} ({type(text).__name__}); expected {expected}.")
        if isinstance(text, str):
            parts: list[Any] = text.replace("[MASK]", mask).split(mask)
            parts = [*(part.rstrip() for part in parts[:-1]), parts[-1]]  # as published tokenizers do
        else:
            words = [mask if word == "[MASK]" else word for word in text]
            at = [-1, *(i for i, word in enumerate(words) if word == mask), len(words)]
            parts = [list(words[i + 1 : j]) for i, j in itertools.pairwise(at)]
        stream = copy.copy(self).set_params(input="content")._stream(parts)
        starts = [0, *stream.ends.tolist()]
        pieces: list[np.ndarray] = []
        for i, (start, end) in enumerate(itertools.pairwise(starts)):
            pieces += [np.array([special.mask], np.int32)] * (i > 0) + [np.asarray(stream.tokens(start, end))]
        tokens = np.concatenate(pieces).astype(np.int32)
        if len(tokens) > self._length - 2:
            raise ValueError(f"text has {len(tokens)} tokens; at most {self._length - 2} fit into a sequence.")
        single = TokenStream()
        single.append(tokens, np.array([len(tokens)]))
        return TextSource(single.finish(), None, special, self._length, self._ends_sentence())

    def _require_head(self, call: str) -> None:
        if not self._has_head:
            raise ValueError(
                f"{call} needs the part that guesses tokens, which is not among the published weights. Train first: "
                "set max_epochs or budget_minutes."
            )

    def sample_views(self, X: Any, *, random_state: int = 0) -> list[list[str]]:  # type: ignore[override]
        """What the network is shown of some documents in training, token by token.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents.
        random_state : int, default=0
            Decides what is hidden.

        Returns
        -------
        list of list of str
            The tokens of each sequence.
        """
        check_is_fitted(self)
        data = self._for_training(self._read(X, reset=False))
        index = torch.arange(len(data))
        generator = torch.Generator(CPU).manual_seed(derive_seed(random_state))
        module = self.net_.module_
        (grid, _, _), _ = self.make_views(data, module)(
            Batch(data.take(index, torch.device(self.net_.device)), None, index), generator
        )
        numbers, tokens = grid.sequences.flatten().tolist(), grid.tokens.flatten().tolist()
        shown: list[list[str]] = [[] for _ in range(len(data))]
        for number, token in zip(numbers, tokens, strict=True):
            if number >= 0:
                shown[number].append(self.vocabulary_[token])
        return shown

    # --- files ----------------------------------------------------------------------------------------------------

    def save_pretrained(self, folder: str | os.PathLike) -> None:
        """Write a folder that ``transformers.AutoModel`` and ``AutoTokenizer`` read, and `init` too.

        Parameters
        ----------
        folder : path-like
            Made when missing: config.json, model.safetensors, tokenizer.json and what belongs to them.

        Raises
        ------
        ValueError
            If the network is not of the shape of BERT or ModernBERT, or texts are not cut by a SubwordTokenizer.
        ImportError
            Without ``safetensors``.
        """
        check_is_fitted(self)
        module: Any = self.net_.module_
        head = {name: t for name, t in module.state_dict().items() if not name.startswith(("encoder.", "follows."))}
        special = self._special
        numbers = dict(zip(self._names, special.numbers(), strict=True))
        write_published(
            folder, module.encoder.transformer, self.backbone_, head, self._tokenizer_json(), self._names, numbers,
            is_roberta=self._between == 2,
        )  # fmt: skip

    def _tokenizer_json(self) -> str:
        """The tokenizer with our numbers, and what is done to texts before and after it."""
        if self.tokenizer_ is None:
            raise ValueError("only texts that a SubwordTokenizer cuts can be read by transformers.")
        if self.init is None and (self.preprocessor is not None or self.strip_accents not in (None, "unicode")):
            raise ValueError(
                "what prepares texts cannot be written: preprocessor, or strip_accents that is not 'unicode' or None."
            )
        tokenizers = tokenizers_library()
        state = json.loads(self.tokenizer_.json_)
        if self.init is None:
            number = {piece: i for i, piece in enumerate(self.vocabulary_)}
            state["model"]["vocab"] = number
            plain = {"single_word": False, "rstrip": False, "normalized": False, "special": True}
            state["added_tokens"] = [
                {"id": number[name], "content": name, "lstrip": name == self._names[4]} | plain for name in self._names
            ]
        made = tokenizers.Tokenizer.from_str(json.dumps(state))
        if self.init is None:
            steps: list[Any] = [tokenizers.normalizers.Lowercase()] if self.lowercase else []
            if self.strip_accents is not None:
                steps = [tokenizers.normalizers.NFKD(), tokenizers.normalizers.StripAccents(), *steps]
            steps += [made.normalizer] if made.normalizer is not None else []
            made.normalizer = tokenizers.normalizers.Sequence(steps)
            begin, end = self._names[2:4]
            made.post_processor = tokenizers.processors.TemplateProcessing(
                single=f"{begin} $A {end}",
                pair=f"{begin} $A {end} $B:1 {end}:1",
                special_tokens=[(begin, self._special.begin), (end, self._special.end)],
            )
        return str(made.to_str())

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags


CPU = torch.device("cpu")


def _columns(X: Any, name: str) -> list[Any]:
    """The documents, or first and second texts of pairs."""
    shape = getattr(X, "shape", None)
    if shape is not None and len(shape) == 2 and shape[1] == 2:
        take: Callable[[int], Any] = (lambda j: X.iloc[:, j]) if hasattr(X, "iloc") else (lambda j: X[:, j])
        return [take(0), take(1)]
    require_documents(X, name)
    return [X]


def _of_kind(kind: type, documents: Iterator[Any]) -> Iterator[Any]:
    """The documents; one that is not what the network was trained on is an error."""
    for document in documents:
        if not isinstance(document, kind):
            known, got = ("lists of words", "texts") if kind is list else ("texts", "lists of words")
            raise ValueError(f"the network knows {known}, but X holds {got}. Pass {known}.")
        yield document


def _partners(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """For each of `n` pairs whether its second text is swapped, and for which other pair's, on the CPU."""
    swap = torch.rand(n, generator=generator, device=generator.device).cpu() < 0.5
    others = torch.randint(1, max(2, n), (n,), generator=generator, device=generator.device).cpu()
    return swap, (torch.arange(n) + others) % n


def _hashed(seed: int, use: int, windows: Tensor, positions: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) that a place in the data always has: splitmix64 of where it is."""
    state = windows * 0x1F123BB5 + positions + derive_seed(seed, use) * 0x9E3779B1
    for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
        state = (state ^ ((state >> shift) & ((1 << (64 - shift)) - 1))) * factor
    state = state ^ ((state >> 31) & ((1 << 33) - 1))
    return ((state >> 11) & ((1 << 53) - 1)).double().mul_(2.0**-53)
