import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skrep import MaskedLMTransformer
from skrep.backbones import Transformer
from skrep.displays import AttentionDisplay

TEXTS = ["a cat sat on a mat", "a dog sat on a rug", "the cat chased the dog"] * 5
TEXT = "The cat sat."


def bert(n_heads=2, norm="pre", **options):
    backbone = Transformer(n_layers=3, n_heads=n_heads, norm=norm)
    return MaskedLMTransformer(8, backbone=backbone, max_epochs=1, max_length=16, random_state=0, **options)


@pytest.fixture(scope="module")
def fitted():
    return bert().fit(TEXTS)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_first_layer_by_hand(norm):
    fitted = bert(norm=norm).fit(TEXTS)
    tokens = fitted.tokenize(TEXT)
    network = fitted.net_.module_.encoder.transformer
    value = {name: tensor.numpy().astype(float) for name, tensor in network.state_dict().items()}

    def normalised(x, name):
        scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
        return scaled * value[f"{name}.weight"] + value[f"{name}.bias"]

    numbers = [fitted.vocabulary_.index(token) for token in tokens]
    x = value["tokens.weight"][numbers] + value["positions.weight"][: len(numbers)]
    if norm == "post":
        x = x + value["types.weight"][0]
    x = normalised(x, "norm")
    parts = x @ value["layers.0.attention.qkv.weight"].T + value["layers.0.attention.qkv.bias"]
    maps = []
    for head in range(2):
        q, k = (parts[:, start + 4 * head : start + 4 * head + 4] for start in (0, 8))
        scores = np.exp(q @ k.T / np.sqrt(4))
        maps.append(scores / scores.sum(1, keepdims=True))
    display = AttentionDisplay.from_estimator(fitted, TEXT, layer=1, head=1)
    np.testing.assert_allclose(display.weights, maps[1], atol=1e-5)
    display = AttentionDisplay.from_estimator(fitted, TEXT, layer=1)
    np.testing.assert_allclose(display.weights, (maps[0] + maps[1]) / 2, atol=1e-5)
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == tokens


def test_rows_are_the_tokens_that_look():
    weights = np.array([[0.0, 1.0], [0.25, 0.75]])
    display = AttentionDisplay(weights, ["a", "b"]).plot()
    np.testing.assert_array_equal(display.image_.get_array(), weights)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("looked at", "looking")
    y0, y1 = display.ax_.get_ylim()
    assert y0 > y1  # the first token at the top
    assert display.image_.get_clim() == (0, 1)
    assert display.colorbar_.ax in display.figure_.axes


@pytest.mark.parametrize(
    ("layer", "head", "index", "title"),
    [
        (-1, None, 2, "layer 3, mean of 2 heads"),
        (3, 0, 2, "layer 3, head 0"),
        (np.int64(1), None, 0, "layer 1, mean of 2 heads"),
        (-3, -1, 0, "layer 1, head 1"),
        (2, np.int64(1), 1, "layer 2, head 1"),
    ],
)
def test_layers_and_heads(layer, head, index, title, fitted):
    display = AttentionDisplay.from_estimator(fitted, TEXT, layer=layer, head=head)
    maps = fitted.attention(TEXT)[index]
    np.testing.assert_array_equal(display.weights, maps.mean(0) if head is None else maps[head])
    np.testing.assert_allclose(display.weights.sum(1), 1, atol=1e-6)
    assert display.ax_.get_title() == title
    assert list(display.tokens) == fitted.tokenize(TEXT)


def test_names_and_colours(fitted):
    display = AttentionDisplay.from_estimator(fitted, TEXT, name="mine", cmap="Greys", vmax=0.5)
    assert display.ax_.get_title() == display.name == "mine"
    assert display.image_.get_cmap().name == "Greys"
    assert display.image_.get_clim()[1] == 0.5
    only = AttentionDisplay.from_estimator(bert(n_heads=1).fit(TEXTS), TEXT, layer=1)
    assert only.ax_.get_title() == "layer 1, its only head"


def test_hidden_tokens_lists_of_words_and_no_text(fitted):
    tokens = AttentionDisplay.from_estimator(fitted, "a [MASK] sat").tokens
    assert tokens == ["[CLS]", "a", "[MASK]", "sat", "[SEP]"]
    assert AttentionDisplay.from_estimator(fitted, "").tokens == ["[CLS]", "[SEP]"]
    words = bert().fit([text.split() for text in TEXTS])
    assert AttentionDisplay.from_estimator(words, ["cat", "[MASK]"]).tokens == ["[CLS]", "cat", "[MASK]", "[SEP]"]


def test_odd_tokens_and_little_room(plt):
    odd = ["$x$", "a\nb", "\ud800", "", "i" * 200]
    display = AttentionDisplay(np.eye(5), odd).plot()
    display.figure_.canvas.draw()
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == [
        *("$x$", "a\\nb", "\\ud800", ""),
        "i" * 15 + "…",
    ]
    _, ax = plt.subplots(figsize=(3, 3))
    many = AttentionDisplay(np.eye(60), ["word"] * 60).plot(ax)
    sizes = {label.get_size() for label in [*many.ax_.get_xticklabels(), *many.ax_.get_yticklabels()]}
    assert max(sizes) < display.ax_.get_xticklabels()[0].get_size()
    many.figure_.canvas.draw()
    boxes = [label.get_window_extent() for label in many.ax_.get_yticklabels()]
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
    width, height = AttentionDisplay(np.eye(300), ["word"] * 300).plot().figure_.get_size_inches()
    assert max(width, height) < 12


def test_bad_input(fitted):
    with pytest.raises(NotFittedError):
        AttentionDisplay.from_estimator(bert(), TEXT)
    with pytest.raises(TypeError, match=r"PCA\b.*\battention\b.*AttentionDisplay.*MaskedLMTransformer"):
        AttentionDisplay.from_estimator(PCA(2).fit(np.eye(3)), TEXT)
    for layer in (0, 4, -4, 1.0, None):
        with pytest.raises(ValueError, match=rf"layer={layer}\b.*\b1\b.*\b3\b.*-1\b.*-3\b"):
            AttentionDisplay.from_estimator(fitted, TEXT, layer=layer)
    for head in (2, -3, 0.5):
        with pytest.raises(ValueError, match=rf"head={head}\b.*\b0\b.*\b1\b.*None"):
            AttentionDisplay.from_estimator(fitted, TEXT, head=head)
    with pytest.raises(ValueError, match=r"\btext\b.*\btokens\b.*\b14\b"):
        AttentionDisplay.from_estimator(fitted, TEXT * 9)
    with pytest.raises(ValueError, match=r"weights\b.*\(2, 3\).*\b2 tokens"):
        AttentionDisplay(np.ones((2, 3)), ["a", "b"]).plot()
    with pytest.raises(ValueError, match=r"weights\b.*\(0, 0\).*\b0 tokens"):
        AttentionDisplay(np.ones((0, 0)), []).plot()
