import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.manifold import TSNE
from sklearn.metrics import pairwise_distances

from skrep import Word2VecTransformer
from skrep.displays import WordMapDisplay
from skrep.displays.figures import COLOURS
from skrep.text import WordVectors

WORDS = [f"word{i}" for i in range(60)]


@pytest.fixture
def vectors():
    return WordVectors(WORDS, np.random.default_rng(0).normal(size=(60, 6)))


def clusters(n_groups=3, n=20):
    """Words of a few groups, whose vectors have a direction in common but not a length."""
    rng = np.random.default_rng(0)
    groups = np.arange(n_groups * n) % n_groups
    directions = 8 * np.eye(n_groups)[groups] + rng.normal(size=(n_groups * n, n_groups))
    return WordVectors(
        [f"w{i}" for i in range(n_groups * n)], directions * rng.uniform(0.1, 9, (len(groups), 1))
    ), groups


def boxes(display):
    display.figure_.canvas.draw()
    return [text.get_window_extent() for text in display.texts_]


def test_pca_is_of_directions(vectors):
    display = WordMapDisplay.from_vectors(vectors, WORDS[5:40], method="pca")
    assert display.words == WORDS[5:40]
    unit = vectors.vectors[5:40].astype(float)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    centred = unit - unit.mean(0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    # signs are free
    np.testing.assert_allclose(np.abs(display.embedding), np.abs(centred @ axes[:2].T), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(display.scatter_.get_offsets(), display.embedding)
    assert display.ax_.get_xlabel() == "principal component 1"
    assert display.legend_ is None


def test_tsne_keeps_groups_of_directions():
    vectors, groups = clusters()
    display = WordMapDisplay.from_vectors(vectors)
    order = [vectors.index[word] for word in display.words]
    distances = pairwise_distances(display.embedding) + np.diag(np.full(60, np.inf))
    np.testing.assert_array_equal(groups[order][distances.argmin(1)], groups[order])
    assert display.ax_.get_xlabel() == "t-SNE dimension 1"
    again = WordMapDisplay.from_vectors(vectors).embedding
    np.testing.assert_array_equal(display.embedding, again)
    other = WordMapDisplay.from_vectors(vectors, random_state=1).embedding
    assert np.isfinite(other).all()


def test_the_most_frequent_words():
    words = ["rare", "the", "cat", "of", "dog", "mat"]
    vectors = WordVectors(words, np.random.default_rng(0).normal(size=(6, 3)), [1, 90, 20, 80, 20, 2])
    by_frequency = ["the", "of", "cat", "dog", "mat", "rare"]
    draw = WordMapDisplay.from_vectors
    assert draw(vectors).words == by_frequency
    assert draw(vectors, n_words=3).words == by_frequency[:3]
    assert {"the", "of"} <= ENGLISH_STOP_WORDS
    assert draw(vectors, n_words=3, stop_words="english").words == ["cat", "dog", "mat"]
    assert draw(vectors, n_words=3, stop_words=["cat", "the"]).words == ["of", "dog", "mat"]
    assert draw(vectors, ["the", "cat"], stop_words="english").words == ["the", "cat"]  # those that are named stay
    uncounted = WordVectors(words, vectors.vectors)
    assert draw(uncounted, n_words=3).words == words[:3]


def test_names_stand_beside_their_points_and_do_not_overlap(vectors):
    display = WordMapDisplay.from_vectors(vectors, method="pca")
    stand = boxes(display)
    assert not any(one.overlaps(two) for i, one in enumerate(stand) for two in stand[:i])
    pixels = dict(zip(display.words, display.ax_.transData.transform(display.embedding), strict=True))
    window = display.ax_.get_window_extent()
    lines = [display.ax_.transData.transform(line) for line in display.lines_.get_segments()]
    away = 0
    for text, box in zip(display.texts_, stand, strict=True):
        assert window.x0 <= box.x0 < box.x1 <= window.x1
        assert window.y0 <= box.y0 < box.y1 <= window.y1
        point = pixels[text.get_text()]
        gap = np.linalg.norm(point - np.clip(point, (box.x0, box.y0), (box.x1, box.y1)))
        if gap > 6:  # a line leads there
            away += 1
            to = [end for start, end in lines if np.allclose(start, point)]
            assert len(to) == 1
            np.testing.assert_allclose(np.clip(to[0], (box.x0, box.y0), (box.x1, box.y1)), to[0], atol=1)
    assert away == len(lines)
    assert 0 < away < len(display.texts_) / 3


def test_lines_cross_no_names():
    places = np.random.default_rng(1).normal(size=(150, 2)) ** 3
    display = WordMapDisplay([f"word {i}" for i in range(150)], places).plot()
    stand = boxes(display)
    assert len(display.lines_.get_segments()) > 10
    for line in display.lines_.get_segments():
        start, end = display.ax_.transData.transform(line)
        inner = start + (end - start) * np.linspace(0, 0.95, 12)[:, np.newaxis]
        for box in stand:
            inside = ((inner > (box.x0 + 1, box.y0 + 1)) & (inner < (box.x1 - 1, box.y1 - 1))).all(1)
            assert inside.sum() <= 1  # at most grazed, between the places that were looked at


def test_names_without_room_are_left_out_and_the_first_come_first():
    words = [f"a rather long name {i}" for i in range(80)]
    display = WordMapDisplay(words, np.random.default_rng(0).normal(size=(80, 2))).plot()
    crowded = WordMapDisplay(words, np.zeros((80, 2))).plot()
    assert 4 <= len(crowded.texts_) < len(display.texts_)
    assert len(crowded.scatter_.get_offsets()) == 80
    stand = boxes(crowded)
    assert not any(one.overlaps(two) for i, one in enumerate(stand) for two in stand[:i])
    assert [text.get_text() for text in crowded.texts_[:4]] == words[:4]


def test_a_part_of_a_figure(vectors, plt):
    left, right = plt.figure(layout="constrained").subfigures(1, 2)
    display = WordMapDisplay.from_vectors(vectors, method="pca", ax=right.subplots())
    assert display.figure_ is right
    assert not left.axes
    stand = [text.get_window_extent() for text in display.texts_]
    assert stand
    assert not any(one.overlaps(two) for i, one in enumerate(stand) for two in stand[:i])


def test_groups_have_colours_and_a_legend():
    from matplotlib.colors import to_rgb

    vectors, groups = clusters()
    kinds = {f"w{i}": "abc"[group] for i, group in enumerate(groups) if i != 7}
    listed = [kinds.get(word) for word in vectors.words]
    for given, words in ((kinds, None), (kinds, vectors.words), (np.array(listed), vectors.words)):
        display = WordMapDisplay.from_vectors(vectors, words, groups=given, method="pca")
        assert display.groups == listed
        assert [text.get_text() for text in display.legend_.get_texts()] == ["a", "b", "c"]
        display.figure_.canvas.draw()
        shown = display.scatter_.get_facecolors()[:, :3]
        colours = {None: to_rgb("0.65"), **{name: to_rgb(COLOURS[i]) for i, name in enumerate("abc")}}
        np.testing.assert_allclose(shown, [colours[group] for group in listed])
        keys = [to_rgb(handle.get_color()) for handle in display.legend_.legend_handles]
        np.testing.assert_allclose(keys, [colours[name] for name in "abc"])
    many = WordMapDisplay.from_vectors(vectors, groups={word: word for word in vectors.words[:15]}, method="pca")
    many.figure_.canvas.draw()
    assert len(np.unique(many.scatter_.get_facecolors(), axis=0)) == 16
    none = WordMapDisplay.from_vectors(vectors, groups={"elsewhere": 1}, method="pca")
    assert none.legend_ is None


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_few_words_and_few_components(method, monkeypatch):
    asked = []
    fit = TSNE.fit_transform
    monkeypatch.setattr(TSNE, "fit_transform", lambda self, Z: asked.append(self.perplexity) or fit(self, Z))
    rng = np.random.default_rng(0)
    for n in (2, 10, 60):
        display = WordMapDisplay.from_vectors(WordVectors(WORDS[:n], rng.normal(size=(n, 4))), method=method)
        assert np.isfinite(display.embedding).all()
    if method == "tsne":
        np.testing.assert_allclose(asked, [1 / 3, 3, 15])
    for array in (rng.normal(size=(60, 1)), np.ones((60, 4)), np.zeros((60, 4))):
        display = WordMapDisplay.from_vectors(WordVectors(WORDS, array), method=method)
        assert np.isfinite(display.embedding).all()
        assert (display.embedding[:, 1] == 0).all()
        assert display.texts_


def test_words_that_are_no_words():
    odd = ["$x$", "a\nb", "\ud800", "_^{", "", "\x00"]
    display = WordMapDisplay(odd, 5 * np.random.default_rng(0).normal(size=(6, 2))).plot()
    display.figure_.canvas.draw()
    assert [text.get_text() for text in display.texts_] == ["$x$", "a\\nb", "\\ud800", "_^{", "", "\\x00"]


def test_an_estimator():
    texts = ["a cat sat on a mat", "a dog sat on a rug", "the cat chased the dog"] * 5
    w2v = Word2VecTransformer(8, random_state=0, max_epochs=1)
    with pytest.raises(NotFittedError):
        WordMapDisplay.from_estimator(w2v)
    w2v.fit(texts)
    display = WordMapDisplay.from_estimator(w2v, method="pca", n_words=5, stop_words="english", marker="^", s=9)
    assert set(display.words) == {"cat", "dog", "sat", "mat", "rug"}
    expected = PCA(2).fit_transform(w2v.vectors_.unit_vectors[[w2v.vectors_.index[word] for word in display.words]])
    np.testing.assert_allclose(np.abs(display.embedding), np.abs(expected), rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(display.scatter_.get_sizes(), [9])


def test_bad_input(vectors):
    draw = WordMapDisplay.from_vectors
    with pytest.raises(ValueError, match=r"WordMapDisplay.*\b60\b.*'nope', 'no'"):
        draw(vectors, ["nope", "word1", "no"])
    with pytest.raises(ValueError, match=r"WordMapDisplay(?!.*\d).*\bwords\b"):
        draw(vectors, [])
    with pytest.raises(ValueError, match=r"WordMapDisplay.*\b1\b.*\bmap\b"):
        draw(vectors, ["word1", "word1"])
    with pytest.raises(ValueError, match=r"WordMapDisplay.*\b0\b.*\bmap\b"):
        draw(vectors, stop_words=WORDS)
    with pytest.raises(ValueError, match=r"method='umap'.*'pca'.*'tsne'"):
        draw(vectors, method="umap")
    for n_words in (1, 2.5):
        with pytest.raises(ValueError, match=rf"n_words={n_words}\b.*\b2\b"):
            draw(vectors, n_words=n_words)
    with pytest.raises(ValueError, match=r"stop_words='german'.*'english'"):
        draw(vectors, stop_words="german")
    with pytest.raises(ValueError, match=r"\bgroups\b.*\bwords\b.*\bdict\b"):
        draw(vectors, groups=["a"] * 60)
    with pytest.raises(ValueError, match=r"\b2 words\b.*\b3 groups\b"):
        draw(vectors, ["word1", "word2"], groups=[1, 2, 3])
    with pytest.raises(ValueError, match=r"\b1 words\b.*\(2, 2\).*\(1, 2\)"):
        WordMapDisplay(["a"], np.zeros((2, 2))).plot()
    with pytest.raises(TypeError, match=r"WordMapDisplay.*\bdict\b.*WordVectors"):
        draw({"a": [1, 2]})
    with pytest.raises(TypeError, match=r"PCA\b.*vectors_.*WordMapDisplay"):
        WordMapDisplay.from_estimator(PCA(2).fit(np.eye(3)))
