"""A worker that sends its lines on."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.workers import worker as worker_module
from tests.unit.ingest.loopback import Client
from tests.unit.workers.working import WorkerTestCase

NEWS = Repeated("repeat:x", 1, 0, 0, 0)


class FakeRepeater:
    """Remembers what it was told, and is closed when the test says so."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.closed: Deferred[None] = Deferred()

    def send(self, lines: bytes) -> None:
        """Remember the lines."""
        self.told.append(lines)

    def flush(self) -> None:
        """Remember that."""
        self.told.append("flush")

    def report(self) -> tuple[Repeated, ...]:
        """Tell something."""
        return (NEWS,)

    def close(self) -> Deferred[None]:
        """Remember that."""
        self.told.append("close")
        return self.closed


class RepeatingTests(WorkerTestCase):
    """What goes to the repeater, and when."""

    def setUp(self) -> None:
        """Put the repeater into the worker."""
        self.repeater = FakeRepeater()
        self.patch(worker_module, "make_repeater", lambda *_: self.repeater)
        super().setUp()
        self.worker.start()
        self.sent.clear()

    def say(self, lines: bytes) -> None:
        """Send lines over a connection, and let the worker take them."""
        client = Client(self.listener.getsockname())
        self.addCleanup(client.socket.close)
        client.send(lines)
        client.fin()
        self.turn(20)

    def collected(self, **how: Any) -> Any:
        """Collect, and give the message."""
        self.worker.collect(**how)
        return self.sent.pop()

    def test_with_each_collection(self) -> None:
        """Accepted lines are passed on when they are collected, and the supervisor is told what became of them."""
        self.say(b"a:1|c\nbad\n")
        self.assertEqual([], self.repeater.told)
        self.assertEqual((NEWS,), self.collected().repeated)
        self.assertEqual([b"a:1|c\n"], self.repeater.told)

    def test_at_the_end(self) -> None:
        """The last lines are sent before the last report, and the worker ends when the repeater is closed."""
        self.say(b"a:1|c\n")
        self.worker.drain(lambda: self.done.append(True))
        self.turn(5)
        self.assertTrue(self.collected(last=True).last)
        self.assertEqual([b"a:1|c\n", "flush"], self.repeater.told)
        ended: list[bool] = []
        self.worker.close(lambda: ended.append(True))
        self.assertEqual([], ended)
        self.repeater.closed.callback(None)
        self.assertEqual((True, "close"), (ended[0], self.repeater.told[-1]))

    def test_supervisor_gone(self) -> None:
        """Lines that are no longer collected are sent on all the same."""
        self.say(b"a:1|c\n")
        self.worker.drain(lambda: self.done.append(True))
        self.turn(5)
        self.worker.close(lambda: None)
        self.assertEqual([b"a:1|c\n", "close"], self.repeater.told)


class NotRepeatingTests(WorkerTestCase):
    """A worker without targets."""

    def test_nothing_to_close(self) -> None:
        """It has nothing to report and nothing to wait for at its end."""
        self.worker.start()
        self.worker.collect()
        self.assertEqual((), self.sent[-1].repeated)
        ended: list[bool] = []
        self.worker.close(lambda: ended.append(True))
        self.assertEqual([True], ended)
