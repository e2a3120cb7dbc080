"""How the worker processes of one slot come: started with the slot's sockets, or left by another image of us."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.logger import Logger

from statsd_tcp.children import Child, Children, Lines, environment
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.worker_process import ProcessEvents, WorkerProcess
from statsd_tcp.who.limit_board import LimitBoard
from statsd_tcp.who.memory import SourceBoard, SourceMemory
from statsd_tcp.words import in_words
from statsd_tcp.workers.channel import CHANNEL_DESCRIPTOR, FIRST_SOCKET, LEDGER_DESCRIPTOR, Boot

__all__ = ["LaunchError", "Launcher", "command"]


class LaunchError(Exception):
    """A worker cannot be started; the text says what of it."""


class Launcher:
    """Makes processes for the slot ``number``, with the sockets of its own.

    ``boot`` makes the first message to a worker out of the path of its ledger.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        children: Children,
        number: int,
        sockets: Sequence[socket.socket],
        listeners: list[tuple[str, str]],
        boot: Callable[[str], Boot],
        ledger_folder: LedgerFolder,
        board: SourceBoard | None = None,
        limits: LimitBoard | None = None,
    ) -> None:
        """``board``: where sources are counted, if they are. ``limits``: where they are limited, if they are."""
        self._reactor = reactor
        self._children = children
        self.number = number
        self._sockets = sockets
        self._listeners = listeners
        self._boot = boot
        self._ledger_folder = ledger_folder
        self._board = board
        self._limits = limits

    def start(self, events: ProcessEvents) -> WorkerProcess:
        """Start a worker with a new ledger. Raises `LaunchError`."""
        try:
            ledger, lock = self._ledger_folder.make(self.number, self._listeners)
        except OSError as error:
            raise LaunchError(f"its ledger cannot be made: {in_words(error)}") from error
        try:
            return self._start_with(ledger, lock, events)
        except OSError as error:
            ledger.retired = True
            raise LaunchError(f"its process cannot be made: {in_words(error)}") from error
        finally:
            os.close(lock)

    def ended(self, process: WorkerProcess) -> None:
        """Note that a process has ended: nothing will be added to its sources, and it has no open connections."""
        self._end_sources(process.sources)
        self._give_back(process.column)
        process.column = None

    def adopt(self, inherited: InheritedWorker, ledger: Ledger, events: ProcessEvents) -> WorkerProcess:
        """Go on with a worker that another image of the supervisor started."""
        pipes = [(descriptor, Lines(self._printed)) for descriptor in inherited.printed]
        process = WorkerProcess(self._reactor, ledger, self._children.inherit(inherited.pid, pipes), events)
        process.ready_at = self._reactor.seconds()
        process.open(inherited.channel)
        # The transport has a descriptor of its own.
        os.close(inherited.channel)
        if inherited.unread:
            process.channel.dataReceived(inherited.unread)
        return process

    def _start_with(self, ledger: Ledger, lock: int, events: ProcessEvents) -> WorkerProcess:
        sources = self._board.make() if self._board is not None else None
        column = self._column()
        try:
            process = self._connected(ledger, lock, events, sources)
        except OSError:
            self._end_sources(sources)
            self._give_back(column)
            raise
        process.sources, process.column = sources, column
        boot = self._boot(str(ledger.path))
        if sources is not None:
            boot = msgspec.structs.replace(boot, sources=self._sources_descriptor)
        if column is not None:
            boot = msgspec.structs.replace(boot, limits=self._limits_descriptor, column=column)
        process.send(boot)
        return process

    def _connected(
        self, ledger: Ledger, lock: int, events: ProcessEvents, sources: SourceMemory | None
    ) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            child = self._start_child(theirs.fileno(), lock, sources)
            process = WorkerProcess(self._reactor, ledger, child, events)
            try:
                process.open(ours.fileno())
            except OSError:
                child.kill()
                raise
        return process

    def _end_sources(self, sources: SourceMemory | None) -> None:
        if self._board is not None and sources is not None:
            self._board.end(sources)

    def _column(self) -> int | None:
        """Return the column of the limits for a new worker."""
        if self._limits is None:
            return None
        column = self._limits.take()
        if column is None:
            self._log.warn("worker {number} does not limit sources: too many old workers still run", number=self.number)
        return column

    def _give_back(self, column: int | None) -> None:
        if self._limits is not None and column is not None:
            self._limits.give_back(column)

    @property
    def _limits_descriptor(self) -> int:
        return self._sources_descriptor + 1

    @property
    def _sources_descriptor(self) -> int:
        return FIRST_SOCKET + len(self._sockets)

    def _start_child(self, channel: int, lock: int, sources: SourceMemory | None) -> Child:
        sockets = [one.fileno() for one in self._sockets]
        descriptors = {CHANNEL_DESCRIPTOR: channel, LEDGER_DESCRIPTOR: lock, **dict(enumerate(sockets, FIRST_SOCKET))}
        if sources is not None:
            descriptors[self._sources_descriptor] = sources.descriptor
        if self._limits is not None:
            descriptors[self._limits_descriptor] = self._limits.descriptor
        pipes = {1: Lines(self._printed), 2: Lines(self._printed)}
        return self._children.start(command(self.number), environment(os.environ), pipes, descriptors)

    def _printed(self, line: str) -> None:
        self._log.error("worker {number}: {line}", number=self.number, line=line)


def command(worker: int) -> list[str]:
    """Return the command line; the number in it is shown in the list of processes."""
    # -P: nothing is imported from the folder in which the service happens to be started.
    return [sys.executable, "-P", "-m", "statsd_tcp.workers", str(worker)]
