"""The log in a file, rotated with the configuration for logrotate that docs/running.md shows, and by hand."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import marked
from tests.functional.service import CHECKOUT, LOOPBACK, Service
from tests.functional.test_console import ask, console_port
from tests.functional.waiting import PATIENCE, until
from tests.transcripts import in_places, section

PAGE = CHECKOUT / "docs" / "running.md"

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} (?:info |warn |error|critical) .*|\t.*")

OPENED = "the log was opened again"


def start(make_service: ServiceMaker, log: Path, *more: str) -> Service:
    """Start a service as a daemon that writes its log to a file."""
    service = make_service(program=("twistd", "--pidfile=", f"--logfile={log}"), admin=f"tcp:0:{LOOPBACK}", more=more)
    service.launch()
    assert service.process.wait(PATIENCE) == 0
    service.log_file = log
    until(service.has_greeted, "it has started")
    service.find_pages()
    return service


def places(service: Service, log: Path) -> Mapping[str, str]:
    """Return what stands in the page, with what is here."""
    user = pwd.getpwuid(os.getuid()).pw_name
    group = grp.getgrgid(os.getgid()).gr_name
    return {
        "/var/log/statscounter.log": str(log),
        "/var/lib/statscounter": str(service.state),
        "statscounter statscounter": f"{user} {group}",
    }


def say(service: Service, state: str) -> None:
    """Have the service log something."""
    ask(console_port(service), f"health {state}")


def rotations(log: Path) -> int:
    """Return how often the log was opened again, by the file that is there now."""
    return log.read_text().count(OPENED) if log.exists() else 0


def test_by_hand(make_service: ServiceMaker, tmp_path: Path) -> None:
    """Moved away as the page says, the old file has what came before, and the new one all that comes after."""
    log = tmp_path / "x.log"
    service = start(make_service, log)
    say(service, "down")
    commands = re.findall(r"^    ((?:mv|kill -USR1) .*)$", section(PAGE, "The log"), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["mv", "kill"]
    for command in commands:
        subprocess.run(["bash", "-c", in_places(command, places(service, log))], check=True)
    until(lambda: rotations(log), "the log is opened again")
    say(service, "up")
    old, new = log.with_name("x.log.1").read_text(), log.read_text()
    assert ("the service is down" in old, "the service is up" in old) == (True, False)
    assert ("the service is down" in new, "the service is up" in new) == (False, True)
    assert [line for line in (old + new).splitlines() if not LINE.fullmatch(line)] == []


def test_logrotate(make_service: ServiceMaker, tmp_path: Path) -> None:
    """With the page's configuration logrotate rotates the log time and again, a reload between, and no line is lost."""
    logrotate = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")
    if logrotate is None:
        pytest.skip("needs logrotate")
    log, file = tmp_path / "x.log", tmp_path / "statscounter"
    service = start(make_service, log)
    (shown,) = re.findall(r"^```\n(/var/log.*?)^```$", section(PAGE, "The log"), re.MULTILINE | re.DOTALL)
    file.write_text(in_places(shown, places(service, log)))
    file.chmod(0o644)
    lines = service.port("lines")
    for state in ("down", "up"):
        say(service, state)
        before = log.read_text()
        done = subprocess.run(
            [logrotate, "--force", f"--state={tmp_path}/state", str(file)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        until(lambda: rotations(log) == 1, "the log is opened again")
        # Whatever else happens on the machine may be told meanwhile.
        assert log.with_name("x.log.1").read_text().startswith(before)
        half_close(lines, b"hits:1|c\n")
        os.kill(supervisor(service), signal.SIGHUP)
        until(lambda: "  limits  " in log.read_text(), "the service is reloaded")
        assert "goes on after a reload" in log.read_text()
    assert log.with_name("x.log.2.gz").exists()
    assert service.settled().total("hits") == 2


def supervisor(service: Service) -> int:
    """Return the process that has the lock."""
    number = int((service.state / "lock").read_text())
    assert number in marked(service.mark)
    return number


def test_json(make_service: ServiceMaker, tmp_path: Path) -> None:
    """With --log-format json each line of the file is an object with the text."""
    log = tmp_path / "x.log"
    service = make_service(program=("twistd", "--pidfile=", f"--logfile={log}"), more=["--log-format=json"])
    service.launch()
    assert service.process.wait(PATIENCE) == 0
    until(lambda: log.exists() and "limits" in log.read_text(), "it has started")
    assert any("has started" in json.loads(line)["text"] for line in log.read_text().splitlines())


def test_log_that_cannot_be_written(make_service: ServiceMaker, tmp_path: Path) -> None:
    """A log that cannot be written ends the start in one line."""
    service = make_service(program=("twistd", "-n", "--pidfile=", f"--logfile={tmp_path}/none/x.log"))
    service.launch()
    assert service.process.wait(PATIENCE) == 1
    assert service.log.count("\n") == 1
    assert f"--logfile={tmp_path}/none/x.log" in service.log
