"""Ports for servers that have to be told theirs: no other is given the same."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

__all__ = ["free_port"]

_PORTS = range(10_000, 32_000)
"""Below those that the kernel gives to clients, and for port 0: it would give away one that is free for
a moment."""


def free_port() -> int:
    """Choose a port that is free for TCP and UDP, and that no test is given again while this process lives."""
    return next(port for port in random.sample(_PORTS, len(_PORTS)) if _claimed(port) and _is_free(port))


def _claimed(port: int) -> bool:
    """Claim a port against all tests of this network, by a name that goes with this process."""
    with ExitStack() as stack:
        claim = stack.enter_context(socket.socket(socket.AF_UNIX))
        try:
            claim.bind(f"\0statscounter-test-port-{port}")
        except OSError:
            return False
        claim.detach()
        return True


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
