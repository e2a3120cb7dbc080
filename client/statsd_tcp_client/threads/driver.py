"""Drives an engine with sockets: in a thread of its own, or in the caller's at the end of a process."""

from __future__ import annotations

import selectors
import socket
import time
from threading import Condition
from typing import Callable

from statsd_tcp_client.engine import Engine
from statsd_tcp_client.lane import Lane
from statsd_tcp_client.settings import Settings
from statsd_tcp_client.threads.connection import Connection, addresses

__all__ = ["Driver"]

_MOST_READS = 16
"""Reads of a connection in a row: a server that does not stop talking must not keep the engine for itself."""

_LONGEST_WAIT = 3600.0
"""Seconds; `poll` takes no more than 24 days."""

# Not epoll: what a child does to its copy would be done to the parent's.
_Selector: type[selectors.BaseSelector] = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Driver:
    """The connections of an engine. ``changed`` guards the engine, and is notified whenever it may have changed."""

    def __init__(
        self, engine: Engine, changed: Condition, settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stopped = False
        self._engine = engine
        self._changed = changed
        self._settings = settings
        self._clock = clock
        self._connections: dict[Lane, Connection] = {}
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)

    def begin(self) -> None:
        """Take the engine over."""
        with self._changed:
            self._engine.begin(self._clock())

    def run(self, until: Callable[[], bool], deadline: float = float("inf")) -> None:
        """Go on until something is so, `stop` was called, or the deadline has passed."""
        while not self.stopped:
            pause = self._step()
            with self._changed:
                if until():
                    return
            left = deadline - self._clock()
            if left <= 0:
                return
            self._wait(left if pause is None else min(pause, left))

    def wake(self) -> None:
        """End the waiting, from any thread."""
        try:
            self._waker.send(b"\0")
        except OSError:
            # It is full of such bytes, or closed.
            pass

    def stop(self) -> None:
        """End `run`, from any thread."""
        self.stopped = True
        self.wake()

    def close(self) -> None:
        """End all connections, and close all sockets."""
        for lane in list(self._connections):
            self._end(lane, "")
        self.disown()

    def disown(self) -> None:
        """Close all sockets, and do nothing else: in a child, where all is the parent's."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._woken.close()
        self._waker.close()

    def _step(self) -> float | None:
        """Do what is due; return the seconds until something is, None: until something happens."""
        with self._changed:
            self._check()
            lane = self._engine.turn(self._clock())
            if lane is not None:
                lane.resolve()
        if lane is not None:
            self._dial(lane)
        with self._changed:
            for lane, connection in list(self._connections.items()):
                if connection.is_made:
                    self._write(lane, connection)
            pause = self._engine.next_turn(self._clock())
            self._changed.notify_all()
        return pause

    def _dial(self, lane: Lane) -> None:
        """Begin to connect. The name is resolved each time, with nothing locked."""
        try:
            found = addresses(self._settings)
            connection = Connection(found[lane.attempt % len(found)])
        except (OSError, UnicodeError) as error:
            if not self.stopped:
                self._end(lane, _text(error))
            return
        if self.stopped:
            # The lane may be another driver's by now.
            connection.close()
            return
        with self._changed:
            lane.dial(self._clock())
            self._connections[lane] = connection

    def _check(self) -> None:
        now = self._clock()
        for lane in list(self._connections):
            error = lane.check(now)
            if error or lane.finished:
                self._end(lane, error)

    def _end(self, lane: Lane, error: str) -> None:
        connection = self._connections.pop(lane, None)
        if connection is not None:
            connection.close()
        with self._changed:
            self._engine.end(lane, error, self._clock())

    def _write(self, lane: Lane, connection: Connection) -> None:
        try:
            # The server may have ended the connection long ago: what is written then is lost.
            if lane.outgoing and self._read(lane, connection):
                while lane.outgoing:
                    number = connection.write(lane.outgoing)
                    if not number:
                        return
                    lane.taken(number, self._clock())
            if lane.half_closes and not lane.outgoing:
                connection.half_close()
                lane.half_closes = False
        except OSError as error:
            self._end(lane, _text(error))

    def _read(self, lane: Lane, connection: Connection) -> bool:
        """Read what has come, within bounds; return whether the connection is still there. Raises `OSError`."""
        for _ in range(_MOST_READS):
            data = connection.read()
            if data is None:
                return True
            if not data:
                self._end(lane, "")
                return False
            if lane.received(data, self._clock()):
                self._engine.succeeded()
        return True

    def _wait(self, longest: float) -> None:
        with _Selector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            for lane, connection in self._connections.items():
                writes = lane.outgoing or lane.half_closes or not connection.is_made
                events = selectors.EVENT_READ if connection.is_made else 0
                selector.register(connection.socket, events | (selectors.EVENT_WRITE if writes else 0), lane)
            ready = selector.select(min(longest, _LONGEST_WAIT))
        with self._changed:
            for key, events in ready:
                if key.data is None:
                    self._drain()
                elif key.data in self._connections:
                    self._ready(key.data, self._connections[key.data], events)

    def _ready(self, lane: Lane, connection: Connection, events: int) -> None:
        try:
            if not connection.is_made:
                connection.made()
                lane.connected(self._clock())
            elif not events & selectors.EVENT_READ or self._read(lane, connection):
                self._write(lane, connection)
        except OSError as error:
            self._end(lane, _text(error))

    def _drain(self) -> None:
        try:
            self._woken.recv(4096)
        except OSError:
            pass


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
