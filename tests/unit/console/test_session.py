"""Connections to the console: lines, ends, and clients that do not behave."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from statsd_tcp.console.commands import Command
from statsd_tcp.console.session import (
    IDLE_TIME,
    LONG_UNREAD,
    LONGEST_LINE,
    MOST_SESSIONS,
    MOST_UNREAD,
    QUIET_TIME,
    ConsoleFactory,
)
from tests.unit.transports import Transport


class FakeDispatch:
    """Dispatch with the command itself; one called ``later`` when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[str]] = []

    def reply(self, command: Command, peer: Any = None) -> Deferred[str]:
        """Answer."""
        if command.name == "later":
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return succeed(f"<{' '.join([command.name, *command.arguments])}>")


class SessionTests(SynchronousTestCase):
    """One connection."""

    def setUp(self) -> None:
        """Connect."""
        self.clock, self.dispatch = Clock(), FakeDispatch()
        self.console = ConsoleFactory(self.clock, self.dispatch)  # type: ignore[arg-type]
        self.session, self.transport = self.connect()

    def connect(self) -> tuple[Any, Transport]:
        """Make a connection."""
        session, transport = self.console.buildProtocol(None), Transport()
        assert session is not None
        session.makeConnection(transport)
        self.addCleanup(session.connectionLost)
        return session, transport

    def assert_said(self, text: bytes, *, closed: bool = False) -> None:
        """Compare what was answered since the last time, and whether the connection was closed."""
        self.assertEqual((text, closed), (self.transport.value(), self.transport.disconnecting))
        self.transport.clear()

    def test_lines(self) -> None:
        """Each line is a command, however the bytes come."""
        self.session.dataReceived(b"sta")
        self.session.dataReceived(b"ts\nhealth down\r\nhe")
        self.assert_said(b"<stats><health down>")
        self.session.dataReceived(b"lp\n")
        self.assert_said(b"<help>")

    def test_quit(self) -> None:
        """After ``quit`` nothing more is done."""
        self.session.dataReceived(b"stats\nquit\nhelp\n")
        self.assert_said(b"<stats>", closed=True)
        self.session.dataReceived(b"help\n")
        self.assert_said(b"", closed=True)

    def test_one_after_the_other(self) -> None:
        """A command waits for the reply to the one before."""
        self.session.dataReceived(b"later\nhelp\nlater\nstats\n")
        self.assert_said(b"")
        self.dispatch.waiting[0].callback("<first>")
        self.assert_said(b"<first><help>")
        self.dispatch.waiting[1].callback("<second>")
        self.assert_said(b"<second><stats>")

    def test_many_at_once(self) -> None:
        """Many commands may come at once."""
        self.session.dataReceived(b"help\n" * 900)
        self.assert_said(b"<help>" * 900)

    def test_too_many_at_once(self) -> None:
        """Who sends commands without end while none is answered is sent away."""
        self.session.dataReceived(b"later\n" + b"help\n" * 1001)
        self.assert_said(b"ERROR\n", closed=True)

    def test_half_close(self) -> None:
        """Who half-closes gets all answers, also to a last line without its newline; then comes the end."""
        verifyObject(IHalfCloseableProtocol, self.session)
        self.session.dataReceived(b"later\ndelcounters a")
        self.session.readConnectionLost()
        self.assert_said(b"")
        self.dispatch.waiting[0].callback("<first>")
        self.assert_said(b"<first><delcounters a>", closed=True)

    def test_half_close_at_rest(self) -> None:
        """A client that has nothing more to ask is let go."""
        self.session.dataReceived(b"help\n")
        self.session.readConnectionLost()
        self.assert_said(b"<help>", closed=True)

    def test_gone(self) -> None:
        """A reply that comes after the client has gone is dropped, and its other commands are not carried out."""
        self.session.dataReceived(b"later\nlater\n")
        self.session.connectionLost()
        self.dispatch.waiting[0].callback("<first>")
        self.assert_said(b"", closed=True)
        self.assertEqual(1, len(self.dispatch.waiting))

    def test_no_newline(self) -> None:
        """A command that is complete is answered after a moment without its newline, which may come after that."""
        self.session.dataReceived(b"help")
        self.clock.advance(QUIET_TIME / 2)
        self.assert_said(b"")
        self.clock.advance(QUIET_TIME)
        self.assert_said(b"<help>")
        self.session.dataReceived(b"\n")
        self.assert_said(b"")

    def test_nothing_in_it(self) -> None:
        """Lines with nothing in them are no commands, and whatever else stands around a command is not part of it."""
        for text in (b"\n", b"\r\n\r\n", b"\0", b" \t\r\n", b"\0\n\0\0\n"):
            self.session.dataReceived(text)
            self.assert_said(b"")
        self.session.dataReceived(b"\0health up\0\r\n\r\nhelp\0")
        self.assert_said(b"<health up>")
        self.clock.advance(QUIET_TIME)
        self.assert_said(b"<help>")
        self.session.dataReceived(b"\0\r\n")
        self.session.readConnectionLost()
        self.assert_said(b"", closed=True)

    def test_not_complete(self) -> None:
        """What may be only the beginning of a command waits for its newline."""
        self.session.dataReceived(b"delcounters a")
        self.clock.advance(2 * QUIET_TIME)
        self.session.dataReceived(b".b\nstats")
        self.session.dataReceived(b" all\n")
        self.clock.advance(2 * QUIET_TIME)
        self.assert_said(b"<delcounters a.b><stats all>")

    def test_slow_reader(self) -> None:
        """While the client does not read, the rest of a reply waits, and its next command."""
        self.session.dataReceived(b"later\nhelp\n")
        producer: Any = self.transport.producer
        producer.pauseProducing()
        self.dispatch.waiting[0].callback("<first>")
        self.assert_said(b"")
        producer.resumeProducing()
        self.assert_said(b"<first><help>")

    def test_a_long_reply(self) -> None:
        """A reply is written no faster than it is read, and to its end, also for a client that has half-closed."""
        long = "".join(map(str, range(50_000)))
        self._let_read_slowly(self.session, self.transport)
        self.session.dataReceived(b"later\nhelp\n")
        self.session.readConnectionLost()
        self.dispatch.waiting[0].callback(long)
        for part in (long[: 1 << 16], long[1 << 16 : 2 << 16], long[2 << 16 : 3 << 16], long[3 << 16 :]):
            self.assert_said(part.encode())
            self.session.resumeProducing()
        self.assert_said(b"<help>", closed=True)

    def _let_read_slowly(self, session: Any, transport: Transport) -> None:
        """Have room for one piece at a time."""

        def write(data: bytes) -> None:
            transport.io.write(data)
            session.pauseProducing()

        self.patch(transport, "write", write)

    def test_unread_replies(self) -> None:
        """Of too many clients that do not read their replies the one ends that has read nothing for longest."""
        clients = [self.connect() for _ in range(MOST_UNREAD + 3)]
        for number, (session, transport) in enumerate(clients):
            self._let_read_slowly(session, transport)
            session.dataReceived(b"later\n")
            if number >= MOST_UNREAD:
                self.clock.advance(LONG_UNREAD / 2)
            if number == MOST_UNREAD:
                # The first one reads a little, the second only asks for more.
                clients[0][0].resumeProducing()
                clients[1][0].dataReceived(b"help\n")
            self.dispatch.waiting[number].callback("x" * (3 << 16))
        self.assertEqual([transport.parted for _, transport in clients], [False, True, True, *[False] * MOST_UNREAD])

    def test_http(self) -> None:
        """A request from a browser is refused at its first line, whatever its body has."""
        self.session.dataReceived(b"POST / HTTP/1.1\r\nHost: localhost:8126\r\n\r\ndelcounters a\r\n")
        self.assert_said(b"ERROR\n", closed=True)

    def test_other_protocols(self) -> None:
        """Whose first bytes are no command line is refused, in whatever pieces they come, whatever is in the rest."""
        for first in (b"\x16\x03\x01", b"\n\x16\x03\x01", b"\0\x01\0\x08", b"ab\x16", b"ab\0cd"):
            for rest in (b"\ndelcounters a\n", b""):
                for pieces in ((first + rest + b"\n",), [bytes((one,)) for one in first + rest + b"\n"]):
                    session, transport = self.connect()
                    for piece in pieces:
                        session.dataReceived(piece)
                    self.assertEqual((transport.value(), transport.disconnecting), (b"ERROR\n", True), pieces)
        session, transport = self.connect()
        session.dataReceived(b"\x16\x03")
        self.assertTrue(transport.disconnecting)

    def test_a_key_too_many(self) -> None:
        """A person who has given a command may press an arrow key, and get an error as for any other slip."""
        self.session.dataReceived(b"help\n\x1b[A\nhelp\n")
        self.assert_said(b"<help><\x1b[A><help>")

    def test_too_long(self) -> None:
        """A line without end is refused."""
        self.session.dataReceived(b"x" * (LONGEST_LINE + 1))
        self.assert_said(b"ERROR\n", closed=True)

    def test_samples(self) -> None:
        """Samples that come to the wrong port are answered as an error, and the log says so once."""
        with capturedLogs() as logs:
            self.session.dataReceived(b"a:1|c\nb:2|ms\n")
        self.assert_said(b"<a:1|c><b:2|ms>")
        self.assertEqual(1, len(logs))

    def test_idle(self) -> None:
        """A connection on which nothing happens is closed in the end; each command starts the time again."""
        self.clock.advance(IDLE_TIME - 1)
        self.session.dataReceived(b"help\n")
        self.clock.advance(IDLE_TIME - 1)
        self.assertFalse(self.transport.parted)
        self.clock.advance(1)
        self.assertTrue(self.transport.parted)

    def test_too_many(self) -> None:
        """One connection too many ends the longest idle one, but none whose command is being carried out."""
        others = [self.connect() for _ in range(MOST_SESSIONS - 1)]
        self.session.dataReceived(b"help\n")
        others[0][0].dataReceived(b"later\n")
        for session, _ in others[2:]:
            session.dataReceived(b"help\n")
        self.connect()
        self.assertEqual([others[1][1]], [transport for _, transport in others if transport.parted])
        self.connect()
        self.assertTrue(self.transport.parted)
        self.assertEqual(MOST_SESSIONS, len(self.console.sessions))

    def test_nothing_left(self) -> None:
        """A connection that has ended leaves nothing behind."""
        self.session.dataReceived(b"help")
        self.session.connectionLost()
        self.assertEqual([], self.clock.getDelayedCalls())
