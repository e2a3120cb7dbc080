"""Processes that read pieces of journals: as many at once as there are turns, and none is waited for without an end."""

from __future__ import annotations

import os
import signal
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.children import Child, Children, Ending, environment
from statsd_tcp.commit.replay_process import LEDGER_DESCRIPTOR, ReadRequest, Words
from statsd_tcp.ledger.folder import Ledger

__all__ = ["SILENCE", "STOP_SECONDS", "Reading", "Turns", "leave"]

SILENCE = 5.0
"""Seconds without a word after which a reading process loses its turn to another journal, and goes on beside it."""

STOP_SECONDS = 2.0
"""Seconds that a stop waits for the killed processes to be gone. One that waits for a dead disk cannot be killed; it
writes nothing, and so may stay."""


class Reading:
    """One process: what it is to read of which ledger, and what has become of it.

    ``patience`` is for how many seconds it may be silent after it has lost its turn, until it is killed; ``ran_out``
    says that it was. ``over`` is called at its end, or when it could not be started: then ``failure`` is there.
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
        self.ending: Ending | None = None
        self.failure: Failure | None = None
        self.child: Child | None = None
        self.call: IDelayedCall | None = None

    @property
    def was_slow(self) -> bool:
        """Return whether it has used up its time of the processor."""
        return self.ending is not None and self.ending.signal == signal.SIGPROF

    @property
    def last_words(self) -> str:
        """Return how it ended, in words."""
        if self.ending is not None and self.ending.signal is not None:
            return f"the reading process was killed ({signal.Signals(self.ending.signal).name})"
        last = self.complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return last or "the reading process said nothing"

    def cancel(self) -> None:
        """Limit it no more."""
        if self.call is not None and self.call.active():
            self.call.cancel()
        self.call = None


class Turns:
    """Starts one process after the other, ``at_once`` of them at a time; those that are silent do not count."""

    _log = Logger()

    def __init__(self, reactor: Any, children: Children, at_once: int) -> None:
        self._reactor = reactor
        self._children = children
        self._at_once = at_once
        self._queue: deque[Reading] = deque()
        self._running: set[Reading] = set()
        self._having_turns: set[Reading] = set()
        self._stopped: list[Deferred[None]] = []

    def add(self, reading: Reading) -> None:
        """Start it when it is its turn."""
        self._queue.append(reading)
        self._take()

    def stop(self) -> Deferred[None]:
        """Kill all that run, and start none; fire when they are gone, or after `STOP_SECONDS`. None is told its end."""
        self._queue.clear()
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
        while self._queue and len(self._having_turns) < self._at_once:
            reading = self._queue.popleft()
            try:
                self._begin(reading)
            except Exception:  # noqa: BLE001  (one journal must not stop the others)
                reading.failure = Failure()
                reading.over(reading)

    def _begin(self, reading: Reading) -> None:
        argv = [sys.executable, "-P", "-m", "statsd_tcp.commit.replay_process"]
        reading.child = child = self._children.start(
            [*argv, msgspec.json.encode(reading.request).decode()],
            environment(os.environ),
            {1: lambda data: self._hear(reading, data), 2: reading.complaint.extend},
            {LEDGER_DESCRIPTOR: reading.ledger.file.fileno()},
        )
        self._running.add(reading)
        self._having_turns.add(reading)
        reading.call = self._reactor.callLater(SILENCE, self._end_turn, reading)
        child.ended.addCallback(self._ended, reading).addErrback(self._unexpected)

    def _hear(self, reading: Reading, data: bytes) -> None:
        reading.words.hear(data)
        if data and reading.call is not None and reading.call.active():
            reading.call.reset(SILENCE if reading in self._having_turns else reading.patience)

    def _end_turn(self, reading: Reading) -> None:
        reading.call = self._reactor.callLater(reading.patience, self._run_out, reading)
        self._having_turns.discard(reading)
        self._take()

    def _run_out(self, reading: Reading) -> None:
        reading.ran_out = True
        if reading.child is not None:
            reading.child.kill()

    def _ended(self, ending: Ending, reading: Reading) -> None:
        self._running.discard(reading)
        self._having_turns.discard(reading)
        reading.cancel()
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
    """Have nobody told."""
