"""Workers that are there and do nothing: noticed by their heartbeat, avoided, and replaced.

The kernel goes on giving a stalled worker its share of the connections: they wait in its queue, and after that they are
lost. So new ones are steered to the other workers first, which costs nothing if the worker comes back, and only when it
does not it is killed. Its replacement serves what waits in the queue.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Sequence

from twisted.logger import Logger

from statsd_tcp.ledger.cells import HEARTBEAT
from statsd_tcp.sockets.bpf import attach, program_without
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.sockets.steering import Steering
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from statsd_tcp.words import in_words

__all__ = ["AVOIDED_AFTER", "KILLED_AFTER", "STARTED_AFTER", "StallWatch"]

AVOIDED_AFTER = 3.0
"""Seconds without a heartbeat after which a worker gets no new connections. It beats once a second."""

KILLED_AFTER = 8.0
"""Seconds without a heartbeat after which it is killed. A worker that waits for a slow disk that long is as good as
dead: its queue, of 4096 connections or so, overflows after a second or two."""

STARTED_AFTER = 60.0
"""Seconds after its start within which a worker must accept, or is killed: fifty times what it takes, for machines that
are as busy as that."""

_NANOSECONDS = 1e9


class StallWatch:
    """Looks at all workers once a second. ``clock`` gives CLOCK_MONOTONIC in nanoseconds, as the heartbeats do."""

    _log = Logger()

    def __init__(
        self,
        slots: Sequence[WorkerSlot],
        listeners: Sequence[BoundListener],
        clock: Callable[[], int] = time.monotonic_ns,
        steering: Steering | None = None,
    ) -> None:
        self._steering = steering or Steering()
        self._slots = slots
        self._listeners = listeners
        self._clock = clock
        self._last = clock()
        self.avoided: frozenset[int] = frozenset()
        """The numbers of the workers that get no new connections at the moment."""

    def check(self) -> None:
        """Look at every worker that accepts, and do what is to be done."""
        now = self._clock()
        # When we were held up ourselves, the workers may have been too: the machine slept, or a debugger stopped us.
        held_up, self._last = (now - self._last) / _NANOSECONDS > AVOIDED_AFTER, now
        if held_up:
            return
        self._end_hung_starts()
        silent = {slot: self._silence(slot, now) for slot in self._slots if slot.state == "ready"}
        self._avoid(frozenset(slot.number for slot, age in silent.items() if age > AVOIDED_AFTER))
        for slot, age in silent.items():
            if age > KILLED_AFTER:
                self._log.error("worker {number} is killed after {age:.1f} s", number=slot.number, age=age)
                slot.kill_stalled()

    def _end_hung_starts(self) -> None:
        for slot in self._slots:
            if slot.starting() > STARTED_AFTER:
                self._log.error(
                    "worker {number} does not accept {age:.0f} s after its start, and is killed",
                    number=slot.number,
                    age=slot.starting(),
                )
                slot.give_up()

    def _silence(self, slot: WorkerSlot, now: int) -> float:
        """Return for how many seconds a worker has been silent: since its last beat, or since we know it."""
        if slot.current is None:
            return 0.0
        beat = slot.current.ledger.cell(HEARTBEAT)
        return max(0.0, (now - beat) / _NANOSECONDS) if beat else 0.0

    def _avoid(self, numbers: frozenset[int]) -> None:
        if numbers == self.avoided:
            return
        # With one worker, or when all are silent, no worker is left for the connections.
        everybody = len(numbers) == len(self._slots)
        groups = [] if everybody else [group for one in self._listeners for group in one.groups if len(group) > 1]
        # One line for all groups, which have one reason.
        for why in sorted({self._steer(group, numbers) for group in groups} - {""}):
            self._log.error("the kernel cannot be told to avoid a worker: {why}", why=why)
        what = "" if everybody else " and gets no new connections"
        for number in sorted(numbers - self.avoided):
            self._log.error("worker {number} gives no sign of life{what}", number=number, what=what)
        for number in sorted(self.avoided - numbers):
            self._log.info("worker {number} gives signs of life again", number=number)
        self.avoided = numbers

    def _steer(self, group: list[socket.socket], numbers: frozenset[int]) -> str:
        """Make the kernel avoid these workers in a group. Return why it does not, or nothing."""
        # A worker may be without a datagram socket.
        without = numbers & frozenset(range(len(group)))
        try:
            if without and len(without) < len(group):
                attach(group[0], program_without(without, len(group)))
            else:
                self._steering.restore(group[0])
        except OSError as error:
            return in_words(error)
        return ""
