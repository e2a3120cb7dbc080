"""The client for Twisted against a listener in this process. It leaves nothing in the reactor when it is closed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread

from statsd_tcp_client.twisted.client import StatsClient
from tests.client.portable.listener import Listener, reserved, status_of
from tests.reactor.waiting import PATIENCE, until


@pytest_twisted.async_yield_fixture
async def listen(reactor: Any) -> AsyncIterator[Callable[..., Listener]]:
    """Return a function that makes listeners, which are closed after the test."""
    made: list[Listener] = []

    def make(*args: Any, **keywords: Any) -> Listener:
        made.append(Listener(*args, **keywords))
        return made[-1]

    yield make
    for listener in made:
        listener.close()


def client_of(reactor: Any, listener: Listener, **more: Any) -> StatsClient:
    """Return a client that sends only when it is told to."""
    settings = {"interval": 60, "own_lines": False, "connect_timeout": PATIENCE, "backoff": (0.001, 0.01), **more}
    return StatsClient("127.0.0.1", listener.port, reactor=reactor, **settings)


@pytest.mark.parametrize("level", ["sent", "read", "stored"])
@pytest_twisted.ensureDeferred
async def test_levels(reactor: Any, listen: Callable[..., Listener], level: str) -> None:
    """At each level everything arrives once, and is confirmed."""
    listener = listen(level)
    client = client_of(reactor, listener, level=level)
    for _ in range(3):
        client.incr("a", 2)
        assert await client.flush(PATIENCE)
    assert await client.close(PATIENCE)
    stats = client.stats()
    assert (stats.made, stats.sent, stats.confirmed, stats.batches) == (3, 3, 3, 3)
    assert (stats.connections, stats.failures) == (3 if level == "read" else 1, 0)
    await until(reactor, lambda: listener.total("a") == 6, "all is read")


@pytest_twisted.ensureDeferred
async def test_by_itself(reactor: Any, listen: Callable[..., Listener]) -> None:
    """Without `flush` everything is sent after the interval, also what another thread counts."""
    listener = listen()
    client = client_of(reactor, listener, interval=0.02)
    client.incr("a")
    await until(reactor, lambda: listener.total("a") == 1, "it came")
    await deferToThread(client.incr, "a")
    await until(reactor, lambda: listener.total("a") == 2, "it came, too")
    assert await client.close(PATIENCE)


@pytest.mark.parametrize("level", ["sent", "stored"])
@pytest_twisted.ensureDeferred
async def test_break(reactor: Any, listen: Callable[..., Listener], level: str) -> None:
    """After a break the next batch goes over a new connection."""
    listener = listen(level)
    client = client_of(reactor, listener, level=level)
    client.incr("a")
    assert await client.flush(PATIENCE)
    listener.break_off(1)
    # At `sent`, what is written before the reactor has heard of the end is lost.
    await until(reactor, lambda: client._engine.lanes[0].state == "idle", "the end was heard of")
    client.incr("a")
    assert await client.close(PATIENCE)
    assert client.stats().connections == 2
    await until(reactor, lambda: listener.total("a") == 2, "both are there")


@pytest_twisted.ensureDeferred
async def test_no_answer(reactor: Any, listen: Callable[..., Listener]) -> None:
    """Without an answer `flush` says so in time; after a break the batch is sent again, once."""
    listener = listen("stored", answers=False)
    client = client_of(reactor, listener, level="stored")
    client.incr("a")
    assert not await client.flush(0.05)
    await until(reactor, lambda: listener.connections != [], "it is connected")
    listener.answers = True
    listener.break_off(1)
    assert await client.close(PATIENCE)
    assert listener.lines == ["a:1|c"]


@pytest_twisted.ensureDeferred
async def test_nothing_listens(reactor: Any) -> None:
    """While the server is away nothing is raised, and `close` ends in time; the books say what became of it."""
    with reserved() as place:
        port = place.getsockname()[1]
        client = StatsClient("127.0.0.1", port, reactor=reactor, interval=0.01, backoff=(0.001, 0.01))
        client.incr("a")
        await until(reactor, lambda: client.stats().failures > 0, "an attempt has failed")
        assert not await client.close(0.1)
        assert client.stats().dropped["exit"] == 1


@pytest_twisted.ensureDeferred
async def test_much(reactor: Any, listen: Callable[..., Listener]) -> None:
    """More than a kernel takes at once arrives whole, over several connections."""
    listener = listen("stored")
    client = client_of(reactor, listener, level="stored", max_bytes=2**24, pool=2)
    for number in range(20_000):
        client.incr(f"{'n' * 50}{number}")
    assert await client.close(PATIENCE)
    assert client.stats().batches > 4
    assert len(listener.lines) == 20_000


@pytest_twisted.ensureDeferred
async def test_end_of_the_reactor(
    reactor: Any, listen: Callable[..., Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the reactor stops it sends what there is, and it waits for that."""
    listener = listen("stored")
    client = client_of(reactor, listener, level="stored")
    monkeypatch.setattr(client, "close", partial(client.close, PATIENCE))
    client.incr("a")
    await until(reactor, lambda: client._trigger is not None, "it knows the reactor")
    trigger = client._trigger
    assert await client._close_before_the_end()
    reactor.removeSystemEventTrigger(trigger)
    assert listener.total("a") == 1


@pytest_twisted.ensureDeferred
async def test_fork(reactor: Any, listen: Callable[..., Listener]) -> None:
    """A child has nothing of its parent's, and does not disturb the parent's connection."""
    listener = listen("stored")
    client = client_of(reactor, listener, level="stored")
    client.incr("a")
    assert await client.flush(PATIENCE)
    client.incr("a")
    pid = os.fork()
    if not pid:
        empty = client.stats().made == 0
        client.incr("child")
        client.finish(PATIENCE)
        os._exit(0 if empty and client.stats().confirmed == 1 else 1)
    assert status_of(pid) == 0
    assert await client.close(PATIENCE)
    assert client.stats().connections == 1
    assert [listener.total(name) for name in ("a", "child")] == [2, 1]
