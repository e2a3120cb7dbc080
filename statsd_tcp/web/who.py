"""The page `/api/v1/who`: where connections come from, for those who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from twisted.web.server import NOT_DONE_YET, Request

from statsd_tcp.status.interfaces import ISources
from statsd_tcp.status.who import Who
from statsd_tcp.status.who_table import BY, Answer
from statsd_tcp.web.pages import STATUS_VERSION, Page, plain_text

__all__ = ["MOST", "NOT_SHOWN", "WhoPage"]

MOST = 1000
"""Sources in an answer."""

_TOP = 50

NOT_SHOWN = "sources are shown over loopback, and to the networks of --who-to"
_NOT_COUNTED = "sources are not counted: --who says when they are"


class _QueryError(ValueError):
    """What is asked for cannot be answered, as the text says."""


class WhoPage(Page):
    """The page. Its query has ``top=``, ``by=`` and ``listener=``."""

    def __init__(self, sources: ISources) -> None:
        super().__init__()
        self._sources = sources

    def read(self, request: Request) -> bytes | int:
        """Answer when there is something new enough to be shown."""
        who: Who = self._sources.who
        if not who.may_see(request.getClientAddress()):
            self._sources.refusals.note("sources", NOT_SHOWN)
            return plain_text(request, 403, NOT_SHOWN)
        if not who.counts:
            return plain_text(request, 404, _NOT_COUNTED)
        try:
            asked = _query(request, who.labels)
        except _QueryError as error:
            return plain_text(request, 400, str(error))
        fresh = who.fresh()
        if fresh.called:
            return self._body(request, who, *asked)
        left = request.notifyFinish()
        left.addErrback(lambda _: None)
        fresh.addCallback(lambda _: None if left.called else self._finish(request, who, *asked))
        return NOT_DONE_YET

    def _finish(self, request: Request, *asked: Any) -> None:
        body = self._body(request, *asked)
        request.setHeader("content-length", str(len(body)))
        if request.method != b"HEAD":
            request.write(body)
        request.finish()

    def _body(self, request: Request, who: Who, top: int, by: str, listener: str | None) -> bytes:
        request.setHeader("content-type", "application/json")
        request.setHeader("cache-control", "no-store")
        answer = Answer(
            version=STATUS_VERSION,
            node=self._sources.node,
            seconds=round(who.seconds, 1),
            by=by,
            listeners=tuple(who.spreads()),
            sources=tuple(who.rows(top, by, listener)),
        )
        return msgspec.json.encode(answer) + b"\n"


def _query(request: Request, labels: Sequence[str]) -> tuple[int, str, str | None]:
    """Read what is asked for, given the labels of all listeners; raises `_QueryError`."""
    given = {
        name.decode(errors="replace"): values[-1].decode(errors="replace") for name, values in request.args.items()
    }
    top, by, listener = given.get("top", str(_TOP)), given.get("by", BY[0]), given.get("listener")
    if not (top.isascii() and top.isdigit() and len(top) <= len(str(MOST)) and 1 <= int(top) <= MOST):
        raise _QueryError(f"top= is not a whole number from 1 to {MOST}")
    if by not in BY:
        raise _QueryError(f"by= is not one of {', '.join(BY)}")
    if listener is not None and listener not in labels:
        raise _QueryError(f"listener= is not one of {', '.join(labels)}")
    return int(top), by, listener
