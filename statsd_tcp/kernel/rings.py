"""The sizes of a network card's receive ring, asked for as ``ethtool -g`` does: reading needs no privilege."""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from typing import NamedTuple

__all__ = ["Ring", "receive_ring"]

_SIOCETHTOOL = 0x8946
_GRINGPARAM = 0x10
# struct ethtool_ringparam: the command, four maximums (receive, mini, jumbo, send), then the four sizes.
_RINGS = struct.Struct("=9I")
_MOST, _NOW = 1, 5


class Ring(NamedTuple):
    """How many packets the receive ring of each queue holds, and how many it could hold."""

    size: int
    most: int


def receive_ring(name: str) -> Ring:
    """Return a card's receive ring; raises OSError where the driver has none to tell of."""
    answer = ctypes.create_string_buffer(_RINGS.pack(_GRINGPARAM, *[0] * 8), _RINGS.size)
    request = struct.pack("=16sQ16x", name.encode(), ctypes.addressof(answer))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
    numbers = _RINGS.unpack(answer.raw)
    return Ring(numbers[_NOW], numbers[_MOST])
