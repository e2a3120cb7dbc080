"""Limits of one source over several workers, in Python and in C: its rate, and its open connections."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.native_lanes import BUILT
from statsd_tcp.who.layout import MAPPED, WAYS
from statsd_tcp.who.limit_memory import ACTIVE, HEAD_SIZE, LIMIT_RECORD, LimitMemory, LimitPlan
from statsd_tcp.who.limits import NOT_HELD, SourceLimits

KEYS = (1, 2**64 - 59, 3**40, 5**27, 7**22, 11**18, 13**17)
ONE, OTHER = MAPPED + bytes((192, 0, 2, 1)), MAPPED + bytes((192, 0, 2, 2))
START = 1_000 * NANOSECONDS


def plan(rate: float = 0, burst: int = 0, columns: int = 3, **more: Any) -> LimitPlan:
    """Plan a rate of connections per second and a burst."""
    interval = int(NANOSECONDS / rate) if rate else 0
    return LimitPlan(KEYS, columns, interval, interval * burst, **{"sets": 16, **more})


def exempt(address: bytes, bits: int) -> bytes:
    """Return a network of that many bits, packed."""
    return address + bytes((bits,))


class Node:
    """Some workers with one memory and one clock. ``admits`` asks a worker, in the one language or in the other."""

    def __init__(self, made: LimitPlan) -> None:
        self.memory = LimitMemory.make(made)
        self.memory.cells[ACTIVE] = made.columns
        self.now = START
        self.workers = [SourceLimits(self.memory, column, lambda: self.now) for column in range(made.columns)]

    def admits(self, worker: int, address: bytes = ONE, listener: int = 0, *, in_c: bool = False) -> bool:
        """Let a client connect."""
        if in_c:
            from statsd_tcp.ingest import _burst

            return _burst.admits(self.memory.view, worker, address, listener, self.now)
        return self.workers[worker].admits(address, listener)

    def records(self) -> list[tuple[Any, ...]]:
        """Return all records."""
        return list(LIMIT_RECORD.iter_unpack(self.memory.view[HEAD_SIZE:]))


class LimitsTests(SynchronousTestCase):
    """One source, and several."""

    def test_a_burst_and_then_the_rate(self) -> None:
        """A source may use its burst at once, whichever workers it comes to, and then has its rate."""
        node = Node(plan(10, 5))
        self.assertEqual([True] * 5 + [False] * 3, [node.admits(n % 3) for n in range(8)])
        for worker in range(3):
            node.now += NANOSECONDS // 10
            self.assertEqual([True, False, False], [node.admits((worker + more) % 3) for more in range(3)])

    def test_a_rest_brings_no_more_than_a_burst(self) -> None:
        """After a rest there is one burst, also on a worker that has not heard of the source for long."""
        node = Node(plan(10, 5))
        node.admits(1)
        node.now += 3600 * NANOSECONDS
        self.assertEqual(5, sum(node.admits(0) for _ in range(9)))
        self.assertEqual(0, sum(node.admits(1) + node.admits(2) for _ in range(9)))

    def test_sources_of_their_own(self) -> None:
        """Another address, and the same one at another listener, is another source."""
        node = Node(plan(1, 1))
        self.assertEqual([True, False], [node.admits(0), node.admits(0)])
        self.assertTrue(node.admits(0, OTHER))
        self.assertTrue(node.admits(0, ONE, 1))

    def test_masked(self) -> None:
        """All addresses of a network that is kept as one are one source."""
        node = Node(plan(1, 2, bits_4=24))
        self.assertEqual([True, True, False], [node.admits(0, MAPPED + bytes((192, 0, 2, n))) for n in range(3)])
        self.assertTrue(node.admits(0, MAPPED + bytes((192, 0, 3, 1))))

    def test_exempt(self) -> None:
        """Who is in a network that is exempt has no limit and no record."""
        node = Node(plan(1, 1, most_open=1, exempt=exempt(MAPPED + bytes((192, 0, 2, 0)), 120)))
        self.assertTrue(all(node.admits(0) for _ in range(9)))
        self.assertEqual([(True, NOT_HELD)] * 2, [node.workers[0].hold(ONE, 0) for _ in range(2)])
        self.assertFalse(any(record[1] for record in node.records()))

    def test_open(self) -> None:
        """The open connections of a source are those on all workers; one that has ended makes room for another."""
        node = Node(plan(most_open=2))
        first, second, third = (worker.hold(ONE, 0) for worker in node.workers)
        self.assertEqual([True, True, False], [first[0], second[0], third[0]])
        node.workers[2].release(third[1])
        self.assertFalse(node.workers[1].hold(ONE, 0)[0])
        for place in (second[1],) * 2:
            node.workers[1].release(place)
        self.assertEqual([True, False], [node.workers[0].hold(ONE, 0)[0] for _ in range(2)])

    def test_a_killed_worker_gives_back(self) -> None:
        """Once its column is cleared, what a worker held and had admitted is forgotten, however that is done."""
        for sets in (16, 1):
            self.assert_given_back(Node(plan(1, 2, most_open=2, sets=sets)))

    def assert_given_back(self, node: Node) -> None:
        """Let a worker die, and check that another one has the whole of the limits."""
        self.assertEqual([True, True, False], [node.workers[1].hold(ONE, 0)[0] for _ in range(3)])
        self.assertEqual([True, True, False], [node.admits(1) for _ in range(3)])
        node.memory.clear(1)
        self.assertEqual([True, True, False], [node.workers[0].hold(ONE, 0)[0] for _ in range(3)])
        self.assertEqual([True, True, False], [node.admits(0) for _ in range(3)])

    def test_full_set(self) -> None:
        """Where a set is full the source that was silent for longest is forgotten, but none with open connections."""
        node = Node(plan(1, 1, columns=1, most_open=9, sets=1))
        held = MAPPED + bytes(4)
        _, place = node.workers[0].hold(held, 0)
        for n in range(1, 2 * WAYS):
            node.now += 1
            self.assertTrue(node.admits(0, MAPPED + bytes((10, 0, 0, n))))
        self.assertFalse(node.admits(0, MAPPED + bytes((10, 0, 0, 2 * WAYS - 1))))
        self.assertTrue(node.admits(0, MAPPED + bytes((10, 0, 0, 1))))
        node.workers[0].release(place)
        self.assertEqual(0, next(record for record in node.records() if record[0] == held)[2])

    def test_no_room_for_a_record(self) -> None:
        """A source that has no record, because all others of its set have open connections, has no limit."""
        node = Node(plan(1, 1, columns=1, most_open=9, sets=1))
        for n in range(WAYS):
            node.workers[0].hold(MAPPED + bytes((10, 0, 0, n)), 0)
        self.assertTrue(all(node.admits(0) for _ in range(3)))
        self.assertEqual((True, NOT_HELD), node.workers[0].hold(ONE, 0))
        node.workers[0].release(NOT_HELD)

    def test_no_memory_of_limits(self) -> None:
        """Another file is refused."""
        made = LimitMemory.make(plan(1, 1))
        made.cells[0] += 1
        self.assertRaises(ValueError, LimitMemory, made.descriptor)


STEPS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([0, 1, NANOSECONDS // 50, NANOSECONDS]), st.integers(0, 2)),
    max_size=120,
)


class PropertyTests(SynchronousTestCase):
    """Any order of workers and times."""

    @settings(deadline=None)
    @given(STEPS, st.integers(1, 200), st.integers(1, 20))
    def test_as_one_bucket(self, steps: list[tuple[int, int, int]], rate: int, burst: int) -> None:
        """One after the other, workers admit what a single bucket would, in whatever order they come."""
        node = Node(plan(rate, burst))
        interval, room = int(NANOSECONDS / rate), int(NANOSECONDS / rate) * burst
        used, at = 0, node.now
        for worker, wait, _ in steps:
            node.now += wait
            used, at = max(0, used - (node.now - at)), node.now
            expected = used + interval <= room
            used += interval if expected else 0
            self.assertEqual(expected, node.admits(worker))

    if BUILT:

        @settings(deadline=None)
        @given(STEPS, st.integers(1, 200), st.integers(1, 20), st.integers(0, 32))
        def test_both_languages(self, steps: list[tuple[int, int, int]], rate: int, burst: int, bits: int) -> None:
            """What is written in C is what is written in Python, byte for byte."""
            made = plan(rate, burst, sets=1, bits_4=bits, exempt=exempt(MAPPED + bytes((10, 0, 0, 2)), 128))
            ours, theirs = Node(made), Node(made)
            for worker, wait, client in steps:
                address = MAPPED + struct.pack(">I", (10 << 24) + client)
                answers = []
                for node, in_c in ((ours, False), (theirs, True)):
                    node.now += wait
                    answers.append(node.admits(worker, address, client % 2, in_c=in_c))
                self.assertEqual(*answers)
            self.assertEqual(bytes(ours.memory.view), bytes(theirs.memory.view))
