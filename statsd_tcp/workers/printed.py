"""What a worker prints, line by line: it prints nothing unless something is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Printed"]

_LARGEST = 1 << 16


@implementer(IReadDescriptor)
class Printed:
    """The reading end of the pipe that is a worker's standard output and error. ``line`` gets each line."""

    def __init__(self, reactor: Any, descriptor: int, line: Callable[[str], None]) -> None:
        """Read ``descriptor``, which must not block, until its other end is closed; then close it."""
        self._reactor = reactor
        self._descriptor = descriptor
        self._line = line
        self._rest = b""
        reactor.addReader(self)

    def fileno(self) -> int:
        """Give the pipe's descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:
        """Name the reader in the log."""
        return "Printed"

    def doRead(self) -> None:
        """Read what is there."""
        try:
            data = os.read(self._descriptor, _LARGEST)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))
        if not data:
            self.close()

    def close(self) -> None:
        """Read what is left, and close the pipe."""
        if self._descriptor < 0:
            return
        self._reactor.removeReader(self)
        os.close(self._descriptor)
        self._descriptor = -1
        if self._rest:
            self._line(self._rest.decode(errors="replace"))
            self._rest = b""

    def connectionLost(self, reason: Failure) -> None:
        """Close it: its other end was closed, or the reactor stops."""
        self.close()
