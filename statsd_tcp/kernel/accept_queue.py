"""The queue of a listening socket of our own: how long it is, how long it may be, and what found no room in it."""

from __future__ import annotations

import socket
import struct

from statsd_tcp.kernel.unix_diag import unix_queue

__all__ = ["queue_state", "receive_drops"]

_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8
_MEMINFO_FIELDS = 9
# struct tcp_info begins with eight single bytes; of the 32-bit numbers after them these are tcpi_unacked and
# tcpi_sacked, which on a listening socket are the queue's length and its limit (net/ipv4/tcp.c, tcp_get_info).
_TCP_INFO = struct.Struct("<8B24I")
_TCPI_UNACKED, _TCPI_SACKED = 8 + 4, 8 + 5


def queue_state(listener: socket.socket) -> tuple[int, int]:
    """Give a listening socket's queue: how many connections wait in it, and how many may; raises `OSError`."""
    if listener.family == socket.AF_UNIX:
        return unix_queue(listener)
    info = _TCP_INFO.unpack(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
    return info[_TCPI_UNACKED], info[_TCPI_SACKED]


def receive_drops(one: socket.socket) -> int:
    """Give how many connections (or datagrams) the kernel dropped because this socket had no room."""
    numbers = one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_FIELDS)
    return int(struct.unpack_from("<I", numbers, 4 * _SK_MEMINFO_DROPS)[0])
