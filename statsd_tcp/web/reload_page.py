"""The page `/-/reload`: it asks for what HUP does, and tells how that went."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from statsd_tcp.kernel.peers import is_local
from statsd_tcp.reload.askers import REST
from statsd_tcp.status.interfaces import ISources
from statsd_tcp.web.hosts import is_of_another_site
from statsd_tcp.web.pages import Page, plain_text

__all__ = ["ReloadPage"]


class ReloadPage(Page):
    """Takes POST and PUT. ``remote`` tells whether other machines may ask."""

    methods = ("POST", "PUT")

    def __init__(self, sources: ISources, *, remote: bool) -> None:
        super().__init__()
        self._sources = sources
        self._remote = remote

    def read(self, request: Request) -> bytes | int:
        """Ask for a reload if this client may, and answer when it is known whether it comes to it."""
        if is_of_another_site(request):
            return self._refuse(request, 403, "origin", "a page of another site may not ask for a reload")
        if not (self._remote or is_local(request.getClientAddress())):
            return self._refuse(request, 403, "remote", "other machines may ask for it with --http-lifecycle only")
        if not self._sources.reload(_Asker(request).tell):
            request.setHeader("retry-after", f"{REST:g}")
            return self._refuse(request, 429, "too_soon", "a reload is under way, or was a moment ago: ask again")
        return NOT_DONE_YET

    def _refuse(self, request: Request, code: int, reason: str, text: str) -> bytes:
        self._sources.refusals.note(reason, text)
        return plain_text(request, code, text)


class _Asker:
    """A client that waits for the outcome of a reload; it may hang up before."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._channel: Any = request.channel
        request.notifyFinish().addErrback(self._forget)

    def tell(self, refusal: str) -> Deferred[None]:
        """Answer, and close the connection: what is returned fires when all is sent."""
        if self._channel is None:
            return succeed(None)
        request = self._request
        text = refusal or "the rehearsal has passed: the next image takes over"
        body = plain_text(request, 500 if refusal else 200, text)
        request.setHeader("content-length", str(len(body)))
        request.setHeader("connection", "close")
        self._channel.persistent = False
        closed: Deferred[None] = self._channel.when_closed()
        request.write(body)
        request.finish()
        return closed

    def _forget(self, _: Failure) -> None:
        self._channel = None
