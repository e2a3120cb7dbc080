"""UDP sockets of which one read gives several datagrams: those that a client has sent at once, as segments.

A client may give the kernel many datagrams of one size in one call (UDP_SEGMENT), and a network card's driver may put
those together that came right after each other. With UDP_GRO they stay together up to the socket: they take the room of
a few, and one read gives all of them, with the size of each; only the last may be shorter (udp(7), Linux 5.0).

The socket says how it is to be read, for as long as it is open. Another process that reads it does not have to ask.
"""

from __future__ import annotations

import socket

__all__ = ["UDP_GRO", "ask_for_segments", "gives_segments"]

UDP_GRO = 104


def ask_for_segments(port: socket.socket) -> None:
    """Have the kernel keep together what came together, if it can."""
    try:
        port.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    except OSError:
        # Each datagram is read by itself then.
        return


def gives_segments(port: socket.socket) -> bool:
    """Return whether one read may give several datagrams."""
    try:
        return bool(port.getsockopt(socket.IPPROTO_UDP, UDP_GRO))
    except OSError:
        return False
