"""Unix sockets: bound at a path that no other process uses, with their mode and owner, and removed again.

What is at a path is found out with a socket of a type that nothing here listens with. The kernel looks the path up
first and the type second: ECONNREFUSED means that no process has the socket, EPROTOTYPE that one has. Neither
makes a connection, so a check of our own socket is not counted as one.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

from statsd_tcp.settings.endpoints import Endpoint

__all__ = ["PathInUseError", "bind_unix", "is_stale", "remove_path"]

_UNTIL_IT_IS_READY = 0o600


class PathInUseError(OSError):
    """Something is at the path that may not be replaced; the text says what."""


def bind_unix(endpoint: Endpoint) -> socket.socket:
    """Bind the one socket of a Unix endpoint, which does not listen yet.

    A socket file that no process has is replaced. Raises `PathInUseError` for anything else, and `OSError`.
    """
    kind = socket.SOCK_STREAM if endpoint.stream else socket.SOCK_DGRAM
    one = socket.socket(socket.AF_UNIX, kind)
    one.setblocking(False)
    try:
        if endpoint.abstract:
            one.bind("\0" + endpoint.path[1:])
        else:
            _bind_file(one, endpoint)
    except OSError:
        one.close()
        raise
    return one


def is_stale(path: str) -> bool:
    """Return whether a socket file is there that no process has; raises `OSError` when that cannot be found out."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return stat.S_ISSOCK(Path(path).lstat().st_mode)
        except OSError as error:
            if error.errno not in (errno.EPROTOTYPE, errno.EAGAIN):
                raise
    return False


def remove_path(path: str) -> None:
    """Remove a socket file that no process has. Whatever else is there, or cannot be removed, stays."""
    try:
        _remove_stale(Path(path))
    except OSError:
        # The next start replaces it.
        pass


def _bind_file(one: socket.socket, endpoint: Endpoint) -> None:
    path = Path(endpoint.path)
    try:
        _remove_stale(path)
    except FileNotFoundError:
        pass
    # bind(2) takes the new file's mode from the socket: no other user can connect before mode and owner are set.
    os.fchmod(one.fileno(), _UNTIL_IT_IS_READY)
    one.bind(endpoint.path)
    try:
        _give(path, endpoint)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _give(path: Path, endpoint: Endpoint) -> None:
    """Set the new file's owner and mode.

    By its descriptor, because in a folder that other users may write, a link may have taken its place.
    """
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        made = os.fstat(descriptor)
        if not stat.S_ISSOCK(made.st_mode) or made.st_uid != os.geteuid() or made.st_nlink != 1:
            raise PathInUseError(errno.EEXIST, "was replaced while it was made")
        # What is opened as a path only takes neither fchown(2) nor fchmod(2).
        itself = Path(f"/proc/self/fd/{descriptor}")
        if endpoint.user is not None or endpoint.group is not None:
            os.chown(itself, _or_same(endpoint.user), _or_same(endpoint.group))
        itself.chmod(endpoint.mode)
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    """Remove a socket file that no process has; raises `PathInUseError` for anything else that is there."""
    found = path.lstat()
    if not stat.S_ISSOCK(found.st_mode):
        raise PathInUseError(errno.EEXIST, "is there and is no socket")
    if not is_stale(str(path)):
        raise PathInUseError(errno.EADDRINUSE, "is in use by another process")
    # Another process may have found the same and put a new one there meanwhile: that one is put back.
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    path.rename(aside)
    if _identity(aside.lstat()) != _identity(found):
        aside.rename(path)
        raise PathInUseError(errno.EADDRINUSE, "is in use by another process")
    aside.unlink()


def _identity(file: os.stat_result) -> tuple[int, int, int]:
    # The number of an inode alone may have been given to a new file at once.
    return file.st_dev, file.st_ino, file.st_mtime_ns


def _or_same(number: int | None) -> int:
    return -1 if number is None else number
