import json
import zipfile

import numpy as np
import pytest
import torch

from skrep.exceptions import ModelFileError
from skrep.persistence import read_state, write_state

STATE = {
    "module": {"w": torch.arange(6.0).reshape(2, 3), "half": torch.ones(3, dtype=torch.bfloat16), "n": torch.tensor(3)},
    "optimizer": {
        "state": {0: {"step": torch.tensor(2.0)}},
        "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99), "foreach": None}],
    },
    "history": [{"epoch": 1, "loss": 0.5, "best": True}],
    "array": np.array(["a", "b"]),
    "empty": torch.empty(0, 3),
    "infinity": float("inf"),
    "number": np.float64(2.5),
}


def test_round_trip(tmp_path):
    write_state(tmp_path / "state", STATE)
    read = read_state(tmp_path / "state")
    assert read["optimizer"]["param_groups"] == STATE["optimizer"]["param_groups"]
    assert read["optimizer"]["state"][0]["step"] == 2
    assert read["history"] == STATE["history"]
    for name, tensor in STATE["module"].items():
        assert read["module"][name].dtype == tensor.dtype
        assert torch.equal(read["module"][name], tensor)
    assert read["empty"].shape == (0, 3)
    assert read["infinity"] == float("inf")
    np.testing.assert_array_equal(read["array"], STATE["array"])
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_no_flipped_bit_and_no_cut_loads(tmp_path):
    write_state(tmp_path / "state", {"w": torch.arange(50.0), "n": 3})
    whole = (tmp_path / "state").read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(whole), 200):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.integers(8)
        (tmp_path / "flipped").write_bytes(flipped)
        try:
            read = read_state(tmp_path / "flipped")
        except ModelFileError:
            continue
        assert torch.equal(read["w"], torch.arange(50.0))  # bits that no reader looks at, such as a time stamp
        assert read["n"] == 3
    for end in range(0, len(whole), 37):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(ModelFileError):
            read_state(tmp_path / "cut")


def test_what_cannot_be_stored(tmp_path):
    for value in (object(), np.array([{}, object()]), lambda: 0, print):
        with pytest.raises(TypeError, match=r"\['value'\]"):
            write_state(tmp_path / "state", {"value": value})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    write_state(tmp_path / "state", {"n": 1})
    monkeypatch.setattr(
        "skrep.persistence.container.os.fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full"))
    )
    with pytest.raises(OSError, match="disk full"):
        write_state(tmp_path / "state", {"n": 2})
    monkeypatch.undo()
    assert read_state(tmp_path / "state") == {"n": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_newer_formats_and_pickles_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "newer", "w") as archive:
        archive.writestr("manifest.json", json.dumps({"format": 99, "kind": "training run", "sha256": {}}))
    with pytest.raises(ModelFileError, match=r"newer\b.*\b99\b"):
        read_state(tmp_path / "newer")
    torch.save({"w": torch.ones(1)}, tmp_path / "pickle")
    with pytest.raises(ModelFileError):
        read_state(tmp_path / "pickle")
    with pytest.raises(FileNotFoundError):
        read_state(tmp_path / "missing")
