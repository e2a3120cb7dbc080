"""Listening sockets that systemd made, or kept for us, in the form in which an earlier image of ours leaves its own.

systemd gives bare descriptors. What they are is asked of the kernel: type, family and address. Several sockets of one
address are one listener's, for several workers.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping, Sequence

from twisted.internet import endpoints

from statsd_tcp.endpoints import Endpoint
from statsd_tcp.ingest.inheritance import InheritedListener

__all__ = ["activated_descriptors", "describe_sockets"]

_FIRST = 3
_EVERYWHERE = ("0.0.0.0", "::")

Address = tuple[str, int, str | None, str]


def activated_descriptors(environ: MutableMapping[str, str], pid: int) -> list[int]:
    """Take the descriptors that systemd has passed to this process, see sd_listen_fds(3)."""
    if environ.get("LISTEN_PID") == str(pid) and environ.get("LISTEN_FDS", "").isdigit():
        count = int(environ["LISTEN_FDS"])
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
            environ.pop(name, None)
        found = list(range(_FIRST, _FIRST + count))
    else:
        # Twisted reads, and deletes, the variables when its endpoints are imported, which may have been before us.
        found = endpoints._SystemdParser._sddaemon.inheritedDescriptors()  # noqa: SLF001
    for descriptor in found:
        os.set_inheritable(descriptor, False)
    return found


def describe_sockets(descriptors: Sequence[int]) -> list[InheritedListener]:
    """Say which listeners these sockets make. What is no socket that we could listen on is left alone."""
    groups: dict[Address, dict[int, list[int]]] = {}
    for descriptor in descriptors:
        try:
            family, address = _address(descriptor)
        except OSError:
            continue
        if address is not None:
            groups.setdefault(address, {}).setdefault(family, []).append(descriptor)
    return [_listener(address, families) for address, families in groups.items()]


def _address(descriptor: int) -> tuple[int, Address | None]:
    with socket.socket(fileno=os.dup(descriptor)) as one:
        name, family, stream = one.getsockname(), one.family, one.type == socket.SOCK_STREAM
    if family == socket.AF_UNIX:
        path = "@" + name[1:].decode() if isinstance(name, bytes) else name
        return family, ("unix" if stream else "unixgram", 0, None, path)
    if family in (socket.AF_INET, socket.AF_INET6):
        host, port = name[:2]
        return family, ("tcp" if stream else "udp", port, None if host in _EVERYWHERE else host, "")
    return family, None


def _listener(address: Address, families: dict[int, list[int]]) -> InheritedListener:
    scheme, port, interface, path = address
    endpoint = Endpoint(scheme=scheme, port=port, interface=interface, path=path)  # type: ignore[arg-type]
    rows = [list(row) for row in zip(*families.values(), strict=False)]
    return InheritedListener(endpoint, port, rows)
