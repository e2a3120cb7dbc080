"""What each lane does with connections whose source is over a limit."""

from __future__ import annotations

from typing import Any

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest import tls_lane
from statsd_tcp.ingest.giving import BalancedGivingLane, GivingLane
from statsd_tcp.ingest.limits import ListenerLimits, WorkerLimits
from statsd_tcp.ingest.sources import packed_address
from statsd_tcp.ingest.tls_lane import TlsFactory
from statsd_tcp.ledger.cells import LIMIT_ACTIONS
from statsd_tcp.settings.endpoints import TlsFiles
from statsd_tcp.sockets.tls import read_tls, server_context
from statsd_tcp.who.limit_memory import ACTIVE, CLOSE, HEAD_SIZE, LIMIT_RECORD, OBSERVE, RESET, LimitMemory, LimitPlan
from tests.certificates import Authority
from tests.unit.folders import make_folder
from tests.unit.ingest.headers import GOOD, LOCAL
from tests.unit.ingest.loopback import IDLE_TIMEOUT, MAX_LINE, Client, VirtualTime
from tests.unit.ingest.test_balanced import LATE_POLLS, TRUSTED
from tests.unit.ingest.test_sources import HERE, SourcesTestCase

INTERVAL = 3600 * NANOSECONDS
"""A connection an hour: what a test may have is its burst."""
LINE = b"a:1|c\n"


class LimitsTestCase(SourcesTestCase):
    """A test with limits of sources, which `limit` sets."""

    def limit(self, action: int = CLOSE, burst: int = 0, most_open: int = 0, exempt: bytes = b"") -> None:
        """Limit this machine to a burst, and to open connections."""
        keys = tuple(range(1 << 40, (1 << 40) + 7))
        interval = INTERVAL if burst else 0
        plan = LimitPlan(keys, 2, interval, burst * INTERVAL, most_open, action, exempt=exempt, sets=16)
        self.limit_memory = LimitMemory.make(plan)
        self.limit_memory.cells[ACTIVE] = 2
        self.worker_limits = WorkerLimits(self.limit_memory, 0, self.kinds.admits)
        self.limits = ListenerLimits(self.worker_limits, 0, self.cells, self.indexes, self.sources)
        self.intake.limits[0] = self.limits

    def limited(self) -> dict[str, int]:
        """Return how many connections were over a limit, by what was done."""
        cells = self.indexes.source_limited
        numbers = {action: self.cells[cell] for action, cell in zip(LIMIT_ACTIONS, cells, strict=True)}
        return {action: number for action, number in numbers.items() if number}

    def still_open(self) -> int:
        """Return how many connections are counted as open."""
        records = LIMIT_RECORD.iter_unpack(self.limit_memory.view[HEAD_SIZE:])
        return sum(int(record[2]) for record in records)

    def outcome(self, client: Client) -> str:
        """Return how the server has ended a connection."""
        try:
            client.end()
        except ConnectionResetError:
            return "reset"
        return "end"


class CountTests(LimitsTestCase):
    """Ports that only count."""

    def test_close(self) -> None:
        """Beyond the burst a connection is closed under a reason of its own, with an ordinary end, and counted."""
        self.limit(CLOSE, 2)
        self.count_lane()
        clients = [self.client(b"GET / HTTP/1.1\r\n", fin=False) for _ in range(5)]
        self.poll()
        self.assertEqual((5, {"counted": 2, "limited": 3}), (self.accepted, self.closed))
        self.assertEqual({"close": 3}, self.limited())
        self.assertEqual(["end"] * 5, [self.outcome(client) for client in clients])
        self.only(connections=5, limited=3)

    def test_reset(self) -> None:
        """With the action reset it is reset."""
        self.limit(RESET, 1)
        self.count_lane()
        clients = [self.client(fin=False) for _ in range(3)]
        self.poll()
        self.assertEqual(({"counted": 1, "limited": 2}, {"reset": 2}), (self.closed, self.limited()))
        self.assertEqual(["end", "reset", "reset"], [self.outcome(client) for client in clients])

    def test_observe(self) -> None:
        """When limits are only observed, all is served; what would have been limited is counted."""
        self.limit(OBSERVE, 1)
        self.count_lane()
        for _ in range(3):
            self.client()
        self.poll()
        self.assertEqual(({"counted": 3}, {"observe": 2}), (self.closed, self.limited()))
        self.only(connections=3, limited=2)

    def test_exempt(self) -> None:
        """A network that is exempt has no limit."""
        self.limit(CLOSE, 1, exempt=HERE + bytes((128,)))
        self.count_lane()
        for _ in range(3):
            self.client()
        self.poll()
        self.assertEqual(({"counted": 3}, {}), (self.closed, self.limited()))


class LineTests(LimitsTestCase):
    """Ports for lines."""

    def test_rate(self) -> None:
        """What a connection beyond the burst has sent is not taken; its client sees an ordinary end."""
        self.limit(CLOSE, 2)
        self.line_lane()
        clients = [self.client(LINE) for _ in range(4)]
        self.poll()
        self.assertEqual(({"eof": 2, "limited": 2}, [b"a:1|c"] * 2), (self.closed, self.tally.lines))
        self.assertEqual(["end"] * 4, [self.outcome(client) for client in clients])
        self.only(connections=4, lines=2, nbytes=12, limited=2)

    def test_observe(self) -> None:
        """When limits are only observed, all lines are taken, and each connection over a limit is counted once."""
        self.limit(OBSERVE, 1, 1)
        self.line_lane()
        for _ in range(3):
            self.client(LINE)
        for data in (LINE, b"a:1", b""):
            self.client(data, fin=False)
        self.poll(LATE_POLLS)
        self.assertEqual(({"eof": 3}, {"observe": 5}), (self.closed, self.limited()))
        self.assertEqual((4, 0), (len(self.tally.lines), self.still_open()))

    def test_observe_open(self) -> None:
        """One over the limit of open ones, which would have been closed, takes no place of those that are observed."""
        self.limit(OBSERVE, most_open=1)
        self.line_lane()
        within = self.client(LINE, fin=False)
        self.poll()
        self.client(LINE, fin=False)
        self.poll(LATE_POLLS)
        self.assertEqual((1, {"observe": 1}), (self.still_open(), self.limited()))
        within.fin()
        self.poll(LATE_POLLS)
        self.client(LINE, fin=False)
        self.poll(LATE_POLLS)
        self.assertEqual((1, {"observe": 1}), (self.still_open(), self.limited()))

    def test_open(self) -> None:
        """Short connections do not count as open. Of those that stay only as many may as are allowed at once."""
        self.limit(CLOSE, most_open=2)
        self.line_lane()
        for _ in range(5):
            self.client(LINE)
        self.poll()
        kept = [self.client(LINE, fin=False) for _ in range(2)]
        self.poll(LATE_POLLS)
        self.assertEqual((2, {"eof": 5}), (self.still_open(), self.closed))
        over = self.client(b"b:1|c\n", fin=False)
        self.poll()
        self.assertEqual({"eof": 5, "limited": 1}, self.closed)
        self.assertEqual(("end", 1), (self.outcome(over), self.tally.lines.count(b"b:1|c")))
        kept[0].fin()
        self.poll(LATE_POLLS)
        self.client(fin=False)
        self.poll(LATE_POLLS)
        self.assertEqual((2, {"eof": 6, "limited": 1}), (self.still_open(), self.closed))

    def test_reset(self) -> None:
        """One that may not stay is reset, if that is the action."""
        self.limit(RESET, most_open=1)
        self.line_lane()
        clients = [self.client(b"a:1", fin=False) for _ in range(2)]
        self.poll()
        self.assertEqual(("reset", {"limited": 1}), (self.outcome(clients[1]), self.closed))
        self.assertEqual(1, self.tally.rejected.total())

    def test_every_end(self) -> None:
        """However a connection ends that has stayed, early or late, it is not open any longer."""
        self.limit(CLOSE, most_open=9)
        lane = self.line_lane()
        for late in (1, LATE_POLLS):
            for end in (Client.fin, Client.reset):
                for data in (b"", b"a:1", LINE, b"x" * (MAX_LINE + 1)):
                    client = self.client(data, fin=False)
                    self.poll(late)
                    self.assertEqual(1, self.still_open(), (late, data))
                    end(client)
                    self.poll(LATE_POLLS)
                    self.assertEqual(0, self.still_open(), (late, data))
        for late in (1, LATE_POLLS):
            self.client(LINE, fin=False)
            self.poll(late)
            self.factory.drain()
            for unfinished in self.moderator.unfinished():
                unfinished.drain()
            self.assertEqual(0, self.still_open())
            self.moderator.stop()
            lane.start()

    def test_no_descriptor(self) -> None:
        """A connection for which no transport can be made stays one that is open."""
        self.limit(CLOSE, most_open=9)
        self.line_lane()
        self.reactor.adoption_error = OSError(24, "too many")
        client = self.client(LINE, fin=False)
        self.poll(LATE_POLLS)
        self.assertEqual(1, self.still_open())
        self.reactor.adoption_error = None
        self.reactor.pump([0.2])
        self.poll(LATE_POLLS)
        self.assertEqual((1, 1), (self.still_open(), len(self.factory.kept)))
        client.fin()
        self.poll(LATE_POLLS)
        self.assertEqual(0, self.still_open())


class BalancedTests(LimitsTestCase):
    """Ports behind a balancer."""

    def start(self, **limits: Any) -> None:
        """Make the lane."""
        self.limit(**limits)
        self.factory = self.make_factory(is_headed=True)
        self.line_lane(proxy="any", trust=TRUSTED)

    def test_rate(self) -> None:
        """The client that the header names has the rate, whichever way its connection comes, and takes it once."""
        early = GOOD["v2"].data + LINE
        for split in (len(early), 9, 28, 30):
            with self.subTest(split):
                self.start(burst=2)
                before = self.closed.get("limited", 0)
                for _ in range(3):
                    client = self.client(early[:split], fin=False)
                    if split < len(early):
                        self.poll(LATE_POLLS)
                        if self.limited() == {"close": before + 1}:
                            continue
                        client.send(early[split:])
                    client.fin()
                    self.poll(LATE_POLLS)
                self.assertEqual(before + 1, self.closed["limited"])
                self.assertEqual(2, len(self.tally.lines))
                self.tally.lines.clear()
                self.listener.close()
                self.setUp()

    def test_other_clients(self) -> None:
        """The balancer itself has no limit, and its health checks take nothing."""
        self.start(burst=1)
        for data in (GOOD["v1"].data, GOOD["v1 IPv6"].data, *LOCAL.values(), b"PROXY UNKNOWN\r\na:1|c\n"):
            self.client(data)
            self.poll()
        self.assertNotIn("limited", self.closed)

    def test_observe(self) -> None:
        """A connection that is over both limits is counted once, whichever way its header comes."""
        self.start(action=OBSERVE, burst=1, most_open=1)
        header = GOOD["v2"].data
        for data in (header, header, header + LINE, header + b"a:1", header[:5]):
            client = self.client(data, fin=False)
            self.poll(LATE_POLLS)
        client.send(header[5:])
        self.poll(LATE_POLLS)
        self.assertEqual(({}, {"observe": 4}, 1), (self.closed, self.limited(), self.still_open()))

    def test_exempt(self) -> None:
        """An exempt network is one of clients, not of balancers."""
        address = packed_address("192.0.2.0")
        self.start(burst=1, exempt=address + bytes((120,)))
        for _ in range(3):
            self.client(GOOD["v1"].data + LINE)
            self.poll()
        self.assertEqual({"eof": 3}, self.closed)

    def test_reset(self) -> None:
        """A connection is reset, also when its header comes late."""
        self.start(action=RESET, burst=1)
        header = GOOD["v2"].data
        self.client(header)
        self.poll()
        early = self.client(header + LINE, fin=False)
        self.poll()
        late = self.client(header[:5], fin=False)
        self.poll(LATE_POLLS)
        late.send(header[5:] + LINE)
        self.poll(LATE_POLLS)
        self.assertEqual(["reset", "reset"], [self.outcome(early), self.outcome(late)])
        self.assertEqual(({"eof": 1, "limited": 2}, []), (self.closed, self.tally.lines))

    def test_open(self) -> None:
        """An open connection counts for its client from the header on, also when that comes late."""
        self.start(most_open=1)
        header = GOOD["v2"].data
        waiting = [self.client(header[:5], fin=False) for _ in range(2)]
        self.poll(LATE_POLLS)
        self.assertEqual(0, self.still_open())
        for client in waiting:
            client.send(header[5:])
            self.poll(LATE_POLLS)
        self.assertEqual((1, {"limited": 1}), (self.still_open(), self.closed))
        self.client(header, fin=False)
        self.poll(LATE_POLLS)
        self.assertEqual({"limited": 2}, self.closed)
        waiting[0].fin()
        self.poll(LATE_POLLS)
        self.assertEqual(0, self.still_open())


class TlsTests(LimitsTestCase):
    """Ports with TLS, whose connections always stay."""

    def start(self, kind: type[GivingLane], keys: dict[str, Any], **limits: Any) -> None:
        """Make the lane."""
        self.limit(**limits)
        self.patch(tls_lane, "time", VirtualTime(self.reactor))
        good = str(Authority(make_folder(self)).issue("good"))
        self.factory = TlsFactory(
            *(self.reactor, self.cells, self.indexes, self.moderator, self.occupancy, IDLE_TIMEOUT),
            context=server_context(read_tls(TlsFiles(good, good, None))),
            is_headed=bool(keys),
        )
        lane = kind(
            *self._common(),
            self.listener_sources,
            self.limits,
            intake=self.intake,
            index=0,
            occupancy=self.occupancy,
            hand_over=self.factory.hand_over,
            max_line=MAX_LINE,
            **keys,
        )
        lane.start()

    def test_rate(self) -> None:
        """Beyond the burst there is no handshake."""
        self.start(GivingLane, {}, burst=1)
        clients = [self.client(b"hello", fin=False) for _ in range(2)]
        self.poll()
        self.assertEqual("end", self.outcome(clients[1]))
        self.assertEqual((1, 1), (self.closed["limited"], len(self.factory.kept) + self.closed.get("error", 0)))

    def test_open(self) -> None:
        """A handshake is an open connection."""
        self.start(GivingLane, {}, action=RESET, most_open=1)
        clients = [self.client(fin=False) for _ in range(2)]
        self.poll()
        self.assertEqual(("reset", {"limited": 1}), (self.outcome(clients[1]), self.closed))
        self.assertEqual((1, 1), (self.still_open(), self.occupancy.open))
        clients[0].fin()
        self.poll(LATE_POLLS)
        self.assertEqual((0, 0), (self.still_open(), self.occupancy.open))

    def test_behind_a_balancer(self) -> None:
        """The header comes first, and with it the limit."""
        self.start(BalancedGivingLane, {"proxy": "v2", "trust": TRUSTED}, burst=1)
        for _ in range(2):
            self.client(GOOD["v2"].data, fin=False)
        self.poll(LATE_POLLS)
        self.assertEqual(({"limited": 1}, 1), (self.closed, len(self.factory.kept)))
