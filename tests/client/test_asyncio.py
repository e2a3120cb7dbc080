"""The client for asyncio against a listener in this process."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from statsd_tcp_client.asyncio.client import StatsClient
from tests.client.portable.listener import PATIENCE, Listener, reserved, status_of, until

LEVELS = ("sent", "read", "stored")


@pytest.fixture
def listen() -> Iterator[Callable[..., Listener]]:
    """Return a function that makes listeners, which are closed after the test."""
    made: list[Listener] = []

    def make(*args: object, **keywords: object) -> Listener:
        made.append(Listener(*args, **keywords))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for listener in made:
        listener.close()


def client_of(listener: Listener, **more: Any) -> StatsClient:
    """Return a client that sends only when it is told to."""
    settings: dict[str, Any] = {
        "interval": 60,
        "own_lines": False,
        "connect_timeout": PATIENCE,
        "backoff": (0.001, 0.01),
        **more,
    }
    return StatsClient("127.0.0.1", listener.port, **settings)


async def condition(holds: Callable[[], bool]) -> None:
    """Let the loop run until something is so."""
    while not holds():  # noqa: ASYNC110  # nothing tells it
        await asyncio.sleep(0.005)


def run(act: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine in a loop of its own."""

    async def whole() -> None:
        await asyncio.wait_for(act(), PATIENCE)

    asyncio.run(whole())


@pytest.mark.parametrize("level", LEVELS)
def test_levels(listen: Callable[..., Listener], level: str) -> None:
    """At each level everything arrives once, and is confirmed."""
    listener = listen(level)

    async def act() -> None:
        async with client_of(listener, level=level) as client:
            for _ in range(3):
                client.incr("a", 2)
                assert await client.flush(PATIENCE)
        stats = client.stats()
        assert (stats.made, stats.sent, stats.confirmed, stats.batches) == (3, 3, 3, 3)
        assert (stats.connections, stats.failures) == (3 if level == "read" else 1, 0)

    run(act)
    until(lambda: listener.total("a") == 6, "all is read")


def test_by_itself(listen: Callable[..., Listener]) -> None:
    """Without `flush` everything is sent after the interval, also what another thread counts."""
    listener = listen()

    async def act() -> None:
        client = client_of(listener, interval=0.02)
        client.incr("a")
        await condition(lambda: client.stats().confirmed == 1)
        thread = threading.Thread(target=client.incr, args=("a",))
        thread.start()
        await condition(lambda: client.stats().confirmed == 2)
        thread.join()
        assert await client.close(PATIENCE)

    run(act)
    until(lambda: listener.total("a") == 2, "all is read")


@pytest.mark.parametrize("level", ["sent", "stored"])
def test_break(listen: Callable[..., Listener], level: str) -> None:
    """After a break the next batch goes over a new connection."""
    listener = listen(level)

    async def act() -> None:
        client = client_of(listener, level=level)
        client.incr("a")
        assert await client.flush(PATIENCE)
        listener.break_off(1)
        # At `sent`, what is written before the loop has heard of the end is lost.
        await condition(lambda: client._engine.lanes[0].state == "idle")
        client.incr("a")
        assert await client.flush(PATIENCE)
        assert client.stats().connections == 2
        await client.close()

    run(act)
    until(lambda: listener.total("a") == 2, "both are there")


def test_no_answer(listen: Callable[..., Listener]) -> None:
    """Without an answer `flush` says so in time; after a break the batch is sent again, once."""
    listener = listen("stored", answers=False)

    async def act() -> None:
        client = client_of(listener, level="stored")
        client.incr("a")
        assert not await client.flush(0.05)
        # While `break_off` waits, this loop does not run.
        await condition(lambda: listener.connections != [])
        listener.answers = True
        listener.break_off(1)
        assert await client.flush(PATIENCE)
        await client.close()

    run(act)
    assert listener.lines == ["a:1|c"]


def test_nothing_listens() -> None:
    """While the server is away nothing is raised, and `close` ends in time; the books say what became of it."""
    with reserved() as place:

        async def act() -> None:
            client = StatsClient("127.0.0.1", place.getsockname()[1], interval=0.01, backoff=(0.001, 0.01))
            client.incr("a")
            await condition(lambda: client.stats().failures > 0)
            assert not await client.close(0.1)
            assert client.stats().dropped["exit"] == 1

        run(act)


def test_much(listen: Callable[..., Listener]) -> None:
    """More than a kernel takes at once arrives whole, over several connections."""
    listener = listen("stored")

    async def act() -> None:
        client = client_of(listener, level="stored", max_bytes=2**24, pool=2)
        for number in range(20_000):
            client.incr(f"{'n' * 50}{number}")
        assert await client.flush(PATIENCE)
        assert client.stats().batches > 4
        await client.close()

    run(act)
    assert len(listener.lines) == 20_000


def test_without_close(listen: Callable[..., Listener]) -> None:
    """What is left when the loop has ended is sent at the end of the process, and by a next loop before."""
    listener = listen()
    client = client_of(listener)

    async def act() -> None:
        client.incr("a")

    run(act)
    client.finish(PATIENCE)
    assert client.stats().confirmed == 1
    client.incr("a")

    async def again() -> None:
        client.incr("a")
        assert await client.close(PATIENCE)

    run(again)
    until(lambda: listener.total("a") == 3, "all is read")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("level", ["sent", "stored"])
def test_another_loop(listen: Callable[..., Listener], level: str) -> None:
    """A client whose loop has ended with a connection, or during an attempt, goes on in the next one."""
    listener = listen(level)
    client = client_of(listener, level=level)

    async def connected() -> None:
        client.incr("a")
        assert await client.flush(PATIENCE)

    async def connecting() -> None:
        client.incr("a")
        flush = asyncio.ensure_future(client.flush(PATIENCE))
        while client._engine.lanes[0].state != "dialling":  # noqa: ASYNC110  # nothing tells it
            await asyncio.sleep(0)
        assert not flush.done()

    run(connected)
    run(connecting)
    run(connected)
    until(lambda: listener.total("a") == 3, "all is read")
    client.finish(PATIENCE)
    # Here, and not in a later test, what was not closed is reported.
    gc.collect()


def test_no_name() -> None:
    """A host that can be no name is a failed attempt."""

    async def act() -> None:
        client = StatsClient("a" * 70, 8125, interval=0.01, backoff=(0.001, 0.01))
        client.incr("a")
        await condition(lambda: client.stats().failures > 0)
        assert not await client.close(0.1)
        assert "label too long" in client.stats().last_error

    run(act)


def test_fork(listen: Callable[..., Listener]) -> None:
    """A child has nothing of its parent's, and does not disturb the parent's connection."""
    listener = listen("stored")

    async def act() -> None:
        client = client_of(listener, level="stored")
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

    run(act)
    assert [listener.total(name) for name in ("a", "child")] == [2, 1]
