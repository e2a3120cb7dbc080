"""A carbon that has its bad hours, and remembers what it acknowledged.

The sender's wall clock is set meanwhile, by one of `OFFSETS`, and so a time may come again that an earlier flush had. A
flush that comes twice comes in the same hour. So values are told apart by their time and by how far the sender's clock
was off.
"""

from __future__ import annotations

import socket
import struct
import threading
import time

__all__ = ["COUNTS", "OFFSETS", "Backend"]

TEN_YEARS = 3652 * 86400

OFFSETS = (0, -3600, TEN_YEARS)
"""Seconds. From one to the next it is much more than a flush waits, and more than flushes wait for the clock."""

COUNTS = "stats_counts."
"""What the names of counters' values begin with."""

_RESET = struct.pack("ii", 1, 0)


class Backend:
    """Takes Graphite's text protocol. A flush is kept when its connection ended well; while down it resets each."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.accepted = 0
        self.down = False
        self.newest = 0
        """The latest time by the right clock of a flush that was kept. All that ended before it have been."""
        self.replaced = 0
        """How many values came again as others. A flush that comes twice brings the same; what one replaces is lost."""
        self._points: dict[tuple[str, int, int], float] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    def total(self, path: str) -> float:
        """Add up all values of a metric: there is one for each time, whatever came twice."""
        return sum(value for (name, _, _), value in list(self._points.items()) if name == path)

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.accepted += 1
            with connection:
                try:
                    self._take(connection)
                except OSError:
                    pass

    def _take(self, connection: socket.socket) -> None:
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
        if self.down:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        # Like carbon: what has no newline is not a line. A sender that dies in the middle of one ends well, too.
        for line in data.decode().split("\n")[:-1]:
            name, value, when = line.split()
            moment = int(when)
            offset = min(OFFSETS, key=lambda each: abs(moment - each - time.time()))
            before = self._points.setdefault((name, moment, offset), float(value))
            if name.startswith(COUNTS) and before != float(value):
                self.replaced += 1
                self._points[name, moment, offset] = float(value)
            if not offset:
                self.newest = max(self.newest, moment)
