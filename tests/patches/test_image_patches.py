"""Patches against scikit-learn's extractor, per-patch loops and closed forms."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.image import extract_patches_2d
from sklearn.pipeline import make_pipeline

import skrep
from skrep.data import AsImages, ImageFiles
from skrep.patches import ImagePatches
from skrep.patches import image_patches as module


def photographs(n=20, height=15, width=17, channels=3, seed=0):
    """Images in which neighbours are alike, uint8."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, height, width, channels))
    for axis in (1, 2):
        noise = noise + np.roll(noise, 1, axis) + np.roll(noise, 2, axis)
    noise = noise + 2 * noise.mean(3, keepdims=True)
    low, high = noise.min(), noise.max()
    return np.round(255 * (noise - low) / (high - low)).astype(np.uint8)


IMAGES = photographs()


class Rows(torch.utils.data.Dataset):
    def __init__(self, rows):
        self.rows, self.read = rows, []

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        self.read.append(i)
        return self.rows[i]


def raw(**options):
    return ImagePatches(**{"size": (4, 5), "normalize": False, "whiten": False, "random_state": 0} | options)


def test_patches_are_those_of_scikit_learn():
    patches = raw().fit(IMAGES).transform(IMAGES)
    assert patches.shape == (20, 12, 13, 60)
    assert patches.dtype == np.float32
    for image, ours in zip(IMAGES, patches, strict=True):
        theirs = extract_patches_2d(image, (4, 5)).reshape(12, 13, 60)
        np.testing.assert_array_equal(ours, theirs.astype(np.float32) / 255)


@pytest.mark.parametrize("stride", [2, 3, 12, 100])
def test_stride_takes_every_so_manieth_patch(stride):
    patches = raw(stride=stride).fit(IMAGES)
    every = raw().fit(IMAGES).transform(IMAGES)[:, ::stride, ::stride]
    np.testing.assert_array_equal(patches.transform(IMAGES), every)
    assert patches.grid_shape_ == every.shape[1:3]


@pytest.mark.parametrize("size", [1, 15, (15, 17), (1, 17)])
def test_smallest_and_largest_sizes(size):
    patches = raw(size=size).fit(IMAGES)
    height, width = (size, size) if isinstance(size, int) else size
    assert patches.patch_shape_ == (height, width, 3)
    assert patches.transform(IMAGES).shape == (20, 16 - height, 18 - width, height * width * 3)


def naive(image, patches):
    """One patch at a time, in the paper's units of 0 to 255 and its formulas."""
    height, width, _ = patches.patch_shape_
    rows = []
    for r in range(image.shape[0] - height + 1):
        for c in range(image.shape[1] - width + 1):
            x = image[r : r + height, c : c + width].astype(np.float64).reshape(-1)
            x = (x - x.mean()) / np.sqrt(x.var(ddof=1) + 10)
            rows.append((x - patches.mean_.astype(np.float64)) @ patches.whitening_.astype(np.float64))
    return np.array(rows)


def test_normalised_and_whitened_as_in_the_paper():
    patches = ImagePatches(4, random_state=0).fit(IMAGES)
    for image, ours in zip(IMAGES[:3], patches.transform(IMAGES[:3]), strict=True):
        np.testing.assert_allclose(ours.reshape(-1, 48), naive(image, patches), atol=2e-5)


def test_whitening_is_that_of_the_covariance_of_all_patches():
    """With n_patches above all that there are, what is learned from is known."""
    patches = ImagePatches(4, random_state=0).fit(IMAGES)
    x = np.concatenate([extract_patches_2d(image, (4, 4)).reshape(-1, 48) for image in IMAGES]).astype(np.float64)
    x = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, ddof=1, keepdims=True) + 10)
    variances, axes = np.linalg.eigh(np.cov(x.T))
    np.testing.assert_allclose(patches.mean_, x.mean(0), atol=1e-6)
    np.testing.assert_allclose(patches.whitening_, axes @ np.diag(1 / np.sqrt(variances + 0.1)) @ axes.T, atol=1e-5)
    np.testing.assert_allclose(patches.unwhitening_, axes @ np.diag(np.sqrt(variances + 0.1)) @ axes.T, atol=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_whitened_patches_are_not_correlated(normalize):
    patches = ImagePatches(4, normalize=normalize, regularization=0, random_state=0).fit(IMAGES)
    covariance = np.cov(patches.transform(IMAGES).reshape(-1, 48).T.astype(np.float64))
    expected = np.eye(48)
    if normalize:  # the mean of each patch is gone
        expected -= 1 / 48
    np.testing.assert_allclose(covariance, expected, atol=1e-3)


def test_regularisation_leaves_as_much_variance_as_its_formula_says():
    patches = ImagePatches(4, regularization=0.3, random_state=0).fit(IMAGES)
    normalised = clone(patches).set_params(whiten=False).fit_transform(IMAGES).reshape(-1, 48)
    variances = np.linalg.eigvalsh(np.cov(normalised.T.astype(np.float64)))
    left = np.linalg.eigvalsh(np.cov(patches.transform(IMAGES).reshape(-1, 48).T.astype(np.float64)))
    np.testing.assert_allclose(np.sort(left), np.sort(variances / (variances + 0.3)), atol=1e-4)


def test_patches_are_drawn_from_all_positions_once_and_evenly():
    # each pixel is another number, so that a patch of one pixel says where it is from
    images = np.arange(3 * 5 * 4, dtype=np.float32).reshape(3, 5, 4, 1)
    patches = raw(size=1).fit(images)
    everything = np.round(patches.sample(images, 10**6)[:, 0] * 59)
    assert sorted(everything) == list(range(60))
    assert list(everything) != list(range(60))
    drawn = [np.round(patches.sample(images, 30, random_state=i)[:, 0] * 59).astype(int) for i in range(400)]
    assert all(len(set(some)) == 30 for some in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=60)
    assert np.abs(counts - 200).max() < 5 * np.sqrt(400 * 0.25)  # five standard deviations
    first = np.bincount([some[0] for some in drawn], minlength=60)
    assert first.max() < 25, "what is drawn first is not random"


def test_drawn_patches_are_patches_of_the_images():
    patches = ImagePatches(4, random_state=0).fit(IMAGES)
    everything = patches.transform(IMAGES).reshape(-1, 48)
    for row in patches.sample(IMAGES, 50):
        assert np.abs(everything - row).max(1).min() < 1e-5


def test_images_are_read_by_chunks(monkeypatch):
    expected, drawn = (ImagePatches(4, random_state=0).fit(IMAGES) for _ in range(2))
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 15 * 17 * 3 * 3)  # three images
    monkeypatch.setattr("skrep.data.sources.CHUNK_BYTES", 8 * 15 * 17 * 3 * 3)
    monkeypatch.setattr(module, "CHUNK_PATCHES", 400)
    again = ImagePatches(4, random_state=0).fit(IMAGES)
    np.testing.assert_allclose(again.whitening_, expected.whitening_, atol=1e-6)
    np.testing.assert_allclose(again.sample(IMAGES, 100), drawn.sample(IMAGES, 100), atol=1e-5)
    np.testing.assert_allclose(again.transform(IMAGES[:5]), drawn.transform(IMAGES)[:5], atol=1e-5)


def test_only_images_that_are_needed_are_read():
    images = Rows(photographs(200))
    patches = ImagePatches(4, n_patches=3, random_state=0).fit(images)
    assert len(set(images.read)) <= 1 + 3  # the first, for the shape
    images.read.clear()
    patches.sample(images, 2)
    assert len(set(images.read) - set(range(64))) <= 2  # the first 64, for the units


def test_patches_of_an_image_do_not_depend_on_its_neighbours():
    patches = ImagePatches(4, random_state=0).fit(IMAGES)
    whole = patches.transform(IMAGES)
    for rows in ([0], [19, 3, 3, 7], list(range(19, -1, -1))):
        np.testing.assert_array_equal(patches.transform(IMAGES[rows]), whole[rows])


def test_units_do_not_matter():
    expected = ImagePatches(4, random_state=0).fit_transform(IMAGES)
    floats = (IMAGES / 255).astype(np.float32)
    np.testing.assert_array_equal(ImagePatches(4, random_state=0).fit_transform(floats), expected)
    wide = (IMAGES.astype(np.float32) - 100) * 7  # black and white are what is least and greatest
    wide[0, 0, 0] = [-700, (255 - 100) * 7, 0]
    bytes_ = IMAGES.copy()
    bytes_[0, 0, 0] = [0, 255, 100]
    np.testing.assert_allclose(
        ImagePatches(4, random_state=0).fit_transform(wide), ImagePatches(4, random_state=0).fit_transform(bytes_),
        atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["list", "memmap", "tensor", "dataset", "read-only", "files"])
def test_kinds_of_images(kind, tmp_path):
    expected = ImagePatches(4, random_state=0).fit(IMAGES)
    np.save(tmp_path / "images.npy", IMAGES)
    frozen = IMAGES.copy()
    frozen.flags.writeable = False
    if kind == "files":
        Image = pytest.importorskip("PIL.Image")
        for i, image in enumerate(IMAGES):
            Image.fromarray(image).save(tmp_path / f"{i:02d}.png")
    made = {
        "list": lambda: list(IMAGES),
        "memmap": lambda: np.load(tmp_path / "images.npy", mmap_mode="r"),
        "tensor": lambda: torch.from_numpy(IMAGES),
        "dataset": lambda: Rows(IMAGES),
        "read-only": lambda: frozen,
        "files": lambda: ImageFiles(tmp_path),
    }[kind]()
    patches = ImagePatches(4, random_state=0).fit(made)
    np.testing.assert_array_equal(patches.transform(made), expected.transform(IMAGES))
    np.testing.assert_array_equal(patches.sample(made, 10), expected.sample(IMAGES, 10))


def test_random_state():
    def drawn(random_state):
        return ImagePatches(4, n_patches=100, random_state=random_state).fit(IMAGES)

    np.testing.assert_array_equal(drawn(0).whitening_, drawn(0).whitening_)
    assert not np.array_equal(drawn(0).whitening_, drawn(1).whitening_)
    assert not np.array_equal(drawn(None).whitening_, drawn(None).whitening_)
    state = np.random.RandomState(0)
    assert not np.array_equal(drawn(state).whitening_, drawn(state).whitening_)
    patches = drawn(0)
    np.testing.assert_array_equal(patches.sample(IMAGES, 9), patches.sample(IMAGES, 9))
    assert not np.array_equal(patches.sample(IMAGES, 9), patches.sample(IMAGES, 9, random_state=1))


def test_back_to_pixels():
    patches = ImagePatches(4, normalize=False, random_state=0).fit(IMAGES)
    pixels = patches.inverse_transform(patches.transform(IMAGES))
    assert pixels.shape == (20, 12, 14, 4, 4, 3)
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[3, 5, 7], IMAGES[3, 5:9, 7:11] / 255, atol=1e-4)
    normalised = ImagePatches(4, random_state=0).fit(IMAGES)
    pixels = normalised.inverse_transform(normalised.transform(IMAGES)[0, 0, 0])
    x = IMAGES[0, :4, :4].astype(np.float64)
    np.testing.assert_allclose(pixels, (x - x.mean()) / np.sqrt(x.var(ddof=1) + 10), atol=1e-4)
    plain = raw().fit(IMAGES)
    np.testing.assert_array_equal(plain.inverse_transform(plain.transform(IMAGES))[0, 0, 0] * 255, IMAGES[0, :4, :5])
    with pytest.raises(ValueError, match=r"ImagePatches.*\(2, 47\).*\b48\)"):
        patches.inverse_transform(np.zeros((2, 47)))


def test_atoms_are_what_is_added_to_a_patch():
    patches = ImagePatches(4, random_state=0).fit(IMAGES)
    rows, atoms = patches.sample(IMAGES, 3), np.random.default_rng(0).normal(size=(3, 48)).astype(np.float32)
    added = patches.inverse_transform(rows + atoms) - patches.inverse_transform(rows)
    assert added.shape == (3, 4, 4, 3)
    np.testing.assert_allclose(patches.to_pixels(atoms), added, atol=1e-5)


FLAT = np.full((6, 8, 8, 1), 100, dtype=np.uint8)
ONE_PIXEL = FLAT.copy()
ONE_PIXEL[:, 4, 4] = np.arange(6)[:, np.newaxis]


@pytest.mark.parametrize("regularization", [0, 0.1])
@pytest.mark.parametrize("whiten", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    "images",
    [FLAT, ONE_PIXEL, np.zeros((2, 8, 8, 3)), np.full((2, 8, 8, 1), 5.0), ONE_PIXEL * 1e-30, ONE_PIXEL * -1e35],
    ids=["flat", "one pixel", "black", "five", "small", "large"],
)
def test_never_nan(images, normalize, whiten, regularization):
    patches = ImagePatches(3, normalize=normalize, whiten=whiten, regularization=regularization, random_state=0)
    result = patches.fit_transform(images)
    assert np.isfinite(result).all()
    assert np.isfinite(patches.inverse_transform(result[0, 0])).all()
    if (images == images.flat[0]).all() and (whiten or normalize):
        np.testing.assert_array_equal(result, 0)


def test_noise_of_even_patches_stays_small():
    noisy = np.clip(100 + np.random.default_rng(0).normal(scale=0.5, size=(10, 8, 8, 1)), 0, 255).round()
    contrast = ImagePatches(4, whiten=False, random_state=0).fit_transform(noisy.astype(np.uint8)).std()
    assert contrast < 0.3


BAD = {
    "larger than the image": ({"size": 16}, r"size=16\b.*16x16.*15x17"),
    "wider than the image": ({"size": (3, 18)}, r"size=\(3, 18\).*3x18.*15x17"),
    "three sides": ({"size": (3, 3, 3)}, r"size=\(3, 3, 3\).*\(height, width\)"),
    "no side": ({"size": 0}, "size=0"),
    "half a pixel": ({"size": 2.5}, r"size=2\.5"),
    "stride": ({"stride": 0}, "stride=0"),
    "regularization": ({"regularization": -1}, "regularization=-1"),
    "n_patches": ({"n_patches": 0}, "n_patches=0"),
    "random_state": ({"random_state": "a"}, "random_state='a'"),
    "whiten": ({"whiten": 1}, r"whiten=1\b.*True.*False"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_parameters(case):
    options, message = BAD[case]
    patches = ImagePatches(**options)
    with pytest.raises(ValueError, match=message):
        patches.fit(IMAGES)
    assert not [name for name in vars(patches) if name.endswith("_")]


def test_failed_fit_leaves_everything_as_it_was():
    patches = ImagePatches(4, random_state=0).fit(IMAGES)
    expected = patches.transform(IMAGES)
    for bad, message in (
        (np.zeros((5, 3, 9, 1)), "4x4.*3x9"),
        (IMAGES.reshape(20, -1), r"\b765\b.*AsImages"),
        (np.full((5, 9, 9, 1), np.nan), "NaN"),
    ):
        with pytest.raises(ValueError, match=message):
            patches.fit(bad)
        np.testing.assert_array_equal(patches.transform(IMAGES), expected)


def test_one_pixel_has_no_contrast():
    grey = IMAGES[..., :1]
    with pytest.raises(ValueError, match=r"size=1\b.*normalize=False"):
        ImagePatches(1).fit(grey)
    assert np.isfinite(ImagePatches(1, normalize=False).fit_transform(grey)).all()


def test_bad_images():
    patches = ImagePatches(4).fit(IMAGES)
    rows = IMAGES.reshape(20, -1)
    with pytest.raises(ValueError, match=r"ImagePatches.*\(20, 765\).*AsImages\(\(height, width\)\)"):
        ImagePatches(4).fit(rows)
    with pytest.raises(ValueError, match=r"ImagePatches.*\(15, 17, 3\).*\(20, 765\)"):
        patches.transform(rows)
    with pytest.raises(ValueError, match=r"\(15, 9, 3\).*ImagePatches.*\(15, 17, 3\)"):
        patches.sample(IMAGES[:, :, :9], 5)
    with pytest.raises(ValueError, match=r"ImagePatches.*\b255\b.*\b1\b.*255 \* X"):
        patches.transform(IMAGES / 255)
    with pytest.raises(ValueError, match=r"\(20, 15, 17\).*X\[\.\.\., np\.newaxis\]"):
        ImagePatches(4).fit(IMAGES[..., 0])
    with pytest.raises(ValueError, match="n_patches=0"):
        patches.sample(IMAGES, 0)
    with pytest.raises(ValueError, match=r"X .*1e\+30.*\b0\b"):
        patches.transform(np.full((1, 15, 17, 3), 1e30))
    with pytest.raises(NotFittedError):
        ImagePatches().transform(IMAGES)


def test_in_a_pipeline():
    made = make_pipeline(AsImages((15, 17, 3)), ImagePatches(4, random_state=0)).set_output(transform="pandas")
    expected = ImagePatches(4, random_state=0).fit_transform(IMAGES)
    np.testing.assert_array_equal(made.fit_transform(IMAGES.reshape(20, -1)), expected)


@pytest.mark.parametrize("whiten", [True, False])
def test_save_and_load(whiten, tmp_path):
    patches = ImagePatches((3, 4), whiten=whiten, random_state=0).fit(IMAGES)
    skrep.save(patches, tmp_path / "file")
    loaded = skrep.load(tmp_path / "file")
    np.testing.assert_array_equal(loaded.transform(IMAGES), patches.transform(IMAGES))
    np.testing.assert_array_equal(loaded.sample(IMAGES, 5), patches.sample(IMAGES, 5))
    assert vars(loaded).keys() == vars(patches).keys()
