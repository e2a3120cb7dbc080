"""From this version back to release 0.1.0, by the commands of docs/store.md, and forward again."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from statsd_tcp.state.folder import STORE
from statsd_tcp.store.database import Store
from tests.functional.clients import bare, half_close
from tests.functional.service import CHECKOUT, Service, options, script
from tests.functional.waiting import PATIENCE, until
from tests.packaging import release
from tests.packaging.environment import Environment
from tests.packaging.make_release import EVERY_TYPE, OPEN

pytestmark = pytest.mark.skipif(not release.WHEEL.exists(), reason="release 0.1.0 is not in a source distribution")

DOCUMENT = CHECKOUT / "docs" / "store.md"

SCENE: Mapping[str, Any] = {"seconds": 5}
"""Flushes are shorter than those of the state folder of the release."""

LINES = EVERY_TYPE + b"both:30|ms\nboth:2.5|h\ndown:-4|c\nhits:-1|c\n"
AGAIN = b"hits:1|c\nboth:30|ms\nboth:2.5|h\nlevel:+1|g\n"


class Outcome(NamedTuple):
    """What a service has made of a state folder: its totals, and what each output was sent of what waited."""

    totals: dict[str, float]
    delivered: list[list[release.Point]]


def test_way_back(released: Environment, tmp_path: Path) -> None:
    """Release 0.1.0 goes on with all totals, the open flush and the queues; then this version does, with the totals."""
    made, back = tmp_path / "made", tmp_path / "back"
    totals = fill(this_version(made))
    back.mkdir()
    shutil.copytree(made / "state", back / "state")
    go_back(back / "state", tmp_path / "backups")
    with going_on(this_version, made) as (_, expected):
        assert expected.totals == totals

    def release_0_1(folder: Path, **keywords: Any) -> Service:
        return release.release_service(folder, released, release.scene(**SCENE, **keywords))

    with going_on(release_0_1, back) as (service, found):
        assert found.delivered == expected.delivered
        # What it does not know, such as another reason, never came.
        assert dict.fromkeys(totals, 0.0) | found.totals == totals
        half_close(service.port("lines"), AGAIN)
        service.wait_for(totals["hits"] + 1, "hits")
        later = release.durable(service.settled())
    with release.ended(this_version(back)) as service:
        service.start()
        totals = release.durable(service.settled())
        assert dict.fromkeys(totals, 0.0) | later == totals
        assert service.stop() == -signal.SIGTERM
    # Of the two units one is shown. The other went on as well.
    assert both_units(back / "state") == {"ms": (90.0, 3.0), "h": (7.5, 3.0)}


def test_refused(released: Environment, tmp_path: Path) -> None:
    """Release 0.1.0 refuses the store of this version in one line, and leaves it as it is."""
    service = release.release_service(tmp_path, released, release.scene())
    service.state.mkdir()
    file = service.state / STORE
    Store(file).close()
    before = file.read_bytes()
    with release.ended(service):
        service.launch()
        assert service.process.wait(PATIENCE) == 1
        assert service.log.rstrip() == f"statscounter: {file} has schema version 5; this program knows 2"
    assert file.read_bytes() == before


def this_version(folder: Path, **keywords: Any) -> Service:
    """Make a service of this version, not started."""
    return Service(folder, options(folder / "state", **release.scene(**SCENE, **keywords)))


def fill(service: Service) -> dict[str, float]:
    """Leave a state folder with series of all kinds, an open flush, and flushes that wait; return the totals."""
    with release.ended(service):
        service.start()
        for name in ("lines", "dogs"):
            half_close(service.port(name), LINES)
        bare(service.port("bare"))
        output = f"graphite:127.0.0.1:{release.NOBODY[1]}"
        # The flush that has just begun is the one that will be open.
        service.wait_for(release.QUEUED, "statscounter_output_queued", output=output)
        half_close(service.port("lines"), OPEN)
        totals = release.durable(service.settled())
        assert service.stop() == -signal.SIGTERM
    return totals


@contextmanager
def going_on(make: Callable[..., Service], folder: Path) -> Iterator[tuple[Service, Outcome]]:
    """Have a service go on with a state folder until all that waited is delivered; afterwards stop it."""
    state = folder / "state"
    last = release.open_until(state)
    with ExitStack() as stack:
        backends = [stack.enter_context(release.Backend()) for _ in release.NOBODY]
        ports = [backend.port for backend in backends]
        release.move_queues(state, ports)
        service = stack.enter_context(release.ended(make(folder, outputs=ports)))
        service.start()
        for backend in backends:
            until(lambda: any(point.time >= last for point in backend.points), "all is delivered")  # noqa: B023
        totals = release.durable(service.settled())
        yield service, Outcome(totals, [release.delivered(backend, last) for backend in backends])
        assert service.stop() == -signal.SIGTERM


def go_back(state: Path, backups: Path) -> None:
    """Follow the commands of the document, except for those that stop, install and start."""
    text = DOCUMENT.read_text().partition("To go back, as root:")[2].partition("\n- ")[0]
    programs = Path(script("statscounter")).parent
    for place, here in (("/var/lib/statscounter", state), ("/backups", backups), ("/opt/statscounter/bin", programs)):
        text = text.replace(place, str(here))
    backups.mkdir()
    stop, *steps, start = re.findall(r"^    (.+)$", text, re.MULTILINE)
    assert (stop, start) == ("systemctl stop statscounter", "systemctl start statscounter")
    for step in steps:
        if "/pip " not in step:
            subprocess.run(step, shell=True, check=True)  # noqa: S602  (as it stands in the document)
    assert (backups / "replaced" / STORE).exists()


def both_units(state: Path) -> dict[str, tuple[float, float]]:
    """Return the sums and counts of the name that has two units, by kind."""
    command = [script("statscounter"), "store", "export", f"--state-dir={state}"]
    exported = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
    series = [json.loads(line) for line in exported.splitlines()]
    return {one["type"]: (one["value"], one["count"]) for one in series if one.get("series") == "both"}
