"""The control channel: messages in both directions, and its end."""

from __future__ import annotations

from twisted.internet.testing import StringTransport, StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.workers.channel import (
    Boot,
    Channel,
    Collect,
    Committed,
    Drain,
    Gathered,
    LaneSpec,
    Message,
    Ready,
    one_channel,
)

MESSAGES: tuple[Message, ...] = (
    Boot("/x/y.ledger", (LaneSpec(5, 2, 0, "count"), LaneSpec(6, 10, 1, "lines")), 100, 600.0),
    Collect(),
    Collect((1 << 32) - 1),
    Committed(2**63),
    Drain(),
    Drain(5, 0.5),
    Ready(),
    Gathered(8, 2**40, b"\x00\xff" * 1000),
    Gathered(8, 8, b"", last=True),
)


class ChannelTests(SynchronousTestCase):
    """Two ends."""

    def setUp(self) -> None:
        """Make one end that sends and one that receives."""
        self.received: list[Message] = []
        self.ended: list[bool] = []
        self.sender = Channel(self.received.append, lambda: None)
        self.receiver = Channel(self.received.append, lambda: self.ended.append(True))
        self.wire = StringTransport()
        self.sender.makeConnection(self.wire)
        self.other = StringTransportWithDisconnection()
        self.other.protocol = self.receiver
        self.receiver.makeConnection(self.other)

    def test_round_trip(self) -> None:
        """Every message arrives as it was sent, however it is cut on its way."""
        for message in MESSAGES:
            self.sender.send(message)
        data = self.wire.value()
        for offset in range(0, len(data), 7):
            self.receiver.dataReceived(data[offset : offset + 7])
        self.assertEqual(list(MESSAGES), self.received)

    def test_garbage(self) -> None:
        """What is no message is not passed on."""
        with self.assertRaises(ValueError):
            self.receiver.dataReceived(b"\0\0\0\1\xc1")
        self.assertEqual([], self.received)

    def test_the_end(self) -> None:
        """The end of the channel is told once, and what is sent afterwards goes nowhere."""
        self.receiver.close()
        self.assertEqual([True], self.ended)
        self.receiver.send(Collect())
        self.assertEqual(b"", self.other.value())

    def test_before_the_beginning(self) -> None:
        """A channel that is not connected yet can be told to send and to close."""
        channel = Channel(self.received.append, lambda: None)
        channel.send(Collect())
        channel.close()

    def test_one_channel(self) -> None:
        """The factory gives just the channel that it was made for."""
        self.assertIs(self.sender, one_channel(self.sender).buildProtocol(None))
