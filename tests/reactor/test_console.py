"""Sessions of the console over TCP connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from statsd_tcp.console import session
from statsd_tcp.console.dispatch import Dispatch
from statsd_tcp.console.session import MOST_SESSIONS, ConsoleFactory
from tests.reactor.port import Port, serving
from tests.reactor.waiting import PATIENCE, until
from tests.unit.console.test_dispatch import FakeFlush, FakeSources

HEALTH = b"health: up\n"


class Flush(FakeFlush):
    """The open flush, which is asked for series and answers when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Deferred[bytes]] = []

    def series(self, kind: str) -> Deferred[bytes]:
        """Wait."""
        self.asked.append(Deferred())
        return self.asked[-1]


class Console:
    """A console that is served, and what is behind it."""

    def __init__(self, flush: Flush, factory: ConsoleFactory, port: Port) -> None:
        self.flush = flush
        self.sessions = factory.sessions
        self.connect = port.connect


@pytest_twisted.async_yield_fixture
async def console(reactor: Any) -> AsyncIterator[Console]:
    """Serve a console."""
    flush = Flush()
    factory = ConsoleFactory(reactor, Dispatch(flush, FakeSources(), reactor.seconds))
    async with serving(reactor, factory) as port:
        yield Console(flush, factory, port)


@pytest_twisted.ensureDeferred
async def test_in_parts(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command is answered when its newline is there, in however many parts it came."""
    monkeypatch.setattr(session, "QUIET_TIME", PATIENCE)
    peer = console.connect()
    await peer.send(b"hea", b"l", b"th\r", b"\nhelp\nhea")
    assert await peer.take(b"\n") == HEALTH
    assert (await peer.take(b"\n\n")).startswith(b"Commands: stats,")
    await peer.send(b"lth\nquit\n")
    assert await peer.take_all() == HEALTH


@pytest_twisted.ensureDeferred
async def test_half_closed(reactor: Any, console: Console) -> None:
    """Who sends all commands and ends its side gets all replies in their order, and then the end."""
    peer = console.connect()
    await peer.send(b"health\ncounters\nhealth")
    peer.end()
    assert await peer.take(b"\n") == HEALTH
    await until(reactor, lambda: console.flush.asked, "the counters are asked for")
    console.flush.asked[0].callback(b"{}\nEND\n\n")
    assert await peer.take_all() == b"{}\nEND\n\n" + HEALTH


@pytest_twisted.ensureDeferred
async def test_without_a_newline(console: Console) -> None:
    """A command without its newline is answered after a moment, and a newline that comes then is no command."""
    peer = console.connect()
    await peer.send(b"health")
    assert await peer.take(b"\n") == HEALTH
    await peer.send(b"\nquit\n")
    assert await peer.take_all() == b""


@pytest_twisted.ensureDeferred
async def test_two_at_a_time(reactor: Any, console: Console) -> None:
    """One session does not wait for the reply of another."""
    first, second = console.connect(), console.connect()
    await first.send(b"timers\n")
    await until(reactor, lambda: console.flush.asked, "the timers are asked for")
    await second.send(b"health\n")
    assert await second.take(b"\n") == HEALTH
    console.flush.asked[0].callback(b"{}\nEND\n\n")
    assert await first.take(b"\n\n") == b"{}\nEND\n\n"


@pytest_twisted.ensureDeferred
async def test_a_slow_reader(reactor: Any, console: Console) -> None:
    """While a client does not read, its next command waits; in the end it has every byte of every reply."""
    peer, large = console.connect(), b"x" * (16 << 20) + b"\nEND\n\n"
    await peer.send(b"sets\nhealth\nsets\n")
    await until(reactor, lambda: console.flush.asked, "the sets are asked for")
    console.flush.asked[0].callback(large)
    other = console.connect()
    await other.send(b"health\nquit\n")
    assert await other.take_all() == HEALTH
    assert len(console.flush.asked) == 1
    assert await peer.take(HEALTH) == large + HEALTH
    console.flush.asked[1].callback(b"{}\nEND\n\n")
    assert await peer.take(b"\n\n") == b"{}\nEND\n\n"


@pytest_twisted.ensureDeferred
async def test_a_client_that_breaks(reactor: Any, console: Console) -> None:
    """A client that is gone when its reply comes costs nothing: the reply is dropped, the session forgotten."""
    peer = console.connect()
    await peer.send(b"gauges\nhealth\n")
    await until(reactor, lambda: console.flush.asked, "the gauges are asked for")
    peer.reset()
    await until(reactor, lambda: not console.sessions, "the session is forgotten")
    console.flush.asked[0].callback(b"{}\nEND\n\n")


@pytest_twisted.ensureDeferred
async def test_no_more_than_there_may_be(reactor: Any, console: Console) -> None:
    """Beyond the most sessions a new one is served, and the one that has idled longest is closed."""
    peers = [console.connect() for _ in range(MOST_SESSIONS)]
    await until(reactor, lambda: len(console.sessions) == MOST_SESSIONS, "all are there")
    await peers[0].send(b"health\n")
    assert await peers[0].take(b"\n") == HEALTH
    late = console.connect()
    await late.send(b"health\n")
    assert await late.take(b"\n") == HEALTH
    assert len(console.sessions) == MOST_SESSIONS
    assert await peers[1].take_all() == b""
    await peers[0].send(b"health\n")
    assert await peers[0].take(b"\n") == HEALTH


@pytest.mark.parametrize("text", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 100_000])
@pytest_twisted.ensureDeferred
async def test_no_commands(console: Console, text: bytes) -> None:
    """A web browser, and who sends a line without end, are told that this is no command, and closed."""
    peer = console.connect()
    await peer.send(text)
    assert await peer.take(b"\n") == b"ERROR\n"
    await peer.broken()
