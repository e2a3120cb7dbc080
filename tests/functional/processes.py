"""Finding and ending the processes of one test, whatever has become of their parents."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.functional.waiting import until

__all__ = ["DYING_WITH_US", "MARK", "descriptors", "end_all", "held", "is_alive", "marked", "new_mark", "waits"]

MARK = "STATSCOUNTER_TEST"
"""The environment variable that all processes of a test inherit: also a daemon, and the children of a dead parent."""

DYING_WITH_US = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
"""What stands before a command that must not outlive the run, also if that is killed (util-linux)."""


def new_mark() -> str:
    """Return a value of `MARK` that no other process has."""
    return uuid.uuid4().hex


def marked(mark: str) -> list[int]:
    """List the living processes with this mark."""
    wanted = f"{MARK}={mark}".encode()
    return [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and wanted in _environment(folder) and is_alive(int(folder.name))
    ]


def end_all(mark: str) -> None:
    """Kill every process with this mark, and wait until none is left."""

    def none_left() -> bool:
        found = marked(mark)
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return not found

    until(none_left, "all processes of the test have ended")


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Stop a process in its tracks, and let it go on afterwards if it still lives."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: _state(Path(f"/proc/{pid}")) in ("T", ""), f"process {pid} stands still")
    try:
        yield
    finally:
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is not just waiting to be reaped."""
    return _state(Path(f"/proc/{pid}")) not in ("", "Z", "X")


def waits(pid: int) -> bool:
    """Return whether all threads of a process wait for something to come, none for a processor."""
    return {_state(task) for task in Path(f"/proc/{pid}/task").iterdir()} == {"S"}


def descriptors(pid: int) -> dict[int, str]:
    """Return where the descriptors of a process lead, without those that it closes while we look."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = str(entry.readlink())
        except FileNotFoundError:
            pass
    return found


def _state(folder: Path) -> str:
    """Return the letter of the state of a process or a thread, nothing if there is no such."""
    try:
        stat = (folder / "stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def _environment(folder: Path) -> list[bytes]:
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
