"""What a slot of remote write costs: in the thread that makes it, in the reactor's, on the disk and on the wire.

One output as the service has it, with a reactor, a store's thread and a file of its own, and a receiver in another
process that takes everything, or everything but one series. Times of the thread are its CPU time, the best of the
slots. The reactor has something to do every millisecond, and what counts is how late that gets.
"""

from __future__ import annotations

import argparse
import gc
import multiprocessing
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import cramjam
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread, deferToThreadPool
from twisted.python.threadpool import ThreadPool

from benchmarks.micro.layouts import FIELDS, STATS
from statsd_tcp.remote_write.credentials import Credentials
from statsd_tcp.remote_write.freezing import Freezer, Page
from statsd_tcp.remote_write.output import RemoteWrite
from statsd_tcp.remote_write.receiver import Receiver
from statsd_tcp.series.table import SeriesTable
from statsd_tcp.store.frozen import Bounds, Queue
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.store.transaction import transaction

SLOTS: Final = 9
SECONDS: Final = 10
TICK: Final = 0.001
REFUSED: Final = b"number\x12\x0277"
"""What the request of one series has, and no other: the value of its label ``number``."""


class Series:
    """Counters that all rise from slot to slot."""

    def __init__(self, number: int) -> None:
        self._ids = array("q", range(1, number + 1))
        self._identities = [f"api.hits\nnumber\n{each}\nplace\np{each % 100}" for each in range(number)]
        self._rises = 0

    def rise(self) -> Snapshot:
        """Return a snapshot in which every one has another value."""
        self._rises += 1
        values = array("d", [each * self._rises + 0.5 for each in self._ids])
        tables: dict[str, Any] = {field: SeriesTable(kind, 0, (), (), (), ()) for kind, field in FIELDS.items()}
        tables["counters"] = SeriesTable("c", 0, self._ids, self._identities, values, values)
        return Snapshot(settled={}, ledgers={}, stats=STATS, **tables)


class Timed(Freezer):
    """A freezer that notes the CPU time of each slot, in the thread that makes it."""

    spent: list[float]

    def freeze(self, *arguments: Any) -> Any:
        """Make a slot."""
        began = time.thread_time()
        result = super().freeze(*arguments)
        self.spent.append(time.thread_time() - began)
        return result


class Gaps:
    """How late the reactor's turns are, at most.

    A delay counts as far as this process used the processor meanwhile: the rest is what else the machine does.
    """

    def __init__(self, reactor: Any) -> None:
        self._last = _clocks()
        self.longest = 0.0
        call = LoopingCall(self._look)
        call.clock = reactor
        call.start(TICK)

    def _look(self) -> None:
        now = _clocks()
        self.longest = max(self.longest, min(now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now

    def take(self) -> float:
        """Return the longest one since the last call."""
        longest, self.longest, self._last = self.longest, 0.0, _clocks()
        return longest


def _clocks() -> tuple[float, float]:
    return time.monotonic(), time.process_time()


def receive(port: Connection, refused: bytes) -> None:
    """Be a receiver, which refuses requests that have a text in them."""

    class Taking(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_bad = bool(refused) and refused in bytes(cramjam.snappy.decompress_raw(body))
            self.send_response(400 if is_bad else 204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Keep quiet."""

    server = HTTPServer(("127.0.0.1", 0), Taking)
    port.send(server.server_address[1])
    server.serve_forever()


@contextmanager
def receiver(refused: bytes) -> Iterator[str]:
    """Yield the URL of a receiver in a process of its own."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(there, refused), daemon=True)
    process.start()
    yield f"http://127.0.0.1:{here.recv()}/api/v1/write"
    process.terminate()
    process.join()


class Output:
    """An output, its file, and the wall clock that it goes by."""

    def __init__(self, reactor: Any, url: str, folder: Path) -> None:
        self.now = time.time()
        self.freezer = Timed(Page(""), {"node": "node-1"}, SECONDS)
        self.freezer.spent = []
        self.queued = 0
        self._reactor = reactor
        self._pool = ThreadPool(1, 1)
        self._pool.start()
        self._file = sqlite3.connect(folder / "store.sqlite", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode=WAL")
        self._file.execute("PRAGMA synchronous=FULL")
        queue, target = Queue("it", Bounds(8640, 1 << 30)), Receiver(reactor, url, Credentials([], None))
        self.remote = RemoteWrite(
            reactor,
            queue,
            self.freezer,
            SECONDS,
            target,
            self._stored,
            lambda _: [],
            ["it"],
            self._in_thread,
            lambda: self.now,
        )
        self.remote.startService()

    def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        return deferToThread(work, *arguments)

    def _stored(self, work: Callable[[sqlite3.Connection], Any]) -> Deferred[Any]:
        def change() -> Any:
            with transaction(self._file):
                return work(self._file)

        return deferToThreadPool(self._reactor, self._pool, change)

    async def slot(self, snapshot: Snapshot) -> None:
        """Let a slot end, and wait until the receiver has it."""
        self.now += SECONDS
        before = len(self.freezer.spent)
        self.remote.committed(snapshot)
        while len(self.freezer.spent) == before or self.remote.underway is not None or self.remote.facts().queued:
            await deferLater(self._reactor, 0.005)
            if len(self.freezer.spent) > before and self.remote.facts().queued == 0:
                await deferLater(self._reactor, 0.05)

    async def close(self) -> None:
        """Stop all of it."""
        await self.remote.stopService()
        self._pool.stop()
        self._file.close()


def written() -> int:
    """Return the bytes that this process has had written to the disk."""
    lines: Iterable[str] = Path("/proc/self/io").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("write_bytes")))


async def measure(reactor: Any, number: int, url: str, folder: Path, what: str) -> None:
    """Let some slots end, and print what they cost."""
    series, gaps = Series(number), Gaps(reactor)
    output = Output(reactor, url, folder)
    # As the service does when it has started.
    gc.collect()
    gc.freeze()
    await deferLater(reactor, 0.1)
    gaps.take()
    await deferLater(reactor, 1.0)
    rest = gaps.take()
    snapshot = series.rise()
    gaps.take()
    await output.slot(snapshot)
    first = gaps.take()
    disk, wire, late = written(), output.remote.remote_facts().sent_bytes, []
    for _ in range(SLOTS):
        snapshot = series.rise()
        gaps.take()
        await output.slot(snapshot)
        late.append(gaps.take())
    each = number * SLOTS
    facts = output.remote.remote_facts()
    spent = output.freezer.spent
    print(
        f"{number:>7} {what:<12} first slot {spent[0] * 1e6 / number:5.2f} us for each series, later "
        f"{min(spent[1:]) * 1e6 / number:5.2f} us; "
        f"the reactor waits for {rest * 1e3:.1f} ms at rest, {first * 1e3:.1f} ms in the first slot, "
        f"{median(late) * 1e3:.1f} (median) to {max(late) * 1e3:.1f} ms later; "
        f"{(written() - disk) / each:.1f} bytes to the disk, "
        f"{(facts.sent_bytes - wire) / each:.1f} on the wire; refused {facts.refused}",
        flush=True,
    )
    await output.close()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--series", type=int, nargs="+", default=[1_000, 10_000, 100_000], metavar="N", help="that change in each slot"
    )
    parser.add_argument("--folder", type=Path, metavar="PATH", help="on the disk that is to be measured")


def run(arguments: argparse.Namespace) -> int:
    """Measure all sizes, with a receiver that takes all and with one that refuses a series."""
    from twisted.internet import reactor

    async def all_of_them() -> None:
        for number in arguments.series:
            for what, refused in (("all taken", b""), ("one refused", REFUSED)):
                with receiver(refused) as url, TemporaryDirectory(dir=arguments.folder) as folder:
                    await measure(reactor, number, url, Path(folder), what)

    def end(result: Any) -> None:
        reactor.stop()
        if result is not None:
            result.printTraceback()

    def begin() -> None:
        Deferred.fromCoroutine(all_of_them()).addBoth(end)

    reactor.callWhenRunning(begin)
    reactor.run()
    return 0
