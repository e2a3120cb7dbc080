"""Kept connections: opened once, then line after line until the time is over."""

from __future__ import annotations

import errno
import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from statsd_tcp.commands.load.connections import CONNECTING, ENDING, SENDING, Connection, Connections
from statsd_tcp.commands.load.link import Link
from statsd_tcp.commands.load.shapes import Close
from statsd_tcp.commands.load.sockets import ENDINGS, RawSocket, abort
from statsd_tcp.commands.load.workload import Share, payload, touched_lines

__all__ = ["KeptConnections"]

# Sends that are begun before looking for answers.
BATCH = 64


class KeptConnection(Connection):
    """One kept connection.

    ``turns`` are the due times of the sends that wait, ``offset`` is how much of the first is out. ``moved``
    is when it last got on; if it then has something to do for longer than the timeout, it is given up.
    """

    __slots__ = ("events", "header", "moved", "offset", "turns")

    def __init__(self, sock: RawSocket, now: float, data: bytes, lines: int, header: bytes) -> None:
        super().__init__(sock, data, lines)
        self.header = header
        self.moved = now
        self.offset = 0
        self.events = ENDINGS | select.EPOLLOUT
        self.turns: deque[float] = deque()

    @property
    def has_sent(self) -> bool:
        """Whether it was established for certain, because it could send."""
        return self.state in {SENDING, ENDING}


class KeptConnections(Connections[KeptConnection]):
    """A share of a run in the mode kept. ``start`` is the run's begin on ``clock``, in seconds.

    At a given rate the sends go round the connections, each at its own time. Otherwise a connection sends
    whenever the kernel takes something. A connection that ends early is not replaced.
    """

    def __init__(self, share: Share, start: float, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(share, start, link, clock)
        self._paced = share.work.rate is not None
        self._to_open, self._opened = int(share.connections), 0
        self._round: list[KeptConnection] = []
        self._handshakes = 0
        self._over = False

    def _goes_on(self, now: float) -> bool:
        return not self._over

    def _act(self, now: float) -> None:
        self._open_more(now)
        if self._paced:
            self._deal(now)

    def _open_more(self, now: float) -> None:
        """Open the rest, with no more handshakes under way at once than the server's queue should bear."""
        while self._opened < self._to_open and self._handshakes < self._share.concurrency:
            self._begin(self._share.number(self._opened), now)
            self._opened += 1

    def _deal(self, now: float) -> None:
        """Deal the sends that are due to the connections, in turn."""
        pace = self._pace
        for _ in range(BATCH):
            due = pace.due(now)
            if due > now or not self._round:
                return
            connection = self._round[pace.index % len(self._round)]
            pace.begin(due, now)
            connection.turns.append(due)
            if connection.state == SENDING and len(connection.turns) == 1:
                connection.moved = now
                self._guarded(self._push, connection)
            now = self._clock()

    def _due(self, now: float) -> float:
        return self._pace.due(now) if self._paced and self._round else math.inf

    def _check_times(self, now: float) -> None:
        if not self._over and (self._pace.over(now) or self._nobody_left()):
            self._over, self._to_open = True, self._opened
            for connection in list(self._open.values()):
                self._guarded(self._wind_up, connection)
        for connection in list(self._open.values()):
            if connection.moved + self._work.timeout <= now and self._has_to_move(connection):
                self._fail(connection, errno.ETIMEDOUT)

    def _nobody_left(self) -> bool:
        return self._opened == self._to_open and not self._open

    def _has_to_move(self, connection: KeptConnection) -> bool:
        return connection.state != SENDING or bool(connection.turns) or not self._paced

    # One connection, from its begin to its end.

    def _begin(self, number: int, now: float) -> None:
        self._result.begun += 1
        try:
            sock = self._dialer.dial(number)
        except OSError as error:
            self._result.failure(error.errno or 0)
            return
        data = payload(self._work.line, self._work.lines, number)
        connection = KeptConnection(sock, now, data, self._work.lines, self._header(number))
        self._open[connection.descriptor] = connection
        self._round.append(connection)
        self._handshakes += 1
        self._poller.watch(connection.descriptor, connection.events)

    def _writable(self, connection: KeptConnection) -> None:
        if not self._over:  # then there is one timeout for all that is left to do
            connection.moved = self._clock()
        if connection.state == CONNECTING:
            connection.state = SENDING
            self._handshakes -= 1
            # A new connection has room for it.
            self._result.sent_bytes += connection.sock.send(connection.header) if connection.header else 0
            if self._over:
                self._wind_up(connection)
                return
        if connection.state == SENDING:
            self._push(connection)

    def _push(self, connection: KeptConnection) -> None:
        """Send what waits, as far as the kernel takes it."""
        if not self._paced and not connection.turns and not self._over:
            connection.turns.append(connection.moved)
            self._pace.begin(connection.moved, connection.moved)
        try:
            while connection.turns:
                self._send_turn(connection)
        except BlockingIOError:
            self._want(connection, ENDINGS | select.EPOLLOUT)
            return
        if self._over:
            self._finish(connection)
        elif self._paced:
            self._want(connection, ENDINGS)

    def _send_turn(self, connection: KeptConnection) -> None:
        data = connection.payload
        while connection.offset < len(data):
            # A view, and only where it is needed: a slow server takes a large send in many small steps.
            rest = memoryview(data)[connection.offset :] if connection.offset else data
            sent = connection.sock.send(rest)
            connection.offset += sent
            self._result.sent_bytes += sent
        self._latencies.fresh.append(self._clock() - connection.turns.popleft())
        self._result.lines += self._work.lines
        self._result.sends += 1
        connection.offset = 0
        connection.done += 1

    def _want(self, connection: KeptConnection, events: int) -> None:
        if connection.events != events:
            connection.events = events
            self._poller.modify(connection.descriptor, events)

    def _wind_up(self, connection: KeptConnection) -> None:
        """The time is over: send what is begun or was due, then end."""
        connection.moved = self._clock()
        if connection.state == SENDING:
            self._push(connection)

    def _finish(self, connection: KeptConnection) -> None:
        close = self._work.close
        connection.state = ENDING
        if close is Close.HALF:
            connection.sock.shutdown(socket.SHUT_WR)
            self._want(connection, ENDINGS)
            return
        if close is Close.RESET:
            abort(connection.sock)
        self._complete(connection)

    def _complete(self, connection: KeptConnection) -> None:
        self._result.completed += 1
        self._result.established += 1
        self._end(connection)

    def _lose(self, connection: KeptConnection) -> None:
        self._end(connection)

    def _end(self, connection: KeptConnection) -> None:
        self._result.lines += touched_lines(connection.payload[: connection.offset])
        self._handshakes -= connection.state == CONNECTING
        self._round.remove(connection)
        self._close(connection, self._clock())
