"""The journals of dead workers are read beside all else: one after the other, each in a process of its own.

A line that crashes the parser has killed a worker already. It must not kill the supervisor too, nor make every start
fail: after two failures the journal is given up, and its file is set aside for somebody to look at.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.children import environment
from statsd_tcp.commit.replay import Replay
from statsd_tcp.commit.replay_process import BEGUN
from statsd_tcp.ledger.folder import Ledger

__all__ = ["MOST_FAILURES", "IRecovery", "Reader", "Recovery"]

MOST_FAILURES = 2
"""So often reading one journal may fail, over all starts of the service."""

LONGEST_READING = 60.0
"""Seconds that reading a journal may take: ten times what a full one needs on a busy machine."""

LAST_READING = 10.0
"""Seconds that a service which stops waits for it. What isn't read then is left to the next start."""

RETRY = 1.0
LONGEST_RETRY = 60.0
"""Seconds until it is tried again: at first, and at most, while it isn't the journal's fault that it fails."""


class IRecovery(Protocol):
    """What the committer needs. ``results`` is by ledger id."""

    results: dict[str, Replay]

    def read(self, ledger: Ledger, start: int, found: Callable[[], object]) -> None:
        """Have a dead worker's journal read from an offset on, unless it is being read or the result is there.

        ``found`` is called when the result is there.
        """

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to be read."""

    def settled(self) -> Deferred[None]:
        """Fire when all is read, or it takes too long for a service that stops."""

    def stop(self) -> Deferred[None]:
        """Read nothing more; what isn't read will be the next time it is asked for."""


class Reader(ProcessProtocol):
    """Hears from one reading process. ``ended`` gets what it found, or why it found nothing, and if it had begun."""

    def __init__(self, ended: Callable[[Replay | str, bool], None]) -> None:
        self._ended = ended
        self._said = b""
        self._complaint = b""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Keep what it says."""
        if childFD == 1:
            self._said += data
        else:
            self._complaint += data

    def processEnded(self, reason: Failure) -> None:
        """Judge it."""
        self._ended(self._outcome(getattr(reason.value, "signal", None)), self._said.startswith(BEGUN))

    def _outcome(self, number: int | None) -> Replay | str:
        if number:
            return f"the reading process was killed ({signal.Signals(number).name})"
        try:
            return msgspec.msgpack.decode(self._said.removeprefix(BEGUN), type=Replay)
        except msgspec.MsgspecError:
            last = self._complaint.decode(errors="replace").strip().rpartition("\n")[2]
            return last or "the reading process said nothing"


class _Job(NamedTuple):
    ledger: Ledger
    start: int
    found: Callable[[], object]


class Recovery:
    """Reads one journal at a time."""

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._jobs: list[_Job] = []
        self._process: Any = None
        self._call: IDelayedCall | None = None
        self._delay = RETRY
        self._stopped: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self.results: dict[str, Replay] = {}

    def read(self, ledger: Ledger, start: int, found: Callable[[], object]) -> None:
        """Have a dead worker's journal read from an offset on, unless it is being read or the result is there."""
        ledger_id = ledger.ledger_id
        if ledger_id in self.results or any(job.ledger.ledger_id == ledger_id for job in self._jobs):
            return
        self._jobs.append(_Job(ledger, start, found))
        if self._process is None and self._call is None:
            self._begin()

    @property
    def busy(self) -> bool:
        """Tell whether anything is still to be read."""
        return bool(self._jobs)

    def settled(self) -> Deferred[None]:
        """Fire when all is read, or it takes too long for a service that stops."""
        settled: Deferred[None] = Deferred()
        settled.addTimeout(LAST_READING, self._reactor, onTimeoutCancel=_leave)
        self._waiting.append(settled)
        self._check_settled()
        return settled

    def _check_settled(self) -> None:
        if not self._jobs:
            waiting, self._waiting = self._waiting, []
            for settled in waiting:
                settled.callback(None)

    def stop(self) -> Deferred[None]:
        """Read nothing more; what isn't read will be the next time it is asked for."""
        self._jobs.clear()
        if self._process is None:
            self._cancel()
            return succeed(None)
        # Its end is not a failure of the journal's.
        self._stopped = Deferred()
        self._kill()
        return self._stopped

    def _begin(self) -> None:
        self._call = None
        if not self._jobs:
            return
        job = self._jobs[0]
        if job.ledger.failed_readings >= MOST_FAILURES:
            self._finish(job, Replay(job.start, job.start, fault="it could not be read, time and again"))
            return
        try:
            self._process = self._spawn(job)
        except OSError as error:
            self._log.error("a journal can't be read for now: {error}", error=error)
            self._call = self._reactor.callLater(RETRY, self._begin)
        else:
            self._call = self._reactor.callLater(LONGEST_READING, self._kill)

    def _spawn(self, job: _Job) -> Any:
        arguments = ["-P", "-m", "statsd_tcp.commit.replay_process", str(job.ledger.path), str(job.start)]
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        try:
            return self._reactor.spawnProcess(
                Reader(self._ended),
                sys.executable,
                [sys.executable, *arguments],
                env=environment(os.environ),
                childFDs={0: null, 1: "r", 2: "r"},
            )
        finally:
            os.close(null)

    def _ended(self, outcome: Replay | str, begun: bool) -> None:
        self._process = None
        self._cancel()
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            self._jobs.clear()
            stopped.callback(None)
        elif self._jobs:
            self._judge(self._jobs[0], outcome, begun)

    def _judge(self, job: _Job, outcome: Replay | str, begun: bool) -> None:
        if isinstance(outcome, Replay):
            self._delay = RETRY
            self._finish(job, outcome)
            return
        self._log.error("the journal {path} could not be read: {outcome}", path=job.ledger.path, outcome=outcome)
        if begun:
            job.ledger.note_failed_reading()
            self._delay = RETRY
        # Otherwise the journal wasn't even looked at, as in the middle of an upgrade of the program's files.
        self._call = self._reactor.callLater(self._delay, self._begin)
        self._delay = min(LONGEST_RETRY, 2 * self._delay)

    def _finish(self, job: _Job, result: Replay) -> None:
        self._jobs.remove(job)
        self.results[job.ledger.ledger_id] = result
        job.found()
        if self._process is None and self._call is None:
            self._begin()
        self._check_settled()

    def _kill(self) -> None:
        try:
            self._process.signalProcess(signal.SIGKILL)
        except ProcessExitedAlready:
            pass

    def _cancel(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None


def _leave(result: object, timeout: float) -> None:
    """Be content with what there is."""
