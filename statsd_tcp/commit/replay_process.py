"""The process that reads a piece of a dead worker's journal: ``python -m statsd_tcp.commit.replay_process REQUEST``.

It is a separate process because it is not known yet why the worker died: if one of the lines killed it, reading them
again would kill the supervisor too, at this start and every later one. The open ledger is its descriptor 3. It prints

    !                 it begins: what went wrong before that was not the journal's fault
    @OFFSET           in careful mode: the frame there is in memory, and about to be read
    -                 in careful mode: it was read, and the next one is taken from the file
    ?TEXT             the journal cannot be read for now: an error of the operating system
    =REPLAY           a `Replay` in msgpack, up to the end of the output

each but the last in a line. `Words` takes that apart again. It ends with `NO_MEMORY` when it gets no memory: that need
not be the frame's fault. It has a process group of its own, and ends when its output is no longer read.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import BinaryIO

import msgspec

from statsd_tcp import crash_points
from statsd_tcp.aggregate.encoding import VERSION, VERSION_3, decode, encode
from statsd_tcp.commit.kept import keep
from statsd_tcp.commit.replay import Mode, Replay, replay, replay_carefully, skip_frame
from statsd_tcp.ledger.layout import LedgerError
from statsd_tcp.ledger.reader import LedgerReader
from statsd_tcp.words import in_words

__all__ = ["FRAME_SECONDS", "LEDGER_DESCRIPTOR", "NO_MEMORY", "ReadRequest", "Words", "main"]

LEDGER_DESCRIPTOR = 3

FRAME_SECONDS = 10.0
"""Seconds of processor time that one frame may take, or in quick mode all of a piece. A frame is 128 KiB at most, which
take a hundredth of that. Time in which the process waits for the processor or the disk is not counted: a slow machine
is no fault of the frame's."""

NO_MEMORY = 12
"""The exit status of a process that got no memory, as ENOMEM."""

NICENESS = 5
"""A worker's replacement, which clients wait for, may start at the same moment."""


class ReadRequest(msgspec.Struct, frozen=True):
    """What is to be read of the ledger that lies at ``path``: see `statsd_tcp.commit.replay`.

    ``passed`` is how many processes have died of it before this one. ``interval`` is the version of the interval in the
    answer: the program may have been replaced by one that is newer than the supervisor.
    """

    path: str
    start: int
    until: int | None = None
    stop: int | None = None
    mode: Mode = "quick"
    passed: int = 0
    interval: int = VERSION_3


class Words:
    """What such a process has said so far."""

    def __init__(self) -> None:
        self._said = bytearray()

    def hear(self, data: bytes) -> None:
        """Take what came through its pipe."""
        self._said += data

    @property
    def begun(self) -> bool:
        """Return whether it began to read."""
        return self._said.startswith(b"!\n")

    @property
    def offset(self) -> int | None:
        """Return the offset of the frame that it was reading last, None if it was reading none."""
        marks = [line for line in self._lines() if line.startswith((b"@", b"-"))]
        return int(marks[-1][1:]) if marks and marks[-1] != b"-" else None

    @property
    def length(self) -> int:
        """Return how many bytes it has said."""
        return len(self._said)

    @property
    def trouble(self) -> str:
        """Return what the operating system refused, "" if nothing."""
        return next((line[1:].decode(errors="replace") for line in self._lines() if line.startswith(b"?")), "")

    @property
    def replay(self) -> Replay | None:
        """Return what it found, None if it did not come so far."""
        _, found, result = bytes(self._said).partition(b"\n=")
        try:
            return msgspec.msgpack.decode(result, type=Replay) if found else None
        except msgspec.MsgspecError:
            return None

    def _lines(self) -> list[bytes]:
        """Return the lines that came whole, before the result."""
        said = bytes(self._said).partition(b"\n=")
        *lines, rest = said[0].split(b"\n")
        return [*lines, rest] if said[1] else lines


def main(text: str) -> None:
    """Do what a `ReadRequest` in JSON asks for. Raises whatever goes wrong, except `OSError`."""
    request = msgspec.json.decode(text, type=ReadRequest)
    os.nice(NICENESS)
    _go_first()
    _end_unheard()
    crash_points.arm(os.environ, crash_points.READING, request.passed)
    with os.fdopen(1, "wb", buffering=0, closefd=False) as output:
        output.write(b"!\n")
        _limit()
        try:
            found = _read(request, output)
        except LedgerError as error:
            found = Replay(request.start, request.start, fault=str(error))
        except OSError as error:
            output.write(f"?{in_words(error)}\n".encode(errors="replace"))
            return
        if request.interval != VERSION:
            payload = encode(decode(found.payload), request.interval)
            found = msgspec.structs.replace(found, payload=payload)
        data = memoryview(b"=" + msgspec.msgpack.encode(found))
        while data:
            data = data[output.write(data) or 0 :]


def _read(request: ReadRequest, output: BinaryIO) -> Replay:
    ledger = LedgerReader(LEDGER_DESCRIPTOR, request.path)
    if request.mode == "quick":
        return replay(ledger, request.start, request.until)
    if request.mode == "careful":
        return replay_carefully(ledger, request.start, request.until, request.stop, _noting(output))
    path = Path(request.path)
    return skip_frame(
        ledger, request.start, request.until, lambda lines: keep(path.parent, f"{path.stem}.{request.start}", lines)
    )


def _noting(output: BinaryIO) -> Callable[[int | None], None]:
    def note(offset: int | None) -> None:
        output.write(b"-\n" if offset is None else b"@%d\n" % offset)
        _limit()

    return note


def _limit() -> None:
    """Let the kernel end this process, by SIGPROF, when what follows takes too long."""
    signal.setitimer(signal.ITIMER_PROF, FRAME_SECONDS)


def _end_unheard() -> None:
    """End this process when the supervisor is gone, also while it hangs."""
    heard = select.poll()
    heard.register(1, 0)

    def wait() -> None:
        heard.poll()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


def _go_first() -> None:
    """If the machine has no memory left, this process is to go, and not what serves clients."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")
    except OSError:
        # A wish.
        pass


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except MemoryError:
        sys.stderr.write("the reading process got no memory\n")
        sys.exit(NO_MEMORY)
    except Exception:  # noqa: BLE001  (the edge of the process)
        traceback.print_exc()
        sys.exit(1)
