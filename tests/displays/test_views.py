import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from skrep import AutoEncoderTransformer, PCAEncoder
from skrep.displays import ViewsDisplay
from skrep.views import GaussianNoise

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
TABLE = np.random.default_rng(1).normal(size=(5, 7))


class TwoViews(BaseEstimator):
    """As a fitted estimator shows its views: one is a negative, the other random."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def sample_views(self, X, random_state=0):
        x = np.asarray(X, np.float32) / (255 if np.ndim(X) == 4 else 1)
        return [1 - x, np.random.default_rng(random_state).random(x.shape, dtype=np.float32)]


def shown(display):
    return [[np.asarray(image.get_array()) for image in line] for line in display.images_]


def test_a_line_is_a_sample_and_its_views():
    display = ViewsDisplay.from_estimator(TwoViews().fit(IMAGES), IMAGES, n_samples=3, random_state=4)
    assert display.images_.shape == (3, 3)
    random = np.random.default_rng(4).random((3, 4, 6, 3), dtype=np.float32)
    for i, line in enumerate(shown(display)):
        for cell, expected in zip(line, [IMAGES[i] / 255, 1 - IMAGES[i] / 255, random[i]], strict=True):
            np.testing.assert_allclose(cell, expected, atol=1e-6)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["original", "view 1", "view 2"]


def test_views_of_an_estimator_in_the_units_of_the_table(table):
    encoder = AutoEncoderTransformer(2, hidden=(), max_epochs=1, random_state=0).fit(10 * table)
    display = ViewsDisplay.from_estimator(encoder, 10 * table, n_samples=4, random_state=3)
    (noisy,) = encoder.sample_views(10 * table[:4], random_state=3)
    for i, (original, view) in enumerate(shown(display)):
        np.testing.assert_array_equal(original[0], 10 * table[i])
        np.testing.assert_array_equal(view[0], noisy[i])


def test_cells_do_not_touch_and_keep_their_proportions():
    display = ViewsDisplay.from_estimator(TwoViews().fit(IMAGES), IMAGES)
    display.figure_.canvas.draw()
    boxes = [image.get_window_extent() for image in display.images_.ravel()]
    assert not any(one.overlaps(two) for i, one in enumerate(boxes) for two in boxes[:i])
    np.testing.assert_allclose([box.width / box.height for box in boxes], 6 / 4, rtol=1e-6)
    # lines go down and columns to the right
    assert boxes[0].y0 > boxes[3].y1
    assert boxes[0].x1 < boxes[1].x0


def test_views_by_themselves_against_one_call_after_the_other():
    display = ViewsDisplay.from_views(GaussianNoise(0.1), IMAGES, n_samples=2, n_views=3, random_state=5)
    x = torch.tensor(IMAGES[:2] / 255, dtype=torch.float32).permute(0, 3, 1, 2)  # (2, 4, 6, 3) -> (2, 3, 4, 6)
    generator = torch.Generator().manual_seed(5)
    for j in range(3):
        expected = GaussianNoise(0.1)(x.contiguous(), generator).numpy()
        for i in range(2):
            np.testing.assert_allclose(
                shown(display)[i][j + 1], np.moveaxis(expected[i], 0, 2).clip(0, 1), rtol=1e-6, atol=1e-7
            )


def test_grey_images_of_any_scale():
    grey = np.arange(32.0).reshape(2, 4, 4, 1) - 5  # (32,) -> (2, 4, 4, 1)
    got = []
    display = ViewsDisplay.from_views(lambda x, generator: got.append(x) or x, grey, n_views=1)
    assert got[0].shape == (2, 1, 4, 4)
    assert (got[0].min(), got[0].max()) == (0, 1)
    np.testing.assert_allclose(shown(display)[1][1], (grey[1, :, :, 0] + 5) / 31, rtol=1e-6)
    assert {image.get_clim() for image in display.images_.ravel()} == {(0, 1)}
    assert display.ax_.get_xticklabels()[1].get_text() == "view"


@pytest.mark.parametrize("kind", [np.asarray, pd.DataFrame, np.ndarray.tolist], ids=["array", "frame", "list"])
def test_tables_are_strips_of_one_colour_scale(kind):
    display = ViewsDisplay.from_views(lambda x, generator: x + 1, kind(TABLE), n_views=1)
    for i, (original, view) in enumerate(shown(display)):
        np.testing.assert_allclose(original, TABLE[[i]], rtol=1e-6)
        np.testing.assert_allclose(view, TABLE[[i]] + 1, rtol=1e-5, atol=1e-6)
    limits = {image.get_clim() for image in display.images_.ravel()}
    assert len(limits) == 1
    np.testing.assert_allclose(limits.pop(), [TABLE.min(), TABLE.max() + 1], rtol=1e-6)


def test_options_of_the_pictures():
    display = ViewsDisplay.from_views(lambda x, generator: x, TABLE, cmap="magma")
    assert display.images_[0, 0].get_cmap().name == "magma"


def test_the_data_are_left_alone():
    frozen = IMAGES.copy()
    frozen.flags.writeable = False
    ViewsDisplay.from_views(lambda x, generator: x.zero_(), frozen)
    table = TABLE.copy()
    ViewsDisplay.from_views(lambda x, generator: x.zero_(), table)
    np.testing.assert_array_equal(table, TABLE)


def test_bad_input(table):
    with pytest.raises(NotFittedError):
        ViewsDisplay.from_estimator(TwoViews(), IMAGES)
    with pytest.raises(TypeError, match=r"PCAEncoder\b.*sample_views.*ViewsDisplay"):
        ViewsDisplay.from_estimator(PCAEncoder(2).fit(table), table)
    same = lambda x, generator: x  # noqa: E731
    with pytest.raises(ValueError, match=r"\(5, 4, 6\).*X\[\.\.\., np\.newaxis\]"):
        ViewsDisplay.from_views(same, IMAGES[..., 0])
    with pytest.raises(ValueError, match=r"\(5, 4, 6, 2\).*\b1 or 3\b"):
        ViewsDisplay.from_views(same, IMAGES[..., :2])
    with pytest.raises(ValueError, match=r"ViewsDisplay.*\(0, 4, 6, 3\)"):
        ViewsDisplay.from_views(same, IMAGES[:0])
    with pytest.raises(ValueError, match="n_samples=0"):
        ViewsDisplay.from_views(same, IMAGES, n_samples=0)
    with pytest.raises(ValueError, match="n_views=0"):
        ViewsDisplay.from_views(same, IMAGES, n_views=0)
    with pytest.raises(ValueError, match=r"originals\b.*\(5, 4, 6, 3\).*\(5, 4, 3, 3\)"):
        ViewsDisplay.from_views(lambda x, generator: x[..., :3], IMAGES)
