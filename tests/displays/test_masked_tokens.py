import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skrep import MaskedLMTransformer
from skrep.backbones import Grid
from skrep.displays import MaskedTokensDisplay

TEXTS = ["a cat sat on a mat", "a dog sat on a rug", "the cat chased the dog"] * 5


def bert(**options):
    return MaskedLMTransformer(8, max_epochs=1, max_length=24, random_state=0, **options)


@pytest.fixture(scope="module")
def fitted():
    return bert().fit(TEXTS)


def written(texts):
    return [text.get_text() for text in np.ravel(texts)]


class Guesser(BaseEstimator):
    """Calls hidden tokens as RoBERTa does."""

    def fit(self, X=None):
        self.fitted_ = True
        return self

    def fill_mask(self, text, n_guesses):
        return [[("a", 0.5), ("b", 0.25)][:n_guesses]] * text.replace("[MASK]", "<mask>").count("<mask>")


def test_charts_are_the_likeliest_tokens(fitted):
    text = "A [MASK] sat on the [MASK]."
    display = MaskedTokensDisplay.from_estimator(fitted, text, n_guesses=4)
    assert display.parts == ["A ", " sat on the ", "."]
    assert display.text_.get_text() == "A __1__ sat on the __2__."
    assert written(display.headings_) == ["__1__", "__2__"]
    assert display.names_.shape == display.numbers_.shape == display.bars_.shape == (2, 4)
    # the network itself, one sequence with no row beside it
    module = fitted.net_.module_.eval()
    tokens = torch.tensor([[fitted.vocabulary_.index(token) for token in fitted.tokenize(text)]])
    hidden = (tokens[0] == fitted.vocabulary_.index("[MASK]")).nonzero()[:, 0]
    zeros = torch.zeros_like(tokens)
    with torch.no_grad():
        vectors = module.encoder.transformer(Grid(tokens, torch.arange(tokens.shape[1])[None], zeros, zeros))[0]
        probabilities = module.logits(vectors[hidden]).softmax(1).numpy()
    full = None
    for i, row in enumerate(probabilities):
        best = np.argsort(-row, kind="stable")[:4]
        assert [token for token, _ in display.guesses[i]] == [fitted.vocabulary_[j] for j in best]
        assert written(display.names_[i]) == [fitted.vocabulary_[j] for j in best]
        assert written(display.numbers_[i]) == [f"{row[j]:.3f}" for j in best]
        widths = np.array([bar.get_width() for bar in display.bars_[i]])
        full = full or widths[0] / row[best[0]]
        np.testing.assert_allclose(widths, full * row[best], rtol=1e-4)


def test_the_layout():
    display = MaskedTokensDisplay(["in ", " ", ""], [[("a", 1.0), ("b", 0.0)], [("c", 0.5), ("d", 0.25)]]).plot()
    display.figure_.canvas.draw()
    text = display.text_.get_window_extent()
    for heading, bars, names, numbers in zip(
        display.headings_, display.bars_, display.names_, display.numbers_, strict=True
    ):
        top = heading.get_window_extent()
        assert top.y1 < text.y0
        for bar, name, number in zip(bars, names, numbers, strict=True):
            box, word, share = (artist.get_window_extent() for artist in (bar, name, number))
            middle = (box.y0 + box.y1) / 2
            assert word.y0 < middle < word.y1 < top.y1
            assert share.y0 < middle < share.y1
            assert box.x0 < word.x0
            assert max(box.x1, word.x1) < share.x0
        heights = [name.get_window_extent().y0 for name in names]
        assert heights == sorted(heights, reverse=True)  # the likeliest at the top
    assert display.bars_[0, 1].get_width() == 0


@pytest.mark.parametrize("size", [None, (8, 5), (3, 2), (1.5, 1)])
def test_long_texts_are_wrapped_and_letters_get_smaller(size, plt):
    parts = ["some words to read, " * 30, "x" * 400, " and the last ones"]
    guesses = [[(f"token{i}", 0.1) for i in range(5)]] * 2
    ax = None if size is None else plt.subplots(figsize=size)[1]
    display = MaskedTokensDisplay(parts, guesses).plot(ax)
    display.figure_.canvas.draw()
    window, text = display.ax_.get_window_extent(), display.text_.get_window_extent()
    assert text.x1 <= window.x1 + 1
    assert "\n" in display.text_.get_text()
    expected = (parts[0] + "__1__" + parts[1] + "__2__" + parts[2]).replace(" ", "")
    assert display.text_.get_text().replace(" ", "").replace("\n", "") == expected  # nothing is left out
    boxes = [text, *(artist.get_window_extent() for artist in [*display.headings_, *display.names_.flat])]
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
    if size != (1.5, 1):
        assert min(box.y0 for box in boxes) >= window.y0 - 1


def test_gaps_by_other_names():
    display = MaskedTokensDisplay.from_estimator(Guesser().fit(), "a <mask> b[MASK]c", n_guesses=1)
    assert display.parts == ["a ", " b", "c"]
    assert display.guesses == [[("a", 0.5)]] * 2


def test_what_looks_like_roberta_s_gap_is_text_for_bert(fitted):
    assert MaskedTokensDisplay.from_estimator(fitted, "a <mask> [MASK]").parts == ["a <mask> ", ""]


def test_lists_of_words():
    words = bert().fit([text.split() for text in TEXTS])
    display = MaskedTokensDisplay.from_estimator(words, ["[MASK]", "cat", "x[MASK]", "[MASK]", "mat"], n_guesses=2)
    assert display.text_.get_text() == "__1__ cat x[MASK] __2__ mat"
    ends = MaskedTokensDisplay.from_estimator(words, ["cat", "[MASK]", "[MASK]"])
    assert ends.text_.get_text() == "cat __1__ __2__"


def test_odd_texts_and_tokens():
    odd = ["$x$", "a\nb", "\ud800", "", "\x00"]
    display = MaskedTokensDisplay(["$y$ \ud800\n\n\x00", "_^{"], [[(token, 0.2) for token in odd]]).plot()
    display.figure_.canvas.draw()
    assert display.text_.get_text() == "$y$ \\ud800 \\x00__1___^{"
    assert written(display.names_) == ["$x$", "a\\nb", "\\ud800", "", "\\x00"]


def test_an_estimator(fitted, plt):
    with pytest.raises(NotFittedError):
        MaskedTokensDisplay.from_estimator(bert(), "a [MASK]")
    display = MaskedTokensDisplay.from_estimator(fitted, "[MASK]", color="red")
    assert display.bars_[0, 0].get_facecolor()[:3] == (1, 0, 0)
    with pytest.raises(TypeError, match=r"PCA\b.*fill_mask.*MaskedTokensDisplay.*MaskedLM"):
        MaskedTokensDisplay.from_estimator(PCA(2).fit(np.eye(3)), "[MASK]")
    with pytest.raises(ValueError, match=r"\btext\b.*\[MASK\]"):
        MaskedTokensDisplay.from_estimator(fitted, "a cat")
    for n_guesses in (0, -1, 2.5, None):
        with pytest.raises(ValueError, match=rf"n_guesses={n_guesses}\b.*\b1\b"):
            MaskedTokensDisplay.from_estimator(fitted, "[MASK]", n_guesses=n_guesses)
    everything = MaskedTokensDisplay.from_estimator(fitted, "[MASK]", n_guesses=10**6)
    assert everything.names_.shape == (1, len(fitted.vocabulary_))


def test_bad_input():
    with pytest.raises(ValueError, match=r"MaskedTokensDisplay(?!.*\d).*\bgap"):
        MaskedTokensDisplay(["a"], []).plot()
    with pytest.raises(ValueError, match=r"\b3 parts\b.*\b1 gap"):
        MaskedTokensDisplay(["a", "b", "c"], [[("x", 0.5)]]).plot()
    for lines, lengths in (([[("x", 0.5)], []], r"\[0, 1\]"), ([[]], r"\[0\]")):
        with pytest.raises(ValueError, match=f"MaskedTokensDisplay.*{lengths}"):
            MaskedTokensDisplay(["", "", ""], lines).plot()
