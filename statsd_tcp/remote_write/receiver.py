"""A receiver over HTTP: posts a request by Twisted's own agent, and returns what came of it.

There is one connection, kept open, and one request at a time. A request is never repeated here: whether it has arrived
is for others to judge.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import ConnectError, ConnectionDone, DNSLookupError
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import HTTP11ClientProtocol
from twisted.web.client import Agent, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from statsd_tcp import __version__
from statsd_tcp.remote_write.answers import Answer, date_of, wait_of
from statsd_tcp.remote_write.credentials import Credentials
from statsd_tcp.words import in_words

__all__ = ["ANSWER_WITHIN", "IReceiver", "Receiver"]

ANSWER_WITHIN = 30.0
"""Seconds: what Prometheus gives its own receivers."""

_MOST_TEXT = 200
_MOST_BYTES = 1 << 16
"""Of the body of an answer: it is for people to read, and a few words of it."""

_MOST_OF_ALL = 1 << 20
"""Bytes of an answer: Twisted keeps all fields of its header."""


class _EndlessError(Exception):
    """An answer that goes on and on."""


class _Client(HTTP11ClientProtocol):
    """Speaks with the receiver, and takes no answer without an end."""

    transport: Any
    _received = 0

    def request(self, request: Any) -> Any:
        """Send a request."""
        self._received = 0
        return super().request(request)

    def dataReceived(self, data: bytes) -> None:
        """Take a part of the answer."""
        self._received += len(data)
        if self._received > _MOST_OF_ALL:
            # To lose the connection would wait for the other side's end, with TLS.
            self.transport.abortConnection()
        else:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """End, with what comes of the request."""
        is_endless = self._received > _MOST_OF_ALL
        super().connectionLost(Failure(_EndlessError("the answer has no end")) if is_endless else reason)


class _QuietFactory(_HTTP11ClientFactory):
    """Says nothing of each connection: while a receiver is away there is one for each attempt."""

    noisy = False

    def buildProtocol(self, addr: Any) -> HTTP11ClientProtocol:
        """Make one."""
        return _Client(self._quiescentCallback)


class _Pool(HTTPConnectionPool):
    _factory = _QuietFactory


class IReceiver(Protocol):
    """Somewhere that requests are sent to."""

    def post(self, body: bytes) -> Deferred[Answer]:
        """Send a request; it never fails, but may be cancelled."""

    def close(self) -> Deferred[None]:
        """Let go of the connection."""


class Receiver:
    """The receiver at a URL."""

    def __init__(self, reactor: Any, url: str, credentials: Credentials) -> None:
        self._reactor = reactor
        self._url = url.encode("ascii")
        self._pool = _Pool(reactor)
        self._pool.maxPersistentPerHost = 1
        # Twisted repeats nothing but what has no body; be it said.
        self._pool.retryAutomatically = False
        policy = {} if credentials.policy is None else {"contextFactory": credentials.policy}
        self._agent = Agent(reactor, connectTimeout=ANSWER_WITHIN, pool=self._pool, **policy)
        self._headers = Headers(
            {
                "Content-Encoding": ["snappy"],
                "Content-Type": ["application/x-protobuf"],
                "User-Agent": [f"statscounter/{__version__}"],
                "X-Prometheus-Remote-Write-Version": ["0.1.0"],
            }
        )
        for name, value in credentials.headers:
            self._headers.addRawHeader(name, value)

    def post(self, body: bytes) -> Deferred[Answer]:
        """Send a request."""
        answered = Deferred.fromCoroutine(self._post(body))
        answered.addTimeout(ANSWER_WITHIN, self._reactor, _too_late)
        answered.addErrback(_no_answer)
        return answered

    def close(self) -> Deferred[None]:
        """Let go of the connection."""
        closed: Deferred[None] = self._pool.closeCachedConnections()
        return closed

    async def _post(self, body: bytes) -> Answer:
        response = await self._agent.request(b"POST", self._url, self._headers, _Body(body))
        reading = _Beginning()
        response.deliverBody(reading)
        text = await reading.done
        date = date_of(_field(response.headers, "date"))
        wait = wait_of(_field(response.headers, "retry-after"), date)
        return Answer(response.code, text, wait, date)


@implementer(IBodyProducer)
class _Body:
    """The body of a request, written in one go: it is never more than a mebibyte."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def startProducing(self, consumer: Any) -> Deferred[None]:
        """Write it."""
        consumer.write(self._content)
        return succeed(None)

    def pauseProducing(self) -> None:
        """Do nothing: it is written."""

    def resumeProducing(self) -> None:
        """Do nothing: it is written."""

    def stopProducing(self) -> None:
        """Do nothing: it is written."""


class _Beginning(StreamProtocol):
    """Reads the body of an answer, keeps its first line, and hangs up when there is too much of it."""

    def __init__(self) -> None:
        self.done: Deferred[str] = Deferred(lambda _: self._hang_up())
        self._start = b""
        self._size = 0

    def dataReceived(self, data: bytes) -> None:
        """Take some of it."""
        self._start = (self._start + data)[: 4 * _MOST_TEXT]
        self._size += len(data)
        if self._size > _MOST_BYTES:
            self._hang_up()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fire with the first line. The status had come before; how the body ends changes nothing."""
        if not self.done.called:
            lines = self._start.decode("utf-8", "replace").split("\n", 1)
            self.done.callback("".join(filter(str.isprintable, lines[0].strip()))[:_MOST_TEXT])

    def _hang_up(self) -> None:
        if abort := getattr(self.transport, "abortConnection", None):
            abort()


def _field(headers: Headers, name: str) -> str:
    values = headers.getRawHeaders(name, [])
    return str(values[0]).strip() if values else ""


def _too_late(result: Any, seconds: float) -> Answer:
    return Answer(0, f"there is no answer within {seconds:g} s")


def _no_answer(failure: Failure) -> Answer:
    if failure.check(CancelledError):
        failure.raiseException()
    error = failure.value
    # Of HTTP's errors the reason is inside.
    reasons = getattr(error, "reasons", None)
    while reasons:
        error = reasons[0].value
        reasons = getattr(error, "reasons", None)
    if isinstance(error, ConnectionDone):
        return Answer(0, "the connection was closed without an answer")
    if isinstance(error, ValueError):
        # Twisted takes a field without a colon for one.
        return Answer(0, "the answer is not HTTP")
    return Answer(0, in_words(error)[:_MOST_TEXT], unsent=isinstance(error, ConnectError | DNSLookupError))
