"""All targets of a worker."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.repeat.datagrams import DatagramSender
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.repeat.repeater import Repeater, make_repeater
from statsd_tcp.repeat.stream import StreamSender
from statsd_tcp.settings.repeat import Target


class FakeSender:
    """Remembers what it was told."""

    def __init__(self, label: str) -> None:
        self.label = label
        self.told: list[object] = []

    def send(self, lines: bytes) -> None:
        """Remember the lines."""
        self.told.append(lines)

    def flush(self) -> None:
        """Remember that."""
        self.told.append("flush")

    def report(self) -> Repeated:
        """Return who it is."""
        return Repeated(self.label, 1, 0, 0, 0)

    def close(self) -> Deferred[None]:
        """Remember that."""
        self.told.append("close")
        return succeed(None)


class RepeaterTests(SynchronousTestCase):
    """What goes to all of them."""

    def test_all(self) -> None:
        """Every target gets every line, and is asked, flushed and closed."""
        senders = [FakeSender("repeat:a"), FakeSender("repeat:b")]
        repeater = Repeater(senders)
        repeater.send(b"a:1|c\n")
        repeater.flush()
        self.assertEqual((Repeated("repeat:a", 1, 0, 0, 0), Repeated("repeat:b", 1, 0, 0, 0)), repeater.report())
        self.successResultOf(repeater.close())
        self.assertEqual([[b"a:1|c\n", "flush", "close"]] * 2, [one.told for one in senders])

    def test_made(self) -> None:
        """A repeater is made of senders for each protocol; without targets there is none."""
        reactor = MemoryReactorClock()
        self.assertIsNone(make_repeater(reactor, ()))
        repeater = make_repeater(reactor, (Target("udp", "127.0.0.1", 9), Target("tcp", "127.0.0.1", 9)))
        assert repeater is not None
        self.assertEqual([DatagramSender, StreamSender], [type(one) for one in repeater._senders])
        self.assertEqual(["repeat:udp:127.0.0.1:9", "repeat:tcp:127.0.0.1:9"], [one.label for one in repeater.report()])
