"""Connections that wait under load: who is asked when, how much is read, and who goes to the reactor."""

from __future__ import annotations

import errno
import select
import socket

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ingest import line_lane, parking
from statsd_tcp.ingest.lane import RECEIVE_SIZE
from statsd_tcp.ingest.parking import PATIENCE, Parking
from tests.unit.ingest.loopback import Client, IngestTestCase

LINE = b"a:1|c\n"


class FakeParked:
    """A connection that keeps what it is told."""

    def __init__(self, *, closes: bool = False) -> None:
        self.until = 0
        self.events: list[int] = []
        self.polls = 0
        self._closes = closes

    def ready(self, events: int) -> bool:
        """Keep the events."""
        self.events.append(events)
        return self._closes

    def poll(self) -> None:
        """Count."""
        self.polls += 1


class ParkingTests(SynchronousTestCase):
    """The parking and connections that do nothing."""

    def setUp(self) -> None:
        """Begin with an empty one."""
        self.parking: Parking[FakeParked] = Parking()

    def park(self, connection: FakeParked) -> socket.socket:
        """Have a connection wait, and give the client's end."""
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.parking.add(ours.fileno(), connection)
        return theirs

    def test_silence(self) -> None:
        """Who has no news is not bothered, until it has waited long enough; then it is sent on and forgotten."""
        connection = FakeParked()
        client = self.park(connection)
        for _ in range(PATIENCE - 1):
            self.parking.poll()
        self.assertEqual(([], 0, 1), (connection.events, connection.polls, len(self.parking)))
        self.parking.poll()
        self.assertEqual(([], 1, 0), (connection.events, connection.polls, len(self.parking)))
        client.send(LINE)
        self.parking.poll()
        self.assertEqual(([], 1), (connection.events, connection.polls))

    def test_news(self) -> None:
        """Only the connection that has news is told, at each poll until it was read."""
        one, other = FakeParked(), FakeParked()
        self.park(one).send(LINE)
        self.park(other)
        self.parking.poll()
        self.parking.poll()
        self.assertEqual(([select.EPOLLIN] * 2, []), (one.events, other.events))

    def test_closed(self) -> None:
        """A connection that says that it is closed waits no more."""
        connection = FakeParked(closes=True)
        self.park(connection).send(LINE)
        self.parking.poll()
        self.assertEqual((1, 0), (len(connection.events), len(self.parking)))

    def test_each_in_its_time(self) -> None:
        """Those that came later wait longer."""
        early, late = FakeParked(), FakeParked()
        self.park(early)
        self.parking.poll()
        self.park(late)
        for _ in range(PATIENCE - 1):
            self.parking.poll()
        self.assertEqual((1, 0), (early.polls, late.polls))
        self.parking.poll()
        self.assertEqual((1, 1), (early.polls, late.polls))

    def test_take(self) -> None:
        """All that wait can be taken, once."""
        connection = FakeParked()
        self.park(connection)
        self.assertEqual([connection], self.parking.take())
        self.assertEqual([], self.parking.take())


class Receives:
    """Stands in for a connection's socket, to see what is read from it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.sizes: list[int] = []

    def recv(self, size: int, flags: int) -> bytes:
        """Read, and keep how much it was; -1 stands for nothing yet."""
        try:
            data = self._connection.recv(size, flags)
        except BlockingIOError:
            self.sizes.append(-1)
            raise
        self.sizes.append(len(data))
        return data

    def close(self) -> None:
        """Close it."""
        self._connection.close()


class LaneTests(IngestTestCase):
    """A lane under load, with one connection that is parked."""

    def park(self) -> Client:
        """Accept a client that has sent nothing yet."""
        self.moderator._begin()
        self.moderator._run_if_needed(0)
        self.line_lane()
        client = self.connect()
        self.tick()
        (self.parked,) = self.moderator.parking._parked.values()
        self.receives = Receives(self.parked._connection)  # type: ignore[attr-defined]
        self.parked._connection = self.receives  # type: ignore[attr-defined]
        return client

    def test_a_line_and_the_end(self) -> None:
        """When the client has ended, one read that is not filled takes all, and there is no second one."""
        client = self.park()
        client.send(LINE)
        client.fin()
        self.tick()
        self.assertEqual([len(LINE)], self.receives.sizes)
        self.assertEqual(({"eof": 1}, [b"a:1|c"], 0), (self.closed, self.tally.lines, self.occupancy.open))

    def test_a_line_without_an_end(self) -> None:
        """Data alone is read once at each poll, and not asked for again before there is news."""
        client = self.park()
        client.send(LINE)
        self.tick(3)
        self.assertEqual([len(LINE)], self.receives.sizes)
        self.assertEqual(({}, [b"a:1|c"], 1), (self.closed, self.tally.lines, self.occupancy.open))
        client.fin()
        self.tick()
        self.assertEqual([len(LINE), 0], self.receives.sizes)
        self.assertEqual({"eof": 1}, self.closed)

    def test_a_read_that_is_filled(self) -> None:
        """A read that is filled may not be the last, also when the client has ended."""
        self.patch(line_lane, "RECEIVE_SIZE", len(LINE))
        client = self.park()
        client.send(LINE * 2)
        client.fin()
        self.tick()
        self.assertEqual([len(LINE), len(LINE), 0], self.receives.sizes)
        self.assertEqual(({"eof": 1}, [b"a:1|c"] * 2), (self.closed, self.tally.lines))

    def test_urgent_data(self) -> None:
        """A read stops at urgent data: what follows is read all the same."""
        client = self.park()
        client.send(LINE)
        client.socket.send(b"!", socket.MSG_OOB)
        client.send(LINE)
        client.fin()
        self.tick()
        self.assertEqual(({"eof": 1}, [b"a:1|c"] * 2), (self.closed, self.tally.lines))

    def test_reset_after_a_line(self) -> None:
        """A line before a reset counts, and the reset is what ended it."""
        client = self.park()
        client.send(LINE)
        client.reset()
        self.tick()
        self.assertEqual(({"reset": 1}, [b"a:1|c"]), (self.closed, self.tally.lines))

    def test_nothing_is_read_while_the_journal_is_full(self) -> None:
        """What is read would have nowhere to go: it is read when there is room again."""
        client = self.park()
        self.intake.is_full = True
        client.send(LINE)
        client.fin()
        self.tick()
        self.assertEqual(([], 1), (self.receives.sizes, self.occupancy.open))
        self.intake.is_full = False
        self.tick()
        self.assertEqual(({"eof": 1}, [b"a:1|c"]), (self.closed, self.tally.lines))

    def test_the_kernel_cannot_watch(self) -> None:
        """A connection that cannot be watched is polled in the next poll, and then the reactor has it."""

        def refuse(*_: object) -> None:
            raise OSError(errno.ENOSPC, "no watch left")

        self.patch(Parking, "add", refuse)
        self.moderator._begin()
        self.moderator._run_if_needed(0)
        self.line_lane()
        client = self.connect()
        self.tick()
        self.assertEqual((1, 0), (self.accepted, self.reactor.adopted))
        self.tick()
        self.assertEqual(1, self.reactor.adopted)
        client.send(LINE)
        client.fin()
        self.tick(2)
        self.assertEqual(({"eof": 1}, [b"a:1|c"]), (self.closed, self.tally.lines))

    def test_without_a_descriptor(self) -> None:
        """One whose time is up, and that the reactor cannot have yet, is read on meanwhile, and tried again."""
        self.patch(parking, "PATIENCE", 2)
        client = self.park()
        self.parked._connection = self.receives._connection  # type: ignore[attr-defined]
        self.reactor.adoption_error = OSError(errno.EMFILE, "too many")
        self.tick(3)
        client.send(LINE)
        client.fin()
        self.tick()
        self.assertEqual(({"eof": 1}, [b"a:1|c"], 0), (self.closed, self.tally.lines, self.occupancy.open))

    def test_drain(self) -> None:
        """At the end of the service parked connections are read and closed."""
        client = self.park()
        client.send(LINE)
        for one in self.moderator.unfinished():
            one.drain()
        self.intake.settle()
        self.assertEqual(({"shutdown": 1}, [b"a:1|c"]), (self.closed, self.tally.lines))

    def test_more_than_one_read_takes(self) -> None:
        """A client that sends more than one read takes is read on in the following polls."""
        client = self.park()
        block = LINE * (RECEIVE_SIZE // len(LINE) // 4)
        for _ in range(8):
            client.send(block)
            self.tick()
        client.fin()
        self.tick(4)
        self.assertEqual(({"eof": 1}, 8 * len(block)), (self.closed, self.tally.bytes))
