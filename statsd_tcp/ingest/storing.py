"""Connections of a listener with ``confirm=stored``: a client is told which of its batches are stored.

::

    client   !hello 1 ID          lines, !batch 1 ...          lines, !batch 2 ...
    server              !node UUID                 !stored 1 ...                  !stored 2 ...

docs/confirm.md is the protocol. A connection whose first line is no control line is one like any other.

state        the client may     ends with
bare         send lines         as any other
taking       send batches       `leave`, or a break
leaving      send in vain       the last confirmation: then the server ends its side
farewell     end its side       that, or `FAREWELL`
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.ingest.batch_stream import BatchStream
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.protocol import FAREWELL, LineFactory, LineProtocol
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.wire.batches import MOST_UNDER_WAY, Batch, Refusal

__all__ = ["Storing", "StoringProtocol"]


class _Answers:
    """Stands for the answers of a connection at its transport: a client that does not read them is cut off."""

    def __init__(self, protocol: Storing) -> None:
        self._protocol = protocol

    def pauseProducing(self) -> None:
        """Cut the client off: many answers wait to be read."""
        self._protocol.cut_off()

    def resumeProducing(self) -> None:
        """Note that they have gone."""

    def stopProducing(self) -> None:
        """Note that the connection is gone."""


class Storing(LineProtocol):
    """One client that is told what is stored."""

    stream: BatchStream

    def __init__(self, batches: BatchIntake, factory: LineFactory, stream: LineStream, brought: int) -> None:
        """Bring batches to ``batches``; the other arguments are as for all connections."""
        super().__init__(factory, BatchStream(stream, self), brought)
        self._batches = batches
        self._under_way = 0
        self._leaves_for = 0
        self._is_at_end = False
        self._is_gone = False

    def connectionMade(self) -> None:
        """Join the factory's connections."""
        super().connectionMade()
        self._transport().registerProducer(_Answers(self), True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count why it ended. What was read is stored, and the client is not told."""
        self._is_gone = True
        self._batches.forget(self)
        super().connectionLost(reason)

    # What the stream finds.

    def hello(self) -> None:
        """Greet a client that has said who it is."""
        self._batches.greet(self)

    def take(self, batch: Batch) -> None:
        """Take a batch, unless too many of this client's wait."""
        if self._under_way >= MOST_UNDER_WAY:
            self.refuse(Refusal(batch.key.sequence, "window", b"!batch %d" % batch.key.sequence))
        elif not self._leaves_for:
            self._under_way += 1
            self._batches.take(self.stream.index, batch, self, self.stream.origin)

    def refuse(self, refusal: Refusal) -> None:
        """Tell the client that what it sent is no batch, and end the connection."""
        self._batches.refuse(self.stream.index, refusal)
        self._say(b"!refused %d %s\n" % (refusal.sequence, refusal.reason.encode()))
        self.leave(self.factory.indexes.error)

    # What the store says.

    def greet(self, node: str) -> None:
        """Tell the client which node it is."""
        self._say(b"!node %s\n" % node.encode())

    def confirm(self, sequence: int, good: int, bad: int) -> None:
        """Tell the client that a batch is stored."""
        self._say(b"!stored %d %d %d\n" % (sequence, good, bad))
        self._under_way -= 1
        self._go_if_told()

    def leave_unconfirmed(self) -> None:
        """End the connection: the client has to send again what is not confirmed."""
        if not (self._is_gone or self.is_ending):
            self.end(self.factory.indexes.error)

    # How the connection ends.

    def leave(self, reason: int) -> None:
        """Take nothing more, and end the connection when all that was taken is confirmed."""
        if not self._leaves_for:
            self._leaves_for = reason
            self.stream.stop()
            self._go_if_told()

    def client_ended(self) -> None:
        """End the connection, too, when all is confirmed: the client has ended its side."""
        self._is_at_end = True
        if self.stream.is_bare and not self._leaves_for:
            self.close(self.factory.indexes.eof)
        elif self._leaves_for:
            self._go_if_told()
        else:
            self.leave(self.factory.indexes.eof)

    def part_for_age(self, now: int) -> None:
        """Let the connection go, because it is too old."""
        if self.stream.is_bare:
            super().part_for_age(now)
        else:
            self.leaves_at = 0
            self.leave(self.factory.indexes.max_age)

    def part(self, reason: int) -> None:
        """Read what has come, and close the connection at once; one that waits for its answers is not idle."""
        if not (self._under_way and reason == self.factory.indexes.idle):
            super().part(reason)

    def drain(self, reason: int) -> None:
        """Read what has come, and close the connection when it is confirmed."""
        ended = self.read_rest()
        indexes = self.factory.indexes
        if not self._under_way or self.stream.intake.is_full or ended not in {0, indexes.eof}:
            self.close(reason if self.stream.intake.is_full else ended or reason)
            return
        self._is_at_end = ended == indexes.eof
        self.leave(reason)

    def end(self, reason: int) -> None:
        """Close the connection when the answers are sent."""
        self._transport().unregisterProducer()
        super().end(reason)

    def end_side(self, reason: int) -> None:
        """End our side when the answers are sent. Of TLS there is no half."""
        self.end(reason)

    def cut_off(self) -> None:
        """End the connection at once, with what waits to be sent."""
        self._reason = self.factory.indexes.error
        self._transport().abortConnection()

    def _go_if_told(self) -> None:
        if not self._leaves_for or self._under_way or self.is_ending or self._is_gone:
            return
        if self._is_at_end:
            self.end(self._leaves_for)
        else:
            self.end_side(self._leaves_for)

    def _say(self, words: bytes) -> None:
        self._transport().write(words)

    def _transport(self) -> Any:
        return self.transport

    def _first(self, stream: LineStream, data: bytes) -> LineStream:
        """Return the stream to go on with when the first bytes come: it judges them itself."""
        return stream


@implementer(IHalfCloseableProtocol)
class StoringProtocol(Storing):
    """One such client, without TLS."""

    _farewell: IDelayedCall | None = None

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count why it ended."""
        if self._farewell is not None and self._farewell.active():
            self._farewell.cancel()
        super().connectionLost(reason)

    def readConnectionLost(self) -> None:
        """Note that the client has ended its side."""
        self.client_ended()

    def writeConnectionLost(self) -> None:
        """Go on reading."""

    def end_side(self, reason: int) -> None:
        """End our side, and wait for the client: closing with unread data sends a reset, which overtakes answers."""
        if self._farewell is None:
            transport = self._transport()
            transport.unregisterProducer()
            transport.loseWriteConnection()
            self._farewell = self.factory.reactor.callLater(FAREWELL, self.close, reason)
