"""Damaged files, killed writers, full disks: what was saved is loaded to the bit, or it is told that it cannot be."""

import contextlib
import errno
import os
import pickle
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skrep
from skrep import AutoEncoderTransformer, PCAEncoder
from skrep.exceptions import CheckpointWarning, ModelFileError
from skrep.persistence import read_state
from tests.persistence.overwriting import ROWS, fitted

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@pytest.fixture(scope="module")
def pipe():
    network = AutoEncoderTransformer(2, hidden=(8,), max_epochs=2, random_state=0)
    return make_pipeline(StandardScaler(), network, LogisticRegression()).fit(ROWS, np.arange(20) % 2)


@pytest.fixture(scope="module")
def small():
    return PCAEncoder(2).fit(ROWS)


@pytest.fixture(scope="module")
def large():
    return PCAEncoder(2).fit(np.random.default_rng(1).normal(size=(20, 50_000)))


# --- damage ---------------------------------------------------------------------------------------------------------


def damaged(whole: bytes, flips: int, step: int):
    """Copies with one bit flipped, cut off, with zeros in the place of a block, and with more at the end."""
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), flips):
        copy = bytearray(whole)
        copy[position] ^= 1 << rng.integers(8)
        yield bytes(copy)
    for end in range(0, len(whole), step):
        yield whole[:end]
    for start in range(0, len(whole), 512):
        yield whole[:start] + bytes(min(512, len(whole) - start)) + whole[start + 512 :]
        yield whole[:start] + whole[start + 512 :]
    yield whole + b"\0"
    yield whole + bytes(4096)
    yield b"\0" + whole
    yield whole + whole


def test_no_damaged_estimator_loads_wrong(pipe, tmp_path):
    path = tmp_path / "file"
    skrep.save(pipe, path)
    expected, refused, n = pipe.predict_proba(ROWS), 0, 0
    for copy in damaged(path.read_bytes(), 300, 100):
        path.write_bytes(copy)
        n += 1
        try:
            loaded = skrep.load(path)
        except ModelFileError:
            refused += 1
        else:  # bits that no reader looks at, such as the time of a member
            np.testing.assert_array_equal(loaded.predict_proba(ROWS), expected)
    assert n > 400
    assert refused > 0.8 * n


def same(one, other) -> bool:
    """Whether two states of training are equal to the bit."""
    return pickle.dumps(_plain(one)) == pickle.dumps(_plain(other))


def _plain(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.shape, value.numpy().tobytes()
    if isinstance(value, dict):
        return [[_plain(key), _plain(item)] for key, item in value.items()]
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else repr(value)


def test_no_damaged_checkpoint_is_gone_on_from(tmp_path):
    def fit():
        return AutoEncoderTransformer(2, hidden=(8,), max_epochs=2, random_state=0, checkpoint=tmp_path).fit(ROWS)

    expected = fit().transform(ROWS)
    (path,) = tmp_path.glob("*.skrep")
    whole = path.read_bytes()
    state = read_state(path)
    for copy in damaged(whole, 300, 100):
        path.write_bytes(copy)
        try:
            assert same(read_state(path), state)
        except ModelFileError:
            broken = copy
    path.write_bytes(broken)
    with pytest.warns(CheckpointWarning, match=path.stem):
        again = fit()
    assert again.resumed_from_ is None
    np.testing.assert_array_equal(again.transform(ROWS), expected)


# --- killed writers -------------------------------------------------------------------------------------------------


class Writers:
    """Processes that save over one file, and are killed."""

    def __init__(self, path: Path):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.persistence.overwriting", path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout.readline() == "ready\n"

    def _say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() in ("begun\n", "killed\n")

    def begin(self, which: str) -> None:
        self._say(which)

    def kill(self) -> None:
        self._say(".")

    def __enter__(self) -> "Writers":
        return self

    def __exit__(self, *error) -> None:
        self.process.communicate()


def one_of(path: Path, expected: list[np.ndarray]) -> bool:
    features = skrep.load(path).transform(ROWS)
    return any(np.array_equal(features, each) for each in expected)


def kill_and_look(path: Path, kills: int) -> int:
    """Kill a writer so many times, and return how often it was in the middle of writing."""
    expected = [fitted(seed).transform(ROWS) for seed in (0, 1)]
    rng, left = np.random.default_rng(0), 0
    with Writers(path) as writers:
        for _ in range(kills):
            writers.begin("01")
            time.sleep(rng.uniform(0, 0.05))
            writers.kill()
            assert one_of(path, expected)
            left = len(list(path.parent.iterdir())) - 1
    return left


@pytest.mark.exhaustive
@FORKS
def test_writers_that_are_killed_leave_the_old_file_or_the_new(tmp_path):
    assert kill_and_look(tmp_path / "file", 50) > 5


@pytest.mark.exhaustive
@FORKS
def test_two_processes_save_over_one_file(tmp_path):
    path, expected = tmp_path / "file", [fitted(seed).transform(ROWS) for seed in (0, 1)]
    with Writers(path) as writers:
        writers.begin("0")
        writers.begin("1")
        assert all(one_of(path, expected) for _ in range(50))
        writers.kill()


def test_threads_save_over_one_file(small, large, tmp_path):
    path = tmp_path / "file"
    skrep.save(small, path)
    sizes = {small.n_features_in_, large.n_features_in_}
    with ThreadPoolExecutor(4) as pool:
        saves = [pool.submit(skrep.save, (small, large)[i % 2], path) for i in range(40)]
        loads = [pool.submit(lambda: skrep.load(path).n_features_in_) for _ in range(40)]
        assert {load.result() for load in loads} <= sizes
        assert [save.result() for save in saves] == [None] * 40
    assert os.listdir(tmp_path) == ["file"]


def abandon(path: Path) -> Path:
    """What a process leaves that is killed before it gives the file its name."""
    code = f"""
import os, signal, skrep
os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)
skrep.save(skrep.PCAEncoder(2), {str(path)!r})
"""
    before = set(path.parent.iterdir())
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = set(path.parent.iterdir()) - before
    return left


@POSIX
def test_what_killed_writers_left_is_removed_after_an_hour(small, tmp_path):
    path, other = tmp_path / "file", tmp_path / "other"
    skrep.save(small, path)
    left, left_by_other = abandon(path), abandon(other)
    np.testing.assert_array_equal(skrep.load(path).transform(ROWS), small.transform(ROWS))
    hour_ago = time.time() - 3600
    notes = [tmp_path / name for name in (".file.notes.tmp", "file.tmp", ".file.tmp", ".skrep-notes.tmp")]
    for note in notes:
        note.write_text("mine")
        os.utime(note, (hour_ago - 10,) * 2)
    skrep.save(small, path)
    os.utime(left, (hour_ago + 60,) * 2)
    os.utime(left_by_other, (hour_ago - 10,) * 2)
    skrep.save(small, path)
    assert left.exists()
    assert left_by_other.exists()
    os.utime(left, (hour_ago - 10,) * 2)
    skrep.save(small, path)
    assert {*tmp_path.iterdir()} == {path, left_by_other, *notes}


# --- full disks, permissions, names ---------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk(n_bytes: int):
    """No file may grow beyond that."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@POSIX
@pytest.mark.parametrize("room", [0, 100, 4096, 100_000, 420_000, "all but a byte"])
def test_on_a_full_disk_the_old_file_stands(room, small, large, tmp_path):
    path = tmp_path / "file"
    skrep.save(large, path)
    room = path.stat().st_size - 1 if room == "all but a byte" else room
    skrep.save(small, path)
    with full_disk(room), pytest.raises(OSError, match="too large") as raised:
        skrep.save(large, path)
    assert raised.value.errno == errno.EFBIG
    np.testing.assert_array_equal(skrep.load(path).transform(ROWS), small.transform(ROWS))
    assert os.listdir(tmp_path) == ["file"]


@pytest.fixture
def folder_of_nobody():
    """A folder of a user who is not root, as whom the test goes on: to root nothing is forbidden."""
    folder = Path(tempfile.mkdtemp())
    is_root = os.getuid() == 0
    if is_root:
        os.chown(folder, 65534, 65534)
        os.setresuid(65534, 65534, 0)
    yield folder
    if is_root:
        os.setresuid(0, 0, 0)
    folder.chmod(0o700)
    shutil.rmtree(folder)


@POSIX
def test_where_nothing_may_be_written(small, large, folder_of_nobody):
    path = folder_of_nobody / "file"
    skrep.save(small, path)
    path.chmod(0o400)
    with pytest.raises(PermissionError, match="file"):
        skrep.save(large, path)
    path.chmod(0o600)
    folder_of_nobody.chmod(0o500)
    for target in (path, folder_of_nobody / "new"):
        with pytest.raises(PermissionError, match=str(folder_of_nobody)):
            skrep.save(large, target)
    folder_of_nobody.chmod(0o700)
    assert os.listdir(folder_of_nobody) == ["file"]
    np.testing.assert_array_equal(skrep.load(path).transform(ROWS), small.transform(ROWS))
    path.chmod(0)
    with pytest.raises(PermissionError):
        skrep.load(path)


def test_where_no_file_can_be(small, tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"):
        skrep.save(small, tmp_path / "folder")
    with pytest.raises(OSError, match="folder"):
        skrep.load(tmp_path / "folder")
    with pytest.raises(FileNotFoundError, match="missing"):
        skrep.save(small, tmp_path / "missing" / "file")
    with pytest.raises(FileNotFoundError, match="missing"):
        skrep.load(tmp_path / "missing")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        skrep.save(small, tmp_path / "file" / "file")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@POSIX
def test_links_are_followed_and_kept(small, large, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link, chain = tmp_path / "elsewhere" / "file", tmp_path / "link", tmp_path / "chain"
    link.symlink_to(target)  # which is not there yet
    chain.symlink_to("link")
    for made in (small, large):
        skrep.save(made, chain)
        assert skrep.load(target).n_features_in_ == made.n_features_in_
    assert link.is_symlink()
    assert chain.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["chain", "elsewhere", "link"]
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        skrep.save(small, tmp_path / "loop")


@POSIX
def test_permissions(small, tmp_path):
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    for mask in (0o077, 0o022, 0o002):
        before = os.umask(mask)
        try:
            skrep.save(small, tmp_path / f"{mask:o}")
        finally:
            os.umask(before)
        assert mode(tmp_path / f"{mask:o}") == 0o666 & ~mask
    for kept in (0o600, 0o644, 0o664, 0o666, 0o755):
        (tmp_path / "file").touch()
        (tmp_path / "file").chmod(kept)
        skrep.save(small, tmp_path / "file")
        assert mode(tmp_path / "file") == kept


NAMES = [
    "[ab]*?.skrep", "*", "[", "**", "a b\tc", "ä€🙂", ".hidden", "a.tmp", "x" * 255, "é" * 127, "line\nbreak", "-", "~",
    "a.skrep.skrep",
]  # fmt: skip


@POSIX
@pytest.mark.parametrize("name", NAMES)
def test_names(name, small, large, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for made in (small, large):
        for path in (name, tmp_path / name):
            skrep.save(made, path)
            assert skrep.load(path).n_features_in_ == made.n_features_in_
    assert os.listdir(tmp_path) == [name]


@POSIX
def test_names_that_are_no_unicode(small, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe")
    skrep.save(small, path)
    assert skrep.load(path).n_features_in_ == 5


def test_the_same_estimator_is_the_same_file(pipe, tmp_path):
    for i, made in enumerate([pipe, pipe, pickle.loads(pickle.dumps(pipe))]):
        skrep.save(made, tmp_path / f"{i}")
    skrep.save(skrep.load(tmp_path / "0"), tmp_path / "3")
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("thing", [None, 7, [PCAEncoder(2)], PCAEncoder, torch.nn.Linear(2, 2), {"a": 1}, lambda: 0])
def test_only_estimators_are_saved(thing, tmp_path):
    with pytest.raises(TypeError, match=rf"save\b.*'{type(thing).__name__}'"):
        skrep.save(thing, tmp_path / "file")
    assert os.listdir(tmp_path) == []
