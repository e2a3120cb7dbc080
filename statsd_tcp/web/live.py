"""The page `/api/v1/live`: moments as they come, as server-sent events, for the page for people and for ``top``.

    event: past      a list of the moments of the last ten minutes, at first
    event: moment    each further moment
    event: status    what `/api/v1/status` says, now and then
    event: parts     what the page for people says, now and then: the markup of its parts, by their ids

Those who may see sources get these, too:

    event: source-past    a list of the rates of the largest sources in the last ten minutes, before all else
    event: source-moment  each further one
    event: sources        the sources with the most connections, as `/api/v1/who` has them, now and then

All viewers get the same bytes, which are written once. One that does not read gets what it has missed when it reads
again, and is cut off when it has not read for half a minute. The format is that of the HTML standard, section 9.2.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from twisted.internet.interfaces import IPushProducer
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from statsd_tcp.status.interfaces import ISources
from statsd_tcp.web.answer import LONGEST_PAUSE
from statsd_tcp.web.dashboard import SOURCES, parts, sources_part
from statsd_tcp.web.pages import Page, plain_text, versioned

__all__ = ["EVERY", "MOST_VIEWERS", "LivePage"]

MOST_VIEWERS: Final = 100
"""Viewers at a time."""

EVERY: Final = 2
"""Moments from one status to the next."""

_TOO_MANY = f"{MOST_VIEWERS} viewers watch already: close one"

_RETRY = b"retry: 2000\n\n"
"""Milliseconds after which a browser comes again when the connection has ended."""


@implementer(IPushProducer)
class _Viewer:
    """One viewer. ``seen`` is the number of the last moment that it was sent; ``clock`` has the ``seconds``."""

    def __init__(self, clock: Any, request: Request, *, sees_sources: bool) -> None:
        self.request = request
        self.sees_sources = sees_sources
        self.seen = 0
        self._clock = clock
        self._paused_at: float | None = None
        request.registerProducer(self, True)

    @property
    def paused(self) -> float:
        """Return for how many seconds it has not read what was under way to it; 0 if it reads."""
        return 0.0 if self._paused_at is None else max(1e-6, self._clock.seconds() - self._paused_at)

    def pauseProducing(self) -> None:
        """Send nothing until the viewer has read."""
        if self._paused_at is None:
            self._paused_at = self._clock.seconds()

    def resumeProducing(self) -> None:
        """Go on with the next moment."""
        self._paused_at = None

    def stopProducing(self) -> None:
        """Do nothing: the loss of the connection is reported by another call as well."""


class LivePage(Page):
    """The page. ``clock`` has the ``seconds``."""

    def __init__(self, clock: Any, sources: ISources) -> None:
        super().__init__()
        self._clock = clock
        self._sources = sources
        self._moments = sources.moments
        self._viewers: list[_Viewer] = []
        self._moments.heard.append(self._pass_on)
        self._who = sources.who
        self._who.heard.append(self._pass_sources_on)

    def read(self, request: Request) -> bytes | int:
        """Begin with what there was, and go on until the viewer leaves."""
        if len(self._viewers) >= MOST_VIEWERS:
            request.setHeader("retry-after", "10")
            self._sources.refusals.note("viewers", _TOO_MANY)
            return plain_text(request, 503, _TOO_MANY)
        request.setHeader("content-type", "text/event-stream")
        request.setHeader("cache-control", "no-store")
        if request.method == b"HEAD":
            return b""
        sees = self._who.counts and self._who.may_see(request.getClientAddress())
        viewer = _Viewer(self._clock, request, sees_sources=sees)
        viewer.seen = self._moments.number
        self._viewers.append(viewer)
        request.notifyFinish().addBoth(lambda _: self._viewers.remove(viewer))
        past = b"[%b]" % b",".join(self._moments.since(0))
        before = _event(b"source-past", b"[%b]" % b",".join(self._who.charted())) if sees else b""
        # The status comes last: who has it has all.
        request.write(_RETRY + before + _event(b"past", past) + (self._sources_now() if sees else b"") + self._state())
        return NOT_DONE_YET

    def _pass_on(self) -> None:
        """Send what is new to everybody who reads."""
        if not self._viewers:
            return
        state = self._state() if self._moments.number % EVERY == 0 else b""
        sees = any(viewer.sees_sources for viewer in self._viewers)
        if sees:
            self._who.look()
        seen = self._sources_now() if sees and state else b""
        for viewer in self._viewers.copy():
            if not viewer.paused:
                moments = self._moments.since(viewer.seen)
                viewer.seen = self._moments.number
                more = seen if viewer.sees_sources else b""
                viewer.request.write(b"".join(_event(b"moment", moment) for moment in moments) + more + state)
            elif viewer.paused > LONGEST_PAUSE:
                self._sources.refusals.note("unread", "a stream of moments was not read")
                transport: Any = viewer.request.transport
                transport.abortConnection()

    def _pass_sources_on(self, moment: bytes) -> None:
        for viewer in self._viewers.copy():
            if viewer.sees_sources and not viewer.paused:
                viewer.request.write(_event(b"source-moment", moment))

    def _sources_now(self) -> bytes:
        rows = self._who.rows(SOURCES)
        markup = {"sources": sources_part(rows)}
        return _event(b"sources", msgspec.json.encode(rows)) + _event(b"parts", msgspec.json.encode(markup))

    def _state(self) -> bytes:
        sources = self._sources
        status = sources.status()
        markup = parts(status, sources.healthy(), sources.ready())
        return _event(b"status", versioned(status)) + _event(b"parts", msgspec.json.encode(markup))


def _event(name: bytes, data: bytes) -> bytes:
    """Write an event; ``data`` is one line."""
    return b"event: %b\ndata: %b\n\n" % (name, data)
