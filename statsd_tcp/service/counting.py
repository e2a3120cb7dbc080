"""The parts that take lines from workers, living and dead, into the store."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

from twisted.python.threadpool import ThreadPool

from statsd_tcp.children import Children
from statsd_tcp.commit.committer import Committer
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.flush.rules import FlushRules
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.service.outputs import series_limit
from statsd_tcp.state.folder import LEDGERS, STORE
from statsd_tcp.state.lock import HeldLock
from statsd_tcp.status.examples import LastExamples
from statsd_tcp.store.handover import FOLDER
from statsd_tcp.supervisor.start_plan import Plan

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.store.database import Store

__all__ = ["Counting", "make_counting"]


class _StorePool(ThreadPool):
    """The store's thread, for which the process does not wait when it ends: the disk may no longer answer."""

    threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Counting:
    """What counts. ``pool`` has the store's thread, which waits to be started."""

    pool: ThreadPool
    children: Children
    ledger_folder: LedgerFolder
    examples: LastExamples
    recovery: Recovery
    committer: Committer


def make_counting(reactor: Any, plan: Plan, lock: int, rules: FlushRules) -> Counting:
    """Put it together; the store is opened later, by its thread. ``lock`` is the descriptor of the state folder's."""
    pool = _StorePool(minthreads=0, maxthreads=1, name="committer")
    children = Children(reactor)
    ledger_folder = LedgerFolder(plan.state_dir / LEDGERS)
    examples = LastExamples(reactor, kept=not plan.settings.hide_bad_lines)
    recovery = Recovery(reactor, children, at_once=len(os.sched_getaffinity(0)), rejected=examples.add)
    guard = HeldLock(plan.state_dir, lock).keep
    committer = Committer(reactor, pool, _store_opener(plan, rules), ledger_folder, recovery, guard)
    committer.after_commit.append(examples.committed)
    return Counting(pool, children, ledger_folder, examples, recovery, committer)


def _store_opener(plan: Plan, rules: FlushRules) -> Callable[[], Store]:
    """Return a function that opens the store, for the thread that it is to belong to."""

    def open_store() -> Store:
        from statsd_tcp.store.absorption import Absorption
        from statsd_tcp.store.database import Store

        settings = plan.settings
        Absorption(plan.state_dir / STORE, plan.state_dir / FOLDER).run()
        mapper = None if settings.mapping is None else Mapper(settings.mapping)
        return Store(
            plan.state_dir / STORE,
            series_ttl=settings.series_ttl,
            limit=series_limit(settings),
            flushes=rules,
            mapper=mapper,
            counter_suffix=settings.counter_suffix,
            silence=settings.conflict_silence,
            node=settings.node,
        )

    return open_store
