"""Forks and ends of the process: every client of the process is told.

After a fork the child has copies of the parent's locks, numbers and sockets, and none of its threads. So a client
begins with nothing there (`Meter.after_fork`). At the end of a process all clients together have `EXIT_SECONDS` to send
what they have (`Meter.finish`). Processes of `multiprocessing` end without `atexit`, but have a list of finalizers of
their own; so have those of celery's `billiard`, except in a pool, where celery has a signal of its own. None of this is
called in a process that is killed, or that ends by a signal.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any, Protocol
from weakref import WeakSet

__all__ = ["EXIT_SECONDS", "finish_all", "watch", "watch_exit"]

EXIT_SECONDS = 1.0

_FINALIZERS = ("multiprocessing.util", "billiard.util")
_SIGNALS = "celery.signals"


class _Client(Protocol):
    def after_fork(self) -> None: ...

    def finish(self, timeout: float) -> None: ...


_clients: WeakSet[Any] = WeakSet()
_watched: set[tuple[int, str]] = set()


def watch(client: _Client) -> None:
    """Tell a client of forks and of the end of the process, for as long as it lives."""
    _clients.add(client)


def watch_exit() -> None:
    """Have processes that end without `atexit` send what they have; called in the process that counts.

    It does nothing in a parent, and nothing the second time.
    """
    for name in (*_FINALIZERS, _SIGNALS):
        module: Any = sys.modules.get(name)
        if module is not None and (os.getpid(), name) not in _watched:
            _watched.add((os.getpid(), name))
            if name == _SIGNALS:
                module.worker_process_shutdown.connect(_finish_pool_process, weak=False)
            else:
                # Finalizers of a higher priority may count; this comes last.
                module.Finalize(None, finish_all, exitpriority=0)


def finish_all() -> None:
    """Send what there is, within `EXIT_SECONDS` for all clients together."""
    deadline = time.monotonic() + EXIT_SECONDS
    for client in list(_clients):
        client.finish(max(0.0, deadline - time.monotonic()))


def _finish_pool_process(**_: object) -> None:
    finish_all()


def _after_fork() -> None:
    for client in list(_clients):
        client.after_fork()


atexit.register(finish_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
