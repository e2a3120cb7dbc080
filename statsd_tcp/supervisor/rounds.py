r"""Once a second every worker is asked for what it gathered, so that the answers can be committed together.

                    committer.commit()
                            ^
every second  ask all ------+--- answers ---> the last one that is waited for
                    \                         or one that was not asked: its journal is full
                     '--- nobody to ask, or the last commit failed
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from statsd_tcp.commit.committer import Committer
from statsd_tcp.supervisor.worker_slot import WorkerSlot

__all__ = ["COMMIT_PERIOD", "Rounds"]

COMMIT_PERIOD = 1.0
"""Seconds between two commits."""

AFTER_SECOND = 0.01
"""So long after the beginning of a second of the clock the workers are asked, in seconds."""


class Rounds:
    """Asks the workers in ``slots``. ``begin`` is called at each beginning, also when nobody is asked."""

    _log = Logger()

    def __init__(
        self, reactor: Any, slots: Iterable[WorkerSlot], committer: Committer, begin: Callable[[], object]
    ) -> None:
        self._reactor = reactor
        self._slots = slots
        self._committer = committer
        self._begin = begin
        self._asked: set[str] = set()
        """The ledgers of those that have not answered: they are not asked once more."""
        self._awaited: set[str] = set()
        """Those of them that were asked in the last round: the commit waits for them, and for no other."""
        self._call = LoopingCall(self._ask_all)
        self._call.clock = reactor

    @property
    def are_open(self) -> bool:
        """Return whether a worker has been asked and has not answered."""
        return bool(self._asked)

    def start(self) -> None:
        """Ask from now on, if that is not so already."""
        if self._call.running:
            return
        self._call.start(COMMIT_PERIOD, now=False)
        # From the second time on it comes with the clock's seconds, right behind the ends of flushes.
        self._call.starttime = math.floor(self._reactor.seconds()) + AFTER_SECOND

    def stop(self) -> None:
        """Ask no more."""
        if self._call.running:
            self._call.stop()

    def answered(self, ledger_id: str) -> bool:
        """Note an answer, or that none will come; return whether it is time to commit."""
        unasked = ledger_id not in self._asked
        self._asked.discard(ledger_id)
        self._awaited.discard(ledger_id)
        return unasked or not self._awaited

    def _ask_all(self) -> None:
        try:
            self._begin()
            self._ask()
        except Exception:  # noqa: BLE001  (a LoopingCall that raises stops for ever, and with it all commits)
            self._log.failure("a round of collecting failed")

    def _ask(self) -> None:
        if self._committer.failure:
            # What was gathered already waits for a commit that works: the rest is safer in the journals.
            self._committer.commit()
            return
        self._awaited = {ledger_id for slot in self._slots for ledger_id in slot.collect(self._asked)}
        self._asked |= self._awaited
        if not self._awaited:
            self._committer.commit()
