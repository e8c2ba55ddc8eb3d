"""Which tokens a masked language model predicts, and what it gets in their place."""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["mask_tokens"]

# Shares of the chosen tokens that are masked, and that are masked or replaced by another.
MASKED, CHANGED = 0.8, 0.9


def mask_tokens(
    tokens: Tensor,
    eligible: Tensor,
    fraction: float,
    draw: Callable[[int], Tensor],
    mask: int,
    replacements: Tensor,
    words: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """BERT's rule: of the tokens that are chosen, 80 % become the mask, 10 % another token, 10 % stay.

    Each token is chosen by itself, or, where words are told apart, all tokens of a word together; the outcome of
    each is drawn for each (Devlin et al. 2019, arXiv:1810.04805, section 3.1, and whole words as in their code).

    Parameters
    ----------
    tokens : torch.Tensor of shape (n_tokens,), int64
        The tokens.
    eligible : torch.Tensor of shape (n_tokens,), bool
        Which may be chosen: no special tokens.
    fraction : float
        Probability with which a token, or a word, is chosen.
    draw : callable
        A function of a number (0, 1, 2) that returns uniform random numbers in [0, 1), (n_tokens,).
    mask : int
        The mask token.
    replacements : torch.Tensor of shape (n_replacements,), int64
        Tokens that may stand in place of another: no special ones.
    words : torch.Tensor of shape (n_tokens,), int64, or None, default=None
        For each token the place of the first token of its word; None chooses tokens one by one.

    Returns
    -------
    seen : torch.Tensor of shape (n_tokens,), int64
        What the network gets.
    chosen : torch.Tensor of shape (n_chosen,), int64
        Which tokens were chosen.
    """
    choice = draw(0)
    chosen = (((choice if words is None else choice[words]) < fraction) & eligible).nonzero()[:, 0]
    outcome = draw(1)[chosen]
    other = replacements[(draw(2)[chosen] * len(replacements)).long().clamp_(max=len(replacements) - 1)]
    seen = tokens.clone()
    seen[chosen] = torch.where(outcome < MASKED, mask, torch.where(outcome < CHANGED, other, tokens[chosen]))
    return seen, chosen
