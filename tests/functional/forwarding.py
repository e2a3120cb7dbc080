"""A real HAProxy in front of a service's listeners, which speaks the PROXY protocol to them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.functional.haproxy import HAPROXY
from tests.functional.programs import Program
from tests.functional.waiting import until
from tests.ports import free_port

__all__ = ["Forwarding"]

_HEAD = "defaults\n  mode tcp\n  timeout connect 60s\n  timeout client 60s\n  timeout server 60s\n  timeout check 60s\n"
"""Without the last one a check that has not come far before the next one is due is broken off."""


class Forwarding:
    """A balancer with a port for each server; ``servers`` has for each name the server's port and its settings."""

    def __init__(self, folder: Path, servers: Mapping[str, tuple[int, str]]) -> None:
        self._folder = folder
        self._program = Program(folder / "haproxy.log")
        self.ports = {name: free_port() for name in servers}
        sections = [
            f"listen {name}\n  bind 127.0.0.1:{self.ports[name]}\n  server it 127.0.0.1:{port} {settings}\n"
            for name, (port, settings) in servers.items()
        ]
        (folder / "haproxy.cfg").write_text(_HEAD + "".join(sections))

    def __enter__(self) -> Self:
        """Start it, and wait until it listens."""
        assert HAPROXY
        self._program.start([HAPROXY, "-db", "-f", str(self._folder / "haproxy.cfg")])
        until(self._listens, "HAProxy listens")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._program.end()

    def _listens(self) -> bool:
        self._program.check()
        return all(_is_bound(port) for port in self.ports.values())


def _is_bound(port: int) -> bool:
    """Return whether a process listens there; a connection would come to the server behind it."""
    wanted = f"0100007F:{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(local == wanted and state == "0A" for _, local, _, state, *_ in rows)
