"""The process that reads a piece of a journal: what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from statsd_tcp.aggregate.encoding import VERSION, VERSION_1, VERSION_2, VERSION_3, decode
from statsd_tcp.commit.replay import Mode
from statsd_tcp.commit.replay_process import LEDGER_DESCRIPTOR, NO_MEMORY, ReadRequest, Words
from statsd_tcp.ledger.cells import ledger_cells
from statsd_tcp.ledger.file import LedgerMap, create_ledger
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.ledger.layout import Directory
from tests.functional.waiting import PATIENCE

SLOW = """
import sys
from statsd_tcp.aggregate.digest import Digest
from statsd_tcp.commit import replay_process
replay_process.FRAME_SECONDS = 0.2
count = Digest.count
def spin(self, lines, *more):
    lines = list(lines)
    while any(b"slow" in line for line, _ in lines):
        pass
    return count(self, lines, *more)
Digest.count = spin
replay_process.main(sys.argv[1])
"""
"""The same process, in which a line takes for ever."""

HANGS = """
import runpy, sys, time
from statsd_tcp.aggregate.tally import Tally
def add(self, *more):
    {doing}
Tally.add = add
sys.argv[0] = "replay_process"
runpy.run_module("statsd_tcp.commit.replay_process", run_name="__main__", alter_sys=True)
"""
"""The same process, which does something else at each frame."""

MODULE = ("-m", "statsd_tcp.commit.replay_process")


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Make a ledger with three frames, the second of which is slow."""
    listeners = [("lines", "etsy")]
    directory = Directory(ledger_cells(["lines"]), listeners)
    path = create_ledger(tmp_path, 0, directory, created=0, boot_id=bytes(16), ring_size=4096)
    descriptor = os.open(path, os.O_RDWR)
    writer = LedgerMap(descriptor, str(path), writable=True)
    os.close(descriptor)
    journal = Journal(writer.ring, writer.cells)
    for lines in (b"a:1|c\n", b"slow:2|c\n", b"a:4|c\n"):
        journal.append(0, lines, 1, len(lines))
    writer.close()
    return path


def read(
    path: Path, program: tuple[str, ...] = MODULE, start: int = 0, mode: Mode = "quick", interval: int = VERSION
) -> tuple[int, Words]:
    """Run it; give its exit status, or the signal as a negative number, and what it said."""
    request = msgspec.json.encode(ReadRequest(str(path), start, mode=mode, interval=interval)).decode()
    done = subprocess.run(
        ["sh", "-c", f'exec {LEDGER_DESCRIPTOR}<"$0"; exec "$@"', path, sys.executable, *program, request],
        stdout=subprocess.PIPE,
        timeout=PATIENCE,
        check=False,
    )
    words = Words()
    words.hear(done.stdout)
    return done.returncode, words


def test_modes(ledger: Path) -> None:
    """Quick and careful reading give the same; a frame that is skipped is kept aside."""
    status, quick = read(ledger)
    assert (status, quick.begun, quick.offset) == (0, True, None)
    assert quick.replay is not None
    assert decode(quick.replay.payload).counters == {"a": 5.0, "slow": 2.0}
    status, careful = read(ledger, mode="careful")
    assert (status, careful.replay, careful.offset) == (0, quick.replay, 0)
    status, skip = read(ledger, start=40, mode="skip")
    assert skip.replay is not None
    assert skip.replay.skipped is not None
    assert (skip.replay.start, skip.replay.end, skip.replay.skipped.lines) == (40, 88, 1)
    assert Path(skip.replay.skipped.kept).read_bytes() == b"slow:2|c\n"


def test_older_supervisor(ledger: Path) -> None:
    """One that was started by an older supervisor answers in the version that this one reads."""
    for version in (VERSION_1, VERSION_2, VERSION_3, VERSION):
        _, words = read(ledger, interval=version)
        assert words.replay is not None
        assert words.replay.payload[:1] == bytes([version])
        assert decode(words.replay.payload).counters == {"a": 5.0, "slow": 2.0}


def test_a_line_that_takes_too_long(ledger: Path) -> None:
    """A line that takes more of the processor than a frame may ends the process; careful reading names its frame."""
    status, words = read(ledger, ("-c", SLOW))
    assert (status, words.begun, words.replay) == (-signal.SIGPROF, True, None)
    status, words = read(ledger, ("-c", SLOW), mode="careful")
    assert (status, words.offset, words.replay) == (-signal.SIGPROF, 40, None)


def test_no_memory(ledger: Path) -> None:
    """A process that gets no memory says so by its exit status."""
    status, words = read(ledger, ("-c", HANGS.format(doing="raise MemoryError")), mode="careful")
    assert (status, words.offset, words.replay) == (NO_MEMORY, 0, None)


def test_an_interrupt(ledger: Path) -> None:
    """One that is interrupted ends by the signal, which is no fault of the frame."""
    interrupt = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    assert read(ledger, ("-c", HANGS.format(doing=interrupt)), mode="careful")[0] == -signal.SIGINT


def test_nobody_hears_it(ledger: Path) -> None:
    """One that hangs ends when the supervisor is gone."""
    request = msgspec.json.encode(ReadRequest(str(ledger), 0, mode="careful")).decode()
    program = [sys.executable, "-c", HANGS.format(doing="time.sleep(10 * 3600)"), request]
    redirected = ["sh", "-c", f'exec {LEDGER_DESCRIPTOR}<"$0"; exec "$@"', str(ledger)]
    with subprocess.Popen([*redirected, *program], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == [b"!\n", b"@0\n"]
            process.stdout.close()
            assert process.wait(PATIENCE) == 1
        finally:
            process.kill()


def test_no_ledger(ledger: Path) -> None:
    """A file that no longer is one is a fault of the journal's, and no death."""
    ledger.write_bytes(b"?" * 200)
    status, words = read(ledger)
    assert status == 0
    assert words.replay is not None
    assert "is not a ledger" in words.replay.fault
