"""Processes that read pieces of journals: as many at once as there are turns, and none is waited for without an end.

              says something
             .-----<-----.
    speaks --'           |            another waits for the turn
      |                  |           .---------------------------.
      '-- patience/12 --> is silent -+                            +--> killed --> gone: the turn is free
      |                              '-- the rest of its patience-'      ^
      '-- hangs (`statsd_tcp.commit.looks`) -----------------------------'

One that waits for a dead disk cannot be killed, and keeps its turn: what would take it has the same disk to read.
"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.children import Child, Children, Ending, environment
from statsd_tcp.commit.looks import LOOK_SECONDS, Looks
from statsd_tcp.commit.replay_process import LEDGER_DESCRIPTOR, ReadRequest, Words
from statsd_tcp.commit.suspicion import Cause, cause_of
from statsd_tcp.kernel.process_stats import process_state
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.words import signal_name

__all__ = ["SHARE", "STOP_SECONDS", "Reading", "Turns", "leave"]

SHARE = 12
"""After this part of its patience, five seconds at first, a silent process is killed if another waits for its turn."""

STOP_SECONDS = 2.0
"""Seconds that a stop waits for the killed processes to be gone. One that waits for a dead disk cannot be killed; it
writes nothing, and so may stay."""


class Reading:
    """One process: what it is to read of which ledger, and what has become of it.

    ``patience`` is the number of seconds that it may be silent until it is killed; ``ran_out`` says that it was,
    ``hung`` that it was killed because it hung. ``over`` is called at its end, or when it could not be started: then
    ``failure`` is there.
    """

    def __init__(
        self, ledger: Ledger, request: ReadRequest, patience: float, over: Callable[[Reading], object]
    ) -> None:
        self.ledger = ledger
        self.request = request
        self.patience = patience
        self.over = over
        self.words = Words()
        self.complaint = bytearray()
        self.ran_out = False
        self.hung = False
        self.looks = Looks()
        self.ending: Ending | None = None
        self.failure: Failure | None = None
        self.child: Child | None = None
        self.call: IDelayedCall | None = None

    @property
    def is_in_frame(self) -> bool:
        """Return whether it has bytes in memory to read, and not only to wait for."""
        careful = self.request.mode == "careful"
        return self.words.offset is not None if careful else self.words.begun and self.request.mode == "quick"

    @property
    def cause(self) -> Cause:
        """Return what it ended of, without a result."""
        if self.hung:
            return "time"
        return "outside" if self.ending is None else cause_of(self.ending)

    @property
    def last_words(self) -> str:
        """Return how it ended, in words."""
        if self.hung:
            return "the reading process hung and was killed"
        if self.ending is not None and self.ending.signal is not None:
            return f"the reading process was killed ({signal_name(self.ending.signal)})"
        last = self.complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return last or "the reading process said nothing"

    def cancel(self) -> None:
        """Remove its limits."""
        if self.call is not None and self.call.active():
            self.call.cancel()
        self.call = None


class Turns:
    """Starts one process after the other, never more than ``at_once`` at a time."""

    _log = Logger()

    def __init__(self, reactor: Any, children: Children, at_once: int, proc: Path) -> None:
        self._reactor = reactor
        self._proc = proc
        self._children = children
        self._at_once = at_once
        self._queue: deque[Reading] = deque()
        self._running: set[Reading] = set()
        self._silent: list[Reading] = []
        self._look_call: IDelayedCall | None = None
        self._stopped: list[Deferred[None]] = []

    def add(self, reading: Reading) -> None:
        """Start it when it is its turn."""
        self._queue.append(reading)
        self._take()

    def stop(self) -> Deferred[None]:
        """Kill all that run, and start none; fire when they are gone, or after `STOP_SECONDS`. None is told its end."""
        self._queue.clear()
        self._silent.clear()
        self._end_looks()
        for reading in self._running:
            reading.over = _nothing
            reading.cancel()
            if reading.child is not None:
                reading.child.kill()
        stopped: Deferred[None] = Deferred()
        stopped.addTimeout(STOP_SECONDS, self._reactor, onTimeoutCancel=leave)
        self._stopped.append(stopped)
        self._check_stopped()
        return stopped

    def _check_stopped(self) -> None:
        if not self._running:
            stopped, self._stopped = self._stopped, []
            for deferred in stopped:
                deferred.callback(None)

    def _take(self) -> None:
        while self._queue and len(self._running) < self._at_once:
            reading = self._queue.popleft()
            try:
                self._begin(reading)
            except Exception:  # noqa: BLE001  (one journal must not stop the others)
                reading.failure = Failure()
                reading.over(reading)
        self._make_room()

    def _make_room(self) -> None:
        """End as many silent processes as journals wait, first those that have been silent for the longest time."""
        leaving = sum(1 for reading in self._running if reading.ran_out or reading.hung)
        for reading in self._silent[: max(0, len(self._queue) - leaving)]:
            self._run_out(reading)

    def _begin(self, reading: Reading) -> None:
        argv = [sys.executable, "-P", "-m", "statsd_tcp.commit.replay_process"]
        reading.child = child = self._children.start(
            [*argv, msgspec.json.encode(reading.request).decode()],
            environment(os.environ),
            {1: lambda data: self._hear(reading, data), 2: reading.complaint.extend},
            {LEDGER_DESCRIPTOR: reading.ledger.file.fileno()},
            apart=True,
        )
        self._running.add(reading)
        self._await_word(reading)
        if self._look_call is None:
            self._look_call = self._reactor.callLater(LOOK_SECONDS, self._look)
        child.ended.addCallback(self._ended, reading).addErrback(self._unexpected)

    def _hear(self, reading: Reading, data: bytes) -> None:
        reading.words.hear(data)
        if data and reading.call is not None and reading.call.active():
            self._await_word(reading)

    def _await_word(self, reading: Reading) -> None:
        self._forget_silence(reading)
        reading.call = self._reactor.callLater(reading.patience / SHARE, self._note_silence, reading)

    def _forget_silence(self, reading: Reading) -> None:
        reading.cancel()
        if reading in self._silent:
            self._silent.remove(reading)

    def _note_silence(self, reading: Reading) -> None:
        reading.call = self._reactor.callLater(reading.patience * (1 - 1 / SHARE), self._run_out, reading)
        self._silent.append(reading)
        self._make_room()

    def _run_out(self, reading: Reading) -> None:
        reading.ran_out = True
        self._kill(reading)

    def _kill(self, reading: Reading) -> None:
        self._forget_silence(reading)
        if reading.child is not None:
            reading.child.kill()

    def _look(self) -> None:
        """Look whether a process hangs."""
        self._look_call = self._reactor.callLater(LOOK_SECONDS, self._look)
        for reading in self._running:
            if reading.child is None or reading.ran_out or reading.hung or not reading.is_in_frame:
                continue
            state = process_state(reading.child.pid, self._proc)
            reading.hung = reading.looks.look(self._reactor.seconds(), state, reading.words.length)
            if reading.hung:
                self._kill(reading)

    def _end_looks(self) -> None:
        if self._look_call is not None:
            self._look_call.cancel()
            self._look_call = None

    def _ended(self, ending: Ending, reading: Reading) -> None:
        self._running.discard(reading)
        self._forget_silence(reading)
        if not self._running:
            self._end_looks()
        reading.ending = ending
        try:
            reading.over(reading)
        finally:
            self._check_stopped()
            self._take()

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("what follows the reading of a journal failed", failure=failure)


def leave(result: object, timeout: float) -> None:
    """Be content with what there is."""


def _nothing(reading: Reading) -> None:
    """Notify nothing."""
