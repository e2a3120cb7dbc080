"""The datagram lane: drains a UDP socket in batches."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.wire.framing import frame_datagram

__all__ = ["DatagramLane"]

BUDGET = 256
"""Datagrams read in one look."""

BATCH_SIZE = 49152
"""Bytes of lines that are given on together, so that many small datagrams share one frame of the journal."""

LARGEST = 65536
_DONTWAIT = socket.MSG_DONTWAIT


@implementer(IReadDescriptor)
class DatagramLane:
    """One UDP socket. ``lost`` is called when the reactor drops the lane because a look raised."""

    def __init__(
        self,
        reactor: Any,
        port: socket.socket,
        intake: Intake,
        index: int,
        moderator: Moderator,
        lost: Callable[[Failure], None],
    ) -> None:
        """Give the lines to ``intake`` as those of the listener ``index``."""
        self._reactor = reactor
        self._port = port
        self._intake = intake
        self._index = index
        self._moderator = moderator
        self._lost = lost
        self._watched = False
        self._stopped = False

    def fileno(self) -> int:
        """Give the socket's descriptor."""
        return self._port.fileno()

    def logPrefix(self) -> str:
        """Name the lane in the log."""
        return type(self).__name__

    def doRead(self) -> None:
        """Take what waits."""
        self._moderator.woken(self)

    def connectionLost(self, reason: Failure) -> None:
        """Tell that the reactor has dropped this reader, which happens only when `doRead` raises."""
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

    def start(self) -> None:
        """Begin to read."""
        self._moderator.add(self)

    def pause(self, why: str) -> None:
        """Read nothing, until `resume`: the kernel's buffer fills, and then drops, which it counts."""
        self._moderator.remove(self)

    def resume(self, why: str) -> None:
        """Read again, unless it was stopped meanwhile."""
        if not self._stopped:
            self._moderator.add(self)

    def look(self) -> int:
        """Read up to the budget, and say how many datagrams it were."""
        taken = 0
        while taken < BUDGET and not self._intake.is_full:
            count = self._batch(BUDGET - taken)
            if not count:
                break
            taken += count
        return taken

    def stop(self) -> None:
        """Read no more, for good, but for what `look` is called for."""
        self._stopped = True
        self._moderator.remove(self)

    def _batch(self, most: int) -> int:
        receive, chunks, size, received, count = self._port.recv, [], 0, 0, 0
        try:
            while count < most and size < BATCH_SIZE:
                data = receive(LARGEST, _DONTWAIT)
                count += 1
                received += len(data)
                chunk = frame_datagram(data)
                size += len(chunk)
                chunks.append(chunk)
        except BlockingIOError:
            pass
        except OSError:
            # An error queued on the socket (an ICMP answer, say) is reported once and concerns no datagram.
            count += not count
        if chunks:
            self._intake.take(self._index, b"".join(chunks), received, count)
        return count
