"""What a test leaves in the reactor is found, and taken away."""

from __future__ import annotations

import socket
from typing import Any

import pytest_twisted
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from tests.reactor.leftovers import Leftovers
from tests.reactor.waiting import until


@pytest_twisted.ensureDeferred
async def test_nothing(reactor: Any) -> None:
    """A reactor that has served a port and a timer to their ends has nothing left."""
    watch = Leftovers(reactor)
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    await deferLater(reactor, 0)
    await port.stopListening()
    assert await watch.found() == []
    watch.stop()


@pytest_twisted.ensureDeferred
async def test_a_port(reactor: Any) -> None:
    """A port that still listens is named, and closed to the reactor afterwards."""
    watch = Leftovers(reactor)
    port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
    (found,) = await watch.found()
    assert str(port.getHost().port) in found
    watch.stop()
    assert port not in reactor.getReaders()
    port.connectionLost(None)


@pytest_twisted.ensureDeferred
async def test_a_timer(reactor: Any) -> None:
    """A call that is still to come is named, and never comes."""
    watch = Leftovers(reactor)
    call = reactor.callLater(1000, print)
    (found,) = await watch.found()
    assert "print" in found
    watch.stop()
    assert not call.active()


@pytest_twisted.ensureDeferred
async def test_the_timer_of_the_plugin(reactor: Any) -> None:
    """The call by which the plugin waits for the end of a fixture is no fault, and comes: else that had no end."""
    came: list[bool] = []

    def come() -> None:
        came.append(True)

    come.__module__ = pytest_twisted.__name__
    watch = Leftovers(reactor)
    reactor.callLater(0.01, come)
    assert await watch.found() == []
    watch.stop()
    await until(reactor, lambda: came, "it has come")


@pytest_twisted.ensureDeferred
async def test_a_failure_that_was_only_logged(reactor: Any, leftovers: Leftovers) -> None:
    """A protocol that breaks costs its connection alone, but the test is told of it."""

    class Broken(Protocol):
        def dataReceived(self, data: bytes) -> None:
            raise ArithmeticError(data)

    port = reactor.listenTCP(0, Factory.forProtocol(Broken), interface="127.0.0.1")
    with socket.create_connection(("127.0.0.1", port.getHost().port)) as client:
        client.send(b"one")
        await until(reactor, lambda: leftovers.failures, "the failure was logged")
    await port.stopListening()
    (found,) = await leftovers.found()
    assert "ArithmeticError: b'one'" in found
    leftovers.failures.clear()
