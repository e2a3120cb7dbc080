"""The queue of a listening socket of our own: how long it is, how long it may be, and what found no room in it."""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from statsd_tcp.kernel.unix_diag import unix_queue

__all__ = ["AcceptQueue", "read_queue", "receive_drops", "receive_memory"]

_SO_MEMINFO = 55
_SK_MEMINFO_DROPS = 8
_MEMINFO_FIELDS = 9
_RECEIVE_MEMORY = struct.Struct("<2I")
# struct tcp_info begins with eight single bytes; of the 32-bit numbers after them these are tcpi_unacked and
# tcpi_sacked, which on a listening socket are the queue's length and its limit (net/ipv4/tcp.c, tcp_get_info).
_TCP_INFO = struct.Struct("<8B24I")
_TCPI_UNACKED, _TCPI_SACKED = 8 + 4, 8 + 5


class AcceptQueue(NamedTuple):
    """How many connections wait in a queue, how many may, and how many found no room since it was opened."""

    length: int
    limit: int
    drops: int


def read_queue(listener: socket.socket) -> AcceptQueue:
    """Return a listening socket's queue. Raise `OSError` where the kernel does not tell."""
    if listener.family == socket.AF_UNIX:
        length, limit = unix_queue(listener)
    else:
        info = _TCP_INFO.unpack(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size))
        length, limit = info[_TCPI_UNACKED], info[_TCPI_SACKED]
    return AcceptQueue(length, limit, receive_drops(listener))


def receive_drops(one: socket.socket) -> int:
    """Return how many connections (or datagrams) the kernel dropped because this socket had no room."""
    numbers = one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_FIELDS)
    return int(struct.unpack_from("<I", numbers, 4 * _SK_MEMINFO_DROPS)[0])


def receive_memory(one: socket.socket) -> tuple[int, int]:
    """Return how many bytes of memory wait to be read, and how many may; more than the data: see sock_diag(7).

    Raise `OSError` where the kernel does not tell, before Linux 4.12.
    """
    numbers = one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _RECEIVE_MEMORY.size)
    waiting, room = _RECEIVE_MEMORY.unpack(numbers)
    return waiting, room
