"""The queue of frozen requests: its order, its bounds, and what an output knows of itself."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.store.frozen import COUNTS, ENDED, LEVEL, Bounds, Frozen, Known, Queue, Request, State
from statsd_tcp.store.thinning import HOUR, KEPT, thinned
from tests.unit.store.cases import StoreTestCase

SLOT = 10_000
START = 500_000 * HOUR


class QueueTests(StoreTestCase):
    """`Queue`."""

    def setUp(self) -> None:
        """Have a queue in a store."""
        super().setUp()
        self.store = self.open()
        self.queue = Queue("a", Bounds(slots=100, size=1 << 20))
        self.store.change(lambda connection: self.queue.load(connection, ["a", "b"]))

    def put(self, time: int, *bodies: bytes, edge: bool = False, queue: Queue | None = None) -> None:
        """Put the requests of a slot."""
        chosen = queue or self.queue
        requests = [Frozen(time, 2, edge, body) for body in bodies]
        known = Known(time, 0, 7, {"own ": COUNTS})
        self.store.change(lambda connection: chosen.put(connection, Known(), known, requests))

    def bodies(self) -> list[bytes]:
        """Take everything out, as a receiver does."""
        found = []
        while request := self.store.look(self.queue.first):
            found.append(request.body)
            self.settle(request, taken=True)
        return found

    def settle(self, request: Request, *, taken: bool) -> State:
        """Settle a request."""
        return self.store.change(lambda connection: self.queue.settle(connection, request, taken=taken))

    def test_order(self) -> None:
        """Requests come out byte for byte and in order, whatever was put meanwhile, and after a restart."""
        self.put(START, b"1", b"2")
        request = self.store.look(self.queue.first)
        assert request
        self.put(START + SLOT, b"3")
        self.assertEqual(self.store.look(self.queue.first), request)
        self.store.close()
        self.store = self.open()
        self.assertEqual(self.bodies(), [b"1", b"2", b"3"])
        known = self.store.change(lambda connection: self.queue.load(connection, ["a"]))
        self.assertEqual(known, Known(START + SLOT, START + SLOT, 7, {"own ": COUNTS}))

    def test_own_lines(self) -> None:
        """Of the service's own lines the file has those that the output knows, with their states."""
        states = [{"a ": LEVEL, "b ": COUNTS}, {"b ": ENDED, "c ": LEVEL}, {"b ": COUNTS}]
        before = Known()
        for number, own in enumerate(states, 1):
            known = Known(START + number * SLOT, 0, 7, own)
            self.store.change(lambda connection: self.queue.put(connection, before, known, ()))  # noqa: B023
            before = known
            self.assertEqual(self.store.change(lambda connection: self.queue.load(connection, ["a"])), known)

    def test_other_outputs(self) -> None:
        """Each output has its own queue; what an output has that is no longer there goes."""
        other = Queue("b", Bounds(100, 1 << 20))
        self.put(START, b"1")
        self.put(START, b"2", queue=other)
        self.assertEqual(self.bodies(), [b"1"])
        self.assertEqual(self.store.look(other.state).requests, 1)
        self.store.change(lambda connection: self.queue.load(connection, ["a"]))
        self.assertEqual(self.store.look(other.state).requests, 0)

    def test_given_up(self) -> None:
        """What is given up leaves the queue, and does not count as taken."""
        self.put(START, b"1")
        request = self.store.look(self.queue.first)
        assert request
        self.assertEqual(self.settle(request, taken=False).requests, 0)
        known = self.store.change(lambda connection: self.queue.load(connection, ["a"]))
        self.assertEqual(known.taken, 0)

    def test_clock_ahead(self) -> None:
        """What a clock that was ahead has made leaves the queue, is counted, and the next slot follows what is left."""
        self.put(START, b"1")
        self.put(START + 10 * HOUR, b"2")
        known = self.store.change(lambda connection: self.queue.leave_ahead(connection, START + SLOT))
        self.assertEqual(known.last, START)
        self.assertEqual(self.store.look(self.queue.state).ahead, 2)
        self.assertEqual(self.bodies(), [b"1"])
        self.put(START + 10 * HOUR, b"3")
        self.assertEqual(self.store.change(lambda connection: self.queue.leave_ahead(connection, START)).last, START)

    def test_thinned(self) -> None:
        """Beyond the bounds the oldest slots get fewer; the request in front, edges and the newest slots stay."""
        self.put(START - SLOT, b"edge", edge=True)
        for number in range(150):
            self.put(START + number * SLOT, b"%d" % number)
        self.put(START + 150 * SLOT, b"edge", edge=True)
        state = self.store.look(self.queue.state)
        bodies = self.bodies()
        self.assertLessEqual(len(bodies), 102)
        self.assertEqual(state.thinned, 2 * (152 - len(bodies)))
        self.assertEqual((bodies[0], bodies[-1]), (b"edge", b"edge"))
        self.assertEqual(bodies[-13:-1], [b"%d" % number for number in range(138, 150)])

    def test_used(self) -> None:
        """How full it is, is the part of the slots or of the bytes, whichever is more, when a slot came last."""
        for number in range(25):
            self.put(START + number * SLOT, b"1", b"2")
        self.assertEqual(self.store.look(self.queue.state).used, 0.25)
        self.put(START + 25 * SLOT, bytes(3 << 18))
        self.assertAlmostEqual(self.store.look(self.queue.state).used, 0.75, 3)
        for number in range(26, 100):
            self.put(START + number * SLOT, b"1")
        self.assertEqual(self.store.look(self.queue.state).used, 1.0)

    def test_thinned_by_size(self) -> None:
        """Bytes are a bound, too, and the newest slot stays however large it is."""
        for number in range(5):
            self.put(START + number * SLOT, bytes([number]) * (1 << 19))
        self.assertEqual([body[0] for body in self.bodies()], [0, 4])


class ThinningTests(SynchronousTestCase):
    """`thinned`."""

    def test_nothing(self) -> None:
        """Nothing goes while there is room, or where there is nothing."""
        self.assertEqual(thinned([(START, 1)], 0, 0), set())
        self.assertEqual(thinned([], 1, 1), set())

    def test_oldest_hour(self) -> None:
        """Every second slot of the oldest hour goes first."""
        times = [START + number * SLOT for number in range(720)]
        gone = thinned([(time, 1) for time in times], 1, 0)
        self.assertEqual(gone, set(times[1:360:2]))

    def test_then_younger_hours(self) -> None:
        """When an hour has a single slot the next one gets fewer, and the newest two minutes stay."""
        times = [START + number * SLOT for number in range(720)]
        gone = thinned([(time, 1) for time in times], 700, 0)
        left = [time for time in times if time not in gone]
        self.assertEqual(left[-12:], times[-12:])
        self.assertLessEqual(len(left), 20)
        self.assertEqual([time for time in left if time > times[-1] - KEPT], times[-12:])
