"""`StatsClient`: for programs with threads, or with one.

The thread is started by the first call in a process, after a fork again by the first call in the child.
"""

from __future__ import annotations

import time
from threading import TIMEOUT_MAX, Condition, RLock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any

from statsd_tcp_client.meter import Meter
from statsd_tcp_client.processes import EXIT_SECONDS, watch_exit
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.threads.driver import Driver

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["StatsClient", "TCPStatsClient", "UnixSocketStatsClient"]


class ThreadedClient(Meter):
    """A client whose input and output is done by a thread."""

    def __init__(self, settings: Settings) -> None:
        self._driver: Driver | None = None
        self._thread: Thread | None = None
        super().__init__(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def flush(self, timeout: float = EXIT_SECONDS) -> bool:
        """Send everything now, and return whether all of it was confirmed within this many seconds.

        What "confirmed" is, the level says. Also False: a batch was refused, or became doubtful, since the last result.
        """
        deadline = time.monotonic() + timeout
        with self._engine_lock:
            known, lot = self._engine.known_lost, self._engine.force()
            if not self._engine.is_settled(lot):
                self._begin()
                self._wait_until_settled(lot, deadline)
            return self._engine.is_settled(lot) and self._engine.nothing_lost(known)

    def connect(self) -> None:
        """Do nothing: connections are made when they are needed. `statsd.TCPStatsClient` has this."""

    def close(self, timeout: float = EXIT_SECONDS) -> bool:
        """Flush for at most this many seconds, then end the thread and the connections; return what `flush` does.

        What was not sent until then is dropped, what was not confirmed is in doubt. The next call begins again.
        """
        deadline = time.monotonic() + timeout
        confirmed = self.flush(timeout)
        with self._starting:
            driver, thread, self._driver, self._thread = self._driver, self._thread, None, None
            if driver is not None:
                driver.stop()
        if thread is not None:
            # It may be resolving a name, which nothing can end.
            thread.join(min(TIMEOUT_MAX, max(0.1, deadline - time.monotonic())))
        with self._engine_lock:
            self._engine.abandon()
        return confirmed

    def finish(self, timeout: float) -> None:
        """Close, if there is anything to be closed."""
        if self._driver is not None or self._numbers:
            self.close(timeout)

    def _reset(self) -> None:
        super()._reset()
        self._starting = RLock()
        self._is_starting = False
        self._changed = Condition(self._engine_lock)
        self._driver = self._thread = None

    def _let_go(self) -> None:
        if self._driver is not None:
            self._driver.disown()

    def _begin(self) -> None:
        driver, thread = self._driver, self._thread
        if driver is None or thread is None or not thread.is_alive():
            driver = self._start()
        if driver is not None:
            driver.wake()

    def _start(self) -> Driver | None:
        """Start the thread; None when the interpreter ends, which allows no more threads.

        A signal handler that counts may come in between: then the interrupted call starts the thread.
        """
        with self._starting:
            if self._is_starting or (self._thread is not None and self._thread.is_alive()):
                return self._driver
            self._is_starting = True
            driver = Driver(self._engine, self._changed, self._settings)
            driver.begin()
            try:
                thread = Thread(target=_run, args=(driver,), name="statsd-tcp-client", daemon=True)
                thread.start()
            except RuntimeError:
                driver.close()
                return None
            finally:
                self._is_starting = False
            self._driver, self._thread = driver, thread
            watch_exit()
            return driver

    def _wait_until_settled(self, lot: int, deadline: float) -> None:
        if self._driver is not None:
            left = min(TIMEOUT_MAX, max(0.0, deadline - time.monotonic()))
            self._changed.wait_for(lambda: self._engine.is_settled(lot), left)
            return
        driver = Driver(self._engine, self._changed, self._settings)
        try:
            driver.run(lambda: self._engine.is_settled(lot), deadline)
        finally:
            driver.close()


def _run(driver: Driver) -> None:
    try:
        driver.run(lambda: False)
    finally:
        driver.close()


class StatsClient(ThreadedClient):
    """A client with the arguments of `statsd.StatsClient`. It speaks TCP, and ``maxudpsize`` has no effect.

    ``more`` are the fields of `Settings`: ``level``, ``tags``, ``dialect``, ``interval``, ``pool``, ``max_bytes`` and
    others. Raises `ValueError` for what cannot be, `TypeError` for what is not known, and nothing for the network.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 8125,
        prefix: str | None = None,
        maxudpsize: int = 512,
        ipv6: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(Settings(host=host, port=port, prefix=prefix or "", ipv6=ipv6, **more))


class TCPStatsClient(ThreadedClient):
    """A client with the arguments of `statsd.TCPStatsClient`; ``timeout`` is that of a connection."""

    def __init__(
        self,
        host: str = "localhost",
        port: int = 8125,
        prefix: str | None = None,
        timeout: float | None = None,
        ipv6: bool = False,
        **more: Any,
    ) -> None:
        if timeout is not None:
            more["connect_timeout"] = timeout
        super().__init__(Settings(host=host, port=port, prefix=prefix or "", ipv6=ipv6, **more))


class UnixSocketStatsClient(ThreadedClient):
    """A client with the arguments of `statsd.UnixSocketStatsClient`."""

    def __init__(self, socket_path: str, prefix: str | None = None, timeout: float | None = None, **more: Any) -> None:
        if timeout is not None:
            more["connect_timeout"] = timeout
        super().__init__(Settings(path=socket_path, prefix=prefix or "", **more))
