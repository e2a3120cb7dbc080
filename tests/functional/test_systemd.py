"""systemd's protocols, spoken by the test: passed sockets, notifications, kept descriptors."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from statsd_tcp.commands.store.reading import open_reader
from statsd_tcp.startup import COMMIT_PERIOD
from statsd_tcp.state.folder import STORE
from tests.functional.processes import MARK, end_all, new_mark
from tests.functional.service import PERIOD
from tests.functional.waiting import PATIENCE, until


class Systemd:
    """As much of systemd as the service needs: a socket to be told on, and listening sockets that it keeps open."""

    def __init__(self, folder: Path) -> None:
        """``folder`` has a short path, for a socket."""
        self.folder = folder
        self.path = folder / "notify"
        self.notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notifications.bind(str(self.path))
        self.notifications.settimeout(PATIENCE)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.options = ["--listen", f"tcp:{self.port}:interface=127.0.0.1"]
        self.process: subprocess.Popen[bytes] | None = None
        self._mark = new_mark()
        self.log = (folder / "log").open("wb")

    def start(self) -> None:
        """Start the service with the socket as descriptor 3."""
        twistd = Path(sys.executable).with_name("twistd")
        words = [
            str(twistd), "-n", "--pidfile=", "statscounter", "-w", "2", "--count=", "--admin=", "--http=",
            "--state-dir", str(self.folder / "state"), *self.options,
        ]  # fmt: skip
        # The variables name the process, which only a shell that becomes it can know.
        fd = self.listener.fileno()
        script = f"exec 3<&{fd} {fd}<&-; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x exec {' '.join(words)}"
        told = {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "20000000"}
        self.process = subprocess.Popen(
            ["/bin/bash", "-c", script],
            pass_fds=[fd],
            env={**os.environ, **told, COMMIT_PERIOD: str(PERIOD), MARK: self._mark},
            stdout=self.log,
            stderr=self.log,
        )

    def wait_for(self, wanted: str) -> dict[str, str]:
        """Read notifications until one has that variable."""
        while True:
            text = self.notifications.recv(65536).decode()
            fields = dict(line.split("=", 1) for line in text.splitlines())
            if wanted in fields:
                return fields

    def stop(self) -> None:
        """End the service, wait for it, and forget what it has said: the next one is told from it."""
        assert self.process is not None
        self.process.terminate()
        self.process.wait(PATIENCE)
        while select.select([self.notifications], [], [], 0)[0]:
            self.notifications.recv(65536)

    def end(self) -> None:
        """Kill whatever is left, and close everything."""
        end_all(self._mark)
        if self.process is not None:
            self.process.wait(PATIENCE)
        for each in (self.log, self.listener, self.notifications):
            each.close()

    def send(self, line: bytes) -> None:
        """Be a client that sends one line and goes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as client:
            client.sendall(line)

    def stored(self, name: str) -> float:
        """Return the value of a counter in the store."""
        with open_reader(self.folder / "state" / STORE) as reader:
            return sum(line.value for line in reader.series() if line.name == name)


@pytest.fixture
def systemd(folder: Path) -> Iterator[Systemd]:
    """Return a systemd that has started the service, and end both."""
    one = Systemd(folder)
    try:
        one.start()
        yield one
    finally:
        one.end()


def test_notifications(systemd: Systemd) -> None:
    """The service says when it is ready, gives signs of life, and says when it stops."""
    assert systemd.process is not None
    assert systemd.wait_for("READY")["MAINPID"] == str(systemd.process.pid)
    assert systemd.wait_for("WATCHDOG") == {"WATCHDOG": "1"}
    systemd.process.send_signal(signal.SIGTERM)
    assert systemd.wait_for("STOPPING") == {"STOPPING": "1"}


def test_kept_sockets(systemd: Systemd) -> None:
    """The listening sockets are given to systemd to keep, under the listener's name."""
    kept = systemd.wait_for("FDSTORE")
    assert kept["FDNAME"] == f"tcp_127.0.0.1_{systemd.port}#0"


def test_forgotten_sockets(systemd: Systemd) -> None:
    """Sockets of a listener that a reload gives up are kept no longer, and those of the others go on."""
    systemd.stop()
    file, path = systemd.folder / "statscounter.toml", systemd.folder / "s"
    systemd.options = ["--config", str(file)]
    stays, goes = f"tcp:{systemd.port}:interface=127.0.0.1", f"unix:{path}:name=goes"
    file.write_text(f'listen = ["{stays}", "{goes}"]\n')
    systemd.start()
    systemd.wait_for("READY")
    file.write_text(f'listen = ["{stays}"]\n')
    assert systemd.process is not None
    systemd.process.send_signal(signal.SIGHUP)
    assert systemd.wait_for("FDSTOREREMOVE") == {"FDSTOREREMOVE": "1", "FDNAME": "goes#0"}
    systemd.wait_for("READY")
    assert not path.exists()
    systemd.send(b"after:1|c\n")
    until(lambda: systemd.stored("after") == 1, "the line is in the store")


def test_restart_refuses_nobody(systemd: Systemd) -> None:
    """Clients that come while the service is stopped wait on the passed socket, and count after the restart."""
    systemd.wait_for("READY")
    systemd.send(b"before:1|c\n")
    until(lambda: systemd.stored("before") == 1, "the line is in the store")
    systemd.stop()
    for _ in range(20):
        systemd.send(b"meanwhile:1|c\n")
    systemd.start()
    # Before that its store is opened, and what is read then is refused.
    systemd.wait_for("READY")
    until(lambda: systemd.stored("meanwhile") == 20, "all lines are in the store")


def test_reload(systemd: Systemd) -> None:
    """A reload begins with RELOADING and ends with READY, in the same process."""
    assert systemd.process is not None
    systemd.wait_for("READY")
    systemd.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC" in systemd.wait_for("RELOADING")
    assert systemd.wait_for("READY")["MAINPID"] == str(systemd.process.pid)
    systemd.send(b"after:1|c\n")
    until(lambda: systemd.stored("after") == 1, "the line is in the store")
