"""Streams sent over loopback connections in pieces, to a lane in C and to one in Python.

What each leaves in the journal and in the ledger's cells has to be the same, and what the clients sent; and the tally
is told what is in the journal. Where a read ends is up to the kernel, so that frames are not compared; `rings` does
that. For the same reason a line that is too long is rejected by the framer, or, where it came whole, by the grammar:
both counts are one.
"""

from __future__ import annotations

import random
import socket
from collections import Counter
from typing import Final, NamedTuple
from unittest import TestResult

from statsd_tcp import native
from statsd_tcp.ingest.lane_kinds import lane_kinds
from statsd_tcp.ledger.journal import read_frames
from statsd_tcp.wire.reasons import LINE_TOO_LONG, TRUNCATED
from tests.fuzz.material import chunk_of, pieces_of
from tests.fuzz.target import Target, same
from tests.unit.ingest.loopback import IDLE_TIMEOUT, MAX_LINE, Client, IngestTestCase, wait_for

__all__ = ["TARGET", "Given"]

_ENDS: Final = ("eof", "eof", "eof", "cut", "reset", "idle")
"""Why a connection ends. A client that is ``cut`` off resets it at once, one of ``reset`` when all has been read."""


_AT_ONCE: Final = 20_000
"""Bytes that a client's kernel certainly sends at once."""


class Given(NamedTuple):
    """Clients, each with its pieces and the reason for which its connection ends, and in which order they send.

    ``counted``: the port only counts connections. ``late``: nothing is polled before all have sent. ``pace``: the
    milliseconds between two polls; one means load, more do not.
    """

    clients: list[tuple[list[bytes], str]]
    order: list[int]
    counted: bool
    late: bool
    pace: int


class Outcome(NamedTuple):
    """What is left when all connections have ended."""

    lines: Counter[bytes]
    received: int
    too_long: int
    truncated: int
    accepted: int
    closed: dict[str, int]


def _make(source: random.Random) -> Given:
    clients = []
    for _ in range(source.randrange(1, 5)):
        size = source.choice((0, 10, 10, 100, 1000, 1000, 70_000, 150_000))
        data = chunk_of(source, size) if size else b""
        if source.randrange(3) == 0:
            data = data[: source.randrange(len(data) + 1)]
        end = source.choice(_ENDS)
        # Of much data some may not be on its way yet, and is dropped by the client's own kernel.
        clients.append((pieces_of(source, data), "reset" if end == "cut" and len(data) > _AT_ONCE else end))
    order = [number for number, (pieces, _) in enumerate(clients) for _ in range(len(pieces) + 1)]
    source.shuffle(order)
    return Given(
        clients, order, counted=not source.randrange(8), late=not source.randrange(3), pace=source.choice((1, 3))
    )


def _check(given: Given) -> None:
    found = [_Streams.outcome(given, in_c=in_c) for in_c in ([False, True] if native.BUILT else [False])]
    same("in C", found[0], found[-1])
    same("what was sent", _expected(given), found[0])


def _expected(given: Given) -> Outcome:
    closed = Counter("counted" if given.counted else "reset" if end == "cut" else end for _, end in given.clients)
    if given.counted:
        return Outcome(Counter(), 0, 0, 0, len(given.clients), dict(closed))
    streams = [(b"".join(pieces), end) for pieces, end in given.clients]
    lines, truncated, too_long = Counter[bytes](), 0, 0
    for data, end in streams:
        *whole, last = data.split(b"\n")
        if last and (end == "eof" or len(last) > MAX_LINE):
            whole.append(last)
        else:
            truncated += bool(last)
        lines.update(line for line in whole if len(line) <= MAX_LINE)
        too_long += sum(1 for line in whole if len(line) > MAX_LINE)
    return Outcome(lines, sum(len(data) for data, _ in streams), too_long, truncated, len(given.clients), dict(closed))


class _Streams(IngestTestCase):
    """One lane with its clients."""

    given: Given
    found: Outcome

    @classmethod
    def outcome(cls, given: Given, *, in_c: bool) -> Outcome:
        """Return what one of the lanes leaves."""
        case, result = cls("run_all"), TestResult()
        case.given, case.kinds = given, lane_kinds(in_c=in_c)
        case.run(result)
        for _, trace in result.errors + result.failures:
            raise AssertionError(f"in C: {in_c}\n{trace}")
        return case.found

    def run_all(self) -> None:
        """Serve all clients."""
        self.lines = Counter[bytes]()
        self.too_long = self.start = 0
        _ = self.count_lane() if self.given.counted else self.line_lane()
        clients = [self.connect() for _ in self.given.clients]
        left = [[*pieces] for pieces, _ in self.given.clients]
        for number in self.given.order:
            if left[number]:
                self.send(clients[number], left[number].pop(0))
            elif not self.given.counted:
                self.end(number, clients[number])
        self.finish(clients)
        rejected = self.tally.rejected
        told = Counter(line for line in self.tally.lines if len(line) <= MAX_LINE)
        same("told to the tally", self.lines, told)
        too_long = self.too_long + rejected[LINE_TOO_LONG]
        self.found = Outcome(self.lines, self.tally.bytes, too_long, rejected[TRUNCATED], self.accepted, self.closed)
        self.assertEqual([], self.failures)

    def send(self, client: Client, data: bytes) -> None:
        """Send a piece, with polls meanwhile if the buffers are full."""
        client.socket.setblocking(False)
        while data:
            try:
                data = data[client.socket.send(data) :]
            except BlockingIOError:
                self.poll()
            except (BrokenPipeError, ConnectionResetError):
                # A port that counts has closed it.
                self.assertTrue(self.given.counted)
                return
        if not self.given.late:
            self.poll()

    def end(self, number: int, client: Client) -> None:
        """End a client's side as it wants to. The kernel keeps what had come before a reset."""
        end = self.given.clients[number][1]
        if end == "eof":
            client.socket.shutdown(socket.SHUT_WR)
        elif end == "cut":
            client.reset()

    def finish(self, clients: list[Client]) -> None:
        """Let all be read, then reset what is to be reset and wait for the others to be idle."""
        if self.given.counted:
            wait_for(lambda: self.polled(len(clients), "counted"))
            return
        sent = sum(len(piece) for pieces, _ in self.given.clients for piece in pieces)
        wait_for(lambda: self.polled(len(clients)) and self.tally.bytes == sent)
        ends = Counter(end for _, end in self.given.clients)
        ends["reset"] += ends["cut"]
        for (_, end), client in zip(self.given.clients, clients, strict=True):
            if end == "reset":
                client.reset()
        for end in ("eof", "reset"):
            wait_for(lambda end=end: self.polled(len(clients)) and self.closed.get(end, 0) == ends[end])  # type: ignore[misc]
        self.tick(50)
        self.reactor.advance(IDLE_TIMEOUT + 1)
        wait_for(lambda: self.polled(len(clients)) and sum(self.closed.values()) == len(clients))

    def polled(self, number: int, reason: str = "") -> bool:
        """Poll; return whether this many connections were accepted, and closed if there is a reason given."""
        self.poll()
        return self.accepted == number and (not reason or self.closed.get(reason, 0) == number)

    def poll(self) -> None:
        """Let the server read what has come, and keep what it wrote down."""
        self.reactor.turn()
        self.tick(self.given.pace)
        self.intake.settle()
        for frame in read_frames(self.journal.ring, self.start, self.journal.head):
            lines = frame.lines[:-1].split(b"\n")
            self.lines.update(line for line in lines if len(line) <= MAX_LINE)
            self.too_long += sum(1 for line in lines if len(line) > MAX_LINE)
            self.start = frame.next
        self.assertEqual(self.journal.head, self.start)
        self.intake.release(self.journal.head)


TARGET: Final = Target("chunks", _make, _check)
