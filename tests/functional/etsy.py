"""The etsy server, from the npm package ``statsd``, and a sink for what it and others send to Graphite."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.functional.waiting import PATIENCE, until
from tests.npm import node_path
from tests.ports import free_port

__all__ = ["Etsy", "Sink"]


class Sink:
    """Takes connections as carbon does, and keeps the lines. `end` must be called."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.flushes: list[dict[str, float]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Take no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                rows = [line.split() for line in stream.read().decode().splitlines()]
            self.flushes.append({row[0]: float(row[1]) for row in rows})


class Etsy:
    """The etsy server with a configuration. `end` must be called."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        folder.mkdir()
        script = node_path("statsd/stats.js") / "statsd/stats.js"
        self.port = free_port()
        # To it, 0 is no port at all: it takes its usual one.
        self.mgmt_port = free_port()
        own = {"address": "127.0.0.1", "port": self.port, "mgmt_address": "127.0.0.1", "mgmt_port": self.mgmt_port}
        (folder / "config.js").write_text(json.dumps({**own, **config}))
        self._log = folder / "etsy.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["node", str(script), str(folder / "config.js")], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(lambda: "server is up" in self.log, "etsy's server is up")

    @property
    def log(self) -> str:
        """Return all that it has printed."""
        return self._log.read_text(errors="replace")

    def has_ended(self) -> bool:
        """Return whether it has ended by itself."""
        return self._process.poll() is not None

    def end(self) -> None:
        """Stop it, and show what it has printed, for a test that has failed."""
        self._process.kill()
        status = self._process.wait(PATIENCE)
        sys.stdout.write(f"--- etsy's server, {status}\n{self.log}")
