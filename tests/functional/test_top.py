"""``statscounter top`` with real services: in a terminal, in a pipe, and of several."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.functional.clients import half_close
from tests.functional.conftest import ServiceMaker
from tests.functional.service import Service, options, script
from tests.functional.waiting import until


class Terminal:
    """A terminal of tmux, 80 columns wide, with a server of its own."""

    def __init__(self, socket: Path, command: str) -> None:
        if shutil.which("tmux") is None:
            pytest.skip("tmux is not installed")
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._run("new-session", "-d", "-x", "80", "-y", "24", command)

    def screen(self) -> str:
        """Return what is seen."""
        return self._run("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Press keys."""
        self._run("send-keys", *keys)

    def is_over(self) -> bool:
        """Return whether the command has ended, and the terminal with it."""
        return subprocess.run([*self._tmux, "has-session"], check=False, capture_output=True).returncode != 0

    def end(self) -> None:
        """End it."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _run(self, *arguments: str) -> str:
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Yield a service with a name, which the tests of this module share."""
    folder = tmp_path_factory.mktemp("service")
    made = Service(folder, options(folder / "state", more=["--node=web-1", "--who=all"]))
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def terminal(service: Service, folder: Path) -> Iterator[Terminal]:
    """Yield a terminal in which `top` runs."""
    made = Terminal(folder / "tmux", f"{script('statscounter')} top --url http://127.0.0.1:{service.http_port}")
    yield made
    made.end()


def test_in_a_terminal(terminal: Terminal, service: Service) -> None:
    """It redraws itself as clients come, obeys keys, and leaves the terminal at q."""
    until(lambda: "web-1  " in terminal.screen(), "it shows the service")
    half_close(service.port("lines"), b"hits:1|c\nbad\n")
    # What ended, and which lines were bad, is there for a second only; where they came from stays.
    until(lambda: "127.0.0.1  lines" in terminal.screen(), "it shows what came")
    terminal.press("?", "s")
    until(lambda: "by name   q quit" in terminal.screen(), "it obeys")
    assert max(map(len, terminal.screen().splitlines())) <= 80
    terminal.press("/bare", "Enter")
    until(lambda: "lines  " not in terminal.screen().partition("listener")[2].partition("\n")[2], "it filters")
    until(lambda: "127.0.0.1" not in terminal.screen(), "sources are filtered too")
    terminal.press("/", "Escape")
    until(lambda: "127.0.0.1  lines" in terminal.screen(), "it shows where they came from")
    terminal.press("q")
    until(terminal.is_over, "it has ended")


def test_in_a_pipe(service: Service) -> None:
    """In a pipe it prints plain tables without colours or control characters."""
    command = [script("statscounter"), "top", "--once", f"--url=http://127.0.0.1:{service.http_port}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "web-1  " in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_several(service: Service, start_service: ServiceMaker) -> None:
    """Several services have a row each, and one object of JSON each."""
    other = start_service(more=["--node=web-2"])
    urls = [f"--url=http://127.0.0.1:{one.http_port}" for one in (service, other)]
    command = [script("statscounter"), "top", "--once", *urls]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # Below the rows stands what is found to be wrong, as on a machine that is too busy.
    rows, _, _ = shown.partition("\n!")
    assert [line.split()[0] for line in rows.splitlines()] == ["node", "web-1", "web-2", "2"]
    told = subprocess.run([*command, "--json"], check=True, capture_output=True, text=True).stdout
    nodes = [json.loads(line) for line in told.splitlines()]
    assert [(node["node"], node["ready"], node["error"]) for node in nodes] == [
        ("web-1", True, ""),
        ("web-2", True, ""),
    ]
