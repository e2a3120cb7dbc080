"""The HTTP server of the service: which page is under which path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.web import http
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from statsd_tcp.guests import Guests
from statsd_tcp.kernel.peers import is_loopback
from statsd_tcp.settings.settings import Settings
from statsd_tcp.status.interfaces import ISources
from statsd_tcp.status.refusals import Refusals
from statsd_tcp.web.assets import make_assets
from statsd_tcp.web.hosts import Hosts
from statsd_tcp.web.live import LivePage
from statsd_tcp.web.pages import DashboardPage, Folder, Page, RefusalPage, StatePage, StatusPage
from statsd_tcp.web.reload_page import ReloadPage
from statsd_tcp.web.request import BareRequest, Channel
from statsd_tcp.web.scrape import MetricsPage
from statsd_tcp.web.who import WhoPage

__all__ = ["make_site"]

_TIMEOUT = 60.0
"""Seconds that a client may idle. Prometheus keeps its connection, and scrapes more often than that."""

# Which they are is not said: the client may be a page from elsewhere.
_NOT_OURS = (
    "no address, not localhost, and no name of this machine in its kernel, /etc/hosts or the domains of "
    "/etc/resolv.conf: --http-host NAME adds one"
)


def make_site(reactor: Any, sources: ISources, settings: Settings, names: Iterable[str]) -> Site:
    """Make the server's factory. ``reactor`` lends its clock, and its thread pool to long pages.

    ``names`` are those of this machine.
    """
    root = Folder()
    _put(root, "", DashboardPage(sources))
    _put(root, "metrics", MetricsPage(reactor, sources, settings.counter_suffix))
    healthy, ready = StatePage(sources.healthy), StatePage(sources.ready)
    _put(root, "healthz", healthy)
    _put(root, "readyz", ready)
    _put(root, "-/healthy", healthy)
    _put(root, "-/ready", ready)
    _put(root, "-/reload", ReloadPage(sources, remote=settings.http_lifecycle))
    _put(root, "api/v1/status", StatusPage(sources))
    _put(root, "api/v1/live", LivePage(reactor, sources))
    _put(root, "api/v1/who", WhoPage(sources))
    root.putChild(b"assets", make_assets())
    http = settings.http
    inside = http is not None and http.interface is not None and is_loopback(http.interface)
    hosts, guests = Hosts(names, settings.http_host), Guests(settings.http_connections, reactor.seconds)
    return _QuietSite(root, sources.refusals, hosts, guests, reactor, inside=inside)


class _QuietSite(Site):
    """A site without an access log: a line for each scrape and health check would bury the rest."""

    noisy = False
    displayTracebacks = False
    protocol = Channel  # type: ignore[assignment]

    def __init__(
        self, root: Resource, refusals: Refusals, hosts: Hosts, guests: Guests, reactor: Any, *, inside: bool
    ) -> None:
        super().__init__(root, BareRequest, timeout=_TIMEOUT, reactor=reactor)
        self.refusals = refusals
        self.guests = guests
        self._hosts = hosts
        self._inside = inside

    def logPrefix(self) -> str:
        """Return the name for the log, where a port opens and closes."""
        return "HTTP"

    def enter(self, channel: Channel) -> None:
        """Take in a new connection, for which another may have to go."""
        if self.guests.enter(channel):
            self.refusals.note(
                "connections", "more connections than --http-connections: one of the address with the most is cut"
            )

    def getResourceFor(self, request: Request) -> Resource:
        """Find the page of a request, or what is wrong with it."""
        if not _is_text(request):
            return self._refused(400, "header", "a header field is no text")
        page: Page = super().getResourceFor(request)
        hosts = request.requestHeaders.getRawHeaders("host", [])
        foreign = [host for host in hosts if not self._hosts.accept(host)]
        if (self._inside or not page.any_host) and foreign:
            return self._refused(421, "host", f"the host asked for is {foreign[0]!a:.80}, {_NOT_OURS}")
        return page

    def _refused(self, code: int, reason: str, text: str) -> Resource:
        self.refusals.note(reason, text)
        return RefusalPage(code, text)

    def log(self, request: http.Request) -> None:
        """Leave the request unlogged."""


def _is_text(request: Request) -> bool:
    try:
        for _, values in request.requestHeaders.getAllRawHeaders():
            for value in values:
                value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _put(root: Resource, path: str, page: Resource) -> None:
    *folders, last = path.encode().split(b"/")
    for name in folders:
        folder = root.getStaticEntity(name)
        if folder is None:
            folder = Folder()
            root.putChild(name, folder)
        root = folder
    root.putChild(last, page)
