"""When the lanes poll their sockets: at once when it is quiet, once a millisecond under load.

A network card that interrupts for every packet keeps the processor busy with interrupts; so it waits a little and
reports many at once. Likewise here: a wake-up of the reactor costs more than a short connection does. At rest each
lane's socket is watched by the reactor and a connection is taken as it arrives. When connections come faster than
about one a millisecond, the sockets are no longer watched; a timer polls all of them a millisecond later, and again,
until it has found nothing for a while.

               3 or more found in one wake-up, or two wake-ups within a millisecond
    +------+ ----------------------------------------------------------------> +------+
    | rest |                                                                   | busy |
    +------+ <---------------------------------------------------------------- +------+
               16 polls in a row that found nothing

    rest: the reactor watches every lane, and wakes one      busy: no socket is watched, a timer polls every lane

Datagrams, and the connections that stay, have moderators of their own, whose intervals are those of `ingest.pace`.

The timer also runs at rest while a connection is put off or parked, since nothing else would poll it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from twisted.python.failure import Failure

from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.parking import Parked, Parking

__all__ = ["Lane", "Moderator", "Timer", "Unfinished"]

INTERVAL = 0.001
"""Seconds between two polls under load. The kernel's timer for epoll_wait has no finer grain."""

BUSY_BATCH = 3
"""Connections, datagrams or clients that have sent something, in one wake-up, that mean load."""

BACKLOGGED = 256
"""A poll that found this many has probably left some: the next one follows at once, after whatever else is due."""

BUSY_GAP = 1_000_000
"""A wake-up less than this many nanoseconds after the one before means load."""

QUIET_POLLS = 16
"""After this many polls in a row that found nothing, the sockets are watched again."""


class Awaited(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not come."""


class Timer(Protocol):
    """What calls the next poll: a reactor, or something cheaper."""

    def callLater(self, delay: float, function: Callable[[], None], /) -> Awaited:
        """Call a function after that many seconds."""


class Lane(Protocol):
    """One socket that the moderator looks after."""

    def watch(self) -> None:
        """Let the reactor say when there is something to do."""

    def unwatch(self) -> None:
        """Do not."""

    def poll(self) -> int:
        """Take what is there, up to the lane's budget, and return how much it was."""


class Unfinished(Protocol):
    """A connection whose client is not done, put off to the next poll."""

    def poll(self) -> None:
        """Go on with it, or find it another place."""

    def drain(self) -> None:
        """Read what has come since, and end it."""


class Parkable(Unfinished, Parked, Protocol):
    """One that the kernel can watch meanwhile."""


def _delay(found: int) -> float:
    return 0.0 if found >= BACKLOGGED else INTERVAL


class Moderator:
    """Decides when every lane of one worker polls its socket.

    ``failed`` is called with a `Failure` when a poll raises: the worker cannot go on then.

    The intake gathers what all lanes read, and is settled once for all of them: parsing a batch costs less than parsing
    its parts. Under load that is at the end of each poll, and only there. At rest nothing polls, so the code that
    has read settles: `woken` itself, and through `settle_soon` the transports that the reactor wakes.
    """

    def __init__(
        self,
        timer: Timer,
        intake: Intake,
        failed: Callable[[Failure], None],
        delay: Callable[[int], float] = _delay,
    ) -> None:
        """Start at rest, with no lanes.

        ``delay`` says after how many seconds the next poll is due under load, given what the last one found.
        """
        self._timer = timer
        self._delay = delay
        self._intake = intake
        self._failed = failed
        self._lanes: list[Lane] = []
        self._again: list[Unfinished] = []
        self.parking: Parking[Parkable] = Parking()
        self._call: Awaited | None = None
        self._last = 0
        self._quiet = 0
        self.busy = False

    def add(self, lane: Lane) -> None:
        """Look after one more lane, watched from now on unless there is load."""
        if lane not in self._lanes:
            self._lanes.append(lane)
        if not self.busy:
            lane.watch()

    def remove(self, lane: Lane) -> None:
        """Leave a lane alone from now on: it is paused or at its end."""
        if lane in self._lanes:
            self._lanes.remove(lane)
            lane.unwatch()

    def woken(self, lane: Lane) -> None:
        """Let a lane poll whose socket has become readable, and judge whether there is load."""
        now = self._intake.tick = time.monotonic_ns()
        found = lane.poll()
        self._intake.settle()
        if found >= BUSY_BATCH or now - self._last < BUSY_GAP:
            self._begin()
        self._last = now
        self._run_if_needed(found)

    def read_at_once(self, lane: Lane) -> None:
        """Let a lane poll that cannot wait, and that says nothing about the load of the others."""
        self._intake.tick = time.monotonic_ns()
        lane.poll()
        self.settle_soon()

    def poll_at_once(self) -> None:
        """Poll now what the timer would poll next, if it runs."""
        if self._call is not None:
            self._call.cancel()
            self._run()

    def settle_soon(self) -> None:
        """Settle the intake at the next poll if there is load, else now."""
        if not self.busy:
            self._intake.settle()

    def put_off(self, connection: Unfinished) -> None:
        """Poll the connection again next time."""
        self._again.append(connection)

    def stop(self) -> None:
        """Stop polling."""
        for lane in list(self._lanes):
            self.remove(lane)
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self.busy = False

    def rest(self) -> None:
        """Forget the load: no lane is left that accepts. What is open goes on, watched by the reactor."""
        if self.busy:
            self._end()
        self._run_if_needed(0)

    @property
    def has_unfinished(self) -> bool:
        """Return whether any connection was put off or is parked."""
        return bool(self._again or len(self.parking))

    def unfinished(self) -> list[Unfinished]:
        """Take all connections that were put off or are parked. They are to be closed."""
        waiting, self._again = self._again, []
        return [*waiting, *self.parking.take()]

    def _begin(self) -> None:
        if not self.busy:
            self.busy = True
            self._quiet = 0
            for lane in self._lanes:
                lane.unwatch()

    def _end(self) -> None:
        self.busy = False
        for lane in self._lanes:
            lane.watch()

    def _run_if_needed(self, found: int) -> None:
        if self._call is None and (self.busy or self.has_unfinished):
            self._call = self._timer.callLater(self._delay(found), self._run)

    def _run(self) -> None:
        self._call = None
        try:
            found = self._poll()
        except Exception:  # noqa: BLE001  (the edge of the event loop: a dead timer would be a silent listener)
            self._failed(Failure())
        else:
            self._run_if_needed(found)

    def _poll(self) -> int:
        self._last = self._intake.tick = time.monotonic_ns()
        found = 0
        # Those that wait come first: what a lane puts off or parks now is not due in this poll.
        due, self._again = self._again, []
        for connection in due:
            connection.poll()
        self.parking.poll()
        if self.busy:
            for lane in tuple(self._lanes):
                found += lane.poll()
        self._intake.settle()
        self._judge(found)
        return found

    def _judge(self, found: int) -> None:
        self._quiet = 0 if found else self._quiet + 1
        if self.busy and self._quiet >= QUIET_POLLS:
            self._end()
