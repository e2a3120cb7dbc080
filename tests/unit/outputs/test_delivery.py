"""Delivering flushes: the order, the pauses, and what is acknowledged."""

from __future__ import annotations

import msgspec
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.flush.queues import IQueue, Queued, Waiting
from statsd_tcp.flush.rules import FlushState
from statsd_tcp.outputs.delivery import LONGEST_DELIVERY, LONGEST_STOP, Delivery
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.web.tables import make_snapshot


@implementer(IQueue)
class Queue:
    """A queue in memory; an acknowledged flush goes with the next commit."""

    def __init__(self, number: int) -> None:
        self.waiting = [Queued(index, FlushResult(start=10 * index, seconds=10)) for index in range(1, number + 1)]
        self.acknowledged: list[tuple[str, int]] = []
        self.broken = False

    def after(self, output: str, flush_id: int) -> Deferred[Queued | None]:
        """Return the first flush behind that one."""
        if self.broken:
            return fail(OSError("disk"))
        return succeed(next((queued for queued in self.waiting if queued.flush_id > flush_id), None))

    def acknowledge(self, output: str, flush_id: int) -> None:
        """Note it."""
        self.acknowledged.append((output, flush_id))

    def picture(self) -> Snapshot:
        """Make what a commit gives."""
        newest = self.waiting[-1].flush_id if self.waiting else 0
        state = FlushState({"out": Waiting(len(self.waiting), newest, 7)}, 0)
        return msgspec.structs.replace(make_snapshot(), flushes=state)


@implementer(IOutput)
class Output:
    """An output whose every delivery waits for the test."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.pending: Deferred[None] = Deferred()
        self.cancelled = 0
        self.stopped = False

    def deliver(self, flush: FlushResult) -> Deferred[None]:
        """Note the flush."""
        self.starts.append(flush.start)
        self.pending = Deferred(self._cancelled)
        return self.pending

    def stop(self) -> None:
        """Note it."""
        self.stopped = True

    def _cancelled(self, _: Deferred[None]) -> None:
        self.cancelled += 1


class DeliveryTests(SynchronousTestCase):
    """One output and its queue."""

    def setUp(self) -> None:
        """Make a delivery that runs."""
        self.clock, self.wall = Clock(), 0.0
        self.output = Output()

    def start(self, number: int) -> Delivery:
        """Begin with this many flushes that wait."""
        self.queue = Queue(number)
        delivery = Delivery(self.clock, "out", self.output, self.queue, lambda: self.wall + self.clock.seconds())
        delivery.startService()
        delivery.committed(self.queue.picture())
        return delivery

    def test_interfaces(self) -> None:
        """The doubles are what they stand for."""
        verifyObject(IOutput, self.output)
        verifyObject(IQueue, Queue(0))

    def test_in_order(self) -> None:
        """Flushes come one after the other, each acknowledged when it is written."""
        delivery = self.start(3)
        self.assertEqual(self.output.starts, [10])
        self.output.pending.callback(None)
        self.assertEqual((self.output.starts, self.queue.acknowledged), ([10, 20], [("out", 1)]))
        self.output.pending.callback(None)
        self.clock.advance(5)
        self.output.pending.callback(None)
        self.assertEqual([flush_id for _, flush_id in self.queue.acknowledged], [1, 2, 3])
        facts = delivery.facts()
        self.assertEqual((facts.sent, facts.failed, facts.queued, facts.dropped, facts.last_success), (3, 0, 3, 7, 5.0))

    def test_since(self) -> None:
        """How long ago one was written does not depend on what the wall clock was set to."""
        self.wall = 1000.0
        delivery = self.start(1)
        self.assertIsNone(delivery.facts().since_success)
        self.output.pending.callback(None)
        self.wall = 10.0
        self.clock.advance(7)
        self.assertEqual((1000.0, 7.0), (delivery.facts().last_success, delivery.facts().since_success))

    def test_underway(self) -> None:
        """A flush is under way from its first attempt until it is written, however often it fails."""
        delivery = self.start(2)
        self.assertEqual(0.0, delivery.underway)
        self.clock.advance(5)
        self.output.pending.errback(OSError("down"))
        self.clock.advance(5)
        self.assertEqual(10.0, delivery.underway)
        self.output.pending.callback(None)
        self.assertEqual(0.0, delivery.underway)
        self.output.pending.callback(None)
        self.assertEqual(None, delivery.underway)

    def test_an_output_that_takes_too_long_to_stop(self) -> None:
        """A stop does not wait for ever for an output."""
        delivery = self.start(0)
        self.patch(self.output, "stop", Deferred[None])
        with capturedLogs():
            stopped = delivery.stopService()
            self.clock.advance(LONGEST_STOP)
            self.successResultOf(stopped)
        self.flushLoggedErrors()

    def test_an_output_that_never_answers(self) -> None:
        """A flush of which an output says nothing is cancelled, counts as failed, and is given again."""
        with capturedLogs() as events:
            delivery = self.start(1)
            self.clock.advance(LONGEST_DELIVERY)
            self.assertEqual((self.output.cancelled, delivery.facts().failed), (1, 1))
            self.clock.advance(5)
        self.assertEqual(self.output.starts, [10, 10])
        said = [event["log_format"].format(**event) for event in events if "its flushes wait" in event["log_format"]]
        self.assertEqual(said, ["output out: it gave no answer in 600 s; its flushes wait"])
        self.output.pending.callback(None)
        self.assertEqual((self.queue.acknowledged, self.clock.getDelayedCalls()), ([("out", 1)], []))

    def test_an_output_that_can_t_be_cancelled(self) -> None:
        """One that goes on after it was cancelled is not waited for, neither for its flush nor at a stop."""
        waiting: list[Deferred[None]] = []

        async def stubborn(*_: object) -> None:
            while True:
                waiting.append(Deferred())
                try:
                    await waiting[-1]
                except CancelledError:
                    continue

        self.patch(self.output, "deliver", stubborn)
        self.patch(self.output, "stop", stubborn)
        with capturedLogs():
            delivery = self.start(1)
            self.clock.advance(LONGEST_DELIVERY)
            self.assertEqual(delivery.facts().failed, 1)
            stopped = delivery.stopService()
            self.clock.advance(LONGEST_STOP)
            self.successResultOf(stopped)
        self.flushLoggedErrors()

    def test_not_twice(self) -> None:
        """What was written is not given again while its acknowledgement waits for a commit."""
        delivery = self.start(1)
        self.output.pending.callback(None)
        delivery.committed(self.queue.picture())
        self.assertEqual(self.output.starts, [10])

    def test_new_ones(self) -> None:
        """A flush that comes later is given when a commit shows it."""
        delivery = self.start(0)
        self.queue.waiting.append(Queued(4, FlushResult(start=40, seconds=10)))
        delivery.committed(self.queue.picture())
        self.assertEqual(self.output.starts, [40])

    def test_again_and_again(self) -> None:
        """A flush that fails is given again after a pause that doubles up to a minute, and is logged once."""
        with capturedLogs() as events:
            delivery = self.start(2)
            pauses = []
            for _ in range(9):
                self.output.pending.errback(OSError("no route"))
                before = len(self.output.starts)
                pause = 0
                while len(self.output.starts) == before:
                    self.clock.advance(1)
                    pause += 1
                pauses.append(pause)
        self.assertEqual(set(self.output.starts), {10})
        # The pauses are a little longer or shorter by chance, so that many services do not come back at once.
        self.assertEqual(pauses, sorted(pauses))
        self.assertLess(pauses[0], 4)
        self.assertTrue(50 < pauses[-1] < 75, pauses)
        self.assertEqual(len([event for event in events if "its flushes wait" in event["log_format"]]), 1)
        self.assertEqual((delivery.facts().failed, delivery.facts().error), (9, "no route"))
        self.output.pending.callback(None)
        self.assertEqual((delivery.facts().error, self.output.starts[-1]), ("", 20))

    def test_the_oldest_may_go_meanwhile(self) -> None:
        """When the queue has dropped a flush during a pause, the next one is given."""
        self.start(3)
        self.output.pending.errback(OSError())
        del self.queue.waiting[0]
        self.clock.advance(5)
        self.assertEqual(self.output.starts, [10, 20])

    def test_stopping(self) -> None:
        """A stop gives up the delivery that is under way, and is not a failure."""
        delivery = self.start(1)
        self.successResultOf(delivery.stopService())
        self.assertEqual((self.output.cancelled, self.output.stopped), (1, True))
        self.assertEqual((delivery.facts().failed, self.queue.acknowledged), (0, []))
        delivery.committed(self.queue.picture())
        self.assertEqual(self.output.starts, [10])

    def test_stopping_in_a_pause(self) -> None:
        """A stop during a pause ends the pause."""
        delivery = self.start(1)
        self.output.pending.errback(OSError())
        self.successResultOf(delivery.stopService())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_an_output_that_does_not_stop(self) -> None:
        """What an output raises when it is stopped is logged, and stops nothing else."""
        delivery = self.start(0)
        self.patch(self.output, "stop", lambda: fail(ValueError("never")))
        self.successResultOf(delivery.stopService())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_store_that_cannot_be_read(self) -> None:
        """While the store cannot be read nothing is delivered, and that is a failure; afterwards it goes on."""
        self.queue = Queue(1)
        self.queue.broken = True
        delivery = Delivery(self.clock, "out", self.output, self.queue, self.clock.seconds)
        delivery.startService()
        delivery.committed(self.queue.picture())
        self.assertEqual((self.output.starts, delivery.facts().error), ([], "disk"))
        self.queue.broken = False
        self.clock.advance(5)
        self.assertEqual(self.output.starts, [10])
