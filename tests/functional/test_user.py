"""Started as root, run as another user: what was bound before is all that there is."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.functional.clients import bare, datagram, half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.load import Load
from tests.functional.service import Service, script
from tests.functional.waiting import until

NOBODY = 65534

LINE = b"hits:1|c\n"

CHECKOUT = Path(__file__).parents[2]


OPEN = """set -e
for place in $PLACES; do mkdir -p "$KEPT$place"; mount --bind "$place" "$KEPT$place"; done
mount -t tmpfs -o mode=755 none "$CLOSED"
for place in $PLACES; do mkdir -p "$place"; mount --bind "$KEPT$place" "$place"; done
exec "$@"
"""
"""In a mount namespace of one's own: leaves nothing in a closed folder but some places, and opens it."""

IMPORTS = (sys.executable, "-c", "import twisted, statsd_tcp")


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a folder that belongs to the user `NOBODY`, if we are root."""
    if os.geteuid():
        pytest.skip("needs root")
    with tempfile.TemporaryDirectory(prefix="statscounter-test-") as made:
        for path in (Path(made), Path(made) / "state", Path(made) / "state" / "ledgers"):
            path.mkdir(exist_ok=True)
            os.chown(path, NOBODY, NOBODY)
        yield Path(made)


@pytest.fixture
def prefix(tmp_path: Path) -> tuple[str, ...]:
    """Return a command by which the user `NOBODY` can run this Python, or skip the test.

    A Python in root's own folder is closed to others; in a mount namespace it can be opened.
    """
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv, of util-linux")
    if able(()):
        return ()
    opened = _opened(tmp_path)
    if not opened or not able(opened):
        pytest.skip("this Python is closed to other users")
    return opened


def able(prefix: tuple[str, ...]) -> bool:
    """Return whether the user `NOBODY` can import the package by that command."""
    # The shell looks for Python with that user's rights: setpriv has root's until it becomes another program.
    setpriv = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "sh", "-c", 'exec "$@"', "sh")
    command = [*prefix, *setpriv, *IMPORTS]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False).returncode == 0


def _opened(folder: Path) -> tuple[str, ...]:
    needed = [Path(place).resolve() for place in (sys.base_prefix, sys.prefix, CHECKOUT)]
    closed = [path for place in needed for path in reversed((place, *place.parents)) if not path.stat().st_mode & 1]
    if not closed or not shutil.which("unshare"):
        return ()
    places = [place for place in needed if closed[0] in place.parents]
    settings = (f"PLACES={' '.join(map(str, places))}", f"CLOSED={closed[0]}", f"KEPT={folder}")
    return ("unshare", "--mount", "env", *settings, "sh", "-c", OPEN, "sh")


def workers(service: Service, file: Path, number: int) -> None:
    """Reload with another number of workers."""
    complete = service.log.count("the reload is complete")
    file.write_text(f"workers = {number}\n")
    os.kill(service.process.pid, signal.SIGHUP)
    until(lambda: service.log.count("the reload is complete") > complete, "the reload is complete")
    until(lambda: len(service.worker_pids()) == number, f"{number} workers")


def look_as_root(state: Path, backup: Path) -> None:
    """See that root may look at the store, and back it up, and that all in the folder still is the user's."""
    before = owners(state)
    for action in (["check"], ["info"], ["backup", str(backup)]):
        subprocess.run([script("statscounter"), "store", *action, f"--state-dir={state}"], check=True)
    assert owners(state) == before
    assert {owner for _, owner, _ in before} == {NOBODY}
    assert (backup.stat().st_uid, backup.stat().st_mode & 0o777) == (0, 0o600)


def owners(folder: Path) -> list[tuple[str, int, int]]:
    """Return the files of a folder, with the owner and the mode of each."""
    return sorted((path.name, path.stat().st_uid, path.stat().st_mode) for path in folder.rglob("*"))


def test_fewer_and_more(home: Path, prefix: tuple[str, ...], make_service: ServiceMaker) -> None:
    """After a change of user a reload may ask for fewer workers; more are refused, and everything goes on."""
    file = home / "statscounter.toml"
    file.write_text("workers = 3\n")
    program = ("twistd", "-n", "--pidfile=", f"--uid={NOBODY}", f"--gid={NOBODY}")
    service = make_service(
        program=program, prefix=prefix, more=[f"--config={file}", f"--state-dir={home}/state"], without=["--workers"]
    )
    service.start()
    assert Path(f"/proc/{service.process.pid}").stat().st_uid == NOBODY
    look_as_root(service.state if service.state.exists() else home / "state", home / "backup")
    lines, port = service.port("lines"), service.port("bare")
    with Load(lambda: half_close(lines, LINE)) as load, Load(lambda: bare(port), 1) as bares:
        workers(service, file, 1)
        file.write_text("workers = 2\n")
        os.kill(service.process.pid, signal.SIGHUP)
        until(lambda: "the reload is refused" in service.log, "it is refused")
    assert "lines has sockets for 1 workers" in service.log
    assert "restart the service" in service.log
    datagram(service.port("datagrams"), LINE)
    assert (load.sent.failed, bares.sent.failed) == ([], [])
    service.wait_for(load.completed + 1, "hits")
    metrics = service.settled()
    assert metrics.total("hits") == load.completed + 1
    assert (metrics.accepted("lines"), metrics.accepted("bare")) == (load.completed, bares.completed)


def start(home: Path, prefix: tuple[str, ...], *more: str, log: str = "") -> tuple[int, str]:
    """Start as the user `NOBODY` what cannot start, and return the status and what it has said."""
    twistd = [script("twistd"), "-n", "--pidfile=", f"--uid={NOBODY}", f"--gid={NOBODY}", *([log] if log else [])]
    service = ["statscounter", "--count=", "--http=", "--admin=", *more]
    done = subprocess.run([*prefix, *twistd, *service], cwd=home, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def test_no_access(home: Path, prefix: tuple[str, ...]) -> None:
    """A state folder that the user may not write ends the start in one line, and root has made nothing in it."""
    state = home / "root's"
    state.mkdir(mode=0o755)
    line = f"statscounter: --state-dir {state}: may not be written; name another folder or change its rights\n"
    assert start(home, prefix, f"--state-dir={state}", "--listen=tcp:0") == (1, line)
    assert list(state.iterdir()) == []


def test_files_that_a_reload_opens(home: Path, prefix: tuple[str, ...]) -> None:
    """What a reload would open as the user, and could not, ends the start in one line that names option and file."""
    key = Authority(home).issue("key")
    (home / "map.yml").write_text("mappings: []\n")
    (home / "x.toml").touch()
    (home / "x.log").touch()
    for path in (key, home / "map.yml", home / "x.toml"):
        path.chmod(0o600)
    listen = f"--listen=ssl:0:privateKey={key}"
    for option, what, more in (
        ("--config", f"{home}/x.toml: user {NOBODY} may not read that file", [f"--config={home}/x.toml"]),
        ("--mapping", f"{home}/map.yml: user {NOBODY} may not read that file", [f"--mapping={home}/map.yml"]),
        ("--listen ssl:0: privateKey", f"{key}: user {NOBODY} may not read that file", [listen]),
        ("--logfile", f"{home}/x.log: user {NOBODY} cannot write that file (Permission denied)", []),
    ):
        log = "" if more else f"--logfile={home}/x.log"
        status, said = start(home, prefix, f"--state-dir={home}/state", *(more or ["--listen=tcp:0"]), log=log)
        assert status == 1
        assert said.startswith(f"statscounter: {option}={what}"), said
        assert said.count("\n") == 1
