import re

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import Normalizer

from skrep.displays import SamplesDisplay


class Resampler(BaseEstimator):
    """Draws halves of the rows that it was fitted on."""

    def fit(self, X, y=None):
        self.rows_ = np.asarray(X)
        return self

    def sample(self, n_samples=1, *, random_state=None):
        return self.rows_[np.random.default_rng(random_state).integers(len(self.rows_), size=n_samples)] / 2


def shown(artists):
    return np.array([image.get_array() for image in artists.flat])


def labels(axis):
    return [text.get_text() for text in axis.get_ticklabels()]


def naive_nearest(samples, rows):
    return np.array([min(rows, key=lambda row, sample=sample: np.sum((row - sample) ** 2)) for sample in samples])


def picture(rows, like):
    low, high = like.min(), like.max()
    return ((rows.reshape(-1, 8, 8) - low) / (high - low)).clip(0, 1)  # (n, 64) -> (n, 8, 8)


def test_images_of_an_estimator(digits):
    X, _ = digits
    model = Resampler().fit(X)
    display = SamplesDisplay.from_estimator(model, X, n_samples=4, n_lines=3, image_shape=(8, 8), random_state=5)
    assert display.images_.shape == (6, 4)
    assert labels(display.ax_.yaxis) == ["data"] * 3 + ["samples"] * 3
    np.testing.assert_allclose(shown(display.images_[:3]), picture(X[:12], X[:12]), rtol=1e-6)
    samples = model.sample(12, random_state=5)
    np.testing.assert_allclose(shown(display.images_[3:]), picture(samples, X[:12]), rtol=1e-6)
    (rule,) = display.ax_.lines
    above, below = (image.get_extent() for image in display.images_[2:4, 0])  # left, right, bottom, top
    assert above[2] < rule.get_ydata()[0] < below[3]


@pytest.mark.parametrize("channels", [1, 3])
def test_nearest_rows_are_below_their_samples(channels):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (50, 6, 5, channels), dtype=np.uint8)
    model = Resampler().fit(X)
    display = SamplesDisplay.from_estimator(model, X, n_samples=3, nearest=True)
    assert labels(display.ax_.yaxis) == ["data", "data", "samples", "nearest", "samples", "nearest"]
    samples = model.sample(6, random_state=0)
    rows = {"samples": [2, 4], "nearest": [3, 5], "data": [0, 1]}
    expected = {"samples": samples, "nearest": naive_nearest(samples, X.astype(float)), "data": X[:6]}
    for label, lines in rows.items():
        pictures = expected[label][..., 0] if channels == 1 else expected[label]
        np.testing.assert_allclose(shown(display.images_[lines]), pictures / 255, rtol=1e-5)
    flat, shape = X.reshape(50, -1), (6, 5, channels)  # (50, 6, 5, c) -> (50, 30 * c)
    of_rows = SamplesDisplay.from_estimator(Resampler().fit(flat), flat, n_samples=3, nearest=True, image_shape=shape)
    np.testing.assert_array_equal(shown(of_rows.images_), shown(display.images_))


def test_without_data_black_and_white_are_those_of_the_samples(digits):
    X, _ = digits
    display = SamplesDisplay.from_estimator(Resampler().fit(X), n_samples=3, n_lines=1, image_shape=(8, 8))
    assert display.images_.shape == (1, 3)
    assert labels(display.ax_.yaxis) == ["samples"]
    assert not display.ax_.lines
    samples = Resampler().fit(X).sample(3, random_state=0)
    np.testing.assert_allclose(shown(display.images_), picture(samples, samples), rtol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_cells_that_are_left_over_are_transparent(channels):
    images = np.random.default_rng(0).random((7, 4, 4, channels))
    display = SamplesDisplay(images, images[:5], images, n_lines=2).plot()
    assert display.images_.shape == (6, 4)
    seen = [[image.get_array().shape != (4, 4, 4) for image in line] for line in display.images_]
    full, short, single = [True] * 4, [True] * 3 + [False], [True] + [False] * 3
    assert seen == [full, single, full, full, short, short]
    display.figure_.canvas.draw()
    for i, j in np.ndindex(6, 4):
        if not seen[i][j]:
            assert not display.images_[i, j].get_array().any()


def test_tables_are_strips_of_one_colour_scale(table):
    model = Resampler().fit(table)
    display = SamplesDisplay.from_estimator(model, table, n_samples=4, n_lines=2, nearest=True)
    assert display.images_.shape == (8, 3)
    assert labels(display.ax_.xaxis) == ["data", "samples", "nearest"]
    samples = model.sample(8, random_state=0)
    columns = [table[:8], samples, naive_nearest(samples, table)]
    for j, column in enumerate(columns):
        np.testing.assert_array_equal(shown(display.images_[:, j])[:, 0], column)
    for image in display.images_.flat:
        assert image.get_clim() == (np.min(columns), np.max(columns))


def test_a_short_column_of_strips_ends_early(table):
    display = SamplesDisplay(table[:4], table[10:12]).plot()
    display.figure_.canvas.draw()
    assert display.images_.shape == (4, 2)
    strips = np.ma.getdata(shown(display.images_[:, 0]))[:, 0]
    np.testing.assert_array_equal(strips[:2], table[10:12])
    absent = [image.get_array() for image in display.images_[2:, 0]]
    assert np.ma.getmaskarray(np.ma.masked_invalid(absent)).all()
    drawn = np.concatenate([table[:4], table[10:12]])
    assert display.images_[0, 0].get_clim() == (drawn.min(), drawn.max())


def test_densities_of_scikit_learn(table):
    density = KernelDensity(bandwidth=0.1).fit(table)
    display = SamplesDisplay.from_estimator(density, table, n_samples=3, random_state=1)
    np.testing.assert_array_equal(display.samples, density.sample(6, random_state=1))
    mixture = GaussianMixture(2, random_state=3).fit(table.astype(np.float64))
    display = SamplesDisplay.from_estimator(mixture, table, n_samples=3)
    np.testing.assert_array_equal(display.samples, mixture.sample(6)[0])


def test_samples_as_lists(table):
    display = SamplesDisplay.from_samples(table[:3].tolist(), table.tolist(), nearest=True)
    np.testing.assert_array_equal(display.nearest_originals, display.samples)
    np.testing.assert_array_equal(display.originals, table[:3])


def test_bad_estimators(table):
    with pytest.raises(NotFittedError):
        SamplesDisplay.from_estimator(Resampler(), table)
    with pytest.raises(TypeError, match=r"Normalizer\b.*\bsample\b.*SamplesDisplay"):
        SamplesDisplay.from_estimator(Normalizer().fit(table), table)
    for name, value in (("n_samples", 0), ("n_lines", -1)):
        with pytest.raises(ValueError, match=rf"{name}={value}\b.*\b1\b"):
            SamplesDisplay.from_estimator(Resampler().fit(table), table, **{name: value})


def test_bad_samples(table):
    images = np.zeros((4, 2, 3, 1))
    with pytest.raises(ValueError, match=r"nearest=True.*\bX\b"):
        SamplesDisplay.from_samples(table, nearest=True)
    for shape in [(2, 2), (6,), (1, 2, 3, 1)]:
        with pytest.raises(ValueError, match=rf"image_shape={re.escape(str(shape))}.*\(60, 6\)"):
            SamplesDisplay.from_samples(table, table, image_shape=shape)
    for nearest in (False, True):
        with pytest.raises(ValueError, match=r"\bX\b.*\((4|60), 6\).*\bsamples\b.*\(4, 2, 3, 1\)"):
            SamplesDisplay.from_samples(images, table, nearest=nearest)
    with pytest.raises(ValueError, match="samples contains NaN"):
        SamplesDisplay.from_samples(table * np.nan, table)
    with pytest.raises(ValueError, match=r"X\[..., np.newaxis\]"):
        SamplesDisplay.from_samples(images[..., 0])
    for empty in ([table[:0]], [table, table[:0]]):
        with pytest.raises(ValueError, match=r"SamplesDisplay.*\(0, 6\)"):
            SamplesDisplay(*empty).plot()
    with pytest.raises(ValueError, match="n_lines=0"):
        SamplesDisplay(images, n_lines=0).plot()
    with pytest.raises(ValueError, match=r"\boriginals\b.*\(60, 6\).*\(4, 2, 3, 1\)"):
        SamplesDisplay(images, table).plot()
    with pytest.raises(ValueError, match=r"\(3, 2, 3, 1\).*\(4, 2, 3, 1\)"):
        SamplesDisplay(images, images, images[:3]).plot()
