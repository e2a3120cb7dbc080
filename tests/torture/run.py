# ruff: noqa: T201  (a program that tells what it has found)
"""Run the torture: ``python -m tests.torture.run --seconds 60 --seed 1``. Exit status 0 if every number is right.

With ``--isolated`` (inside ``unshare --net``) the kernel's own count of connections is compared too.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.functional.isolated import bring_up, kernel_counts
from tests.functional.metrics import Metrics
from tests.functional.service import LOOPBACK, options
from tests.functional.waiting import until
from tests.ports import free_port
from tests.torture.backend import Backend
from tests.torture.books import LINE_KINDS, Books, Death
from tests.torture.crowd import Crowd
from tests.torture.verdict import Row, judge, losses
from tests.torture.violence import Victim, Violence, quiet

__all__ = ["can_isolate", "compare", "main", "make_victim", "remains", "report", "settled", "tell_all", "verdict"]

SETTLED = 120.0
"""Seconds until all is counted at the end: flushes that a backend missed are tried again after a while."""

FLUSH = 1
"""Seconds that an output flush has."""

PAGES = 4
"""Descriptors that may be open for a moment: pages that are being asked for, the store's files, a flush on its way."""


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long violence is done")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; without one it is another every time")
    parser.add_argument("--rate", type=float, default=200, help="short connections a second")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--isolated", action="store_true", help="nobody else is in this network namespace")
    return parser.parse_args(arguments)


def make_victim(folder: Path, workers: int, backend: Backend) -> Victim:
    """Make a service on ports that stay the same over its restarts."""
    tcp = f"tcp:{{}}:{LOOPBACK}:name={{}}"
    more = [f"--flush-interval={FLUSH}", f"--graphite=tcp:127.0.0.1:{backend.port}", "--output-queue=100000"]
    listen, count = [tcp.format(free_port(), "lines")], [tcp.format(free_port(), "bare")]
    http = f"tcp:{free_port()}:{LOOPBACK}"
    return Victim(folder, options(folder / "state", workers=workers, listen=listen, count=count, http=http, more=more))


def remains(fresh: dict[str, int], now: dict[str, int]) -> list[Row]:
    """Compare what the supervisor has with what a new one has: reloads and deaths must leave nothing behind."""
    most = {"zombies": 0, "descriptors": fresh["descriptors"] + PAGES}
    return [Row(what, 0, amount, most[what]) for what, amount in now.items()]


def in_kernel(victim: Victim, backend: Backend, books: Books) -> Row:
    """Compare the clients' books with the kernel's count: both must know the same connections."""
    counted = kernel_counts()["PassiveOpens"] - victim.asked - backend.accepted
    connected = sum(1 for visit in books.visits if visit.connected)
    return Row("connections in the kernel's count", connected, counted, connected)


def settled(victim: Victim, backend: Backend) -> Metrics:
    """Wait until all that came is counted, and has been delivered to the backend; give a scrape from after that."""
    until(lambda: quiet(victim), "all is counted", SETTLED)
    # What came last is in a flush that ends by then. To count commits instead would not do: on a busy machine
    # several may fall into a second, and the delivery comes after them.
    last = time.time() + FLUSH
    until(lambda: backend.newest > last, "all flushes are delivered", SETTLED)
    return until(lambda: quiet(victim), "all is counted", SETTLED)


def compare(
    books: Books, deaths: Sequence[Death], victim: Victim, backend: Backend, metrics: Metrics, *, isolated: bool
) -> list[Row]:
    """Give the rows that every run has."""
    rows = judge(books, deaths, metrics, {kind: backend.total(f"stats_counts.{kind}") for kind in LINE_KINDS})
    return [*rows, in_kernel(victim, backend, books)] if isolated else rows


def torture(folder: Path, seed: int, given: argparse.Namespace) -> list[Row]:
    """Do it, and give the rows of the verdict."""
    backend, books = Backend(), Books()
    victim = make_victim(folder, given.workers, backend)
    try:
        victim.start()
        victim.settled()
        fresh = victim.remains()
        violence = Violence(victim, backend, seed)
        crowd = Crowd(victim.port("lines"), victim.port("bare"), books, given.rate, seed)
        crowd.start()
        violence.go_on(given.seconds)
        violence.end()
        crowd.stop()
        metrics = settled(victim, backend)
        rows = compare(books, violence.deaths, victim, backend, metrics, isolated=given.isolated)
        rows += remains(fresh, victim.remains())
        report(violence.done, losses(books, violence.deaths, metrics))
        if not all(row.right for row in rows):
            tell_all(victim)
        return rows
    finally:
        victim.end_quietly()


def report(done: Mapping[str, int], cost: Mapping[str, float]) -> None:
    """Print what was done, and what it cost."""
    for what, number in done.items():
        print(f"  {number:6} {what}")
    for what, amount in cost.items():
        print(f"  {amount:9.0f} {what}")


def tell_all(victim: Victim) -> None:
    """Print all that the service has said."""
    for log in sorted(victim.folder.glob("start-*.log")):
        print(f"--- {log.name}\n{log.read_text()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it once."""
    given = parse(arguments)
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    if given.isolated:
        bring_up()
    with tempfile.TemporaryDirectory(prefix="statscounter-torture-") as folder:
        rows = torture(Path(folder) / "victim", seed, given)
    return verdict(f"seed {seed}", rows)


def verdict(what: str, rows: Sequence[Row]) -> int:
    """Print the rows, and give the exit status: 0 if every one is right."""
    for row in rows:
        print(
            f"  {'right' if row.right else 'WRONG'}  {row.what}: {row.counted:.0f} ({row.least:.0f} to {row.most:.0f})"
        )
    right = all(row.right for row in rows)
    print(f"{what}: {'exact' if right else 'WRONG'}")
    return 0 if right else 1


def can_isolate() -> bool:
    """Tell whether this machine gives us a network namespace of our own."""
    try:
        return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    sys.exit(main())
