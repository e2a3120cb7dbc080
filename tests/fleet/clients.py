"""The clients: short visits at a steady rate, from a thread of their own, each with a record of how it ended."""

from __future__ import annotations

import asyncio
import threading
import time

from tests.fleet.records import Visit

__all__ = ["LINE", "Clients"]

LINE = b"fleet.hits:1|c\n"

_OK = b"ok\n"

_PATIENCE = 90.0
"""Seconds that a client waits for its end: longer than a disk is full, or a balancer is away."""

_ROOM = 2000
"""Visits at a time. Those that find more are not begun."""


class Clients:
    """They come to ``address`` ``rate`` times a second from `start` to `stop`."""

    def __init__(self, address: tuple[str, int], rate: float) -> None:
        self._address = address
        self._between = 1 / rate
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._come()), daemon=True)
        self.visits: list[Visit] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Let all visits come to their end."""
        self._stopped.set()
        self._thread.join()

    async def _come(self) -> None:
        under_way: set[asyncio.Task[None]] = set()
        due = time.monotonic()
        while not self._stopped.is_set():
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            # What could not be begun in time is not made up for: a busy machine gets no burst.
            due = max(due + self._between, time.monotonic() - self._between)
            if len(under_way) < _ROOM:
                task = asyncio.create_task(self._visit())
                under_way.add(task)
                task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _visit(self) -> None:
        began, said, error = time.monotonic(), b"", ""
        try:
            async with asyncio.timeout(_PATIENCE):
                said = await self._talk()
        except OSError as failure:
            error = type(failure).__name__
        self.visits.append(Visit(began, time.monotonic(), said == _OK, error))

    async def _talk(self) -> bytes:
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(LINE)
            writer.write_eof()
            return await reader.read(-1)
        finally:
            writer.close()
