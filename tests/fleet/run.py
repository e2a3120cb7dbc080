# ruff: noqa: T201  (a program that tells what it has found)
"""Run the fleet: ``unshare --net python -m tests.fleet.run --seconds 60 --seed 1``, as root. Exit status 0 if right.

First all is well, and three numbers must be equal: the clients' records, the balancer's sessions, and the sum in both
engines. Then violence is done, and the sum must lie between the visits that are sure and those that are in doubt.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.fleet.balancer import LINES_PORT, Balancer
from tests.fleet.clients import Clients
from tests.fleet.engines import FleetEngine
from tests.fleet.network import OUTSIDE, Network
from tests.fleet.node import HITS, Node
from tests.fleet.records import Account
from tests.fleet.violence import Violence
from tests.functional.waiting import until
from tests.patience import LONG_PATIENCE
from tests.torture.report import verdict
from tests.torture.verdict import Row

__all__ = ["main"]

NAMES = ("a", "b", "c")
ENGINES = ("prometheus", "victoria-metrics")
CONNECTIONS = 'statscounter_connections_total{listener="lines"}'
CALM = 500
"""Visits while all is well."""


class Fleet:
    """Everything that runs, until ``stack`` ends it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.network = Network(NAMES)
        stack.callback(self.network.end)
        self.engines = {name: FleetEngine(folder / name, name, OUTSIDE) for name in ENGINES}
        for engine in self.engines.values():
            stack.enter_context(engine)
        self.nodes = [Node(folder / name, self.network, name, self.engines) for name in NAMES]
        for node in self.nodes:
            stack.callback(node.end_quietly)
            node.start()
        self.balancer = Balancer(folder / "balancer", OUTSIDE, self.network.addresses)
        stack.callback(self.balancer.kill)
        self.balancer.start()
        for node in self.nodes:
            self.balancer.await_up(node.name)

    def settle(self) -> None:
        """Wait until no node has anything that waits, and both engines have what the nodes' pages say."""
        until(lambda: all(node.is_at_rest() for node in self.nodes), "all nodes are at rest", LONG_PATIENCE)
        until(self._is_told, "both engines have what the nodes have", LONG_PATIENCE)

    def sums(self, metric: str) -> Mapping[str, float]:
        """Return the sum over all nodes in each engine."""
        return {name: engine.fleet(metric) for name, engine in self.engines.items()}

    def stored(self) -> float:
        """Return what all nodes' stores have."""
        return sum(node.hits() for node in self.nodes)

    def _is_told(self) -> bool:
        return set(self.sums(HITS).values()) == {self.stored()}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="how long violence is done")
    parser.add_argument("--seed", type=int, default=None, help="of the schedule; without one it is another every time")
    parser.add_argument("--rate", type=float, default=100, help="visits a second")
    return parser.parse_args(arguments)


def calm(fleet: Fleet, rate: float) -> list[Row]:
    """Let clients come while all is well, and compare the numbers, which must be equal."""
    clients = Clients((OUTSIDE, LINES_PORT), rate)
    clients.start()
    until(lambda: len(clients.visits) >= CALM, "enough clients have come")
    clients.stop()
    fleet.settle()
    account = Account.of(clients.visits, [])
    number = len(clients.visits)
    rows = [_exactly("visits that had no ok", len(account.lost), 0)]
    rows.append(_exactly("sessions of the balancer", fleet.balancer.sessions(), number))
    for metric in (HITS, CONNECTIONS):
        rows += [_exactly(f"{metric} in {name}", value, number) for name, value in fleet.sums(metric).items()]
    return rows


def violent(fleet: Fleet, seconds: float, rate: float, seed: int) -> list[Row]:
    """Let clients come while things are killed, and compare what came of it."""
    before = fleet.stored()
    violence = Violence(fleet.nodes, fleet.engines, fleet.balancer, seed)
    clients = Clients((OUTSIDE, LINES_PORT), rate)
    clients.start()
    violence.go_on(seconds)
    clients.stop()
    fleet.settle()
    account = Account.of(clients.visits, violence.chronicle.deaths)
    for visit in account.lost[:10]:
        print(f"  lost: {visit}")
    for what, number in sorted(violence.chronicle.done.items()):
        print(f"  {number:6} {what}")
    print(f"  {len(clients.visits)} visits: {account.sure} sure, {account.doubtful} in doubt")
    stored, rows = fleet.stored(), [_exactly("visits lost without a cause", len(account.lost), 0)]
    rows += [
        _exactly(f"{HITS} in {name}, and in the stores", value, stored) for name, value in fleet.sums(HITS).items()
    ]
    least = before + account.sure - violence.left
    rows.append(Row(f"{HITS} of all nodes", least, stored, least + account.doubtful))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it once."""
    given = parse(arguments)
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="statscounter-fleet-"))
        fleet = Fleet(Path(folder), stack)
        try:
            rows = calm(fleet, given.rate)
            rows += violent(fleet, given.seconds, given.rate, seed)
        except BaseException:
            for node in fleet.nodes:
                node.tell()
            raise
    return verdict(f"seed {seed}", rows)


def _exactly(what: str, counted: float, wanted: float) -> Row:
    return Row(what, wanted, counted, wanted)


if __name__ == "__main__":
    sys.exit(main())
