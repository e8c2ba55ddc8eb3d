import numpy as np
import pytest
import torch
from sklearn.model_selection import train_test_split

from skrep import SimCLRTransformer
from skrep.backbones import ConvNet
from skrep.data import ImageFiles

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, size=(6, 9, 8, 3)).astype(np.uint8)


@pytest.fixture
def folder(pictures, tmp_path):
    """Two classes of three files, in different formats that keep every pixel."""
    for i, picture in enumerate(pictures):
        name = tmp_path / ("cat", "dog")[i // 3] / f"{i}.{('png', 'bmp', 'tiff')[i % 3]}"
        name.parent.mkdir(exist_ok=True)
        Image.fromarray(picture).save(name)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_a_folder_of_classes(folder, pictures):
    files = ImageFiles(folder)
    assert files.shape == (6, 9, 8, 3)
    assert (len(files), files.ndim, files.dtype) == (6, 4, np.uint8)
    assert files.class_names == ["cat", "dog"]
    assert list(files.labels) == ["cat"] * 3 + ["dog"] * 3
    np.testing.assert_array_equal(np.stack([files[i] for i in range(6)]), pictures)
    np.testing.assert_array_equal(np.stack(files.__getitems__([5, 0])), pictures[[5, 0]])


def test_parts_as_of_an_array(folder, pictures):
    files = ImageFiles(folder)
    for index in ([4, 1], np.array([4, 1]), slice(1, None, 2), np.arange(6) > 3, (np.array([4, 1]), ...)):
        part = files[index]
        plain = index[0] if isinstance(index, tuple) else index
        np.testing.assert_array_equal(np.stack(part.__getitems__(range(len(part)))), pictures[plain])
        np.testing.assert_array_equal(part.labels, files.labels[plain])
        assert part.shape == (len(part), 9, 8, 3)
    train, test = train_test_split(files, test_size=2, stratify=files.labels, random_state=0)
    assert (len(train), len(test), sorted(test.labels)) == (4, 2, ["cat", "dog"])


def test_lists_sizes_and_grey(folder, pictures):
    paths = ImageFiles(folder).paths
    files = ImageFiles([str(path) for path in paths], size=(4, 5), color=False)
    assert files.labels is None
    assert files.shape == (6, 4, 5, 1)
    whole = np.asarray(Image.fromarray(pictures[2]).convert("L").resize((5, 4), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(files[2][..., 0], whole)
    assert ImageFiles(paths, size=3).shape == (6, 3, 3, 3)


def test_grey_files_stay_grey_and_one_colour_file_makes_all_colour(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((4, 4), 10 * i, dtype=np.uint8)).save(tmp_path / f"{i}.png")
    assert ImageFiles(tmp_path).shape == (3, 4, 4, 1)
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / "9.png")
    files = ImageFiles(tmp_path)
    assert files.shape == (4, 4, 4, 3)
    assert (files[2] == 20).all()


def test_sixteen_bits_and_photographs_on_their_side(tmp_path):
    deep = (np.arange(20).reshape(4, 5) * 3000).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    files = ImageFiles(tmp_path)
    assert files.shape == (1, 4, 5, 1)
    np.testing.assert_array_equal(files[0][..., 0], deep // 256)
    (tmp_path / "photos").mkdir()
    image = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(4, 5, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    image.save(tmp_path / "photos" / "1.webp", exif=exif, lossless=True)
    photos = ImageFiles(tmp_path / "photos")
    assert photos.shape == (1, 5, 4, 3)
    np.testing.assert_array_equal(photos[0], np.rot90(np.asarray(image), -1))
    Image.fromarray(np.zeros((4, 4), dtype=np.float32)).save(tmp_path / "photos" / "2.tiff")
    with pytest.raises(ValueError, match=r"2\.tiff .*\b32.bit"):
        ImageFiles(tmp_path / "photos")


UPRIGHT = {  # EXIF 2.3, section 4.6.4: what turns the stored pixels upright
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_photographs_stand_upright(orientation, tmp_path):
    stored = np.random.default_rng(0).integers(0, 256, size=(4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(tmp_path / "photo.webp", exif=exif, lossless=True)
    photos = ImageFiles(tmp_path)
    np.testing.assert_array_equal(photos[0], UPRIGHT[orientation](stored))
    assert photos.shape == (1, *photos[0].shape)


def test_fit_reads_files_as_it_reads_arrays(folder, pictures):
    encoder = SimCLRTransformer(2, backbone=ConvNet(2), max_epochs=1, random_state=0)
    expected = encoder.fit(pictures).transform(pictures)
    np.testing.assert_array_equal(encoder.fit(ImageFiles(folder)).transform(ImageFiles(folder)), expected)


def test_mixed_sizes_are_named(folder):
    Image.fromarray(np.zeros((5, 7, 3), dtype=np.uint8)).save(folder / "dog" / "odd.png")
    with pytest.raises(ValueError, match=r"odd\.png .*5x7.*9x8.*size="):
        ImageFiles(folder)
    assert ImageFiles(folder, size=9).shape == (7, 9, 9, 3)


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n broken"])
def test_unreadable_files_are_named(content, folder):
    (folder / "cat" / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.png .*\bimage\b"):
        ImageFiles(folder)


def test_files_that_break_off_are_named_when_they_are_read(folder):
    path = folder / "dog" / "3.png"
    path.write_bytes(path.read_bytes()[:-60])
    files = ImageFiles(folder)  # the header is whole
    with pytest.raises(ValueError, match=r"3\.png .*\bimage\b"):
        SimCLRTransformer(2, backbone=ConvNet(2), max_epochs=1).fit(files)


def test_folders_that_hold_nothing_to_read(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere .*folder"):
        ImageFiles(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"0\.png .*folder.*\blist\b"):
        ImageFiles(folder / "cat" / "0.png")
    with pytest.raises(ValueError, match=r"empty .*\bimage\b.*\.png"):
        ImageFiles(folder / "empty")
    with pytest.raises(FileNotFoundError, match=r"gone\.png (?!.*folder)"):
        ImageFiles([folder / "gone.png"])
    with pytest.raises(ValueError, match=r"ImageFiles.*\blist\b"):
        ImageFiles([])
    with pytest.raises(ValueError, match=r"size=\(3, 4, 5\)"):
        ImageFiles(folder, size=(3, 4, 5))
    with pytest.raises(ValueError, match=r"size=32\.0"):
        ImageFiles(folder, size=32.0)
    Image.fromarray(np.zeros((9, 8, 3), dtype=np.uint8)).save(folder / "loose.png")
    with pytest.raises(ValueError, match=r"loose\.png.*folders"):
        ImageFiles(folder)


def test_indexing_past_the_end(folder):
    with pytest.raises(IndexError):
        ImageFiles(folder)[6]
    assert isinstance(ImageFiles(folder), torch.utils.data.Dataset)


def test_transparent_pictures_stand_on_white(tmp_path):
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    rgba[0, 0] = [10, 20, 30, 255]
    rgba[1, 1, 1] = 255  # what is invisible does not count
    Image.fromarray(rgba).save(tmp_path / "1.png")
    image = ImageFiles(tmp_path)[0]
    assert image[0, 0].tolist() == [10, 20, 30]
    assert image[1, 1].tolist() == image[3, 3].tolist() == [255, 255, 255]


def test_enormous_files_are_named(folder, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ValueError, match=r"0\.png .*\(Image size"):
        ImageFiles(folder)
