"""Seconds of sides that take turns, and the memory of a fresh process."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["alternate", "peak_memory"]

PEAK = """
import sys

def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
"""


def alternate(sides: dict[str, Callable[[], Any]], runs: int, most: float = 4.0) -> dict[str, list[float]]:
    """Seconds of each side, in alternating runs after a first; what takes longer than `most` seconds runs once."""
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for run in range(runs + 1):
        for side, call in sides.items():
            if run and max(seconds[side]) > most:
                continue
            begin = time.perf_counter()
            call()
            taken = time.perf_counter() - begin
            seconds[side] = [taken] if run == 1 or not run else [*seconds[side], taken]
    return seconds


def peak_memory(code: str, *arguments: Any) -> tuple[float, float]:
    """What ``print(begin, peak())`` at the end of the code says, in a fresh process; `peak()` is in MiB."""
    command = [sys.executable, "-c", PEAK + code, *map(str, arguments)]
    begin, end = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(begin), float(end)
