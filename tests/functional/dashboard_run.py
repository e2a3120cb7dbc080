"""A small fleet under load for some minutes, and what the dashboard's panels show of it.

    python -m tests.functional.dashboard_run

draws docs/dashboard.svg. It takes `MINUTES`. Three nodes write to a Prometheus that has the rules. Their clients come
in waves, and some send bad lines. A worker is killed, the Graphite of a node is away, and one node is killed for good.
"""

from __future__ import annotations

import math
import os
import random
import re
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from statsd_tcp.files.shipped import shipped
from tests.dashboard_picture import Graph, Shown, Stat, draw
from tests.functional.clients import bare, half_close
from tests.functional.receivers import Engine
from tests.functional.service import CHECKOUT, LOOPBACK, Service, options
from tests.panels import ROWS, Panel
from tests.ports import free_port
from tests.promql import filled_in

__all__ = ["FILE", "collect", "main"]

FILE = CHECKOUT / "docs" / "dashboard.svg"

MINUTES = 14
"""Rates of the fleet begin after five minutes, and a node is silent five minutes after its last sample."""

STEP = 10
NODES = ("web-1", "web-2", "web-3")
LINES = b"page.hits:1|c\npage.time:%d|ms\nusers.online:%d|g\nvisitors:%d|s\n"


def clients(service: Service, rate: float, chance: random.Random) -> None:
    """Be the clients of a second: some more connections on the port that only counts, and now and then a bad line."""
    for _ in range(round(rate)):
        body = LINES % (chance.randrange(5, 300), chance.randrange(50), chance.randrange(100_000))
        half_close(service.port("web"), body + b"page.hits:x|c\n" * (chance.random() < 0.01))
    for _ in range(round(rate / 3)):
        bare(service.port("probe"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for _ in range(round(rate / 2)):
            datagrams.sendto(b"jobs.done:1|c|@0.5", ("127.0.0.1", service.port("jobs")))


@contextmanager
def fleet(folder: Path, engine: Engine) -> Iterator[list[Service]]:
    """Start the nodes."""
    with ExitStack() as stack:
        made = []
        for number, name in enumerate(NODES):
            arguments = options(
                folder / name / "state",
                workers=2,
                listen=[f"tcp:0:{LOOPBACK}:name=web", f"udp:0:{LOOPBACK}:name=jobs"],
                count=[f"tcp:0:{LOOPBACK}:name=probe"],
                more=[f"--remote-write={engine.url}:every=5:name=prometheus", f"--node={name}"]
                + [f"--graphite=tcp:127.0.0.1:{free_port()}"] * (number == 1),
            )
            service = Service(folder / name, arguments)
            stack.callback(service.end)
            made.append(service.start())
        yield made


def live(nodes: Sequence[Service], seconds: float) -> None:
    """Let clients come, and what happens happen, for that long."""
    chance = random.Random(1)
    began = time.monotonic()
    living = list(nodes)
    deeds = [(0.35, lambda: os.kill(nodes[0].worker_pids()[0], signal.SIGKILL)), (0.5, lambda: lose(nodes, living))]
    while (passed := time.monotonic() - began) < seconds:
        if deeds and passed > deeds[0][0] * seconds:
            deeds.pop(0)[1]()
        for number, service in enumerate(living):
            clients(service, 12 + 8 * math.sin(passed / 60 + number), chance)
        time.sleep(max(0.0, 1 - (time.monotonic() - began - passed)))


def lose(nodes: Sequence[Service], living: list[Service]) -> None:
    """Have the last node killed."""
    living.remove(nodes[-1])
    nodes[-1].kill()


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Return a legend with the values of labels put in."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def shown(engine: Engine, panel: Panel, end: float, minutes: float) -> Shown:
    """Ask the engine what a panel shows."""
    series = {}
    for query in panel.queries:
        expression = filled_in(query.expr, "node")
        for labels, points in engine.ranges(expression, end - 60 * minutes, end, STEP):
            name = named(query.legend.replace("$label", "node"), labels)
            series[name or panel.title] = points
    if panel.is_number:
        return Stat(panel.title, panel.unit, next((points[-1][1] for points in series.values()), None))
    return Graph(panel.title, panel.unit, series)


def collect(minutes: float, seen: float) -> dict[str, list[Shown]]:
    """Run the fleet, and return what the panels show of its last minutes."""
    with TemporaryDirectory(prefix="statscounter-dashboard-") as made:
        folder = Path(made)
        engine = Engine(folder / "engine", "prometheus")
        rules = folder / "rules.yml"
        rules.write_text(re.sub("interval: 1[hm]", f"interval: {STEP}s", shipped()["prometheus/rules.yml"]))
        engine.configuration = f"rule_files: ['{rules}']\n"
        with engine, fleet(folder, engine) as nodes:
            live(nodes, 60 * minutes)
            now = time.time()
            return {row: [shown(engine, panel, now, seen) for panel in panels] for row, panels in ROWS.items()}


def main() -> None:
    """Draw it."""
    FILE.write_text(draw(collect(MINUTES, MINUTES - 1)), encoding="utf-8")


if __name__ == "__main__":
    main()
