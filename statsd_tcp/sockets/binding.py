"""Listening sockets are made and bound: those of a whole listener, or of one more worker.

The first of an SO_REUSEPORT group is bound without the option, so that a port in use is an error and not a silent
thief, and gets it afterwards, so that its siblings can join.
"""

from __future__ import annotations

import errno
import os
import socket
import zlib
from collections.abc import Sequence

from statsd_tcp import native
from statsd_tcp.kernel.segments import ask_for_segments
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.sockets.tls import read_tls
from statsd_tcp.sockets.unix import bind_unix

__all__ = ["UDP_BUFFER", "bind_listener", "bind_row", "receive_buffer", "share"]

KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 60, 10, 6
"""Seconds of silence before the first probe, seconds between probes, and how many may go unanswered: a client whose
machine vanished is noticed within two minutes. Accepted sockets inherit this from their listener."""

UDP_BUFFER = 4 << 20
"""Bytes of a receive buffer that each UDP socket asks for unless its endpoint says otherwise: the kernel doubles them,
and then 11,000 small datagrams have room, what comes in a tenth of a second at 100,000 a second. Memory is taken only
as far as datagrams wait."""

_ANY_PORT_TRIES = 16
_SO_RCVBUFFORCE = 33


def bind_listener(endpoint: Endpoint, workers: int) -> BoundListener:
    """Bind an endpoint's sockets for ``workers`` workers; raises `OSError`, and `TlsError` for keys and certificates.

    Without an interface that is every IPv4 address and, where the machine has IPv6, every one of that as well, on the
    same port.
    """
    if endpoint.path:
        return BoundListener(endpoint, 0, share(bind_unix(endpoint), endpoint, workers))
    tls = read_tls(endpoint.tls) if endpoint.tls is not None else None
    if endpoint.interface is not None:
        family = socket.AF_INET6 if ":" in endpoint.interface else socket.AF_INET
        group = _bind_group(endpoint, family, endpoint.interface, endpoint.port, workers)
        return BoundListener(endpoint, _port(group[0]), [[one] for one in group], tls)
    for _ in range(_ANY_PORT_TRIES):
        first = _bind_group(endpoint, socket.AF_INET, "0.0.0.0", endpoint.port, workers)
        port = _port(first[0])
        try:
            second = _bind_group(endpoint, socket.AF_INET6, "::", port, workers)
        except OSError as error:
            if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                return BoundListener(endpoint, port, [[one] for one in first], tls)
            for one in first:
                one.close()
            if endpoint.port or error.errno != errno.EADDRINUSE:
                raise
        else:
            return BoundListener(endpoint, port, [list(pair) for pair in zip(first, second, strict=True)], tls)
    raise OSError(errno.EADDRINUSE, "no port is free on both IPv4 and IPv6")


def share(one: socket.socket, endpoint: Endpoint, workers: int) -> list[list[socket.socket]]:
    """Return for each worker the one socket of a Unix endpoint, or none."""
    if endpoint.stream:
        return [[one]] * workers
    # Several such sockets go to several workers, and each to the same one after a restart.
    reader = zlib.crc32(endpoint.path.encode()) % workers
    return [[one] if worker == reader else [] for worker in range(workers)]


def _bind_group(endpoint: Endpoint, family: int, host: str, port: int, workers: int) -> list[socket.socket]:
    group: list[socket.socket] = []
    try:
        for index in range(workers):
            one = _make(endpoint, family)
            group.append(one)
            if index:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            one.bind((host, port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            port = _port(one)
    except OSError:
        for one in group:
            one.close()
        raise
    return group


def bind_row(endpoint: Endpoint, members: Sequence[socket.socket]) -> list[socket.socket]:
    """Bind one more socket to each address of these members' groups; raises `OSError`, as after a change of user."""
    row: list[socket.socket] = []
    try:
        # What was made before one fails is in the row.
        row.extend(_bind_sibling(endpoint, member) for member in members)
    except OSError:
        for one in row:
            one.close()
        raise
    return row


def _bind_sibling(endpoint: Endpoint, member: socket.socket) -> socket.socket:
    one = _make(endpoint, member.family)
    try:
        if member.family == socket.AF_INET6:
            only = member.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind(member.getsockname())
    except OSError:
        one.close()
        raise
    return one


def _make(endpoint: Endpoint, family: int) -> socket.socket:
    stream = endpoint.stream
    one = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    one.setblocking(False)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if stream:
        # Needed to restart while connections of the last run are in TIME_WAIT.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if endpoint.rcvbuf:
        _set_receive_buffer(one, endpoint.rcvbuf)
    elif not stream:
        _ask_for_room(one)
    if not stream and native.is_used(os.environ):
        # In Python such a read costs half as much again.
        ask_for_segments(one)
    if stream and not endpoint.count_only:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    return one


def _set_receive_buffer(one: socket.socket, size: int) -> None:
    try:
        # Beyond net.core.rmem_max, for which the capability CAP_NET_ADMIN is needed.
        one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
    except PermissionError:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)


def _ask_for_room(one: socket.socket) -> None:
    """Ask for the usual buffer, of which the kernel gives what net.core.rmem_max allows.

    Not more, even as root: that limit is the administrator's, and this buffer was not requested by an option. A larger
    net.core.rmem_default stays in force, because nothing could restore it.
    """
    with socket.socket(one.family, one.type) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)
        given = trial.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    if given > one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER)


def receive_buffer(one: socket.socket) -> int:
    """Return a socket's receive buffer in bytes, without the half that the kernel adds for its own needs."""
    return one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2


def _port(one: socket.socket) -> int:
    return int(one.getsockname()[1])
