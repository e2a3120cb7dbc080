"""The journals of dead workers are read in parallel with all else, piece by piece, each in a process of its own.

A line that crashes the parser has killed a worker already. It must not kill the supervisor too, nor make every start
fail, nor cost the lines after it. A piece is committed before the next one is read, so that nothing is read twice for
long, and what was read is never lost to what comes after it:

    journal   | committed ... | piece | piece | ...           | head
                     start ---^       ^--- where the next one begins, once this one is in the store

A piece is read quickly. When that ends the process the same place is read frame by frame, and the frame that ends it
again is the suspect: what lies before it is read for itself, then the frame alone. After its second time, or when it
has had ten seconds of the processor or slept for ten, it is skipped, its lines are kept aside, and reading is quick
again (`statsd_tcp.commit.suspicion`). What others do to a process is not the frame's fault. The ledger itself remembers
the suspect, and everything else follows from that and from the offset that the store has: so it goes on where it was,
whatever dies meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from statsd_tcp.aggregate.examples import Example
from statsd_tcp.children import Children
from statsd_tcp.commit.replay import Replay, Skipped
from statsd_tcp.commit.suspicion import MOST_KILLS, Death, next_request, suspect_after
from statsd_tcp.commit.turns import Reading, Turns, leave
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.ledger.suspect import Suspect
from statsd_tcp.words import in_words

__all__ = ["FAULTS", "IRecovery", "Recovery", "RecoveryFault"]

RecoveryFault = Literal["frame", "damaged", "reader", "error"]
"""What can go wrong: a frame was skipped; a journal ends in damage; a reading process ended without a result, or could
not be started; an unforeseen error. After the last two the same is tried again."""

FAULTS: tuple[RecoveryFault, ...] = get_args(RecoveryFault)

RETRY = 1.0
LONGEST_RETRY = 60.0
"""Seconds until a journal is tried again: at first, and at most. It doubles while nothing is learnt of the journal."""

PATIENCE = 60.0
LONGEST_PATIENCE = 3600.0
"""Seconds after which a silent reading process is killed: at first, and at most. It doubles each time. A machine may be
that slow; a process that hangs is not waited for without an end. A part of it is enough while another journal waits
for the turn (`turns.SHARE`)."""

MOST_FAILURES = 5
"""So often skipping one frame may end the process before the journal is given up: nothing is made of the frame then, so
that the fault lies elsewhere."""


def _let_be(_: object) -> None:
    pass


class IRecovery(Protocol):
    """What the committer needs. ``results`` is by ledger id."""

    results: dict[str, Replay]

    def read(self, ledger: Ledger, start: int, found: Callable[[], object], until: int | None = None) -> None:
        """Request a piece of a journal from an offset on, unless it is being read or the result is there.

        ``found`` is called when the result is there. Of a living worker's journal ``until`` says up to where.
        """

    @property
    def waiting(self) -> int:
        """Return how many journals wait to be read to their end."""

    def keep(self, ledger_ids: Collection[str]) -> None:
        """Forget all other journals: nothing more is to be read of them for now."""

    def settled(self, seconds: float) -> Deferred[None]:
        """Fire when no journal waits, or after that time."""

    def stop(self) -> Deferred[None]:
        """Read nothing more; what is not read will be the next time it is asked for."""


class _Job:
    """One piece that is to be read."""

    def __init__(self, ledger: Ledger, start: int, until: int | None, found: Callable[[], object]) -> None:
        self.ledger = ledger
        self.start = start
        self.until = until
        self.found = found
        self.call: IDelayedCall | None = None
        self.retry = RETRY
        self.patience = PATIENCE
        self.failures = 0
        self.kills = 0
        self.killed_at: int | None = None


class Recovery:
    """Reads as many pieces at once as ``at_once`` says; journals take turns, so that none waits for another.

    state     what there is of it                 what comes next
    queued    a `Reading` in its turn, or before  a result: done; anything else: resting
    resting   call                                the call: queued
    done      the result is in ``results``        the committer takes it, and asks for the next piece

    A death teaches something about the journal, which is noted before the next turn. What teaches nothing (no process
    can be made, it does not begin, an error of the disk) is tried again ever more slowly.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        children: Children,
        at_once: int,
        proc: Path = Path("/proc"),
        rejected: Callable[[Sequence[Example]], object] = _let_be,
    ) -> None:
        """``rejected`` is called with examples of the lines that are found to be bad."""
        self._reactor = reactor
        self._rejected = rejected
        self._turns = Turns(reactor, children, at_once, proc)
        self._jobs: dict[str, _Job] = {}
        self._since: dict[str, float] = {}
        self._settled: list[Deferred[None]] = []
        self.results: dict[str, Replay] = {}
        self.faults: dict[RecoveryFault, int] = dict.fromkeys(FAULTS, 0)

    @property
    def waiting(self) -> int:
        """Return how many journals wait to be read to their end."""
        return len(self._since)

    @property
    def underway(self) -> float | None:
        """Return for how many seconds the one that waits longest does; None if none waits."""
        return self._reactor.seconds() - min(self._since.values()) if self._since else None

    def read(self, ledger: Ledger, start: int, found: Callable[[], object], until: int | None = None) -> None:
        """Request a piece of a journal, unless it is being read or the result is there."""
        ledger_id = ledger.ledger_id
        self._since.setdefault(ledger_id, self._reactor.seconds())
        if ledger_id not in self.results and ledger_id not in self._jobs:
            self._jobs[ledger_id] = job = _Job(ledger, start, until, found)
            self._enqueue(job)

    def keep(self, ledger_ids: Collection[str]) -> None:
        """Forget all other journals."""
        self._since = {name: since for name, since in self._since.items() if name in ledger_ids}
        if not self._since:
            settled, self._settled = self._settled, []
            for deferred in settled:
                deferred.callback(None)

    def settled(self, seconds: float) -> Deferred[None]:
        """Fire when no journal waits, or after that time."""
        settled: Deferred[None] = Deferred()
        settled.addTimeout(seconds, self._reactor, onTimeoutCancel=leave)
        self._settled.append(settled)
        self.keep(self._since)
        return settled

    def stop(self) -> Deferred[None]:
        """Read nothing more, and have the processes gone, as far as that is possible within `STOP_SECONDS`."""
        for job in self._jobs.values():
            if job.call is not None:
                job.call.cancel()
        self._jobs.clear()
        self._since.clear()
        return self._turns.stop()

    def _enqueue(self, job: _Job) -> None:
        job.call = None
        try:
            request = next_request(str(job.ledger.path), job.start, job.until, job.ledger.suspect(job.start))
            self._turns.add(Reading(job.ledger, request, job.patience, lambda reading: self._over(job, reading)))
        except Exception:  # noqa: BLE001  (one journal must not stop the others, nor itself)
            self._note_error(job)

    def _over(self, job: _Job, reading: Reading) -> None:
        try:
            self._judge(job, reading)
        except Exception:  # noqa: BLE001  (as above)
            self._note_error(job)

    def _judge(self, job: _Job, reading: Reading) -> None:
        words, failure = reading.words, reading.failure
        if failure is not None:
            failure.trap(OSError)
            self._rest(job, f"no process can be made: {in_words(failure.value)}")
        elif words.replay is not None:
            self._finish(job, words.replay)
        elif reading.ran_out:
            job.patience = min(LONGEST_PATIENCE, 2 * job.patience)
            self._rest(job, "the reading process gave no sign of life and was killed")
        elif not words.begun or words.trouble:
            # The journal was not even looked at, as in the middle of an upgrade of the program's files.
            self._rest(job, words.trouble or reading.last_words)
        else:
            self._learn(job, reading)

    def _learn(self, job: _Job, reading: Reading) -> None:
        """Note what a death says about the journal, and go on with that."""
        start, why = job.start, reading.last_words
        death = self._weigh(job, Death(reading.words.offset, reading.cause))
        suspect = suspect_after(reading.request, death, job.ledger.suspect(start))
        if reading.request.mode == "skip" and death.cause in ("frame", "time"):
            job.failures += 1
        if job.failures >= MOST_FAILURES:
            self._note_fault(job, why)
            self._finish(job, Replay(start, start, fault=f"it could not be read: {why}"))
        elif suspect is None:
            self._rest(job, why)
        else:
            self._suspect(job, suspect)
            self._note_fault(job, why)
            self._pause(job, RETRY)
            job.retry = RETRY

    def _weigh(self, job: _Job, death: Death) -> Death:
        """Count how often in a row one frame's readers had no memory; that is the frame's fault at last."""
        again = death.cause == "memory" and death.offset is not None
        job.kills = (job.kills if job.killed_at == death.offset else 0) + 1 if again else 0
        job.killed_at = death.offset
        if job.kills < MOST_KILLS:
            return death
        job.kills = 0
        return death._replace(cause="frame")

    def _suspect(self, job: _Job, suspect: Suspect) -> None:
        try:
            job.ledger.note_suspect(suspect)
        except OSError as error:
            self._log.error("what ends the readers of a journal cannot be noted: {error}", error=in_words(error))

    def _finish(self, job: _Job, result: Replay) -> None:
        self._rejected(result.examples)
        if result.skipped is not None:
            self._tell_skipped(job, result.skipped)
        if result.overwritten:
            self._log.warn(
                "{bytes} bytes of the journal {path} went to a store that was newer than this one: they are lost",
                bytes=result.overwritten,
                path=job.ledger.path,
            )
        if result.fault:
            self.faults["damaged"] += 1
            if job.until is not None:
                # The worker lives, and goes on after it.
                self._log.error("{path}: {why}", path=job.ledger.path, why=result.fault)
                result = msgspec.structs.replace(result, end=job.until, fault="", whole=False)
        ledger_id = job.ledger.ledger_id
        del self._jobs[ledger_id]
        self.results[ledger_id] = result
        try:
            job.found()
        except Exception:  # noqa: BLE001  (the result is there, and the next commit takes it)
            self._note_error(None)

    def _tell_skipped(self, job: _Job, skipped: Skipped) -> None:
        self.faults["frame"] += 1
        self._log.error(
            "{lines} lines of {listener} end the process that reads them, and are left out of the journal {path}: "
            "{kept}",
            lines=skipped.lines,
            listener=skipped.listener,
            path=job.ledger.path,
            kept=f"they are kept in {skipped.kept}" if skipped.kept else f"they are not kept: {skipped.why_not}",
        )

    def _rest(self, job: _Job, why: str) -> None:
        """Try again later, ever more slowly."""
        self._note_fault(job, why)
        self._pause(job, job.retry)
        job.retry = min(LONGEST_RETRY, 2 * job.retry)

    def _pause(self, job: _Job, seconds: float) -> None:
        job.call = self._reactor.callLater(seconds, self._enqueue, job)

    def _note_fault(self, job: _Job, why: str) -> None:
        self.faults["reader"] += 1
        self._log.error("the journal {path} could not be read: {why}", path=job.ledger.path, why=why)

    def _note_error(self, job: _Job | None) -> None:
        """Note an unforeseen error; to be called while it is handled."""
        self.faults["error"] += 1
        self._log.failure("the reading of a journal failed in an unexpected way")
        if job is not None and self._jobs.get(job.ledger.ledger_id) is job and job.call is None:
            self._pause(job, job.retry)
            job.retry = min(LONGEST_RETRY, 2 * job.retry)
