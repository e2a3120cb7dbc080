"""The HTTP pages over TCP connections: requests in parts, one after the other, and such as are too large."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from threading import Event
from typing import Any, NamedTuple

import pytest
import pytest_twisted

from statsd_tcp.settings.build import build_settings
from statsd_tcp.web.request import LONGEST_BODY
from statsd_tcp.web.scrape import Scrape, Scraper
from statsd_tcp.web.site import make_site
from tests.reactor.peer import Peer
from tests.reactor.port import Port, serving
from tests.reactor.waiting import PATIENCE, until
from tests.unit.web.fakes import FakeSources
from tests.unit.web.tables import make_snapshot

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
RELOAD = b"POST /-/reload HTTP/1.1\r\nHost: localhost\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Answer(NamedTuple):
    """What came for one request."""

    status: int
    headers: dict[str, str]
    body: bytes


async def answer(peer: Peer) -> Answer:
    """Take one answer, whose length its headers tell."""
    first, *lines = (await peer.take(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    size = int(headers["content-length"])
    return Answer(int(first.split()[1]), headers, await peer.take_bytes(size))


@pytest.fixture
def sources() -> FakeSources:
    """Return what the pages show."""
    return FakeSources()


@pytest_twisted.async_yield_fixture
async def port(reactor: Any, sources: FakeSources) -> AsyncIterator[Port]:
    """Serve the pages."""
    async with serving(reactor, make_site(reactor, sources, build_settings({}), ())) as made:
        yield made


@pytest_twisted.ensureDeferred
async def test_in_parts(port: Port) -> None:
    """A request is answered when it is whole, if each byte comes alone."""
    peer = port.connect()
    await peer.send(*(HEALTH[at : at + 1] for at in range(len(HEALTH))))
    found = await answer(peer)
    assert (found.status, found.body) == (200, b"ok\n")


@pytest_twisted.ensureDeferred
async def test_kept_alive(port: Port, sources: FakeSources) -> None:
    """A connection serves one request after the other, and each answer is of its own time."""
    peer = port.connect()
    await peer.send(HEALTH)
    assert (await answer(peer)).status == 200
    sources.state = (False, "no worker")
    await peer.send(HEALTH)
    found = await answer(peer)
    assert (found.status, found.body) == (503, b"no worker\n")


@pytest_twisted.ensureDeferred
async def test_one_behind_the_other(port: Port) -> None:
    """Two requests that come at once are answered in their order, although only the first needs a thread."""
    peer = port.connect()
    await peer.send(SCRAPE + HEALTH)
    first, second = await answer(peer), await answer(peer)
    assert (first.status, first.headers["content-type"][:10]) == (200, "text/plain")
    assert b"\nhits_page" in first.body
    assert (second.status, second.body) == (200, b"ok\n")


@pytest_twisted.ensureDeferred
async def test_the_last_one(port: Port) -> None:
    """Who asks for it has the connection closed behind the answer."""
    peer = port.connect()
    await peer.send(HEALTH.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert (await answer(peer)).status == 200
    assert await peer.take_all() == b""


@pytest_twisted.ensureDeferred
async def test_too_many_headers(port: Port) -> None:
    """A request whose headers are too large together is refused, and the connection closed, before its end has come."""
    peer = port.connect()
    await peer.send(b"GET / HTTP/1.1\r\n", *(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(17)))
    assert (await peer.take(b"\r\n")).split()[1] == b"400"
    await peer.broken()


@pytest.mark.parametrize("head", [b"GET /%s", b"GET / HTTP/1.1\r\nX: %s"])
@pytest_twisted.ensureDeferred
async def test_a_line_without_end(port: Port, head: bytes) -> None:
    """A line without end, whether it is the first or a header, has the connection closed and not kept in memory."""
    peer = port.connect()
    await peer.send(head % (b"x" * 20_000))
    await peer.broken()


@pytest_twisted.ensureDeferred
async def test_no_http(port: Port) -> None:
    """Whatever is no HTTP is refused, and others are served meanwhile."""
    peer, other = port.connect(), port.connect()
    await peer.send(b"hits:1|c\r\n")
    await other.send(HEALTH)
    assert (await answer(other)).status == 200
    assert (await peer.take(b"\r\n")).split()[1] == b"400"
    await peer.broken()


@pytest_twisted.ensureDeferred
async def test_one_too_many(reactor: Any, sources: FakeSources) -> None:
    """The connection that has to go for another one sees its end, and no reset."""
    site: Any = make_site(reactor, sources, build_settings({"http-connections": ["2"]}), ())
    async with serving(reactor, site) as port:
        peers = [port.connect() for _ in range(2)]
        await until(reactor, lambda: len(site.guests) == len(peers), "both are there")
        late = port.connect()
        assert await peers[0].take_all() == b""
        await late.send(HEALTH)
        assert (await answer(late)).status == 200


@pytest_twisted.ensureDeferred
async def test_a_body_without_end(port: Port) -> None:
    """A client that still sends its body reads why it was refused: no reset takes that away."""
    peer = port.connect()
    piece = b"8000\r\n%b\r\n" % bytes(0x8000)
    await peer.send(RELOAD + b"Transfer-Encoding: chunked\r\n\r\n", *(LONGEST_BODY // 0x8000 + 4) * [piece])
    assert (await peer.take(b"\r\n")).split()[1] == b"413"
    await peer.send(piece)
    assert await peer.take_all()


@pytest_twisted.ensureDeferred
async def test_the_answer_is_on_its_way(reactor: Any, port: Port, sources: FakeSources) -> None:
    """Who asked for a reload can read the answer by the time that the next image takes over."""
    peer = port.connect()
    await peer.send(RELOAD + b"Content-Length: 4\r\n\r\nbody")
    sent: list[object] = []
    sources.asked.pop()("").addCallback(sent.append)
    await until(reactor, lambda: sent, "the answer is on its way")
    # From here on nothing is done: the process would be another image. The kernel may need a moment.
    peer.socket.settimeout(PATIENCE)
    assert peer.socket.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest_twisted.ensureDeferred
async def test_a_scrape_that_is_read_slowly(port: Port, sources: FakeSources) -> None:
    """A scrape of many megabytes comes whole, and the pages are served while it is not read."""
    sources.current = make_snapshot(*(("c", f"some.longer.name.of.a.counter.{n}", 1.0) for n in range(60_000)))
    peer, other = port.connect(), port.connect()
    await peer.send(SCRAPE)
    await other.send(HEALTH)
    assert (await answer(other)).status == 200
    found = await answer(peer)
    assert found.body.count(b"\nsome_longer_name_of_a_counter_") == 60_000
    assert found.body.endswith(b"\n")


@pytest_twisted.ensureDeferred
async def test_a_scraper_that_hangs_up(reactor: Any, port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written for a scraper that is gone by then is thrown away, and the next one is served."""
    write, begun, gone = Scraper.write, Event(), Event()

    def slow(*arguments: Any) -> Scrape:
        begun.set()
        gone.wait(PATIENCE)
        return write(*arguments)

    monkeypatch.setattr(Scraper, "write", slow)
    peer = port.connect()
    await peer.send(SCRAPE)
    await until(reactor, begun.is_set, "the scrape is being written")
    peer.reset()
    peer = port.connect()
    await peer.send(HEALTH, SCRAPE)
    gone.set()
    assert ((await answer(peer)).status, (await answer(peer)).status) == (200, 200)
    # Only then an error that was not handled is logged.
    gc.collect()
