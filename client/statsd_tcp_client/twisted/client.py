"""`StatsClient` for Twisted: `incr` and its like as everywhere, `flush` and `close` return a Deferred.

    client = StatsClient("127.0.0.1", 8125)
    client.incr("pages")

Before the reactor stops it sends what it has. Other threads may count, too.
"""

from __future__ import annotations

from typing import Any, Callable, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint

from statsd_tcp_client.lane import Lane
from statsd_tcp_client.meter import Meter
from statsd_tcp_client.processes import EXIT_SECONDS, watch_exit
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.threads.ending import finish
from statsd_tcp_client.turning import Turning
from statsd_tcp_client.twisted.connection import Connection

__all__ = ["StatsClient"]


class StatsClient(Meter):
    """A client for one reactor. ``more`` are the fields of `Settings`. Raises `ValueError` and `TypeError` for those.

    ``reactor`` is Twisted's own if no other is given. ``endpoint`` is one of TCP or a Unix socket, and connects instead
    of host and port. Those, and the settings ``ipv6``, ``path`` and ``connect_timeout``, then serve only at the end of
    a process that has not stopped the reactor.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = 8125,
        prefix: str | None = None,
        *,
        reactor: Any = None,
        endpoint: Any = None,
        **more: Any,
    ) -> None:
        settings = Settings(host=host, port=port, prefix=prefix or "", **more)
        if reactor is None:
            from twisted.internet import reactor
        self._reactor: Any = reactor
        self._endpoint = endpoint or _endpoint(reactor, settings)
        self._turning: Turning | None = None
        self._trigger: Any = None
        super().__init__(settings)

    def flush(self, timeout: float = EXIT_SECONDS) -> Deferred[bool]:
        """Send everything now; the result is whether all of it was confirmed within this many seconds.

        What "confirmed" is, the level says. Also False: a batch was refused, or became doubtful, since the last result.
        """
        turning = self._bind()
        with self._engine_lock:
            known, lot = self._engine.known_lost, self._engine.force()
        done: Deferred[bool] = Deferred()

        def settled() -> None:
            late.cancel()
            done.callback(self._engine.nothing_lost(known))

        def give_up() -> None:
            turning.forget(settled)
            done.callback(False)

        late = self._reactor.callLater(timeout, give_up)
        turning.when_settled(lot, settled)
        return done

    def close(self, timeout: float = EXIT_SECONDS) -> Deferred[bool]:
        """Flush for at most this many seconds, then close the connections; the result is what `flush` says.

        What was not sent until then is dropped, what was not confirmed is in doubt. The next call begins again.
        """
        return self.flush(timeout).addCallback(self._stop)

    def finish(self, timeout: float) -> None:
        """Send what is left, without the reactor, which has ended."""
        self._let_go()
        finish(self._engine, self._engine_lock, self._settings, timeout)

    def _stop(self, confirmed: bool) -> bool:
        turning, self._turning = self._turning, None
        if turning is not None:
            turning.stop()
        if self._trigger is not None:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._trigger = None
        with self._engine_lock:
            self._engine.abandon()
        return confirmed

    def _close_before_the_end(self) -> Deferred[bool]:
        self._trigger = None
        return self.close()

    def _reset(self) -> None:
        super()._reset()
        self._turning = None

    def _let_go(self) -> None:
        if self._turning is not None:
            self._turning.disown()

    def _begin(self) -> None:
        # From any thread, and also before the reactor runs.
        self._reactor.callFromThread(self._turn)

    def _turn(self) -> None:
        self._bind().turn()

    def _bind(self) -> Turning:
        if self._turning is None:

            def call_later(delay: float, call: Callable[[], None]) -> Callable[[], object]:
                return cast("Callable[[], object]", self._reactor.callLater(delay, call).cancel)

            def dial(lane: Lane) -> Connection:
                return Connection(lane, turning, self._endpoint)

            turning = Turning(self._engine, self._engine_lock, self._reactor.seconds, call_later, dial)
            self._turning = turning
            self._trigger = self._reactor.addSystemEventTrigger("before", "shutdown", self._close_before_the_end)
            watch_exit()
        return self._turning


def _endpoint(reactor: Any, settings: Settings) -> Any:
    if settings.path:
        return UNIXClientEndpoint(reactor, settings.path, timeout=settings.connect_timeout)
    # IPv4 and IPv6 are tried; with a literal address only that.
    return HostnameEndpoint(reactor, settings.host, settings.port, timeout=settings.connect_timeout)
