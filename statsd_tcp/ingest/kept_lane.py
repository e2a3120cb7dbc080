"""The lane of the connections that stay: they wait in an epoll of their own, which is polled as one more socket is.

A reactor wakes for each line of a thousand clients that send one now and then. Here these wake-ups are moderated as
those of new connections are: the reactor watches the epoll at rest, and under load the moderator polls it.

Each connection keeps its transport, which reads when it is told to, and pauses, writes and ends as ever. Only where it
waits to become readable is changed.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableDescriptor, IReadDescriptor
from twisted.python import log
from twisted.python.failure import Failure

from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.watched import Watched

__all__ = ["KeptLane"]

BUDGET = 256
"""Connections read in one poll, so that accepting and timers get their turn. Those left over come first in the next."""


class KeptLane(Watched[select.epoll]):
    """The connections of one worker that wait for their clients."""

    def __init__(self, reactor: Any, moderator: Moderator, lost: Callable[[Failure], None]) -> None:
        """Wait for none yet. The arguments are those of every socket that a moderator looks after."""
        self._epoll = select.epoll()
        super().__init__(reactor, self._epoll, moderator, lost)
        self._readers: dict[int, IReadDescriptor] = {}
        self._stand_in = _Reactor(self, reactor)

    def keep(self, transport: Any) -> None:
        """Have a transport of the reactor wait here for what there is to read from now on, if the kernel has room."""
        reactor = transport.reactor
        transport.stopReading()
        transport.reactor = self._stand_in
        try:
            transport.startReading()
        except OSError:
            # Out of memory, or of the user's share of watches, see epoll(7).
            transport.reactor = reactor
            transport.startReading()

    def start(self) -> None:
        """Be looked after by the moderator, if there is a connection: else there is nothing to poll."""
        if self._readers:
            super().start()

    def addReader(self, reader: IReadDescriptor) -> None:
        """Wait until there is something to read, as a reactor would."""
        descriptor = reader.fileno()
        if descriptor not in self._readers:
            self._epoll.register(descriptor, select.EPOLLIN)
            self._readers[descriptor] = reader
            self.start()

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Wait no longer, as a reactor would. Of a reader that is closed already nothing is left here."""
        descriptor = reader.fileno()
        if self._readers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
            if not self._readers:
                self._moderator.remove(self)

    def poll(self) -> int:
        """Read from those that have something, and return their number."""
        found = self._epoll.poll(0, BUDGET)
        for descriptor, _ in found:
            reader = self._readers.get(descriptor)
            # Else reading was paused meanwhile, or the connection closed, by what was read of another one.
            if reader is not None:
                self._call(reader, reader.doRead)
        return len(found)

    def _call(self, reader: IReadDescriptor, read: Callable[[], Any]) -> None:
        """Have a connection take what has come, and end it if that says why it has to."""
        why: Any
        try:
            why = read()
        except Exception as error:  # noqa: BLE001  (a fault costs its own connection, as with the reactor)
            log.err()
            why = error
        if why is not None:
            self._disconnect(reader, why)

    def _disconnect(self, reader: Any, why: Any) -> None:
        self.removeReader(reader)
        if isinstance(why, ConnectionDone) and IHalfCloseableDescriptor.providedBy(reader):
            reader.readConnectionLost(Failure(why))
        else:
            reader.reactor.removeWriter(reader)
            reader.connectionLost(Failure(why))


class _Reactor:
    """A reactor, but for the reading: what a transport is told is one."""

    def __init__(self, lane: KeptLane, reactor: Any) -> None:
        self.addReader = lane.addReader
        self.removeReader = lane.removeReader
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        """Return what the reactor does."""
        return getattr(self._reactor, name)
