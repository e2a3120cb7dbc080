"""The state folder of a run: made if there is none, opened once, judged by what was opened, and locked.

It may itself be reached through a symbolic link, as systemd makes one with DynamicUser=. Below it no link is followed.

Where other users may write it, they could put anything in the place of what we make there. Root then refuses to start:
it would work for them. Another user, whose container or pod has such a volume, gets a folder of its own below it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from twisted.logger import Logger

from statsd_tcp.state.lock import LOCK, StateError, sign_lock, take_lock, take_open
from statsd_tcp.state.making import make_folder
from statsd_tcp.state.private_files import NotOursError, open_file, open_folder
from statsd_tcp.state.user import User, acting_as
from statsd_tcp.words import in_words

__all__ = ["LEDGERS", "LOCK", "PRIVATE", "STORE", "StateError", "check_state", "files_in", "open_state", "sign_lock"]

LEDGERS = "ledgers"
STORE = "totals.sqlite"
STORE_FILES = (f"{STORE}-wal", f"{STORE}-shm", f"{STORE}-journal", STORE)

PRIVATE = "private"
"""The folder below a state folder that others may write."""

_OURS = frozenset({LOCK, LEDGERS, PRIVATE, "absorb", *STORE_FILES})
_OTHERS_WRITE = 0o022
_OTHERS = 0o077

_log = Logger()


class _Folder(NamedTuple):
    """An open folder, and what it is called for people."""

    path: Path
    descriptor: int


def files_in(folder: Path) -> Path:
    """Return where the files of a state folder are, for those who only look at them."""
    private = folder / PRIVATE
    return private if private.is_dir() and not private.is_symlink() else folder


def open_state(folder: Path, user: User | None = None, lock: int | None = None) -> tuple[Path, int]:
    """Open the state folder for this instance; return where its files are, and the descriptor of the lock.

    ``user`` is whom this process, root's, will become: all is made as that user. With the ``lock`` that an earlier
    image of this process has, the files stay where they are. Raise `StateError`.
    """
    try:
        make_folder(folder, user)
    except OSError as error:
        by = f" by user {user.uid}" if user is not None else ""
        raise StateError(
            f"--state-dir {folder}: cannot be made{by} ({error.strerror}); name a folder that may be written"
        ) from None
    with _explained(folder, user):
        if user is not None:
            _drop_lock_of_root(folder, user)
        with acting_as(user):
            return _open(folder, lock)


def check_state(folder: Path) -> None:
    """Find out for a reload whether the next image can use the state folder that we use. Raise `StateError`."""
    if not folder.exists():
        return
    with _explained(folder, None), ExitStack() as opened:
        top = place = _Folder(folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        opened.callback(os.close, top.descriptor)
        _judge(top, os.fstat(top.descriptor))
        if _there(PRIVATE, top.descriptor):
            place = _Folder(folder / PRIVATE, open_folder(PRIVATE, at=top.descriptor))
            opened.callback(os.close, place.descriptor)
        for name in (LEDGERS, LOCK, *STORE_FILES):
            if _there(name, place.descriptor):
                _open_one(name, place)


@contextmanager
def _explained(folder: Path, user: User | None) -> Iterator[None]:
    try:
        yield
    except NotOursError as error:
        name = Path(os.fspath(error.filename)).name
        raise StateError(f"--state-dir {folder}: {name} {error.strerror}; it is left alone: move it away") from None
    except OSError as error:
        by = f" by user {user.uid}" if user is not None else ""
        raise StateError(f"--state-dir {folder}: cannot be used{by} ({in_words(error)}); name another folder") from None


def _drop_lock_of_root(folder: Path, user: User) -> None:
    """Remove a lock that root made before it became the user, as release 0.1.0 did, if no process holds it.

    Only in a folder of the user's, reached and changed with the user's rights: it may lead anywhere.
    """
    with acting_as(user):
        top = _Folder(folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    try:
        if os.fstat(top.descriptor).st_uid == user.uid and _there(LOCK, top.descriptor):
            _drop_if_of_root(top, user)
    finally:
        os.close(top.descriptor)


def _drop_if_of_root(top: _Folder, user: User) -> None:
    descriptor = open_file(LOCK, os.O_RDONLY, at=top.descriptor, foreign=True)
    try:
        if os.fstat(descriptor).st_uid == 0:
            take_open(descriptor, top.path)
            with acting_as(user):
                os.unlink(LOCK, dir_fd=top.descriptor)
    finally:
        os.close(descriptor)


def _open(folder: Path, lock: int | None) -> tuple[Path, int]:
    top = _Folder(folder, os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    place = None
    try:
        found = os.fstat(top.descriptor)
        shared = _judge(top, found)
        place = _place(top, shared=shared, lock=lock)
        os.close(open_folder(LEDGERS, at=place.descriptor))
        if not shared:
            _close_to_others(top.descriptor, found)
        return place.path, take_lock(place.path, place.descriptor) if lock is None else lock
    finally:
        for one in filter(None, {top, place}):
            os.close(one.descriptor)


def _judge(folder: _Folder, found: os.stat_result) -> bool:
    """Return whether others may write the folder; raises `StateError` if it may not be used."""
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=folder.descriptor, effective_ids=True):
        raise StateError(f"--state-dir {folder.path}: may not be written; name another folder or change its rights")
    shared = bool(found.st_mode & _OTHERS_WRITE) or found.st_uid != os.geteuid()
    if shared and not os.getuid():
        raise StateError(_too_open(folder.path, found))
    return shared


def _too_open(folder: Path, found: os.stat_result) -> str:
    if found.st_uid not in (0, os.geteuid()):
        return (
            f"--state-dir {folder}: belongs to user {found.st_uid}, for whom root would work there; start with --uid "
            f"{found.st_uid}, or name another folder"
        )
    return (
        f"--state-dir {folder}: other users may write it, for whom root would work there; name a folder below it, or "
        f"chmod go-w {folder}"
    )


def _place(top: _Folder, *, shared: bool, lock: int | None) -> _Folder:
    """Choose the folder of the files: the state folder, or one of our own below it."""
    if lock is not None and _is_at(lock, top.descriptor):
        return top
    if not shared and not _there(PRIVATE, top.descriptor):
        return top
    private = _Folder(top.path / PRIVATE, open_folder(PRIVATE, at=top.descriptor))
    if shared:
        _log.warn(
            "--state-dir {folder}: other users may write it, and so the files are in {private}, which they may not",
            folder=top.path,
            private=private.path,
        )
    if lock is None:
        _move(top, private)
    return private


def _move(top: _Folder, private: _Folder) -> None:
    """Take the files of an earlier run along, in an order in which a crash in between does no harm."""
    left = [name for name in (LEDGERS, *STORE_FILES) if _there(name, top.descriptor)]
    if not left:
        return
    # An instance that runs there has it.
    lock = take_lock(top.path, top.descriptor)
    try:
        for name in left:
            _move_one(name, top, private)
    finally:
        os.close(lock)


def _move_one(name: str, top: _Folder, private: _Folder) -> None:
    if _there(name, private.descriptor):
        raise StateError(f"--state-dir {top.path}: {name} is here and in {PRIVATE}: move away what is not wanted")
    _open_one(name, top)
    os.rename(name, name, src_dir_fd=top.descriptor, dst_dir_fd=private.descriptor)


def _open_one(name: str, place: _Folder) -> None:
    """Check that something is ours; raises `NotOursError`."""
    at = place.descriptor
    os.close(open_folder(name, at=at) if name == LEDGERS else open_file(name, os.O_RDONLY, at=at))


def _close_to_others(descriptor: int, found: os.stat_result) -> None:
    """Make a folder of ours 700, unless it contains other things."""
    if found.st_mode & _OTHERS and set(os.listdir(descriptor)) <= _OURS:
        os.fchmod(descriptor, 0o700)


def _is_at(lock: int, folder: int) -> bool:
    """Return whether this is the lock of that folder."""
    try:
        there = os.stat(LOCK, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(lock))


def _there(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
