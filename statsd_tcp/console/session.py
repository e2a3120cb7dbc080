"""One connection to the console."""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet.interfaces import IAddress, IDelayedCall, IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from statsd_tcp.console.commands import bare, is_http, is_statsd, is_text, is_whole, read_command
from statsd_tcp.console.dispatch import Dispatch, Reply
from statsd_tcp.console.replies import UNKNOWN
from statsd_tcp.guests import Guests, part
from statsd_tcp.kernel.peers import Source, network_of

__all__ = ["ConsoleFactory", "Session"]

LONGEST_LINE = 1 << 16
"""Bytes: many names may be deleted at once."""

IDLE_TIME = 3600.0
"""Seconds after which a connection on which nothing happens is closed."""

QUIET_TIME = 0.25
"""Seconds without another byte after which a command is answered although its newline is missing: etsy's server takes
whatever comes at once for a line, so that scripts for it need not send one."""

MOST_SESSIONS = 64
"""Connections at a time: each may have a dump of all series wait for its reader. Beyond that one of the
address with the most goes: one that never sent a byte, else the longest idle one."""

MOST_UNREAD = 4
LONG_UNREAD = 10.0
"""Replies that wait to be read, in sessions or seconds: beyond both, the session that has read nothing for longest
ends when another long reply comes. One of a million series has tens of megabytes."""

_PIECE = 1 << 16
"""Bytes that are written at a time: as many as a transport keeps before it asks to pause."""

_MOST_WAITING = 1_000
"""Lines that may wait for their turn. A client that sends more without reading a reply is no person and no script."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class Session(LineOnlyReceiver):
    """Reads commands, line by line, and answers them one after the other.

    A client may send all its commands, half-close, and read: all are answered before the connection is closed. The last
    one needs no newline then. While a client does not read its replies the next command waits.
    """

    delimiter = b"\n"
    MAX_LENGTH = LONGEST_LINE
    transport: Any

    def __init__(self, console: ConsoleFactory) -> None:
        self._console = console
        self._lines: deque[bytes] = deque()
        self._rest = memoryview(b"")
        self._busy = False
        self._going = False
        self._paused = False
        self._ended = False
        self._timer: IDelayedCall | None = None
        self._quiet: IDelayedCall | None = None
        self._begun = False

    @property
    def busy(self) -> bool:
        """Return whether a command is being carried out, or waits for its turn."""
        return self._busy or bool(self._lines or self._rest)

    def connectionMade(self) -> None:
        """Begin."""
        self._timer = self._console.reactor.callLater(IDLE_TIME, self.evict)
        self.transport.registerProducer(self, True)
        self._console.sessions.enter(self)

    def dataReceived(self, data: bytes) -> None:
        """Take the lines, and see whether what is left may be a command without its newline."""
        self._stop_waiting()
        self._console.sessions.heard(self)
        if self._timer is not None:
            self._timer.reset(IDLE_TIME)
        super().dataReceived(data)
        if self._ended:
            return
        if not (self._begun or is_text(data.rpartition(b"\n")[2])):
            self._refuse()
        elif is_whole(self._buffer):
            self._quiet = self._console.reactor.callLater(QUIET_TIME, self._no_newline)

    def lineReceived(self, line: bytes) -> None:
        """Put a command in its turn. A line with nothing in it is none."""
        line = bare(line)
        if self._ended or not line:
            return
        # A person who has given a command may well press a key too many later.
        if is_http(line) or not (self._begun or is_text(line)) or len(self._lines) >= _MOST_WAITING:
            self._refuse()
            return
        self._begun = True
        self._lines.append(line)
        self._go_on()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Refuse a line that is certainly no command, and the client that sends it."""
        self._refuse()

    def readConnectionLost(self) -> None:
        """Answer what was asked before the client's end, and close."""
        self._stop_waiting()
        rest, self._buffer = self._buffer, b""
        if rest:
            self.lineReceived(rest)
        self._ended = True
        self._go_on()

    def writeConnectionLost(self) -> None:
        """Do nothing: we never close only our side."""

    def pauseProducing(self) -> None:
        """Let the commands wait until the client has read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on with the next command."""
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """Do nothing: the loss of the connection is reported by another call as well."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Forget what was asked."""
        self._forget()
        self._ended = True
        self._stop_waiting()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        self._console.sessions.leave(self)

    @property
    def source(self) -> Source:
        """Return where the client is."""
        return network_of(self.transport.getPeer().host)

    def evict(self) -> None:
        """Take what the client has sent, and end the connection at once."""
        part(self)

    def _stop_waiting(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None

    def _no_newline(self) -> None:
        """Answer a command whose newline did not come."""
        self._quiet = None
        line, self._buffer = self._buffer, b""
        self.lineReceived(line)

    def _go_on(self) -> None:
        """Write, and answer as many commands as can be answered now."""
        if self._going:
            # A reply that was there at once has brought us here.
            return
        self._going = True
        while not self._paused and (self._rest or (self._lines and not self._busy)):
            if self._rest:
                self._write_part()
            else:
                self._answer(self._lines.popleft())
        self._going = False
        self._console.note_unread(self, len(self._rest))
        if self._ended and not self.busy:
            self._close()

    def _write_part(self) -> None:
        part, self._rest = self._rest[:_PIECE], self._rest[_PIECE:]
        self.transport.write(bytes(part))

    def _answer(self, line: bytes) -> None:
        if is_statsd(line):
            self._console.warn_of_samples()
        command = read_command(line)
        if command.name == "quit":
            self._lines.clear()
            self._ended = True
            return
        self._busy = True
        self._console.dispatch.reply(command, self.transport.getPeer()).addCallback(self._reply)

    def _reply(self, reply: Reply) -> None:
        self._busy = False
        if self._timer is not None:
            self._rest = memoryview(reply if isinstance(reply, bytes) else reply.encode())
        self._go_on()

    def _forget(self) -> None:
        self._lines.clear()
        self._rest = memoryview(b"")
        self._console.note_unread(self, 0)

    def _refuse(self) -> None:
        self._forget()
        self._ended = True
        self.transport.write(UNKNOWN.encode())
        self._close()

    def _close(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()


class ConsoleFactory(Factory):
    """Makes the sessions."""

    _log = Logger()
    noisy = False

    def __init__(self, reactor: Any, dispatch: Dispatch) -> None:
        self.reactor = reactor
        self.dispatch = dispatch
        self.sessions = Guests(MOST_SESSIONS, reactor.seconds)
        self._unread: dict[Session, tuple[float, int]] = {}
        self._warned = False

    def logPrefix(self) -> str:
        """Return the name for the log, where a port opens and closes."""
        return "console"

    def buildProtocol(self, addr: IAddress | None) -> Session:
        """Make a session."""
        return Session(self)

    def note_unread(self, session: Session, left: int) -> None:
        """Note how many bytes of a reply wait to be read, and since when; another session may have to end for it."""
        known = self._unread.get(session)
        if known is not None and known[1] == left:
            # It may have asked for more, but has read nothing.
            return
        self._unread.pop(session, None)
        if not left:
            return
        now = self.reactor.seconds()
        if known is None and len(self._unread) >= MOST_UNREAD:
            longest = min(self._unread, key=self._unread.__getitem__)
            if now - self._unread[longest][0] >= LONG_UNREAD:
                del self._unread[longest]
                longest.evict()
        self._unread[session] = now, left

    def warn_of_samples(self) -> None:
        """Log, once, that a client has mistaken the console for the port for samples."""
        if not self._warned:
            self._warned = True
            self._log.warn(
                "a client sends samples to the console's port, which has only commands: they are not counted"
            )
