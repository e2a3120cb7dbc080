"""One scrape of `/metrics`: the service's own metrics and the StatsD series of one snapshot, as one body.

The numbers are gathered in the reactor's thread, where nothing else changes them meanwhile. They are written,
and compressed, in a thread of the pool, so that a long scrape holds nobody up.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.process_collector import ProcessCollector
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from statsd_tcp.status.interfaces import ISources
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.accept import wants_gzip, wants_openmetrics
from statsd_tcp.web.collector import OwnCollector
from statsd_tcp.web.exposition import Exposition
from statsd_tcp.web.pages import Page, plain_text

__all__ = ["MetricsPage", "Scrape", "Scraper"]

_FORMATS: tuple[tuple[Callable[[Any], bytes], str], ...] = (
    (generate_latest, "text/plain; version=0.0.4; charset=utf-8"),
    (openmetrics_exposition.generate_latest, openmetrics_exposition.CONTENT_TYPE_LATEST),
)
"""How the service's own metrics are written, and what that is called: text, and OpenMetrics. The client's
``choose_encoder`` would not do: it looks at no quality values, and escapes names as the scraper wishes."""

_END = b"# EOF\n"

_GZIP_LEVEL = 1
"""The body is as small as with level 9 but for a third, in a tenth of the time."""

_log = Logger()


class Scrape(NamedTuple):
    """What a scraper gets."""

    content_type: str
    body: bytes
    compressed: bool


class Scraper:
    """Writes scrapes. Any thread may use it. ``counter_suffix`` is put behind the names of StatsD counters."""

    def __init__(self, counter_suffix: str = "") -> None:
        self._exposition = Exposition(counter_suffix)
        self._process = ProcessCollector(registry=None)

    def write(self, own: OwnMetrics, snapshot: Snapshot, accept: str, accept_encoding: str) -> Scrape:
        """Write what the request's two headers ask for."""
        openmetrics = wants_openmetrics(accept)
        encode, content_type = _FORMATS[openmetrics]
        registry = CollectorRegistry()
        registry.register(OwnCollector(own, snapshot, self._exposition.conflicts(snapshot)))
        registry.register(self._process)
        body = encode(registry).removesuffix(_END) + self._exposition.render(snapshot, openmetrics=openmetrics)
        if openmetrics:
            body += _END
        compressed = wants_gzip(accept_encoding)
        return Scrape(content_type, gzip.compress(body, _GZIP_LEVEL) if compressed else body, compressed)


class MetricsPage(Page):
    """The page `/metrics`."""

    any_host = True

    def __init__(self, reactor: IReactorThreads, sources: ISources, counter_suffix: str = "") -> None:
        super().__init__()
        self._reactor = reactor
        self._sources = sources
        self._scraper = Scraper(counter_suffix)

    def read(self, request: Request) -> bytes | int:
        """Gather now, and answer when a thread has written it."""
        snapshot = self._sources.snapshot()
        if snapshot is None:
            return plain_text(request, 503, "starting: the store is not open yet")
        own = self._sources.own_metrics(snapshot)
        headers = request.requestHeaders
        asked = [headers.getRawHeaders(name) or [] for name in ("accept", "accept-encoding")]
        accept, encodings = (",".join(values) for values in asked)
        pool = self._reactor.getThreadPool()
        written = deferToThreadPool(self._reactor, pool, self._scraper.write, own, snapshot, accept, encodings)
        # A scraper that hangs up gets nothing written to it.
        request.notifyFinish().addErrback(lambda _: written.cancel())
        written.addCallbacks(_answer, _fail, (request,), {}, (request,), {})
        return NOT_DONE_YET


def _answer(scrape: Scrape, request: Request) -> None:
    request.setHeader("content-type", scrape.content_type)
    request.setHeader("vary", "Accept, Accept-Encoding")
    request.setHeader("content-length", str(len(scrape.body)))
    if scrape.compressed:
        request.setHeader("content-encoding", "gzip")
    request.write(scrape.body)
    request.finish()


def _fail(failure: Failure, request: Request) -> None:
    if failure.check(CancelledError):
        return
    _log.failure("a scrape failed", failure)
    request.write(plain_text(request, 500, "the scrape failed; the log says why"))
    request.finish()
