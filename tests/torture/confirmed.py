# ruff: noqa: T201  (a program that tells what it has found)
"""Torture with the clients' own books: ``python -m tests.torture.confirmed --seconds 60 --seed 1``.

Clients count with the client package at each of its levels: directly, through HAProxy, through a relay that swallows
answers, and while they fork or are killed. The service suffers what the torture does to it. At the end

    stored   the totals are equal to the books, and nothing is in doubt; for clients that were killed the totals are
             not less than what was confirmed to them, and not more than they have made
    read     not less than what was confirmed, and not more than was made
    sent     not more than was made: what may be lost is told

Exit status 0 if that is so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.functional.haproxy import HAPROXY
from tests.functional.metrics import Metrics
from tests.functional.service import LOOPBACK
from tests.ports import free_port
from tests.torture.between import Balancer, Swallower
from tests.torture.callers import Callers
from tests.torture.hog import Hog
from tests.torture.once import run_once
from tests.torture.report import remains, tell_all
from tests.torture.run import HOGGED, MORE
from tests.torture.verdict import Row
from tests.torture.victim import Victim, make_victim, settled
from tests.torture.violence import Violence
from tests.torture.world import World

__all__ = ["main"]

STORED, READ, SENT = "stored", "read", "sent"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long violence is done")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; without one it is another every time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--isolated", action="store_true", help="nothing else is in this network namespace")
    return parser.parse_args(arguments)


def endpoints() -> list[str]:
    """Return the listeners of the levels, on ports that stay the same."""
    keys = {STORED: ":confirm=stored", READ: ":confirm=read", SENT: ""}
    return [f"tcp:{free_port()}:{LOOPBACK}:name={name}{key}" for name, key in keys.items()]


def callers(folder: Path, victim: Victim, balancer: Balancer | None, relay: Swallower, seed: int) -> list[Callers]:
    """Make all that count."""
    stored, read, sent = map(victim.port, (STORED, READ, SENT))
    made = [
        Callers(folder, "stored_direct", STORED, stored, seed),
        Callers(folder, "stored_swallowed", STORED, relay.port, seed),
        Callers(folder, "stored_forking", STORED, stored, seed, number=1, forks=True),
        Callers(folder, "stored_killed", STORED, stored, seed, killed=True),
        Callers(folder, "read_direct", READ, read, seed),
        Callers(folder, "sent_direct", SENT, sent, seed),
    ]
    if balancer is not None:
        made.append(Callers(folder, "stored_balanced", STORED, balancer.ports[stored], seed))
        made.append(Callers(folder, "read_balanced", READ, balancer.ports[read], seed))
    return made


def rows_of(one: Callers, metrics: Metrics) -> list[Row]:
    """Compare the books of some with the totals."""
    calls, counted = one.calls(), sum(metrics.values(one.name))
    print(f"  {one.name}: {calls}, counted {counted:.0f}")
    if one.level == STORED and not one.killed:
        return [
            Row(f"{one.name}: counted", calls.made, counted, calls.made),
            Row(f"{one.name}: confirmed", calls.made, calls.confirmed, calls.made),
            Row(f"{one.name}: in doubt or dropped", 0, calls.in_doubt + calls.dropped, 0),
        ]
    # At the level sent confirmed means only that the kernel has it.
    least = 0 if one.level == SENT else calls.confirmed
    return [Row(f"{one.name}: counted", least, counted, calls.made)]


def torture(folder: Path, seed: int, given: argparse.Namespace) -> list[Row]:
    """Do it, and return the rows of the verdict."""
    world = World(folder)
    state = world.disk / "state" if world.disk else None
    victim = make_victim(
        folder / "victim",
        given.workers,
        world.backend,
        more=MORE,
        state=state,
        environ=world.environ,
        and_listen=endpoints(),
    )
    everybody: list[Callers] = []
    balancer: Balancer | None = None
    try:
        victim.start()
        fresh = victim.remains()
        if HAPROXY:
            balancer = Balancer(folder, [victim.port(STORED), victim.port(READ)])
            balancer.start()
        relay = Swallower(victim.port(STORED), seed)
        relay.start()
        hog = Hog(victim.port("lines"), HOGGED, folder / "hog.book")
        violence = Violence(victim, world, hog, seed)
        everybody = callers(folder, victim, balancer, relay, seed)
        for one in everybody:
            one.start()
        violence.go_on(given.seconds)
        violence.end()
        for one in everybody:
            one.stop()
        relay.end()
        hog.close()
        metrics = settled(victim, world.backend)
        for what, number in violence.chronicle.done.items():
            print(f"  {number:6} {what}")
        print(f"  {relay.swallowed:6} answers swallowed")
        print(f"  batches: {metrics.by('statscounter_batches_total', 'outcome')}")
        rows = [row for one in everybody for row in rows_of(one, metrics)]
        refused = sum(metrics.by("statscounter_batches_refused_total", "reason").values())
        rows += [Row("batches refused", 0, refused, 0), *remains(fresh, victim)]
        if not all(row.right for row in rows):
            tell_all(victim)
        return rows
    except BaseException:
        tell_all(victim)
        raise
    finally:
        for one in everybody:
            one.end()
        if balancer is not None:
            balancer.end()
        victim.end_quietly()
        world.end()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it once."""
    return run_once(parse(arguments), torture)


if __name__ == "__main__":
    sys.exit(main())
