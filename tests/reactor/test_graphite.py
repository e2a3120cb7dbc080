"""Flushes on their way to a carbon, whose side of the connection the test has in its hand."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.outputs.delivery import LONGEST_PAUSE, Delivery
from statsd_tcp.outputs.graphite import Graphite, NotTakenError
from statsd_tcp.settings.graphite import parse_graphite
from tests.reactor.peer import Listener, Peer
from tests.reactor.waiting import until
from tests.unit.outputs.test_delivery import Queue

FLUSH = FlushResult(start=1000, seconds=10, counters={"hits": 25.0})
LARGE = FlushResult(start=1000, seconds=10, counters={f"some.longer.name.of.a.counter.{n}": 1.0 for n in range(60_000)})
"""More than the kernel keeps for both sides of a connection, if it is not read."""


class Carbon:
    """A carbon, and the output that writes to it. All connections that are taken are closed at the end."""

    def __init__(self, reactor: Any, stack: ExitStack) -> None:
        self._stack = stack
        self._listener = Listener(reactor)
        stack.callback(self._listener.socket.close)
        self.open = self._listener.open
        self.graphite = Graphite(reactor, parse_graphite(f"tcp:127.0.0.1:{self._listener.port}"), lambda: 77.0)

    async def accept(self) -> Peer:
        """Take the next connection."""
        peer = await self._listener.accept()
        self._stack.callback(peer.socket.close)
        return peer

    def deliver(self, flush: FlushResult = FLUSH) -> Deferred[None]:
        """Have a flush delivered."""
        return Deferred.fromCoroutine(self.graphite.deliver(flush))


@pytest.fixture
def carbon(reactor: Any) -> Iterator[Carbon]:
    """Return a carbon that takes connections."""
    with ExitStack() as stack:
        made = Carbon(reactor, stack)
        made.open()
        yield made


@pytest_twisted.ensureDeferred
async def test_a_flush_that_is_read_is_written(carbon: Carbon) -> None:
    """A flush counts as written when the peer has read our end and ends its own side, and not before."""
    delivered = carbon.deliver()
    peer = await carbon.accept()
    text = await peer.take_all()
    assert b"stats.hits 2.5 1010\nstats_counts.hits 25 1010\n" in text
    assert not delivered.called
    peer.end()
    await delivered


@pytest_twisted.ensureDeferred
async def test_more_than_the_kernel_keeps(carbon: Carbon) -> None:
    """A flush of many megabytes is written as fast as it is read, and each point comes once."""
    delivered = carbon.deliver(LARGE)
    peer = await carbon.accept()
    text = await peer.take_all()
    peer.socket.close()
    await delivered
    counts = [line.split()[:2] for line in text.decode().splitlines() if line.startswith("stats_counts.some.")]
    assert counts == [[f"stats_counts.{name}", "1"] for name in LARGE.counters]


@pytest_twisted.ensureDeferred
async def test_refused(reactor: Any) -> None:
    """Where no process listens that is said, and the next flush tells when it was."""
    with ExitStack() as stack:
        carbon = Carbon(reactor, stack)
        with pytest.raises(Refused):
            await carbon.deliver()
        carbon.open()
        delivered = carbon.deliver()
        peer = await carbon.accept()
        assert b"stats.statsd.graphiteStats.last_exception 77 1010\n" in await peer.take_all()
        peer.socket.close()
        await delivered


@pytest_twisted.ensureDeferred
async def test_a_peer_that_ends_in_the_middle(carbon: Carbon) -> None:
    """A peer that ends in good order while more is on its way to it has not read all, and gets no more."""
    delivered = carbon.deliver(LARGE)
    peer = await carbon.accept()
    await peer.take(b"\n")
    peer.end()
    with pytest.raises(NotTakenError):
        await delivered
    assert await peer.broken()


@pytest_twisted.ensureDeferred
async def test_a_peer_that_closes_unread(carbon: Carbon) -> None:
    """A peer that closes although something was not read has not taken the flush: its kernel resets."""
    delivered = carbon.deliver(LARGE)
    peer = await carbon.accept()
    peer.socket.close()
    with pytest.raises(NotTakenError, match="the connection broke"):
        await delivered


@pytest_twisted.ensureDeferred
async def test_a_peer_that_breaks_after_all(carbon: Carbon) -> None:
    """A peer that has read to our end and then breaks, instead of ending, may have lost what it read."""
    delivered = carbon.deliver()
    peer = await carbon.accept()
    await peer.take_all()
    peer.reset()
    with pytest.raises(NotTakenError, match="the connection broke"):
        await delivered


@pytest_twisted.ensureDeferred
async def test_a_peer_that_never_closes(reactor: Any, carbon: Carbon, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flush that a peer takes and does not close after is sent once more, and the ones behind it go on their way."""
    waits = Clock()
    monkeypatch.setattr(carbon.graphite, "_reactor", waits)

    def has_ended() -> bool:
        # In small steps: the kernel has a moment to acknowledge what was taken.
        waits.advance(0.1)
        return bool(delivered.called)

    delivered = carbon.deliver()
    peer = await carbon.accept()
    assert b"stats_counts.hits 25 1010\n" in await peer.take_all()
    await until(reactor, has_ended, "the delivery ends")
    with pytest.raises(NotTakenError, match="does not close its side"):
        await delivered
    for flush in (FLUSH, FlushResult(start=1010, seconds=10)):
        delivered = carbon.deliver(flush)
        peer = await carbon.accept()
        await peer.take_all()
        await until(reactor, has_ended, "the delivery ends")
        await delivered


@pytest_twisted.ensureDeferred
async def test_cancelled(carbon: Carbon) -> None:
    """A delivery that is cancelled breaks its connection, so that the peer cannot take it for whole."""
    delivered = carbon.deliver(LARGE)
    peer = await carbon.accept()
    await peer.take(b"\n")
    delivered.cancel()
    assert await peer.broken()
    with pytest.raises(CancelledError):
        await delivered


@pytest_twisted.ensureDeferred
async def test_resumed(reactor: Any) -> None:
    """What was refused or broken off is sent again after a pause, whole and in order, each over its own connection."""
    queue = Queue(3)
    with ExitStack() as stack:
        carbon, pauses = Carbon(reactor, stack), Clock()
        delivery = Delivery(pauses, "out", carbon.graphite, queue)
        delivery.startService()
        delivery.committed(queue.picture())
        await until(reactor, lambda: delivery.facts().failed == 1, "the refusal is noted")
        carbon.open()
        pauses.advance(LONGEST_PAUSE)
        seen = []
        for breaks in (False, True, False, False):
            peer = await carbon.accept()
            lines = (await peer.take_all()).splitlines()
            seen.append(int(lines[0].split()[-1]))
            if breaks:
                peer.reset()
                await until(reactor, lambda: delivery.facts().failed == 2, "the break is noted")
                pauses.advance(LONGEST_PAUSE)
            peer.socket.close()
        await until(reactor, lambda: delivery.facts().sent == 3, "all are written")
        assert seen == [20, 30, 30, 40]
        assert queue.acknowledged == [("out", 1), ("out", 2), ("out", 3)]
        await delivery.stopService()
