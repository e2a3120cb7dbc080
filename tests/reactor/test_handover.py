"""What an earlier image of the supervisor has left, taken over with real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest_twisted

from statsd_tcp.children import Children
from statsd_tcp.ledger.folder import LedgerFolder
from statsd_tcp.sockets.inherited import InheritedSockets
from statsd_tcp.supervisor.handover import Handover
from tests.reactor.waiting import until

NOWHERE = 1 << 22
"""More than the number of any process."""


def spawn() -> int:
    """Start a process, as an earlier image did."""
    return os.posix_spawn("/bin/sleep", ["sleep", "60"], os.environ)


def is_there(pid: int) -> bool:
    """Return whether a process exists, be it only to be reaped."""
    return Path(f"/proc/{pid}").exists()


@pytest_twisted.ensureDeferred
async def test_reaped(reactor: Any, tmp_path: Path) -> None:
    """A child that is only to be reaped is no zombie when it ends, and one that is gone already does no harm."""
    child = spawn()
    no_slots: Any = SimpleNamespace(present=[], departing=[])
    handover = Handover(reactor, Children(reactor), InheritedSockets(()), no_slots, list)
    handover.begin([], LedgerFolder(tmp_path), [child, NOWHERE])
    handover.stop()
    os.kill(child, signal.SIGKILL)
    await until(reactor, lambda: not is_there(child), "the child is reaped")
