"""Where training runs, and in which precision."""

import torch

from skrep.engine.ranks import local_rank

__all__ = ["resolve_device", "resolve_precision"]


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
