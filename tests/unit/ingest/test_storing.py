"""Connections of a listener with ``confirm=stored``: what is taken, what is confirmed, and how they end."""

from __future__ import annotations

from functools import partial
from typing import Any

from statsd_tcp.aggregate.batches import BatchTally, Brought
from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.ingest import protocol
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.giving import BalancedGivingLane, GivingLane
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ingest.lane_kinds import LaneKinds
from statsd_tcp.ingest.limits import ListenerLimits, WorkerLimits
from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.ingest.storing import StoringProtocol
from statsd_tcp.ledger.journal import read_frames
from statsd_tcp.who.limit_memory import ACTIVE, CLOSE, LimitMemory, LimitPlan
from statsd_tcp.wire.batches import MOST_UNDER_WAY
from statsd_tcp.wire.tails import Tails
from tests.unit.ingest.batches import CLIENT, LINES, batch, hello
from tests.unit.ingest.headers import GOOD, v2
from tests.unit.ingest.loopback import IDLE_TIMEOUT, Client, IngestTestCase

NODE = "4f1f7a0c-6f5c-4d6a-9d0e-3b7d5f2a1c90"
NODE_LINE = b"!node %s\n" % NODE.encode()
TRUSTED = ("127.0.0.0/8",)


class StoringTestCase(IngestTestCase):
    """A test with such a listener, the node of which is known."""

    kinds = LaneKinds(CountLane, GivingLane, BalancedGivingLane)  # type: ignore[arg-type]
    keys: dict[str, Any] = {}

    def setUp(self) -> None:
        """Make the lane."""
        super().setUp()
        doing_nothing: Any = dict.fromkeys(("scarce", "ample", "full", "resumed"), list)
        self.intake = Intake(self.journal, self.tally, 1, **doing_nothing, sources=self.sources, takes_batches=True)
        self.moderator._intake = self.intake
        self.much: list[bool] = []
        tally = BatchTally(tally_for([("tcp:1", "etsy")]))
        self.batches = BatchIntake(self.intake, tally, ["tcp:1"], lambda: self.much.append(True))
        self.batches.be(NODE)
        self.remake()

    def remake(self, **keywords: Any) -> None:
        """Make the factory and the lane."""
        kind = partial(StoringProtocol, self.batches)
        self.factory = self.make_factory(protocol=kind, is_headed=bool(self.keys), **keywords)
        self.lane = self.line_lane(**self.keys)

    def turn(self, times: int = 6) -> None:
        """Let the server read and write, a millisecond for each turn."""
        self.intake.tick += 1
        self.lane.poll()
        for _ in range(times):
            self.reactor.turn()
            self.tick()
        self.intake.settle()

    def client(self, data: bytes) -> Client:
        """Connect and say something."""
        client = self.connect()
        client.socket.sendall(data)
        self.turn()
        return client

    def say(self, client: Client, data: bytes) -> None:
        """Say something more."""
        client.socket.sendall(data)
        self.turn()

    def heard(self, client: Client) -> bytes:
        """Read what a client was told."""
        client.socket.setblocking(False)
        try:
            return client.socket.recv(1 << 16)
        except BlockingIOError:
            return b""
        finally:
            client.socket.setblocking(True)

    def commit(self, *, whole: bool = True) -> None:
        """Let all of the journal be in the store."""
        self.intake.release(self.journal.head)
        self.batches.committed(self.journal.head, whole=whole)
        self.turn()

    def assert_ended(self, client: Client, words: bytes, **closed: int) -> None:
        """Check what a client was told at last, that it then saw the end, and how the connection was counted."""
        self.assertEqual(words, client.end())
        client.socket.close()
        self.turn()
        self.assertEqual((closed, 0), (self.closed, self.occupancy.open))


class StoringTests(StoringTestCase):
    """Clients that do all as it should be, and others."""

    def test_confirmed(self) -> None:
        """A batch is one frame and one sum; it is confirmed when it is committed, and not before."""
        bad = b"x\n\nc:5|g\n"
        client = self.client(hello() + batch(1) + batch(4, bad))
        self.assertEqual(NODE_LINE, self.heard(client))
        frames = list(read_frames(self.journal.ring, 0, self.journal.head))
        self.assertEqual([(1, LINES), (4, bad)], [(one.batch.sequence, one.lines) for one in frames if one.batch])
        self.assertEqual({CLIENT}, {one.batch.client for one in frames if one.batch})
        sums = self.batches.gathered().sums
        self.assertEqual([(CLIENT, 1, "tcp:1"), (CLIENT, 4, "tcp:1")], [(*one.key, one.listener) for one in sums])
        first, second = (decode(one.payload) for one in sums)
        self.assertEqual(({"a": 1.0, "b": 2.0}, 2), (first.counters, first.listeners["tcp:1"].lines))
        self.assertEqual((1, {"malformed_line": 1}), (second.listeners["tcp:1"].empty_lines, second.bad_lines))
        self.batches.committed(frames[0].next - 1, whole=True)
        self.turn()
        self.assertEqual(b"", self.heard(client))
        self.batches.committed(frames[0].next, whole=True)
        self.turn()
        self.assertEqual(b"!stored 1 2 0\n", self.heard(client))
        self.commit()
        self.assertEqual(b"!stored 4 1 1\n", self.heard(client))
        self.assertEqual((Brought(), [], {}), (self.batches.gathered(), self.tally.lines, self.closed))

    def test_no_descriptor(self) -> None:
        """Without a descriptor for it a connection waits, and has its turn later."""
        self.reactor.adoption_error = OSError(24, "Too many open files")
        client = self.client(hello())
        self.assertEqual((1, 1, {}, 1), (self.accepted, self.occupancy.open, self.closed, self.errors("EMFILE")))
        self.reactor.adoption_error = None
        self.moderator._run_if_needed(0)
        self.turn()
        self.assertEqual((NODE_LINE, 1), (self.heard(client), self.reactor.adopted))

    def test_received(self) -> None:
        """All bytes are counted as received, by the frames those of the batches."""
        data = hello() + batch(1) + batch(2)
        client = self.client(data[:30])
        self.say(client, data[30:] + b"rest")
        frames = read_frames(self.journal.ring, 0, self.journal.head)
        self.assertEqual((len(data), len(data)), (sum(one.received for one in frames), self.tally.bytes))
        client.fin()
        self.commit()
        self.assert_ended(client, NODE_LINE + b"!stored 1 2 0\n!stored 2 2 0\n", eof=1)
        self.assertEqual((len(data) + 4, {}), (self.tally.bytes, dict(self.tally.rejected)))

    def test_node_later(self) -> None:
        """Who comes before it is known which node this is hears it later, unless gone by then."""
        self.batches._node = ""
        client, gone = self.client(hello()), self.client(hello(bytes(16)))
        gone.socket.close()
        self.turn()
        self.assertEqual(b"", self.heard(client))
        self.batches.be("")
        self.batches.be(NODE)
        self.turn()
        self.assertEqual((NODE_LINE, {}), (self.heard(client), self.batches._awaiting_node))

    def test_half_close(self) -> None:
        """After its end a client still hears of what is under way, and then the end."""
        client = self.client(hello() + batch(1))
        client.fin()
        self.turn()
        self.assertEqual((NODE_LINE, {}), (self.heard(client), self.closed))
        self.commit()
        self.assert_ended(client, b"!stored 1 2 0\n", eof=1)

    def test_break(self) -> None:
        """What a client has brought is handed over, also if there is no client left to tell."""
        client = self.client(hello() + batch(1) + LINES)
        client.reset()
        self.turn()
        self.assertEqual((1, {"reset": 1}, 0), (len(self.batches.gathered().sums), self.closed, self.occupancy.open))
        self.commit()
        self.assertEqual([], self.tally.lines)

    def test_refused(self) -> None:
        """What is no batch is refused and counted with an example; what is under way is confirmed before the end."""
        client = self.client(hello() + batch(1) + LINES + b"!batch 2 2 00000000\n" + batch(3))
        self.assertEqual(NODE_LINE + b"!refused 2 crc\n", self.heard(client))
        self.say(client, batch(4))
        brought = self.batches.gathered()
        self.assertEqual(((("tcp:1", "crc", 1),), 1), (brought.refused, len(brought.sums)))
        (example,) = self.batches.examples.take()
        self.assertEqual(("crc", "tcp:1", b"!batch 2 2 00000000"), (example.reason, example.listener, example.line))
        self.commit()
        self.assert_ended(client, b"!stored 1 2 0\n", error=1)

    def test_refused_at_once(self) -> None:
        """With nothing under way the end comes at once; a client that stays is closed some seconds later."""
        client = self.client(b"!hello 7\n")
        self.assertEqual(b"!refused 0 version\n", client.end())
        self.say(client, LINES)
        self.assertEqual({}, self.closed)
        self.reactor.advance(protocol.FAREWELL)
        self.assertEqual(({"error": 1}, []), (self.closed, self.tally.lines))

    def test_window(self) -> None:
        """This many batches may be under way, and no more; then again."""
        data = b"".join(batch(number + 1) for number in range(MOST_UNDER_WAY))
        client = self.client(hello() + data)
        self.commit()
        self.assertEqual(MOST_UNDER_WAY, self.heard(client).count(b"!stored"))
        data = b"".join(batch(number + 1) for number in range(MOST_UNDER_WAY, 2 * MOST_UNDER_WAY + 2))
        self.say(client, data)
        self.assertEqual(b"!refused %d window\n" % (2 * MOST_UNDER_WAY + 1), self.heard(client))
        self.commit()
        self.assertEqual(MOST_UNDER_WAY, client.end().count(b"!stored"))
        self.assertEqual(2 * MOST_UNDER_WAY, len(self.batches.gathered().sums))

    def test_memory(self) -> None:
        """Of too many bytes that wait for their end the longest batch goes."""
        self.intake.tails = Tails(1000)
        long, short = self.client(hello() + b"a" * 800), self.client(hello() + b"b" * 300)
        self.assertEqual(NODE_LINE + b"!refused 0 memory\n", long.end())
        self.say(short, b":1|c\n!batch 1 1 0\n"[:6] + b"!batch")
        self.assertEqual((NODE_LINE, (("tcp:1", "memory", 1),)), (self.heard(short), self.batches.gathered().refused))

    def test_much(self) -> None:
        """Much is handed over early."""
        client = self.client(hello())
        for number in range(5):
            self.say(client, batch(number + 1, b"".join(b"n%d-%d:1|c\n" % (number, n) for n in range(20_000))))
        self.assertTrue(self.much)
        self.assertLess(self.journal.head, len(self.journal.ring))

    def test_left_out(self) -> None:
        """If it is not known what of the journal is stored the client is not told so, and has to come again."""
        client = self.client(hello() + batch(1) + batch(2))
        self.commit(whole=False)
        self.assert_ended(client, NODE_LINE, error=1)

    def test_never_read(self) -> None:
        """A client that does not read its answers is cut off."""
        client = self.client(hello())
        (connection,) = self.factory.kept
        connection.transport.bufferSize = 100  # type: ignore[union-attr]
        connection.transport.writeSomeData = lambda data: 0  # type: ignore[union-attr]
        self.say(client, b"".join(batch(number + 1) for number in range(MOST_UNDER_WAY)))
        self.commit()
        self.assertEqual(({"error": 1}, 0), (self.closed, self.occupancy.open))


class SourceTests(StoringTestCase):
    """What is told of the sources of batches."""

    told: list[tuple[Any, ...]]

    def make_sources(self) -> WorkerSources | None:
        """Note what is told."""
        self.told = []
        sources = WorkerSources.__new__(WorkerSources)
        sources._bits = (32, 64)
        sources.add = sources.writer = lambda *what: self.told.append(what)
        return sources

    def test_told(self) -> None:
        """Lines, bytes and bad lines count for the client that has sent them; also bytes that make no batch."""
        first = hello() + batch(1, b"a:1|c\nbad\n\n")
        client = self.client(first + LINES)
        client.fin()
        self.commit()
        self.assertEqual(1, len({origin for origin, *_ in self.told}))
        sums = [sum(column) for column in zip(*(padded[1:] for padded in map(_padded, self.told)), strict=True)]
        self.assertEqual([0, 1, 3, len(first + LINES), 1, 0, 0], sums)


def _padded(what: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*what, *(0,) * (8 - len(what)))


class LimitTests(StoringTestCase):
    """Limits of sources."""

    def remake(self, **keywords: Any) -> None:
        """Let this machine have one open connection."""
        self.limit_memory = LimitMemory.make(LimitPlan(tuple(range(7)), 1, most_open=1, action=CLOSE, sets=8))
        self.limit_memory.cells[ACTIVE] = 1
        self.limits = ListenerLimits(WorkerLimits(self.limit_memory, 0), 0, self.cells, self.indexes, None)
        self.intake.limits[0] = self.limits
        super().remake(**keywords)

    def test_open(self) -> None:
        """Each connection is an open one, from its begin to its end."""
        first = self.client(hello() + batch(1))
        self.assertEqual(b"", self.client(hello()).end())
        self.assertEqual({"limited": 1}, self.closed)
        first.fin()
        self.commit()
        first.end()
        first.socket.close()
        self.turn()
        self.client(hello() + batch(2))
        self.assertEqual(({"limited": 1, "eof": 1}, 1), (self.closed, self.occupancy.open))


class BalancedLimitTests(LimitTests):
    """Limits of clients behind a balancer."""

    keys: dict[str, Any] = {"proxy": "any", "trust": ("127.0.0.0/8",)}

    def client(self, data: bytes) -> Client:
        """Connect through the balancer."""
        return super().client(GOOD["v2"].data + data)


class BareTests(StoringTestCase):
    """Clients that know nothing of batches."""

    def test_lines(self) -> None:
        """Their lines count as on any listener, however they come, and nothing is said."""
        client = self.client(b"a:1|c\nb")
        self.say(client, b":!|c\nc:3|c")
        client.fin()
        self.turn()
        self.assert_ended(client, b"", eof=1)
        self.assertEqual([b"a:1|c", b"b:!|c", b"c:3|c"], self.tally.lines)

    def test_control_lines(self) -> None:
        """A control line among them ends the connection; what was before it counts."""
        for pieces in ((b"a:1|c\n" + hello(),), (b"a:1|c\n", hello()), (b"a:1|c", b"\n!", b"hello")):
            client = self.client(pieces[0])
            for piece in pieces[1:]:
                self.say(client, piece)
            self.assertEqual(b"!refused 0 syntax\n", client.end())
            client.socket.close()
            self.turn()
        self.assertEqual(([b"a:1|c"] * 3, {"error": 3}), (self.tally.lines, self.closed))
        self.assertEqual((("tcp:1", "syntax", 3),), self.batches.gathered().refused)

    def test_drain(self) -> None:
        """At the end of the service they are closed at once, with what has come."""
        client = self.client(b"a:1|c\n")
        client.send(b"b:1|c\nc")
        self.factory.drain()
        self.intake.settle()
        self.assertEqual(({"shutdown": 1}, [b"a:1|c", b"b:1|c"]), (self.closed, self.tally.lines))


class EndTests(StoringTestCase):
    """Connections that the server ends."""

    def test_drain(self) -> None:
        """At the end of the service what has come is taken, and the connection ends when it is confirmed."""
        client, idle = self.client(hello() + batch(1)), self.client(hello(bytes(16)))
        client.send(batch(2) + LINES)
        self.factory.drain()
        self.assertEqual({"shutdown": 1}, self.closed)
        self.assertEqual(NODE_LINE, idle.end())
        self.say(client, batch(3))
        self.assertEqual(2, len(self.batches.gathered().sums))
        self.commit()
        self.assert_ended(client, NODE_LINE + b"!stored 1 2 0\n!stored 2 2 0\n", shutdown=2)

    def test_drain_after_the_end(self) -> None:
        """A client that has ended its side is told, too."""
        client = self.client(hello() + batch(1))
        client.fin()
        self.factory.drain()
        self.commit()
        self.assertEqual(NODE_LINE + b"!stored 1 2 0\n", client.end())
        self.assertEqual({"shutdown": 1}, self.closed)

    def test_abandoned(self) -> None:
        """Who is not told in time is closed, and was told nothing wrong."""
        client = self.client(hello() + batch(1))
        self.factory.drain()
        self.factory.abandon()
        self.assertEqual((NODE_LINE, {"shutdown": 1}), (client.end(), self.closed))
        self.commit()

    def test_idle(self) -> None:
        """One that waits for its answers is not idle; without anything to wait for it is."""
        client = self.client(hello() + batch(1))
        self.reactor.pump([1.0] * int(IDLE_TIMEOUT * 2))
        self.assertEqual({}, self.closed)
        self.commit()
        self.assertEqual(NODE_LINE + b"!stored 1 2 0\n", self.heard(client))
        self.reactor.pump([1.0] * int(IDLE_TIMEOUT * 2))
        self.assertEqual({"idle": 1}, self.closed)

    def test_evicted(self) -> None:
        """One that has to make room is closed at once; what it has brought is kept."""
        client = self.client(hello())
        client.send(batch(1))
        (connection,) = self.factory.kept
        connection.evict()
        self.assertEqual(({"evicted": 1}, 1), (self.closed, len(self.batches.gathered().sums)))
        self.assertEqual(NODE_LINE, client.end())
        self.commit()


class AgeTests(StoringTestCase):
    """Connections that may have a greatest age of 40 seconds."""

    def setUp(self) -> None:
        """Set it."""
        super().setUp()
        self.lane.stop()
        self.remake(max_age=40.0)

    def test_age(self) -> None:
        """A client that is too old is told of what is under way, then the end; what it sends meanwhile is not taken."""
        client, bare = self.client(hello() + batch(1)), self.client(b"a:1|c\n")
        self.reactor.pump([1.0] * 50)
        self.say(client, batch(2))
        self.assertEqual((1, {"max_age": 1}), (len(self.batches.gathered().sums), self.closed))
        self.assertEqual(b"", bare.end())
        self.commit()
        self.assert_ended(client, NODE_LINE + b"!stored 1 2 0\n", max_age=2)


class BalancedTests(StoringTestCase):
    """Such a listener behind a balancer."""

    keys = {"proxy": "any", "trust": TRUSTED}

    def test_header(self) -> None:
        """The header comes first, in parts or not."""
        for pieces in ((v2() + hello() + batch(1),), (v2()[:5], v2()[5:] + hello()[:3], hello()[3:] + batch(1))):
            client = self.client(pieces[0])
            for piece in pieces[1:]:
                self.say(client, piece)
            self.assertEqual(1, len(self.batches.gathered().sums))
            self.commit()
            client.fin()
            self.turn()
            self.assertEqual(NODE_LINE + b"!stored 1 2 0\n", client.end())
        self.assertEqual({"eof": 2}, self.closed)

    def test_no_header(self) -> None:
        """Without a header there is no client."""
        client = self.client(hello() + batch(1))
        self.assertEqual(({"bad_proxy_header": 1}, Brought()), (self.closed, self.batches.gathered()))
        client.socket.close()
