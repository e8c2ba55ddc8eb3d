"""bfloat16 on processors that have it, and on those that do not."""

import warnings

import pytest
import torch

import skrep
from skrep import AutoEncoderTransformer
from skrep.engine import devices
from tests.methods import Simple

OLD = "processor\t: 0\nflags\t\t: fpu sse2 avx2 avx512f\nvmx flags\t: avx512_bf16\nbugs\t\t: none\n"
WARNING = r"precision='bfloat16' .*without bfloat16 instructions.*precision='float32'"


@pytest.fixture
def ask(monkeypatch, tmp_path):
    """What is found on a machine with such a /proc/cpuinfo."""

    def found(cpuinfo):
        path = tmp_path / "cpuinfo"
        if cpuinfo is not None:
            path.write_text(cpuinfo)
        monkeypatch.setattr(devices, "CPUINFO", path)
        return devices.computes_in_bfloat16.__wrapped__()

    return found


@pytest.fixture
def processor(monkeypatch):
    """Sets whether the processor has bfloat16 instructions."""
    return lambda has: monkeypatch.setattr(devices, "computes_in_bfloat16", lambda: has)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (OLD, False),
        (OLD.replace("avx512f", "avx512f avx512_bf16"), True),
        (OLD.replace("avx512f", "amx_bf16 amx_tile"), True),
        ("processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16\n", True),
        ("processor\t: 0\nFeatures\t: fp asimd\n", False),
    ],
    ids=["x86", "avx512_bf16", "amx_bf16", "arm bf16", "arm"],
)
def test_flags_of_processors(cpuinfo, expected, ask):
    assert ask(cpuinfo) is expected


@pytest.mark.parametrize("cpuinfo", [None, "cpu\t: POWER9\n"])
def test_where_there_are_no_flags_torch_is_asked(cpuinfo, ask, monkeypatch):
    monkeypatch.setattr(devices.platform, "machine", lambda: "AMD64")
    for has in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has, raising=False)
        assert ask(cpuinfo) is has
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported")
    assert ask(cpuinfo) is None
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False, raising=False)
    monkeypatch.setattr(devices.platform, "machine", lambda: "arm64")
    assert ask(cpuinfo) is None


def test_bfloat16_where_it_is_emulated_warns(processor, table, tmp_path):
    processor(False)
    encoder = AutoEncoderTransformer(2, hidden=(4,), max_epochs=1, precision="bfloat16", random_state=0)
    with pytest.warns(UserWarning, match=WARNING) as caught:
        encoder.fit(table)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=WARNING):
        Simple(precision="bfloat16").partial_fit(table)
    skrep.save(encoder, tmp_path / "encoder.skrep")  # saving, loading and transform train nothing
    skrep.load(tmp_path / "encoder.skrep").transform(table)


@pytest.mark.parametrize(
    ("precision", "has"), [("bfloat16", True), ("bfloat16", None), ("auto", False), ("float32", False)]
)
def test_nothing_else_warns(precision, has, processor, table):
    processor(has)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Simple(precision=precision, max_epochs=1).fit(table)
    devices.warn_if_emulated("bfloat16", torch.device("cuda"))
