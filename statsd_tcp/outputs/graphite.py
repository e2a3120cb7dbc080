"""Graphite: each flush over a connection of its own to carbon, in its text or its pickle protocol.

Neither protocol has an answer. But a peer that has read everything up to our end closes its own side, in good
order, and one that died or was cut off does not: so a flush counts as written when the connection has ended well on
both sides, theirs after ours. Otherwise all of it is sent again, which does no harm: carbon keeps one value for each
name and time.

Some peers never close their side. When a flush has come to that twice, each time acknowledged by the peer's kernel to
our end, it counts as written, and from then on a flush counts so two seconds after it was acknowledged. That ends with
the first connection that the peer closes.
"""

from __future__ import annotations

import array
import fcntl
import pickle  # written here, and never read by us
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IPullProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.outputs.graphite_names import OwnNumbers, Point, points
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.settings.graphite import GraphiteTarget
from statsd_tcp.words import in_words

__all__ = ["Graphite", "NotTakenError", "as_lines", "as_pickles", "unacknowledged"]

_LINES = 500
"""Points in one chunk: less than a millisecond's work, and a pickle far below the megabyte that carbon takes."""

_EXACT = 1e15
"""Whole numbers up to that are written without a point, as etsy's server writes them."""


def as_lines(points: Iterator[Point], timestamp: int) -> Iterator[bytes]:
    """Write points as lines, in chunks."""
    tail = f" {timestamp}\n"
    while chunk := list(islice(points, _LINES)):
        yield "".join([f"{path} {_number(value)}{tail}" for path, value in chunk]).encode()


def as_pickles(points: Iterator[Point], timestamp: int) -> Iterator[bytes]:
    """Write points as pickles, in chunks."""
    while chunk := list(islice(points, _LINES)):
        payload = pickle.dumps([(path, (timestamp, value)) for path, value in chunk], protocol=2)
        yield struct.pack("!L", len(payload)) + payload


def _number(value: float) -> str:
    if value == int(value) and abs(value) < _EXACT:
        return str(int(value))
    return repr(value)


_CONNECT_TIMEOUT = 10
_LONGEST_CONNECT = 60.0
"""Seconds that finding the host's addresses and trying them may take together. Each address has its own limit, but the
system's resolver has none that holds for all of its sources."""
_STALL_TIMEOUT = 30.0
"""Seconds without progress after which a connection is given up."""
_LAST_WAIT = 2.0
"""Seconds that a peer which never closes is given to do so."""


class NotTakenError(Exception):
    """A flush was perhaps not read to its end by the peer."""


class NotConnectedError(Exception):
    """There was no connection, or not even an address, in a long time."""


def _not_connected(outcome: object, seconds: float) -> None:
    raise NotConnectedError(f"no connection after {seconds:.0f} s")


class NotClosedError(NotTakenError):
    """The peer's kernel has acknowledged all of a flush and our end, and the peer does not close its side."""


def unacknowledged(connection: socket.socket) -> int:
    """Return how many bytes the peer's kernel has not acknowledged, our end among them; raises `OSError`."""
    number = array.array("i", [0])
    # SIOCOUTQ of tcp(7) has this name too.
    fcntl.ioctl(connection, termios.TIOCOUTQ, number)
    return number[0]


@implementer(IOutput)
class Graphite:
    """Sends flushes to one carbon."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        target: GraphiteTarget,
        wall: Callable[[], float] = time.time,
        missing: Callable[[socket.socket], int] = unacknowledged,
    ) -> None:
        self._reactor = reactor
        self._target = target
        self._wall = wall
        self._missing = missing
        self._endpoint = HostnameEndpoint(reactor, target.host, target.port, timeout=_CONNECT_TIMEOUT)
        self._own = OwnNumbers()
        self._last = 0
        self._unclosed: int | None = None
        """The start of the flush that was acknowledged last without the peer's end."""
        self._never_closes = False

    async def deliver(self, flush: FlushResult) -> None:
        """Send a flush; raises an error of the connection, or `NotTakenError`."""
        lag = max(0, flush.start - self._last) if self._last else 0
        chunks = self._chunks(flush, self._own._replace(lag=lag))
        began = self._reactor.seconds()
        try:
            sender = _Sender(self._reactor, chunks, self._missing, never_closes=self._never_closes)
            factory = Factory.forProtocol(lambda: sender)
            factory.noisy = False
            await self._endpoint.connect(factory).addTimeout(_LONGEST_CONNECT, self._reactor, _not_connected)
            length = await self._taken(sender, flush)
        except Exception:
            self._own = self._own._replace(last_exception=int(self._wall()))
            raise
        spent = round(sender.spent * 1000)
        self._own = self._own._replace(
            last_flush=round(self._wall()),
            flush_time=round((self._reactor.seconds() - began) * 1000),
            flush_length=length,
            calculation_time=spent,
        )
        self._last = flush.timestamp

    async def _taken(self, sender: _Sender, flush: FlushResult) -> int:
        """Wait until a flush is written, and return its length in bytes. Raise `NotTakenError`."""
        try:
            length = await sender.taken
        except NotClosedError:
            again, self._unclosed = self._unclosed == flush.start, flush.start
            if not again:
                raise
            length = sender.written
        if self._never_closes is not sender.closed_by_peer:
            return length
        self._never_closes = not sender.closed_by_peer
        where = f"{self._target.host}:{self._target.port}"
        if self._never_closes:
            self._log.warn(
                "graphite: {where} takes flushes, but does not close its side of a connection after ours, by which "
                "carbon says that it has read all: what its kernel has acknowledged counts as written from now on",
                where=where,
            )
        else:
            self._log.info("graphite: {where} closes its side of a connection again", where=where)
        return length

    def stop(self) -> None:
        """Do nothing: there is no connection between flushes."""

    def _chunks(self, flush: FlushResult, own: OwnNumbers) -> Iterator[bytes]:
        write = as_pickles if self._target.pickles else as_lines
        return write(points(flush, self._target.names, own), flush.timestamp)


@implementer(IPullProducer, IHalfCloseableProtocol)
class _Sender(Protocol):
    """Writes chunks as fast as they are taken, ends its side, and waits for the end of the other.

    ``taken`` fires with the number of bytes, which is ``written``; ``spent`` is the time that making them took, in
    seconds. With ``never_closes`` the other side's end is not waited for when all is acknowledged.
    """

    transport: Any

    def __init__(
        self,
        reactor: Any,
        chunks: Iterator[bytes],
        missing: Callable[[socket.socket], int],
        *,
        never_closes: bool = False,
    ) -> None:
        self._reactor = reactor
        self._chunks = chunks
        self._missing = missing
        self._never_closes = never_closes
        self._ended = self._acknowledged = False
        self._given_up_at = 0.0
        self._stall: IDelayedCall | None = None
        self.closed_by_peer = False
        self.written = 0
        self.spent = 0.0
        self.taken: Deferred[int] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        """Start writing."""
        self._stall = self._reactor.callLater(_STALL_TIMEOUT, self._give_up)
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write the next chunk, or the end."""
        if self._stall is not None:
            self._stall.reset(_STALL_TIMEOUT)
        began = self._reactor.seconds()
        chunk = next(self._chunks, None)
        self.spent += self._reactor.seconds() - began
        if chunk is not None:
            self.written += len(chunk)
            self.transport.write(chunk)
            return
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()

    def stopProducing(self) -> None:
        """Do nothing: the loss of the connection is reported by another call as well."""

    def writeConnectionLost(self) -> None:
        """Note that the kernel has all of it, and our end."""
        self._ended = True
        self._given_up_at = self._reactor.seconds() + _STALL_TIMEOUT
        if self._never_closes and self._stall is not None:
            self._stall.reset(_LAST_WAIT)

    def readConnectionLost(self) -> None:
        """Judge whether the peer's end came after it had read ours.

        One that closes while something is still on its way to it closes in good order too: what comes then is answered
        by a reset, never acknowledged. What its kernel had acknowledged before was read, or its end would be a reset.
        """
        self.closed_by_peer = self._all_acknowledged()
        if self.closed_by_peer:
            self.transport.loseConnection()
        else:
            self._abort()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Report how the delivery ended."""
        if self._stall is not None and self._stall.active():
            self._stall.cancel()
        if self.taken.called:
            return
        if self.closed_by_peer or (self._acknowledged and self._never_closes):
            self.taken.callback(self.written)
        elif self._acknowledged:
            self.taken.errback(NotClosedError("all was sent and acknowledged, but the peer does not close its side"))
        else:
            self.taken.errback(NotTakenError(f"the connection broke: {_in_words(reason)}"))

    def _all_acknowledged(self) -> bool:
        return self._ended and not self._missing(self.transport.getHandle())

    def _give_up(self) -> None:
        """End a connection on which nothing happens."""
        self._acknowledged = self._all_acknowledged()
        if self._acknowledged:
            self.transport.loseConnection()
        elif self._ended and self._reactor.seconds() < self._given_up_at:
            self._stall = self._reactor.callLater(_LAST_WAIT, self._give_up)
        else:
            self._abort()

    def _abort(self) -> None:
        self.transport.abortConnection()


def _in_words(reason: Failure) -> str:
    if reason.check(ConnectionAborted):
        return f"the peer took nothing for {_STALL_TIMEOUT:g} s"
    return in_words(reason.value)
