# ruff: noqa: T201  (a program that tells what it has found)
"""Run the torture: ``python -m tests.torture.run --seconds 60 --seed 1``. Exit status 0 if every number is right.

With ``--kills 1000 --supervisor-kills 100`` instead it ends when that many were killed. With ``--isolated`` (inside
``unshare --net``) the kernel's own count of connections is compared too.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from tests.torture.books import Deaths, read
from tests.torture.crowd import Crowd
from tests.torture.hog import Hog
from tests.torture.once import run_once
from tests.torture.report import compare, remains, report, tell_all
from tests.torture.verdict import Account, Row, losses
from tests.torture.victim import make_victim, missing, settled
from tests.torture.violence import Violence
from tests.torture.watch import Watch, short_since
from tests.torture.world import World

__all__ = ["main"]

PLACES = 256
"""Connections that may be open, over all workers."""

HOGGED = 2 * PLACES

MORE = [f"--max-connections={PLACES}", "--first-byte-timeout=3"]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long violence is done")
    parser.add_argument("--kills", type=int, default=0, help="kill this many workers, however long that takes")
    parser.add_argument("--supervisor-kills", type=int, default=0, help="and this many supervisors among them")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; without one it is another every time")
    parser.add_argument("--rate", type=float, default=200, help="short connections a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--isolated", action="store_true", help="nothing else is in this network namespace")
    return parser.parse_args(arguments)


def torture(folder: Path, seed: int, given: argparse.Namespace) -> list[Row]:
    """Do it, and return the rows of the verdict."""
    world = World(folder)
    state = world.disk / "state" if world.disk else None
    victim = make_victim(folder / "victim", given.workers, world.backend, more=MORE, state=state, environ=world.environ)
    try:
        victim.start()
        victim.settled()
        fresh = victim.remains()
        hog = Hog(victim.port("lines"), HOGGED, folder / "hog.book")
        violence = Violence(victim, world, hog, seed)
        crowd = Crowd(victim.port("lines"), victim.port("bare"), folder / "crowd.book", given.rate, seed)
        crowd.start()
        watch = Watch(lambda: missing(victim, world.backend))
        if given.kills or given.supervisor_kills:
            violence.kill(given.kills, given.supervisor_kills)
        else:
            violence.go_on(given.seconds)
        violence.end()
        came = crowd.stop()
        hog.close()
        metrics = settled(victim, world.backend)
        since = short_since(watch.end())
        account = Account(chain(read(crowd.book), read(hog.book)), Deaths(violence.chronicle.deaths))
        rows = compare(account, victim, world.backend, metrics, isolated=given.isolated)
        rows += remains(fresh, victim)
        report(violence.chronicle.done, losses(account, metrics), came)
        if not all(row.right for row in rows):
            tell_all(victim)
            print(f"the backend has been short since {since}")
        return rows
    except BaseException:
        tell_all(victim)
        raise
    finally:
        victim.end_quietly()
        world.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it once."""
    return run_once(parse(arguments), torture)


if __name__ == "__main__":
    sys.exit(main())
