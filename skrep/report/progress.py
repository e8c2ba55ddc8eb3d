"""What is going on, on stderr."""

import time
from typing import TextIO

__all__ = ["Progress"]


class Progress:
    """Which encoder is at work, how far its training is, and how long it will still take.

    On a terminal there is one line an encoder, written over; elsewhere a line at a time, at most every ten seconds
    while an encoder is trained.

    Parameters
    ----------
    stream : text file
        Usually ``sys.stderr``.
    """

    def __init__(self, stream: TextIO):
        self._stream, self._is_terminal = stream, stream.isatty()
        self._name: str | None = None

    def __call__(self, name: str, epoch: int, n_epochs: int | None) -> None:
        """Take note of an encoder that begins (epoch 0) or of an epoch that ended, as ``compare`` tells them."""
        now = time.monotonic()
        if epoch == 0:
            self.close()
            self._name, self._began, self._written, self._width = name, now, now, 0
            self._write("...")
        elif self._is_terminal or now - self._written > 10:
            if n_epochs is None:
                self._write(f"epoch {epoch}")
            else:
                left = (now - self._began) / epoch * (n_epochs - epoch)
                self._write(f"epoch {epoch}/{n_epochs}, about {left:.0f} s left")
            self._written = now

    def close(self) -> None:
        """End the line of the encoder that was at work."""
        if self._name is not None:
            self._write(f"{time.monotonic() - self._began:.1f} s")
            if self._is_terminal:
                self._stream.write("\n")
            self._name = None

    def _write(self, text: str) -> None:
        line = f"  {self._name}: {text}"
        self._stream.write(f"\r{line:<{self._width}}" if self._is_terminal else f"{line}\n")
        self._stream.flush()
        self._width = len(line)
