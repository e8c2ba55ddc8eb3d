import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skrep.data import AsImages


@parametrize_with_checks([AsImages()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_pixels_keep_values_order_and_type():
    for dtype in (np.uint8, np.float32, np.float64):
        rows = np.arange(24).reshape(2, 12).astype(dtype)
        images = AsImages((2, 2, 3)).fit_transform(rows)
        assert images.dtype == dtype
        assert images.shape == (2, 2, 2, 3)
        assert images[1, 0, 1, 2] == rows[1, 5]


def test_rows_are_padded_to_a_square():
    rows = np.ones((3, 10))
    images = AsImages().fit_transform(rows)
    assert images.shape == (3, 4, 4, 1)
    np.testing.assert_array_equal(images.reshape(3, -1)[:, 10:], 0)
    assert AsImages().fit_transform(np.ones((3, 16))).shape == (3, 4, 4, 1)


def test_set_output_leaves_images_alone():
    pipe = make_pipeline(PCA(4), AsImages((2, 2))).set_output(transform="pandas")
    assert pipe.fit_transform(np.random.default_rng(0).random((9, 5))).shape == (9, 2, 2, 1)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"AsImages\(shape=\(8, 8\)\).*\b64\b.*\b10\b"):
        AsImages((8, 8)).fit(np.ones((3, 10)))
    with pytest.raises(ValueError, match=r"shape=\(8,\).*\(height, width\)"):
        AsImages((8,)).fit(np.ones((3, 8)))
    with pytest.raises(ValueError, match=r"shape=\(8, 0\)"):
        AsImages((8, 0)).fit(np.ones((3, 8)))
    with pytest.raises(ValueError, match="3 features, but AsImages is expecting 4"):
        AsImages((2, 2)).fit(np.ones((3, 4))).transform(np.ones((3, 3)))
