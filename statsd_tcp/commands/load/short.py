"""Short connections: begun on time or as fast as possible, and each ended in exactly one outcome."""

from __future__ import annotations

import errno
import math
import socket
import ssl
import time
from collections.abc import Callable
from heapq import heappop, heappush

from statsd_tcp.commands.load.connections import CONNECTING, ENDED, ENDING, SENDING, WAITING, Connection, Connections
from statsd_tcp.commands.load.link import Link
from statsd_tcp.commands.load.results import Outcome, outcome_of
from statsd_tcp.commands.load.shapes import Close, Shape
from statsd_tcp.commands.load.sockets import EDGES, ENDINGS, RawSocket, abort
from statsd_tcp.commands.load.tls import TlsTalk, tls_context
from statsd_tcp.commands.load.workload import Share, payload, per_connection, touched_lines

__all__ = ["ShortConnections"]

# Begin this many at most before looking for answers: they would grow old, and their latency with them.
BATCH = 32
# A message of TLS that a server sends in a handshake is rarely longer.
RECORD = 1 << 14


class ShortConnection(Connection):
    """One connection: ``due`` is when it should have begun, ``deadline`` when it is given up.

    ``payload`` is what it sends now, of which ``sent`` bytes are out, after ``earlier`` bytes before it. The first
    ``silent`` bytes are no lines. It is ``introduced`` once nothing comes before its lines, not even waiting.
    """

    __slots__ = ("deadline", "due", "earlier", "introduced", "number", "sent", "shape", "silent", "talk", "watched")

    def __init__(self, sock: RawSocket, shape: Shape, number: int, due: float, deadline: float) -> None:
        super().__init__(sock, b"", shape.lines)
        self.shape = shape
        self.number = number
        self.due = due
        self.deadline = deadline
        self.sent = self.earlier = self.silent = 0
        self.watched = False
        self.introduced = not shape.late
        self.talk: TlsTalk | None = None

    @property
    def has_sent(self) -> bool:
        """Whether it was established for certain, because it could send."""
        return self.sent + self.earlier > 0

    def say(self, data: bytes, silent: int = 0) -> None:
        """Have this sent next."""
        self.earlier += self.sent
        self.payload, self.sent, self.silent = data, 0, silent

    @property
    def lines_begun(self) -> int:
        """The lines of which at least one byte may be at the server, before its end is waited for."""
        begun = self.done * self.lines
        if self.state == WAITING:
            return begun
        if self.talk is not None:
            return begun + (self.lines if self.talk.spoken and self.sent else 0)
        return begun + touched_lines(self.payload[self.silent : self.sent])


class ShortConnections(Connections[ShortConnection]):
    """A share of a run in the modes connect, line, lines and mix.

    ``start`` is the run's begin on ``clock``, in seconds.
    """

    def __init__(self, share: Share, start: float, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(share, start, link, clock)
        work = share.work
        self._shapes = work.shapes
        self._only = self._shapes.shapes[0] if work.mix is None else None
        self._payloads: dict[int, bytes] = {}
        self._constant = not per_connection(work.line)
        # What all begin with, where that is one and the same: nothing is worked out for each.
        is_one = work.mix is None and work.proxy is None and self._constant
        self._opening = None if not is_one or work.late else payload(work.line, work.lines, 0)
        # By the time at which they are to send; the number settles a tie.
        self._late: list[tuple[float, int, ShortConnection]] = []
        self._room = share.concurrency
        self._tls: ssl.SSLContext | None = None

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
            connection = heappop(self._late)[2]
            if connection.state == WAITING:
                connection.say(self._lines(connection))
                connection.state = SENDING
                self._guarded(self._push, connection)

    def _check_times(self, now: float) -> None:
        for connection in [each for each in self._open.values() if each.deadline <= now]:
            self._fail(connection, errno.ETIMEDOUT)

    # One connection, from its begin to its end.

    def _begin(self, due: float, now: float) -> None:
        number = self._share.number(self._pace.index)
        shape = self._only or self._shapes.shape(number)
        self._pace.begin(due, now)
        self._result.begun += 1
        if self._only is None:
            self._result.begun_of[shape.name] += 1
        try:
            sock = self._dialer.dial(number, shape.port)
        except OSError as error:
            self._stillborn(error.errno or 0, now)
            return
        connection = ShortConnection(sock, shape, number, due, now + self._work.timeout + shape.idle)
        self._open[connection.descriptor] = connection
        self._guarded(self._first_step, connection)

    def _stillborn(self, code: int, now: float) -> None:
        self._result.failure(code)
        self._result.ended = now
        if outcome_of(code) is Outcome.ERROR:
            self._pace.breathe(now)

    def _first_step(self, connection: ShortConnection) -> None:
        """Go on at once if the handshake is done already: on loopback it mostly is."""
        shape = connection.shape
        if self._opening is None:
            self._prepare(connection)
        else:
            connection.payload = self._opening
        if not connection.payload and shape.close is Close.SERVER and not shape.lines:
            # With nothing of its own to do, a connection is only waited for.
            connection.state = ENDING
            self._watch(connection, ENDINGS)
        elif connection.payload:
            self._push(connection)
        elif self._dialer.is_through(connection.sock, shape.port):
            self._writable(connection)
        else:
            self._watch(connection, EDGES)

    def _prepare(self, connection: ShortConnection) -> None:
        """Have a client send at once, after a balancer's header, what its shape begins with."""
        header = self._header(connection.number, connection.shape.port)
        if connection.shape.tls:
            self._tls = self._tls or tls_context()
            connection.talk = TlsTalk(self._tls, self._lines(connection))
            connection.say(header + connection.talk.hear(), len(header))
        else:
            connection.say(header + (b"" if connection.shape.late else self._lines(connection)), len(header))

    def _lines(self, connection: ShortConnection) -> bytes:
        """Return the lines of one send."""
        if not self._constant:
            return payload(self._work.line, connection.lines, connection.number)
        if connection.lines not in self._payloads:
            self._payloads[connection.lines] = payload(self._work.line, connection.lines, 0)
        return self._payloads[connection.lines]

    def _watch(self, connection: ShortConnection, events: int) -> None:
        if not connection.watched:
            connection.watched = True
            self._poller.watch(connection.descriptor, events)

    def _writable(self, connection: ShortConnection) -> None:
        if connection.state in {CONNECTING, SENDING}:
            self._push(connection)

    def _push(self, connection: ShortConnection) -> None:
        """Send what the kernel takes; when that is all, go on."""
        data = connection.payload
        try:
            while connection.sent < len(data):
                rest = memoryview(data)[connection.sent :] if connection.sent else data
                connection.sent += connection.sock.send(rest)
                connection.state = SENDING
        except BlockingIOError:
            self._watch(connection, EDGES)
            return
        self._go_on(connection)

    def _go_on(self, connection: ShortConnection) -> None:
        """All that was to be sent now is: wait for the time or the answer that more depends on, or end."""
        shape = connection.shape
        if connection.talk is not None and not connection.talk.spoken:
            self._watch(connection, EDGES)
            return
        if not connection.introduced:
            connection.introduced = True
            self._wait(connection, shape.late)
            return
        connection.done += 1
        if connection.done < shape.sends:
            self._wait(connection, shape.every)
        else:
            self._finish(connection)

    def _wait(self, connection: ShortConnection, seconds: float) -> None:
        """Send the next lines after this time."""
        connection.state = WAITING
        heappush(self._late, (self._clock() + seconds, connection.number, connection))
        self._watch(connection, EDGES)

    def _readable(self, connection: ShortConnection) -> None:
        talk = connection.talk
        if talk is not None and not talk.spoken:
            self._hear(connection, talk)
        if connection.state != ENDED:
            super()._readable(connection)

    def _hear(self, connection: ShortConnection, talk: TlsTalk) -> None:
        """Go on with a handshake, up to the end of what the server has sent or of what there is to say."""
        try:
            while not talk.spoken and (data := connection.sock.recv(RECORD)):
                connection.say(talk.hear(data))
                self._push(connection)
        except BlockingIOError:
            return

    def _finish(self, connection: ShortConnection) -> None:
        """Everything is sent: end it in the way that was asked for."""
        close = connection.shape.close
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
        result, now, shape = self._result, self._clock(), connection.shape
        result.completed += 1
        result.established += 1
        if self._only is None:
            result.completed_of[shape.name] += 1
        self._latencies.fresh.append(now - connection.due - shape.idle)
        self._end(connection, now)

    def _lose(self, connection: ShortConnection) -> None:
        self._end(connection, self._clock())

    def _end(self, connection: ShortConnection, now: float) -> None:
        # Most have sent all of it.
        done = connection.state == ENDING
        self._result.lines += connection.done * connection.lines if done else connection.lines_begun
        self._result.sent_bytes += connection.earlier + connection.sent
        self._close(connection, now)
