"""One service in a network namespace of its own, where the kernel's counts are its own.

Run as ``unshare --net python -m tests.functional.isolated FOLDER SCENE``; prints what the kernel and the service have
counted as JSON.
"""

from __future__ import annotations

import fcntl
import json
import random
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from statsd_tcp.who.layout import Record
from tests.functional.clients import Burst, bare, half_close, read_end, reset
from tests.functional.processes import held
from tests.functional.service import Service, options
from tests.functional.sources import memories, prolong, records_of
from tests.functional.waiting import until

_SET_FLAGS = 0x8914
_UP_AND_RUNNING = 0x41

LINE = b"hits:1|c\n"
QUEUE = 32
"""The longest accept queue in this namespace."""

SOURCES = 70_000
FIRST = 50
"""How many there are, and how many of those that come most often must be known."""

AT_ONCE = 200

KILLS = 2
"""How often the worker is killed, which costs the count of one connection at most."""


def bring_up() -> None:
    """Make loopback work."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sh14x", b"lo", _UP_AND_RUNNING))


def kernel_counts() -> dict[str, int]:
    """Read what the kernel has counted in this namespace: accepted connections, and full queues."""
    result: dict[str, int] = {}
    for file in ("snmp", "netstat"):
        rows = Path("/proc/self/net", file).read_text().splitlines()
        for names, numbers in zip(rows[::2], rows[1::2], strict=True):
            result.update(zip(names.split()[1:], map(int, numbers.split()[1:]), strict=True))
    return {name: result[name] for name in ("PassiveOpens", "ListenOverflows")}


def mixed(service: Service) -> None:
    """Bare connections, connections with a line, and ones that are reset."""
    lines, port = service.port("lines"), service.port("bare")
    Burst(lambda: bare(port), 300).run()
    Burst(lambda: half_close(lines, LINE), 300).run()
    Burst(lambda: reset(lines, LINE), 100).run()
    Burst(lambda: reset(port), 100).run()


def overflow(service: Service) -> None:
    """More connections than the queue takes, while nothing is accepted."""
    port = service.port("bare")
    clients = [socket.socket() for _ in range(4 * QUEUE)]
    with held(service.worker_pids()[0]):
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        until(lambda: kernel_counts()["ListenOverflows"], "the queue has overflown")
    for client in clients:
        client.close()


def kills(service: Service) -> None:
    """Connections of both kinds while the worker is killed."""
    lines, port = service.port("lines"), service.port("bare")
    bursts = [Burst(lambda: bare(port), 500).start(), Burst(lambda: half_close(lines, LINE), 500).start()]
    for burst in bursts:
        burst.reach(150)
        service.replace_worker()
    for burst in bursts:
        burst.join()


def sources(service: Service) -> None:
    """Connections from more sources than a table has room for, some of them often: each is within its bounds."""
    port = service.port("bare")
    weights = [1 / (rank + 1) for rank in range(SOURCES)]
    chance = random.Random(18)
    often = chance.choices(range(SOURCES), weights, k=SOURCES // 2)
    came = Counter([*range(SOURCES), *often])
    order = list(came.elements())
    chance.shuffle(order)
    for start in range(0, len(order), AT_ONCE):
        # On a busy machine all of them take more than a minute.
        prolong(service)
        clients = [socket.socket() for _ in order[start : start + AT_ONCE]]
        for client, number in zip(clients, order[start:], strict=False):
            client.bind((f"127.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0))
            client.connect(("127.0.0.1", port))
        for client in clients:
            read_end(client)
            client.close()

    def all_noted() -> dict[int, Record] | None:
        # The last one may be closed, and not noted yet.
        (memory,) = memories(service).values()
        noted = {int.from_bytes(record.address[-3:], "big"): record for record in records_of(memory)}
        return noted if sum(record.connections for record in noted.values()) == len(order) else None

    found = until(all_noted, "all connections are noted")
    assert len(found) < SOURCES, "there is room for all"
    for number, record in found.items():
        assert record.connections - record.err <= came[number] <= record.connections, (number, record)
    assert set(range(FIRST)) <= set(found), "one that comes often is missing"
    assert sum(not record.err for record in found.values()) > len(found) // 2


SCENES: dict[str, Callable[[Service], None]] = {
    "mixed": mixed,
    "overflow": overflow,
    "kills": kills,
    "sources": sources,
}


def settled(service: Service, lost: int) -> dict[str, float]:
    """Wait until nothing waits and nothing is open, and give the counts of both sides.

    Of what the kernel has counted as many may be missing as were ``lost``; a connection that is accepted and not
    counted yet neither waits nor is open.
    """

    def quiet() -> dict[str, float] | None:
        metrics = service.metrics()
        still = metrics.total("statscounter_accept_queue_length") + metrics.total("statscounter_connections_open")
        # The pages are asked for over TCP, too: each over a connection of its own.
        kernel = kernel_counts()
        pages, kernel["PassiveOpens"] = service.asked, kernel["PassiveOpens"] - service.asked
        again = service.metrics()
        if still or again.total("statscounter_connections_total") != metrics.total("statscounter_connections_total"):
            return None
        accepted = metrics.total("statscounter_connections_total")
        if accepted + lost < kernel["PassiveOpens"]:
            return None
        closed = metrics.total("statscounter_connections_closed_total")
        return {**kernel, "pages": pages, "accepted": accepted, "closed": closed}

    return until(quiet, "all is quiet")


def main(folder: Path, scene: str) -> None:
    """Play one scene."""
    bring_up()
    if scene != "sources":
        Path("/proc/sys/net/core/somaxconn").write_text(str(QUEUE))
    more = ["--who=all"] if scene == "sources" else []
    service = Service(folder, options(folder / "state", more=more))
    try:
        service.start()
        SCENES[scene](service)
        sys.stdout.write(json.dumps(settled(service, KILLS if scene == "kills" else 0)) + "\n")
    finally:
        service.end()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
