"""Kept connections: opened once, then line after line until the time is over."""

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
from statsd_tcp.commands.load.sockets import ENDINGS, Dialer, Poller, RawSocket, abort, cause, is_established
from statsd_tcp.commands.load.workload import Close, Share, payload, touched_lines

__all__ = ["KeptConnections"]

SWEEP = 0.05
# Sends that are begun before looking for answers.
BATCH = 64
ANSWER = 1024

CONNECTING, SENDING, ENDING, ENDED = range(4)


class Connection:
    """One kept connection.

    ``turns`` are the due times of the sends that wait, ``offset`` is how much of the first is out. ``moved``
    is when it last got on; if it then has something to do for longer than the timeout, it is given up.
    """

    __slots__ = ("descriptor", "done", "events", "moved", "offset", "payload", "sock", "state", "turns")

    def __init__(self, sock: RawSocket, now: float, data: bytes) -> None:
        self.sock = sock
        self.descriptor = sock.fileno()
        self.payload = data
        self.moved = now
        self.offset = 0
        self.done = 0
        self.state = CONNECTING
        self.events = ENDINGS | select.EPOLLOUT
        self.turns: deque[float] = deque()


class KeptConnections:
    """A share of a run in the mode kept. ``start`` is the run's begin on ``clock``, in seconds.

    At a given rate the sends go round the connections, each at its own time. Otherwise a connection sends
    whenever the kernel takes something. A connection that ends early is not replaced.
    """

    def __init__(self, share: Share, start: float, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        work = share.work
        self._share, self._work, self._link, self._clock = share, work, link, clock
        self._dialer, self._poller = Dialer(work), Poller()
        self._result, self._latencies = Result(began=start, ended=start), Latencies()
        self._pace = Pace(share, start, self._result)
        self._paced = work.rate is not None
        self._to_open, self._opened = int(share.connections), 0
        self._open: dict[int, Connection] = {}
        self._round: list[Connection] = []
        self._handshakes = 0
        self._next_sweep = start
        self._over = False

    def run(self) -> Result:
        """Do the share's work; returns when every connection has ended."""
        now = self._clock()
        while self._open or not self._over:
            self._open_more(now)
            if self._paced:
                self._deal(now)
            if now >= self._next_sweep:
                self._sweep(now)
            for descriptor, events in self._poller.wait(self._idle(now)):
                self._guarded(self._answer, self._open[descriptor], events)
            now = self._clock()
        self._poller.close()
        self._link.report(self._progress())
        self._result.latencies = self._latencies.encode()
        return self._result

    def _open_more(self, now: float) -> None:
        """Open the rest, with no more handshakes under way at once than the server's queue should bear."""
        while self._opened < self._to_open and self._handshakes < self._share.concurrency:
            self._begin(self._share.number(self._opened), now)
            self._opened += 1

    def _deal(self, now: float) -> None:
        """Give the sends that are due to the connections, in turn."""
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

    def _idle(self, now: float) -> float:
        due = self._pace.due(now) if self._paced and self._round else math.inf
        return min(due, self._next_sweep) - now

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP
        self._latencies.settle()
        self._link.report(self._progress())
        if self._link.stopped():
            self._pace.stop()
        if not self._over and (self._pace.over(now) or self._nobody_left()):
            self._over, self._to_open = True, self._opened
            for connection in list(self._open.values()):
                self._guarded(self._wind_up, connection)
        for connection in list(self._open.values()):
            if connection.moved + self._work.timeout <= now and self._has_to_move(connection):
                self._fail(connection, errno.ETIMEDOUT)

    def _nobody_left(self) -> bool:
        return self._opened == self._to_open and not self._open

    def _has_to_move(self, connection: Connection) -> bool:
        return connection.state != SENDING or bool(connection.turns) or not self._paced

    def _progress(self) -> Progress:
        result = self._result
        return Progress(result.begun, result.completed, result.failed, len(self._open), result.lines)

    # One connection, from its begin to its end.

    def _begin(self, number: int, now: float) -> None:
        self._result.begun += 1
        try:
            sock = self._dialer.dial(number)
        except OSError as error:
            self._result.failure(error.errno or 0)
            return
        connection = Connection(sock, now, payload(self._work.line, self._work.lines, number))
        self._open[connection.descriptor] = connection
        self._round.append(connection)
        self._handshakes += 1
        self._poller.watch(connection.descriptor, connection.events)

    def _guarded(self, step: Callable[..., None], connection: Connection, *arguments: int) -> None:
        try:
            step(connection, *arguments)
        except OSError as error:
            self._fail(connection, cause(connection.sock, error.errno or 0))

    def _answer(self, connection: Connection, events: int) -> None:
        if events & select.EPOLLERR:
            code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "connection")
        if events & select.EPOLLOUT:
            self._writable(connection)
        if events & (ENDINGS | select.EPOLLHUP) and connection.state != ENDED:
            self._readable(connection)

    def _writable(self, connection: Connection) -> None:
        if not self._over:  # then there is one timeout for all that is left to do
            connection.moved = self._clock()
        if connection.state == CONNECTING:
            connection.state = SENDING
            self._handshakes -= 1
            if self._over:
                self._wind_up(connection)
                return
        if connection.state == SENDING:
            self._push(connection)

    def _push(self, connection: Connection) -> None:
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

    def _send_turn(self, connection: Connection) -> None:
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

    def _want(self, connection: Connection, events: int) -> None:
        if connection.events != events:
            connection.events = events
            self._poller.modify(connection.descriptor, events)

    def _wind_up(self, connection: Connection) -> None:
        """The time is over: send what is begun or was due, then end."""
        connection.moved = self._clock()
        if connection.state == SENDING:
            self._push(connection)

    def _finish(self, connection: Connection) -> None:
        close = self._work.close
        connection.state = ENDING
        if close is Close.HALF:
            connection.sock.shutdown(socket.SHUT_WR)
            self._want(connection, ENDINGS)
            return
        if close is Close.RESET:
            abort(connection.sock)
        self._complete(connection)

    def _readable(self, connection: Connection) -> None:
        try:
            while connection.sock.recv(ANSWER):
                pass
        except BlockingIOError:
            return
        self._result.certain += 1
        if connection.state == ENDING:
            self._result.certain_lines += connection.done * self._work.lines
            self._complete(connection)
        else:
            self._result.failures[Outcome.CUT_SHORT] += 1
            self._result.established += 1
            self._end(connection)

    def _complete(self, connection: Connection) -> None:
        self._result.completed += 1
        self._result.established += 1
        self._end(connection)

    def _fail(self, connection: Connection, code: int) -> None:
        self._result.failure(code)
        known = outcome_of(code) is Outcome.RESET or connection.state in {SENDING, ENDING}
        self._result.established += bool(known or is_established(connection.sock))
        self._end(connection)

    def _end(self, connection: Connection) -> None:
        self._result.lines += touched_lines(connection.payload[: connection.offset])
        self._handshakes -= connection.state == CONNECTING
        connection.state = ENDED
        connection.sock.close()
        del self._open[connection.descriptor]
        self._round.remove(connection)
        self._result.ended = self._clock()
