"""The ordinary lane: Factory and Protocol for the connections that take longer than a few milliseconds."""

from __future__ import annotations

import errno
import os
import random
import socket
import time
from _socket import socket as raw_socket
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any, cast

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, IDelayedCall, IFileDescriptorReceiver, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.intake import SHARE
from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.line_lane import READS_AT_THE_END
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.ingest.proxied import UnaskedStream
from statsd_tcp.ingest.proxy_header import SIGNATURE
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.kernel.peers import Source, source_of
from statsd_tcp.ledger.cells import ListenerCells

__all__ = ["LineFactory", "LineProtocol", "MakeProtocol"]

SWEEPS_PER_TIMEOUT = 8
"""An idle connection is closed after the timeout and at most an eighth of it more."""

HEADER_TIMEOUT = 10.0
"""Seconds in which the header of a listener with ``proxy=`` must be whole: as long as a handshake of TLS may take."""

SHORTEST_LIFE = 0.75
"""A connection is closed for its age after at least this part of the greatest one. What has come at one time, when a
server behind a balancer has started, would else come back at one time."""

FAREWELL = 5.0
"""Seconds in which a client that was told that its connection is too old may send what is under way, and end it."""

CLOSED_AT_ONCE = 256
"""Connections closed by one sweep, some ten milliseconds. If there are more, the next sweep comes at once."""


@implementer(IFileDescriptorReceiver)
class LineProtocol(Protocol):
    """One long-lived client. Its bytes go where the accept lane's go."""

    ages = True
    """Whether it may be closed for its age."""

    leaves_at = 0
    """When it is closed for its age, as ``heard``; 0: never."""

    is_leaving = False
    """Whether the client was told that it is."""

    def __init__(self, factory: LineFactory, stream: LineStream, brought: int) -> None:
        """Continue a stream of which ``brought`` bytes were read."""
        self.factory: LineFactory = factory
        self.stream = stream
        self.silent = not brought
        self.begun = self.heard = stream.intake.tick
        self.source: Source | None = None
        self._reason = 0
        self._turn, self._brought = stream.intake.turn, brought
        self.is_held = False

    @property
    def is_ending(self) -> bool:
        """Return whether the connection is being closed already."""
        return self._reason != 0

    def connectionMade(self) -> None:
        """Join the factory's connections. One that has brought much, while the journal has little room, has to wait."""
        self.factory.joined(self)
        if self.stream.intake.is_scarce:
            self.hold()

    def dataReceived(self, data: bytes) -> None:
        """Take what the client sent."""
        stream = self.stream
        if self.silent:
            self.silent = False
            stream = self._first(stream, data)
        intake = stream.intake
        intake.tick = time.monotonic_ns()
        self.note_read(len(data))
        if not stream.feed(data):
            self.end(self.factory.indexes.error)
        if intake.is_scarce:
            self.hold()
        self.factory.moderator.settle_soon()

    @property
    def is_plain(self) -> bool:
        """Return whether a read that ends a line may go into the journal as it is."""
        return not (self.silent or self.is_ending) and self.stream.is_between_lines

    def note_read(self, size: int) -> None:
        """Note that the client has sent something."""
        intake = self.stream.intake
        self.heard = intake.tick
        if self._turn != intake.turn:
            self._turn, self._brought = intake.turn, 0
        self._brought += size

    def hold(self) -> None:
        """Read nothing more, until `release`, if since the last commit it has brought its share."""
        if self._brought >= SHARE and self._turn == self.stream.intake.turn and not self.is_held:
            self.is_held = True
            _pause(self)

    def release(self) -> None:
        """Read again, unless reading is paused. That it was not read meanwhile is not its silence."""
        if self.is_held:
            self.is_held = False
            self.heard = time.monotonic_ns()
            if not self.factory.is_paused:
                _producer(self).resumeProducing()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Count why it ended; after a clean end by the client an unterminated line counts."""
        indexes = self.factory.indexes
        ended = self._reason or self.reason_of(reason)
        self.stream.finish(clean=ended == indexes.eof)
        self.factory.moderator.settle_soon()
        if self.is_leaving and ended == indexes.eof:
            ended = indexes.max_age
        self.factory.left(self, self.stream.counted_as(ended))

    def reason_of(self, lost: Failure) -> int:
        """Return the cell of the reason for which the other side, or the network, has ended the connection."""
        return self.factory.indexes.eof if lost.check(ConnectionDone) else self.factory.indexes.reset

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Close what a client has sent over a Unix socket besides its lines."""
        os.close(descriptor)

    def end(self, reason: int) -> None:
        """Close the connection for a reason of ours, given as its cell."""
        self._reason = reason
        if self.transport is not None:
            if self.stream.is_reset:
                cast("Any", self.transport).abortConnection()
            else:
                self.transport.loseConnection()

    def drain(self, reason: int) -> None:
        """Read what has come, and close the connection at once: what it leaves behind may fill the journal."""
        ended = self.read_rest()
        self.close(reason if self.stream.intake.is_full else ended or reason)

    def part(self, reason: int) -> None:
        """Read what has come, and close the connection at once: whatever came in between would have it reset.

        While the journal is full it stays as it is, because what has come cannot be read.
        """
        ended = self.read_rest()
        if not self.stream.intake.is_full:
            self.close(self._reason or ended or reason)

    def evict(self) -> None:
        """Close the connection because its source holds too many."""
        self.part(self.factory.indexes.evicted)

    def part_for_age(self, now: int) -> None:
        """Tell the client that the connection is too old, and close it a little later, or when the client does."""
        if self.is_leaving:
            self.part(self.factory.indexes.max_age)
            return
        self.is_leaving = True
        self.leaves_at = now + int(FAREWELL * NANOSECONDS)
        with suppress(OSError):
            self.connection().shutdown(socket.SHUT_WR)

    def find_source(self) -> None:
        """Find out where the client is, as far as that can be known yet."""
        if not self.stream.awaits_header:
            self.source = self.stream.source or source_of(self.connection())

    def connection(self) -> Any:
        """Return the connection's socket."""
        return cast("Any", self.transport).getHandle()

    def close(self, reason: int) -> None:
        """Close the connection for a reason of ours, given as its cell, without waiting for the reactor's next turn."""
        self._reason = reason
        cast("Any", self.transport).connectionLost(connectionDone)

    def _first(self, stream: LineStream, data: bytes) -> LineStream:
        """Return the stream to go on with when the first bytes come only now."""
        if data.startswith(SIGNATURE) and not stream.awaits_header:
            self.stream = UnaskedStream(stream, data)
        return self.stream

    def read_rest(self) -> int:
        """Read without waiting; return the cell of the reason if the client has ended the connection, else 0."""
        receive = self.connection().recv
        for _ in range(READS_AT_THE_END):
            if self.stream.intake.is_full:
                break
            try:
                data = receive(RECEIVE_SIZE)
            except BlockingIOError:
                break
            except OSError as error:
                indexes = self.factory.indexes
                return indexes.reset if error.errno == errno.ECONNRESET else indexes.error
            if not data:
                return self.factory.indexes.eof
            if not self.stream.feed(data):
                return self.factory.indexes.error
        return 0


MakeProtocol = Callable[["LineFactory", LineStream, int], LineProtocol]
"""Makes the protocol that goes on with a stream of which that many bytes were read."""


class LineFactory(Factory):
    """The long-lived connections of one listener, with one sweep for all of them instead of a timer for each."""

    noisy = False
    ordinary: type[LineProtocol] = LineProtocol

    def __init__(
        self,
        reactor: Any,
        cells: memoryview,
        indexes: ListenerCells,
        moderator: Moderator,
        occupancy: Occupancy,
        idle_timeout: float,
        first_byte_timeout: float = 0.0,
        max_age: float = 0.0,
        *,
        is_headed: bool = False,
        protocol: MakeProtocol | None = None,
        keep: Callable[[Any], None] | None = None,
    ) -> None:
        """Close connections after ``idle_timeout`` seconds without a byte, and after ``max_age`` in any case; 0: never.

        While places are scarce those that never sent one are closed after ``first_byte_timeout`` seconds; 0: never.
        ``is_headed``: connections begin with a header, for which there is a timeout too. ``protocol`` makes the
        protocol of a connection. ``keep`` is told of each transport, which may wait elsewhere than in the reactor.
        """
        self.reactor = reactor
        self._cells = cells
        self.indexes = indexes
        self._closed_by_us = frozenset((indexes.idle, indexes.first_byte, indexes.max_age, indexes.evicted))
        self.moderator = moderator
        self._occupancy = occupancy
        self._idle = int(idle_timeout * NANOSECONDS)
        self._first_byte = int(first_byte_timeout * NANOSECONDS)
        self._max_age = int(max_age * NANOSECONDS)
        self.is_headed = is_headed
        self._make: MakeProtocol = protocol or self.ordinary
        self._keep = keep
        times = (idle_timeout, first_byte_timeout, max_age, HEADER_TIMEOUT if is_headed else 0.0)
        self._between_sweeps = min(filter(None, times)) / SWEEPS_PER_TIMEOUT
        self._protocols: set[LineProtocol] = set()
        self._sweep: IDelayedCall | None = None
        self._handed: LineStream | None = None
        self._brought = 0
        self.is_paused = False

    @property
    def kept(self) -> Collection[LineProtocol]:
        """All connections."""
        return self._protocols

    def hand_over(self, connection: raw_socket, stream: LineStream, brought: int) -> None:
        """Make a transport of a connection of the accept lane; raises `OSError` when that cannot be done."""
        connection.setblocking(False)
        self._handed, self._brought = stream, brought
        self.reactor.adoptStreamConnection(connection.fileno(), connection.family, self)
        connection.close()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the protocol of the connection that is being handed over."""
        stream, self._handed = self._handed, None
        assert stream is not None  # noqa: S101  (only `hand_over` leads here)
        return self.make_protocol(stream, self._brought)

    def make_protocol(self, stream: LineStream, brought: int) -> LineProtocol:
        """Make the protocol that goes on with a stream."""
        return self._make(self, stream, brought)

    def joined(self, protocol: LineProtocol) -> None:
        """Note a new connection."""
        self._protocols.add(protocol)
        if self._keep is not None:
            self._keep(protocol.transport)
        if self._max_age and protocol.ages:
            protocol.leaves_at = protocol.begun + int(self._max_age * random.uniform(SHORTEST_LIFE, 1.0))  # noqa: S311
        if self.is_paused:
            _pause(protocol)
        if self._sweep is None:
            self._sweep = self.reactor.callLater(self._between_sweeps, self._sweep_idle)

    def left(self, protocol: LineProtocol, reason: int) -> None:
        """Note the end of one."""
        self._protocols.discard(protocol)
        protocol.stream.note_end(reset=reason == self.indexes.reset, evicted=reason in self._closed_by_us)
        self._cells[reason] += 1
        protocol.stream.leave()
        self._occupancy.leave()

    def pause(self) -> None:
        """Read from none of the connections, until `resume`."""
        self.is_paused = True
        for protocol in self._protocols:
            _pause(protocol)

    def resume(self) -> None:
        """Read from all of them again that are not held. That they were not read meanwhile is not their silence."""
        self.is_paused = False
        now = time.monotonic_ns()
        for protocol in self._protocols:
            protocol.heard = now
            if protocol.stream.awaits_header:
                protocol.begun = now
            if not protocol.is_held:
                _producer(protocol).resumeProducing()

    def hold(self) -> None:
        """Read nothing more from those that bring much, until `release`."""
        for protocol in self._protocols:
            protocol.hold()

    def release(self) -> None:
        """Read from them again."""
        for protocol in self._protocols:
            protocol.release()

    def retire(self) -> None:
        """Keep the open connections: none will be added, so their places are not scarce."""
        self._first_byte = 0

    def drain(self) -> None:
        """Read what has come on every connection, and end them all."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for protocol in list(self._protocols):
            protocol.drain(self.indexes.shutdown)

    def abandon(self) -> None:
        """End those that are left after that at once."""
        for protocol in list(self._protocols):
            protocol.close(self.indexes.shutdown)

    def _sweep_idle(self) -> None:
        self._sweep = None
        now = time.monotonic_ns()
        due = [] if self.is_paused else self._due(now)
        for protocol, reason in due[:CLOSED_AT_ONCE]:
            if protocol in self._protocols:  # else it was due for another reason, too
                protocol.part(reason) if reason else protocol.part_for_age(now)
        if self._protocols:
            later = self._between_sweeps if len(due) <= CLOSED_AT_ONCE else 0.0
            self._sweep = self.reactor.callLater(later, self._sweep_idle)

    def _due(self, now: int) -> list[tuple[LineProtocol, int]]:
        """Find the connections whose time is over, and why it is; 0: for their age."""
        idle = now - self._idle
        due = [(one, self.indexes.idle) for one in self._protocols if one.heard < idle and not one.is_held]
        if self._first_byte and self._occupancy.is_scarce:
            late = now - self._first_byte
            silent = (one for one in self._protocols if one.silent and idle <= one.heard < late)
            due += [(one, self.indexes.first_byte) for one in silent]
        return [*due, *self._late_headers(now, idle), *self._aged(now, idle)]

    def _late_headers(self, now: int, idle: int) -> Iterator[tuple[LineProtocol, int]]:
        """Find those whose header is late; what is not idle yet is counted as if it were."""
        late = now - int(HEADER_TIMEOUT * NANOSECONDS)
        for one in self._protocols if self.is_headed else ():
            if one.begun < late and one.stream.awaits_header and one.heard >= idle:
                yield one, self.indexes.idle

    def _aged(self, now: int, idle: int) -> Iterator[tuple[LineProtocol, int]]:
        for one in self._protocols if self._max_age else ():
            if one.leaves_at and one.leaves_at < now and one.heard >= idle and not one.is_held:
                yield one, 0


def _producer(protocol: LineProtocol) -> IPushProducer:
    return cast("IPushProducer", protocol.transport)


def _pause(protocol: LineProtocol) -> None:
    _producer(protocol).pauseProducing()
