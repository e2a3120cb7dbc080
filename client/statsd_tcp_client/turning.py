"""Drives an engine inside an event loop, which comes in as functions: the same for asyncio and Twisted.

A connection of such a loop tells how it goes by `resolved`, `connected`, `received`, `taken` and `ended`. After each of
them, and when something is due, `turn` does what is to be done.
"""

from __future__ import annotations

from typing import Any, Callable, Protocol

from statsd_tcp_client.engine import Engine
from statsd_tcp_client.lane import Lane

__all__ = ["Connection", "Turning"]

_LONGEST_PAUSE = 3600.0
"""Seconds; Twisted's reactors take no more than 24 days."""


class Connection(Protocol):
    """A connection of an event loop, or an attempt to make one."""

    def write(self, data: bytes) -> None:
        """Send; `Turning.taken` is told when the kernel has all of it."""

    def half_close(self) -> None:
        """End this side."""

    def close(self) -> None:
        """Close it, or give the attempt up. Nothing is told from then on."""

    def disown(self) -> None:
        """Let go of a socket that the parent of this process has, too."""


class Turning:
    """The connections of an engine. All methods but the first are called by the loop."""

    def __init__(
        self,
        engine: Engine,
        lock: Any,
        clock: Callable[[], float],
        call_later: Callable[[float, Callable[[], None]], Callable[[], object]],
        dial: Callable[[Lane], Connection],
    ) -> None:
        """``lock`` guards the engine. ``call_later`` returns what takes the call back, ``dial`` begins to connect."""
        self._engine = engine
        self._lock = lock
        self._clock = clock
        self._call_later = call_later
        self._dial = dial
        self._connections: dict[Lane, Connection] = {}
        self._written: dict[Lane, int] = {}
        """How much of what is outgoing was given to the connection already."""
        self._cancel: Callable[[], object] | None = None
        self._turning = self._again = False
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    def when_settled(self, lot: int, call: Callable[[], None]) -> None:
        """Call when nothing of a lot waits for an answer any longer."""
        self._waiting.append((lot, call))
        self.turn()

    def forget(self, call: Callable[[], None]) -> None:
        """Do not call that."""
        self._waiting = [each for each in self._waiting if each[1] != call]

    def turn(self) -> None:
        """Do what is due, and see to the next time."""
        # What is called here may tell something at once.
        if self._turning:
            self._again = True
            return
        self._turning = True
        try:
            if self._cancel is not None:
                self._cancel()
                self._cancel = None
            with self._lock:
                pause = self._work()
                settled = [call for lot, call in self._waiting if self._engine.is_settled(lot)]
            if pause is not None:
                self._cancel = self._call_later(min(pause, _LONGEST_PAUSE), self._on_time)
        finally:
            self._turning = False
        for call in settled:
            self.forget(call)
            call()

    def resolved(self, lane: Lane) -> None:
        """The name is resolved: from now on the attempt has its time."""
        with self._lock:
            lane.dial(self._clock())
        self.turn()

    def connected(self, lane: Lane) -> None:
        """An attempt has succeeded."""
        with self._lock:
            lane.connected(self._clock())
        self.turn()

    def received(self, lane: Lane, data: bytes) -> None:
        """Something came."""
        with self._lock:
            if lane.received(data, self._clock()):
                self._engine.succeeded()
        self.turn()

    def taken(self, lane: Lane, number: int) -> None:
        """The kernel has taken some bytes more; at least one of them as soon as it may have."""
        with self._lock:
            self._written[lane] -= number
            lane.taken(number, self._clock())
        self.turn()

    def ended(self, lane: Lane, error: str) -> None:
        """A connection has ended, or an attempt has failed."""
        self._end(lane, error)
        self.turn()

    def stop(self) -> None:
        """Close everything, and do nothing more."""
        if self._cancel is not None:
            self._cancel()
            self._cancel = None
        for lane in list(self._connections):
            self._end(lane, "")
        self._turning = True

    def disown(self) -> None:
        """Leave everything to the parent: the loop and the connections belong to it."""
        self._cancel = None
        for connection in self._connections.values():
            connection.disown()
        self._connections.clear()
        self._turning = True

    def _on_time(self) -> None:
        self._cancel = None
        self.turn()

    def _work(self) -> float | None:
        while True:
            self._again = False
            now = self._clock()
            for lane in list(self._connections):
                error = lane.check(now)
                if error or lane.finished:
                    self._end(lane, error)
            chosen = self._engine.turn(now)
            for lane, connection in list(self._connections.items()):
                self._send(lane, connection)
            if chosen is not None:
                chosen.resolve()
                self._written[chosen] = 0
                connection = self._dial(chosen)
                # It may have ended at once.
                if chosen.state == "dialling":
                    self._connections[chosen] = connection
            elif not self._again:
                return self._engine.next_turn(now)

    def _send(self, lane: Lane, connection: Connection) -> None:
        data = bytes(lane.outgoing[self._written[lane] :])
        if data:
            self._written[lane] += len(data)
            connection.write(data)
        elif lane.half_closes and not lane.outgoing:
            lane.half_closes = False
            connection.half_close()

    def _end(self, lane: Lane, error: str) -> None:
        connection = self._connections.pop(lane, None)
        if connection is not None:
            connection.close()
        with self._lock:
            self._engine.end(lane, error, self._clock())
