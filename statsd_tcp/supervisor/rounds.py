r"""Once a second every worker is asked for what it gathered, so that the answers can be committed together.

                    committer.commit()
                            ^
every second  ask all ------+--- answers ---> the last one that is waited for
                    \                         or one that was not asked: its journal is full
                     '--- no worker to ask, or the last commit failed
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from statsd_tcp.commit.committer import Committer
from statsd_tcp.supervisor.worker_slot import WorkerSlot

__all__ = ["AFTER_SECOND", "Rounds", "until_next"]

AFTER_SECOND = 0.01
"""Seconds after the start of each second of the wall clock at which the workers are asked: right after the ends of
flushes."""

_CLOSEST = 0.1
"""The part of a period that lies between two rounds at least: a timer may come a microsecond early, and would come at
once again."""


def until_next(wall: float, period: float = 1.0) -> float:
    """Return for how many seconds to wait, at ``wall`` of the wall clock, until the next round is due.

    ``period`` is in seconds: one, or a whole part of one.
    """
    rest = period - (wall - AFTER_SECOND) % period
    return rest if rest >= _CLOSEST * period else rest + period


class Rounds:
    """Asks the workers in ``slots`` every ``period`` seconds, and calls ``begin`` once a second, asked or not.

    Rounds come with the seconds of the clock ``wall``, or whole parts of them, but are waited for by the reactor's. How
    long is worked out each time, so that no round is missed when the wall clock is set, and the one after it is
    with its seconds again.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        slots: Iterable[WorkerSlot],
        committer: Committer,
        begin: Callable[[], object],
        wall: Callable[[], float],
        period: float = 1.0,
    ) -> None:
        self._reactor = reactor
        self._slots = slots
        self._committer = committer
        self._begin = begin
        self._wall = wall
        self._period = period
        self._until_begin = 1
        """How many more rounds there are until a second has passed."""
        self._asked: set[str] = set()
        """The ledgers of those that have not answered: they are not asked once more."""
        self._awaited: set[str] = set()
        """Those of them that were asked in the last round: the commit waits for them, and for no other."""
        self._next: IDelayedCall | None = None

    @property
    def are_open(self) -> bool:
        """Return whether a worker has been asked and has not answered."""
        return bool(self._asked)

    def start(self) -> None:
        """Ask from now on, if that is not so already."""
        if self._next is None:
            self._await_next()

    def stop(self) -> None:
        """Stop asking."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def answered(self, ledger_id: str) -> bool:
        """Note an answer, or that none will come; return whether it is time to commit."""
        unasked = ledger_id not in self._asked
        self._asked.discard(ledger_id)
        self._awaited.discard(ledger_id)
        return unasked or not self._awaited

    def _await_next(self) -> None:
        self._next = self._reactor.callLater(until_next(self._wall(), self._period), self._ask_all)

    def _ask_all(self) -> None:
        # First of all: what is begun may stop the rounds.
        self._await_next()
        try:
            self._until_begin -= 1
            if not self._until_begin:
                self._until_begin = round(1 / self._period)
                self._begin()
            self._ask()
        except Exception:  # noqa: BLE001  (one round that fails must not take the others with it, nor what it begins)
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
