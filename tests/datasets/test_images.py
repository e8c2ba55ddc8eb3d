import hashlib
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import skrep.datasets
from skrep.datasets import load_emoji, load_fashion

CHECKOUT = Path(__file__).parents[2]
ORIGINALS = CHECKOUT.parent / "shared" / "data"
PACKAGE = Path(skrep.datasets.__file__).parent
FILES = [path for path in (PACKAGE / "data").rglob("*") if path.is_file()]


def digest(images):
    return hashlib.sha256(images.tobytes()).hexdigest()[:16]


def test_fashion():
    fashion = load_fashion()
    assert fashion.images.shape == (5000, 28, 28, 1)
    assert fashion.images.dtype == np.uint8
    assert digest(fashion.images) == "e9b66ad54f24179f"
    assert fashion.target.dtype == np.int64
    assert np.bincount(fashion.target).tolist() == [500] * 10
    assert fashion.target_names[[0, 9]].tolist() == ["T-shirt/top", "Ankle boot"]
    assert len(fashion.target_names) == 10
    assert set(fashion) == {"images", "target", "target_names", "DESCR"}


def test_emoji():
    emoji = load_emoji()
    assert emoji.images.shape == (1906, 32, 32, 3)
    assert emoji.images.dtype == np.uint8
    assert digest(emoji.images) == "a885f86265c62e0f"
    assert emoji.target.dtype == np.int64
    assert np.bincount(emoji.target).tolist() == [85, 159, 270, 131, 264, 386, 169, 224, 218]
    assert emoji.target_names[[0, 2, 8]].tolist() == ["Activities", "Flags", "Travel & Places"]
    cats = np.flatnonzero(emoji.names == "cat face")
    assert emoji.target_names[emoji.target[cats]].tolist() == ["Animals & Nature"]
    assert set(emoji) == {"images", "names", "target", "target_names", "DESCR"}


@pytest.mark.parametrize("load", [load_fashion, load_emoji])
def test_return_X_y(load):
    X, y = load(return_X_y=True)
    bunch = load()
    np.testing.assert_array_equal(X, bunch.images)
    np.testing.assert_array_equal(y, bunch.target)
    assert X is not bunch.images  # loaded anew: who writes into one does not change the other


@pytest.mark.data
@pytest.mark.skipif(not ORIGINALS.exists(), reason="the original data sets are not beside the checkout")
def test_the_originals_give_these_images():
    fashion, emoji = load_fashion(), load_emoji()
    with np.load(ORIGINALS / "fashion_mnist.npz") as whole:
        rng, y = np.random.default_rng(0), whole["y_train"]
        rows = np.sort([rng.choice(np.flatnonzero(y == k), 500, replace=False) for k in range(10)], axis=None)
        np.testing.assert_array_equal(fashion.images[..., 0], whole["x_train"][rows])
        np.testing.assert_array_equal(fashion.target, y[rows])
        np.testing.assert_array_equal(fashion.target_names, whole["class_names"])
    with np.load(ORIGINALS / "emoji32.npz") as whole:
        np.testing.assert_array_equal(emoji.images, whole["images_google"])
    entries = json.loads((ORIGINALS / "emoji32.json").read_text(encoding="utf8"))
    assert emoji.names.tolist() == [entry["name"] for entry in entries]
    assert emoji.target_names[emoji.target].tolist() == [entry["category"] for entry in entries]


def test_files_are_small_and_packaged():
    assert sum(path.stat().st_size for path in FILES) < 5e6
    settings = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf8"))["tool"]["setuptools"]
    packaged = {path for pattern in settings["package-data"]["skrep.datasets"] for path in PACKAGE.glob(pattern)}
    assert packaged >= set(FILES)


def test_licences_are_beside_the_data():
    for load, name, licence in [
        (load_fashion, "fashion/LICENSE.txt", ["Copyright (c) 2017 Zalando SE", "Permission is hereby granted"]),
        (load_emoji, "emoji/LICENSE.txt", ["Apache License", "Version 2.0", "END OF TERMS AND CONDITIONS"]),
        (load_emoji, "emoji/LICENSE-emoji-data.txt", ["Copyright (c) 2013 Cal Henderson", "Permission is hereby"]),
    ]:
        path = PACKAGE / "data" / name
        text = path.read_text(encoding="utf8")
        assert all(part in text for part in licence)
        assert path.name in load().DESCR
