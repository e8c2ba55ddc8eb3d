"""Where training runs, and in which precision."""

import functools
import platform
import warnings
from pathlib import Path

import torch

from skrep.engine.ranks import local_rank

__all__ = ["resolve_device", "resolve_precision", "warn_if_emulated"]

CPUINFO = Path("/proc/cpuinfo")

# What a processor with bfloat16 instructions has among its flags: x86 the first two, Arm the last.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def resolve_device(device: str) -> torch.device:
    """Turn a ``device`` parameter into a torch device.

    Parameters
    ----------
    device : str
        "auto" takes the first of CUDA, Apple's MPS and the CPU that is there; else any name that torch knows. Of
        several processes under torchrun each takes a GPU of its own.

    Raises
    ------
    ValueError
        If torch does not know the name, or the device is not there.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        if found.type == "cuda" and found.index is None:
            found = torch.device("cuda", local_rank())
        torch.empty(1, device=found).cpu()  # "meta" has no numbers to give back
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used here ({reason}). Use 'auto' or 'cpu', or install a torch build for it."
        ) from None
    return found


def resolve_precision(precision: str, device: torch.device) -> torch.dtype:
    """Turn a ``precision`` parameter into the dtype of the forward pass in training.

    "auto" is bfloat16 on CUDA devices that compute in it and float32 elsewhere: on a CPU it only pays where the
    processor has bfloat16 instructions, and which one that is should not decide what a model learns.
    """
    if precision == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def warn_if_emulated(precision: str, device: torch.device) -> None:
    """Warn of ``precision="bfloat16"`` where the processor has no instructions for it.

    Warns
    -----
    UserWarning
        By the processor's flags, never by a timing; nothing where they are not known.
    """
    if precision == "bfloat16" and device.type == "cpu" and computes_in_bfloat16() is False:
        warnings.warn(
            "precision='bfloat16' on a processor without bfloat16 instructions: torch emulates them, and training can "
            "take 40 times as long as in float32. Use precision='float32'.",
            UserWarning,
            stacklevel=5,
        )


@functools.cache
def computes_in_bfloat16() -> bool | None:
    """Whether the processor has bfloat16 instructions; None where that is not known."""
    try:
        lines = CPUINFO.read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    for key, _, flags in (line.partition(":") for line in lines):
        if key.strip().lower() in ("flags", "features"):
            return bool(BFLOAT16_FLAGS & set(flags.split()))
    ask = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # private, and not in every torch
    return bool(ask()) if ask is not None and platform.machine().lower() in ("x86_64", "amd64") else None
