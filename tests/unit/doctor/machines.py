"""Recorded machines, laid out as files for the doctor to read."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import TestCase

from statsd_tcp.doctor.examination import CHECKS, examine
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Judgement
from statsd_tcp.doctor.probes import Roots
from statsd_tcp.kernel.accept_queue import AcceptQueue
from statsd_tcp.kernel.rings import Ring
from statsd_tcp.kernel.sock_diag import Listener

__all__ = ["KINDS", "RecordedProbes", "folder", "judge", "lay_out", "machine"]

TREES = Path(__file__).parents[2] / "data" / "machines"
_MEMORY = "/dev/shm"
PLACE = _MEMORY if os.access(_MEMORY, os.W_OK) else tempfile.gettempdir()
"""Where machines are laid out: in memory if there is such a place. Hundreds of small files are dear on a disk."""

KINDS = ("vm", "container", "centos7", "numa")


class RecordedProbes:
    """Answers from ``probes.json``; listeners are of uid 0 and have the inodes 1, 2 and so on."""

    def __init__(self, file: Path) -> None:
        self.answers = json.loads(file.read_text()) if file.exists() else {"rings": {}, "listeners": []}

    def listeners(self) -> list[Listener]:
        """List the listening sockets."""
        rows = self.answers["listeners"]
        return [
            Listener(
                row["port"],
                AcceptQueue(row.get("queue", 0), row["limit"], row.get("drops", 0)),
                row.get("uid", 0),
                inode,
            )
            for inode, row in enumerate(rows, 1)
        ]

    def ring(self, card: str) -> Ring:
        """Return a card's receive ring."""
        if card not in self.answers["rings"]:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return Ring(*self.answers["rings"][card])


def folder(case: TestCase) -> Path:
    """Make a folder that goes with the test."""
    made = TemporaryDirectory(prefix="statscounter-", dir=PLACE)
    case.addCleanup(made.cleanup)
    return Path(made.name)


def lay_out(text: str, root: Path) -> None:
    """Make the files of a recorded machine below ``root``."""
    links = []
    for entry in ("\n" + text.removesuffix("\n")).split("\n== ")[1:]:
        head, newline, content = entry.partition("\n")
        name, _, target = head.strip().partition(" -> ")
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if target:
            links.append((path, path.parent / target))
        else:
            path.write_text(content + newline)
    for link, place in links:
        place.resolve().mkdir(parents=True, exist_ok=True)
        link.symlink_to(place.resolve())


def machine(kind: str, root: Path) -> Facts:
    """Lay a machine out below ``root``, if it is not there yet, and give its facts."""
    if not (root / "proc").exists():
        lay_out((TREES / f"{kind}.tree").read_text(), root)
    return Facts(Roots(root / "proc", root / "sys"), RecordedProbes(root / "probes.json"))


def judge(facts: Facts, target: Goal, check_id: str) -> Judgement:
    """Make one check."""
    wanted = [check for check in CHECKS if check.id == check_id]
    return examine(facts, target, wanted)[0].judgement
