"""HAProxy in front of the nodes: for lines by TCP, with health checks of the pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.functional.haproxy import HAPROXY, statistics
from tests.functional.programs import Program
from tests.functional.waiting import until

__all__ = ["HTTP_PORT", "LINES_PORT", "Balancer"]

LINES_PORT = 8125
HTTP_PORT = 9102

_CONFIGURATION = """global
  stats socket {stats}
defaults
  mode tcp
  timeout connect 2s
  # Else it is the time between two checks, and a busy machine has no node left.
  timeout check 10s
  timeout client 60s
  timeout server 60s
  timeout client-fin 60s
  timeout server-fin 60s
  retries 5
  option redispatch 1
frontend lines
  bind {address}:{port}
  default_backend nodes
backend nodes
  balance leastconn
  option httpchk GET /readyz
  default-server check port {http} inter 200ms fall 2 rise 1
"""


class Balancer:
    """It distributes connections to ``address`` over the ``nodes``, which have their addresses by name."""

    def __init__(self, folder: Path, address: str, nodes: Mapping[str, str]) -> None:
        folder.mkdir()
        self._folder = folder
        self._program = Program(folder / "log")
        stats = folder / "stats"
        text = _CONFIGURATION.format(stats=stats, address=address, port=LINES_PORT, http=HTTP_PORT)
        servers = [f"  server {name} {place}:{LINES_PORT}\n" for name, place in nodes.items()]
        (folder / "haproxy.cfg").write_text(text + "".join(servers))

    def start(self) -> None:
        """Start it, and wait until it sends clients to some node."""
        assert HAPROXY
        self._program.start([HAPROXY, "-db", "-f", str(self._folder / "haproxy.cfg")])
        until(lambda: self._servers("UP"), "a node is up")

    def kill(self) -> None:
        """Kill it and all its children."""
        self._program.end()

    def sessions(self) -> int:
        """Return how many connections it has given to nodes since its start."""
        return sum(int(row["stot"]) for row in self._rows())

    def await_up(self, name: str) -> None:
        """Wait until it sends clients to a node."""
        until(lambda: name in self._servers("UP"), f"node {name} is up")

    def await_down(self, name: str) -> None:
        """Wait until it sends a node no more clients."""
        until(lambda: name not in self._servers("UP"), f"node {name} is down")

    def _servers(self, status: str) -> list[str]:
        return [row["svname"] for row in self._rows() if row["status"].startswith(status)]

    def _rows(self) -> list[dict[str, str]]:
        rows = statistics(self._folder / "stats")
        return [row for row in rows if row["# pxname"] == "nodes" and row["svname"] != "BACKEND"]
