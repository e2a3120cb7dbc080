"""Twisted as its tutorials use it: a factory, a protocol, ``listenTCP``."""

import json
import sys
from typing import cast

from twisted.internet import reactor as installed_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorCore, IReactorTCP
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

BACKLOG = 4096


class Totals:
    """What was received so far."""

    def __init__(self) -> None:
        self.connections = 0
        self.lines = 0
        self.resets = 0


totals = Totals()


class Counting(Protocol):
    """Counts a connection and closes it."""

    def connectionMade(self) -> None:
        """Count; say good-bye."""
        totals.connections += 1
        if self.transport is not None:
            self.transport.loseConnection()


class Lines(LineOnlyReceiver):
    """Counts a connection and its lines, until the client ends."""

    delimiter = b"\n"

    def connectionMade(self) -> None:
        """Count."""
        totals.connections += 1

    def lineReceived(self, line: bytes) -> None:
        """Count."""
        totals.lines += 1

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell a reset from an end."""
        if not isinstance(reason.value, ConnectionDone):
            totals.resets += 1


ROLES: dict[str, type[Protocol]] = {"count": Counting, "lines": Lines}


def main(port: int, role: str) -> None:
    """Serve until SIGTERM."""
    reactor = cast("IReactorTCP", installed_reactor)
    core = cast("IReactorCore", installed_reactor)
    factory = ServerFactory()
    factory.protocol = ROLES[role]
    factory.noisy = False
    listening = reactor.listenTCP(port, factory, backlog=BACKLOG, interface="127.0.0.1")
    print("ready", cast("IPv4Address", listening.getHost()).port, flush=True)
    core.run()
    print(json.dumps(vars(totals)))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
