"""Files and folders that are ours alone: opened without following a link, and closed to all other users.

What is in the place of one of them and is something else (a link, a fifo, a device, a file of another user or one with
a second name) is left alone. It is looked at before it is opened, because opening a fifo waits and opening a device may
do something, and again afterwards, when it can no longer be replaced.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["NotOursError", "open_file", "open_folder", "replace_file", "sync"]

FILE_MODE, FOLDER_MODE = 0o600, 0o700

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFBLK: "a device",
    stat.S_IFCHR: "a device",
}
_OTHERS = 0o077
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class NotOursError(OSError):
    """Something else is in the place of a file or folder of ours; ``strerror`` says what it is."""


def open_file(path: Path | str, flags: int, *, at: int | None = None, foreign: bool = False) -> int:
    """Open a file of ours, and return its descriptor; ``at`` is that of the folder that a relative path begins in.

    With O_CREAT in ``flags`` it is made if nothing is there. Its mode is 600 from then on. With ``foreign`` it may
    belong to any user, and stays as it is. Raise `NotOursError` and other `OSError`.
    """
    try:
        _judge(os.stat(path, dir_fd=at, follow_symlinks=False), stat.S_IFREG, path, foreign=foreign)
        flags &= ~os.O_CREAT
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
        flags |= os.O_EXCL
    descriptor = os.open(path, flags | _SAFELY, FILE_MODE, dir_fd=at)
    return _judged(descriptor, stat.S_IFREG, path, foreign=foreign)


def open_folder(path: Path | str, *, at: int | None = None) -> int:
    """Open a folder of ours, which is made if nothing is there, and return its descriptor.

    Its mode is 700 from then on. Raise `NotOursError` and other `OSError`.
    """
    try:
        os.mkdir(path, FOLDER_MODE, dir_fd=at)
    except FileExistsError:
        _judge(os.stat(path, dir_fd=at, follow_symlinks=False), stat.S_IFDIR, path, foreign=False)
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFELY, dir_fd=at)
    return _judged(descriptor, stat.S_IFDIR, path, foreign=False)


def replace_file(path: Path, text: str, mode: int = 0o644) -> None:
    """Put a new file at ``path``, in the place of whatever is there: a link is replaced, not followed.

    Raise `OSError`; what was there is still there then.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Sync a file, or the names in a folder, to the disk; raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _judged(descriptor: int, kind: int, path: Path | str, *, foreign: bool) -> int:
    try:
        found = os.fstat(descriptor)
        _judge(found, kind, path, foreign=foreign)
        if found.st_mode & _OTHERS and not foreign:
            os.fchmod(descriptor, FOLDER_MODE if kind == stat.S_IFDIR else FILE_MODE)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _judge(found: os.stat_result, kind: int, path: Path | str, *, foreign: bool) -> None:
    actual = stat.S_IFMT(found.st_mode)
    if actual != kind:
        why = f"is {_KINDS.get(actual, 'something unknown')} and no {_KINDS[kind].removeprefix('a ')}"
    elif found.st_uid != os.geteuid() and not foreign:
        why = f"belongs to user {found.st_uid}"
    elif kind == stat.S_IFREG and found.st_nlink > 1:
        why = "has a second name (a hard link)"
    else:
        return
    raise NotOursError(errno.EPERM, why, str(path))
