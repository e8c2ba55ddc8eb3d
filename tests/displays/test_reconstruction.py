import re

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import Normalizer

from skrep import AutoEncoderTransformer, PCAEncoder
from skrep.displays import ReconstructionDisplay


class Halves(TransformerMixin, BaseEstimator):
    """Rebuilds half of each value."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X) / 4

    def inverse_transform(self, X):
        return X * 2


def shown(display):
    return [[np.asarray(image.get_array()) for image in line] for line in display.images_]


def naive_errors(originals, rebuilt):
    return [np.sqrt(np.mean((a.astype(float) - b) ** 2)) for a, b in zip(originals, rebuilt, strict=True)]


def test_rows_as_images(digits):
    X, _ = digits
    encoder = AutoEncoderTransformer(4, hidden=(), max_epochs=2, random_state=0).fit(X)
    display = ReconstructionDisplay.from_estimator(encoder, X, n_samples=3, image_shape=(8, 8))
    rebuilt = encoder.inverse_transform(encoder.transform(X[:3]))
    assert display.images_.shape == (2, 3)
    low, high = X[:3].min(), X[:3].max()
    for i in range(3):
        np.testing.assert_allclose(shown(display)[0][i], (X[i].reshape(8, 8) - low) / (high - low), rtol=1e-6)
        expected = ((rebuilt[i].reshape(8, 8) - low) / (high - low)).clip(0, 1)
        np.testing.assert_allclose(shown(display)[1][i], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(display.errors_, naive_errors(X[:3], rebuilt))
    written = [float(t.get_text()) for t in display.ax_.get_xticklabels()]
    np.testing.assert_allclose(written, display.errors_, rtol=0.06)


@pytest.mark.parametrize("channels", [1, 3])
def test_images(channels):
    images = np.random.default_rng(0).integers(0, 256, (4, 6, 5, channels), dtype=np.uint8)
    display = ReconstructionDisplay.from_estimator(Halves().fit(images), images)
    for i in range(4):
        expected = images[i, :, :, 0] if channels == 1 else images[i]
        np.testing.assert_allclose(shown(display)[0][i], expected / 255, rtol=1e-6)
        np.testing.assert_allclose(shown(display)[1][i], expected / 510, rtol=1e-5)
    np.testing.assert_allclose(display.errors_, naive_errors(images, images / 2))
    flat = images.reshape(4, -1)  # (4, 6, 5, c) -> (4, 30 * c)
    shape = (6, 5) if channels == 1 else (6, 5, 3)
    rows = ReconstructionDisplay.from_estimator(Halves().fit(flat), flat, image_shape=shape)
    np.testing.assert_array_equal(shown(rows), shown(display))


def test_tables_are_strips_of_one_colour_scale(table):
    display = ReconstructionDisplay.from_estimator(PCAEncoder(2).fit(table), table, n_samples=4)
    encoder = PCAEncoder(2).fit(table)
    rebuilt = encoder.inverse_transform(encoder.transform(table[:4]))
    assert display.images_.shape == (4, 2)
    for i, (original, strip) in enumerate(shown(display)):
        np.testing.assert_array_equal(original, table[[i]])
        np.testing.assert_allclose(strip, rebuilt[[i]], rtol=1e-5, atol=1e-6)
    values = np.concatenate([table[:4], rebuilt])
    for image in display.images_.ravel():
        np.testing.assert_allclose(image.get_clim(), [values.min(), values.max()], rtol=1e-5)
    np.testing.assert_allclose(display.errors_, naive_errors(table[:4], rebuilt), rtol=1e-5)


@pytest.mark.parametrize(("error", "text"), [(0, "0.0"), (2, "2.0"), (0.047, "0.047"), (37.2, "37"), (1234, "1234")])
def test_errors_are_written_with_two_figures(error, text):
    display = ReconstructionDisplay(np.full((1, 2, 2, 1), float(error)), np.zeros((1, 2, 2, 1))).plot()
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == [text]


def test_bad_input(table):
    with pytest.raises(NotFittedError):
        ReconstructionDisplay.from_estimator(PCAEncoder(2), table)
    with pytest.raises(TypeError, match=r"Normalizer\b.*inverse_transform.*ReconstructionDisplay"):
        ReconstructionDisplay.from_estimator(Normalizer().fit(table), table)
    halves = Halves().fit(table)
    for shape in [(2, 2), (6,), (1, 2, 3, 1)]:
        with pytest.raises(ValueError, match=rf"image_shape={re.escape(str(shape))}.*\(10, 6\)"):
            ReconstructionDisplay.from_estimator(halves, table, image_shape=shape)
    with pytest.raises(ValueError, match=r"image_shape=\(2, 3\).*\(2, 2, 3, 1\)"):
        ReconstructionDisplay.from_estimator(halves, np.ones((2, 2, 3, 1)), image_shape=(2, 3))
    with pytest.raises(ValueError, match=r"X\[..., np.newaxis\]"):
        ReconstructionDisplay.from_estimator(halves, np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match="n_samples=-1"):
        ReconstructionDisplay.from_estimator(halves, table, n_samples=-1)
    with pytest.raises(ValueError, match=r"\(60, 6\).*\(60, 2\)"):
        ReconstructionDisplay(table, table[:, :2]).plot()
