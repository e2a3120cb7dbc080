"""One connection of asyncio: a protocol, and the task that makes it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from statsd_tcp_client.lane import Lane
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.threads.connection import addresses, disown, tune
from statsd_tcp_client.turning import Turning

__all__ = ["Connection"]


class Connection(asyncio.Protocol):
    """Tells a `Turning` how it goes."""

    def __init__(self, lane: Lane, turning: Turning, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self._lane = lane
        self._turning: Turning | None = turning
        self._transport: Any = None
        self._given = 0
        self._task = loop.create_task(self._make(settings, loop))

    # What `Turning` calls.

    def write(self, data: bytes) -> None:
        """Send."""
        self._given += len(data)
        self._transport.write(data)
        waiting = self._transport.get_write_buffer_size()
        # How much is taken from now on is not told. So part of it may be, and what is lost then is in doubt.
        self._taken(max(1, self._given - waiting) if waiting else self._given)

    def half_close(self) -> None:
        """End this side."""
        self._transport.write_eof()

    def close(self) -> None:
        """Close it, or give the attempt up."""
        self._turning = None
        self._task.cancel()
        if self._transport is not None:
            # Otherwise it would wait until the server takes the rest.
            end = self._transport.abort if self._transport.get_write_buffer_size() else self._transport.close
            end()

    def disown(self) -> None:
        """Let the socket be the parent's alone."""
        self._turning = None
        if self._transport is not None:
            disown(self._transport.get_extra_info("socket"))

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        if self._turning is None:
            self._transport.abort()
            return
        # `resume_writing` is called when the kernel has taken everything.
        self._transport.set_write_buffer_limits(high=0)
        self._turning.connected(self._lane)

    def data_received(self, data: bytes) -> None:
        """Read."""
        if self._turning is not None:
            self._turning.received(self._lane, data)

    def resume_writing(self) -> None:
        """All is taken."""
        self._taken(self._given)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the end."""
        self._ended(_text(exc) if exc else "")

    def _taken(self, number: int) -> None:
        self._given -= number
        if number and self._turning is not None:
            self._turning.taken(self._lane, number)

    def _ended(self, error: str) -> None:
        turning, self._turning = self._turning, None
        if turning is not None:
            turning.ended(self._lane, error)

    async def _make(self, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        try:
            found = await loop.run_in_executor(None, addresses, settings)
            if self._turning is not None:
                self._turning.resolved(self._lane)
            family, place = found[self._lane.attempt % len(found)]
            connecting = socket.socket(family, socket.SOCK_STREAM)
            try:
                connecting.setblocking(False)
                tune(connecting)
                await loop.sock_connect(connecting, place)
                await loop.create_connection(lambda: self, sock=connecting)
            except BaseException:
                connecting.close()
                raise
        except (OSError, UnicodeError) as error:
            self._ended(_text(error))


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
