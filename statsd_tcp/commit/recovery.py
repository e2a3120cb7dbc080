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
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.children import Child, Children, Ending, environment
from statsd_tcp.commit.replay import Replay
from statsd_tcp.commit.replay_process import BEGUN
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.words import in_words

__all__ = ["MOST_FAILURES", "IRecovery", "Recovery"]

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


class _Job(NamedTuple):
    ledger: Ledger
    start: int
    found: Callable[[], object]


class Recovery:
    """Reads one journal at a time.

    state      _reader       _call                           _stopped          what comes next
    idle       None          None                            None              read: reading
    reading    the process   kills it, LONGEST_READING       None              a result: reading the next one, or idle
                                                                               a failure: waiting; stop: stopping
    waiting    None          begins again                    None              the call: reading; stop: idle
    stopping   the process   kills it, LONGEST_READING       fires at its end  the end of the process: idle

    ``_delay`` is how long "waiting" lasts after a process that did not even begin to read: twice as long each time, up
    to `LONGEST_RETRY`. After any other failure it is `RETRY`.
    """

    _log = Logger()

    def __init__(self, reactor: Any, children: Children) -> None:
        self._reactor = reactor
        self._children = children
        self._jobs: list[_Job] = []
        self._reader: Child | None = None
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
        if self._reader is None and self._call is None:
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
        if self._reader is None:
            self._cancel()
            return succeed(None)
        # Its end is not a failure of the journal's.
        self._stopped = Deferred()
        self._reader.kill()
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
            self._reader = self._start(job)
        except OSError as error:
            self._log.error("a journal can't be read for now: {error}", error=in_words(error))
            self._call = self._reactor.callLater(RETRY, self._begin)
        else:
            self._call = self._reactor.callLater(LONGEST_READING, self._reader.kill)

    def _start(self, job: _Job) -> Child:
        module = ["-P", "-m", "statsd_tcp.commit.replay_process"]
        said, complaint = bytearray(), bytearray()
        reader = self._children.start(
            [sys.executable, *module, str(job.ledger.path), str(job.start)],
            environment(os.environ),
            {1: said.extend, 2: complaint.extend},
        )
        reader.ended.addCallback(self._ended, said, complaint).addErrback(self._unexpected)
        return reader

    def _ended(self, ending: Ending, said: bytearray, complaint: bytearray) -> None:
        self._reader = None
        self._cancel()
        stopped, self._stopped = self._stopped, None
        if stopped is not None:
            self._jobs.clear()
            stopped.callback(None)
        elif self._jobs:
            self._judge(self._jobs[0], _outcome(ending, said, complaint), said.startswith(BEGUN))

    def _unexpected(self, failure: Failure) -> None:
        self._log.failure("what follows the reading of a journal failed", failure=failure)

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
        if self._reader is None and self._call is None:
            self._begin()
        self._check_settled()

    def _cancel(self) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None


def _outcome(ending: Ending, said: bytearray, complaint: bytearray) -> Replay | str:
    """Return what a reading process found, or why it found nothing."""
    if ending.signal is not None:
        return f"the reading process was killed ({signal.Signals(ending.signal).name})"
    try:
        return msgspec.msgpack.decode(said.removeprefix(BEGUN), type=Replay)
    except msgspec.MsgspecError:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        return last or "the reading process said nothing"


def _leave(result: object, timeout: float) -> None:
    """Be content with what there is."""
