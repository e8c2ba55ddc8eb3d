import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError

from skrep import Word2VecTransformer
from skrep.displays import NearestWordsDisplay
from skrep.text import WordVectors

WORDS = [f"word{i}" for i in range(30)]


@pytest.fixture
def vectors():
    return WordVectors(WORDS, np.random.default_rng(0).normal(size=(30, 5)))


def naive_neighbours(vectors, word, n_neighbors):
    """Words and cosines of the nearest others, the nearest first."""
    v = vectors[word].astype(float)
    cosines = {}
    for other in vectors:
        if other != word:
            w = vectors[other].astype(float)
            cosines[other] = np.dot(v, w) / np.sqrt(np.dot(v, v) * np.dot(w, w))
    nearest = sorted(cosines, key=cosines.get, reverse=True)[:n_neighbors]
    return nearest, [cosines[other] for other in nearest]


def written(texts):
    return [text.get_text() for text in np.ravel(texts)]


def test_tables_are_the_nearest_words_and_their_cosines(vectors):
    display = NearestWordsDisplay.from_vectors(vectors, ["word4", "word0", "word29"], n_neighbors=6)
    assert written(display.headings_) == ["word4", "word0", "word29"]
    assert display.names_.shape == display.numbers_.shape == display.bars_.shape == (3, 6)
    full = None
    for i, word in enumerate(display.words):
        nearest, cosines = naive_neighbours(vectors, word, 6)
        assert display.neighbors[i] == nearest == written(display.names_[i])
        np.testing.assert_allclose(display.similarities[i], cosines, rtol=1e-5)
        assert written(display.numbers_[i]) == [f"{cosine:.2f}" for cosine in cosines]
        widths = np.array([bar.get_width() for bar in display.bars_[i]])
        full = full or widths[0] / cosines[0]
        np.testing.assert_allclose(widths, full * np.array(cosines), rtol=1e-5)


def test_a_line_is_a_bar_with_its_word_and_number(vectors):
    display = NearestWordsDisplay.from_vectors(vectors, WORDS[:7], n_neighbors=4)
    display.figure_.canvas.draw()
    for heading, bars, names, numbers in zip(
        display.headings_, display.bars_, display.names_, display.numbers_, strict=True
    ):
        top = heading.get_window_extent()
        for bar, name, number in zip(bars, names, numbers, strict=True):
            box, word, cosine = (artist.get_window_extent() for artist in (bar, name, number))
            middle = (box.y0 + box.y1) / 2
            assert word.y0 < middle < word.y1 < top.y1
            assert cosine.y0 < middle < cosine.y1
            assert box.x0 < word.x0 < word.x1 < cosine.x0
        heights = [name.get_window_extent().y0 for name in names]
        assert heights == sorted(heights, reverse=True)  # the nearest at the top


def test_negative_cosines_have_no_bar():
    vectors = WordVectors(["east", "west", "north"], [[1, 0], [-1, 0], [0, 1]])
    display = NearestWordsDisplay.from_vectors(vectors, "east", n_neighbors=2)
    assert written(display.names_) == ["north", "west"]
    assert written(display.numbers_) == ["0.00", "-1.00"]
    assert [bar.get_width() for bar in display.bars_[0]] == [0, 0]


def test_long_words_are_cut_and_letters_get_smaller(vectors, plt):
    long = WordVectors(["short", "i" * 200, "donau" * 40, "ok"], np.eye(4) + 1)
    display = NearestWordsDisplay.from_vectors(long, long.words, n_neighbors=3)
    names = {name for name in written(display.names_) if len(name) > 5}
    assert len(names) == 2
    for name in names:
        assert name.endswith("…")
        assert any(word.startswith(name[:-1]) for word in long.words)
    _, ax = plt.subplots(figsize=(3, 1.5))
    small = NearestWordsDisplay.from_vectors(vectors, WORDS[:9], ax=ax)
    assert small.names_[0, 0].get_size() < display.names_[0, 0].get_size()
    ax.figure.canvas.draw()
    boxes = [name.get_window_extent() for name in small.names_.flat]
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_words_that_are_no_words():
    odd = ["$x$", "a\nb", "\ud800", "_^{", "", "\x00"]
    vectors = WordVectors(odd, np.random.default_rng(0).normal(size=(6, 3)))
    display = NearestWordsDisplay.from_vectors(vectors, odd, n_neighbors=5)
    display.figure_.canvas.draw()
    assert written(display.headings_) == ["$x$", "a\\nb", "\\ud800", "_^{", "", "\\x00"]
    assert display.words == odd


def test_an_estimator():
    texts = ["a cat sat on a mat", "a dog sat on a rug", "the cat chased the dog"] * 5
    w2v = Word2VecTransformer(8, random_state=0, max_epochs=1)
    with pytest.raises(NotFittedError):
        NearestWordsDisplay.from_estimator(w2v, ["cat"])
    w2v.fit(texts)
    display = NearestWordsDisplay.from_estimator(w2v, ["cat", "dog"], n_neighbors=2, color="red")
    nearest = [w2v.vectors_.most_similar(word, topn=2) for word in ("cat", "dog")]
    assert display.neighbors == [[word for word, _ in line] for line in nearest]
    assert display.bars_[0, 0].get_facecolor()[:3] == (1, 0, 0)


def test_bad_input(vectors):
    names = r"NearestWordsDisplay.*\b30\b.*'nope', 'Word1', 3, \[1\](?!,| and)"
    with pytest.raises(ValueError, match=names):
        NearestWordsDisplay.from_vectors(vectors, ["word1", "nope", "Word1", 3, "nope", [1]])
    with pytest.raises(ValueError, match=r"'x9'.*\b5\b"):
        NearestWordsDisplay.from_vectors(vectors, [f"x{i}" for i in range(15)])
    for words in ([], ()):
        with pytest.raises(ValueError, match=r"NearestWordsDisplay(?!.*\d).*\bwords\b"):
            NearestWordsDisplay.from_vectors(vectors, words)
    with pytest.raises(ValueError, match=r"\bwords=3\b"):
        NearestWordsDisplay.from_vectors(vectors, 3)
    for n_neighbors in (0, 30, 2.5):
        with pytest.raises(ValueError, match=rf"n_neighbors={n_neighbors}\b.*\b1\b.*\b29\b"):
            NearestWordsDisplay.from_vectors(vectors, ["word1"], n_neighbors=n_neighbors)
    with pytest.raises(TypeError, match=r"NearestWordsDisplay.*\bndarray\b.*skrep\.text\.WordVectors"):
        NearestWordsDisplay.from_vectors(vectors.vectors, ["word1"])
    with pytest.raises(TypeError, match=r"PCA\b.*vectors_.*NearestWordsDisplay.*Word2VecTransformer"):
        NearestWordsDisplay.from_estimator(PCA(2).fit(np.eye(3)), ["word1"])
    with pytest.raises(ValueError, match=r"NearestWordsDisplay(?!.*\d).*\bwords\b"):
        NearestWordsDisplay([], [], np.empty((0, 3))).plot()
    with pytest.raises(ValueError, match=r"\b1 words\b.*\(2, 1\).*\(1, n_neighbors\)"):
        NearestWordsDisplay(["a"], [["b"]], [[0.5], [0.5]]).plot()
    with pytest.raises(ValueError, match=r"neighbours\b.*similarities\b.*\(1, 2\)"):
        NearestWordsDisplay(["a"], [["b"]], [[0.5, 0.4]]).plot()
