"""Listening sockets that systemd made, or kept for us, in the form in which an earlier image of ours leaves its own.

systemd gives bare descriptors. What they are is asked of the kernel: type, family and address. Several sockets of one
address are one listener's, for several workers. Their indexes in their group cannot be read from the kernel:
sockets that systemd kept for us are named by them, in whatever order they come back; for others they are unknown.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import MutableMapping, Sequence
from typing import NamedTuple

from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.sockets.inherited import InheritedListener

__all__ = ["Passed", "activated_descriptors", "describe_sockets", "kept_name"]

_FIRST = 3
_EVERYWHERE = ("0.0.0.0", "::")

Address = tuple[str, int, str | None, str]


_PLACE = "#"


class Passed(NamedTuple):
    """A descriptor that systemd has passed, and what it calls it; ``is_copied``: it was passed more than once."""

    descriptor: int
    name: str = ""
    is_copied: bool = False


def kept_name(label: str, worker: int) -> str:
    """Name the sockets of a worker, of those of one listener; such a name has no colon."""
    return f"{label.replace(':', '_')}{_PLACE}{worker}"


def activated_descriptors(environ: MutableMapping[str, str], pid: int) -> list[Passed]:
    """Take the descriptors that systemd has passed to this process, see sd_listen_fds(3)."""
    if environ.get("LISTEN_PID") == str(pid) and environ.get("LISTEN_FDS", "").isdigit():
        count = int(environ["LISTEN_FDS"])
        found, names = list(range(_FIRST, _FIRST + count)), environ.get("LISTEN_FDNAMES", "").split(":")
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            environ.pop(name, None)
    elif (endpoints := sys.modules.get("twisted.internet.endpoints")) is not None:
        # Twisted has read, and deleted, the variables when its endpoints were imported.
        passed = endpoints._SystemdParser._sddaemon  # noqa: SLF001
        found, names = passed.inheritedDescriptors(), list(passed._names)  # noqa: SLF001
    else:
        found, names = [], []
    for descriptor in found:
        os.set_inheritable(descriptor, False)
    names += [""] * (len(found) - len(names))
    return [Passed(descriptor, name) for descriptor, name in zip(found, names, strict=False)]


def describe_sockets(passed: Sequence[Passed]) -> list[InheritedListener]:
    """Return the listeners that these sockets make. A descriptor that is no socket to listen on is left alone."""
    groups: dict[Address, dict[int, list[Passed]]] = {}
    for one in _once_each(passed):
        try:
            family, address = _address(one.descriptor)
        except OSError:
            continue
        if address is not None:
            groups.setdefault(address, {}).setdefault(family, []).append(one)
    return [_listener(address, families) for address, families in groups.items()]


def _once_each(passed: Sequence[Passed]) -> list[Passed]:
    """Leave out copies of the same socket: one of a socket unit is passed again when it was kept for us too."""
    found: dict[tuple[int, int], Passed] = {}
    for one in passed:
        status = os.fstat(one.descriptor)
        known = found.setdefault((status.st_dev, status.st_ino), one)
        if known is not one:
            better, other = (one, known) if _place(one) is not None else (known, one)
            found[status.st_dev, status.st_ino] = better._replace(is_copied=True)
            os.close(other.descriptor)
    return list(found.values())


def _place(one: Passed) -> int | None:
    """Return the index that a name tells, None if it does not."""
    number = one.name.rpartition(_PLACE)[2]
    return int(number) if _PLACE in one.name and number.isdigit() else None


def _address(descriptor: int) -> tuple[int, Address | None]:
    with socket.socket(fileno=os.dup(descriptor)) as one:
        name, family, stream = one.getsockname(), one.family, one.type == socket.SOCK_STREAM
    if family == socket.AF_UNIX:
        if not name:
            # It is not bound, and no client can know it.
            return family, None
        path = "@" + name[1:].decode() if isinstance(name, bytes) else name
        return family, ("unix" if stream else "unixgram", 0, None, path)
    if family in (socket.AF_INET, socket.AF_INET6):
        host, port = name[:2]
        return family, ("tcp" if stream else "udp", port, None if host in _EVERYWHERE else host, "")
    return family, None


def _listener(address: Address, families: dict[int, list[Passed]]) -> InheritedListener:
    scheme, port, interface, path = address
    endpoint = Endpoint(scheme=scheme, port=port, interface=interface, path=path)  # type: ignore[arg-type]
    ordered = all(_is_ordered(group) for group in families.values())
    groups = [sorted(group, key=_order) if ordered else group for group in families.values()]
    rows = [[one.descriptor for one in row] for row in zip(*groups, strict=False)]
    own = all(_place(one) is not None and not one.is_copied for group in groups for one in group)
    return InheritedListener(endpoint, port, rows, ordered=ordered, own=own)


def _is_ordered(group: Sequence[Passed]) -> bool:
    places = sorted(place for one in group if (place := _place(one)) is not None)
    return len(group) == 1 or places == list(range(len(group)))


def _order(one: Passed) -> int:
    return _place(one) or 0
