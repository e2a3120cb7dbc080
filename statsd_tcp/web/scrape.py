"""One scrape of `/metrics`: the StatsD series of one snapshot and the service's own metrics, as one body.

The numbers are gathered in the reactor's thread, where nothing else changes them meanwhile. They are written,
and compressed, in a thread of the pool, so that a long scrape delays nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics import exposition as openmetrics_exposition
from prometheus_client.process_collector import ProcessCollector
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET, Request

from statsd_tcp.status.interfaces import ISources
from statsd_tcp.status.left_out import LeftOut
from statsd_tcp.status.own_metrics import OwnMetrics
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.accept import wants_gzip, wants_openmetrics
from statsd_tcp.web.answer import LongAnswer
from statsd_tcp.web.collector import OwnCollector
from statsd_tcp.web.exposition import Exposition
from statsd_tcp.web.pages import Page, plain_text
from statsd_tcp.web.rendering import Renderings

__all__ = ["LONG_ENOUGH", "MOST_SCRAPES", "Form", "MetricsPage", "Scrape", "Scraper"]

MOST_SCRAPES = 4
"""Scrapes at a time. Two servers that watch each other and two people; each may need a body of its own."""

LONG_ENOUGH = 10.0
"""Seconds after which a scrape may be cut off in favour of another, if there are too many: Prometheus itself would have
given it up by then."""

_FORMATS: tuple[tuple[Callable[[Any], bytes], str], ...] = (
    (generate_latest, "text/plain; version=0.0.4; charset=utf-8"),
    (openmetrics_exposition.generate_latest, openmetrics_exposition.CONTENT_TYPE_LATEST),
)
"""How the service's own metrics are written, and what that is called: text, and OpenMetrics. The client's
``choose_encoder`` would not do: it looks at no quality values, and escapes names as the scraper wishes."""

_TOO_MANY = f"{MOST_SCRAPES} scrapes are under way: try again"

_log = Logger()


class Form(NamedTuple):
    """What a scraper asks for."""

    openmetrics: bool
    compressed: bool

    def announce(self, request: Request) -> None:
        """Set the fields of the answer's header that say so."""
        request.setHeader("content-type", _FORMATS[self.openmetrics][1])
        request.setHeader("vary", "Accept, Accept-Encoding")
        if self.compressed:
            request.setHeader("content-encoding", "gzip")


class Scrape(NamedTuple):
    """What a scraper gets; ``size`` is in bytes. ``left_out`` are the first series that are not in it."""

    size: int
    pieces: Iterator[bytes]
    left_out: Sequence[LeftOut]


class Scraper:
    """Writes scrapes. Any thread may use it. ``counter_suffix`` is appended to the names of StatsD counters."""

    def __init__(self, counter_suffix: str = "") -> None:
        self._exposition = Exposition(counter_suffix)
        self._renderings = Renderings(self._exposition)
        self._process = ProcessCollector(registry=None)

    def write(self, own: OwnMetrics, snapshot: Snapshot, form: Form) -> Scrape:
        """Write the own metrics, and the series unless they are being sent to another client at this moment."""
        rendering = self._renderings.get(snapshot, openmetrics=form.openmetrics, compressed=form.compressed)
        registry = CollectorRegistry()
        registry.register(OwnCollector(own, snapshot, self._exposition.conflicts(snapshot)))
        registry.register(self._process)
        encode, _ = _FORMATS[form.openmetrics]
        # In OpenMetrics the mark of the end follows these.
        last = rendering.last(encode(registry))
        return Scrape(rendering.size + len(last), rendering.body(last), self._exposition.left_out(snapshot))


class MetricsPage(Page):
    """The page `/metrics`."""

    any_host = True

    def __init__(self, reactor: Any, sources: ISources, counter_suffix: str = "") -> None:
        super().__init__()
        self._reactor = reactor
        self._sources = sources
        self._scraper = Scraper(counter_suffix)
        self._answers: set[LongAnswer] = set()

    def read(self, request: Request) -> bytes | int:
        """Gather now, and answer when a thread has written it."""
        snapshot = self._sources.snapshot()
        if snapshot is None:
            return plain_text(request, 503, "starting: the store is not open yet")
        headers = request.requestHeaders
        accept, encodings = (",".join(headers.getRawHeaders(name, [])) for name in ("accept", "accept-encoding"))
        form = Form(wants_openmetrics(accept), wants_gzip(encodings))
        if request.method == b"HEAD":
            form.announce(request)
            return b""
        if not self._has_room():
            request.setHeader("retry-after", "1")
            self._sources.refusals.note("scrapes", _TOO_MANY)
            return plain_text(request, 503, _TOO_MANY)
        answer = LongAnswer(self._reactor, request)
        self._answers.add(answer)
        own = self._sources.own_metrics(snapshot)
        pool = self._reactor.getThreadPool()
        written = deferToThreadPool(self._reactor, pool, self._scraper.write, own, snapshot, form)
        written.addCallbacks(self._send, self._fail, (answer, form), {}, (answer,), {})
        return NOT_DONE_YET

    def _has_room(self) -> bool:
        """Return whether another scrape may begin; if need be the one that takes the longest is cut off for it."""
        if len(self._answers) < MOST_SCRAPES:
            return True
        oldest = max(self._answers, key=lambda answer: answer.age)
        if oldest.age < LONG_ENOUGH:
            return False
        oldest.cut()
        self._end(oldest)
        return True

    def _send(self, scrape: Scrape, answer: LongAnswer, form: Form) -> None:
        self._sources.scraped(scrape.left_out)
        if answer.ended:
            # Its place was kept until here: a client that hangs up at once must not start work in many threads.
            self._end(answer)
            return
        form.announce(answer.request)
        answer.request.setHeader("content-length", str(scrape.size))
        answer.send(scrape.pieces, lambda: self._end(answer))

    def _fail(self, failure: Failure, answer: LongAnswer) -> None:
        _log.failure("a scrape failed", failure)
        self._end(answer)
        if not answer.ended:
            answer.request.write(plain_text(answer.request, 500, "the scrape failed; the log says why"))
            answer.request.finish()

    def _end(self, answer: LongAnswer) -> None:
        if answer in self._answers:
            self._answers.remove(answer)
            if answer.was_cut:
                self._sources.refusals.note("unread", "a scrape was not read, or not fast enough")
