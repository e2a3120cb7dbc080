"""What is between clients and the service: a HAProxy, and a relay that swallows answers."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from pathlib import Path

from tests.functional.haproxy import HAPROXY
from tests.functional.programs import Program
from tests.ports import free_port

__all__ = ["Balancer", "Swallower"]

SWALLOWED = 0.2
"""How often the connection ends in the place of an answer."""

_SIZE = 1 << 16

_CONFIGURATION = """\
defaults
  mode tcp
  timeout connect 2s
  timeout client 60s
  timeout server 60s
"""


class Balancer:
    """A HAProxy before some ports of the service. ``ports`` are its own, by those."""

    def __init__(self, folder: Path, behind: list[int]) -> None:
        self.ports = {port: free_port() for port in behind}
        self._program = Program(folder / "haproxy.log")
        self._file = folder / "haproxy.cfg"
        relays = [
            f"listen {own}\n  bind 127.0.0.1:{own}\n  server it 127.0.0.1:{port}" for port, own in self.ports.items()
        ]
        self._file.write_text("\n".join([_CONFIGURATION, *relays, ""]))

    def start(self) -> None:
        """Start it."""
        assert HAPROXY
        self._program.start([HAPROXY, "-db", "-f", str(self._file)])

    def end(self) -> None:
        """End it."""
        self._program.end()


class Swallower:
    """Relays connections to a port, and every now and then ends one in the place of what the server says."""

    def __init__(self, port: int, seed: int) -> None:
        self._behind = port
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.swallowed = 0

    def start(self) -> None:
        """Relay from now on."""
        threading.Thread(target=self._accept, daemon=True).start()

    def end(self) -> None:
        """Accept nothing more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(("127.0.0.1", self._behind)) as server:
            threading.Thread(target=self._bring, args=(client, server), daemon=True).start()
            while data := server.recv(_SIZE):
                if data.startswith(b"!stored") and self._chance.random() < SWALLOWED:
                    self.swallowed += data.count(b"\n")
                    break
                client.sendall(data)
            for one in (client, server):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _bring(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_SIZE):
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
