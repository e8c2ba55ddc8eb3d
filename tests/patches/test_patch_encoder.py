"""Features of images against one patch at a time, and with coders of every kind."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import FastICA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skrep
from skrep import PCAEncoder
from skrep.data import AsImages, ImageFiles
from skrep.patches import ImagePatches, PatchEncoder
from skrep.patches import image_patches as module
from skrep.sparse import SparseCoder
from tests.patches.test_image_patches import IMAGES, Rows, naive


class Threshold(TransformerMixin, BaseEstimator):
    """Soft threshold of the products with the first patches, positive and negative parts apart."""

    def __init__(self, n_atoms=7, alpha=0.25, random_state=None):
        self.n_atoms, self.alpha, self.random_state = n_atoms, alpha, random_state

    def fit(self, X, y=None):
        atoms = X[: self.n_atoms]
        self.atoms_ = atoms / (np.linalg.norm(atoms, axis=1, keepdims=True) + 1e-6)
        return self

    def transform(self, X):
        products = X @ self.atoms_.T
        return np.hstack([np.maximum(products - self.alpha, 0), np.maximum(-products - self.alpha, 0)])


class Returns(TransformerMixin, BaseEstimator):
    """Returns whatever a function makes of the patches."""

    def __init__(self, function=None):
        self.function = function

    def fit(self, X, y=None):
        self.shape_ = X.shape
        return self

    def transform(self, X):
        return self.function(X)


def encoder(coder=None, size=4, **options):
    return PatchEncoder(coder or Threshold(), patches=ImagePatches(size), **{"random_state": 0} | options)


@pytest.mark.parametrize("pooling", ["quadrants", (2, 2), (1, 1), (3, 2), [1, 14], (12, 1)])
def test_features_are_sums_over_regions(pooling):
    fitted = encoder(pooling=pooling).fit(IMAGES)
    rows, columns = (2, 2) if pooling == "quadrants" else pooling
    for image, features in zip(IMAGES[:4], fitted.transform(IMAGES[:4]), strict=True):
        codes = fitted.coder_.transform(naive(image, fitted.patches_)).reshape(12, 14, 14)
        expected = np.zeros((rows, columns, 14))
        for r in range(12):
            for c in range(14):
                expected[r * rows // 12, c * columns // 14] += codes[r, c]
        np.testing.assert_allclose(features, expected.reshape(-1), atol=1e-3)


def test_odd_grids_are_halved_as_in_the_paper():
    """27 rows of patches are 14 and 13; every patch is in one region."""
    fitted = PatchEncoder(Returns(lambda X: np.ones((len(X), 1), dtype=np.float32))).fit(np.zeros((2, 32, 32, 1)))
    np.testing.assert_array_equal(fitted.transform(np.zeros((1, 32, 32, 1))), [[14 * 14, 14 * 13, 13 * 14, 13 * 13]])


def test_regions_are_as_even_as_possible():
    for n in range(1, 12):
        fitted = encoder(Returns(lambda X: np.ones((len(X), 1))), size=1, pooling=(n, 1)).fit(np.zeros((2, 11, 3, 3)))
        sizes = fitted.transform(np.zeros((1, 11, 3, 3)))[0] / 3
        assert sizes.sum() == 11
        assert np.ptp(sizes) <= 1


@pytest.mark.parametrize(
    "coder",
    [PCAEncoder(5), KMeans(5, n_init=1), FastICA(5, max_iter=1000, tol=1e-2), make_pipeline(PCAEncoder(5))],
    ids=["PCA", "k-means", "ICA", "pipeline"],
)
def test_any_transformer_of_rows_can_be_the_coder(coder):
    fitted = encoder(coder).fit(IMAGES)
    features = fitted.transform(IMAGES)
    assert features.shape == (20, 4 * 5)
    assert features.dtype == np.float32
    patches = fitted.patches_.transform(IMAGES)
    codes = fitted.coder_.transform(patches.reshape(-1, 48)).reshape(20, 12, 14, 5)
    expected = np.stack([codes[:, r : r + 6, c : c + 7].sum((1, 2)) for r in (0, 6) for c in (0, 7)], axis=1)
    np.testing.assert_allclose(features, expected.reshape(20, -1), rtol=1e-3, atol=1e-3)
    assert not hasattr(coder, "n_features_in_"), "the parameter was fitted, and not a clone"


def test_type_of_features_is_the_coders():
    def features(function):
        return encoder(Returns(function)).fit(IMAGES).transform(IMAGES)

    assert features(lambda X: X[:, :2]).dtype == np.float32
    assert features(lambda X: X[:, :2].astype(np.float64)).dtype == np.float64
    np.testing.assert_array_equal(
        features(lambda X: X[:, :2] > 0), features(lambda X: (X[:, :2] > 0).astype(np.float32))
    )


@pytest.mark.parametrize(("chunk", "n_rows"), [(1, 1), (50, 3), (10**6, 12)])
def test_few_rows_of_patches_are_coded_at_a_time(chunk, n_rows, monkeypatch):
    seen = []
    fitted = encoder(Returns(lambda X: seen.append(len(X)) or X[:, :10])).fit(IMAGES)
    expected = fitted.transform(IMAGES)
    monkeypatch.setattr(module, "CHUNK_PATCHES", chunk)
    seen.clear()
    np.testing.assert_allclose(fitted.transform(IMAGES), expected, rtol=1e-5, atol=1e-4)
    assert set(seen) == {14 * n_rows}
    assert sum(seen) == 20 * 12 * 14


@pytest.mark.parametrize(
    "coder", [Threshold(), PCAEncoder(5), KMeans(5, n_init=1)], ids=["threshold", "PCA", "k-means"]
)
def test_features_of_an_image_do_not_depend_on_its_neighbours(coder):
    fitted = encoder(coder).fit(IMAGES)
    whole = fitted.transform(IMAGES)
    for rows in ([0], [19, 3, 3, 7], list(range(4, 15)), list(range(19, -1, -1))):
        np.testing.assert_array_equal(fitted.transform(IMAGES[rows]), whole[rows])


@pytest.mark.parametrize("kind", ["list", "memmap", "dataset", "files", "floats"])
def test_kinds_of_images(kind, tmp_path):
    expected = encoder().fit_transform(IMAGES)
    np.save(tmp_path / "images.npy", IMAGES)
    if kind == "files":
        Image = pytest.importorskip("PIL.Image")
        for i, image in enumerate(IMAGES):
            Image.fromarray(image).save(tmp_path / f"{i:02d}.png")
    made = {
        "list": lambda: list(IMAGES),
        "memmap": lambda: np.load(tmp_path / "images.npy", mmap_mode="r"),
        "dataset": lambda: Rows(IMAGES),
        "files": lambda: ImageFiles(tmp_path),
        "floats": lambda: (IMAGES / 255).astype(np.float32),
    }[kind]()
    np.testing.assert_array_equal(encoder().fit_transform(made), expected)


def test_random_state_decides_everything():
    def features(random_state, coder=None):
        coder = coder or KMeans(3, n_init=1, max_iter=2)
        return encoder(coder, n_patches=100, random_state=random_state).fit_transform(IMAGES)

    before = np.random.get_state()[1].copy()
    np.testing.assert_array_equal(features(0), features(0))
    assert not np.array_equal(features(0), features(1))
    assert not np.array_equal(features(None), features(None))
    state = np.random.RandomState(0)
    assert not np.array_equal(features(state), features(state))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_random_states_of_parts_are_kept():
    coder = make_pipeline(PCAEncoder(3, random_state=7), KMeans(3, n_init=1))
    fitted = PatchEncoder(coder, patches=ImagePatches(4, random_state=5), random_state=0).fit(IMAGES)
    assert fitted.coder_[0].random_state == 7
    assert isinstance(fitted.coder_[1].random_state, int)
    assert fitted.patches_.random_state == 5
    np.testing.assert_array_equal(fitted.patches_.whitening_, ImagePatches(4, random_state=5).fit(IMAGES).whitening_)
    assert coder[1].random_state is None


def test_number_of_patches():
    assert encoder(Returns(np.asarray), n_patches=50).fit(IMAGES).coder_.shape_ == (50, 48)
    some = PatchEncoder(Returns(np.asarray), patches=ImagePatches(4, n_patches=60)).fit(IMAGES)
    assert some.coder_.shape_ == (60, 48)
    assert encoder(Returns(np.asarray)).fit(IMAGES).coder_.shape_ == (20 * 12 * 14, 48)  # all that there are


def test_feature_names_and_frames():
    fitted = encoder(Threshold(2), pooling=(1, 2)).set_output(transform="pandas").fit(IMAGES)
    frame = fitted.transform(IMAGES)
    assert list(frame.columns) == list(fitted.get_feature_names_out()) == [f"patchencoder{i}" for i in range(8)]
    assert fitted.n_features_out_ == 8
    assert fitted.image_shape_ == (15, 17, 3)
    np.testing.assert_array_equal(frame.to_numpy(), encoder(Threshold(2), pooling=(1, 2)).fit_transform(IMAGES))


def test_frames_by_global_setting():
    expected = encoder(PCAEncoder(3)).fit_transform(IMAGES)
    with sklearn.config_context(transform_output="pandas"):
        features = encoder(PCAEncoder(3)).fit_transform(IMAGES)
    assert isinstance(features, pd.DataFrame)
    np.testing.assert_array_equal(features.to_numpy(), expected)


def test_parameters_are_nested_and_cloned():
    made = PatchEncoder(KMeans(9), patches=ImagePatches(5))
    assert made.get_params()["coder__n_clusters"] == 9
    made.set_params(coder__n_clusters=3, patches__size=4)
    copied = clone(made)
    assert copied.coder is not made.coder
    assert (copied.coder.n_clusters, copied.patches.size) == (3, 4)


def test_pipeline_and_grid_search_on_digits():
    X, y = load_digits(return_X_y=True)
    X, y = X[:400], y[:400]
    pipe = make_pipeline(
        AsImages((8, 8)),
        PatchEncoder(Threshold(20), patches=ImagePatches(4, n_patches=2000), random_state=0),
        StandardScaler(),
        LogisticRegression(max_iter=1000),
    )
    grid = {
        "patchencoder__patches__size": [3, 5],
        "patchencoder__coder": [Threshold(20), PCAEncoder(8)],
        "patchencoder__coder__random_state": [0],
    }
    search = GridSearchCV(pipe, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_score_ > 0.9
    assert np.ptp(search.cv_results_["mean_test_score"]) > 0


FLAT = np.full((6, 8, 8, 1), 100, dtype=np.uint8)
ONE_PIXEL = FLAT.copy()
ONE_PIXEL[:, 4, 4] = np.arange(6)[:, np.newaxis]


@pytest.mark.parametrize("images", [FLAT, ONE_PIXEL, np.zeros((2, 8, 8, 3))], ids=["flat", "one pixel", "black"])
def test_constant_images_give_numbers(images):
    features = encoder().fit_transform(images)
    assert features.shape == (len(images), 56)
    assert np.isfinite(features).all()


BAD = {
    "no coder": ({"coder": 3}, r"coder=3\b.*\bfit\b.*\btransform\b"),
    "a class": ({"coder": PCAEncoder}, "coder=<class .*PCAEncoder'>"),
    "no transform": ({"coder": LogisticRegression()}, r"coder=LogisticRegression\(\)"),
    "patches": ({"patches": 6}, "patches=6.*ImagePatches"),
    "part of patches": ({"patches": ImagePatches(stride=0)}, "stride=0"),
    "large patches": ({"patches": ImagePatches(16)}, "16x16.*15x17"),
    "one patch": ({"patches": ImagePatches(15)}, r"2x2.*1x3.*pooling=\(1, 1\)"),
    "pooling": ({"pooling": "all"}, "pooling='all'.*'quadrants'"),
    "three numbers": ({"pooling": (2, 2, 2)}, r'pooling=\(2, 2, 2\).*"quadrants".*\(rows, columns\)'),
    "regions": ({"pooling": (13, 1)}, r"pooling=\(13, 1\).*13x1.*12x14"),
    "no region": ({"pooling": (0, 2)}, r"pooling=\(0, 2\)"),
    "n_patches": ({"n_patches": 0}, "n_patches=0"),
    "random_state": ({"random_state": -1}, "random_state=-1"),
    "sparse codes": ({"coder": Returns(scipy.sparse.csr_array)}, r"Returns\.transform.*\bdtype object\b.*dense"),
    "flat codes": ({"coder": Returns(lambda X: X[:, 0])}, r"Returns\.transform.*\(2,\)"),
    "text": ({"coder": Returns(lambda X: np.full(X.shape, "a"))}, r"Returns\.transform.*<U1"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters_leave_everything_as_it_was(case):
    options, message = BAD[case]
    settings = {"coder": Threshold(), "patches": ImagePatches(4), "random_state": 0}
    made = PatchEncoder(**settings | options)
    with pytest.raises(ValueError, match=message):
        made.fit(IMAGES)
    assert not [name for name in vars(made) if name.endswith("_")]
    fitted = PatchEncoder(**settings).fit(IMAGES)
    expected = fitted.transform(IMAGES)
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**options).fit(IMAGES)
    np.testing.assert_array_equal(fitted.set_params(pooling="quadrants").transform(IMAGES), expected)


def test_bad_images():
    fitted = encoder().fit(IMAGES)
    rows = IMAGES.reshape(20, -1)
    with pytest.raises(ValueError, match=r"PatchEncoder.*\b765\b.*AsImages"):
        encoder().fit(rows)
    with pytest.raises(ValueError, match=r"PatchEncoder.*\(15, 17, 3\).*\(20, 765\)"):
        fitted.transform(rows)
    with pytest.raises(ValueError, match=r"\(15, 9, 3\).*PatchEncoder.*\(15, 17, 3\)"):
        fitted.transform(IMAGES[:, :, :9])
    with pytest.raises(ValueError, match=r"PatchEncoder.*\b255\b.*\b1\b.*255 \* X"):
        fitted.transform(IMAGES / 255)
    with pytest.raises(ValueError, match=r"\(12, 3, 32, 32\).*X\.transpose\(0, 2, 3, 1\)"):
        encoder().fit(torch.zeros(12, 3, 32, 32))
    with pytest.raises(NotFittedError):
        encoder().transform(IMAGES)


def test_default_coder():
    fitted = PatchEncoder(random_state=0).fit(IMAGES)
    assert isinstance(fitted.coder_, SparseCoder)
    np.testing.assert_allclose(np.linalg.norm(fitted.coder_.components_, axis=1), 1, atol=1e-5)
    assert fitted.transform(IMAGES).shape == (20, 4 * 2 * 400)  # four quarters, two signs
    grey = PatchEncoder(patches=ImagePatches(4), random_state=0).fit(IMAGES[..., :1])
    assert len(grey.coder_.components_) == 4 * 16
    few = PatchEncoder(n_patches=30, random_state=0).fit(IMAGES)
    assert len(few.coder_.components_) == 30
    np.testing.assert_array_equal(few.transform(IMAGES), clone(few).fit_transform(IMAGES))


def test_features_tell_digits_apart_better_than_pixels(digits):
    X, y = digits
    images = X.reshape(-1, 8, 8, 1) / 16
    features = PatchEncoder(patches=ImagePatches(4), random_state=0).fit_transform(images)
    scores = []
    for rows in (X, features):
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        scores.append(probe.fit(rows[:50], y[:50]).score(rows[50:], y[50:]))
    assert scores[1] > scores[0] + 0.05, scores


@pytest.mark.parametrize("coder", [None, KMeans(4, n_init=1)], ids=["default", "k-means"])
def test_save_and_load(coder, tmp_path):
    fitted = PatchEncoder(coder, patches=ImagePatches(4), random_state=0).set_output(transform="pandas").fit(IMAGES)
    skrep.save(fitted, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    pd.testing.assert_frame_equal(loaded.transform(IMAGES), fitted.transform(IMAGES), check_exact=True)
    assert repr(loaded) == repr(fitted)
    assert vars(loaded).keys() == vars(fitted).keys()
    pd.testing.assert_frame_equal(clone(loaded).fit_transform(IMAGES), fitted.transform(IMAGES), check_exact=True)


def test_pooling_is_that_of_fit():
    fitted = encoder(PCAEncoder(3)).fit(IMAGES)
    expected = fitted.transform(IMAGES)
    np.testing.assert_array_equal(fitted.set_params(pooling=(1, 1)).transform(IMAGES), expected)
    assert len(fitted.get_feature_names_out()) == expected.shape[1]


def test_codes_that_are_not_finite():
    fitted = encoder(Returns(lambda X: X[:, :2] * np.nan)).fit(IMAGES)
    with pytest.raises(ValueError, match=r"Returns\.transform.*NaN"):
        fitted.transform(IMAGES)
