import re

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import LinearSVC

from skrep import PCAEncoder
from skrep.displays import NeighborsDisplay


def shown(display):
    return np.array([[np.squeeze(image.get_array()) for image in line] for line in display.images_])


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def titles(display):
    """What stands above the pictures, of shape (n_queries, 1 + n_neighbors)."""
    return np.array([text.get_text() for text in display.texts_]).reshape(display.images_.shape)


def naive_neighbours(Z, query, n_neighbors):
    """Positions and cosines of the nearest others, the nearest first."""
    cosines = {
        i: np.dot(Z[i], Z[query]) / (np.linalg.norm(Z[i]) * np.linalg.norm(Z[query]))
        for i in range(len(Z))
        if i != query
    }
    nearest = sorted(cosines, key=cosines.get, reverse=True)[:n_neighbors]
    return nearest, [cosines[i] for i in nearest]


def test_images_and_their_neighbours(digits):
    X, y = digits
    encoder = PCAEncoder(6).fit(X)
    queries = [4, 250, 31]
    display = NeighborsDisplay.from_estimator(encoder, X, y, queries=queries, n_neighbors=4, image_shape=(8, 8))
    assert display.images_.shape == (3, 5)
    assert display.frames_.shape == (3, 4)
    Z = encoder.transform(X)
    for i, query in enumerate(queries):
        nearest, cosines = naive_neighbours(Z, query, 4)
        np.testing.assert_array_equal(display.rows[i], X[[query, *nearest]].reshape(-1, 8, 8, 1))  # (5, 64)
        np.testing.assert_allclose(display.similarities[i], cosines, rtol=1e-5)
        assert titles(display)[i].tolist() == ["query", *(f"cos {cosine:.2f}" for cosine in cosines)]
        np.testing.assert_array_equal(display.classes[i], y[[query, *nearest]])
    np.testing.assert_allclose(shown(display), display.rows[..., 0] / X.max(), rtol=1e-6)
    assert labels(display.ax_.yaxis) == [str(y[query]) for query in queries]


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_any_shape(channels):
    images = np.random.default_rng(0).integers(0, 256, (9, 6, 4, channels), dtype=np.uint8)
    display = NeighborsDisplay.from_features(images.reshape(9, -1), images, queries=2, n_neighbors=3)
    np.testing.assert_allclose(shown(display), np.squeeze(display.rows) / 255, rtol=1e-6)
    assert display.rows.dtype == np.uint8
    assert display.frames_ is None
    assert display.legend_ is None
    display.figure_.canvas.draw()
    for line, names in zip(display.images_, np.reshape(display.texts_, (2, 4)), strict=True):
        for image, text in zip(line, names, strict=True):
            picture, title = image.get_window_extent(), text.get_window_extent()
            assert picture.y1 < title.y0 < title.y1 < picture.y1 + 0.25 * display.figure_.dpi  # above its picture


@pytest.mark.parametrize("n_neighbors", [1, 5])
@pytest.mark.parametrize("kind", ["pictures", "strips"])
def test_frames_tell_the_class_by_colour_and_by_line(kind, n_neighbors, digits):
    X, y = digits
    y = np.array(list("abcdefghij"))[y]
    shape = (8, 8) if kind == "pictures" else None
    display = NeighborsDisplay.from_features(X[:, ::8], X, y, queries=8, n_neighbors=n_neighbors, image_shape=shape)
    same = display.classes[:, 1:] == display.classes[:, :1]
    assert 0 < same.sum() < same.size
    drawn = {}
    for (i, j), frame in np.ndenumerate(display.frames_):
        left, right, bottom, top = display.images_[i, j + 1].get_extent()
        assert frame.get_bbox().bounds == pytest.approx((left, top, right - left, bottom - top))
        drawn.setdefault(bool(same[i, j]), set()).add((frame.get_edgecolor(), str(frame.get_linestyle())))
    assert len(drawn[True]) == len(drawn[False]) == 1
    (one,), (other,) = drawn[True], drawn[False]
    assert one[0] != other[0]
    assert one[1] != other[1]
    keys = [key.get_edgecolor() for key in display.legend_.legend_handles]
    said = [text.get_text() for text in display.legend_.get_texts()]
    assert dict(zip(said, keys, strict=True)) == {"class of the query": one[0], "another class": other[0]}
    figure = display.figure_
    figure.canvas.draw()
    below = display.legend_.get_window_extent()
    assert 0 <= below.x0 < below.x1 <= figure.bbox.x1
    assert below.y0 >= 0
    assert below.y1 <= min(image.get_window_extent().y0 for image in display.images_.flat)


def test_tables_are_strips_of_standardised_columns(table):
    frame = pd.DataFrame(table * [1, 10, 100, 1, 1, 0] + 5, columns=[f"column {i}" for i in range(6)])
    frame.iloc[3, 1] = np.nan
    y = np.arange(60) % 2
    display = NeighborsDisplay.from_features(table, frame, y, queries=[3, 7], n_neighbors=2)
    assert display.images_.shape == (2, 3)
    values = frame.to_numpy()
    spread = np.nanstd(values, axis=0)
    expected = (values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1)
    for i, query in enumerate([3, 7]):
        rows = [query, *naive_neighbours(table, query, 2)[0]]
        np.testing.assert_allclose(np.ma.filled(shown(display)[i], np.nan), expected[rows], rtol=1e-5)
    assert {image.get_clim() for image in display.images_.flat} == {(-3, 3)}
    cosines = [[f"cos {c:.2f}" for c in naive_neighbours(table, query, 2)[1]] for query in (3, 7)]
    assert labels(display.ax_.yaxis) == ["query: 1", *cosines[0], "query: 1", *cosines[1]]
    assert labels(display.ax_.xaxis) == list(frame.columns)
    assert display.images_[0, 0].colorbar.ax.get_ylabel() == "standard deviations from the mean"
    middles = display.ax_.get_yticks()
    (rule,) = display.ax_.lines
    assert middles[2] < rule.get_ydata()[0] < middles[3]
    figure = display.figure_
    figure.canvas.draw()
    names = [text.get_window_extent() for text in display.ax_.get_xticklabels()]
    for i, name in enumerate(names):
        strip = display.images_[0, 0].get_window_extent()
        assert strip.x0 + i * strip.width / 6 < name.x0 < name.x1 < strip.x0 + (i + 1) * strip.width / 6


def test_many_columns_are_not_named():
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(8, 31)))
    assert labels(NeighborsDisplay.from_features(X, X).ax_.xaxis) == []
    assert labels(NeighborsDisplay.from_features(X, X.iloc[:, :30]).ax_.xaxis) == [str(i) for i in range(30)]
    assert labels(NeighborsDisplay.from_features(X, X.to_numpy()).ax_.xaxis) == []


def test_queries_at_random(table):
    def drawn(random_state):
        return NeighborsDisplay.from_features(table, table, queries=5, random_state=random_state).rows[:, 0]

    np.testing.assert_array_equal(drawn(1), drawn(1))
    assert not np.array_equal(drawn(1), drawn(2))
    rows = table[:15]
    standard = (rows - rows.mean(0)) / rows.std(0)
    everyone = NeighborsDisplay.from_features(rows, rows, queries=15, n_neighbors=14)
    assert everyone.rows.shape == (15, 15, 6)
    for line in everyone.rows:  # each row once, be it as a query or as a neighbour
        np.testing.assert_allclose(np.sort(line, axis=0), np.sort(standard, axis=0), atol=1e-4)


def test_against_scikit_learn_and_copies_of_the_query(table):
    X = np.vstack([table, 2 * table[:4], table[:4]])
    Z = X.astype(np.float64)
    display = NeighborsDisplay.from_features(Z, X[:, :, None, None], queries=range(4), n_neighbors=6)
    cosines = 1 - NearestNeighbors(n_neighbors=6, metric="cosine").fit(Z).kneighbors()[0][:4]
    np.testing.assert_allclose(display.similarities, cosines, rtol=1e-6)
    np.testing.assert_allclose(display.similarities[:, :2], 1)
    np.testing.assert_array_equal(display.rows[:, 1, :, 0, 0], 2 * table[:4])  # the first of equals


def test_features_of_zeros_are_at_0():
    Z = np.array([[0.0, 0.0], [1e-9, 2e-9], [3.0, 3.0]])
    display = NeighborsDisplay.from_features(Z, Z, queries=[0, 2], n_neighbors=2)
    np.testing.assert_allclose(display.similarities, [[0, 0], [3 / np.sqrt(10), 0]], rtol=1e-6)


def test_bad_input(table):
    def draw(**change):
        return NeighborsDisplay.from_features(**{"Z": table, "X": table} | change)

    with pytest.raises(NotFittedError):
        NeighborsDisplay.from_estimator(PCAEncoder(2), table)
    with pytest.raises(TypeError, match=r"LinearSVC\b.*\btransform\b.*NeighborsDisplay"):
        NeighborsDisplay.from_estimator(LinearSVC(), table)
    for n_neighbors in (0, 60, 2.0):
        with pytest.raises(ValueError, match=rf"n_neighbors={n_neighbors}\b.*\b1\b.*\b59\b"):
            draw(n_neighbors=n_neighbors)
    for queries in (0, 61):
        with pytest.raises(ValueError, match=rf"queries={queries}\b.*\b1\b.*\b60\b"):
            draw(queries=queries)
    for queries in ([60], [-1], [0.5], 0.5, [[1]], [], np.ones(60, dtype=bool), None):
        with pytest.raises(ValueError, match=rf"(?s)queries={re.escape(repr(queries))}.*\b0\b.*\b59\b"):
            draw(queries=queries)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        draw(Z=table[:50])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        draw(y=np.zeros(50))
    with pytest.raises(ValueError, match="Z contains NaN"):
        draw(Z=table * np.nan)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 2\).*\(60, 6\)"):
        draw(image_shape=(2, 2))
    with pytest.raises(ValueError, match=r"X\[..., np.newaxis\]"):
        draw(X=table.reshape(60, 2, 3))
    with pytest.raises(ValueError, match=r"\(60, 1, 3, 2\).*\b1 or 3\b"):
        draw(X=table.reshape(60, 1, 3, 2))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": np.zeros((2, 3))}, r"\brows\b.*\(2, 3\).*n_queries"),
        ({"rows": np.zeros((2, 1, 4))}, r"\brows\b.*\(2, 1, 4\).*n_queries"),
        ({"rows": np.zeros((0, 3, 4))}, r"NeighborsDisplay.*\(0, 4\).*n_samples"),
        ({"rows": np.zeros((2, 3, 4, 4, 2))}, r"\(6, 4, 4, 2\).*\b1 or 3\b"),
        ({"similarities": np.zeros((2, 3))}, r"similarities\b.*\(2, 3\).*\(2, 2\)"),
        ({"classes": np.zeros((2, 2))}, r"classes\b.*\(2, 2\).*\(2, 3\)"),
    ],
)
def test_bad_data(change, message):
    with pytest.raises(ValueError, match=message):
        NeighborsDisplay(**{"rows": np.zeros((2, 3, 5)), "similarities": np.zeros((2, 2))} | change).plot()
