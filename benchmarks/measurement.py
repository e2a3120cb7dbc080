"""One measurement, in a process of its own: given its specification as JSON, it prints its result as JSON."""

import sys
from collections.abc import Callable
from typing import TypeVar

import msgspec

from benchmarks.accept.others import Places
from benchmarks.network import bring_up_loopback
from benchmarks.programs import ToolError
from benchmarks.veth import Network, between


class Specification(msgspec.Struct, frozen=True, kw_only=True):
    """What every measurement is told: the server, the workload, for how many seconds, and where.

    ``within`` are the words before a command that put it into the clients' network, where they have one of their own.
    """

    peer: str
    workload: str
    seconds: float
    server_cpu: int | None
    client_cpu: int | None
    private_network: bool
    places: Places
    network: Network = "loopback"
    within: tuple[str, ...] = ()


S = TypeVar("S", bound=Specification)


def answer(text: str, kind: type[S], measure: Callable[[S], object]) -> int:
    """Measure and print; on failure one line on standard error and status 1."""
    spec = msgspec.json.decode(text, type=kind)
    if spec.private_network:
        bring_up_loopback()
    try:
        with between(spec.network, [spec.server_cpu or 0], [spec.client_cpu or 0]) as within:
            print(msgspec.json.encode(measure(msgspec.structs.replace(spec, within=within))).decode())
    except (ToolError, OSError, msgspec.DecodeError) as error:
        print(f"{spec.workload}: {spec.peer}: {error}", file=sys.stderr)
        return 1
    return 0
