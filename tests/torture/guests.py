"""The clients, a process of their own: many visits at a time in one loop, so that thousands a second cost little.

Started by `Crowd` with its `Plan` as JSON; ends when its standard input does, and every visit has come to its end.
"""

from __future__ import annotations

import gc
import heapq
import json
import os
import random
import select
import socket
import sys
import time
from errno import ECONNRESET, EINPROGRESS, EPIPE
from itertools import count
from pathlib import Path
from typing import NamedTuple

from tests.torture.books import BARE, Book, Kind, Visit

__all__ = ["CUT_OFF", "Guests", "Plan"]

PATIENCE = 60.0
"""Seconds that a client waits for its end. A stopped worker keeps its clients waiting until it is replaced."""

LATENESS = 0.05
KEPT_FOR = 3.0
"""Seconds at most until a late client sends its line, and for which a kept connection stays on the average."""

BETWEEN_LINES = 0.1

REFUSED = 0.2
"""Seconds until a guest that keeps connections comes again after a bad end: not to count how often one is refused."""

ROOM = 4000
"""Visits at a time. Those that find more are not begun."""

MAKES_UP = 0.1
"""Seconds of visits that are made up for when the machine had other things to do."""

SOURCES = 250
"""Addresses that they come from, so that none of them holds many of the service's places."""

CUT_OFF = (ECONNRESET, EPIPE)
"""Errors of a connection that was there. One that could not be made has others."""

IP_BIND_ADDRESS_NO_PORT = 24

_LONGEST_WAIT = 0.1


class Plan(NamedTuple):
    """What they are to do: ``rate`` short visits a second, and ``kept`` connections all the time."""

    lines: int
    bare: int
    book: str
    rate: float
    kept: int
    seed: int


class Guest:
    """One visit. ``waits`` are the seconds before each of its lines, the last one first; ``over`` when it ended."""

    __slots__ = ("began", "connected", "ending", "kind", "over", "sent", "sock", "waits")

    def __init__(self, kind: Kind, began: float, waits: list[float]) -> None:
        self.kind = kind
        self.began = began
        self.waits = waits
        self.connected = False
        # Nothing more is to be sent, and the other end may close.
        self.ending = not waits
        self.over = False
        self.sent: list[float] = []
        self.sock = socket.socket()


class Guests:
    """The loop. ``stop`` is a descriptor that is at its end when no more are to come."""

    def __init__(self, plan: Plan, stop: int) -> None:
        self._plan = plan
        self._stop = stop
        self._book = Book(Path(plan.book))
        self._chance = random.Random(plan.seed)
        self._poll = select.epoll()
        self._poll.register(stop, select.EPOLLIN)
        # In the order in which they began.
        self._open: dict[int, Guest] = {}
        # What is to be done when: a line, or with None a kept visit.
        self._agenda: list[tuple[float, int, Guest | None]] = []
        self._serial = count()
        self._sources = [f"127.1.0.{number + 1}" for number in range(SOURCES)]
        self._stopping = False
        self._due = 0.0
        self.begun: list[int] = []
        """Short visits in each second."""
        self.skipped = 0

    def run(self) -> None:
        """Come, go and stay until it is enough, and wait for everybody's end."""
        self._due = start = now = time.monotonic()
        for _ in range(self._plan.kept):
            self._plan_for(now, None)
        while self._open or not self._stopping:
            if not self._stopping:
                self._begin_due(now, start)
            self._keep_to_agenda(now)
            self._end_late(now)
            for descriptor, events in self._poll.poll(self._wait(time.monotonic())):
                if descriptor == self._stop:
                    self._poll.unregister(descriptor)
                    self._stopping = True
                else:
                    self._answer(self._open[descriptor], events)
            now = time.monotonic()
        self._book.close()

    def _wait(self, now: float) -> float:
        upcoming = [now + _LONGEST_WAIT]
        if not self._stopping:
            upcoming.append(self._due)
        if self._agenda:
            upcoming.append(self._agenda[0][0])
        return max(0.0, min(upcoming) - now)

    def _plan_for(self, when: float, guest: Guest | None) -> None:
        heapq.heappush(self._agenda, (when, next(self._serial), guest))

    def _begin_due(self, now: float, start: float) -> None:
        if self._due < now - MAKES_UP:
            self._due = now
        chance, gap = self._chance, 1 / self._plan.rate
        second = int(now - start)
        self.begun += [0] * (second + 1 - len(self.begun))
        while self._due <= now:
            self._due += gap * chance.uniform(0.5, 1.5)
            if len(self._open) >= ROOM:
                self.skipped += 1
                continue
            kind: Kind = chance.choice((BARE, "at_once", "at_once", "late"))
            waits = [] if kind == BARE else [chance.uniform(0, LATENESS) if kind == "late" else 0.0]
            self._begin(kind, waits)
            self.begun[second] += 1

    def _keep_to_agenda(self, now: float) -> None:
        while self._agenda and self._agenda[0][0] <= now:
            guest = heapq.heappop(self._agenda)[2]
            if guest is None:
                self._begin_kept()
            elif not guest.over:
                self._say(guest)

    def _begin_kept(self) -> None:
        if not self._stopping:
            number = self._chance.randint(1, int(KEPT_FOR / BETWEEN_LINES))
            self._begin("kept", [self._chance.uniform(0, 2 * BETWEEN_LINES) for _ in range(number)])

    def _begin(self, kind: Kind, waits: list[float]) -> None:
        guest = Guest(kind, time.monotonic(), waits)
        sock, plan = guest.sock, self._plan
        sock.setblocking(False)
        self._open[sock.fileno()] = guest
        try:
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._chance.choice(self._sources), 0))
        except OSError as error:
            self._end(guest, type(error).__name__)
            return
        code = sock.connect_ex(("127.0.0.1", plan.bare if kind == BARE else plan.lines))
        if code and code != EINPROGRESS:
            self._end(guest, _name(code))
            return
        events = select.EPOLLIN | select.EPOLLRDHUP | (select.EPOLLOUT if code else 0)
        self._poll.register(sock.fileno(), events)
        if not code:
            self._arrive(guest)

    def _arrive(self, guest: Guest) -> None:
        guest.connected = True
        self._next_line(guest)

    def _next_line(self, guest: Guest) -> None:
        if not guest.waits:
            return
        wait = guest.waits.pop()
        if wait:
            self._plan_for(time.monotonic() + wait, guest)
        else:
            self._say(guest)

    def _say(self, guest: Guest) -> None:
        """Send a line, and after the last one the end."""
        guest.sent.append(time.monotonic())
        line = b"%s:1|c\n" % guest.kind.encode()
        try:
            if guest.sock.send(line) < len(line):
                raise AssertionError("the kernel has no room for a line")
            if guest.waits:
                self._next_line(guest)
            else:
                guest.ending = True
                guest.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._end(guest, type(error).__name__)

    def _answer(self, guest: Guest, events: int) -> None:
        try:
            if not guest.connected:
                code = guest.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    guest.connected = code in CUT_OFF
                    self._end(guest, _name(code))
                    return
                self._poll.modify(guest.sock.fileno(), select.EPOLLIN | select.EPOLLRDHUP)
                self._arrive(guest)
            elif events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not guest.sock.recv(4096):
                self._end(guest, "" if guest.ending else "EndedEarly")
        except BlockingIOError:
            pass
        except OSError as error:
            self._end(guest, type(error).__name__)

    def _end_late(self, now: float) -> None:
        while self._open:
            guest = next(iter(self._open.values()))
            if guest.began + 2 * KEPT_FOR + PATIENCE > now:
                return
            self._end(guest, "TimeoutError")

    def _end(self, guest: Guest, error: str) -> None:
        now = time.monotonic()
        guest.over = True
        del self._open[guest.sock.fileno()]
        guest.sock.close()
        self._book.add(Visit(guest.kind, guest.began, now, guest.connected, error, guest.sent))
        if guest.kind == "kept":
            self._plan_for(now + (REFUSED if error else 0.0), None)


def _name(code: int) -> str:
    """Return the name of the exception of an error number."""
    return type(OSError(code, "")).__name__


def main() -> None:
    """Be the crowd."""
    gc.disable()
    guests = Guests(Plan(*json.loads(sys.argv[1])), sys.stdin.fileno())
    guests.run()
    told = {"begun": guests.begun, "skipped": guests.skipped, "cpu": time.process_time()}
    os.write(sys.stdout.fileno(), json.dumps(told).encode())


if __name__ == "__main__":
    main()
