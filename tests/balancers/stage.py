"""Two nodes, a balancer in front of them, and clients that expect a confirmation."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.balancers.fronts import FRONTS, Front, HAProxy, Nginx
from tests.balancers.nodes import DEVICE, LINES, VIRTUAL, Node
from tests.fleet.network import OUTSIDE, Network
from tests.functional.clients import Burst, Outcome, connect

__all__ = ["CLIENT", "CONFIRMATION", "GREEDY", "LINE", "Stage", "read_confirmation"]

CLIENT = "10.77.0.101"
"""Where the clients come from that keep their connections."""

GREEDY = "10.77.0.102"
"""Where the client comes from that takes all places."""

LINE = b"hits:1|c\n"
CONFIRMATION = b"ok\n"

JUST_BEGUN = 0.5
"""Seconds that a node which stops waits for the line of a connection that has just begun."""


class Stage:
    """The nodes, the balancer in front of them, and the clients."""

    def __init__(self, folder: Path, balancer: str, more: Sequence[str]) -> None:
        self.folder = folder
        self._network = Network(["a", "b"])
        for address in (CLIENT, GREEDY):
            subprocess.run(["ip", "address", "add", f"{address}/24", "dev", DEVICE], check=True)
        self.front: Front = FRONTS[balancer](folder)
        self.nodes = [Node(folder / name, self._network, name, VIRTUAL, self.front.keys, more) for name in ("a", "b")]
        self.host = OUTSIDE if isinstance(self.front, HAProxy | Nginx) else VIRTUAL
        self.clients: list[Burst] = []
        self.late: list[float] = []
        """For each client that was cut off after longer than that, how long it was there: a busy machine may have let
        it, or the balancer, stand still before its line was sent."""

    def start(self) -> None:
        """Start the nodes, then the balancer."""
        for node in self.nodes:
            node.launch()
        for node in self.nodes:
            node.await_ready()
        self.front.start(self.nodes)

    def lines(self, number: int) -> Burst:
        """Start clients that send a line each, half-close, and expect the confirmation."""
        burst = Burst(self._visit, number).start()
        self.clients.append(burst)
        return burst

    def outcomes(self) -> Outcome:
        """Wait for all clients that send lines, and return how they fared."""
        return Outcome(*map(sum, zip(*(burst.join() for burst in self.clients), strict=True)))

    def counted(self, listener: str) -> list[float]:
        """Return the connections that each node has counted."""
        return [node.accepted(listener) for node in self.nodes]

    def settled(self) -> dict[str, Any]:
        """Return what the nodes have counted together, when all is over."""
        scrapes = [node.settled() for node in self.nodes]
        return {
            "connections": sum(each.accepted("lines") for each in scrapes),
            "lines": sum(each.total("hits") for each in scrapes),
            "reasons": sorted({reason for each in scrapes for reason in each.closed("lines")}),
            "bare": sum(each.accepted("bare") for each in scrapes),
        }

    def _visit(self) -> None:
        began = time.monotonic()
        try:
            _confirmed(self.host)
        except (ConnectionRefusedError, TimeoutError):
            raise
        except OSError:
            if time.monotonic() - began > JUST_BEGUN:
                self.late.append(time.monotonic() - began)
            raise

    def end(self) -> None:
        """End everything."""
        self.front.end()
        for node in self.nodes:
            node.end()
        self._network.end()


def _confirmed(host: str) -> None:
    """Send a line, and wait for its confirmation and the end; raises `OSError` without it."""
    with connect(LINES, host) as connection:
        connection.sendall(LINE)
        connection.shutdown(socket.SHUT_WR)
        read_confirmation(connection)


def read_confirmation(connection: socket.socket) -> None:
    """Wait for the confirmation and the end; raises `OSError` without it."""
    with connection, connection.makefile("rb") as stream:
        if stream.read() != CONFIRMATION:
            raise ConnectionAbortedError("there was no confirmation")
