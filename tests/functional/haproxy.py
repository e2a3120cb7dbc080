"""A real HAProxy that checks what a test tells it to, each in its own way."""

from __future__ import annotations

import csv
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.functional.programs import Program
from tests.functional.waiting import PATIENCE, until

__all__ = ["HAPROXY", "HAProxy", "ask", "statistics"]

HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")

_DEFAULTS = "defaults\n  timeout connect 60s\n  timeout client 60s\n  timeout server 60s\n  timeout check 60s\n"
"""Without the last one a check must have its answer before the next one is due."""


class HAProxy:
    """A balancer without clients. ``checks`` has for each backend its server's port and its lines of configuration.

    The folder's path must be short enough for a socket.
    """

    def __init__(self, folder: Path, checks: Mapping[str, tuple[int, Sequence[str]]]) -> None:
        self._folder = folder
        self._names = sorted(checks)
        self._program = Program(folder / "log")
        backends = [
            "\n  ".join([f"backend {name}", *lines, f"server it 127.0.0.1:{port} check inter 100 fall 1 rise 1"])
            for name, (port, lines) in checks.items()
        ]
        stats = f"global\n  stats socket {folder / 'stats'}\n"
        (folder / "haproxy.cfg").write_text("\n".join([stats, _DEFAULTS, *backends, ""]))

    def __enter__(self) -> Self:
        """Start it."""
        assert HAPROXY
        self._program.start([HAPROXY, "-db", "-f", str(self._folder / "haproxy.cfg")])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self._program.end()

    def results(self) -> dict[str, str]:
        """Wait until each server was checked, and give the outcome of each, as HAProxy writes it: `L7OK` and others."""
        return until(self._results, "HAProxy has checked all servers")

    def _results(self) -> dict[str, str] | None:
        self._program.check()
        rows = [row for row in statistics(self._folder / "stats") if row["svname"] == "it"]
        # A check that is under way has the result of the one before, behind a star.
        found = {row["# pxname"]: row["check_status"].removeprefix("* ") for row in rows}
        return found if sorted(found) == self._names and not {"", "INI"} & set(found.values()) else None


def statistics(path: Path) -> list[dict[str, str]]:
    """Ask a HAProxy for its statistics at its socket, a row for each part; none while it does not answer."""
    try:
        return list(csv.DictReader(ask(path, "show stat")))
    except (FileNotFoundError, ConnectionRefusedError):
        return []


def ask(path: Path, command: str) -> list[str]:
    """Send a HAProxy a command at its socket, and return the lines of its answer; raises `OSError`."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(f"{command}\n".encode())
        with connection.makefile() as answer:
            return list(answer)
