"""Masked language models: masked tokens are predicted from those around them (BERT, Devlin et al. 2019)."""

import copy
from collections.abc import Sequence
from dataclasses import KW_ONLY
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn import functional as F

from skrep.backbones import Grid, Linear, TransformerModule
from skrep.base import Views
from skrep.data import Batch, Source
from skrep.engine.randomness import derive_seed
from skrep.language.model import LanguageModel
from skrep.objectives import token_cross_entropy
from skrep.params import Real, param, params
from skrep.text import TextEncoder, TextSource, packed
from skrep.views import mask_tokens

__all__ = ["MaskedLMTransformer"]

# Places in a fit, for seeds.
_STATIC, _SCORE = 11, 12


class MaskedLMOutput(NamedTuple):
    """The network's predictions for a batch."""

    logits: Tensor  # (n_masked, n_vocabulary)
    follows: Tensor | None  # (n_sequences, 2): logits of whether the second text is not, or is, the next one


class MaskedLM(nn.Module):
    """An encoder, kept, and the prediction head, which only training and ``fill_mask`` need."""

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

    def forward(self, inputs: tuple[Grid, Tensor, Tensor | None]) -> MaskedLMOutput:
        grid, masked, cls_positions = inputs  # positions in the rows of masked tokens and of [CLS]
        vectors: Tensor = self.encoder.transformer(grid).flatten(0, 1)  # (n_rows * length, width)
        follows = None if self.follows is None or cls_positions is None else self.follows(vectors[cls_positions])
        return MaskedLMOutput(self.logits(vectors[masked]), follows)

    def logits(self, vectors: Tensor) -> Tensor:
        """Logits of each token, (n, width) -> (n, n_vocabulary); the last matrix is that of the embeddings."""
        hidden = self.norm(F.gelu(self.dense(vectors)))
        return F.linear(hidden, self.encoder.transformer.tokens.weight, self.bias)


@params
class MaskedLMTransformer(LanguageModel):
    """A transformer that learns, from raw texts, to predict masked tokens; documents as means of its tokens' vectors.

    In each sequence some tokens are masked, and the network predicts them from what is around them on both sides:
    BERT, or with masks that are drawn anew each epoch and documents packed into full rows, RoBERTa. The default
    network is small enough to learn something on two processor cores in minutes. `init` takes a published one instead.

    Parameters
    ----------
    mask_fraction : float, default=0.15
        Probability with which a token is chosen to be predicted. Of these, 80 % are masked, 10 % replaced by another
        token, and 10 % left.
    masking : {"dynamic", "static"}, default="dynamic"
        Whether masks are drawn anew each epoch (RoBERTa), or once (BERT).
    whole_words : bool, default=False
        Whether the pieces of a word are chosen together.
    next_sentence : bool, default=False
        Whether the network also learns next-sentence prediction, as BERT does; documents are
        then cut into pairs of neighbours, of which half get a second text from elsewhere.

    Attributes
    ----------
    net_ : skorch.NeuralNet
        The trained network, ``net_.module_``, with ``encoder``.
    history_ : list of dict
        One for each epoch: "epoch", "train_loss", "lr", and "valid_loss" with `validation_fraction`. The loss is in
        nats for a masked token; chance level is ``log(len(vocabulary_))``.

    See Also
    --------
    FineTuneClassifier : Continues from here with labels, in all layers.
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

    _: KW_ONLY
    mask_fraction: float = param(Real(low=0, high=1, open_low=True), default=0.15)
    masking: str = param("dynamic", "static", default="dynamic")
    whole_words: bool = param(bool, default=False)
    next_sentence: bool = param(bool, default=False)

    def _flops(self, module: Any) -> float:
        transformer = module.encoder.transformer
        in_layers = sum(p.numel() for p in transformer.layers.parameters())
        of_logits = self.mask_fraction * transformer.tokens.weight.numel()
        flops: float = 6.0 * (in_layers + of_logits)  # forward, and twice that backward
        return flops

    # --- hooks ----------------------------------------------------------------------------------------------------

    def make_module(self, data: Source) -> nn.Module:
        """Hook: transformer and prediction head."""
        transformer = self.backbone_.build(len(self.vocabulary_), data.shape[0], self._width, self._n_types)
        return MaskedLM(transformer, self.backbone_.eps, self.next_sentence)

    def training_source(self, data: Source) -> TextSource:
        """Hook: windows, or pairs of neighbours."""
        assert isinstance(data, TextSource)
        if not self.next_sentence:
            return data.as_windows()
        if data.is_pair:
            raise ValueError("next_sentence=True makes pairs itself; pass single texts, or next_sentence=False.")
        halves = data.halves()
        if len(halves) < 2:
            raise ValueError("next_sentence=True needs documents of two tokens and more, two of them at least.")
        return halves

    def make_views(self, data: Source, module: nn.Module) -> Views:
        """Hook: some tokens masked; the target are the original ones."""
        assert isinstance(data, TextSource)
        device = next(module.parameters()).device
        special = self._special
        is_special = torch.zeros(len(self.vocabulary_), dtype=torch.bool)
        is_special[special.numbers()] = True
        replacements = (~is_special).nonzero()[:, 0].to(device)
        eligible = (~is_special).to(device)
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

            can_be, words = eligible[tokens], None
            if continues is not None:
                at = torch.arange(len(tokens), device=device)
                # behind a special token a word begins
                words = torch.where(continues[tokens] & can_be & can_be.roll(1), 0, at).cummax(0).values
            seen, chosen = mask_tokens(tokens, can_be, self.mask_fraction, draw, special.mask, replacements, words)
            grid, place = packed(sequences._replace(tokens=seen), data.shape[0])
            cls_positions = place[sequences.positions == 0] if self.next_sentence else None
            return (grid, place[chosen], cls_positions), (tokens[chosen], follows)

        return views

    def objective(self, outputs: MaskedLMOutput, target: tuple[Tensor, Tensor | None]) -> Tensor:
        """Hook: cross-entropy of the chosen tokens, and of next-sentence prediction."""
        tokens, follows = target
        loss = token_cross_entropy(outputs.logits, tokens)
        if outputs.follows is not None and follows is not None:
            loss = loss + F.cross_entropy(outputs.follows, follows)
        return loss

    # --- use ------------------------------------------------------------------------------------------------------

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean loss of masked tokens of some documents, so that larger is better.

        Parameters
        ----------
        X : iterable of length n_documents
            The documents, as in ``fit``.
        y : None
            Not used.

        Returns
        -------
        float
            Score, in nats for a token; masks are the same in each call. NaN where no token is masked.
        """
        check_is_fitted(self)
        self._require_head("score")
        data = self.read(X, reset=False).as_windows()
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
        for batch in data.in_order(net.batch_size, device):
            inputs, (tokens, _) = views(batch, generator)
            total += float(token_cross_entropy(net.module_(inputs).logits, tokens)) * len(tokens)
            n += len(tokens)
        return total / n if n else float("nan")

    def fill_mask(self, text: str | Sequence[str], n_guesses: int = 5) -> list[list[tuple[str, float]]]:
        """The likeliest tokens in the place of masked ones.

        Parameters
        ----------
        text : str or list of str
            A text with "[MASK]" (or what the published tokenizer calls it) in the place of one or more tokens; or a
            list of words, where the network was trained on such.
        n_guesses : int, default=5
            How many predictions for each.

        Returns
        -------
        list of list of (str, float)
            For each masked token the likeliest tokens and their probabilities.

        Raises
        ------
        ValueError
            If no token is masked, the text is longer than a sequence, or the published weights have no prediction head.
        """
        check_is_fitted(self)
        self._require_head("fill_mask")
        if n_guesses < 1:
            raise ValueError(f"n_guesses={n_guesses}: expected 1 or more.")
        probabilities, masked = self._predictions(text)
        found = []
        for row in probabilities[torch.from_numpy(masked)]:
            likeliest, numbers = row.topk(min(n_guesses, len(self.vocabulary_)))
            pieces = [self.vocabulary_[number] for number in numbers.tolist()]
            found.append(list(zip(pieces, likeliest.tolist(), strict=True)))
        return found

    @torch.inference_mode()
    def _predictions(self, text: str | Sequence[str]) -> tuple[Tensor, np.ndarray]:
        """Probabilities at each position of a text, (n_tokens, n_vocabulary), and the masked positions."""
        encoder, grid = self._alone(text)
        masked = np.flatnonzero(grid.tokens[0].cpu().numpy() == self._special.mask)
        if not len(masked):
            raise ValueError(f"text contains no {self._names[4]}; replace at least one token with {self._names[4]}.")
        module = self.net_.module_
        probabilities: Tensor = module.logits(encoder.transformer(grid)[0]).softmax(1).cpu()
        return probabilities, masked

    def _require_head(self, call: str) -> None:
        if not (self._has_head or self.n_epochs_):
            raise ValueError(
                f"{call} needs the prediction head, which is not among the published weights. Train first: "
                "set max_epochs or budget_minutes."
            )


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
