"""The state folder is created, by root for another user, in such a way that other users cannot misuse it.

A user who may write a folder can replace what was made in it before its owner is changed. A user who may write a parent
folder can make the path lead elsewhere. So root makes something only where no other user can do either. Everywhere else
it is made with the user's rights, and belongs to the user at once.
"""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from pathlib import Path

from statsd_tcp.state.user import User, acting_as

__all__ = ["make_folder"]

_OTHERS_WRITE = 0o022
_MOST_LINKS = 40
"""As many as the kernel follows."""


def make_folder(folder: Path, user: User | None) -> None:
    """Make a folder of mode 700, with those above it, if there is none; it is to be ``user``'s. Raise `OSError`."""
    if folder.exists():
        return
    base = next(parent for parent in folder.parents if parent.exists())
    names = folder.relative_to(base).parts
    with acting_as(user):
        # Shows whether the user can go there: a Path leaves the dot out.
        os.stat(f"{base}/.")  # noqa: PTH116
    if user is not None and _is_roots_alone(base):
        _make(base, names, user)
        return
    with acting_as(user):
        _make(base, names, None)


def _make(base: Path, names: tuple[str, ...], owner: User | None) -> None:
    """Make folders below each other, each in the one that was opened before; the last one is to be ``owner``'s."""
    with ExitStack() as opened:
        at = os.open(f"{base}/.", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, at)
        for number, name in enumerate(names, 1):
            os.mkdir(name, 0o700 if number == len(names) else 0o777, dir_fd=at)
            at = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            opened.callback(os.close, at)
        if owner is not None:
            os.fchown(at, owner.uid, owner.gid)


def _is_roots_alone(path: Path) -> bool:
    """Return whether no other user can change where an absolute path leads to, or what has been made there."""
    here, rest, links = Path("/"), list(path.parts), 0
    while rest:
        name = rest.pop(0)
        here = here.parent if name == ".." else here / name
        found = here.lstat()
        if not _is_guarded(found):
            return False
        if stat.S_ISLNK(found.st_mode):
            rest = [*here.readlink().parts, *rest]
            here = here.parent
            links += 1
            if links > _MOST_LINKS:
                return False
    return True


def _is_guarded(found: os.stat_result) -> bool:
    """Return whether other users cannot change root's files in a folder: with the sticky bit, only their own."""
    mode = found.st_mode
    return not found.st_uid and (stat.S_ISLNK(mode) or bool(mode & stat.S_ISVTX) or not mode & _OTHERS_WRITE)
