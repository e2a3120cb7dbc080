"""What does not fail but hang, or is taken away: it is noticed and said, nothing is lost, and all goes on."""

from __future__ import annotations

import os
import re
import signal
from functools import partial
from pathlib import Path

from tests.functional.clients import Burst, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.hanging_disk import HangingDisk
from tests.functional.service import Service
from tests.functional.waiting import until

LINE = b"hits:1|c\n"

HANGS = """
import time
from statsd_tcp.supervisor.shutdown import Shutdown
Shutdown.begin = lambda *_: time.sleep(10 * 3600)
"""
"""A stop that never comes back to the reactor."""


def test_a_disk_that_hangs(make_service: ServiceMaker, tmp_path: Path) -> None:
    """While a commit does not return clients are served, and the service is not ready; then all is there."""
    disk = HangingDisk(tmp_path)
    service = make_service(environ=disk.environ).start()
    port = service.port("lines")
    assert Burst(lambda: half_close(port, LINE), 50).run().completed == 50
    service.wait_for(50, "hits")
    with disk.hangs():
        assert Burst(lambda: half_close(port, LINE), 50).run().completed == 50
        until(lambda: service.page("/readyz").status == 503, "it is not ready")
        assert re.match(r"the commit under way began \d\d+ s", service.page("/readyz").text)
        assert service.page("/healthz").status == 200
        assert service.metrics().total("statscounter_underway_seconds", what="commit") > 10
        assert [one["id"] for one in service.status()["findings"] if one["id"].startswith("underway")] == [
            "underway.commit"
        ]
        assert "a commit has not returned" in service.page("/").text
        assert Burst(lambda: half_close(port, LINE), 50).run().completed == 50
    until(service.is_ready, "it is ready again")
    service.wait_for(150, "hits")
    assert service.settled().total("hits") == 150


def test_a_stop_while_the_disk_hangs(make_service: ServiceMaker, tmp_path: Path) -> None:
    """A stop leaves a commit that does not return, in good order; the next start has everything, once."""
    disk = HangingDisk(tmp_path)
    # As long as the last commit may take at least: so most is left until the stop is over whatever hangs.
    service = make_service(environ=disk.environ, more=["--drain-timeout=3"]).start()
    port = service.port("lines")
    with disk.hangs():
        assert Burst(lambda: half_close(port, LINE), 50).run().completed == 50
        assert service.stop() == -signal.SIGTERM
        assert "the last commit has not returned" in service.log
        assert "the stop is not over" not in service.log
    service.start()
    service.wait_for(50, "hits")
    assert service.settled().total("hits") == 50


def said(service: Service, line: str) -> bool:
    """Return whether something is in the log."""
    return line in service.log


def test_a_stop_while_the_reactor_hangs(make_service: ServiceMaker, tmp_path: Path) -> None:
    """A stop ends though the reactor's own thread waits for ever, and says so; the next start has everything, once."""
    (tmp_path / "sitecustomize.py").write_text(HANGS)
    service = make_service(environ={"PYTHONPATH": str(tmp_path)}, more=["--drain-timeout=1"]).start()
    port = service.port("lines")
    assert Burst(lambda: half_close(port, LINE), 50).run().completed == 50
    assert service.stop() == 1
    assert "the stop is not over after 5 s" in service.log
    (tmp_path / "sitecustomize.py").unlink()
    service.start()
    service.wait_for(50, "hits")
    assert service.settled().total("hits") == 50


def test_a_store_that_is_taken_away(start_service: ServiceMaker) -> None:
    """A store that is deleted or cut off while it is used is put back with all that it had, and that is said."""
    service = start_service()
    port = service.port("lines")
    store = service.state / "totals.sqlite"
    log = store.with_name("totals.sqlite-wal")
    cases: list[tuple[Path, int | None, str]] = [
        (store, None, "was taken away"),
        (store, 0, "was cut off"),
        (log, 100, "was cut off"),
        (log, None, "was taken away"),
        (store.with_name("totals.sqlite-shm"), 0, "was cut off"),
    ]
    for number, (path, length, words) in enumerate(cases, 1):
        assert Burst(lambda: half_close(port, LINE), 50).run().completed == 50
        service.settled()
        if length is None:
            path.unlink()
        else:
            os.truncate(path, length)
        until(partial(said, service, f"{path} {words}: {store} is put back with all that it had"), "it is put back")
        assert service.settled().total("hits") == 50 * number
    metrics = service.metrics()
    assert [metrics.total("statscounter_store_faults_total", reason=reason) for reason in ("missing", "shrunk")] == [
        2,
        3,
    ]
    service.stop()
    service.start()
    metrics = service.settled()
    assert metrics.total("hits") == metrics.accepted("lines") == 250
