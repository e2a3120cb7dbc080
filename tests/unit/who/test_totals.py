"""Sums of sources: over periods, over workers, and over those that are gone, compared with exact counts."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.who.layout import BEGAN, CELLS_SIZE, FOLDED, OPEN
from statsd_tcp.who.memory import SourceBoard, SourceMemory, SourcePlan
from statsd_tcp.who.merged import Merged, merge
from statsd_tcp.who.summary import COLUMNS
from statsd_tcp.who.totals import Totals
from tests.unit.who.boards import KEYS, address, close_period, finish, note, small_board

SOURCES = [f"10.0.0.{number}" for number in range(40)] + [f"fd00:{number:x}::" for number in range(40)]

STEPS = ("close", "fold", "die")


def steps(chance: Random) -> Iterator[tuple[Any, ...]]:
    """Yield what happens to three workers: many notes, of sources of which few come often, and what lies between."""
    for _ in range(chance.randrange(1, 400)):
        if chance.random() < 0.9:
            source = SOURCES[int(chance.paretovariate(0.7)) % len(SOURCES)]
            yield "note", chance.randrange(3), source, chance.randrange(2), chance.randrange(1, 6)
        else:
            step = chance.choice(STEPS)
            yield (step,) if step == "fold" else (step, chance.randrange(3))


class Service:
    """Three workers, their totals, and what was really noted."""

    def __init__(self, sets: int = 2) -> None:
        self.board = small_board(sets)
        self.began = 1000 * NANOSECONDS
        self.now = self.began + NANOSECONDS
        self.workers = [self._make() for _ in range(3)]
        self.totals = Totals(self.board)
        self.exact: Counter[tuple[bytes, int]] = Counter()

    def _make(self) -> SourceMemory:
        memory = self.board.make()
        # By the test's clock: a machine that is busy takes longer than a period's second for the next step.
        memory.cells[BEGAN] = self.began
        return memory

    def note(self, worker: int, source: str, listener: int, number: int) -> None:
        """Count in a worker, and exactly."""
        note(self.workers[worker], source, listener, number, lines=2 * number)
        self.exact[address(source), listener] += number

    def close(self, worker: int) -> None:
        """Let a worker begin its next period, if the other table is clean."""
        cells = self.workers[worker].cells
        if cells[FOLDED] == cells[OPEN] - 1:
            close_period(self.workers[worker], self.now)

    def fold(self) -> None:
        """Fold what is over."""
        finish(self.totals.fold(self.now))

    def die(self, worker: int) -> None:
        """Let a worker have a successor."""
        self.board.end(self.workers[worker])
        self.workers[worker] = self._make()

    def merged(self) -> Merged:
        """Return the sums of now."""
        found: Merged = finish(merge(self.totals, self.board, self.now, self.began))
        return found

    def end(self) -> None:
        """Close all memories."""
        for memory in self.board.living + self.board.ended:
            memory.close()


class TotalsTests(SynchronousTestCase):
    """`Totals` and `merge`."""

    @given(seed=st.integers(0, 1 << 32), sets=st.sampled_from([1, 2, 64]))
    def test_bracket(self, seed: int, sets: int) -> None:
        """Whatever is noted, folded and lost in which order: each number is right, or as far off as it says."""
        service = Service(sets)
        try:
            for name, *arguments in steps(Random(seed)):
                getattr(service, name)(*arguments)
            service.fold()
            self._compare(service)
        finally:
            service.end()

    def _compare(self, service: Service) -> None:
        merged = service.merged()
        entries = merged.top(1000)
        found = {(one.address, one.listener): one for one in entries}
        since = merged.since
        used = since.listeners != 0
        columns = (column[used].tolist() for column in (since.high, since.low, since.listeners))
        self.assertEqual(int(used.sum()), len(set(zip(*columns, strict=True))))
        self.assertLessEqual(set(found), set(service.exact))
        for key, one in found.items():
            count, err, lines, *_ = one.since
            true = service.exact[key]
            self.assertTrue(count - err <= true <= count, (key, one, true))
            self.assertLessEqual(lines, 2 * true)
            rate, rate_err = one.per_second[:2]
            self.assertTrue(rate - rate_err - 1e-6 <= true <= rate + 1e-6, (key, one, true))
            if not err:
                self.assertEqual(2 * true, lines)
        # Who is not there may have had no more than the least of those that are, in a set that is full.
        missing = [true for key, true in service.exact.items() if key not in found]
        if missing:
            self.assertGreaterEqual(max(merged.since.least), max(missing))

    def test_exact(self) -> None:
        """While there is room nothing is in doubt: over periods, workers, and one that is gone."""
        service = Service(64)
        self.addCleanup(service.end)
        for worker in range(3):
            service.note(worker, "10.0.0.1", 0, 5)
        service.close(0)
        service.die(1)
        service.fold()
        service.note(0, "10.0.0.1", 0, 100)
        service.note(0, "10.0.0.1", 1, 7)
        (first, second) = service.merged().top(10)
        self.assertEqual((address("10.0.0.1"), 0, (115, 0, 230, 0, 0, 0, 0, 0)), first[:3])
        self.assertEqual((address("10.0.0.1"), 1, (7, 0, 14, 0, 0, 0, 0, 0)), second[:3])
        self.assertEqual([], service.board.ended)

    def test_all_columns(self) -> None:
        """Each number stays in its column."""
        service = Service(64)
        self.addCleanup(service.end)
        note(service.workers[0], "10.0.0.1", 0, 1, lines=2, nbytes=3 << 40, bad=4, resets=5, evicted=6)
        for _ in range(2):
            (one,) = service.merged().top(1)
            numbers = {"lines": 2, "bytes": 3 << 40, "bad": 4, "resets": 5, "evicted": 6, "limited": 0}
            self.assertEqual({"connections": 1, "err": 0, **numbers}, dict(zip(COLUMNS, one.since, strict=True)))
            service.close(0)
            service.fold()

    def test_cleared(self) -> None:
        """A period that is folded is clean for the worker, and takes no memory."""
        for sets in (2, 512):
            with self.subTest(sets=sets):
                service = Service(sets)
                self.addCleanup(service.end)
                memory = service.workers[0]
                service.note(0, "10.0.0.1", 0, 1)
                service.close(0)
                self.assertEqual((2, 0), (memory.cells[OPEN], memory.cells[FOLDED]))
                service.fold()
                self.assertEqual((2, 1), (memory.cells[OPEN], memory.cells[FOLDED]))
                self.assertFalse(any(memory.view[CELLS_SIZE:]))

    def test_orders(self) -> None:
        """First come those with the most of a column in the last minute, then those with the most since the start."""
        service = Service(64)
        self.addCleanup(service.end)
        service.note(0, "10.0.0.1", 0, 1000)
        service.close(0)
        service.fold()
        service.now += 200 * NANOSECONDS
        service.workers[0].cells[BEGAN] = service.now
        service.fold()
        note(service.workers[0], "10.0.0.2", 0, 1, lines=9)
        note(service.workers[0], "10.0.0.3", 1, 2, bad=1)
        merged = service.merged()

        def first(*arguments: object) -> list[str]:
            return [str(one.address[-1]) for one in merged.top(*arguments)]  # type: ignore[arg-type]

        self.assertEqual(["3", "2", "1"], first(10))
        self.assertEqual(["3"], first(1))
        self.assertEqual(["2", "1"], first(10, "lines"))
        self.assertEqual(["3"], first(10, "bad"))
        self.assertEqual(["2", "1"], first(10, "connections", 0))

    def test_last_minute(self) -> None:
        """The rate is that of a minute: of a period that is over as much as lies in it."""
        service = Service(64)
        self.addCleanup(service.end)
        memory, start = service.workers[0], service.workers[0].cells[BEGAN]
        service.note(0, "10.0.0.1", 0, 600)
        service.fold()
        service.now = start + 60 * NANOSECONDS
        service.close(0)
        service.fold()
        for later, rate in ((60, 10.0), (90, 5.0), (119, 10 / 60), (121, 0.0)):
            with self.subTest(later=later):
                service.now = start + later * NANOSECONDS
                (one,) = service.merged().top(1)
                self.assertAlmostEqual(rate, one.per_second[0], 3)
        service.now = start + 180 * NANOSECONDS
        note(memory, "10.0.0.1", 0, 600)
        self.assertAlmostEqual(600 / 120, service.merged().top(1)[0].per_second[0], 3)

    def test_spreads(self) -> None:
        """Each listener has its sources, and the share of the largest."""
        service = Service(64)
        self.addCleanup(service.end)
        for source, listener, number in (("10.0.0.1", 0, 30), ("10.0.0.2", 0, 10), ("fd00::", 2, 1)):
            service.note(0, source, listener, number)
        spreads = service.merged().spreads()
        self.assertEqual({0, 2}, set(spreads))
        self.assertEqual((2, 0.75, address("10.0.0.1")), spreads[0][:3])
        self.assertEqual((1, 1.0, address("fd00::")), spreads[2][:3])

    def test_any_bytes(self) -> None:
        """Whatever is in a memory, as when a worker dies while it writes, is read without a fault."""
        service = Service(64)
        self.addCleanup(service.end)
        memory = service.workers[0]
        memory.view[CELLS_SIZE:] = os.urandom(len(memory.view) - CELLS_SIZE)
        service.merged().top(1000)
        service.die(0)
        service.fold()
        merged = service.merged()
        self.assertLessEqual(len(merged.top(1000)), 512)
        merged.spreads()

    def test_many_sources(self) -> None:
        """In tables as they are, sources of a whole network are counted, in pieces of a few thousand records."""
        board = SourceBoard(SourcePlan(KEYS))
        memory: SourceMemory = board.make()
        self.addCleanup(memory.close)
        for number in range(2000):
            note(memory, f"127.1.{number >> 8}.{number & 255}")
        totals = Totals(board)
        close_period(memory, memory.cells[BEGAN] + NANOSECONDS)
        pieces = sum(1 for _ in totals.fold(memory.cells[BEGAN]))
        self.assertEqual(len(totals.ranges), pieces)
        merged = finish(merge(totals, board, memory.cells[BEGAN], 0))
        self.assertEqual(2000, merged.spreads()[0].sources)
        self.assertEqual(2000, len(merged.top(5000)))

    def test_pieces_of_few_sources(self) -> None:
        """A few sources that come to all workers make three pieces for each worker, wherever they are in the tables."""
        board = SourceBoard(SourcePlan(KEYS))
        memories: list[SourceMemory] = [board.make() for _ in range(4)]
        for memory in memories:
            self.addCleanup(memory.close)
            for number in range(50):
                note(memory, f"127.1.0.{number}")
        now = memories[0].cells[BEGAN]
        self.assertEqual(3 * len(memories), sum(1 for _ in merge(Totals(board), board, now, 0)))
        merged = finish(merge(Totals(board), board, now, 0))
        self.assertEqual([4] * 50, [one.since[0] for one in merged.top(100)])
