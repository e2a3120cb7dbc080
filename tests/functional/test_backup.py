"""A backup of a running service, and its restore by the commands of docs/store.md."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import end_all
from tests.functional.service import Service, script
from tests.functional.waiting import PATIENCE

LINE = b"hits:1|c\n"
DOCUMENT = Path(__file__).parents[2] / "docs" / "store.md"
STOP, START = "systemctl stop statscounter", "systemctl start statscounter"


def look(state: Path, *action: object) -> str:
    """Run one action of the command with success, and give what it says."""
    command = [script("statscounter"), "store", *map(str, action), f"--state-dir={state}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def files(state: Path) -> dict[str, bytes]:
    """Return the names of all files there, and what is in those that only SQLite writes."""
    paths = [path for path in state.rglob("*") if path.is_file()]
    return {str(path): b"" if path.suffix == ".ledger" else path.read_bytes() for path in paths}


def send(service: Service, number: int) -> None:
    """Send this many hits, each over a connection of its own."""
    for _ in range(number):
        half_close(service.port("lines"), LINE)


def kill_all(service: Service, unread: int) -> None:
    """Kill everything when this many hits more are in a ledger only."""
    with service.supervisor_held():
        send(service, unread)
        end_all(service.mark)
    service.wait_ended()


def steps(backups: Path, state: Path) -> list[str]:
    """Return the commands of a restore, for these folders."""
    text = DOCUMENT.read_text().partition("To put a backup back")[2]
    found = re.findall(r"^    (.+)$", text.partition("\nAll three")[0], re.MULTILINE)
    return [step.replace("/var/lib/statscounter", str(state)).replace("/backups", str(backups)) for step in found]


def restore(service: Service, backups: Path) -> None:
    """Follow the steps; a service that was killed needs no stop."""
    stop, *between, start = steps(backups, service.state)
    assert (stop, start) == (STOP, START)
    if service.process.poll() is None:
        service.stop()
    for step in between:
        subprocess.run(step, shell=True, check=True)  # noqa: S602  (as it stands in the document)
    service.start()
    shutil.rmtree(backups / "replaced")


@contextmanager
def read_only(folder: Path, at: Path) -> Iterator[Path]:
    """Return a folder once more, where nothing of it can be written; without the right to do that it is left alone."""
    at.mkdir()
    mounted = subprocess.run(["mount", "--bind", folder, at], check=False, capture_output=True).returncode == 0
    try:
        if mounted:
            subprocess.run(["mount", "-o", "remount,bind,ro", at], check=True)
        yield at if mounted else folder
    finally:
        if mounted:
            subprocess.run(["umount", at], check=True)


def test_backup_and_restore(start_service: ServiceMaker, tmp_path: Path) -> None:
    """A backup counts again with what ledgers have beyond it, once; without ledgers it is all that there is.

    No start with one has an error to tell. A look at the store of a service that was killed leaves it as it is.
    """
    if os.geteuid():
        pytest.skip("needs root, for whom the commands of the document are")
    service, backups = start_service(), tmp_path / "backups"
    backups.mkdir()
    send(service, 10)
    service.settled()
    names = set(files(service.state))
    assert "backup of" in look(service.state, "backup", backups / "totals.sqlite")
    assert look(service.state, "check").endswith(": whole\n")
    assert set(files(service.state)) == names

    send(service, 5)
    service.settled()
    kill_all(service, 3)
    before = files(service.state)
    with read_only(service.state, tmp_path / "read-only") as state:
        assert look(state, "check").endswith(": whole\n")
        assert "1 counters" in look(state, "info")
    assert files(service.state) == before

    restore(service, backups)
    service.wait_for(18, "hits")
    metrics = service.settled()
    assert (metrics.total("hits"), metrics.accepted("lines")) == (18, 18)
    says_no_error(service, gone=0)

    restore(service, backups)
    metrics = service.settled()
    assert (metrics.total("hits"), metrics.accepted("lines"), metrics.closed("lines")) == (10, 10, {"eof": 10})
    says_no_error(service, gone=1)
    service.stop()
    assert look(service.state, "check").endswith(": whole\n")


def says_no_error(service: Service, gone: int) -> None:
    """See that the log says what the store is, and nothing else that is news."""
    assert f"; {gone} of its ledgers are gone" in service.log
    told = [line for line in service.log.splitlines() if " error " in line or " warn " in line]
    # The machine may be short of something, and a worker of a processor.
    assert [line for line in told if " kernel: " not in line and " no sign of life" not in line] == []
