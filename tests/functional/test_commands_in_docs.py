"""Every command line of the documents is run as it is written, by root and by another user, or named here with why not.

They run in namespaces of their own, where the usual ports are free and `/etc`, `/opt`, `/run` and `/var` are copies or
empty. So a command may make users there, and bind port 80.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from tests.command_lines import command_lines, documents
from tests.functional.processes import MARK, end_all, new_mark
from tests.functional.service import CHECKOUT
from tests.functional.test_user import NOBODY, _opened, able
from tests.functional.waiting import PATIENCE, until
from tests.patience import LONG_PATIENCE
from tests.transcripts import finished

FILES = [*documents(CHECKOUT), *sorted((CHECKOUT / "etc").iterdir())]

ELSEWHERE = {
    r"make .*|\.ci/run|python -m (?:benchmarks|build).*|towncrier .*": "packaging/test_docs.py::test_commands",
    r"python3 -m venv .*|.*\bpip (?:un)?install .*": "packaging/test_installed.py::test_runs",
    r"unshare --net python -m tests\.torture\.run .*": "torture/test_torture.py::test_a_short_run",
    r"unshare --net python -m tests\.torture\.reloads .*": "torture/test_torture.py::test_reloads_in_a_row",
    r"prometheus .*": "functional/test_prometheus.py::test_prometheus_scrapes_both_formats",
    r"check_tcp .*": "functional/test_checks.py::test_tcp",
    r"statscounter compare .*": "functional/test_compare.py::test_beside_etsy",
    r"statscounter doctor (?:apply|undo)": "changes the kernel's settings, for the whole machine",
    r"kill -USR1 .*|mv /var/log/.*": "functional/test_logs.py::test_by_hand",
    r"mkdir /backups/.*|mv .*totals\.sqlite.*|install .* /backups/.*|.* /backups/.*": (
        "packaging/test_way_back.py::test_way_back"
    ),
    r"twistd .* --output jsonl:.*": "functional/test_outputs.py::test_the_example_of_the_documentation",
    r"statscounter store (?:absorb|retire) .*": "functional/test_fleet.py::test_absorb",
    r"statsd_exporter .*": "needs another project's server",
    r"ssh .*": "needs another machine",
    r"systemctl .*|cp .*statscounter\.service .*|rm -rf /(?:etc/systemd|opt)/.*|/bin/kill -HUP \$MAINPID": (
        "needs a machine that systemd has started"
    ),
}
"""Patterns of commands that are not run here, each with the test that runs them or does the same, or why none can."""

TRANSCRIPTS = {"runbook.md": "functional/test_runbook.py::test_symptom"}
"""Documents whose commands another test runs, with what they print."""

ROOTS = re.compile(r"useradd|chgrp|chmod|cp|install|sysctl|.*--uid=")
"""Commands that need root, as the documents say."""

LONG = re.compile(r".*--duration|statscounter load --mode|statscounter load --verify")
"""Load that takes seconds."""

STATUSES = {"statscounter doctor": {0, 1, 2}}
"""Exit statuses that are as good as 0: the doctor says what this machine lacks."""

PRINTED = {
    "curl -s http://127.0.0.1:9102/metrics | grep -E '^(deploys|statscounter_connections_total)'": r"^deploys \d+\.0$",
    "curl -s http://127.0.0.1:9102/metrics | grep -E '^(deploys|response|queue)'": r"^response_count \d+",
    ".venv/bin/statscounter load --connections 20000 --verify http://127.0.0.1:9102": (
        r"^exact: 20,000 connections counted, 20,000 expected: every one, once$"
    ),
    "statscounter check --config /etc/statscounter.toml": r"^/etc/statscounter.toml is good: 3 listeners, \d outputs?$",
    "echo stats | nc -N 127.0.0.1 8126": r"^messages.bad_lines_seen: \d+$",
}
"""What commands print, that the documents say, besides those that are transcripts."""

HERE = {
    ".venv/bin/": "/opt/statscounter/bin/",
    "[--state-dir DIR]": "--state-dir /var/lib/statscounter",
    "--pid 4711": '--pid "$(cat /var/lib/statscounter/lock)"',
    "audit FILE": "audit advice.conf",
    "--duration 60": "--duration 1",
    " DIR": " remedies",
    " OUT": " made/old.sqlite",
    " FILE": " made/backup.sqlite",
}
"""What stands for something of the reader's, and the checkout's own environment."""

SETUP = """set -e
ip link set lo up
cp -a /etc "$FOLDER/etc"
for place in /opt /var/lib /var/log /run; do mount -t tmpfs -o mode=755 none $place; done
mount --bind "$FOLDER/etc" /etc
mkdir -p /opt/statscounter /var/lib/statscounter /run/datadog /etc/statscounter
mount --bind "$ENVIRONMENT" /opt/statscounter
touch /etc/statscounter/key.pem
cat >/etc/statscounter.toml </dev/null
chown "$OWNER" /var/lib/statscounter /run/datadog
echo ready
exec cat
"""
"""In namespaces of its own, has the folders that the documents speak of; lives as long as its standard input."""


class Place(NamedTuple):
    """Namespaces, and the user who types there."""

    pid: int
    uid: int
    folder: Path
    environ: dict[str, str]
    is_open: bool
    """Whether other users may run this Python."""

    def command(self, line: str) -> list[str]:
        """Return what runs a command line there."""
        enter = ["nsenter", f"--target={self.pid}", "--net", "--mount"]
        become = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"] if self.uid else []
        return [*enter, *become, "bash", "-c", f"cd {self.folder} && {line}"]

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a command line, and give what it prints on both outputs. One that puts load on a service takes long."""
        return finished(self.command(line), self.environ, patience=LONG_PATIENCE)

    def start(self, line: str) -> tuple[subprocess.Popen[bytes], Path]:
        """Start a service, wait until it has greeted, and give it with its log."""
        log = self.folder / "service.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.command(f"exec env {line}"),
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

        def has_greeted() -> bool:
            assert process.poll() is None, log.read_text()
            return "  limits  " in log.read_text()

        until(has_greeted, f"{line} has started")
        return process, log


@pytest.fixture(scope="module", params=["root", "nobody"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Return the namespaces with a user, or skip the tests where there can be none."""
    missing = [name for name in ("unshare", "nsenter", "setpriv", "ip", "nc", "curl") if shutil.which(name) is None]
    if missing or os.geteuid():
        pytest.skip(f"needs {missing[0]}" if missing else "needs root, for namespaces")
    uid = 0 if request.param == "root" else NOBODY
    with TemporaryDirectory(prefix="statscounter-test-") as made:
        yield from namespaces(Path(made), uid)


def namespaces(folder: Path, uid: int) -> Iterator[Place]:
    """Make them, with a folder that the user may reach."""
    is_open = able(())
    opened = () if is_open else _opened(folder / "opened")
    if opened:
        is_open = able(opened)
    if uid and not is_open:
        pytest.skip("this Python is closed to other users")
    folder.chmod(0o755)
    own = folder / "typed"
    own.mkdir()
    (own / "etc").symlink_to(CHECKOUT / "etc")
    (own / "made").mkdir()
    (own / "mapping.yml").write_text("mappings: []\n")
    (own / "advice.conf").write_text("net.core.somaxconn = 65535\n")
    for path in (own, own / "made"):
        os.chown(path, uid, uid)
    mark = new_mark()
    words = {MARK: mark, "FOLDER": str(folder), "ENVIRONMENT": sys.prefix, "OWNER": f"{uid}:{uid}"}
    programs = f"/opt/statscounter/bin:{os.environ['PATH']}:/usr/sbin:/sbin"
    environ: dict[str, str] = {
        **os.environ, MARK: mark, "PATH": programs, "HOME": str(own), "PYTHONPATH": str(CHECKOUT),
        "STATE_DIRECTORY": "/var/lib/statscounter", "COLUMNS": "200",
    }  # fmt: skip
    holder = subprocess.Popen(
        [*opened, "unshare", "--net", "--mount", "sh", "-c", SETUP],
        env={**os.environ, **words},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout
        try:
            assert holder.stdout.readline() == b"ready\n"
            yield Place(holder.pid, uid, own, environ, is_open)
        finally:
            end_all(mark)


def told(path: Path) -> list[str]:
    """Return the commands of a file that this test runs."""
    if path.name in TRANSCRIPTS:
        return []
    return [line for line in command_lines(path) if not any(re.fullmatch(pattern, line) for pattern in ELSEWHERE)]


def here(line: str) -> str:
    """Put in what the reader has to."""
    for there, ours in HERE.items():
        line = line.replace(there, ours)
    return line


def starts(line: str) -> bool:
    """Return whether a command is a service, which lasts."""
    return re.search(r"\btwistd |^statscounter serve", line) is not None


def asserted(place: Place, line: str) -> None:
    """Run a command until it ends well and prints what is told of it: what was sent is shown with the next commit."""
    allowed = next((found for start, found in STATUSES.items() if line.startswith(start)), {0})
    pattern = PRINTED.get(line, "")
    last: list[subprocess.CompletedProcess[str]] = []

    def works() -> bool:
        last[:] = [place.run(f"rm -rf made/* remedies; {here(line)}")]
        return last[0].returncode in allowed and re.search(pattern, last[0].stdout, re.MULTILINE) is not None

    try:
        until(works, "it works")
    except AssertionError:
        pytest.fail(f"{here(line)}\n{last[0].returncode}: {last[0].stdout}")


def may(place: Place, line: str) -> bool:
    """Return whether a command is for that user, and the user to which it changes may run what it runs."""
    if "--uid=" in line and not place.is_open:
        return False
    return not place.uid or ROOTS.match(line) is None


def run_all(place: Place, wanted: bool) -> None:
    """Run all commands with a service with the defaults, those that take long or the others."""
    process, _ = place.start("twistd -n --pidfile= statscounter --graphite tcp:127.0.0.1:2003")
    try:
        for path in FILES:
            configure(place, path)
            for line in told(path):
                if may(place, line) and not starts(line) and bool(LONG.match(line)) is wanted:
                    asserted(place, line)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def configure(place: Place, path: Path) -> None:
    """Write the configuration file that a page shows, or one of a line."""
    shown = re.findall(r"^```toml\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)
    (place.folder / "statscounter.toml").write_text(shown[0] if shown else "workers = 1\n")


def test_all_are_known() -> None:
    """Every command is run here, or by a test that there is, or named with why it can be run nowhere."""
    lines = [line for path in FILES if path.name not in TRANSCRIPTS for line in command_lines(path)]
    assert len(lines) > 80
    unused = [pattern for pattern in ELSEWHERE if not any(re.fullmatch(pattern, line) for line in lines)]
    assert unused == []
    for test in (*ELSEWHERE.values(), *TRANSCRIPTS.values()):
        file, _, name = test.partition("::")
        assert not name or f"def {name}(" in (CHECKOUT / "tests" / file).read_text(), test
    assert [line for line in PRINTED if line not in lines] == []


@pytest.mark.proof
def test_commands(place: Place) -> None:
    """The commands end well while a service runs, and print what the documents say."""
    run_all(place, wanted=False)


@pytest.mark.proof
def test_long_commands(place: Place) -> None:
    """So do those that put load on it for seconds."""
    run_all(place, wanted=True)


@pytest.mark.proof
def test_services(place: Place) -> None:
    """Every service that the documents start does start, with the configuration of its page, and stops cleanly."""
    number = 0
    for path in FILES:
        configure(place, path)
        for line in told(path):
            if starts(line) and may(place, line):
                if not place.uid:
                    # Another user's folder is refused to root, and root's to another user.
                    place.run(
                        "useradd --system --user-group --no-create-home statscounter; rm -rf /var/lib/statscounter"
                    )
                process, log = place.start(line)
                process.terminate()
                process.wait(PATIENCE)
                assert "all that was counted is in the store" in log.read_text(), line
                number += 1
    assert number > 5
