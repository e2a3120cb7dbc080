"""What happens inside a private network namespace: ``python -m tests.functional.doctor.scene NAME FOLDER``.

A scene changes settings of its namespace, does what overflows them, and prints as JSON what the doctor finds.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from statsd_tcp.commands.main import main
from statsd_tcp.doctor.checks.tracking import notrack_rules
from statsd_tcp.doctor.examination import examine
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.installation import Installation
from statsd_tcp.doctor.probes import KernelProbes, Roots
from statsd_tcp.doctor.watch import Watch
from statsd_tcp.kernel.accept_queue import read_queue, receive_drops
from statsd_tcp.kernel.samples import Sampler
from tests.functional.service import Service, options
from tests.functional.waiting import until

PORT = 8125
CLIENTS = 48
SHORT = 16

_SIOCSIFFLAGS = 0x8914
_UP = 0x1 | 0x40

TRACKING = "table inet t {\n chain c {\n  type filter hook input priority 0\n  ct state invalid drop\n }\n}\n"


def setting(name: str, value: object | None = None) -> str:
    """Read a setting of this namespace, after changing it."""
    path = Path("/proc/sys") / name.replace(".", "/")
    if value is not None:
        path.write_text(f"{value}\n")
    return path.read_text().strip()


def loopback_up() -> None:
    """Switch the loopback interface on; a new namespace's is off."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("=16sh14x", b"lo", _UP))


def doctor(*arguments: str) -> dict[str, Any]:
    """Run the doctor; gives what it found, by check."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        status = main(["doctor", "--json", "--workers", "1", *arguments])
    document = json.loads(out.getvalue())
    return {"status": status, **{check["id"]: check for check in document["checks"]}}


def listen() -> socket.socket:
    """Listen as a program would that asks for a long queue."""
    return socket.create_server(("127.0.0.1", PORT), backlog=4096)


def knock(port: int) -> socket.socket:
    """Begin to connect, and wait for nothing."""
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", port))
    return client


def burst(server: socket.socket) -> list[socket.socket]:
    """Connect more clients than the queue holds, while nothing is accepted, until some found it full."""
    clients = [knock(PORT) for _ in range(CLIENTS)]
    until(lambda: receive_drops(server), "the queue has overflowed")
    return clients


def overflow(folder: Path) -> object:
    """Overflow a queue that somaxconn cut."""
    setting("net.core.somaxconn", SHORT)
    with listen() as server:
        burst(server)
        return doctor()


def slow(folder: Path) -> object:
    """Overflow a queue that is long enough for the rate: nothing is accepted."""
    setting("net.core.somaxconn", SHORT)
    with listen() as server:
        burst(server)
        return doctor("--target-rate", "5", "--stall", "1")


def late(folder: Path) -> object:
    """Raise somaxconn after the program has listened."""
    setting("net.core.somaxconn", SHORT)
    with listen():
        setting("net.core.somaxconn", 65535)
        return doctor()


def cookies(folder: Path) -> object:
    """Switch cookies off; then answer everybody with one."""
    setting("net.ipv4.tcp_syncookies", 0)
    off = doctor()
    setting("net.ipv4.tcp_syncookies", 2)
    with listen():
        for _ in range(3):
            socket.create_connection(("127.0.0.1", PORT)).close()
        return {"off": off, "always": doctor()}


def time_wait(folder: Path) -> object:
    """Close more connections first than there is room for in TIME_WAIT."""
    setting("net.ipv4.tcp_max_tw_buckets", 10)
    with listen() as server:
        for _ in range(30):
            with socket.create_connection(("127.0.0.1", PORT)):
                server.accept()[0].close()
        return doctor()


def tracking(folder: Path) -> object:
    """Track connections, then load the doctor's own rules, and see whether new ones are still tracked."""
    subprocess.run(["nft", "-f", "-"], input=TRACKING, text=True, check=True)
    with listen() as server:
        kept = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(5)]
        accepted = [server.accept()[0] for _ in kept]
        found = doctor()
        before = int(setting("net.netfilter.nf_conntrack_count"))
        rules = folder / "notrack.nft"
        rules.write_text(notrack_rules((PORT,), (PORT,)))
        subprocess.run(["nft", "-f", str(rules)], check=True)
        more = [socket.create_connection(("127.0.0.1", PORT)) for _ in range(5)]
        after = int(setting("net.netfilter.nf_conntrack_count"))
        return {"found": found, "before": before, "after": after, "open": len(accepted) + len(more)}


def installed(folder: Path) -> object:
    """Apply the remedies to this namespace, and undo them."""
    setting("net.core.somaxconn", 128)
    goal = Goal(workers=1)
    results = examine(Facts(Roots(), KernelProbes()), goal)

    def no_programs(command: object) -> str:
        raise OSError("not in this test")

    installation = Installation(folder, Path("/proc"), no_programs)
    effects = [effect for effect in installation.apply(results, goal) if effect.name == "net.core.somaxconn"]
    now = setting("net.core.somaxconn")
    installation.undo()
    return {"effects": effects, "now": now, "afterwards": setting("net.core.somaxconn")}


def watched(folder: Path) -> object:
    """Watch a queue while it overflows."""
    setting("net.core.somaxconn", SHORT)
    with listen() as server:
        watch = Watch(
            Sampler(Path("/proc"), Path("/sys")),
            lambda: [read_queue(server)],
            Goal(workers=1),
        )
        watch.sample(0.0)
        quiet = len(watch.findings())
        burst(server)
        watch.sample(1.0)
        rows = watch.families()[0].rows
        return {
            "quiet": quiet,
            "findings": [(one.id, one.setting, one.count) for one in watch.findings()],
            "news": watch.news(1.0),
            "overflows": rows["TcpExt", "ListenOverflows"],
        }


def found(service: Service, name: str) -> dict[str, Any] | None:
    """Return a finding of the service's, None while it has none of that name."""
    findings: list[dict[str, Any]] = service.status()["findings"]
    return next((finding for finding in findings if finding["id"] == name), None)


def served(folder: Path) -> object:
    """Overflow the queues of the service while its workers stand still."""
    setting("net.core.somaxconn", SHORT)
    service = Service(folder / "service", options(folder / "service" / "state"))
    try:
        service.start()
        with service.workers_held():
            clients = [knock(service.port("bare")) for _ in range(CLIENTS)]
            # A worker that stands still may be a finding, too.
            finding = until(lambda: found(service, "accept-queue"), "the service has found it")
        metrics = service.metrics()
        return {
            "clients": len(clients),
            "finding": finding,
            "gauge": metrics.total("statscounter_kernel_finding", id="accept-queue"),
            "overflows": metrics.total("statscounter_kernel_events_total", group="TcpExt", event="ListenOverflows"),
            "lines": [line.partition("kernel: ")[2] for line in service.log.splitlines() if "kernel: " in line],
        }
    finally:
        service.end()


SCENES: dict[str, Callable[[Path], object]] = {
    scene.__name__: scene for scene in (overflow, slow, late, cookies, time_wait, tracking, installed, watched, served)
}


if __name__ == "__main__":
    loopback_up()
    # A service that ends shows its log.
    with contextlib.redirect_stdout(sys.stderr):
        result = SCENES[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps(result))
