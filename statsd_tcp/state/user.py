"""The user that a process of root becomes after the start (``--uid``): what it needs is tried before, as that user."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["User", "UserError", "acting_as", "check_access", "check_reading", "check_writing", "find_user"]


class UserError(Exception):
    """A change of user that cannot be; the text is one line."""


class User(NamedTuple):
    """A user by number, with the groups that the process will have."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def find_user(uid: int | None, gid: int | None) -> User | None:
    """Find the user that this process becomes; None if it stays what it is. Raise `UserError`."""
    if uid is None or os.geteuid() or not uid:
        return None
    try:
        known = pwd.getpwuid(uid)
    except KeyError:
        raise UserError(f"--uid {uid}: there is no such user on this machine") from None
    gid = known.pw_gid if gid is None else gid
    return User(uid, gid, tuple(os.getgrouplist(known.pw_name, gid)))


@contextmanager
def acting_as(user: User | None) -> Iterator[None]:
    """Take the rights of this user only, and make files that are theirs. Raise `UserError` when that is impossible."""
    if user is None:
        yield
        return
    gid, groups = os.getegid(), os.getgroups()
    try:
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)
    except OSError as error:
        raise UserError(f"--uid {user.uid}: this process cannot become that user ({error.strerror})") from None
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)


def check_access(user: User, needed: dict[str, str] | None = None) -> None:
    """Check that the user can run what the workers run. Raise `UserError`.

    ``needed`` are files by what they are; unless given those of Python and of the packages.
    """
    needed = _needed() if needed is None else needed
    with acting_as(user):
        for what, path in needed.items():
            mode = os.R_OK | (os.X_OK if what == "the interpreter" else 0)
            if not os.access(path, mode, effective_ids=True):
                raise UserError(
                    f"--uid {user.uid}: that user may not read {what} ({path}): install it where every user may read "
                    "it, or open its folders"
                )


def check_reading(user: User, files: Mapping[str, str]) -> None:
    """Check that the user can read files, which are given by the options that name them. Raise `UserError`."""
    with acting_as(user):
        for option, path in files.items():
            if not os.access(path, os.R_OK, effective_ids=True):
                raise UserError(
                    f"{option}={path}: user {user.uid} may not read that file, and a reload reads it as that user: let "
                    "a group of that user read it (chgrp, chmod g+r), and go to its folder"
                )


def check_writing(user: User | None, option: str, path: str) -> None:
    """Check that a file can be written, by the user if there is one; create it if necessary. Raise `UserError`."""
    with acting_as(user):
        if os.access(path, os.R_OK | os.W_OK, effective_ids=True):
            return
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o644))
        except OSError as error:
            raise UserError(
                f"{option}={path}: user {os.geteuid()} cannot write that file ({error.strerror}), and a reload opens "
                "it as that user: make it, and give it to that user (chown)"
            ) from None


def _needed() -> dict[str, str]:
    import msgspec
    import twisted

    import statsd_tcp

    modules = {"Python's library": os, "statscounter": statsd_tcp, "Twisted": twisted, "msgspec": msgspec}
    files = {what: module.__file__ or "" for what, module in modules.items()}
    return {"the interpreter": str(Path(sys.executable)), **files}
