"""What all displays promise."""

import ast
import functools
import inspect
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from numpydoc.docscrape import NumpyDocString
from sklearn.decomposition import PCA

from skrep import MaskedLMTransformer, displays
from skrep.displays import (
    AtomsDisplay,
    AttentionDisplay,
    EmbeddingDisplay,
    FewLabelDisplay,
    LayerProbeDisplay,
    MaskedTokensDisplay,
    NearestWordsDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    SamplesDisplay,
    SpectrumDisplay,
    TrainingCurveDisplay,
    ViewsDisplay,
    WordMapDisplay,
)
from skrep.evaluation import FewLabelScores
from skrep.text import WordVectors

ROOT = Path(__file__).parents[2]
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(12, 5))
IMAGES = RNG.random((3, 6, 6, 3))
TEXTS = ["the tide and the reef", "dough in an oven"] * 6
WORDS = [f"word {i}" for i in range(12)]
SCORES = FewLabelScores((1, 5), (10, 50), (np.array([0.5, 0.6]), np.array([0.7, 0.9])))

MADE = {
    "atoms": lambda: AtomsDisplay(IMAGES - 0.5),
    "many atoms": lambda: AtomsDisplay(RNG.normal(size=(97, 4, 4, 1))),
    "attention": lambda: AttentionDisplay(RNG.dirichlet(np.ones(7), 7), WORDS[:7], "layer 2"),
    "attention of many tokens": lambda: AttentionDisplay(
        RNG.dirichlet(np.ones(90), 90), ["token", "w" * 99, "$x$"] * 30
    ),
    "curve": lambda: TrainingCurveDisplay([1, 2, 3], [3.0, 2.0, 1.0], [3.0, 2.5, 2.0], [0.1, 0.2, 0.0]),
    "embedding": lambda: EmbeddingDisplay(TABLE[:, :2], np.arange(12) % 3, "pca"),
    "embedding of many classes": lambda: EmbeddingDisplay(TABLE[:, :2], np.arange(12)),
    "embedding of numbers": lambda: EmbeddingDisplay(TABLE[:, :2], TABLE[:, 2]),
    "few labels": lambda: FewLabelDisplay({"raw": SCORES, "random": SCORES, "pca": SCORES}),
    "layers": lambda: LayerProbeDisplay(RNG.random((5, 3)), "accuracy", "network"),
    "one layer, one split": lambda: LayerProbeDisplay([[0.5]]),
    "masked tokens": lambda: MaskedTokensDisplay(["in ", " came ", "."], [[("a", 0.9), ("the", 0.1)]] * 2),
    "many masked tokens": lambda: MaskedTokensDisplay(
        ["word, " * 20] * 12 + ["w" * 300], [[("w" * 90, 0.25), *((word, 0.05) for word in WORDS)]] * 12
    ),
    "nearest words": lambda: NearestWordsDisplay(WORDS[:3], [WORDS[4:8]] * 3, RNG.random((3, 4))),
    "nearest of many words": lambda: NearestWordsDisplay(
        WORDS, [["w" * 90, *WORDS]] * 12, 2 * RNG.random((12, 13)) - 1
    ),
    "neighbours": lambda: NeighborsDisplay(IMAGES[[[0, 1], [1, 2]]], np.ones((2, 1)), np.array([[0, 0], [0, 1]])),
    "neighbours in a table": lambda: NeighborsDisplay(TABLE.reshape(3, 4, 5), np.ones((3, 3)), None, [*"abcde"]),
    "views": lambda: ViewsDisplay(IMAGES, [1 - IMAGES, IMAGES / 2]),
    "views of a table": lambda: ViewsDisplay(TABLE, [TABLE + 1]),
    "reconstruction": lambda: ReconstructionDisplay(IMAGES[..., :1], IMAGES[..., 1:2]),
    "reconstruction of a table": lambda: ReconstructionDisplay(TABLE, TABLE / 2),
    "samples": lambda: SamplesDisplay(IMAGES, 1 - IMAGES, IMAGES),
    "samples of a table": lambda: SamplesDisplay(TABLE, TABLE[:5] + 1, TABLE / 2),
    "spectrum": lambda: SpectrumDisplay([5.0, 2.0, 1.0], 10.0, "pca"),
    "spectrum of one": lambda: SpectrumDisplay([1.0]),
    "word map": lambda: WordMapDisplay(WORDS, TABLE[:, :2], [*"aabbccddeef", None], "tsne"),
    "word map of many words": lambda: WordMapDisplay(WORDS * 12, RNG.normal(size=(144, 2)) ** 3),
}


@functools.cache
def language_model():
    return MaskedLMTransformer(8, max_epochs=1, max_length=16, random_state=0).fit(TEXTS)


FROM = {
    "atoms": lambda **kw: AtomsDisplay.from_atoms(RNG.normal(size=(3, 16)), **kw),
    "attention": lambda **kw: AttentionDisplay.from_estimator(language_model(), TEXTS[0], **kw),
    "embedding": lambda **kw: EmbeddingDisplay.from_features(TABLE, **kw),
    "few labels": lambda **kw: FewLabelDisplay.from_scores({"pca": SCORES}, **kw),
    "layers": lambda **kw: LayerProbeDisplay.from_estimator(language_model(), TEXTS, [0, 1] * 6, cv=2, **kw),
    "masked tokens": lambda **kw: MaskedTokensDisplay.from_estimator(language_model(), "[MASK] tide", **kw),
    "nearest words": lambda **kw: NearestWordsDisplay.from_vectors(WordVectors(WORDS, TABLE), WORDS[:2], **kw),
    "neighbours": lambda **kw: NeighborsDisplay.from_features(TABLE, TABLE, **kw),
    "views": lambda **kw: ViewsDisplay.from_views(lambda x, generator: 1 - x, IMAGES, **kw),
    "reconstruction": lambda **kw: ReconstructionDisplay.from_estimator(PCA(2).fit(TABLE), TABLE, **kw),
    "samples": lambda **kw: SamplesDisplay.from_samples(TABLE, TABLE, **kw),
    "spectrum": lambda **kw: SpectrumDisplay.from_features(TABLE, **kw),
    "word map": lambda **kw: WordMapDisplay.from_vectors(WordVectors(WORDS, TABLE), **kw),
}
every = pytest.mark.parametrize("make", MADE.values(), ids=MADE)
# large figures are slow to draw; whether texts cover one another is seen on them too
most = pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=pytest.mark.exhaustive if "many" in name else ())
        for name, make in MADE.items()
    ],
)


@most
def test_a_new_figure(make, plt):
    display = make()
    assert display.plot() is display
    assert plt.get_fignums() == [display.figure_.number]
    assert display.ax_.figure is display.figure_
    assert display.figure_.get_layout_engine() is not None
    display.figure_.canvas.draw()


@most
def test_axes_of_the_user(make, plt):
    figure, (left, right) = plt.subplots(1, 2)
    display = make().plot(ax=right)
    assert display.ax_ is right
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert not left.has_data()
    figure.canvas.draw()


@most
def test_data_are_kept_as_they_came_and_can_be_drawn_twice(make):
    display = make()
    before = dict(vars(display))
    assert set(before) == set(inspect.signature(type(display)).parameters)
    display.plot()
    first = display.ax_
    display.plot()
    assert display.ax_ is not first
    assert all(getattr(display, name) is value for name, value in before.items())
    assert all(name.endswith("_") for name in set(vars(display)) - set(before))


@pytest.mark.parametrize("make", FROM.values(), ids=FROM)
def test_from_methods_take_axes(make, plt):
    _, ax = plt.subplots()
    assert make(ax=ax).ax_ is ax
    assert make().ax_ is not ax


def tick_labels(axis):
    low, high = sorted(axis.get_view_interval())
    return [label for t in axis.get_major_ticks() if low <= t.get_loc() <= high for label in (t.label1, t.label2)]


@every
def test_no_text_covers_another(make):
    figure = make().plot().figure_
    figure.canvas.draw()
    texts = [
        text.get_window_extent()
        for ax in figure.axes
        for text in [
            ax.xaxis.label,
            ax.yaxis.label,
            ax.title,
            *ax.texts,
            *tick_labels(ax.xaxis),
            *tick_labels(ax.yaxis),
        ]
        if text.get_text().strip() and text.get_visible()
    ]
    assert texts or figure.axes[0].get_legend()
    for i, one in enumerate(texts):
        assert not any(one.overlaps(other) for other in texts[:i])
        assert figure.bbox.x0 <= one.x0 < one.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= one.y0 < one.y1 <= figure.bbox.y1


@pytest.mark.parametrize("make", [*MADE.values(), *FROM.values()])
def test_without_matplotlib(make, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=re.escape('pip install "skrep[plots]"')):
        make().plot()


def test_displays_know_no_method():
    rooms = set()
    for path in (ROOT / "skrep" / "displays").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "skrep":
                rooms.add(node.module.split(".")[1])
    assert rooms <= {"displays", "evaluation", "text", "views"}


@pytest.mark.parametrize("name", displays.__all__)
def test_documentation_covers_every_parameter_and_artist(name):
    cls = getattr(displays, name)
    documented = {p.name for p in NumpyDocString(inspect.getdoc(cls))["Parameters"]}
    assert documented == set(inspect.signature(cls).parameters)
    display = next(made() for made in MADE.values() if type(made()) is cls).plot()
    attributes = {p.name for p in NumpyDocString(inspect.getdoc(cls))["Attributes"]}
    assert attributes == {a for a in vars(display) if a.endswith("_")}
    for method in ["plot", *(m for m in vars(cls) if m.startswith("from_"))]:
        text = inspect.getdoc(getattr(cls, method))
        listed = " ".join(p.name for p in NumpyDocString(text)["Parameters"])
        missing = [p for p in inspect.signature(getattr(cls, method)).parameters if p != "self" and p not in listed]
        assert not missing, f"{name}.{method} does not document {missing}"
        assert NumpyDocString(text)["Returns"]
        assert NumpyDocString(text)["Raises"]


def test_the_guide_shows_every_display():
    text = (ROOT / "docs" / "guide" / "displays.md").read_text()
    code = "".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    assert set(displays.__all__) <= set(re.findall(r"\b\w+Display\b", code))
