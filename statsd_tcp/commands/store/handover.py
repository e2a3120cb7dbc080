"""``statscounter store absorb`` and ``retire``: a node that has ended is handed over to one that lives.

Everything that can be found out is found out before anything is written: first the mark in the store of the node that
leaves, then the copy for the heir. Both may be repeated.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from statsd_tcp.commands.store.reading import StoreReader, open_reader
from statsd_tcp.commands.store.told import lines_of
from statsd_tcp.ledger.file import ledger_paths
from statsd_tcp.state.folder import LEDGERS, LOCK, STORE, files_in
from statsd_tcp.state.private_files import open_file, open_folder
from statsd_tcp.state.user import User, UserError, acting_as
from statsd_tcp.store.errors import StoreError, translated
from statsd_tcp.store.handover import ABSORB, FOLDER, absorbed_of, mark, prepare, told_of
from statsd_tcp.store.identity import Identity
from statsd_tcp.store.leaving import Stage, leaving_of
from statsd_tcp.words import span

__all__ = ["Wanted", "hand_over"]


class Wanted(NamedTuple):
    """What is asked for: ``absorb`` or ``retire``, of whom, and which risks are taken."""

    kind: str
    other: Path
    offline: bool
    without_journals: bool


def hand_over(folder: Path, wanted: Wanted, now: float) -> str:
    """Hand a store over to that in ``folder``, and return a line about it; raises `StoreError`."""
    try:
        with acting_as(_owner(folder)), ExitStack() as held:
            path = wanted.other
            if _is_folder(path):
                path = files_in(path) / STORE
                held.enter_context(_ended(path.parent))
            return _hand_over(folder, path, wanted, now)
    except UserError as error:
        raise StoreError(str(error)) from None


def _hand_over(folder: Path, path: Path, wanted: Wanted, now: float) -> str:
    with open_reader(folder / STORE) as heir, open_reader(path) as other:
        ours, theirs = _identity(heir), _identity(other)
        _check(heir, other, wanted, now)
        lines = lines_of(other)
    target = folder / FOLDER / f"{theirs.uuid}.sqlite"
    if target.exists():
        raise StoreError(f"{path} waits already in {target}, for the next start or reload of the service")
    with translated(target.parent):
        os.close(open_folder(target.parent))
    with translated(path):
        os.close(open_file(path, os.O_RDWR, foreign=True))
        mark(path, ours.uuid)
    with open_reader(path) as other, other.copied(target) as copy:
        prepare(copy, wanted.kind, ours.uuid, lines)
    done = "added" if wanted.kind == ABSORB else "retired"
    return f"{path} of the node {theirs.node} is {done} at the next start or reload (HUP) of the node {ours.node}"


def _identity(reader: StoreReader) -> Identity:
    identity = reader.identity()
    if identity is None:
        raise StoreError(f"{reader.path} has no UUID yet: start its service with this version, and stop it")
    return identity


def _check(heir: StoreReader, other: StoreReader, wanted: Wanted, now: float) -> None:
    """Raise `StoreError` for whatever speaks against it."""
    ours, theirs, path = _identity(heir), _identity(other), other.path
    if ours.uuid == theirs.uuid:
        raise StoreError(f"{path} is the store of the node {ours.node} itself, or a copy of it")
    for each in heir.look(absorbed_of):
        if each.uuid == theirs.uuid:
            raise StoreError(f"{path} was handed over to the node {ours.node} before ({each.kind}); it counts once")
    if theirs.heir not in {"", ours.uuid}:
        raise StoreError(f"{path} was handed over to the store {theirs.heir} before; it counts once")
    damage = other.damage()
    if damage:
        raise StoreError(f"{path} is damaged: {damage[0]}")
    if not wanted.without_journals and (
        any(ledger.state != "folded" for ledger in other.ledgers()) or ledger_paths(path.parent / LEDGERS)
    ):
        raise StoreError(
            f"{path} lacks what is in journals: start its service and stop it once, or give up what the journals have "
            "with --without-journals"
        )
    _check_outputs(heir, other, wanted, now)


def _check_outputs(heir: StoreReader, other: StoreReader, wanted: Wanted, now: float) -> None:
    ours, theirs = heir.look(told_of), other.look(told_of)
    missing = sorted(theirs.keys() - ours.keys())
    if missing and not wanted.offline:
        raise StoreError(
            f"{', '.join(missing)}: the node that is to go on has no such output, so that the series there are not "
            "ended, and count twice until they leave the window of the queries; --offline accepts that"
        )
    if any(each.stage < Stage.ENDED for output in theirs for each in other.look(partial(leaving_of, output=output))):
        raise StoreError(
            f"{other.path}: its outputs have not ended the series of a node that it has absorbed: start its service, "
            "and stop it when these are delivered"
        )
    ahead = max((told.last / 1000 - now for told in theirs.values()), default=0.0)
    if ahead > 0:
        raise StoreError(f"{other.path}: its last samples are {span(ahead)} ahead of our clock; wait until then")


@contextmanager
def _ended(folder: Path) -> Iterator[None]:
    """Hold the lock of a state folder, so that no service starts; raises `StoreError` if one runs."""
    try:
        lock = open_file(folder / LOCK, os.O_RDWR | os.O_CREAT, foreign=True)
    except OSError as error:
        raise StoreError(f"{folder / LOCK} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise StoreError(f"{folder} is in use: stop its service first") from None
    finally:
        os.close(lock)


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror}") from None


def _owner(folder: Path) -> User | None:
    """Return whose rights to take: root must not write into a folder of another user with its own."""
    try:
        found = folder.stat()
    except OSError as error:
        raise StoreError(f"{folder} cannot be opened: {error.strerror}") from None
    if os.geteuid() or not found.st_uid:
        return None
    try:
        groups = tuple(os.getgrouplist(pwd.getpwuid(found.st_uid).pw_name, found.st_gid))
    except KeyError:
        groups = (found.st_gid,)
    return User(found.st_uid, found.st_gid, groups)
