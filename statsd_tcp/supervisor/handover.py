"""After a change of image: the workers that were there are adopted, and replaced one after the other.

A worker that the new configuration has no slot for leaves without a successor. Its sockets leave their groups: new
connections are steered to the others first, then the worker reads its queue to the end, and only then they are closed.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from statsd_tcp.children import Children
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.sockets.bpf import attach, let_in, program_without
from statsd_tcp.sockets.inherited import InheritedSockets
from statsd_tcp.sockets.listener import stop_listening
from statsd_tcp.sockets.steering import Steering
from statsd_tcp.sockets.unix import remove_path
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.slots import Slots
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from statsd_tcp.words import in_words

__all__ = ["HANDSHAKES", "Handover"]

HANDSHAKES = 0.5
"""Seconds for handshakes that had begun when a group was steered elsewhere: they end in the queue where they began."""


class Handover:
    """One round of replacing. ``finished`` is called when all is as the new configuration wants it."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        children: Children,
        inherited: InheritedSockets,
        slots: Slots,
        finished: Callable[[], object],
        steering: Steering | None = None,
    ) -> None:
        self._steering = steering or Steering()
        self._reactor = reactor
        self._children = children
        self._inherited = inherited
        self._slots = slots
        self._queue: list[WorkerSlot] = []
        self._call: IDelayedCall | None = None
        self._pause = HANDSHAKES
        self.running = False
        self._finished = finished

    def begin(
        self,
        workers: Sequence[InheritedWorker],
        ledger_folder: LedgerFolder,
        ending: Sequence[int] = (),
    ) -> None:
        """Adopt the workers, and begin to replace them. Those that are ``ending`` are only reaped."""
        self.running = True
        for pid in ending:
            self._children.inherit(pid)
        for worker in workers:
            self._adopt(worker, ledger_folder)
        for group, stay in self._inherited.shrunk:
            self._steer(group, stay)
        self._turn_away()
        self._queue = [slot for slot in self._slots.present if slot.current is not None]
        self._call = self._reactor.callLater(0, self._next)

    def stop(self) -> None:
        """Stop replacing workers."""
        self._queue = []
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _adopt(self, worker: InheritedWorker, ledger_folder: LedgerFolder) -> None:
        ledger = ledger_folder.claim(worker.ledger_id)
        if ledger is None:
            self._log.error("worker {number} is ended: its ledger is not there", number=worker.number)
            self._children.inherit(worker.pid).kill()
            return
        self._slots.of(worker.number).adopt(worker, ledger)

    def _turn_away(self) -> None:
        """Let no client come to what is given up: the workers read its queues to their end, and then it is closed."""
        for listener in self._inherited.given_up:
            # Where that cannot be done, those that come last are reset.
            with suppress(OSError):
                listener.turn_away()

    def _steer(self, group: list[socket.socket], stay: int) -> None:
        try:
            attach(group[0], program_without(range(stay, len(group)), len(group)))
        except OSError as error:
            self._log.error(
                "a group of sockets cannot be steered; clients may be reset: {error}", error=in_words(error)
            )

    def _next(self) -> None:
        self._call = None
        if self._queue:
            self._queue.pop(0).replace(self._replaced)
        else:
            # Where no socket goes, no handshake can be on its way to one.
            goes = self._slots.departing or self._inherited.rest or self._inherited.shrunk
            self._pause = HANDSHAKES if goes else 0.0
            self._call = self._reactor.callLater(self._pause, self._depart)

    def _replaced(self, succeeded: bool) -> None:
        if not succeeded:
            self._log.error("a worker could not be replaced, and goes on as it was")
        if self._call is None:
            self._call = self._reactor.callLater(0, self._next)

    def _depart(self) -> None:
        for slot in self._slots.departing:
            slot.depart()
        self._call = self._reactor.callLater(self._pause, self._close)

    def _close(self) -> None:
        self._call = None
        for row in self._inherited.rest.values():
            for one in row:
                _close(one)
        self._inherited.rest.clear()
        for group, _ in self._inherited.shrunk:
            try:
                self._steering.restore(group[0])
            except OSError:
                # The program goes on choosing among those that stayed.
                pass
        self._inherited.shrunk.clear()
        self._inherited.given_up.clear()
        self.running = False
        self._log.info("the reload is complete")
        self._finished()


def _close(one: socket.socket) -> None:
    if one.fileno() < 0:
        return
    name = one.getsockname()
    is_file = one.family == socket.AF_UNIX and isinstance(name, str) and name
    if one.family != socket.AF_UNIX and one.type == socket.SOCK_STREAM:
        # systemd may keep a copy, and clients would wait in its queue forever.
        stop_listening(one)
        with suppress(OSError):
            let_in(one)
    one.close()
    if is_file:
        remove_path(name)
