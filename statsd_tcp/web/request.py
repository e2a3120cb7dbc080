"""The edge to the clients: what a request may bring with it.

Twisted's server keeps the body of every request, a long one in a temporary file, before it looks for the page. No page
here has a use for one. So a body is thrown away as it comes, and one that is too long ends the connection.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import RESPONSES, HTTPChannel
from twisted.web.server import Request

from statsd_tcp.guests import part
from statsd_tcp.kernel.peers import Source, network_of

__all__ = ["LONGEST_BODY", "BareRequest", "Channel"]

LONGEST_BODY = 1 << 16
"""Bytes: many times what a sidecar sends along when it asks for a reload."""

_LINGER = 2.0
"""Seconds during which a client that was refused may go on sending. What it sends to a closed socket would be answered
with a reset, which can overtake the answer."""

_WHOLE_URL = re.compile(rb"https?://([^/?#]+)/?([^#]*)", re.IGNORECASE)
"""What proxies are sent, and some checks send: the host stands before the path."""

_LAST_WORDS = 15.0
"""Seconds that a client which has idled may take to read what is still under way to it."""


class Channel(HTTPChannel):
    """One client. It may be refused before its request is complete: then the connection ends with that answer."""

    site: Any
    transport: Any
    busy = False
    """Whether an answer is being made or sent."""

    _leaving = False
    _refused = False
    _answered: Request | None = None
    """The request after which others have come."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Deferred[None]] = []

    def when_closed(self) -> Deferred[None]:
        """Return a Deferred that fires when the connection has ended: all that was written is on its way then."""
        closed: Deferred[None] = Deferred()
        self._waiting.append(closed)
        return closed

    def connectionMade(self) -> None:
        """Begin."""
        super().connectionMade()
        self.site.enter(self)

    @property
    def source(self) -> Source:
        """Return where the client is."""
        return network_of(self.transport.getPeer().host)

    def evict(self) -> None:
        """Take what the client has sent, and end the connection at once."""
        part(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End."""
        super().connectionLost(reason)
        self._answered = None
        self.site.guests.leave(self)
        for closed in self._waiting:
            closed.callback(None)

    def refuse(self, code: int, reason: str, text: str) -> None:
        """Answer with a status and one line in ASCII, count it under ``reason``, and close."""
        if self._refused:
            return
        self._refused = self._leaving = True
        self.site.refusals.note(reason, text)
        head = b"HTTP/1.1 %d %b\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: %d"
        self.transport.write(head % (code, RESPONSES[code], len(text) + 1) + f"\r\n\r\n{text}\n".encode())
        self.transport.loseWriteConnection()
        self.setTimeout(_LINGER)

    def dataReceived(self, data: bytes) -> None:
        """Take what comes, unless the client was refused."""
        if not self._refused:
            self.site.guests.heard(self)
            super().dataReceived(data)

    def headerReceived(self, line: bytes) -> bool:
        """Take a header field; Twisted reads a length of any number of digits, and Python does not."""
        try:
            return bool(super().headerReceived(line))
        except ValueError:
            self.refuse(400, "header", "the Content-Length is no number of bytes")
            return False

    def allContentReceived(self) -> None:
        """Answer a request that is complete."""
        if not self._refused:
            self.busy = True
            super().allContentReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Take what comes during an answer; Twisted does not stop a client that sends and does not read."""
        super().rawDataReceived(data)
        if self._handlingRequest and sum(map(len, self._dataBuffer)) > self._optimisticEagerReadSize:
            self._networkProducer.pauseProducing()

    def requestDone(self, request: Request) -> None:
        """Wait for the next request. One that has come already has its turn after those of all other clients."""
        self.busy = False
        if self._buffer or any(self._dataBuffer):
            self._answered = request
            self.setTimeout(self._savedTimeOut)
            self.callLater(0, self._go_on)
        else:
            super().requestDone(request)

    def resumeProducing(self) -> None:
        """Write on, or go on with the next request."""
        super().resumeProducing()
        self._go_on()

    def _go_on(self) -> None:
        """Look at what came during an answer, once the client has read most of that."""
        request = self._answered
        if request is not None and not self._waitingForTransport:
            self._answered = None
            super().requestDone(request)

    def timeoutConnection(self) -> None:
        """Close the connection of a client that idles, at once if it does not even read. It is not worth a log line."""
        if self._leaving:
            self.transport.abortConnection()
        else:
            self._leaving = True
            self.setTimeout(_LAST_WORDS)
            self.loseConnection()


class BareRequest(Request):
    """A request without its body."""

    channel: Any
    _received = 0

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Answer. Of a whole URL the host is the one that is asked for, whatever the field says (RFC 9112, 3.2.2)."""
        if url := _WHOLE_URL.fullmatch(path):
            self.requestHeaders.setRawHeaders(b"host", [url[1]])
            path = b"/" + url[2]
        super().requestReceived(command, path, version)

    def gotLength(self, length: int | None) -> None:
        """Refuse a body that is too long at once; its client may have waited for that before sending it."""
        self.content = BytesIO()
        if length is not None and length > LONGEST_BODY:
            self.requestHeaders.removeHeader(b"expect")
            self._refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Throw a part of the body away."""
        self._received += len(data)
        if self._received > LONGEST_BODY:
            self._refuse()

    def _refuse(self) -> None:
        text = f"no page takes more than {LONGEST_BODY} bytes with a request"
        self.channel.refuse(413, "body", text)
