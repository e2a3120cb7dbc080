"""A port of the service on loopback, served by the reactor under test, and connections to it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

from statsd_tcp.settings.endpoints import parse_http
from statsd_tcp.sockets.binding import bind_listener
from statsd_tcp.web.service import WebService
from tests.reactor.peer import LOOPBACK, Peer

__all__ = ["Port", "serving"]


class Port:
    """Connects to a port that is served; ``stack`` closes what was connected."""

    def __init__(self, reactor: Any, number: int, stack: ExitStack) -> None:
        self._reactor = reactor
        self._number = number
        self._stack = stack

    def connect(self) -> Peer:
        """Open a connection: the kernel does that alone."""
        connection = self._stack.enter_context(socket.create_connection((LOOPBACK, self._number)))
        return Peer(self._reactor, connection)


@asynccontextmanager
async def serving(reactor: Any, factory: Any) -> AsyncIterator[Port]:
    """Serve a factory's protocols as the service does."""
    listener = bind_listener(parse_http(f"tcp:0:interface={LOOPBACK}"), 1)
    service = WebService(reactor, listener, factory)
    service.startService()
    with ExitStack() as stack:
        yield Port(reactor, listener.port, stack)
    await service.stopService()
