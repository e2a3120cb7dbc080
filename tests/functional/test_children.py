"""Children of the service have what they are given, whatever the service's own parent left open."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections import Counter
from pathlib import Path

from tests.functional.conftest import ServiceMaker
from tests.functional.processes import descriptors
from tests.functional.service import Service
from tests.functional.waiting import until

LEAVE_OPEN = "import os, sys; os.dup2(os.open(sys.argv[1], 0), 20); os.dup2(20, 3); os.execv(sys.argv[2], sys.argv[2:])"
"""A program that leaves a file open at 3 and 20, and becomes another one."""

REHEARSED = b"STATSCOUNTER_CHECK="

HELD = """
import os, time
while "STATSCOUNTER_CHECK" in os.environ and not os.path.exists({gate!r}):
    time.sleep(0.02)
"""
"""A sitecustomize with which a child that tries the next image waits at its beginning until there is a file."""

GIVEN = {0: "/dev/null", 1: "pipe", 2: "pipe", 4: "ledger", 5: "socket", 6: "socket", 7: "socket", 8: "sources"}
"""What a worker finds at the numbers that it does not choose itself; the channel at 3 it has at another one by then."""

OPENED = Counter({"ledger": 1, "sources": 1, "socket": 1, "pipe": 2, "eventpoll": 5})
"""What it has elsewhere: the maps of the ledger and of the sources, the channel, and epolls: the reactor's, one for
connections that stay, and one for each of the three moderators."""


def kind(link: str) -> str:
    """Return what is open there, in a word."""
    inner = re.fullmatch(r"anon_inode:\[(.*)\]|(pipe|socket):.*|.*\.(ledger)|/memfd:(sources) \(deleted\)", link)
    return next(filter(None, inner.groups())) if inner else link


def rehearsals(service: Service) -> list[dict[int, str]]:
    """Return what the children have open in which the next image is tried."""
    supervisor = service.process.pid
    found = []
    for pid in map(int, Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()):
        try:
            # Until it has become another program it has all that we have.
            if REHEARSED in Path(f"/proc/{pid}/environ").read_bytes():
                found.append(descriptors(pid))
        except OSError:
            pass
    return found


def check_workers(service: Service) -> None:
    """Check that every worker has exactly what it was given, and what it opened itself."""
    for pid in service.worker_pids().values():
        links = {number: kind(link) for number, link in descriptors(pid).items()}
        assert {number: links.pop(number) for number in GIVEN} == GIVEN
        assert Counter(links.values()) == OPENED


def test_descriptors_of_the_parent(start_service: ServiceMaker, tmp_path: Path) -> None:
    """What the service's parent left open reaches no child, neither at the start nor after a reload."""
    file = tmp_path / "left-open"
    file.touch()
    gate = tmp_path / "gate"
    (tmp_path / "sitecustomize.py").write_text(HELD.format(gate=str(gate)))
    prefix = [sys.executable, "-c", LEAVE_OPEN, str(file)]
    service = start_service(prefix=prefix, workers=2, environ={"PYTHONPATH": str(tmp_path)})
    check_workers(service)
    os.kill(service.process.pid, signal.SIGHUP)
    (tried,) = until(lambda: rehearsals(service), "a rehearsal runs")
    gate.touch()
    assert str(file) not in tried.values()
    until(lambda: "the reload is complete" in service.log, "the reload is complete")
    until(service.is_ready, "the service is ready")
    until(lambda: not any(worker["leaving"] for worker in service.status()["workers"]), "the old ones are gone")
    check_workers(service)
    left = descriptors(service.process.pid)
    assert [left[number] for number in (3, 20)] == [str(file), str(file)]
