"""What the service tells of sources, and to whom."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.settings.who import read_names
from statsd_tcp.status.who import COST, KEPT, LOOKED, REST, Listener, Who
from statsd_tcp.who.layout import BEGAN, FOLDED, OPEN, unix_address
from statsd_tcp.who.memory import SourceBoard, SourcePlan
from tests.unit.folders import make_folder
from tests.unit.who.boards import KEYS, close_period, note, small_board

LISTENERS = [Listener("tcp:8125", may_have_header=True), Listener("unix:/s", may_have_header=False)]


class WhoTestCase(SynchronousTestCase):
    """A test with one worker's memory."""

    def setUp(self) -> None:
        """Begin at the moment at which the worker has begun."""
        self.clock = Clock()
        self.board = small_board(64)
        self.memory = self.board.make()
        self.addCleanup(self._close)
        self.start = self.memory.cells[BEGAN]
        self.who = self.make()

    def _close(self) -> None:
        for memory in self.board.living + self.board.ended:
            memory.close()

    def make(self, names: Any = None, to: tuple[str, ...] = (), board: Any = None) -> Who:
        """Make what is tested."""
        return Who(self.clock, board or self.board, LISTENERS, names, to, self.ticks)

    def ticks(self) -> int:
        """Return the workers' time."""
        return self.start + int(self.clock.seconds() * NANOSECONDS)

    def go_on(self, seconds: int = 1) -> None:
        """Let seconds pass, in each of which something may be due."""
        for _ in range(seconds):
            self.clock.advance(1)
            self.who.check()
            self.finish()

    def finish(self) -> None:
        """Let all work come to its end."""
        while self.clock.getDelayedCalls():
            self.clock.advance(0)

    def fresh(self) -> None:
        """Look, and wait for what there is."""
        fresh = self.who.fresh()
        self.finish()
        self.successResultOf(fresh)


class ViewTests(WhoTestCase):
    """What is shown."""

    def test_rows(self) -> None:
        """A source has its numbers, its rates and its name; addresses that are not whole are networks."""
        path = make_folder(self) / "names"
        path.write_text("10.0.0.0/8 racks\n")
        self.who = self.make(read_names(str(path)))
        note(self.memory, "10.0.0.1", 0, 50, lines=100, bad=3)
        note(self.memory, "2001:db8::1", 0, 30)
        note(self.memory, unix_address(1000), 1, 20)
        self.clock.advance(10)
        self.fresh()
        first, second, third = self.who.rows(10)
        self.assertEqual(("10.0.0.1", "racks", "tcp:8125"), (first.source, first.name, first.listener))
        self.assertEqual((50, 0, 100, 3, 5.0, 10.0), (
            first.connections, first.err, first.lines, first.bad, first.per_second.connections, first.per_second.lines,
        ))  # fmt: skip
        self.assertEqual(("2001:db8::/64", ""), (second.source, second.name))
        self.assertEqual(("uid 1000", "unix:/s"), (third.source, third.listener))
        self.assertEqual([third], self.who.rows(10, listener="unix:/s"))
        self.assertEqual([], self.who.rows(10, listener="tcp:1"))

    def test_spreads(self) -> None:
        """Each listener has its number of sources, also one that has none."""
        self.assertEqual([0, 0], [one.sources for one in self.who.spreads()])
        note(self.memory, "10.0.0.1", 0, 3)
        note(self.memory, "10.0.0.2", 0, 1)
        self.fresh()
        (lines, unix) = self.who.spreads()
        self.assertEqual(("tcp:8125", 2, 0.75), (lines.listener, lines.sources, lines.share))
        self.assertEqual(("unix:/s", 0, 0.0), (unix.listener, unix.sources, unix.share))

    def test_not_counted(self) -> None:
        """Without the option there is nothing, and nothing to wait for."""
        who = Who(self.clock, None, LISTENERS, None, (), self.ticks)
        who.check()
        self.successResultOf(who.fresh())
        self.assertEqual((False, [], [], []), (who.counts, who.rows(10), who.spreads(), who.findings()))

    def test_a_mask(self) -> None:
        """Addresses that are kept in part are networks of that size."""
        self.board = SourceBoard(SourcePlan(KEYS, 24, 48, 64))
        self.memory = self.board.make()
        self.who = self.make()
        note(self.memory, "10.1.2.3")
        note(self.memory, "2001:db8:1:2::3")
        self.fresh()
        self.assertEqual(["10.1.2.0/24", "2001:db8:1::/48"], sorted(row.source for row in self.who.rows(9)))


class TimeTests(WhoTestCase):
    """When it works."""

    def test_folded_each_minute(self) -> None:
        """A period that is over is folded within a second, with viewers and without."""
        note(self.memory, "10.0.0.1")
        self.go_on()
        close_period(self.memory, self.ticks())
        self.go_on()
        self.assertEqual((2, 1), (self.memory.cells[OPEN], self.memory.cells[FOLDED]))

    def test_seldom_without_viewers(self) -> None:
        """Without viewers there is a view every ten seconds, and with one there is one every two."""
        seen: list[bytes] = []
        self.who.heard.append(seen.append)
        self.go_on(3 * int(REST))
        self.assertIn(len(seen), (3, 4))
        seen.clear()
        self.who.look()
        self.go_on(int(LOOKED) - 1)
        self.assertEqual((int(LOOKED) - 1) // 2, len(seen))
        seen.clear()
        self.go_on(int(REST))
        self.assertLessEqual(len(seen), 3)

    def test_one_view_for_all(self) -> None:
        """Who asks while others look gets what is there, and who asks first waits for it."""
        first, second = self.who.fresh(), self.who.fresh()
        self.assertNoResult(first)
        self.finish()
        self.successResultOf(first)
        self.successResultOf(second)
        note(self.memory, "10.0.0.1")
        self.successResultOf(self.who.fresh())
        self.assertEqual([], self.who.rows(1))
        self.go_on(2)
        self.assertEqual(1, len(self.who.rows(1)))

    def test_rests(self) -> None:
        """A view that took long is followed by a rest of many times that, also with viewers."""

        def slow() -> int:
            self.clock.rightNow += 0.5
            return self.ticks()

        self.who = Who(self.clock, self.board, LISTENERS, None, (), slow)
        seen: list[bytes] = []
        self.who.heard.append(seen.append)
        self.who.look()
        self.go_on()
        self.assertEqual((1, 1.0), (len(seen), self.who.longest))
        rested_at = self.clock.seconds()
        for _ in range(2 * COST):
            if len(seen) == 1:
                self.who.look()
                self.go_on()
        self.assertTrue(COST <= self.clock.seconds() - rested_at < 2 * COST)

    def test_a_fault(self) -> None:
        """What cannot be added up is logged, and those who wait are told nothing worse than nothing."""
        self.memory.cells[BEGAN] = self.start
        self.board.living.append(None)  # type: ignore[arg-type]
        fresh = self.who.fresh()
        self.finish()
        self.board.living.remove(None)  # type: ignore[arg-type]
        self.successResultOf(fresh)
        self.assertEqual([], self.who.rows(1))
        self.assertEqual(1, len(self.flushLoggedErrors(AttributeError)))
        note(self.memory, "10.0.0.1")
        self.go_on(int(REST) + 1)
        self.assertEqual(1, len(self.who.rows(1)))

    def test_ten_minutes(self) -> None:
        """The rates of the largest sources are kept for ten minutes."""
        note(self.memory, "10.0.0.1", 0, 60)
        self.go_on(int(KEPT + 5 * REST))
        moments = [json.loads(moment) for moment in self.who.charted()]
        self.assertLessEqual(moments[-1]["at"] - moments[0]["at"], KEPT)
        self.assertGreater(len(moments), KEPT / REST - 10)
        self.assertIn("10.0.0.1", moments[0]["sources"])


class AccessTests(WhoTestCase):
    """Who may see it."""

    def test_may_see(self) -> None:
        """This machine, Unix sockets, and the networks that the operator names, in either form of an address."""
        self.who = self.make(to=("10.0.0.0/8", "2001:db8::/32"))
        for address, may in (
            (IPv4Address("TCP", "127.0.0.1", 1), True),
            (IPv6Address("TCP", "::1", 1), True),
            (UNIXAddress(""), True),
            (IPv4Address("TCP", "10.9.9.9", 1), True),
            (IPv6Address("TCP", "::ffff:10.1.2.3", 1), True),
            (IPv6Address("TCP", "2001:db8:1::1", 1), True),
            (IPv4Address("TCP", "192.0.2.1", 1), False),
            (IPv6Address("TCP", "fe80::1", 1), False),
        ):
            with self.subTest(str(address)):
                self.assertEqual(may, self.who.may_see(address))


class FindingTests(WhoTestCase):
    """What an operator has to look at."""

    def finding(self, *notes: tuple[str, int, int]) -> list[str]:
        """Return what is found when these have come in ten seconds."""
        for source, listener, number in notes:
            note(self.memory, source, listener, number)
        self.clock.advance(10)
        self.fresh()
        return [one["id"] for one in self.who.findings()]

    def test_all_from_one(self) -> None:
        """A busy listener with one client may have a balancer in front of it."""
        self.assertEqual(["one-source"], self.finding(("10.0.0.1", 0, 5000), ("10.0.0.2", 0, 1)))
        self.assertIn("tcp:8125", self.who.findings()[0]["text"])

    def test_two(self) -> None:
        """With two clients nothing is found."""
        self.assertEqual([], self.finding(("10.0.0.1", 0, 5000), ("10.0.0.2", 0, 5000)))

    def test_few(self) -> None:
        """One client that comes now and then is no balancer."""
        self.assertEqual([], self.finding(("10.0.0.1", 0, 500)))

    def test_this_machine(self) -> None:
        """Programs on this machine may be all there are."""
        self.assertEqual([], self.finding(("127.0.0.1", 0, 5000)))

    def test_this_machine_by_ipv6(self) -> None:
        """So may they over IPv6, though what is kept of its address is a network."""
        self.assertEqual([], self.finding(("::1", 0, 5000)))

    def test_wide_mask(self) -> None:
        """A network that a wide mask has made one source is not one client."""
        self._close()
        self.board = SourceBoard(SourcePlan(KEYS, 24, 48, 64))
        self.memory = self.board.make()
        self.who = self.make()
        self.assertEqual([], self.finding(("10.0.0.1", 0, 5000)))

    def test_one_network(self) -> None:
        """Of IPv6 one network of 64 bits is one machine."""
        self.assertEqual(["one-source"], self.finding(("2001:db8::1", 0, 5000)))

    def test_with_headers(self) -> None:
        """Where headers say who the clients are, or there can be none, nothing is found."""
        self.assertEqual([], self.finding(("10.0.0.1", 1, 5000)))
