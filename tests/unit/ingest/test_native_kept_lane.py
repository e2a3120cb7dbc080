"""The lane in C of connections that stay: what it reads itself, and what it leaves to their transports."""

from __future__ import annotations

import errno
from typing import Any
from unittest import mock

from statsd_tcp.ingest import kept_lane
from statsd_tcp.ingest.intake import SHARE, Intake
from statsd_tcp.ledger.journal import read_frames
from tests.unit.ingest.loopback import Client, IngestTestCase
from tests.unit.ingest.test_native_lanes import NATIVE, WITHOUT


class NativeKeptLaneTests(IngestTestCase):
    """Clients that stay, of which each has sent a line before."""

    kinds = NATIVE
    if WITHOUT:
        skip = WITHOUT

    def clients(self, number: int = 1) -> list[tuple[Client, Any]]:
        """Make clients that are known to C, with their transports."""
        made = [self.adopt() for _ in range(number)]
        for client, _ in made:
            client.send(b"first:1|c\n")
        self.kept_lane.poll()
        self.intake.settle()
        self.tick(5)
        self.tally.lines.clear()
        return made

    def read(self) -> list[bytes]:
        """Poll, and return the lines that came."""
        self.kept_lane.poll()
        self.intake.settle()
        lines, self.tally.lines = self.tally.lines, []
        return lines

    def without_transport(self, transport: Any) -> Any:
        """Have it noticed when a transport reads."""
        return mock.patch.object(transport, "doRead", side_effect=AssertionError("the transport reads"))

    def test_whole_lines(self) -> None:
        """Reads that end a line are taken without a call of the transport, and noted as what its client has sent."""
        ((client, transport),) = self.clients()
        before = self.tally.bytes
        with self.without_transport(transport):
            for number in range(3):
                client.send(b"a:%d|c\nb:1|c\n" % number)
                self.intake.tick += 1_000_000
                self.assertEqual([b"a:%d|c" % number, b"b:1|c"], self.read())
                self.assertEqual(self.intake.tick, transport.protocol.heard)
        self.assertEqual(36, self.tally.bytes - before)
        frames = list(read_frames(self.journal.ring, 0, self.journal.head))
        self.assertEqual((4, b"a:2|c\nb:1|c\n"), (len(frames), frames[-1].lines))

    def test_a_line_in_two_reads(self) -> None:
        """A line that comes in pieces is put together; from the next one on C reads again."""
        ((client, transport),) = self.clients()
        client.send(b"a:1|c\nb:")
        self.assertEqual([b"a:1|c"], self.read())
        client.send(b"2|c\n")
        self.assertEqual([b"b:2|c"], self.read())
        client.send(b"c:3|c\n")
        with self.without_transport(transport):
            self.assertEqual([b"c:3|c"], self.read())

    def test_among_others(self) -> None:
        """What C cannot take of one client does not keep those of the others from being read in the same poll."""
        made = self.clients(6)
        for number, (client, _) in enumerate(made):
            client.send(b"a:%d|c" % number if number % 2 else b"a:%d|c\n" % number)
        self.assertEqual([b"a:0|c", b"a:2|c", b"a:4|c"], sorted(self.read()))
        for client, _ in made[1::2]:
            client.fin()
        self.assertEqual([b"a:1|c", b"a:3|c", b"a:5|c"], sorted(self.read()))
        self.assertEqual({"eof": 3}, self.closed)

    def test_gauges(self) -> None:
        """A gauge gets the time at which it was read, which none after it is before."""
        first, second = self.clients(2)
        tick = self.intake.tick
        first[0].send(b"g:1|g\n")
        second[0].send(b"a:1|c\n")
        self.assertEqual([b"a:1|c", b"g:1|g"], sorted(self.read()))
        self.assertLess(tick, self.intake.tick)

    def test_reset(self) -> None:
        """A connection that its client resets is counted as that, and its descriptor is no longer of C."""
        ((client, transport),) = self.clients()
        descriptor = transport.fileno()
        client.reset()
        self.read()
        self.assertEqual({"reset": 1}, self.closed)
        self.assertEqual(bytes(20), bytes(self.kept_lane._table[20 * descriptor :][:20]))  # type: ignore[attr-defined]

    def test_an_error_that_is_read(self) -> None:
        """An error that the read of C has taken from the socket ends the connection."""
        ((_, transport),) = self.clients()
        found: Any = (1, 0, 0, [], [], 0, 0, [(transport.fileno(), None, errno.ECONNRESET)], b"", b"")
        with mock.patch.object(self.kept_lane, "_run", return_value=found):
            self.assertEqual([], self.read())
        self.assertEqual({"reset": 1}, self.closed)

    def test_the_first_bytes(self) -> None:
        """What a connection sends first may be a header, and is left to its transport."""
        client, _ = self.adopt()
        client.send(b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00a:1|c\n")
        self.assertEqual(([b"a:1|c"], {"proxy_header": 1}), (self.read(), self.tally.rejected))

    def test_paused_and_resumed(self) -> None:
        """Nothing is read of a paused connection; what it had begun is remembered."""
        ((client, _),) = self.clients()
        client.send(b"a:")
        self.read()
        self.factory.pause()
        client.send(b"1|c\n")
        self.assertEqual([], self.read())
        self.factory.resume()
        self.assertEqual([b"a:1|c"], self.read())

    def test_no_room(self) -> None:
        """While the journal has no room for certain nothing is read."""
        ((client, _),) = self.clients()
        client.send(b"a:1|c\n")
        self.intake.edge = self.intake.brim = self.journal.head - 1
        self.assertEqual([], self.read())

    def test_too_much_of_one(self) -> None:
        """Who has brought a share while only the reserve is left is held until the next commit."""
        (busy, quiet) = self.clients(2)
        self.intake.is_scarce = True
        for number in range(SHARE // 30000 + 1):
            busy[0].send(b"%d" % number + b"x" * 29998 + b"\n")
            quiet[0].send(b"a:1|c\n")
            self.read()
        self.assertEqual((True, False), (busy[1].protocol.is_held, quiet[1].protocol.is_held))
        busy[0].send(b"b:1|c\n")
        quiet[0].send(b"a:2|c\n")
        self.assertEqual([b"a:2|c"], self.read())

    def test_what_is_read_when_all_pauses(self) -> None:
        """What was read before the journal became full is taken, of those whose line is not whole, too."""
        made = self.clients(2)
        made[0][0].send(b"a:1|c\n")
        made[1][0].send(b"b:1|c")
        took = self.intake.took

        def full(*arguments: Any) -> None:
            took(*arguments)
            self.factory.pause()

        with mock.patch.object(Intake, "took", lambda _, *arguments: full(*arguments)):
            self.read()
        self.factory.resume()
        for client, _ in made:
            client.fin()
        lines = self.tally.lines + self.read()
        self.assertIn(b"b:1|c", lines)

    def test_the_reserve(self) -> None:
        """As soon as only the reserve is left nothing more is read of those that have brought their share."""
        made = self.clients(3)
        for (client, transport), size in zip(made, (SHARE, SHARE, 0), strict=True):
            transport.protocol.note_read(size)
            client.send(b"a:1|c\n")
        self.intake.edge = self.journal.head
        self.patch(self.intake, "_scarce", self.factory.hold)
        self.assertEqual(2, len(self.read()))
        self.assertEqual([True, True, False], [transport.protocol.is_held for _, transport in made])

    def test_the_last_of_the_room(self) -> None:
        """What C has read and left to Python gets the last room in the journal before anything else is read."""
        ((plain, transport),) = self.clients()
        silent, other = self.adopt()
        silent.send(b"s" * 5000 + b"\n")
        plain.send(b"a:1|c\nb:")
        self.intake.edge = self.intake.brim = self.journal.head
        self.patch(self.intake, "_full", self.factory.pause)
        ready = [(other.fileno(), None, 0), (transport.fileno(), transport.socket.recv(100), 0)]
        found: Any = (2, 0, 0, [], [], 0, 0, ready, b"", b"")
        with mock.patch.object(self.kept_lane, "_run", return_value=found):
            self.assertEqual([b"a:1|c"], self.read())

    def test_all_that_are_found(self) -> None:
        """One poll reads of each that it has found, of whichever listener, and after a line that is not whole."""
        made = self.clients(4)
        made[1][1].protocol.stream.index = 1
        self.kept_lane._note(made[1][1])  # type: ignore[attr-defined]
        for name, values in (("_batches", [[], []]), ("_bytes", [0, 0]), ("_datagrams", [0, 0])):
            setattr(self.intake, name, values)
        for number, (client, _) in enumerate(made):
            client.send(b"a:%d|c\n%s" % (number, b"b" * (number == 0)))
        self.patch(kept_lane, "BUDGET", 4)
        self.assertEqual(4, self.kept_lane.poll())
        frames = read_frames(self.journal.ring, 0, self.journal.head)
        self.assertEqual([b"a:%d|c\n" % number for number in range(4)], sorted(frame.lines for frame in frames)[:4])
        made[1][1].protocol.stream.index = 0

    def test_two_listeners(self) -> None:
        """The lines of each listener are taken as its own."""
        first, second = self.clients(2)
        second[1].protocol.stream.index = 1
        self.kept_lane._note(second[1])  # type: ignore[attr-defined]
        first[0].send(b"a:1|c\n")
        second[0].send(b"b:1|c\n")
        start = self.journal.head
        for name, values in (("_batches", [[], []]), ("_bytes", [0, 0]), ("_datagrams", [0, 0])):
            setattr(self.intake, name, values)
        self.read()
        frames = read_frames(self.journal.ring, start, self.journal.head)
        self.assertEqual({(0, b"a:1|c\n"), (1, b"b:1|c\n")}, {(frame.listener, frame.lines) for frame in frames})
        second[1].protocol.stream.index = 0
