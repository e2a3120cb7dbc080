"""Rounds over all servers in turn, so that what changes on the machine meets all of them.

Each measurement runs in a process of its own, in a network namespace of its own where the machine allows that.
"""

import argparse
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from rich.console import Console

from benchmarks.accept import report
from benchmarks.accept.others import Places, fetch_etsy, missing
from benchmarks.measurement import Specification
from benchmarks.programs import CHECKOUT, ToolError
from benchmarks.veth import NETWORKS, Network, refusal

S = TypeVar("S", bound=Specification)
Result = TypeVar("Result")


class Rounds:
    """The servers that are compared, and what is the same for all of their measurements. ``failures`` counts them."""

    def __init__(
        self,
        peers: Sequence[str],
        places: Places,
        number: int,
        seconds: float,
        namespace: tuple[str, ...],
        network: Network = "loopback",
    ) -> None:
        """Leave out the servers that are not on this machine, and say why. etsy's is fetched."""
        self.console = Console(stderr=True)
        self.places = places
        self.peers = [peer for peer in peers if self._is_here(peer)]
        self.number = number
        self.seconds = seconds
        self.failures = 0
        self._namespace = namespace
        self._network: Network = network
        cpus = sorted(os.sched_getaffinity(0))
        apart = len(cpus) > 1
        self._server_cpu = cpus[0] if apart else None
        self._client_cpu = cpus[1] if apart else None

    def circumstances(self, command: str) -> report.Circumstances:
        """What to print above the tables."""
        network = f"{self._network} in a new network namespace for each measurement"
        pinned = f"server on {self._server_cpu}, clients on {self._client_cpu}"
        return report.circumstances(
            command=command,
            network=network if self._namespace else "the machine's own loopback, with what earlier runs left there",
            cpus=pinned if self._server_cpu is not None else "one only, shared by server and clients",
        )

    def specification(self, kind: type[S], peer: str, workload: str, more: Mapping[str, object] | None = None) -> S:
        """What one measurement is told."""
        words = {
            "peer": peer,
            "workload": workload,
            "seconds": self.seconds,
            "server_cpu": self._server_cpu,
            "client_cpu": self._client_cpu,
            "private_network": bool(self._namespace),
            "network": self._network,
            "places": self.places,
        }
        return msgspec.convert(words | dict(more or {}), kind, from_attributes=True)

    def measure(self, module: str, spec: Specification, result: type[Result]) -> Result | None:
        """One measurement; None when it failed, after a line about it."""
        self.console.print(f"[dim]{spec.workload}: {spec.peer}[/dim]", highlight=False)
        run = subprocess.run(
            [*self._namespace, sys.executable, "-m", module, msgspec.json.encode(spec).decode()],
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
            check=False,
        )
        if run.returncode:
            self.failures += 1
            return None
        return msgspec.json.decode(run.stdout, type=result)

    def take(self, peers: Sequence[str], number: int, once: Callable[[str], Result | None]) -> dict[str, list[Result]]:
        """All these servers in turn, ``number`` times. A server that failed once is left out from then on."""
        results: dict[str, list[Result]] = defaultdict(list)
        left = list(peers)
        for _ in range(number):
            for peer in tuple(left):
                measured = once(peer)
                if measured is None:
                    left.remove(peer)
                    results.pop(peer, None)
                else:
                    results[peer].append(measured)
        return dict(results)

    def _is_here(self, peer: str) -> bool:
        why = missing(peer, self.places)
        if peer == "etsy" and why is None and not self.places.etsy:
            try:
                self.places = msgspec.structs.replace(self.places, etsy=str(fetch_etsy()))
            except (ToolError, subprocess.TimeoutExpired) as error:
                why = str(error)
        if why is not None:
            self.console.print(f"[yellow]{peer} is left out[/yellow]: {why}", highlight=False, soft_wrap=True)
        return why is None


def add_round_arguments(parser: argparse.ArgumentParser, rounds: int) -> None:
    """Declare what both comparisons have: how often, how long, where the others' programs are, and the results."""
    add = parser.add_argument
    add("--rounds", type=int, default=rounds, metavar="N", help=f"measure each server N times (default {rounds})")
    add("--seconds", type=float, default=3.0, metavar="S", help="of each measurement (default 3)")
    add("--etsy", default="", metavar="FOLDER", help="the npm package statsd; without it npm fetches it")
    for name in ("statsite", "netdata", "nginx", "haproxy"):
        add(f"--{name}", default=name, metavar="FILE", help=f"the program {name}")
    add("--json", type=Path, metavar="FILE", help="write every single measurement there")
    add(
        "--network",
        choices=NETWORKS,
        default="loopback",
        help="what is between server and clients; veth needs root (default loopback)",
    )


def rounds_of(arguments: argparse.Namespace) -> Rounds:
    """The rounds that a command line asks for; ends the program when they may not have their network."""
    if why := refusal(arguments.network, arguments.namespace):
        sys.exit(f"--network {arguments.network}: {why}")
    places = Places(arguments.etsy, arguments.statsite, arguments.netdata, arguments.nginx, arguments.haproxy)
    rounds = arguments.rounds, arguments.seconds
    return Rounds(arguments.peers, places, *rounds, arguments.namespace, arguments.network)
