"""Who has to go when there are too many."""

from __future__ import annotations

import socket

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.guests import GRACE, Guests, part
from tests.unit.transports import Transport


class FakeGuest:
    """A connection that is busy when the test says so."""

    def __init__(self, source: str = "here") -> None:
        self.busy = False
        self.source = source
        self.evicted = False

    def evict(self) -> None:
        """Remember that."""
        self.evicted = True


class GuestsTests(SynchronousTestCase):
    """Room for three, which are there."""

    def setUp(self) -> None:
        """Let them in."""
        self.clock = Clock()
        self.guests = Guests(3, self.clock.seconds)
        self.three = [FakeGuest(), FakeGuest(), FakeGuest()]
        self.assertEqual([self.guests.enter(one) for one in self.three], [False] * 3)

    def enter(self) -> list[bool]:
        """Let one more in, and tell who had to go."""
        self.assertTrue(self.guests.enter(FakeGuest()))
        self.assertEqual(len(self.guests), 3)
        return [one.evicted for one in self.three]

    def test_longest_idle(self) -> None:
        """The one that was last heard of the longest time ago goes."""
        self.guests.heard(self.three[0])
        self.assertEqual(self.enter(), [False, True, False])
        self.assertEqual(self.enter(), [False, True, True])

    def test_never_heard(self) -> None:
        """One that never sent a byte goes before those that did, however long those have been silent."""
        self.guests.heard(self.three[0])
        self.guests.heard(self.three[1])
        self.guests.leave(self.three[2])
        self.guests.enter(self.three[2])
        self.clock.advance(GRACE)
        self.assertEqual(self.enter(), [False, False, True])

    def test_newcomers(self) -> None:
        """One that has just come has a moment to say something, and does not go for the next one."""
        for one in self.three:
            self.guests.heard(one)
        self.clock.advance(10)
        newcomers = [FakeGuest(), FakeGuest()]
        for one in newcomers:
            self.guests.enter(one)
        self.assertEqual([False, False], [one.evicted for one in newcomers])

    def test_greatest_source(self) -> None:
        """One goes of the source that holds the most, though another one's has been idle for longer."""
        guests = Guests(4, self.clock.seconds)
        scraper, *others = FakeGuest("scraper"), FakeGuest("other"), FakeGuest("other"), FakeGuest("other")
        for one in (scraper, *others):
            guests.enter(one)
        for one in others:
            guests.heard(one)
        self.assertTrue(guests.enter(FakeGuest("third")))
        self.assertEqual([False, True, False, False], [one.evicted for one in (scraper, *others)])

    def test_busy(self) -> None:
        """One that is busy goes only if all are."""
        self.three[0].busy = True
        self.assertEqual(self.enter(), [False, True, False])
        guests = Guests(1, self.clock.seconds)
        guests.enter(self.three[0])
        self.assertTrue(guests.enter(FakeGuest()))
        self.assertTrue(self.three[0].evicted)

    def test_leave(self) -> None:
        """Who has left makes room, once; nothing that is heard of him afterwards brings him back."""
        for _ in range(2):
            self.guests.leave(self.three[1])
            self.guests.heard(self.three[1])
        self.assertFalse(self.guests.enter(FakeGuest()))
        self.assertEqual(self.enter(), [True, False, False])


class PartTests(SynchronousTestCase):
    """A connection that is closed although its client may just have sent something."""

    def setUp(self) -> None:
        """Connect two sockets, one of which the protocol has."""
        self.client, server = socket.socketpair()
        self.addCleanup(self.client.close)
        server.setblocking(False)
        self.transport = SocketTransport(server)
        self.heard = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """Hear the client."""
        self.heard += data

    def test_unread(self) -> None:
        """What the client has sent is taken first, so that it sees an end and not a reset."""
        self.client.sendall(b"a" * 100_000)
        part(self)
        self.assertEqual((100_000, b""), (len(self.heard), self.client.recv(1)))

    def test_gone(self) -> None:
        """A client that has gone is no error."""
        self.client.close()
        part(self)
        self.assertEqual((b"", True), (self.heard, self.transport.parted))


class SocketTransport(Transport):
    """A transport that has a socket."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__()
        self._connection = connection

    def recv(self, size: int) -> bytes:
        """Read from the socket."""
        return self._connection.recv(size)

    def connectionLost(self, reason: object = None) -> None:
        """Close the socket."""
        super().connectionLost(reason)
        self._connection.close()
