"""Lines on their way to a server over UDP."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall

from statsd_tcp.repeat.addresses import Address, Lookup
from statsd_tcp.repeat.queue import LineQueue, Repeated
from statsd_tcp.settings.repeat import Target
from statsd_tcp.words import in_words

__all__ = ["LARGEST_DATAGRAM", "PAUSE", "DatagramSender", "cut"]

LARGEST_DATAGRAM: Final = 1432
"""Bytes that pass an Ethernet undivided, with the headers of IPv6 and room for those of a tunnel. StatsD's clients
count on the same number."""


def cut(lines: bytes, size: int = LARGEST_DATAGRAM) -> Iterator[bytes]:
    r"""Yield datagrams of as many whole lines as ``size`` bytes hold.

    Each of ``lines`` ends in a newline. The last newline of a datagram is left out: some servers would take the nothing
    after it for an empty, bad line. A line that is longer than ``size`` goes alone.
    """
    start, end = 0, len(lines)
    while start < end:
        if end - start <= size + 1:
            stop = end - 1
        else:
            stop = lines.rfind(b"\n", start, start + size + 1)
            if stop < 0:
                stop = lines.index(b"\n", start)
        yield lines[start:stop]
        start = stop + 1


PAUSE = 0.005
"""Seconds between two portions. A second's lines come at once, and sent at once they would overflow the other side's
receive buffer, which holds some hundred datagrams; and what comes in this time shares datagrams."""

FEWEST = 16
"""Datagrams of a portion. More wait only for half a second, however many they are."""

_PORTIONS = 100


def _connect(address: Address) -> socket.socket:
    """Make a socket for that address alone, so that the kernel reports when no process listens there."""
    family, where = address
    one = socket.socket(family, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.connect(where)
    except OSError:
        one.close()
        raise
    return one


class DatagramSender:
    """Packs lines into datagrams and sends them, a portion at a time."""

    def __init__(self, reactor: Any, target: Target, connect: Callable[[Address], socket.socket] = _connect) -> None:
        self._reactor = reactor
        self._connect = connect
        self._queue = LineQueue(target.label)
        self._ready: deque[bytes] = deque()
        self._lookup = Lookup(reactor, target, self._found, self._not_found)
        self._socket: socket.socket | None = None
        self._timer: IDelayedCall | None = None

    def send(self, lines: bytes) -> None:
        """Send lines, each of which ends in a newline, soon."""
        self._queue.put(lines)
        self._send_later()

    def flush(self) -> None:
        """Send what waits at once; what the kernel does not take is lost."""
        self._prepare()
        while self._ready and self._send_one():
            pass
        while self._ready:
            self._lose()

    def report(self) -> Repeated:
        """Return what has happened since the last call."""
        return self._queue.report()

    def close(self) -> Deferred[None]:
        """Send what waits, and let go of the socket."""
        self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        return succeed(None)

    def _send_later(self) -> None:
        if self._timer is None and self._queue.size:
            self._timer = self._reactor.callLater(PAUSE, self._send_portion)

    def _send_portion(self) -> None:
        self._timer = None
        self._prepare()
        portion = max(FEWEST, len(self._ready) // _PORTIONS)
        while portion and self._ready and self._send_one():
            portion -= 1
        self._send_later()

    def _prepare(self) -> None:
        self._lookup.refresh()
        self._ready.extend(cut(self._queue.take()))

    def _send_one(self) -> bool:
        """Send a datagram, or lose it; return whether the next one may be tried now."""
        if self._socket is None:
            # A name is looked up for the first time, or again: until then the lines wait, as many as may.
            return False
        datagram = self._ready[0]
        try:
            self._socket.send(datagram)
        except BlockingIOError:
            return False
        except ConnectionRefusedError:
            # This is the error of an earlier datagram: no process listened. This one was not sent; it is sent next.
            self._queue.failed()
            self._queue.error = "no process listens there"
            return True
        except OSError as error:
            self._queue.failed()
            self._queue.error = in_words(error)
            self._lose()
            return True
        self._queue.error = ""
        self._ready.popleft()
        self._queue.sent(datagram.count(b"\n") + 1, len(datagram) + 1)
        return True

    def _lose(self) -> None:
        datagram = self._ready.popleft()
        self._queue.lost(datagram.count(b"\n") + 1, len(datagram) + 1)

    def _found(self, address: Address) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        try:
            self._socket = self._connect(address)
        except OSError as error:
            self._not_found(in_words(error))

    def _not_found(self, why: str) -> None:
        self._queue.failed()
        self._queue.error = why
