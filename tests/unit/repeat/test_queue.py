"""Lines that wait, and the account of them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.repeat.queue import LineQueue, Repeated


class LineQueueTests(SynchronousTestCase):
    """A queue of 20 bytes."""

    def setUp(self) -> None:
        """Make the queue."""
        self.queue = LineQueue("repeat:x", 20)

    def test_in_order(self) -> None:
        """Everything is taken out at once, in its order."""
        self.queue.put(b"a:1|c\n")
        self.queue.put(b"b:1|c\nc:1|c\n")
        self.assertEqual(b"a:1|c\nb:1|c\nc:1|c\n", self.queue.take())
        self.assertEqual(b"", self.queue.take())

    def test_full(self) -> None:
        """What does not fit is dropped and counted; what is there stays, and waits until it was sent."""
        self.queue.put(b"a:1|c\nb:1|c\n")
        self.queue.put(b"c:1|c\nd:1|c\n")
        self.assertEqual(Repeated("repeat:x", 0, 0, 2, 2), self.queue.report())
        self.assertEqual(12, len(self.queue.take()))
        self.queue.put(b"c:1|c\nd:1|c\n")
        self.assertEqual(Repeated("repeat:x", 0, 0, 2, 2), self.queue.report())
        self.queue.sent(2, 12)
        self.queue.put(b"c:1|c\nd:1|c\n")
        self.assertEqual(Repeated("repeat:x", 2, 0, 0, 2), self.queue.report())

    def test_lost(self) -> None:
        """What could not be sent is dropped, makes room, and the reason is told as long as it lasts."""
        self.queue.put(b"a:1|c\nb:1|c\n")
        self.queue.take()
        self.queue.failed()
        self.queue.lost(2, 12)
        self.queue.error = "why"
        self.assertEqual((Repeated("repeat:x", 0, 1, 2, 0, "why"), 0), (self.queue.report(), self.queue.size))
        self.assertEqual(Repeated("repeat:x", 0, 0, 0, 0, "why"), self.queue.report())
