"""Files made to harm: one plain error each, in little time and memory, and nothing is run, imported or written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="memory is limited with what only POSIX has")

from tests.persistence import hostile_files
from tests.persistence.hostile_files import BOMBS, CANARY, HOSTILE, MEMORY, ODD, PAYLOAD, RUNS

ROOT = Path(__file__).parents[2]

# Cases that are refused for a node of a kind that there is not.
UNKNOWN_KINDS = {
    "unknown kind", "kind of Python", "a run with a name", "a run with an object", "a run with an encoder",
    "a run with a module", "a run with an unknown kind",
}  # fmt: skip


class Loader:
    """A process that loads files in 2 GiB of memory, beside a module that nobody must import."""

    def __init__(self, folder: Path):
        self.folder = folder
        (folder / f"{CANARY}.py").write_text(f"open({f'{CANARY}.ran'!r}, 'w').close()\ndef run(*args): pass\n")
        self.process: subprocess.Popen | None = None

    def start(self) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.persistence.hostile_files"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert process.stdout.readline() == "ready\n"
        return process

    def load(self, path: Path) -> dict:
        """What came of it; a process that dies of it is an error, too."""
        if self.process is None:
            self.process = self.start()
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer:
            return json.loads(answer)
        self.process.communicate()
        status, self.process = self.process.returncode, None
        return {"seconds": hostile_files.SECONDS, "bytes": MEMORY, "error": f"exit {status}", "message": "", "done": []}

    def stop(self) -> None:
        if self.process is not None:
            self.process.communicate()

    @property
    def left_behind(self) -> list[str]:
        return sorted({path.name for path in self.folder.iterdir()} - {f"{CANARY}.py"})


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    made = Loader(tmp_path_factory.mktemp("loader"))
    yield made
    made.stop()


def one_plain_error(answer: dict) -> bool:
    message = answer["message"]
    return (
        answer["error"] == "ModelFileError"
        and len(message) < 500
        and message.isprintable()  # one line, and nothing that a terminal would obey
        and PAYLOAD not in message
    )


# one of three, since those of a kind stand together; the others when exhaustive
SOME = {name for names in (HOSTILE, BOMBS, RUNS) for name in list(names)[::3]}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.exhaustive) for name in HOSTILE | BOMBS | RUNS],
)
def test_hostile_files_are_refused(name, loader, tmp_path):
    path = tmp_path / ("file.run" if name in RUNS else "file.skrep")
    (HOSTILE | BOMBS | RUNS)[name](path)
    answer = loader.load(path)
    path.unlink()  # some are large
    assert one_plain_error(answer), answer
    # or the case is of a format that is no more
    assert "does not know." not in answer["message"] or "'unknown'" in answer["message"] or name in UNKNOWN_KINDS
    # a machine without a limit would have run full
    assert ("llocate" not in answer["message"] and "MemoryError" not in answer["message"]) or "with a hole" in name
    assert answer["done"] == []
    assert loader.left_behind == []


@pytest.mark.parametrize("name", ODD)
def test_odd_files_do_no_harm(name, loader, tmp_path):
    ODD[name](tmp_path / "file.skrep")
    answer = loader.load(tmp_path / "file.skrep")
    assert answer["error"] is None or one_plain_error(answer), answer
    assert answer["done"] == []
    assert loader.left_behind == []


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 300
    assert len(BOMBS) >= 80
    assert not HOSTILE.keys() & BOMBS.keys()


def test_the_guard_sees_what_pickles_do(tmp_path):
    loader = Loader(tmp_path)
    for case in ("pickle", "pickle that imports"):
        HOSTILE[case](tmp_path / "file.pickle")
        answer = loader.load(tmp_path / "file.pickle")
        assert answer["error"] is None
        assert any("os.system" in event or CANARY in event for event in answer["done"])
        assert f"{CANARY}.ran" in loader.left_behind
        (tmp_path / f"{CANARY}.ran").unlink()
    loader.stop()


@pytest.mark.exhaustive
def test_seconds_and_bytes_of_hostile_files(loader, tmp_path):
    """Prints them, the worst first; the loader's alarm stops what would take SECONDS."""
    table = []
    for name, write in (HOSTILE | BOMBS | RUNS).items():
        path = tmp_path / ("file.run" if name in RUNS else "file.skrep")
        write(path)
        answers = [loader.load(path) for _ in range(3)]
        path.unlink()
        assert all(map(one_plain_error, answers)), answers
        table.append((min(answer["seconds"] for answer in answers), answers[0]["bytes"], name, answers[0]["message"]))
    for seconds, held, name, message in sorted(table, reverse=True):
        print(f"{seconds:6.3f} s  {held / 2**20:6.0f} MiB  {name:60.60s} {message[:120]}")
