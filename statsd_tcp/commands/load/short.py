"""Short connections: begun on time or as fast as possible, and each ended in exactly one outcome."""

from __future__ import annotations

import errno
import math
import select
import socket
import time
from collections import deque
from collections.abc import Callable

from statsd_tcp.commands.load.link import Link
from statsd_tcp.commands.load.pace import Pace
from statsd_tcp.commands.load.results import Latencies, Outcome, Progress, Result, outcome_of
from statsd_tcp.commands.load.sockets import (
    EDGES,
    ENDINGS,
    Dialer,
    Poller,
    RawSocket,
    abort,
    cause,
    is_established,
)
from statsd_tcp.commands.load.workload import Close, Share, payload, per_connection, touched_lines

__all__ = ["ShortConnections"]

# Look after timeouts, reports and the wish to stop this often, in seconds: the only wake-ups of a quiet run.
SWEEP = 0.05
# Begin this many at most before looking for answers: they would grow old, and their latency with them.
BATCH = 32
# Servers of this kind say nothing; what one says all the same is thrown away.
ANSWER = 1024

CONNECTING, WAITING, SENDING, ENDING, ENDED = range(5)


class Connection:
    """One connection: ``due`` is when it should have begun, ``deadline`` when it is given up."""

    __slots__ = ("deadline", "descriptor", "due", "payload", "sent", "sock", "state", "watched")

    def __init__(self, sock: RawSocket, due: float, deadline: float, data: bytes) -> None:
        self.sock = sock
        self.descriptor = sock.fileno()
        self.due = due
        self.deadline = deadline
        self.payload = data
        self.sent = 0
        self.state = CONNECTING
        self.watched = False


class ShortConnections:
    """A share of a run in the modes connect, line and lines.

    ``start`` is the run's begin on ``clock``, in seconds.
    """

    def __init__(self, share: Share, start: float, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        work = share.work
        self._share, self._work, self._link, self._clock = share, work, link, clock
        self._dialer, self._poller = Dialer(work), Poller()
        self._result, self._latencies = Result(began=start, ended=start), Latencies()
        self._pace = Pace(share, start, self._result)
        self._payload: bytes | None = None if per_connection(work.line) else payload(work.line, work.lines, 0)
        # In the order in which they began, and so of their deadlines.
        self._open: dict[int, Connection] = {}
        # In the order of the times at which they are to send.
        self._late: deque[tuple[float, Connection]] = deque()
        self._room = share.concurrency
        self._next_sweep = start
        # With nothing of its own to do, a connection is only waited for.
        self._passive = work.close is Close.SERVER and not work.lines

    def run(self) -> Result:
        """Do the share's work; returns when every connection has ended."""
        now = self._clock()
        while self._open or self._pace.due(now) < math.inf:
            self._begin_due(now)
            self._send_late(now)
            if now >= self._next_sweep:
                self._sweep(now)
            for descriptor, events in self._poller.wait(self._idle(now)):
                self._guarded(self._answer, self._open[descriptor], events)
            now = self._clock()
        self._poller.close()
        self._link.report(self._progress())
        self._result.latencies = self._latencies.encode()
        return self._result

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

    def _idle(self, now: float) -> float:
        """Give the seconds until something is to be done."""
        late = self._late[0][0] if self._late else math.inf
        due = math.inf if len(self._open) >= self._room else self._pace.due(now)
        return min(due, late, self._next_sweep) - now

    def _send_late(self, now: float) -> None:
        while self._late and self._late[0][0] <= now:
            connection = self._late.popleft()[1]
            if connection.state == WAITING:
                connection.state = SENDING
                self._guarded(self._push, connection)

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP
        self._latencies.settle()
        self._link.report(self._progress())
        if self._link.stopped():
            self._pace.stop()
        for connection in list(self._open.values()):
            if connection.deadline > now:
                break
            self._fail(connection, errno.ETIMEDOUT)

    def _progress(self) -> Progress:
        result = self._result
        return Progress(result.begun, result.completed, result.failed, len(self._open), result.lines)

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
        connection = Connection(sock, due, now + self._work.timeout + self._work.late, data)
        self._open[connection.descriptor] = connection
        self._guarded(self._first_step, connection)

    def _stillborn(self, code: int, now: float) -> None:
        self._result.failure(code)
        self._result.ended = now
        if outcome_of(code) is Outcome.ERROR:
            self._pace.breathe(now)

    def _guarded(self, step: Callable[..., None], connection: Connection, *arguments: int) -> None:
        """Take a step; a socket's error is the end of its connection, not of the run."""
        try:
            step(connection, *arguments)
        except OSError as error:
            self._fail(connection, cause(connection.sock, error.errno or 0))

    def _first_step(self, connection: Connection) -> None:
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

    def _watch(self, connection: Connection, events: int) -> None:
        if not connection.watched:
            connection.watched = True
            self._poller.watch(connection.descriptor, events)

    def _answer(self, connection: Connection, events: int) -> None:
        """The kernel has something to say about a connection."""
        # A reset after the FIN (a server without room for a TIME_WAIT) takes nothing from one that brought nothing.
        if events & select.EPOLLERR and not (connection.state == ENDING and not connection.payload):
            code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "connection")
        if events & select.EPOLLOUT:
            self._writable(connection)
        if events & (ENDINGS | select.EPOLLHUP) and connection.state != ENDED:
            self._readable(connection)

    def _writable(self, connection: Connection) -> None:
        if connection.state == CONNECTING and self._work.late:
            connection.state = WAITING
            self._late.append((self._clock() + self._work.late, connection))
            self._watch(connection, EDGES)
        elif connection.state in {CONNECTING, SENDING}:
            self._push(connection)

    def _push(self, connection: Connection) -> None:
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

    def _finish(self, connection: Connection) -> None:
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

    def _readable(self, connection: Connection) -> None:
        try:
            while connection.sock.recv(ANSWER):
                pass
        except BlockingIOError:
            return
        self._result.certain += 1
        if connection.state == ENDING:
            self._result.certain_lines += self._work.lines
            self._complete(connection)
        else:
            self._result.established += 1
            self._result.failures[Outcome.CUT_SHORT] += 1
            self._lose(connection)

    def _complete(self, connection: Connection) -> None:
        result, now = self._result, self._clock()
        result.completed += 1
        result.established += 1
        result.lines += self._work.lines
        result.sent_bytes += connection.sent
        self._latencies.fresh.append(now - connection.due - self._work.late)
        self._end(connection, now)

    def _fail(self, connection: Connection, code: int) -> None:
        self._result.failure(code)
        # Only an established connection is reset, and only one can have sent.
        known = outcome_of(code) is Outcome.RESET or connection.sent
        self._result.established += bool(known or is_established(connection.sock))
        self._lose(connection)

    def _lose(self, connection: Connection) -> None:
        sent = connection.payload[: connection.sent]
        self._result.lines += touched_lines(sent)
        self._result.sent_bytes += len(sent)
        self._end(connection, self._clock())

    def _end(self, connection: Connection, now: float) -> None:
        connection.state = ENDED
        connection.sock.close()
        del self._open[connection.descriptor]
        self._result.ended = now
