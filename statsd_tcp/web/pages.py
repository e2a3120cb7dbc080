"""The small pages: the one for people, health, readiness, and the status for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from twisted.web.resource import Resource
from twisted.web.server import Request

from statsd_tcp.status.interfaces import ISources
from statsd_tcp.web.dashboard import NOT_SHOWN, SOURCES, dashboard, sources_part

__all__ = [
    "STATUS_VERSION",
    "DashboardPage",
    "Folder",
    "Page",
    "RefusalPage",
    "StatePage",
    "StatusPage",
    "plain_text",
    "versioned",
]

STATUS_VERSION = 1
"""Raised when a field of the status changes its meaning or goes; new fields may come at any time."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDS = (
    ("content-security-policy", _POLICY),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)
"""What browsers are told of every page: it has nothing in it but its own files, and belongs into no other page."""


def plain_text(request: Request, code: int, text: str) -> bytes:
    """Set the response up as one line of text, and return its body."""
    # Twisted has no words for some of them.
    request.setResponseCode(code, HTTPStatus(code).phrase.encode())
    request.setHeader("content-type", "text/plain; charset=utf-8")
    request.setHeader("cache-control", "no-store")
    return f"{text}\n".encode()


class Page(Resource):
    """Something to read. Twisted's own answers to wrong paths and methods are deprecated, and log HEAD."""

    methods: Sequence[str] = ("GET", "HEAD")
    """The methods that `read` answers."""

    any_host = False
    """Whether it is there under any name, on listeners that other machines reach: scrapers and probes have names of
    their own for a service, and what they get is no secret there."""

    def read(self, request: Request) -> bytes | int:
        """Return the body, or NOT_DONE_YET; subclasses do."""
        raise NotImplementedError

    def getChild(self, path: bytes, request: Request) -> Resource:
        """Return the page itself for a slash at the end, which some checks have; there is nothing else below."""
        return Folder() if path or request.postpath else self

    def answer(self, request: Request) -> bytes | int:
        """Return the page, or tell which methods there are."""
        if request.method.decode() in self.methods:
            return self.read(request)
        request.setHeader("allow", allowed := ", ".join((*self.methods, "OPTIONS")))
        # Load balancers ask so whether a server is there.
        return b"" if request.method == b"OPTIONS" else plain_text(request, 405, f"this page takes {allowed}")

    def render(self, request: Request) -> bytes | int:
        """Answer a request; to HEAD with the length only, where that is known."""
        for name, value in _GUARDS:
            request.setHeader(name, value)
        body = self.answer(request)
        if request.method == b"HEAD" and body and isinstance(body, bytes):
            request.setHeader("content-length", str(len(body)))
            return b""
        return body


class Folder(Page):
    """A part of a path that is no page itself."""

    def answer(self, request: Request) -> bytes | int:
        """Answer that there is nothing here, to any method."""
        return plain_text(request, 404, "there is no such page")


class RefusalPage(Page):
    """What a request gets that is not let through to the pages."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__()
        self._code = code
        self._text = text

    def answer(self, request: Request) -> bytes | int:
        """Answer with the reason, to any method."""
        return plain_text(request, self._code, self._text)


class DashboardPage(Page):
    """The page `/`: how the service does, for people."""

    def __init__(self, sources: ISources) -> None:
        super().__init__()
        self._sources = sources

    def read(self, request: Request) -> bytes:
        """Write it again."""
        request.setHeader("content-type", "text/html; charset=utf-8")
        request.setHeader("cache-control", "no-store")
        sources, who = self._sources, self._sources.who
        shown = NOT_SHOWN if who.counts else None
        if who.counts and who.may_see(request.getClientAddress()):
            who.look()
            shown = sources_part(who.rows(SOURCES))
        return dashboard(sources.status(), sources.healthy(), sources.ready(), shown).encode()


class StatePage(Page):
    """A page for those who check: 200 and ``ok``, or 503 and the reason."""

    any_host = True

    def __init__(self, state: Callable[[], tuple[bool, str]]) -> None:
        super().__init__()
        self._state = state

    def read(self, request: Request) -> bytes:
        """Ask now, and answer."""
        good, reason = self._state()
        return plain_text(request, 200, "ok") if good else plain_text(request, 503, reason)


class StatusPage(Page):
    """The page `/api/v1/status`."""

    def __init__(self, sources: ISources) -> None:
        super().__init__()
        self._sources = sources

    def read(self, request: Request) -> bytes:
        """Write the status, with the version of its form first."""
        request.setHeader("content-type", "application/json")
        request.setHeader("cache-control", "no-store")
        return versioned(self._sources.status()) + b"\n"


def versioned(status: dict[str, Any]) -> bytes:
    """Write the status as JSON, with the version of its form first."""
    return msgspec.json.encode({"version": STATUS_VERSION, **status})
