"""What short and kept connections have in common: one loop over one epoll, and each connection ends in one outcome."""

from __future__ import annotations

import select
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from statsd_tcp.commands.load.link import Link
from statsd_tcp.commands.load.pace import Pace
from statsd_tcp.commands.load.results import Latencies, Outcome, Progress, Result, outcome_of
from statsd_tcp.commands.load.sockets import ENDINGS, Dialer, Poller, RawSocket, cause, is_established
from statsd_tcp.commands.load.workload import CONFIRMATION, Share

__all__ = ["CONNECTING", "ENDED", "ENDING", "SENDING", "WAITING", "Connection", "Connections"]

# Look after timeouts, reports and the wish to stop this often, in seconds: the only wake-ups of a quiet run.
SWEEP = 0.05
# Servers of this kind say nothing, or confirm; what one says beyond that is thrown away.
ANSWER = 1024

CONNECTING, WAITING, SENDING, ENDING, ENDED = range(5)
"""The states of a connection, in this order; WAITING is for the time at which it is to send."""


class Connection(ABC):
    """One connection: its socket, what it sends and its state. ``done`` is how many sends of ``lines`` lines are out.

    ``answer`` is what the server has said, as far as a confirmation goes, and one byte more.
    """

    __slots__ = ("answer", "descriptor", "done", "lines", "payload", "sock", "state")

    def __init__(self, sock: RawSocket, data: bytes, lines: int) -> None:
        self.sock = sock
        self.descriptor = sock.fileno()
        self.payload = data
        self.lines = lines
        self.done = 0
        self.state = CONNECTING
        self.answer = b""

    @property
    @abstractmethod
    def has_sent(self) -> bool:
        """Whether it was established for certain, because it could send."""


C = TypeVar("C", bound=Connection)


class Connections(ABC, Generic[C]):
    """A share of a run. ``start`` is the run's begin on ``clock``, in seconds."""

    def __init__(self, share: Share, start: float, link: Link, clock: Callable[[], float] = time.monotonic) -> None:
        work = share.work
        self._share, self._work, self._link, self._clock = share, work, link, clock
        self._dialer, self._poller = Dialer(work), Poller()
        self._result, self._latencies = Result(began=start, ended=start), Latencies()
        self._pace = Pace(share, start, self._result)
        # In the order in which they began.
        self._open: dict[int, C] = {}
        self._next_sweep = start

    def run(self) -> Result:
        """Do the share's work; returns when every connection has ended."""
        now = self._clock()
        while self._open or self._goes_on(now):
            self._act(now)
            if now >= self._next_sweep:
                self._sweep(now)
            for descriptor, events in self._poller.wait(min(self._due(now), self._next_sweep) - now):
                self._guarded(self._answer, self._open[descriptor], events)
            now = self._clock()
        self._poller.close()
        self._link.report(self._progress())
        self._result.latencies = self._latencies.encode()
        return self._result

    @abstractmethod
    def _goes_on(self, now: float) -> bool:
        """Return whether there is more to do, though no connection is open."""

    @abstractmethod
    def _act(self, now: float) -> None:
        """Start and send what is due."""

    @abstractmethod
    def _due(self, now: float) -> float:
        """Return the time at which `_act` has something to do; infinite if that depends on the connections."""

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + SWEEP
        self._latencies.settle()
        self._link.report(self._progress())
        if self._link.stopped():
            self._pace.stop()
        self._check_times(now)

    @abstractmethod
    def _check_times(self, now: float) -> None:
        """End the connections that have taken too long, or all when the time of the run is over."""

    def _progress(self) -> Progress:
        result = self._result
        return Progress(result.begun, result.completed, result.failed, len(self._open), result.lines)

    # One connection.

    def _header(self, number: int, port: int | None = None) -> bytes:
        """Return what a balancer would send first on the connection with this number."""
        proxy, address = self._work.proxy, self._work.address
        return proxy.header(number, address.host, port or address.port) if proxy else b""

    def _guarded(self, step: Callable[..., None], connection: C, *arguments: int) -> None:
        """Take a step; a socket's error is the end of its connection, not of the run."""
        try:
            step(connection, *arguments)
        except OSError as error:
            self._fail(connection, cause(connection.sock, error.errno or 0))

    def _answer(self, connection: C, events: int) -> None:
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

    @abstractmethod
    def _writable(self, connection: C) -> None:
        """Go on with a connection whose handshake is done, or which the kernel takes more from."""

    def _readable(self, connection: C) -> None:
        try:
            while data := connection.sock.recv(ANSWER):
                connection.answer = (connection.answer + data)[: len(CONFIRMATION) + 1]
        except BlockingIOError:
            return
        # Where a confirmation is to come, an end without it may be a balancer's.
        confirmed = not self._work.confirm or connection.answer == CONFIRMATION
        self._result.certain += confirmed
        if connection.state == ENDING and confirmed:
            self._result.certain_lines += connection.done * connection.lines
            self._complete(connection)
        else:
            self._result.established += 1
            outcome = Outcome.UNCONFIRMED if connection.state == ENDING else Outcome.CUT_SHORT
            self._result.failures[outcome] += 1
            self._lose(connection)

    def _fail(self, connection: C, code: int) -> None:
        self._result.failure(code)
        # Only an established connection is reset, and only one can have sent.
        known = outcome_of(code) is Outcome.RESET or connection.has_sent
        self._result.established += bool(known or is_established(connection.sock))
        self._lose(connection)

    @abstractmethod
    def _complete(self, connection: C) -> None:
        """Count a connection that went as it should, and end it."""

    @abstractmethod
    def _lose(self, connection: C) -> None:
        """Count what went out on a connection that failed, and end it."""

    def _close(self, connection: C, now: float) -> None:
        connection.state = ENDED
        connection.sock.close()
        del self._open[connection.descriptor]
        self._result.ended = now
