"""One slot for a worker: carries out what the table of its life says, and speaks to the slot's processes."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any, Literal, Protocol

from twisted.internet.interfaces import IDelayedCall

from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.backoff import HEALTHY_LIFE, Backoff
from statsd_tcp.supervisor.launcher import Launcher, LaunchError
from statsd_tcp.supervisor.lifecycle import Action, Event, Stage, step
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.worker_process import Outcome, WorkerProcess, outcome_of
from statsd_tcp.workers.channel import Gathered

__all__ = ["SlotEvents", "State", "WorkerSlot"]

DRAIN_TIME = 5.0
"""Seconds in which workers are to end when the service fails. They are not killed then."""

State = Literal["starting", "ready", "draining", "waiting", "stopped"]
"""The stages of a slot's life as status and metrics have them: while its worker is being replaced it is ready."""


class SlotEvents(Protocol):
    """What a slot tells the supervisor."""

    def ready(self, slot: WorkerSlot) -> None:
        """A worker accepts."""

    def gathered(self, ledger: Ledger, message: Gathered) -> None:
        """A worker sent what it gathered."""

    def gone(self, slot: WorkerSlot, ledger: Ledger, outcome: Outcome, how: str) -> None:
        """The slot's worker is dead, and its ledger's numbers are final."""

    def left(self, slot: WorkerSlot, ledger: Ledger) -> None:
        """A worker that had been replaced has ended, and its ledger's numbers are final."""

    def unable(self, slot: WorkerSlot, why: str) -> None:
        """A worker could not be started."""


class WorkerSlot:
    """Has at most one worker that accepts. Its life is the table of `statsd_tcp.supervisor.lifecycle`.

    ``current`` is the worker that accepts, or is about to; ``successor`` one that is to take over from it; ``leaving``
    are those that were replaced and still have clients.
    """

    def __init__(self, reactor: Any, launcher: Launcher, events: SlotEvents) -> None:
        self._reactor = reactor
        self._launcher = launcher
        self._events = events
        self.number = launcher.number
        self._stage: Stage = "stopped"
        self._held = False
        self._respawn: IDelayedCall | None = None
        self._replaced: Callable[[bool], None] | None = None
        self._backoff = Backoff()
        self._lived = 0.0
        self._drain_time = DRAIN_TIME
        self.current: WorkerProcess | None = None
        self.successor: WorkerProcess | None = None
        self.leaving: list[WorkerProcess] = []
        self._actions: dict[Action, Callable[[], None]] = {
            "spawn": self._spawn,
            "spawn successor": self._spawn_successor,
            "wait": self._wait,
            "cancel": self._cancel,
            "announce": lambda: self._events.ready(self),
            "take over": self._take_over,
            "promote": self._promote,
            "succeeded": lambda: self._tell_replaced(succeeded=True),
            "failed": lambda: self._tell_replaced(succeeded=False),
            "retire": self._retire,
            "drain": self._drain,
        }

    @property
    def state(self) -> State:
        """Return the stage of the slot's life, as the outside knows it."""
        return "ready" if self._stage == "replacing" else self._stage

    @property
    def pid(self) -> int:
        """Return the worker's process number, 0 if there is none."""
        return self.current.child.pid if self.current else 0

    @property
    def short_lives(self) -> int:
        """Return how many workers in a row had a short life; 0 as soon as the present one has had a long one."""
        if self.current is not None and self.current.life() >= HEALTHY_LIFE:
            return 0
        return self._backoff.short_lives

    @property
    def processes(self) -> list[WorkerProcess]:
        """Return all processes of this slot."""
        return [one for one in (self.current, self.successor, *self.leaving) if one is not None]

    # What happens, as the supervisor knows it.

    def start(self) -> None:
        """Start a worker, unless the slot is held. If that cannot be done it is tried again later."""
        self._respawn = None
        self._happens("hold" if self._held else "start")

    def hold(self) -> None:
        """Start no worker until `release`, whatever dies."""
        self._held = True
        self._happens("hold")

    def release(self) -> None:
        """Start the worker that is missing, if one is."""
        self._held = False
        self._happens("release")

    def replace(self, done: Callable[[bool], None]) -> None:
        """Start a successor on the same sockets; ``done`` is told whether it accepts. If not, all stays as it was."""
        self._replaced = done
        self._happens("replace")

    def adopt(self, inherited: InheritedWorker, ledger: Ledger) -> None:
        """Go on with a worker that another image of the supervisor started."""
        process = self._launcher.adopt(inherited, ledger, self)
        if inherited.leaving:
            self.leaving.append(process)
        else:
            self.current = process
            self._happens("adopt")

    def depart(self) -> None:
        """Let the present worker serve its clients to their end, without a successor."""
        self._happens("depart")

    def stop(self, seconds: float = DRAIN_TIME) -> None:
        """Let the workers read what waits, hand it over, and end within that time; start no other."""
        self._drain_time = seconds
        self._happens("drain")

    # What is asked of the slot's processes, in whichever stage it is.

    def collect(self, late: Container[str] = ()) -> list[str]:
        """Ask the workers for what they gathered, except those whose ledgers are in ``late``: they were asked already.

        Return the ids of the ledgers of those that were asked.
        """
        if self._stage == "draining":
            return []
        able = [one for one in (self.current, *self.leaving) if one is not None]
        return [one.ledger.ledger_id for one in able if one.ledger.ledger_id not in late and one.collect()]

    def committed(self, snapshot: Snapshot) -> None:
        """Send each worker the offset up to which its journal is in the store, if that has advanced."""
        for one in self.processes:
            one.committed(snapshot)

    def begin_anew(self, ledger_id: str) -> None:
        """Ask the worker that writes this ledger for another session of names, if it is one of ours."""
        for one in self.processes:
            if one.ledger.ledger_id == ledger_id:
                one.begin_anew()

    def handed_on(self) -> list[InheritedWorker]:
        """Return the workers that accept or still serve, as the next image of the supervisor must know them."""
        able = [one for one in self.processes if one.ready_at is not None and one.channel.connected]
        return [one.handed_on(self.number, leaving=one is not self.current) for one in able]

    def starting(self) -> float:
        """Return for how many seconds a process of this slot has been started without accepting, 0 if none is."""
        return max((one.starting() for one in self.processes), default=0.0)

    def give_up(self) -> None:
        """Kill those that do not accept yet."""
        for one in self.processes:
            if one.ready_at is None:
                one.child.kill()

    def kill(self) -> None:
        """End the workers at once."""
        for one in self.processes:
            one.child.kill()

    def kill_stalled(self) -> None:
        """End the present worker at once, because it gives no sign of life."""
        if self.current is not None:
            self.current.stalled = True
            self.current.child.kill()

    # What the processes tell.

    def accepts(self, process: WorkerProcess) -> None:
        """Note that a worker accepts."""
        if process is self.successor:
            self._happens("successor accepts")
        elif process is self.current:
            self._happens("accepts")

    def gathered(self, process: WorkerProcess, message: Gathered) -> None:
        """Pass on what a worker gathered."""
        self._events.gathered(process.ledger, message)

    def over(self, process: WorkerProcess) -> None:
        """Note that a process has ended; it is told when the slot has its next one."""
        self._launcher.ended(process)
        was_current = process is self.current
        if was_current:
            self.current, self._lived = None, process.life()
            self._happens("ends")
        elif process is self.successor:
            self.successor = None
            if self._stage == "replacing":
                self._events.unable(self, f"its successor {outcome_of(process).how}")
            self._happens("successor fails")
        else:
            self.leaving.remove(process)
        self._check_empty()
        if was_current:
            self._events.gone(self, process.ledger, *outcome_of(process))
        else:
            self._events.left(self, process.ledger)

    # What is done.

    def _happens(self, event: Event) -> None:
        self._stage, actions = step(self._stage, event)
        for action in actions:
            self._actions[action]()

    def _check_empty(self) -> None:
        if not self.processes:
            self._happens("emptied")

    def _spawn(self) -> None:
        self.current = self._start_process()
        if self.current is None:
            self._lived = 0.0
            self._happens("unable")

    def _spawn_successor(self) -> None:
        self.successor = self._start_process()
        if self.successor is None:
            self._happens("successor fails")

    def _wait(self) -> None:
        delay = self._backoff.after(self._lived)
        if delay:
            self._respawn = self._reactor.callLater(delay, self.start)
        else:
            self.start()

    def _cancel(self) -> None:
        if self._respawn is not None:
            self._respawn.cancel()
            self._respawn = None

    def _take_over(self) -> None:
        self._retire()
        self._promote()

    def _promote(self) -> None:
        self.current, self.successor = self.successor, None

    def _retire(self) -> None:
        if self.current is not None:
            self.leaving.append(self.current)
            self.current.retire()
            self.current = None

    def _drain(self) -> None:
        self.give_up()
        for one in self.processes:
            if one.ready_at is not None:
                one.drain(self._drain_time)
        self._check_empty()

    def _tell_replaced(self, *, succeeded: bool) -> None:
        done, self._replaced = self._replaced, None
        if done is not None:
            done(succeeded)

    def _start_process(self) -> WorkerProcess | None:
        try:
            return self._launcher.start(self)
        except LaunchError as error:
            self._events.unable(self, str(error))
            return None
