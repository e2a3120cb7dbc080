"""What the lanes of one worker tell of the sources that connect to it, see `statsd_tcp.who`.

An *origin* is the masked address of one client, of 16 bytes; what is not masked is kept nowhere. It is None where it is
not known, or where sources are not counted.
"""

from __future__ import annotations

import socket
import struct
from _socket import socket as raw_socket
from collections.abc import Callable
from functools import partial
from typing import Any

from statsd_tcp.who.layout import ADDRESS_SIZE, BITS_4, BITS_6, MAPPED, unix_address
from statsd_tcp.who.memory import SourceMemory
from statsd_tcp.who.table import AddSource, SourceTable, masked, open_next

__all__ = ["UNKNOWN", "AddInC", "ListenerSources", "WorkerSources", "packed_address"]

UNKNOWN = bytes(ADDRESS_SIZE)
"""Stands for no origin where there has to be one."""

AddInC = Callable[..., None]
"""What `_burst.add_source` does: as `AddSource`, with the memory before the rest."""

_CREDENTIALS = struct.Struct("3i")


class WorkerSources:
    """The sources of one worker. ``add`` tells of one.

    ``writer`` is what inner loops write with: in C the memory, in Python this object.
    """

    def __init__(self, memory: SourceMemory, add_in_c: AddInC | None = None) -> None:
        """Write ``memory``, with the part in C if it is given."""
        self._memory = memory
        self._bits = memory.cells[BITS_4], memory.cells[BITS_6]
        self.writer: Any
        self.add: AddSource
        if add_in_c is None:
            self.writer, self.add = self, SourceTable(memory).add
        else:
            self.writer, self.add = memory.view, partial(add_in_c, memory.view)

    def origin_at(self, address: str) -> bytes:
        """Return the origin of an internet address."""
        return masked(packed_address(address), *self._bits)

    def turn(self, now: int) -> None:
        """Open the next period, if it is time. ``now``: nanoseconds of CLOCK_MONOTONIC."""
        open_next(self._memory, now)


class ListenerSources:
    """Those of one listener, by its index."""

    __slots__ = ("_origin_at", "add", "index", "writer")

    def __init__(self, sources: WorkerSources, index: int) -> None:
        self._origin_at = sources.origin_at
        self.add = sources.add
        self.writer = sources.writer
        self.index = index

    def arrived(self, descriptor: int, family: int, peer: Any) -> bytes | None:
        """Count a connection, given what accept(2) has said, and return its origin."""
        origin = _user_of(descriptor) if family == socket.AF_UNIX else self._origin_at(peer[0])
        if origin is not None:
            self.add(origin, self.index, 1)
        return origin

    def was_reset(self, origin: bytes) -> None:
        """Count that a client has reset its connection."""
        self.add(origin, self.index, 0, 0, 0, 0, 1)


def packed_address(text: str) -> bytes:
    """Return an internet address as that of IPv6 which stands for it."""
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    return MAPPED + socket.inet_aton(text)


def _user_of(descriptor: int) -> bytes | None:
    connection = raw_socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptor)
    try:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return None
    finally:
        connection.detach()
    return unix_address(_CREDENTIALS.unpack(credentials)[1] & 0xFFFFFFFF)
