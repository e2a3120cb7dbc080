# ruff: noqa: T201  (a program that tells what it has found)
"""Reload in a row under load: ``python -m tests.torture.reloads --times 100``. Exit status 0 if every number is right.

HUP and USR2 in turn, each as soon as the one before is complete, while clients come, go and stay. Nothing dies, so
nothing may be refused, cut off, missing or counted twice. With ``--isolated`` (inside ``unshare --net``) the kernel's
own count of connections is compared too.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from tests.functional.isolated import bring_up
from tests.functional.waiting import until
from tests.patience import LONG_PATIENCE
from tests.torture.backend import Backend
from tests.torture.books import Deaths, read
from tests.torture.crowd import Crowd
from tests.torture.report import compare, remains, report, tell_all, verdict
from tests.torture.verdict import Account, Row, losses
from tests.torture.victim import Victim, make_victim, settled

__all__ = ["main"]

COMPLETE = "the reload is complete"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100, help="how many reloads")
    parser.add_argument("--rate", type=float, default=200, help="short connections a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--isolated", action="store_true", help="nothing else is in this network namespace")
    return parser.parse_args(arguments)


def reload(victim: Victim, how: signal.Signals) -> float:
    """Reload once, to the end, and return how long that took, in seconds."""
    began, complete = time.monotonic(), victim.log.count(COMPLETE)
    os.kill(victim.process.pid, how)
    until(lambda: victim.log.count(COMPLETE) > complete, f"the reload by {how.name} is complete", LONG_PATIENCE)
    return time.monotonic() - began


def reloads(folder: Path, given: argparse.Namespace) -> list[Row]:
    """Do it, and return the rows of the verdict."""
    backend = Backend()
    victim = make_victim(folder / "victim", given.workers, backend)
    try:
        victim.start()
        victim.settled()
        fresh = victim.remains()
        crowd = Crowd(
            victim.port("lines"), victim.port("bare"), folder / "crowd.book", given.rate, random.randrange(1 << 32)
        )
        crowd.start()
        took = [reload(victim, how) for how in islice(cycle((signal.SIGHUP, signal.SIGUSR2)), given.times)]
        came = crowd.stop()
        metrics = settled(victim, backend)
        account = Account(read(crowd.book), Deaths(()))
        rows = compare(account, victim, backend, metrics, isolated=given.isolated)
        rows += remains(fresh, victim)
        rows.append(Row("reloads", given.times, victim.log.count(COMPLETE), given.times))
        rows.append(Row("workers that died", 0, metrics.total("statscounter_worker_restarts_total"), 0))
        report({}, losses(account, metrics), came)
        print(f"  {sum(took) / len(took):9.1f} s a reload, {max(took):.1f} s at most")
        if not all(row.right for row in rows):
            tell_all(victim)
        return rows
    finally:
        victim.end_quietly()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it once."""
    given = parse(arguments)
    if given.isolated:
        bring_up()
    with tempfile.TemporaryDirectory(prefix="statscounter-torture-") as folder:
        rows = reloads(Path(folder), given)
    return verdict(f"{given.times} reloads", rows)


if __name__ == "__main__":
    sys.exit(main())
