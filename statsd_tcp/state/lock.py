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

__all__ = ["LOCK", "HeldLock", "StateError", "sign_lock", "take_lock", "take_open"]

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
        raise StateError(
            f"--state-dir {folder} is in use by another instance (pid {_signed_by(lock) or 'unknown'}): "
            "--state-dir DIR gives this one its own"
        ) from None
    except OSError as error:
        raise StateError(
            f"--state-dir {folder}: {LOCK} cannot be locked ({error.strerror}): name one whose file system has locks"
        ) from None


def sign_lock(descriptor: int) -> None:
    """Write our process number into the lock, for a process that finds it taken. Raise `OSError`."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


class HeldLock:
    """The lock of a folder that this instance has: ``descriptor``, whose number stays the same."""

    def __init__(self, folder: Path, descriptor: int) -> None:
        self._folder = folder
        self._path = folder / LOCK
        self._descriptor = descriptor
        self._lost = ""

    def keep(self) -> None:
        """See that the lock is at its place, and put another one there if it is gone.

        Raise `StateError` if that cannot be done, or if another instance has come in between. The store is then no
        longer what this one has in its memory: from then on it is raised each time, also when the other one has gone.
        """
        if self._lost:
            raise StateError(self._lost)
        try:
            if self._is_there():
                return
            put_back = self._put_back()
        except OSError as error:
            raise StateError(f"{self._path} was taken away and cannot be put back: {in_words(error)}") from None
        os.dup2(put_back, self._descriptor, inheritable=os.get_inheritable(self._descriptor))
        os.close(put_back)
        _log.warn(
            "{path} was taken away and is put back: without it, another instance could use the folder", path=self._path
        )

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(self._path.lstat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _put_back(self) -> int:
        other = self._found()
        try:
            if not other:
                return take_lock(self._folder)
        except StateError:
            # It has not signed yet.
            other = "unknown"
        self._lost = (
            f"{self._path} was taken away, and another instance (pid {other}) has used the folder since: "
            "stop that one, if it still runs, and restart this one"
        )
        raise StateError(self._lost)

    def _found(self) -> str:
        """Return who has signed the lock that is there now: each instance does it at its start."""
        try:
            descriptor = open_file(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return ""
        try:
            return _signed_by(descriptor)
        finally:
            os.close(descriptor)


def _signed_by(lock: int) -> str:
    return os.pread(lock, 32, 0).decode(errors="replace").strip()
