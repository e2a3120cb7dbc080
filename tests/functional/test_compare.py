"""``statscounter compare`` next to real servers that get the same lines as the service."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.functional.clients import datagram
from tests.functional.conftest import ServiceMaker
from tests.functional.etsy import Etsy
from tests.functional.service import Service, environment, script
from tests.functional.waiting import PATIENCE, until
from tests.unit.commands.servers import pages

SAME = [
    b"hits:3|c\nhits:2|c|@0.5",
    b"page.home:1|c\na page:1|c",
    b"tagged:4|c|#code:200,env:prod",
    b"time:320|ms\ntime:7.5|ms",
    b"level:5|g\nlevel:+3|g",
]
"""Lines that mean the same on both servers."""

DIFFERENT = {
    b"odd{name}:1|c": ("other name", "counter", "oddname, here odd_name_", "names"),
    b"path:1|c|#url:/a/b": ("other name", "counter", 'path;url=-a-b, here path{url="/a/b"}', "names"),
    b"dist:3|h": ("differ", "counter", "dist", "h-and-d"),
    b"packed:1:2:3|c|#k:v": ("differ", "counter", "packed;k=v", "packed"),
    b"sampled:100|ms|@0.1": ("differ", "count", "sampled", "sampled"),
    b"down:1|c\ndown:-50|c": ("differ", "counter", "down", "negative"),
    b"hex:0x10|c": ("only there", "counter", "hex", "numbers"),
    b"what:4|x": ("only there", "counter", "what", "unknown-type"),
    b"rated:1|c|@2": ("only there", "counter", "rated", "rates"),
    b"users:a|s\nusers:b|s": ("cannot tell", "gauge", "users", "sets"),
    b"\n".join([b"long:1|ms"] * 60): ("cannot tell", "sum", "long", "long-timers"),
}
"""Lines that do not, with the row of each: its verdict, type, name, and a reason."""


@pytest.fixture(scope="module")
def seconds() -> int:
    """Return the length of an interval, long compared with what it takes to read its ends."""
    return 4


@contextmanager
def traffic(send: Callable[[], None]) -> Iterator[None]:
    """Send again and again meanwhile."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(0.02):
            send()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(PATIENCE)


def compare(service: Service, other: str, seconds: int, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    url = f"http://127.0.0.1:{service.http_port}"
    return subprocess.run(
        [script("statscounter"), "compare", other, f"--http={url}", f"--seconds={seconds}", *more],
        env=environment(service.folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def etsy(start_service: ServiceMaker, tmp_path: Path) -> Iterator[tuple[Etsy, Service]]:
    """Start etsy's server with a repeater to a service, which has flushes as short as its."""
    service = start_service(more=["--flush-interval=1"])
    repeater = [{"host": "127.0.0.1", "port": service.port("datagrams")}]
    server = Etsy(tmp_path / "etsy", {"flushInterval": 1000, "backends": ["./backends/repeater"], "repeater": repeater})
    yield server, service
    server.end()


def test_beside_etsy(etsy: tuple[Etsy, Service], seconds: int) -> None:
    """Compared with etsy's server, what means the same is the same, and each difference has its row with its reason."""
    server, service = etsy

    def send(*more: bytes) -> None:
        for data in (*SAME, *more):
            datagram(server.port, data)

    def compared() -> dict[str, Any]:
        found = compare(service, f"--etsy=127.0.0.1:{server.mgmt_port}", seconds, "--json")
        assert found.returncode in (0, 1), found.stderr
        result: dict[str, Any] = json.loads(found.stdout)
        assert result["status"] == found.returncode
        return result

    def all_the_same() -> bool:
        # On a busy machine the end of a flush may be seen late, and then something is missing there.
        result = compared()
        return bool(result["counts"] == {"same": 7})

    def each_has_its_row() -> bool:
        rows = compared()["rows"]
        found = {(row["verdict"], row["what"], row["name"], reason) for row in rows for reason in row["reasons"]}
        return set(DIFFERENT.values()) <= found and not {row["name"] for row in rows} & {"hits", "page.home", "time"}

    with traffic(send):
        until(all_the_same, "all is the same", 4 * PATIENCE)
    with traffic(lambda: send(*DIFFERENT)):
        until(each_has_its_row, "each difference has its row", 4 * PATIENCE)


def test_beside_an_exporter(start_service: ServiceMaker) -> None:
    """The page of statsd_exporter is compared with ours."""
    service = start_service()
    rounds = 0

    def send() -> None:
        nonlocal rounds
        for data in (
            b"hits:1|c|#k:v",
            b"time:250|ms",
            b"level:7|g",
            b"ours:1|c",
            b"packed:1:2|c|#k:v",
            b"suffixed:1|c",
        ):
            datagram(service.port("datagrams"), data)
        rounds += 1

    def page(_: str) -> str:
        now = rounds
        return (
            f'# TYPE hits counter\nhits{{k="v"}} {now}\n# TYPE level gauge\nlevel 7\n'
            f"# TYPE theirs counter\ntheirs {now}\n"
            f'# TYPE time summary\ntime{{quantile="0.5"}} 0.25\ntime_sum {now / 4}\ntime_count {now}\n'
            f"# TYPE suffixed_total counter\nsuffixed_total {now}\n"
            f"# TYPE statsd_exporter_lines_total counter\nstatsd_exporter_lines_total {6 * now}\n"
            "# TYPE statsd_exporter_sample_errors_total counter\n"
            f'statsd_exporter_sample_errors_total{{reason="malformed_value"}} {now}\n'
        )

    def told(url: str) -> str:
        # On a busy machine an end of the interval may be read late, and then more differs.
        found = compare(service, f"--exporter={url}", 2)
        assert found.returncode == 1, found.stderr
        return found.stdout if "other name: 1, same: 4" in found.stdout else ""

    with pages(page) as url, traffic(send):
        until(lambda: "hits" in service.page("/metrics").text, "the first lines have come")
        text = until(lambda: told(url), "what is the same is the same")
    rows = [line.split() for line in text.splitlines()]
    assert [row[:4] for row in rows if row[:2] in (["only", "here"], ["only", "there"])] == [
        ["only", "here", "counter", "ours"],
        ["only", "here", "counter", 'packed{k="v"}'],
        ["only", "there", "counter", "theirs"],
    ]
    assert "docs/migrating-from-statsd_exporter.md" in text
