"""One slot for a worker, which is kept filled: spawned, listened to, replaced when it dies or is outdated."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Container, Mapping
from typing import Any, Literal, Protocol

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from statsd_tcp.children import Child, Children, Ending, Lines
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.store.snapshot import LedgerState
from statsd_tcp.supervisor.backoff import HEALTHY_LIFE, Backoff
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.worker_process import Outcome, WorkerProcess, outcome_of, start_worker
from statsd_tcp.workers.channel import (
    Boot,
    Channel,
    Collect,
    Committed,
    Drain,
    Gathered,
    Message,
    Ready,
    Retire,
    one_channel,
)

__all__ = ["SlotEvents", "State", "WorkerSlot"]

State = Literal["starting", "ready", "draining", "waiting", "stopped"]


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
    """The slot number ``number``, with the sockets of its own.

    ``boot`` makes the first message to a worker out of the path of its ledger. ``current`` is the worker that accepts,
    or is about to; ``successor`` one that is to take over from it; ``leaving`` are those that were replaced and still
    have clients.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        children: Children,
        number: int,
        sockets: list[socket.socket],
        listeners: list[tuple[str, str]],
        boot: Callable[[str], Boot],
        ledger_folder: LedgerFolder,
        events: SlotEvents,
    ) -> None:
        self._reactor = reactor
        self._children = children
        self.number = number
        self._sockets = sockets
        self._listeners = listeners
        self._boot = boot
        self._ledger_folder = ledger_folder
        self._events = events
        self._respawn: IDelayedCall | None = None
        self._replaced: Callable[[bool], None] | None = None
        self._held = False
        self.backoff = Backoff()
        self.state: State = "stopped"
        self.current: WorkerProcess | None = None
        self.successor: WorkerProcess | None = None
        self.leaving: list[WorkerProcess] = []

    @property
    def pid(self) -> int:
        """Give the worker's process number, 0 if there is none."""
        return self.current.child.pid if self.current else 0

    @property
    def short_lives(self) -> int:
        """Give how many workers in a row had a short life; 0 as soon as the present one has had a long one."""
        if self.current is not None and self.current.life(self._reactor.seconds()) >= HEALTHY_LIFE:
            return 0
        return self.backoff.short_lives

    @property
    def processes(self) -> list[WorkerProcess]:
        """Give all processes of this slot."""
        return [one for one in (self.current, self.successor, *self.leaving) if one is not None]

    def start(self) -> None:
        """Start a worker. If that can't be done it is tried again later."""
        self._respawn = None
        if self._held:
            self.state = "stopped"
            return
        self.state = "starting"
        self.current = self._start_process()
        # Who was told that it can't be done may have stopped everything.
        if self.current is None and self.state == "starting":
            self._start_later(self.backoff.after(0.0))

    def hold(self) -> None:
        """Start no worker until `release`, whatever dies."""
        self._held = True
        if self._respawn is not None:
            self._respawn.cancel()
            self._respawn = None
            self.state = "stopped"

    def give_up(self) -> None:
        """Kill those that don't accept yet."""
        for one in self.processes:
            if one.ready_at is None:
                one.child.kill()

    def release(self) -> None:
        """Start the worker that is missing, if one is."""
        self._held = False
        if self.state == "stopped":
            self.start()

    def replace(self, done: Callable[[bool], None]) -> None:
        """Start a successor on the same sockets; ``done`` is told whether it accepts. If not, all stays as it was."""
        if self.state != "ready":
            # Whoever comes next is a new one anyway.
            done(True)
            return
        self._replaced = done
        self.successor = self._start_process()
        if self.successor is None:
            self._finish_replacing(False)

    def adopt(self, inherited: InheritedWorker, ledger: Ledger) -> None:
        """Go on with a worker that another image of the supervisor started."""
        pipes = [(descriptor, Lines(self._printed)) for descriptor in inherited.printed]
        process = self._watched(ledger, self._children.inherit(inherited.pid, pipes))
        process.ready_at = self._reactor.seconds()
        if inherited.leaving:
            self.leaving.append(process)
        else:
            self.current = process
            self.state = "ready"
        self._open_channel(process, inherited.channel)
        # The transport has a descriptor of its own.
        os.close(inherited.channel)
        if inherited.unread and process.channel is not None:
            process.channel.dataReceived(inherited.unread)

    def depart(self) -> None:
        """Let the present worker serve its clients to their end, without a successor."""
        if self.current is not None:
            self._retire(self.current)
            self.current = None
        self.state = "stopped"

    def collect(self, late: Container[str] = ()) -> list[str]:
        """Ask the workers for what they gathered, but for those whose ledgers are in ``late``: they were asked already.

        Gives the ids of the ledgers of those that were asked.
        """
        if self.state == "draining":
            return []
        able = [one for one in (self.current, *self.leaving) if one is not None and one.ready_at is not None]
        ids = [(one.ledger.ledger_id, one) for one in able]
        return [ledger_id for ledger_id, one in ids if ledger_id not in late and one.send(Collect())]

    def committed(self, ledgers: Mapping[str, LedgerState]) -> None:
        """Tell each worker up to where its journal is in the store, when that is further than it was told."""
        for one in self.processes:
            state = ledgers.get(one.ledger.ledger_id)
            if state is not None and state.committed > one.told and one.send(Committed(state.committed)):
                one.told = state.committed

    def handed_on(self) -> list[InheritedWorker]:
        """Return the workers that accept or still serve, as the next image of the supervisor shall know them."""
        return [
            InheritedWorker(
                number=self.number,
                pid=one.child.pid,
                ledger_id=one.ledger.ledger_id,
                channel=one.channel.descriptor(),
                unread=one.channel.unread(),
                printed=one.child.pipes,
                leaving=one is not self.current,
            )
            for one in self.processes
            if one.ready_at is not None and one.channel is not None and one.channel.connected
        ]

    def stop(self) -> None:
        """Have the workers read what waits, hand it over, and end; start no other."""
        if self._respawn is not None:
            self._respawn.cancel()
            self._respawn = None
        self.state = "draining" if self.processes else "stopped"
        for one in self.processes:
            if one.ready_at is None:
                one.child.kill()
            else:
                one.send(Drain())

    def kill(self) -> None:
        """End the workers at once."""
        for one in self.processes:
            one.child.kill()

    def _start_process(self) -> WorkerProcess | None:
        try:
            ledger, descriptor = self._ledger_folder.make(self.number, self._listeners)
        except OSError as error:
            self._events.unable(self, f"its ledger can't be made: {error}")
            return None
        try:
            return self._spawn(ledger, descriptor)
        except OSError as error:
            self._events.unable(self, f"its process can't be made: {error}")
            ledger.retired = True
            return None
        finally:
            os.close(descriptor)

    def _spawn(self, ledger: Ledger, descriptor: int) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        try:
            ours.setblocking(False)
            sockets = [one.fileno() for one in self._sockets]
            child = start_worker(
                self._children, self.number, theirs.fileno(), descriptor, sockets, printed=self._printed
            )
            process = self._watched(ledger, child)
            try:
                self._open_channel(process, ours.fileno())
            except OSError as error:
                # Its end comes as any other's does.
                self._events.unable(self, f"it can't be spoken to: {error}")
                process.channel_ended = True
                child.kill()
            else:
                process.send(self._boot(str(ledger.path)))
        finally:
            ours.close()
            theirs.close()
        return process

    def _watched(self, ledger: Ledger, child: Child) -> WorkerProcess:
        process = WorkerProcess(ledger, child)
        child.ended.addCallback(self._exited, process)
        return process

    def _open_channel(self, process: WorkerProcess, descriptor: int) -> None:
        channel = Channel(
            lambda message: self._received(process, message),
            lambda: self._channel_ended(process),
        )
        self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, one_channel(channel))
        process.channel = channel

    def _received(self, process: WorkerProcess, message: Message) -> None:
        if isinstance(message, Gathered):
            self._events.gathered(process.ledger, message)
            if message.last and process.channel is not None:
                process.channel.close()
        elif isinstance(message, Ready):
            process.ready_at = self._reactor.seconds()
            self._accepts(process)

    def _accepts(self, process: WorkerProcess) -> None:
        if process is self.successor:
            before, self.current, self.successor = self.current, process, None
            if before is not None:
                self._retire(before)
            self._finish_replacing(True)
        elif self.state == "starting":
            self.state = "ready"
            self._events.ready(self)

    def _retire(self, process: WorkerProcess) -> None:
        self.leaving.append(process)
        process.send(Retire())

    def _finish_replacing(self, succeeded: bool) -> None:
        done, self._replaced = self._replaced, None
        if done is not None:
            done(succeeded)

    def _printed(self, line: str) -> None:
        self._log.error("worker {number}: {line}", number=self.number, line=line)

    def _exited(self, ending: Ending, process: WorkerProcess) -> None:
        self._check_over(process)

    def _channel_ended(self, process: WorkerProcess) -> None:
        process.channel_ended = True
        self._check_over(process)

    def _check_over(self, process: WorkerProcess) -> None:
        if not process.is_over:
            return
        process.ledger.retired = True
        if process in self.leaving:
            self.leaving.remove(process)
            self._note_empty()
            self._events.left(self, process.ledger)
        elif process is self.successor:
            self.successor = None
            self._note_empty()
            self._events.unable(self, f"its successor {outcome_of(process).how}")
            self._events.left(self, process.ledger)
            self._finish_replacing(False)
        else:
            self._lost(process)

    def _lost(self, process: WorkerProcess) -> None:
        self.current = None
        if self.state == "draining":
            self._note_empty()
        elif self.successor is not None:
            # It has been on its way; from now on it is the one.
            self.current, self.successor = self.successor, None
            self.state = "starting"
            self._finish_replacing(True)
        else:
            self.state = "stopped"
            self._start_later(self.backoff.after(process.life(self._reactor.seconds())))
        outcome, how = outcome_of(process)
        self._events.gone(self, process.ledger, outcome, how)

    def _note_empty(self) -> None:
        if self.state == "draining" and not self.processes:
            self.state = "stopped"

    def _start_later(self, delay: float) -> None:
        if delay:
            self.state = "waiting"
            self._respawn = self._reactor.callLater(delay, self.start)
        else:
            self.start()
