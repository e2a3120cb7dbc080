"""A port for people and programs as a service: bound before, listening from the start, open until the end."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred

from statsd_tcp.sockets.listener import BoundListener

__all__ = ["WebService"]

BACKLOG = 128
"""Scrapers and people, not clients: few at a time."""


class WebService(Service):
    """Serves a site, or the console, on sockets that are bound already."""

    def __init__(self, reactor: Any, listener: BoundListener, factory: Any) -> None:
        self._reactor = reactor
        self._listener = listener
        self._factory = factory
        self._ports: list[Any] = []

    def startService(self) -> None:
        """Answer from now on."""
        super().startService()
        self._listener.listen(BACKLOG)
        for one in self._listener.sockets[0]:
            self._ports.append(self._reactor.adoptStreamPort(one.fileno(), one.family, self._factory))

    def stopService(self) -> Deferred[Any]:
        """Stop answering."""
        super().stopService()
        ports, self._ports = self._ports, []
        # The reactor has descriptors of its own. Ours are what a next image of this process would inherit.
        self._listener.close()
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])
