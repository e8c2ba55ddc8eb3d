"""Image files, decoded when their batch is read."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["IMAGE_SUFFIXES", "ImageFiles"]

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# Pillow lets go of the interpreter lock while it decodes.
_THREADS = min(8, os.cpu_count() or 1)


class ImageFiles(torch.utils.data.Dataset):
    """Images on disk, to be passed as X.

    Sizes are read from the files' headers at once, pixels only when a batch needs them. An array, list or slice of
    positions gives a smaller ``ImageFiles``, so that scikit-learn can split it. Photographs are turned as their EXIF
    data say, transparent pictures are put on white, and of 16 bits a pixel the upper 8 are taken.

    Parameters
    ----------
    files : path-like or sequence of path-like
        A folder, with one sub-folder of images for each class or with images alone; or the files themselves.
    size : int, tuple of (int, int) or None, default=None
        Height and width to which images are resized when they are read; an int is both. None takes them as they are,
        and they must all have one size.
    color : bool or None, default=None
        Whether images are read as RGB or as grey. None: grey if all files are.

    Attributes
    ----------
    paths : list of pathlib.Path
        The files, in the order of the images: by name, within classes by name.
    labels : ndarray of str or None
        Each image's sub-folder; None if there are none.
    class_names : list of str or None
        The sub-folders.
    shape : tuple of (int, int, int, int)
        (n_samples, height, width, channels), as of an array.
    dtype : numpy.dtype
        uint8.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        If there are no images, a file cannot be read or files differ in size; the file is named.
    ImportError
        Without Pillow.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skrep.data import ImageFiles
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("cat", "dog"):
    ...     (folder / name).mkdir()
    ...     Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(folder / name / "1.png")
    >>> X = ImageFiles(folder)
    >>> X.shape, X.labels.tolist()
    ((2, 8, 8, 3), ['cat', 'dog'])
    """

    ndim = 4
    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        files: str | os.PathLike | Sequence[str | os.PathLike],
        size: int | tuple[int, int] | None = None,
        color: bool | None = None,
    ):
        self.labels: np.ndarray | None = None
        self.class_names: list[str] | None = None
        if isinstance(files, (str, os.PathLike)):
            self.paths = self._find(Path(files))
        else:
            self.paths = [Path(file) for file in files]
        if not self.paths:
            raise ValueError("ImageFiles got an empty list of files; expected at least one image.")
        with ThreadPoolExecutor(_THREADS) as pool:
            headers = list(pool.map(_read_header, self.paths))
        self._color = any(is_color for _, is_color in headers) if color is None else bool(color)
        self._size = _as_size(size) or self._common_size([found for found, _ in headers])
        self.shape = (len(self.paths), *self._size, 3 if self._color else 1)

    def _find(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            fix = "Pass a list, [path], for a single file." if folder.exists() else "Check the path."
            raise FileNotFoundError(f"{folder} is not a folder. {fix}")
        classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
        groups = {c.name: list(_images(c.rglob("*"))) for c in classes}
        loose = list(_images(folder.iterdir()))
        groups = {name: paths for name, paths in groups.items() if paths}
        if groups and loose:
            raise ValueError(
                f"{folder} holds images both in sub-folders and beside them ({loose[0].name}): the sub-folders are the "
                "classes. Move the images into one."
            )
        if not groups and not loose:
            raise ValueError(f"{folder} holds no image; known are {', '.join(IMAGE_SUFFIXES)}.")
        if groups:
            self.class_names = list(groups)
            self.labels = np.repeat(self.class_names, [len(paths) for paths in groups.values()])
        return loose or [path for paths in groups.values() for path in paths]

    def _common_size(self, sizes: list[tuple[int, int]]) -> tuple[int, int]:
        for path, size in zip(self.paths, sizes, strict=True):
            if size != sizes[0]:
                raise ValueError(
                    f"{path} is {size[0]}x{size[1]} pixels (height x width), but {self.paths[0]} is "
                    f"{sizes[0][0]}x{sizes[0][1]}. Pass size=, to which all are resized."
                )
        return sizes[0]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        """One image, (height, width, channels) uint8; or the files at a slice, array or list of positions."""
        if isinstance(index, tuple):  # scikit-learn selects rows with array[index, ...]
            index = index[0]
        if isinstance(index, (int, np.integer)):
            return self._decode(self.paths[index])
        positions = np.arange(len(self))[index]
        part = object.__new__(type(self))
        vars(part).update(vars(self))
        part.paths = [self.paths[i] for i in positions]
        part.labels = None if self.labels is None else self.labels[positions]
        part.shape = (len(part.paths), *self.shape[1:])
        return part

    def __getitems__(self, positions: Sequence[int]) -> list[np.ndarray]:
        with ThreadPoolExecutor(_THREADS) as pool:
            return list(pool.map(self._decode, [self.paths[i] for i in positions]))

    def _decode(self, path: Path) -> np.ndarray:
        from PIL import Image

        try:
            with Image.open(path) as file:
                image = _opaque(_eight_bits(_upright(file))).convert("RGB" if self._color else "L")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise ValueError(f"{path} cannot be read as an image ({error}). Remove or replace the file.") from None
        height, width = self._size
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BILINEAR)  # antialiased
        return np.array(image).reshape(self.shape[1:])  # (height, width, channels); grey has no axis for it

    def __repr__(self) -> str:
        return f"ImageFiles({len(self)} files, shape={self.shape})"


def _images(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."))


def _read_header(path: Path) -> tuple[tuple[int, int], bool]:
    """Size (height, width), and whether there is colour."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("reading image files needs Pillow: pip install 'skrep[images]'.") from None
    try:
        with Image.open(path) as file:
            if file.mode == "F" or (file.mode == "I" and file.format not in ("PNG", "PPM")):
                raise ValueError("pixels of 32 bits have no known range; load it yourself and pass an array")
            size = (file.width, file.height) if _orientation(file) > 4 else (file.height, file.width)
            return size, file.mode not in ("1", "L", "LA") and not file.mode.startswith("I")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist. Check the path.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error}). Remove or replace the file.") from None


def _orientation(file: Any) -> int:
    """How the camera was held, as EXIF has it, 1 to 8. Pillow turns TIFF itself, and would have to decode a PNG."""
    return int(file.getexif().get(0x0112, 1)) if file.format in ("JPEG", "MPO", "WEBP") else 1


def _upright(file: Any) -> Any:
    from PIL import ImageOps

    return file if _orientation(file) == 1 else ImageOps.exif_transpose(file)


def _eight_bits(image: Any) -> Any:
    """Grey images of 16 bits a pixel by their upper 8; Pillow would cut off at 255."""
    from PIL import Image

    return Image.fromarray((np.asarray(image) // 256).astype(np.uint8)) if image.mode.startswith("I") else image


def _opaque(image: Any) -> Any:
    """Transparent images on white."""
    from PIL import Image

    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)


def _as_size(size: Any) -> tuple[int, int] | None:
    if size is None:
        return None
    pair = size if isinstance(size, (list, tuple)) else (size, size)
    if len(pair) != 2 or not all(isinstance(side, (int, np.integer)) and side > 0 for side in pair):
        raise ValueError(f"size={size!r}: expected a number of pixels or (height, width), or None.")
    return int(pair[0]), int(pair[1])
