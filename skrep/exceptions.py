"""The errors and warnings that are skrep's own."""

__all__ = ["CheckpointWarning", "CollapseWarning", "DivergedError", "DeviceMemoryError", "ModelFileError"]


class DivergedError(ArithmeticError):
    """Training produced a loss or weights that are not finite.

    The message names the epoch, the learning rate at that point and what to change. The estimator keeps the
    state that it had before the call.
    """


class DeviceMemoryError(MemoryError):
    """The accelerator ran out of memory; the message names a batch size that fits."""


class ModelFileError(ValueError):
    """A file is not what skrep wrote: damaged, truncated, of a newer format, or something else altogether."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be used, and training began afresh."""


class CollapseWarning(UserWarning):
    """A network gives all rows nearly the same projection, and so learns nothing more."""
