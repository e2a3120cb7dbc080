r"""Confirmation: a client that has ended its side is told that all that it sent is in a journal.

::

    client   lines ... FIN
    server                 ok\n FIN

The end of a connection alone says less: it may be that of a worker's life, or a balancer's.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from zope.interface import implementer

from statsd_tcp.ingest.protocol import LineProtocol

__all__ = ["CONFIRMATION", "ConfirmingProtocol", "confirm"]

CONFIRMATION = b"ok\n"

# Nothing was sent before, so that there is room for it; a client that is gone can get no signal raised here.
_AT_ONCE = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


def confirm(connection: Any) -> None:
    """Send the confirmation, if the client still takes it."""
    with suppress(OSError):
        connection.send(CONFIRMATION, _AT_ONCE)


@implementer(IHalfCloseableProtocol)
class ConfirmingProtocol(LineProtocol):
    """One long-lived client that gets a confirmation. It is not closed for its age, as it could not get one then."""

    ages = False

    def readConnectionLost(self) -> None:
        """Take what the client has left unterminated, confirm and close."""
        self.close(self.factory.indexes.eof)

    def writeConnectionLost(self) -> None:
        """Go on reading."""

    def close(self, reason: int) -> None:
        """Close the connection. If the client has ended its side, it is told first."""
        eof = self.factory.indexes.eof
        if reason == eof:
            self.stream.finish(clean=True)
            if self.stream.counted_as(eof) == eof:
                confirm(self.connection())
        super().close(reason)
