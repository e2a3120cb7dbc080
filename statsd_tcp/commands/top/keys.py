"""Single keys from a terminal, without echo and without waiting for a newline."""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Self

__all__ = ["Keys"]


class Keys:
    """While entered, keys come at once. Where the standard input is no terminal there are none."""

    def __init__(self) -> None:
        self._descriptor = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        """Take hold of the terminal."""
        if self._descriptor is not None:
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        if self._descriptor is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def pressed(self, seconds: float) -> str:
        """Wait for so long, and return the keys that were pressed; at once when one is."""
        ready, _, _ = select.select([] if self._descriptor is None else [self._descriptor], [], [], seconds)
        return os.read(ready[0], 64).decode("utf-8", "replace") if ready else ""
