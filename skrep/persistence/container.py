"""The one kind of file that skrep writes: a zip of JSON and plain arrays, each with its sha256, and no pickle.

``manifest.json`` has the format's number, the kind of file and a sha256 for every other member; ``state.json`` is the
content, and refers by position to ``arrays/0.npy``, ``arrays/1.npy`` and so on. Members are stored, not compressed:
weights hardly compress, and a file that cannot inflate is no bomb. All limits are held before what they limit is read.
"""

import contextlib
import hashlib
import json
import math
import os
import re
import secrets
import stat
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from skrep._version import __version__
from skrep.exceptions import ModelFileError

__all__ = [
    "read_container",
    "refusing",
    "remove_abandoned",
    "replacing",
    "require_shape",
    "shown",
    "write_container",
]

FORMAT = 1

# Limits that leave room for a forest of 8,000 trees and a vocabulary of two million words. What has all of them, and is
# wrong at its end, is refused within a second.
MAX_MEMBERS = 16_000
MAX_DIRECTORY_BYTES = 128 * MAX_MEMBERS  # the zip's table of contents; an entry of ours has less than 80
MAX_MANIFEST_BYTES = 128 * MAX_MEMBERS
MAX_JSON_BYTES = 256 * 2**20
MAX_JSON_CONTAINERS = 130_000
MAX_JSON_VALUES = 2_000_000

# What numpy's arrays hold at most.
MAX_DIMENSIONS = 64
# Kernels may round differently where rows do not begin on a cache line, as torch's own tensors do.
ALIGNMENT = 64
# A temporary file that nobody has written to for so long was left by a process that was killed.
ABANDONED_SECONDS = 3600

_READERS = {
    "estimator": "It is an estimator, which skrep.load reads.",
    "training run": "It is a training run, which an estimator reads that is fitted with the same checkpoint=.",
}

_MEMBER = re.compile(r"state\.json|arrays/(0|[1-9][0-9]{0,5})\.npy")


def shown(text: Any, most: int = 80) -> str:
    """Something from a file for a message: one line, not long, and nothing that a terminal would obey."""
    line = ascii(str(text)[: most + 1])[1:-1]
    return line if len(line) <= most else line[: most - 3] + "..."


@contextlib.contextmanager
def refusing(path: str | os.PathLike) -> Iterator[None]:
    """Tell whatever goes wrong in reading a file's content as one :class:`~skrep.exceptions.ModelFileError`."""
    try:
        yield
    except (ModelFileError, Warning):
        raise
    except Exception as error:  # readers of zip, JSON and npy raise all kinds on bytes that are none of theirs
        what = shown(" ".join(f"{type(error).__name__}: {error}".split()), 200)
        raise ModelFileError(f"{path} is not a file that skrep wrote, or it is damaged ({what}).") from None


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """Write a file, all of it or nothing.

    The bytes go to a temporary file in the same folder, are synced to disk and take the name in one step, so that a
    reader, or a machine that loses power, sees the old file or the new one. A new file gets the permissions that the
    process gives its files, a replaced one keeps its own; a link is followed.

    Parameters
    ----------
    path : path-like
        The file to write or replace.

    Yields
    ------
    file object
        Open for writing bytes.

    Raises
    ------
    OSError
        If the file cannot be written; the old one is untouched.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir() or os.fspath(path)[-1:] in ("/", os.sep):
        raise IsADirectoryError(f"{path} is a folder; name a file in it.")
    if target.is_symlink():  # what realpath cannot follow
        raise OSError(f"{path} is a link in a loop; name a file.")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist; make it first.")
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
    if mode is not None and not target.is_file():
        raise OSError(f"{path} is a device or a pipe; name a file.")
    if not os.access(target.parent if mode is None else target, os.W_OK):
        raise PermissionError(f"{path} may not be written to.")
    remove_abandoned(target, ABANDONED_SECONDS)
    temporary = target.parent / f"{_beginning(target)}{secrets.token_hex(6)}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(temporary, flags, 0o666 if mode is None else 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # the new name itself must reach the disk, where the folder may be opened
        with contextlib.suppress(OSError):
            folder = os.open(target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def remove_abandoned(path: str | os.PathLike, seconds: float) -> None:
    """Remove the temporary files of writers of `path` that nobody has written to for so long."""
    for left in Path(path).parent.glob(f"{_beginning(Path(path))}*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime >= seconds:
                left.unlink()


def _beginning(path: Path) -> str:
    """Of the names of temporary files; the name itself may be too long to be added to, or have a "*"."""
    return f".skrep-{zlib.crc32(os.fsencode(path.name)):08x}-"


def write_container(path: str | os.PathLike, kind: str, content: Any, arrays: Sequence[np.ndarray]) -> None:
    """Write JSON and arrays to `path`, all of it or nothing.

    Parameters
    ----------
    path : path-like
        The file to write or replace.
    kind : str
        What the content is; :func:`read_container` asks for it.
    content : object
        What JSON can hold.
    arrays : sequence of ndarray
        Without Python objects.

    Raises
    ------
    ValueError
        If the content is larger than a reader would take.
    OSError
        If the file cannot be written; the old one is untouched.
    """
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
    if len(arrays) > MAX_MEMBERS - 2:
        raise ValueError(
            f"cannot save {len(arrays)} arrays: a file holds {MAX_MEMBERS - 2}, such as those of {MAX_MEMBERS // 2} "
            "trees. Use fewer trees, or larger ones."
        )
    _require_reasonable(text)
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        digests = {}
        for i, array in enumerate(arrays):
            digests[f"arrays/{i}.npy"] = _write_array(archive, f"arrays/{i}.npy", array)
        digests["state.json"] = hashlib.sha256(text).hexdigest()
        archive.writestr(zipfile.ZipInfo("state.json"), text)
        manifest = {"format": FORMAT, "kind": kind, "skrep": __version__, "sha256": digests}
        archive.writestr(zipfile.ZipInfo("manifest.json"), json.dumps(manifest))


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> str:
    """Stream an array into a member and return the member's sha256."""
    digest = hashlib.sha256()
    info = zipfile.ZipInfo(name)  # without a time, so that the same content is the same file
    with archive.open(info, "w", force_zip64=array.nbytes > 2**31 - 2**16) as member:

        class Hashed:
            def write(self, data: bytes) -> int:
                digest.update(data)
                return member.write(data)

        np.lib.format.write_array(Hashed(), array, version=(1, 0), allow_pickle=False)
    return digest.hexdigest()


def read_container(path: str | os.PathLike, kind: str) -> tuple[Any, list[np.ndarray]]:
    """Read what :func:`write_container` wrote, and nothing else.

    Parameters
    ----------
    path : path-like
        The file.
    kind : str
        The kind of content that is expected.

    Returns
    -------
    content : object
        As JSON has it.
    arrays : list of ndarray
        Writable.

    Raises
    ------
    ModelFileError
        If the file is damaged, of a newer format, of another kind, or not one of ours.
    OSError
        If there is no such file, or it cannot be read.
    """
    with open(path, "rb") as file, refusing(path):
        _require_small_directory(file)
        size = os.fstat(file.fileno()).st_size
        with zipfile.ZipFile(file) as archive:
            infos = {info.filename: info for info in archive.infolist()}
            if len(infos) != len(archive.infolist()):
                raise ValueError("two members have one name")
            for info in infos.values():
                if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
                    raise ValueError(f"{info.filename!r} is compressed, and skrep compresses nothing")
            if sum(info.file_size for info in infos.values()) > size:
                raise ValueError("the members are larger than the file")
            manifest = _read_manifest(archive, infos, kind, path)
            digests = manifest["sha256"]
            if infos.keys() - {"manifest.json"} != digests.keys() or not all(map(_MEMBER.fullmatch, digests)):
                raise ValueError("its members are not those that the manifest lists")
            if infos["state.json"].file_size > MAX_JSON_BYTES:
                raise ValueError("state.json is too large")
            text = bytes(_read_member(archive, infos["state.json"], digests).data)
            _require_reasonable(text)
            arrays = [
                _as_array(_read_member(archive, infos[f"arrays/{i}.npy"], digests)) for i in range(len(digests) - 1)
            ]
        return _parse(text), arrays


def _require_small_directory(file: BinaryIO) -> None:
    """Look at the end of a zip, as zipfile does, before zipfile reads the whole table of contents."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 98))
    end = file.read()
    if len(end) < 22 or end[-22:-18] != b"PK\5\6" or end[-2:] != b"\0\0":
        raise ValueError("it does not end as a zip does")
    (directory,) = struct.unpack("<L", end[-10:-6])
    if len(end) == 98 and end[-42:-38] == b"PK\6\7" and end[:4] == b"PK\6\6":  # zip64, for files from 4 GiB on
        (in_zip64,) = struct.unpack("<Q", end[-58:-50])
        if struct.unpack("<Q", end[-34:-26]) != (size - 98,):  # where newer Pythons look for the record
            raise ValueError("its zip64 record is elsewhere")
        directory = in_zip64 if directory == 2**32 - 1 else max(directory, in_zip64)
    if directory > MAX_DIRECTORY_BYTES:
        raise ValueError(f"its table of contents has {directory} bytes; {MAX_DIRECTORY_BYTES} is the limit")


def _read_manifest(archive: zipfile.ZipFile, infos: dict[str, Any], kind: str, path: Any) -> dict[str, Any]:
    if infos["manifest.json"].file_size > MAX_MANIFEST_BYTES:
        raise ValueError("the manifest is too large")
    manifest: dict[str, Any] = _parse(archive.read("manifest.json"))
    written, holds = manifest["format"], manifest["kind"]
    if type(written) is not int or written < 1:
        raise ValueError("its format has no number")
    if written > FORMAT:
        raise ModelFileError(
            f"{path} has format {shown(written)}, written by skrep {shown(manifest.get('skrep'))}; this is skrep "
            f"{__version__}, which reads up to format {FORMAT}. Upgrade skrep to read it."
        )
    if holds != kind:
        raise ModelFileError(f"{path} holds no {kind}. {_READERS[holds]}")
    return manifest


def _parse(text: bytes) -> Any:
    """JSON, without the NaN and the Infinity that Python adds to it."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, digests: dict[str, str]) -> np.ndarray:
    """The bytes of a member, writable, aligned, and as they were written."""
    room = np.empty(info.file_size + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    data = room[start : start + info.file_size]
    with archive.open(info) as member:
        filled = 0
        while part := member.read(2**22):
            data[filled : filled + len(part)] = np.frombuffer(part, np.uint8)
            filled += len(part)
        if filled != len(data):
            raise EOFError(f"{info.filename} ends early")
    if hashlib.sha256(data.data).hexdigest() != digests[info.filename]:
        raise ValueError(f"{info.filename} is not what was written")
    return data


def _as_array(data: np.ndarray) -> np.ndarray:
    """The array in the bytes of a .npy file, in the same memory."""

    class Reader:
        at = 0

        def read(self, size: int = -1, /) -> bytes:
            part = data[self.at :][:size].tobytes()
            self.at += len(part)
            return part

    reader = Reader()
    if np.lib.format.read_magic(reader) != (1, 0):
        raise ValueError("an array has another version of the npy format")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(reader)
    if dtype.hasobject or not dtype.itemsize:
        raise ValueError(f"an array has the type {dtype}, which is no plain number or text")
    n_values, rest = divmod(len(data) - reader.at, dtype.itemsize)
    if rest:
        raise ValueError(f"an array of type {dtype} ends within a value")
    require_shape(shape, n_values)
    return np.ndarray(shape, dtype, data, reader.at, order="F" if fortran else "C")


def require_shape(shape: Sequence[Any], n_values: int) -> None:
    """Raise a ValueError unless an array of that shape has that many values."""
    if len(shape) > MAX_DIMENSIONS or any(type(n) is not int or n < 0 for n in shape) or math.prod(shape) != n_values:
        raise ValueError(f"an array of {n_values} values has another shape")


def _require_reasonable(text: bytes) -> None:
    if len(text) > MAX_JSON_BYTES:
        raise ValueError(f"the content without arrays has {len(text)} bytes; {MAX_JSON_BYTES} is the limit")
    if text.count(b"[") + text.count(b"{") > MAX_JSON_CONTAINERS or text.count(b",") > MAX_JSON_VALUES:
        raise ValueError(f"the content has more than {MAX_JSON_VALUES} values or {MAX_JSON_CONTAINERS} lists and dicts")
