"""A socket that the reactor watches while its moderator says so: what all lanes share."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.ingest.moderation import Moderator

__all__ = ["Watched"]


_Port = TypeVar("_Port", socket.socket, select.epoll)


@implementer(IReadDescriptor)
class Watched(Generic[_Port]):
    """A reader of one socket, which its moderator has watched at rest and polls by itself under load.

    ``lost`` is called when the reactor drops the reader because a poll raised: nothing would read from then on.
    """

    def __init__(self, reactor: Any, port: _Port, moderator: Moderator, lost: Callable[[Failure], None]) -> None:
        """Read ``port``, which must not block, from `start` on. An epoll is readable when one of its sockets is."""
        self._reactor = reactor
        self._port: Any = port
        self._moderator = moderator
        self._lost = lost
        self._watched = False
        self._stopped = False

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        descriptor: int = self._port.fileno()
        return descriptor

    def logPrefix(self) -> str:
        """Name the lane in the log."""
        return type(self).__name__

    def doRead(self) -> None:
        """Take what waits."""
        self._moderator.woken(self)

    def connectionLost(self, reason: Failure) -> None:
        """Report that the reactor has dropped this reader, which happens only when `doRead` raises."""
        self._lost(reason)

    def watch(self) -> None:
        """Let the reactor watch the socket."""
        if not self._watched:
            self._watched = True
            self._reactor.addReader(self)

    def unwatch(self) -> None:
        """Leave the socket unwatched."""
        if self._watched:
            self._watched = False
            self._reactor.removeReader(self)

    def poll(self) -> int:
        """Take what is there, up to the budget, and return how much it was."""
        raise NotImplementedError

    def start(self) -> None:
        """Start reading."""
        self._moderator.add(self)

    def stop(self) -> None:
        """Stop reading for good; only a call of `poll` still reads."""
        self._stopped = True
        self._moderator.remove(self)

    def let_go(self) -> None:
        """Close this process's own descriptor of the socket, after `stop`; others may go on with theirs."""
        self._port.close()
