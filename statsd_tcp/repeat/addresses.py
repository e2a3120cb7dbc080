"""Where a target is: its name looked up in a thread, and again from time to time."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure

from statsd_tcp.settings.repeat import Target
from statsd_tcp.words import in_words

__all__ = ["AGAIN", "Address", "Lookup"]

AGAIN = 60.0
"""Seconds after which a name is looked up again: a server may move."""

Address = tuple[int, Any]
"""An address family, and what ``connect`` takes in it."""


class Lookup:
    """Finds the address of a target. ``found`` gets it, each time that it is another one; ``failed`` gets a reason."""

    def __init__(
        self, reactor: Any, target: Target, found: Callable[[Address], None], failed: Callable[[str], None]
    ) -> None:
        self._reactor = reactor
        self._target = target
        self._found = found
        self._failed = failed
        self._literal = _is_literal(target.host)
        self._known: Address | None = None
        self._next = float("-inf")
        self._running = False

    def refresh(self) -> None:
        """Look up what may have changed. May be called at any time, while there is something to send."""
        if self._running or self._reactor.seconds() < self._next:
            return
        self._next = float("inf") if self._literal else self._reactor.seconds() + AGAIN
        if self._literal:
            # Needs no other server, and so no thread.
            self._note(_look_up(self._target))
            return
        self._running = True
        done = deferToThreadPool(self._reactor, self._reactor.getThreadPool(), _look_up, self._target)
        done.addCallbacks(self._note, self._fail)

    def _note(self, address: Address) -> None:
        self._running = False
        if address != self._known:
            self._known = address
            self._found(address)

    def _fail(self, failure: Failure) -> None:
        self._running = False
        self._failed(f"{self._target.host} is not found: {in_words(failure.value)}")


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(target: Target) -> Address:
    """Ask for the address; raises `OSError`."""
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
    return int(found[0][0]), found[0][4]
