"""Saving and loading a ResNet-18 encoder: bytes, seconds and peak memory beside torch.save, joblib and pickle.

Alternating runs in one process, medians; the peers write to the same folder. torch.save has the weights alone
(``state_dict``), joblib and pickle the whole estimator, as skrep does. skrep and "torch.save, synced" wait until the
disk has the bytes; the others return while they are still in the system's memory. Peak memory is measured in a process
of its own, above what is there before the call. The last column is of a small autoencoder: how many of 300 files with
one flipped bit load with other weights and without an error; pickle is left out, as it may take the process with it.
"""

import argparse
import contextlib
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import torch

import skrep
from benchmarks._options import parse
from skrep.backbones import ConvNet, ResNet


def fitted() -> Any:
    """A SimCLR encoder with ResNet-18, after one step of training."""
    X = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    return skrep.SimCLRTransformer(backbone=ResNet(18), max_epochs=1, random_state=0, device="cpu").fit(X)


def torch_save(encoder: Any, path: Path) -> None:
    torch.save(encoder.net_.module_.state_dict(), path)


def torch_save_synced(encoder: Any, path: Path) -> None:
    with open(path, "wb") as file:
        torch.save(encoder.net_.module_.state_dict(), file)
        file.flush()
        os.fsync(file.fileno())


def pickle_dump(encoder: Any, path: Path) -> None:
    with open(path, "wb") as file:
        pickle.dump(encoder, file, protocol=5)


def pickle_load(path: Path) -> Any:
    with open(path, "rb") as file:
        return pickle.load(file)


def torch_load(path: Path) -> Any:
    return torch.load(path, weights_only=True)


SIDES: dict[str, tuple[Callable[[Any, Path], Any], Callable[[Path], Any]]] = {
    "skrep": (skrep.save, skrep.load),
    "torch.save, synced": (torch_save_synced, torch_load),
    "torch.save": (torch_save, torch_load),
    "joblib": (joblib.dump, joblib.load),
    "pickle": (pickle_dump, pickle_load),
}
QUICK = {"runs": 1, "flips": 10, "peaks": ["skrep"]}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser("benchmarks persistence")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--flips", type=int, default=300, help="files with a flipped bit")
    parser.add_argument(
        "--peaks", nargs="*", choices=list(SIDES), default=list(SIDES), help="sides whose peak memory is measured"
    )
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--peak-of", nargs=3, metavar=("SIDE", "WHAT", "FILE"), help=argparse.SUPPRESS)
    options = parse(parser, arguments, QUICK)
    if options.peak_of:
        _print_peak(*options.peak_of)
        return
    encoder = fitted()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        paths = {side: Path(folder, str(i)) for i, side in enumerate(SIDES)}
        seconds: dict[tuple[str, str], list[float]] = {}
        for run in range(options.runs + 1):
            for side, (save, load) in SIDES.items():
                begin = time.perf_counter()
                save(encoder, paths[side])
                middle = time.perf_counter()
                load(paths[side])
                end = time.perf_counter()
                if run:  # the first round warms up
                    seconds.setdefault((side, "save"), []).append(middle - begin)
                    seconds.setdefault((side, "load"), []).append(end - middle)
        print(f"ResNet-18, {options.runs} alternating runs, torch {torch.__version__}\n")
        print("| | MB | save s | load s | peak of save, MiB | peak of load, MiB | flips unnoticed |")
        print("|---|---|---|---|---|---|---|")
        for side in SIDES:
            times = [f"{statistics.median(seconds[side, what]):.3f}" for what in ("save", "load")]
            measured = side in options.peaks
            peaks = [f"{_peak(side, what, paths[side]):.0f}" if measured else "" for what in ("save", "load")]
            size = f"{paths[side].stat().st_size / 1e6:.1f}"
            unnoticed = "" if side == "pickle" else str(_unnoticed(side, Path(folder, "flipped"), options.flips))
            print(f"| {' | '.join([side, size, *times, *peaks, unnoticed])} |", flush=True)


def _unnoticed(side: str, path: Path, n_files: int) -> int:
    """Of so many files with one flipped bit, how many load with other weights, without an error."""
    X = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    encoder = skrep.AutoEncoderTransformer(hidden=(64,), max_epochs=1, random_state=0).fit(X)
    save, load = SIDES[side]
    save(encoder, path)
    whole, rng, unnoticed = path.read_bytes(), np.random.default_rng(0), 0
    expected = {name: tensor.numpy().tobytes() for name, tensor in encoder.net_.module_.state_dict().items()}
    for position in rng.integers(0, len(whole), n_files):
        flipped = bytearray(whole)
        flipped[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(flipped)
        with contextlib.suppress(Exception):
            loaded = load(path)
            weights = loaded if isinstance(loaded, dict) else loaded.net_.module_.state_dict()
            unnoticed += {name: tensor.numpy().tobytes() for name, tensor in weights.items()} != expected
    return unnoticed


def _peak(side: str, what: str, path: Path) -> float:
    command = [sys.executable, "-m", "benchmarks", "persistence", "--peak-of", side, what, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def _print_peak(side: str, what: str, path: str) -> None:
    save, load = SIDES[side]
    encoder = fitted() if what == "save" else None
    tiny = skrep.SimCLRTransformer(backbone=ConvNet(1), max_epochs=1).fit(np.zeros((4, 8, 8, 1), np.float32))
    with tempfile.TemporaryDirectory() as folder:  # what is imported at the first call is not the file's
        save(tiny, Path(folder, "tiny"))
        load(Path(folder, "tiny"))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew here
    before = _resident()
    if what == "save":
        save(encoder, Path(path))
    else:
        load(Path(path))
    print((_high_water() - before) / 2**20)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _high_water() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main(sys.argv[1:])
