"""`StatsClient` for asyncio: `incr` and its like as everywhere, `flush` and `close` to be awaited.

    async with StatsClient("127.0.0.1", 8125) as client:
        client.incr("pages")

It belongs to the loop that runs when something is counted for the first time. Other threads may count, too.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable

from statsd_tcp_client.asyncio.connection import Connection
from statsd_tcp_client.lane import Lane
from statsd_tcp_client.meter import Meter
from statsd_tcp_client.processes import EXIT_SECONDS, watch_exit
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.threads.ending import finish
from statsd_tcp_client.turning import Turning

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["StatsClient"]


class StatsClient(Meter):
    """A client for one loop. ``more`` are the fields of `Settings`. Raises `ValueError` and `TypeError` for those."""

    def __init__(self, host: str = "localhost", port: int = 8125, prefix: str | None = None, **more: Any) -> None:
        self._turning: Turning | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        super().__init__(Settings(host=host, port=port, prefix=prefix or "", **more))

    async def __aenter__(self) -> Self:
        self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def flush(self, timeout: float = EXIT_SECONDS) -> bool:  # as for threads
        """Send everything now, and return whether all of it was confirmed within this many seconds.

        What "confirmed" is, the level says. Also False: a batch was refused, or became doubtful, since the last result.
        """
        turning = self._bind()
        with self._engine_lock:
            known, lot = self._engine.known_lost, self._engine.force()
        settled = asyncio.Event()
        turning.when_settled(lot, settled.set)
        try:
            await asyncio.wait_for(settled.wait(), timeout)
        except asyncio.TimeoutError:
            return False
        finally:
            turning.forget(settled.set)
        return self._engine.nothing_lost(known)

    async def close(self, timeout: float = EXIT_SECONDS) -> bool:
        """Flush for at most this many seconds, then close the connections; return what `flush` does.

        What was not sent until then is dropped, what was not confirmed is in doubt. The next call begins again.
        """
        confirmed = await self.flush(timeout)
        turning, self._turning, self._loop = self._turning, None, None
        if turning is not None:
            turning.stop()
        with self._engine_lock:
            self._engine.abandon()
        return confirmed

    def finish(self, timeout: float) -> None:
        """Send what is left, without the loop, which has ended."""
        self._let_go()
        finish(self._engine, self._engine_lock, self._settings, timeout)

    def _reset(self) -> None:
        super()._reset()
        self._turning = self._loop = None

    def _let_go(self) -> None:
        if self._turning is not None:
            self._turning.disown()

    def _begin(self) -> None:
        self._leave_closed_loop()
        try:
            loop = self._loop or asyncio.get_running_loop()
        except RuntimeError:
            # No loop runs here yet. What was counted is sent when one does, or at the end of the process.
            return
        self._loop = loop
        loop.call_soon_threadsafe(self._turn)

    def _turn(self) -> None:
        self._bind().turn()

    def _bind(self) -> Turning:
        """Belong to the running loop. Raises `RuntimeError` if none runs."""
        self._leave_closed_loop()
        if self._turning is None:
            self._loop = loop = asyncio.get_running_loop()
            with self._engine_lock:
                self._engine.begin(loop.time())

            def call_later(delay: float, call: Callable[[], None]) -> Callable[[], object]:
                return loop.call_later(delay, call).cancel

            def dial(lane: Lane) -> Connection:
                return Connection(lane, turning, self._settings, loop)

            turning = Turning(self._engine, self._engine_lock, loop.time, call_later, dial)
            self._turning = turning
            watch_exit()
        return self._turning

    def _leave_closed_loop(self) -> None:
        """Let another loop go on, if the one that this belonged to has ended without `close` being called."""
        if self._loop is not None and self._loop.is_closed():
            self._let_go()
            self._turning = self._loop = None
