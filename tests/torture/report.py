# ruff: noqa: T201  (what these programs tell)
"""The rows that every run has, and what is printed at its end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence

from tests.functional.isolated import kernel_counts
from tests.functional.metrics import Metrics
from tests.torture.backend import COUNTS, Backend
from tests.torture.books import LINE_KINDS
from tests.torture.crowd import Came
from tests.torture.verdict import Account, Row, judge
from tests.torture.victim import Victim

__all__ = ["can_isolate", "compare", "remains", "report", "tell_all", "verdict"]

PAGES = 4
"""Descriptors that may be open for a moment: pages that are being asked for, the store's files, a flush on its way."""

TRIES = 20
BETWEEN_TRIES = 0.2
"""Looks at what may still be on its way, as on a busy machine, and seconds between two of them."""


def compare(account: Account, victim: Victim, backend: Backend, metrics: Metrics, *, isolated: bool) -> list[Row]:
    """Return the rows of the comparison; when ``isolated``, with the kernel's count of connections."""
    rows = judge(account, metrics, {kind: backend.total(f"{COUNTS}{kind}") for kind in LINE_KINDS})
    rows.append(Row("values that others replaced in the backend", 0, backend.replaced, 0))
    return [*rows, in_kernel(victim, backend, account)] if isolated else rows


def in_kernel(victim: Victim, backend: Backend, account: Account) -> Row:
    """Compare the clients' books with the kernel's count: both must know the same connections.

    For a client a connection is made one packet earlier than for the kernel of the server. The last packet counts for
    nothing if the listening socket is closed before it comes, as by a supervisor's death.
    """
    connected = account.connected.total()
    for _ in range(TRIES):
        counted = kernel_counts()["PassiveOpens"] - victim.asked - backend.accepted
        if counted == connected:
            break
        # The backend may have had a connection just then that it had not accepted.
        time.sleep(BETWEEN_TRIES)
    return Row("connections in the kernel's count", account.safe.total(), counted, connected)


def remains(fresh: dict[str, int], victim: Victim) -> list[Row]:
    """Compare what the supervisor has with what a new one has: reloads and deaths must leave nothing behind."""
    most = {"zombies": 0, "descriptors": fresh["descriptors"] + PAGES}
    for _ in range(TRIES):
        rows = [Row(what, 0, amount, most[what]) for what, amount in victim.remains().items()]
        if all(row.right for row in rows):
            break
        # A child may have ended just then.
        time.sleep(BETWEEN_TRIES)
    return rows


def report(done: Mapping[str, int], cost: Mapping[str, float], came: Came) -> None:
    """Print what was done, what it cost, and how many clients there were."""
    for what, number in done.items():
        print(f"  {number:6} {what}")
    for what, amount in cost.items():
        print(f"  {amount:9.0f} {what}")
    print(f"  {came}")


def tell_all(victim: Victim) -> None:
    """Print all that the service has said."""
    for log in sorted(victim.folder.glob("start-*.log")):
        print(f"--- {log.name}\n{log.read_text()}")


def verdict(what: str, rows: Sequence[Row]) -> int:
    """Print the rows, and return the exit status: 0 if every one is right."""
    for row in rows:
        print(
            f"  {'right' if row.right else 'WRONG'}  {row.what}: {row.counted:.0f} ({row.least:.0f} to {row.most:.0f})"
        )
    right = all(row.right for row in rows)
    print(f"{what}: {'exact' if right else 'WRONG'}")
    return 0 if right else 1


def can_isolate() -> bool:
    """Return whether this machine gives us a network namespace of our own."""
    try:
        return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
