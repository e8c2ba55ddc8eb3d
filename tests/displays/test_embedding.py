import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import pairwise_distances

from skrep import PCAEncoder
from skrep.displays import EmbeddingDisplay
from skrep.displays.figures import COLOURS


def in_order(points):
    return points[np.lexsort(np.abs(points).T)]


def test_points_are_the_first_two_principal_components(table):
    display = EmbeddingDisplay.from_features(table)
    np.testing.assert_array_equal(display.scatter_.get_offsets(), display.embedding)
    centred = table - table.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ axes[:2].T
    np.testing.assert_allclose(
        in_order(np.abs(display.embedding)), in_order(np.abs(expected)), rtol=1e-4, atol=1e-5
    )  # signs are free
    assert display.legend_ is None
    assert display.ax_.get_xlabel() == "principal component 1"


def test_colours_and_legend_follow_the_classes():
    # the first feature tells the class
    y = np.repeat(["ant", "bee", "cat"], 10)
    Z = np.column_stack([np.repeat([0.0, 10.0, 20.0], 10), np.random.default_rng(0).normal(size=30)])
    display = EmbeddingDisplay.from_features(Z, y)
    x = display.embedding[:, 0] * np.sign(np.corrcoef(display.embedding[:, 0], display.y == "cat")[0, 1])
    expected = np.digitize(x, [-5, 5])
    np.testing.assert_array_equal(display.y, np.array(["ant", "bee", "cat"])[expected])
    display.figure_.canvas.draw()
    from matplotlib.colors import to_rgb

    shown = display.scatter_.get_facecolors()[:, :3]
    np.testing.assert_allclose(shown, np.array([to_rgb(c) for c in COLOURS[:3]])[expected])
    assert [t.get_text() for t in display.legend_.get_texts()] == ["ant", "bee", "cat"]
    np.testing.assert_allclose(
        [to_rgb(handle.get_color()) for handle in display.legend_.legend_handles], [to_rgb(c) for c in COLOURS[:3]]
    )


@pytest.mark.parametrize("spread", [10, 0])
def test_many_classes_are_named_once_each_without_overlap(spread):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(40), 8)
    Z = spread * np.column_stack([y % 8, y // 8]) + rng.normal(size=(320, 2))
    display = EmbeddingDisplay.from_features(Z, [f"class {i}" for i in y])
    assert display.legend_ is None
    assert sorted(t.get_text() for t in display.texts_) == sorted({f"class {i}" for i in y})
    display.figure_.canvas.draw()
    assert len(np.unique(display.scatter_.get_facecolors(), axis=0)) == 40
    for text in display.texts_:
        own = display.embedding[np.array(display.y) == text.get_text()]
        if spread:  # there is room for each name on a point of its class
            assert np.isclose(own, text.get_position()).all(1).any()
    boxes = [t.get_window_extent() for t in display.texts_]
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])


def test_numbers_have_a_colour_bar(table):
    display = EmbeddingDisplay.from_features(table, table[:, 0] + 0.5)
    np.testing.assert_array_equal(display.scatter_.get_array(), display.y)
    assert len(display.figure_.axes) == 2


def test_tsne_keeps_groups():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    Z = 20 * np.eye(3)[y] + rng.normal(size=(90, 3))
    display = EmbeddingDisplay.from_features(Z, y, method="tsne")
    distances = pairwise_distances(display.embedding) + np.diag(np.full(90, np.inf))
    np.testing.assert_array_equal(display.y[distances.argmin(1)], display.y)
    assert display.ax_.get_xlabel() == "t-SNE dimension 1"
    again = EmbeddingDisplay.from_features(Z, y, method="tsne").embedding
    np.testing.assert_array_equal(display.embedding, again)


def test_few_samples_have_few_neighbours(monkeypatch):
    asked = []
    fit = TSNE.fit_transform
    monkeypatch.setattr(TSNE, "fit_transform", lambda self, Z: asked.append(self.perplexity) or fit(self, Z))
    Z = np.random.default_rng(0).normal(size=(100, 4))
    for n in (2, 10, 100):
        assert np.isfinite(EmbeddingDisplay.from_features(Z[:n], method="tsne").embedding).all()
    np.testing.assert_allclose(asked, [1 / 3, 3, 30])


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_collapsed_features(method):
    display = EmbeddingDisplay.from_features(np.full((20, 4), 0.3, np.float32), np.arange(20) % 2, method=method)
    assert (display.embedding == 0).all()
    tiny = 1 + 1e-12 * np.random.default_rng(0).normal(size=(20, 4))
    assert np.isfinite(EmbeddingDisplay.from_features(tiny, method=method).embedding).all()


def test_a_sample_of_the_rows(digits):
    X, y = digits
    encoder = PCAEncoder(2).fit(X)
    Z = encoder.transform(X)
    seen = []

    class Counting(PCAEncoder):
        def transform(self, X):
            seen.append(len(X))
            return super().transform(X)

    counting = Counting(2).fit(X)
    display = EmbeddingDisplay.from_estimator(counting, X, y, max_samples=100, random_state=3)
    assert seen == [100]
    assert display.embedding.shape == (100, 2)
    again = EmbeddingDisplay.from_estimator(encoder, X, y, max_samples=100, random_state=3)
    np.testing.assert_allclose(display.embedding, again.embedding, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(display.y, again.y)
    other = EmbeddingDisplay.from_estimator(encoder, X, y, max_samples=100, random_state=4)
    assert not np.array_equal(display.y, other.y)
    # each is one of the rows, with its class: distances do not change under PCA of two features
    whole = EmbeddingDisplay.from_estimator(encoder, X, y)
    assert len(whole.embedding) == len(X)
    expected = PCA(2).fit_transform(Z)
    nearest = pairwise_distances(np.abs(whole.embedding), np.abs(expected)).argmin(1)
    np.testing.assert_array_equal(np.sort(nearest), np.arange(len(X)))
    np.testing.assert_array_equal(whole.y, y[nearest])


@pytest.mark.parametrize("kind", [pd.DataFrame, torch.as_tensor, np.ndarray.tolist], ids=["frame", "tensor", "list"])
def test_any_array(kind, table):
    expected = EmbeddingDisplay.from_estimator(PCAEncoder(3).fit(table), table, np.arange(60) % 4)
    X = kind(table)
    encoder = PCAEncoder(3).fit(X).set_output(transform="pandas")
    display = EmbeddingDisplay.from_estimator(encoder, X, pd.Series(np.arange(60) % 4))
    np.testing.assert_allclose(display.embedding, expected.embedding, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(display.y, expected.y)


def test_scatter_options(table):
    display = EmbeddingDisplay.from_features(table, np.arange(60) % 2, s=3, marker="^")
    np.testing.assert_array_equal(display.scatter_.get_sizes(), [3])


def test_bad_input(table):
    with pytest.raises(NotFittedError):
        EmbeddingDisplay.from_estimator(PCAEncoder(2), table)
    with pytest.raises(TypeError, match=r"LogisticRegression\b.*\btransform\b.*EmbeddingDisplay"):
        EmbeddingDisplay.from_estimator(LogisticRegression().fit(table, np.arange(60) % 2), table)
    for call in (
        lambda **kw: EmbeddingDisplay.from_features(table, **kw),
        lambda **kw: EmbeddingDisplay.from_estimator(PCAEncoder(2).fit(table), table, **kw),
    ):
        with pytest.raises(ValueError, match=r"method='umap'.*'pca'.*'tsne'"):
            call(method="umap")
        with pytest.raises(ValueError, match=r"max_samples=1\b.*\b2\b"):
            call(max_samples=1)
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            call(y=np.arange(3))
    with pytest.raises(ValueError, match="minimum of 2 is required by EmbeddingDisplay"):
        EmbeddingDisplay.from_features(table[:, :1])
    with pytest.raises(ValueError, match="dim 4"):
        EmbeddingDisplay.from_features(np.ones((4, 3, 3, 1)))
    with pytest.raises(ValueError, match="1d array"):
        EmbeddingDisplay.from_features(table, table.round())
