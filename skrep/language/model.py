"""What language models share: reading, published weights, features from layers and pooling, attention, export."""

import json
import os
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn

from skrep.backbones import Grid, Transformer
from skrep.base import TorchTransformer
from skrep.data import Source
from skrep.engine import Recipe, up_to
from skrep.engine.optimizers import OPTIMIZERS
from skrep.engine.randomness import derive_seed
from skrep.engine.sklearn_callbacks import with_callbacks
from skrep.language.published import SPECIAL, read_published, write_published
from skrep.params import Integer, Real, SequenceOf, check_params, param, params
from skrep.text import (
    DocumentInput,
    TextEncoder,
    TextSource,
    TokenReader,
    packed,
    skip_gram_vectors,
    tokenizers_library,
)

__all__ = ["LanguageModel"]

# Width of the network and tokens in a sequence, where the user says nothing.
WIDTH, LENGTH = 128, 128

# Measured: far quicker learners than BERT's own shape; see docs/defaults.md.
SHAPE: dict[str, Any] = {"norm": "pre", "positions": "rotary", "activation": "glu", "eps": 1e-5}

# Sequences in a mini-batch.
BATCH = up_to(32)

# FLOPs of a default fit, and the epochs that this may come to.
DEFAULT_WORK, EPOCHS = 5e13, (3, 200)

# Peak learning rates, of a network that begins anew and of a published one.
NEW_LR, PUBLISHED_LR = 2e-3, 5e-5

# Learning rate of skip-gram-initialised embeddings, as a share of the peak: at the full one training overwrites them.
LEARNED_PACE = 0.1

# A place in a fit, for seeds.
_EMBEDDINGS = 13


@params
class LanguageModel(TokenReader, TorchTransformer):
    """A transformer that learns from raw texts; documents as pooled vectors of their tokens.

    Its module has an ``encoder`` (:class:`~skrep.text.TextEncoder`).

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
        nothing is trained.
    max_length : int or None, default=None
        Most tokens in a sequence. Longer documents are cut into windows, at the end of a sentence where one is near,
        and no token is left out. None is 128, or as many as `init` has positions for.
    embeddings : {"word2vec", "random"}, default="word2vec"
        How the vectors of tokens are initialised: by skip-gram, learned from the same tokens in the first seconds, or
        at random. Predicting tokens learns what they mean far more slowly. With published weights they are those.
    pooling : {"mean", "cls", "max"}, default="mean"
        How the vectors of a document's tokens become its features: their mean (with the tokens that begin and end
        sequences, as sentence-transformers has it), the vector of the token that begins, or the largest value in each
        column.
    layer : int, list of int, "all" or None, default=None
        Whose output is pooled: 0 are the embeddings, ``n_layers`` or -1 the last layer; several stand side by side.
        None is the last.
    max_epochs : int or None, default=None
        Passes over the tokens. None sizes it by the work that a pass is, to about ten minutes on two cores, but 3 to
        200; with `init`, none. 0 leaves the network as it begins.
    batch_size : int or None, default=None
        Sequences in a step. None takes 32.
    lr : float or None, default=None
        Peak learning rate. None takes 0.002, with `init` 0.00005. Vectors of tokens that began as those of skip-gram
        use a tenth of this rate, so that training does not overwrite them.
    weight_decay : float, default=0.01
        Decay of weight matrices; biases and normalisation gains are not decayed.

    Attributes
    ----------
    backbone_ : Transformer
        What the network was built from.
    n_layers_ : int
        Layers of the network.
    n_features_out_ : int
        Number of features, as `layer` is now.
    """

    n_components: int | None = param(Integer(low=1), None, default=None)
    _: KW_ONLY
    backbone: Transformer | None = param(Transformer, None, default=None)
    init: Any = param(str, os.PathLike, None, trains=False, default=None)
    embeddings: str = param("word2vec", "random", default="word2vec")
    pooling: str = param("mean", "cls", "max", trains=False, default="mean")
    layer: Any = param(Integer(), SequenceOf(Integer()), "all", None, trains=False, default=None)
    max_epochs: int | None = param(Integer(low=0), None, default=None)
    batch_size: int | None = param(Integer(low=1), None, default=None)
    lr: float | None = param(Real(low=0, open_low=True), None, default=None)
    weight_decay: float = param(Real(low=0), default=0.01)

    reads = ("texts",)

    def _flops(self, module: Any) -> float:
        """FLOPs of training for each token."""
        raise NotImplementedError

    @property
    def recipe(self) -> Recipe:  # type: ignore[override]
        """Declared hook: see docs/defaults.md. With published weights nothing is trained."""
        # of 128 tokens: in minutes on a processor short steps learn most
        if self.init is not None:
            rates = dict.fromkeys(OPTIMIZERS, PUBLISHED_LR)
            return Recipe(batch=BATCH, steps=0, epochs=(0, 0), lr=rates, fine_tuning_lr=PUBLISHED_LR)
        rates = dict.fromkeys(OPTIMIZERS, NEW_LR)
        return Recipe(batch=BATCH, work=DEFAULT_WORK, epochs=EPOCHS, flops=self._flops, lr=rates)

    # --- reading --------------------------------------------------------------------------------------------------

    def _reads_as(self) -> DocumentInput:
        """How documents become text: with published weights, as their tokenizer does it."""
        if self.init is None:
            return self
        return DocumentInput(
            input=self.input,
            encoding=self.encoding,
            decode_error=self.decode_error,
            lowercase=False,
            preprocessor=self.preprocessor,
        )

    def _learn_tokens(self, collections: list[Any]) -> None:
        """Set vocabulary and sizes, those of published weights where there are such."""
        is_warm = self.warm_start and hasattr(self, "vocabulary_")
        if self.init is None:
            self.backbone_ = Transformer(**SHAPE) if self.backbone is None else self.backbone
            self._n_types = 0 if self.backbone_.norm == "pre" else 2  # ModernBERT has none, BERT two
            self._width = self.n_components or WIDTH
            self._set_length(LENGTH)
            if not is_warm:
                self._has_head = True
                self._learn_vocabulary(collections, SPECIAL[0])
        elif not is_warm:
            self._take_published()

    def _take_published(self) -> None:
        if self.tokenizer is not None or self.backbone is not None or self.n_components is not None:
            raise ValueError(
                f"{type(self).__name__}(init=...) has a network and a tokenizer; leave n_components, backbone and "
                "tokenizer out."
            )
        found = read_published(self.init)
        self._knows_words, self._has_head = False, found.head is not None
        self.tokenizer_, self.vocabulary_ = found.tokenizer, found.tokenizer.pieces()
        self._names, self._between = found.special, found.between
        self.backbone_, self._width, self._n_types = found.backbone, found.width, found.n_types
        self._set_length(found.max_length)
        n_tokens = len(found.weights["tokens.weight"])
        if self._length > found.max_length or len(self.vocabulary_) > n_tokens:
            raise ValueError(
                f"{self.init} has {found.max_length} positions and {n_tokens} tokens; max_length={self._length} and "
                f"its tokenizer's {len(self.vocabulary_)} do not fit."
            )
        self.vocabulary_ += [""] * (n_tokens - len(self.vocabulary_))  # tokens without a piece

    # --- training -------------------------------------------------------------------------------------------------

    def prepare(self, module: Any, data: Source) -> None:
        """Hook: published weights, or vectors of tokens by skip-gram."""
        if self.init is not None:
            found = read_published(self.init)
            if "positions.weight" in found.weights:
                found.weights["positions.weight"] = found.weights["positions.weight"][: self._length]
            module.encoder.transformer.load_state_dict(found.weights)
            if found.head is not None:
                module.load_state_dict(found.head, strict=False)
            return
        if self.embeddings == "random":
            return
        assert isinstance(data, TextSource)
        table: Tensor = module.encoder.transformer.tokens.weight
        n_tokens, width = table.shape
        vectors, counts = skip_gram_vectors(data.stream(), n_tokens, width, derive_seed(self._seed, _EMBEDDINGS))
        known = counts > 0
        if not known.any():
            return
        vectors = vectors[known] - vectors[known].mean(axis=0)
        size = np.sqrt(np.mean(np.square(vectors))) or 1.0
        with torch.no_grad():
            table[torch.from_numpy(known).to(table.device)] = torch.from_numpy(vectors).to(table) * (table.std() / size)

    def check(self, data: Source, module: nn.Module) -> None:
        """Hook: a `layer` that is not there is an error now, not after training."""
        self._layers()

    def lr_scales(self, module: nn.Module) -> dict[str, float]:
        """Hook: skip-gram-initialised embeddings change more slowly."""
        if self.embeddings == "random" or self.init is not None:
            return {}
        return {"encoder.transformer.tokens.": LEARNED_PACE}

    def trained_on(self, data: Source) -> dict[str, Any]:
        """Hook: the vocabulary, and published weights."""
        if self.init is None or self.warm_start:
            return {"vocabulary": self.vocabulary_}
        found = read_published(self.init)
        return {"vocabulary": self.vocabulary_, "published": (found.weights, found.backbone)}

    def shown_views(self, module: nn.Module, inputs: Any) -> list[list[str]]:
        """Hook: the tokens of each sequence."""
        grid: Grid = inputs[0]
        numbers, tokens = grid.sequences.flatten().tolist(), grid.tokens.flatten().tolist()
        shown: list[list[str]] = [[] for _ in range(max(numbers) + 1)]
        for number, token in zip(numbers, tokens, strict=True):
            if number >= 0:
                shown[number].append(self.vocabulary_[token])
        return shown

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """Learn from documents, or with `init` alone take over what was learned.

        Parameters
        ----------
        X : iterable of str, of lists of str, of bytes or of paths, of length n_documents
            The documents: a list, a column of a DataFrame, :class:`~skrep.text.TextLines`; or pairs of them in the two
            columns of a DataFrame or an array. They are read twice where the tokenizer learns, so that a one-shot
            iterator is refused.
        y, groups : None
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
        super().fit(X, groups=groups)
        return self

    def partial_fit(self, X: Any, y: Any = None, *, groups: Any = None) -> Self:
        """One pass over more documents, at a constant learning rate.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in :meth:`fit`. The vocabulary is that of the first call.
        y, groups : None
            Not used.

        Returns
        -------
        self
        """
        super().partial_fit(X, groups=groups)
        return self

    # --- features -------------------------------------------------------------------------------------------------

    @property
    def n_layers_(self) -> int:
        """Layers of the network."""
        return self.backbone_.n_layers

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

    def _count_features(self, data: Source) -> None:
        """They are known without a trial, and depend on `layer`."""
        self.net_.module_.eval()

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
        return [
            self.vocabulary_[number]
            for number in self._single(text).take(torch.arange(1), torch.device("cpu")).tokens.tolist()
        ]

    @torch.inference_mode()
    def attention(self, text: str | Sequence[str]) -> np.ndarray:
        """Attention weights between the tokens of a text.

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
