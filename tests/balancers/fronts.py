"""The balancers, each with its file of docs/examples/balancers, in a network and a file system of their own."""

from __future__ import annotations

import re
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from tests.balancers.nodes import EXAMPLES, TRUSTED, Node
from tests.balancers.routing import Route, Translation
from tests.functional.haproxy import HAPROXY, ask, statistics
from tests.functional.programs import Program
from tests.functional.waiting import until

__all__ = ["FRONTS", "NGINX", "Front", "HAProxy", "Nginx"]

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

_SOCKET = Path("/run/haproxy/admin.sock")
_LOG = Path("/var/log/nginx/error.log")


class Front(Protocol):
    """What clients connect to."""

    text: str
    """Its configuration."""

    keys: str
    """The keys that the nodes' listeners need for it."""

    def start(self, nodes: Sequence[Node]) -> None:
        """Start it, and wait until it sends clients to all nodes."""

    def take_out(self, node: Node) -> None:
        """Have it send no new clients to a node, and wait until that is so."""

    def bring_back(self, node: Node) -> None:
        """Have it send clients to the node again, and wait until it does."""

    def end(self) -> None:
        """End it."""


class HAProxy:
    """With checks of its own: a node leaves by answering 503 to them."""

    keys = f":proxy=v2:trust={TRUSTED}"

    def __init__(self, folder: Path, text: str = "") -> None:
        self.text = text or (EXAMPLES / "haproxy.cfg").read_text()
        self._file = folder / "haproxy.cfg"
        self._program = Program(folder / "haproxy.log")

    def start(self, nodes: Sequence[Node]) -> None:
        """Start it, and wait until all nodes are up by a check."""
        assert HAPROXY
        _SOCKET.parent.mkdir(exist_ok=True)
        _SOCKET.unlink(missing_ok=True)
        self._file.write_text(self.text)
        self._program.start([HAPROXY, "-db", "-f", str(self._file)])
        for node in nodes:
            self._await(node, "UP", "OK")

    def take_out(self, node: Node) -> None:
        """Have the node say that it is not ready, and wait until HAProxy has noticed."""
        node.tell("health down")
        self._await(node, "DOWN", "L7STS")

    def bring_back(self, node: Node) -> None:
        """Have it say that it is ready again."""
        node.tell("health up")
        self._await(node, "UP", "L7OK")

    def end_checks(self) -> None:
        """Have it begin no more checks, and wait until those that are under way have come to their end."""
        for row in self._rows():
            if row["svname"] not in {"FRONTEND", "BACKEND"}:
                ask(_SOCKET, f"disable health {row['# pxname']}/{row['svname']}")
        until(lambda: not any(row["check_status"].startswith("*") for row in self._rows()), "no check is under way")

    def end(self) -> None:
        """End it."""
        self._program.end()

    def _await(self, node: Node, status: str, check: str) -> None:
        def all_so() -> bool:
            rows = [row for row in self._rows() if row["svname"] == node.name]
            return bool(rows) and all(row["status"] == status and row["check_status"].endswith(check) for row in rows)

        until(all_so, f"node {node.name} is {status}")

    def _rows(self) -> list[dict[str, str]]:
        self._program.check()
        return statistics(_SOCKET)


class Plain(HAProxy):
    """HAProxy that says nothing about its clients."""

    keys = ""

    def __init__(self, folder: Path, text: str = "") -> None:
        super().__init__(folder, text)
        self.text = self.text.replace(" send-proxy-v2", "")


class Nginx:
    """Without checks: a node leaves by the word `down` in the configuration, and a reload."""

    keys = f":proxy=v1:trust={TRUSTED}"

    def __init__(self, folder: Path, text: str = "") -> None:
        self.text = text or (EXAMPLES / "nginx.conf").read_text()
        self._file = folder / "nginx.conf"
        self._program = Program(folder / "nginx.log")

    def start(self, nodes: Sequence[Node]) -> None:
        """Start it, and wait until it has workers."""
        assert NGINX
        _LOG.unlink(missing_ok=True)
        self._file.write_text(self.text)
        self._program.start([NGINX, "-c", str(self._file), "-g", "daemon off;"])
        self._await("start worker process ", 1)

    def take_out(self, node: Node) -> None:
        """Mark the node as down, on each port."""
        self._reload(re.sub(rf"(server {node.host}:\d+);", r"\1 down;", self.text))

    def bring_back(self, node: Node) -> None:
        """Take the mark away."""
        self._reload(self.text)

    def end(self) -> None:
        """End it."""
        # It writes its title over its environment, so that the mark of its children is gone.
        self._program.terminate()
        self._program.end()

    def _reload(self, text: str) -> None:
        leaving = "gracefully shutting down"
        before = _LOG.read_text().count(leaving)
        self._file.write_text(text)
        self._program.signal(signal.SIGHUP)
        self._await(leaving, before + 1)

    def _await(self, word: str, number: int) -> None:
        def said() -> bool:
            self._program.check()
            return _LOG.exists() and _LOG.read_text().count(word) >= number

        until(said, f"nginx says: {word}")


FRONTS: dict[str, Callable[[Path], Front]] = {
    "haproxy": HAProxy, "plain": Plain, "nginx": Nginx, "ecmp": Route, "service": Translation
}  # fmt: skip
