"""Connections in memory that remember how they were ended."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import connectionDone
from twisted.internet.testing import StringTransport

__all__ = ["Transport"]


class Transport(StringTransport):
    """A connection of which nothing is unread."""

    aborted = False
    parted = False

    def abortConnection(self) -> None:
        """Remember that."""
        self.aborted = True

    def getHandle(self) -> Transport:
        """Return what stands for the socket."""
        return self

    def recv(self, size: int) -> bytes:
        """Have nothing."""
        raise BlockingIOError

    def doWrite(self) -> None:
        """Do nothing: all is written."""

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """Remember that it was closed at once, in good order."""
        self.parted = True
