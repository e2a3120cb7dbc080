"""The lock of a state folder: one instance has it, from its start to its end, whichever image of it runs.

The lock is on the open file. A file that was taken away is no longer where another instance looks for it, and two would
write the same store. So it is looked for before each commit, and put back.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from twisted.logger import Logger

from statsd_tcp.state.private_files import open_file
from statsd_tcp.words import in_words

__all__ = ["LOCK", "StateError", "keep_lock", "sign_lock", "take_lock", "take_open"]

LOCK = "lock"

_log = Logger()


class StateError(Exception):
    """A state folder that cannot be used; the text is one line with the cause and the remedy."""


def take_lock(folder: Path, at: int | None = None) -> int:
    """Take a folder for this instance, and return the descriptor of the lock; ``at`` is that of the folder.

    Raise `StateError` if another one has it, and `OSError`.
    """
    descriptor = open_file(folder / LOCK if at is None else LOCK, os.O_RDWR | os.O_CREAT, at=at)
    try:
        take_open(descriptor, folder)
        sign_lock(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def take_open(lock: int, folder: Path) -> None:
    """Take the lock that is open; raises `StateError`."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        raise StateError(
            f"--state-dir {folder} is in use by another instance (pid {owner}): --state-dir DIR gives this one its own"
        ) from None
    except OSError as error:
        raise StateError(
            f"--state-dir {folder}: {LOCK} cannot be locked ({error.strerror}): name one whose file system has locks"
        ) from None


def sign_lock(descriptor: int) -> None:
    """Write our process number into the lock, for a process that finds it taken. Raise `OSError`."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def keep_lock(folder: Path, lock: int) -> None:
    """See that the lock that we have is at its place; put another one there, under the same number, if it is gone.

    Raise `StateError` if another instance has come in between, or it cannot be put back.
    """
    path = folder / LOCK
    try:
        if os.path.samestat(path.lstat(), os.fstat(lock)):
            return
    except FileNotFoundError:
        pass
    try:
        put_back = take_lock(folder)
    except OSError as error:
        raise StateError(f"{path} was taken away and cannot be put back: {in_words(error)}") from None
    os.dup2(put_back, lock, inheritable=os.get_inheritable(lock))
    os.close(put_back)
    _log.warn("{path} was taken away and is put back: without it, another instance could use the folder", path=path)
