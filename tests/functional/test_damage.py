"""Files that are damaged, foreign or do not find room: it is said, what can be saved is, and the service goes on."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from statsd_tcp.ledger.cells import JOURNAL_HEAD
from statsd_tcp.ledger.layout import read_header
from statsd_tcp.startup import COMMIT_PERIOD
from tests.functional.clients import Burst, bare, connect, half_close, read_end
from tests.functional.conftest import ServiceMaker
from tests.functional.processes import end_all
from tests.functional.service import Service
from tests.functional.small_disk import fill, mount, unmount
from tests.functional.waiting import PATIENCE, until

LINE = b"hits:1|c\n"
MANY = 64
"""Clients that fill what one alone may not fill of a journal."""
FRAME = 48
"""Bytes of a frame with one such line."""

DISK = 24 << 20


def killed_with_unread(service: Service, committed: int, unread: int) -> Path:
    """Kill everything when some hits are in the store, and more in ledgers only; return the first of them."""
    port = service.port("lines")
    assert Burst(lambda: half_close(port, LINE), committed).run().completed == committed
    assert service.settled().total("hits") == committed
    with service.supervisor_held():
        assert Burst(lambda: half_close(port, LINE), unread, 1).run().completed == unread
        end_all(service.mark)
    service.wait_ended()
    return service.state / "ledgers" / service.ledgers[0]


def change(path: Path, edit: Callable[[bytearray], None]) -> None:
    """Edit a file."""
    data = bytearray(path.read_bytes())
    edit(data)
    path.write_bytes(data)


def ring_of(data: bytearray) -> tuple[int, int]:
    """Return where a ledger's ring begins, and the offset at which its journal ends."""
    header = read_header(bytes(data), len(data), "x")
    at = header.cells_at + 8 * JOURNAL_HEAD
    return header.ring_at, int.from_bytes(data[at : at + 8], "little")


def starts_and_counts(service: Service, hits: int, aside: int = 1) -> None:
    """Start again, twice: the damage costs what it costs once, nothing else, and the service counts on."""
    service.start()
    half_close(service.port("lines"), LINE)
    service.wait_for(hits + 1, "hits")
    service.stop()
    service.start()
    half_close(service.port("lines"), LINE)
    service.wait_for(hits + 2, "hits")
    metrics = service.settled()
    assert metrics.total("hits") == hits + 2
    assert metrics.total("statscounter_connections_open", listener="lines") == 0
    assert metrics.total("statscounter_ledgers_set_aside") == aside
    service.stop()


def test_torn_record(start_service: ServiceMaker) -> None:
    """Of a journal with a damaged record what lies before it counts; the rest is reported, and the file is kept."""
    service = start_service()
    path = killed_with_unread(service, 10, 20)

    def tear(data: bytearray) -> None:
        ring, head = ring_of(data)
        # In the lines of the fifth record from the end.
        data[ring + head - 5 * FRAME + 33] ^= 0xFF

    change(path, tear)
    starts_and_counts(service, 25)
    log = (service.folder / "start-2.log").read_text()
    assert f"{5 * FRAME} bytes of its journal are damaged; it is kept as {path.with_suffix('.unread')}" in log


@pytest.mark.proof
def test_truncated_ledgers(start_service: ServiceMaker) -> None:
    """A ledger that was cut off is kept aside; what the store had of it is settled, and that there was more is said."""
    sizes = (0, 100, 4096, 1 << 20)
    service = start_service(workers=len(sizes))
    folder = killed_with_unread(service, 40, 80).parent
    paths = sorted(folder.iterdir())
    for path, size in zip(paths, sizes, strict=True):
        os.truncate(path, size)
    starts_and_counts(service, 40, len(sizes))
    log = (service.folder / "start-2.log").read_text()
    for path in paths:
        assert f"it is kept as {path.with_suffix('.damaged')}" in log
        assert f"the ledger {path.stem} of worker " in log


@pytest.mark.proof
def test_other_version(start_service: ServiceMaker) -> None:
    """A ledger of another format version is set aside, and a release that reads that version later loses nothing."""
    service = start_service()
    path = killed_with_unread(service, 10, 20)

    def become(version: int) -> Callable[[bytearray], None]:
        def edit(data: bytearray) -> None:
            data[8:12] = version.to_bytes(4, "little")
            data[124:128] = zlib.crc32(data[:124]).to_bytes(4, "little")

        return edit

    change(path, become(99))
    starts_and_counts(service, 10)
    aside = path.with_suffix(".damaged")
    assert "format version 99" in (service.folder / "start-2.log").read_text()
    change(aside, become(1))
    aside.rename(path)
    service.start()
    service.wait_for(32, "hits")
    metrics = service.settled()
    assert metrics.total("hits") == 32
    assert metrics.total("statscounter_ledgers_set_aside") == 0


def test_copied_ledger(start_service: ServiceMaker) -> None:
    """A copy of a ledger under another name is not read a second time."""
    service = start_service()
    path = killed_with_unread(service, 10, 20)
    path.with_name("0" * 32 + ".ledger").write_bytes(path.read_bytes())
    starts_and_counts(service, 30)
    assert "is a copy of the ledger" in (service.folder / "start-2.log").read_text()


def test_cut_off_while_it_is_used(start_service: ServiceMaker) -> None:
    """A ledger that is cut off while it is mapped costs its worker, which is replaced, and nothing else."""
    service = start_service(workers=2)
    port = service.port("lines")
    assert Burst(lambda: half_close(port, LINE), 40).run().completed == 40
    assert service.settled().total("hits") == 40
    os.truncate(service.state / "ledgers" / service.ledgers[0], 0)
    service.wait_for(1, "statscounter_worker_restarts_total", reason="signal")
    until(service.is_ready, "the worker is replaced")
    assert Burst(lambda: half_close(port, LINE), 40).run().completed == 40
    metrics = service.wait_for(80, "hits")
    assert metrics.total("statscounter_recovery_faults_total", reason="shrunk") == 1
    assert metrics.accepted("lines") == 80
    assert "was cut off: what was in it and not committed is lost" in service.log
    until(lambda: service.metrics().total("statscounter_ledgers_set_aside") == 1, "the file is set aside")
    assert service.settled().total("hits") == 80


def test_deleted_while_it_is_used(start_service: ServiceMaker) -> None:
    """A ledger that is deleted is said, and costs nothing as long as the supervisor lives."""
    service = start_service()
    (service.state / "ledgers" / service.ledgers[0]).unlink()
    port = service.port("lines")
    service.wait_for(1, "statscounter_recovery_faults_total", reason="missing")
    assert "is gone; what it holds" in service.log
    worker = service.worker_pids()[0]
    with service.supervisor_held():
        assert Burst(lambda: half_close(port, LINE), 40).run().completed == 40
        os.kill(worker, signal.SIGKILL)
    metrics = service.wait_for(40, "hits")
    assert metrics.total("statscounter_recovered_lines_total") == 40
    assert service.settled().total("hits") == 40


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a folder with room for little, and for no other test."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, DISK):
        pytest.skip("needs to mount a small file system")
    yield folder
    unmount(folder)


def test_full_disk(small_disk: Path, make_service: ServiceMaker) -> None:
    """Without room nothing is lost: counting goes on, lines wait, then reading pauses; with room all goes on.

    A client that brings much has to wait first, and the others are still served.
    """
    service = make_service(workers=1)
    put_state(service, small_disk)
    service.start()
    lines, port = service.port("lines"), service.port("bare")
    assert Burst(lambda: half_close(lines, LINE), 50).run().completed == 50
    service.wait_for(50, "hits")
    ballast = fill(small_disk)
    sender = Sender(lines)
    until(lambda: service.status()["last_commit_error"], "commits fail")
    assert "cannot grow: the disk is full" in service.status()["last_commit_error"]
    page = service.page("/readyz")
    assert (page.status, "the disk is full" in page.text) == (503, True)
    assert service.page("/healthz").status == 200
    # Counting goes on.
    assert Burst(lambda: bare(port), 50).run() == (50, 0, 0)
    assert service.metrics().closed("bare") == {"counted": 50}
    until(lambda: sender.waits, "the sender has to wait")
    assert Burst(lambda: half_close(lines, LINE), 20).run() == (20, 0, 0)
    assert service.metrics().total("statscounter_accept_paused", listener="lines") == 0
    # The journal fills up; then nothing is read, and no client is dropped.
    many = Burst(lambda: half_close(lines, Sender.LINES), MANY, MANY).start()
    until(lambda: service.metrics().total("statscounter_accept_paused", listener="lines") == 1, "reading pauses")
    waiting = Burst(lambda: half_close(lines, LINE), 20, 20).start()
    assert service.log.count("a commit failed") == 1
    ballast.unlink()
    until(service.is_ready, "all is well again")
    assert (waiting.join(), many.join()) == ((20, 0, 0), (MANY, 0, 0))
    sent = sender.finish() + MANY * Sender.LINES.count(b"\n")
    service.wait_for(sent + 90, "statscounter_lines_total", listener="lines")
    metrics = service.settled()
    assert metrics.total("statscounter_lines_total", listener="lines") == sent + 90
    assert metrics.total("hits") == 90
    assert metrics.total("filler") == sent
    assert metrics.total("statscounter_accept_paused", listener="lines") == 0
    assert "commits work again" in service.log


def test_worker_dies_while_the_disk_is_full(small_disk: Path, make_service: ServiceMaker) -> None:
    """Without room a dead worker gets no successor, and the service says so; with room there is one, and all counts."""
    service = make_service(workers=1)
    put_state(service, small_disk)
    service.start()
    lines = service.port("lines")
    ballast = fill(small_disk)
    assert Burst(lambda: half_close(lines, LINE), 50).run().completed == 50
    os.kill(service.worker_pids()[0], signal.SIGKILL)
    until(lambda: "worker 0 cannot be started: its ledger cannot be made" in service.log, "it says why")
    assert service.page("/readyz").status == 503
    waiting = Burst(lambda: half_close(lines, LINE), 20, 20).start()
    ballast.unlink()
    until(service.is_ready, "a worker accepts")
    assert waiting.join() == (20, 0, 0)
    service.wait_for(70, "hits")
    assert service.settled().total("hits") == 70


def test_the_disk_gets_full_during_a_reload(small_disk: Path, make_service: ServiceMaker) -> None:
    """A new image that finds no room goes on with the workers, is not ready, and has everything when there is room."""
    service = make_service(workers=1)
    put_state(service, small_disk)
    service.start()
    lines = service.port("lines")
    assert Burst(lambda: half_close(lines, LINE), 50).run().completed == 50
    service.wait_for(50, "hits")
    service.process.send_signal(signal.SIGHUP)
    until(lambda: "the next image takes over" in service.log, "the next image begins")
    ballast = fill(small_disk)
    until(lambda: service.status()["last_commit_error"], "its commits fail")
    assert service.page("/readyz").status == 503
    assert Burst(lambda: half_close(lines, LINE), 50).run() == (50, 0, 0)
    ballast.unlink()
    until(service.is_ready, "all is well again")
    service.wait_for(100, "hits")
    assert service.settled().total("hits") == 100
    assert service.process.poll() is None


def put_state(service: Service, folder: Path) -> None:
    """Have a service keep its state there."""
    service.command[service.command.index(f"--state-dir={service.state}")] = f"--state-dir={folder}/state"
    service.state = folder / "state"


class Sender:
    """Sends long lines over one connection until it is told to finish."""

    LINES = 64 * (b"filler:1|c|#pad:" + b"x" * 800 + b"\n")

    def __init__(self, port: int) -> None:
        self._connection = connect(port)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
        self._connection.settimeout(PATIENCE)
        self._sent = 0
        self._since = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    @property
    def waits(self) -> bool:
        """Return whether it has been able to send nothing for a second."""
        return time.monotonic() - self._since > 1

    def finish(self) -> int:
        """Stop, wait until the server has read all, and give how many lines were sent."""
        self._stop.set()
        self._thread.join()
        self._connection.shutdown(socket.SHUT_WR)
        read_end(self._connection)
        return self._sent

    def _send(self) -> None:
        while not self._stop.is_set():
            self._connection.sendall(self.LINES)
            self._sent += 64
            self._since = time.monotonic()


@pytest.mark.proof
def test_large_commit(start_service: ServiceMaker) -> None:
    """While 100,000 series are committed, the pages answer."""
    # Once a second, so that all are in one commit.
    service = start_service(more=["--max-series=500000"], environ={COMMIT_PERIOD: "1"})
    tried = []
    # A machine that was busy with other things may have let us ask too seldom.
    for name in (b"a", b"b", b"c"):
        took, ages = asked_meanwhile(service, name)
        # The small ones before and after it take a hundredth of that.
        if sum(age > took / 10 for age in ages) >= 3:
            return
        tried.append((took, ages))
    pytest.fail(f"{tried}")


def asked_meanwhile(service: Service, name: bytes) -> tuple[float, list[float]]:
    """Have 100,000 new series committed; return how long that took, and for how long it was under way when we asked."""
    before, known = service.metrics().total("statscounter_commit_duration_seconds_sum"), series(service)
    ages: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            ages.append(service.status()["underway_seconds"]["commit"])

    thread = threading.Thread(target=ask)
    # A supervisor that stands still asks the worker for nothing; afterwards it asks for all at once.
    with service.supervisor_held():
        half_close(service.port("lines"), b"".join(b"%b%d:1|c\n" % (name, number) for number in range(100_000)))
        thread.start()
    try:
        until(lambda: series(service) >= known + 100_000, "all series are committed")
    finally:
        done.set()
        thread.join()
    return service.metrics().total("statscounter_commit_duration_seconds_sum") - before, ages


def series(service: Service) -> float:
    """Return how many counters there are."""
    return service.metrics().total("statscounter_series", type="c")
