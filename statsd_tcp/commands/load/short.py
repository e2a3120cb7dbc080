"""Short connections: begun on time or as fast as possible, and each ended in exactly one outcome."""

from __future__ import annotations

import errno
import math
import socket
import time
from collections import deque
from collections.abc import Callable

from statsd_tcp.commands.load.connections import CONNECTING, ENDING, SENDING, WAITING, Connection, Connections
from statsd_tcp.commands.load.link import Link
from statsd_tcp.commands.load.results import Outcome, outcome_of
from statsd_tcp.commands.load.sockets import EDGES, ENDINGS, RawSocket, abort
from statsd_tcp.commands.load.workload import Close, Share, payload, per_connection, touched_lines

__all__ = ["ShortConnections"]

# Begin this many at most before looking for answers: they would grow old, and their latency with them.
BATCH = 32


class ShortConnection(Connection):
    """One connection: ``due`` is when it should have begun, ``deadline`` when it is given up."""

    __slots__ = ("deadline", "due", "sent", "watched")

    def __init__(self, sock: RawSocket, due: float, deadline: float, data: bytes) -> None:
        super().__init__(sock, data, 1)
        self.due = due
        self.deadline = deadline
        self.sent = 0
        self.watched = False

    @property
    def has_sent(self) -> bool:
        """Whether it was established for certain, because it could send."""
        return self.sent > 0


class ShortConnections(Connections[ShortConnection]):
    """A share of a run in the modes connect, line and lines.

    ``start`` is the run's begin on ``clock``, in seconds.
    """

    def __init__(self, share: Share, start: float, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(share, start, link, clock)
        work = share.work
        self._payload: bytes | None = None if per_connection(work.line) else payload(work.line, work.lines, 0)
        # In the order of the times at which they are to send.
        self._late: deque[tuple[float, ShortConnection]] = deque()
        self._room = share.concurrency
        # With nothing of its own to do, a connection is only waited for.
        self._passive = work.close is Close.SERVER and not work.lines

    def _goes_on(self, now: float) -> bool:
        return self._pace.due(now) < math.inf

    def _act(self, now: float) -> None:
        self._begin_due(now)
        self._send_late(now)

    def _begin_due(self, now: float) -> None:
        pace = self._pace
        for _ in range(BATCH):
            due = pace.due(now)
            if due > now:
                pace.on_time()
                return
            if len(self._open) >= self._room:
                pace.hold_back()
                return
            self._begin(due, now)
            now = self._clock()

    def _due(self, now: float) -> float:
        late = self._late[0][0] if self._late else math.inf
        due = math.inf if len(self._open) >= self._room else self._pace.due(now)
        return min(due, late)

    def _send_late(self, now: float) -> None:
        while self._late and self._late[0][0] <= now:
            connection = self._late.popleft()[1]
            if connection.state == WAITING:
                connection.state = SENDING
                self._guarded(self._push, connection)

    def _check_times(self, now: float) -> None:
        for connection in list(self._open.values()):
            # They began in the order of their deadlines.
            if connection.deadline > now:
                break
            self._fail(connection, errno.ETIMEDOUT)

    # One connection, from its begin to its end.

    def _begin(self, due: float, now: float) -> None:
        number = self._share.number(self._pace.index)
        self._pace.begin(due, now)
        self._result.begun += 1
        try:
            sock = self._dialer.dial(number)
        except OSError as error:
            self._stillborn(error.errno or 0, now)
            return
        data = payload(self._work.line, self._work.lines, number) if self._payload is None else self._payload
        connection = ShortConnection(sock, due, now + self._work.timeout + self._work.late, data)
        self._open[connection.descriptor] = connection
        self._guarded(self._first_step, connection)

    def _stillborn(self, code: int, now: float) -> None:
        self._result.failure(code)
        self._result.ended = now
        if outcome_of(code) is Outcome.ERROR:
            self._pace.breathe(now)

    def _first_step(self, connection: ShortConnection) -> None:
        """Go on at once if the handshake is done already: on loopback it mostly is."""
        if self._passive:
            connection.state = ENDING
            self._watch(connection, ENDINGS)
        elif connection.payload and not self._work.late:
            self._push(connection)
        elif self._dialer.is_through(connection.sock):
            self._writable(connection)
        else:
            self._watch(connection, EDGES)

    def _watch(self, connection: ShortConnection, events: int) -> None:
        if not connection.watched:
            connection.watched = True
            self._poller.watch(connection.descriptor, events)

    def _writable(self, connection: ShortConnection) -> None:
        if connection.state == CONNECTING and self._work.late:
            connection.state = WAITING
            self._late.append((self._clock() + self._work.late, connection))
            self._watch(connection, EDGES)
        elif connection.state in {CONNECTING, SENDING}:
            self._push(connection)

    def _push(self, connection: ShortConnection) -> None:
        """Send what the kernel takes; when that is all, come to the end."""
        data = connection.payload
        try:
            while connection.sent < len(data):
                rest = memoryview(data)[connection.sent :] if connection.sent else data
                connection.sent += connection.sock.send(rest)
                connection.state = SENDING
        except BlockingIOError:
            self._watch(connection, EDGES)
            return
        self._finish(connection)

    def _finish(self, connection: ShortConnection) -> None:
        """Everything is sent: end it in the way that was asked for."""
        close = self._work.close
        connection.state = ENDING
        if close is Close.HALF:
            connection.sock.shutdown(socket.SHUT_WR)
        elif close is Close.RESET:
            abort(connection.sock)
        if close.waits:
            self._watch(connection, ENDINGS)
        else:
            self._complete(connection)

    def _complete(self, connection: ShortConnection) -> None:
        result, now = self._result, self._clock()
        result.completed += 1
        result.established += 1
        result.lines += self._work.lines
        result.sent_bytes += connection.sent
        self._latencies.fresh.append(now - connection.due - self._work.late)
        self._close(connection, now)

    def _lose(self, connection: ShortConnection) -> None:
        sent = connection.payload[: connection.sent]
        self._result.lines += touched_lines(sent)
        self._result.sent_bytes += len(sent)
        self._close(connection, self._clock())
