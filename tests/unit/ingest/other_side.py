"""What the kernel of a connection's other side knows, on this machine: asked, and not told late by acknowledgements."""

from __future__ import annotations

import errno
import socket
import struct

__all__ = ["has_end"]

_REQUEST = struct.Struct("=IHHIIBBBBI")
"""nlmsghdr, and what is before the identity in inet_diag_req_v2 (linux/inet_diag.h)."""

_IDENTITY = struct.Struct("!HH16s16sI8s")
_ANY_COOKIE = b"\xff" * 8
_SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, _NLMSG_ERROR = 20, 1, 2
_NETLINK_SOCK_DIAG = 4

_STATE = 17
"""Where the state is in an answer: behind nlmsghdr and the family."""

_BEFORE_THE_END = {1, 3, 4, 5, 12}
"""ESTABLISHED, SYN_RECV, FIN_WAIT1, FIN_WAIT2 and NEW_SYN_RECV of linux/tcp_states.h.

A socket that is gone is answered with the listener's LISTEN.
"""


def has_end(client: socket.socket) -> bool:
    """Return whether what a TCP client's connection leads to has the client's end. Raises `OSError`."""
    try:
        local, remote = client.getpeername(), client.getsockname()
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        # Both have their ends.
        return True
    addresses = (socket.inet_pton(client.family, each[0]).ljust(16, b"\0") for each in (local, remote))
    identity = _IDENTITY.pack(local[1], remote[1], *addresses, 0, _ANY_COOKIE)
    head = (_REQUEST.size + len(identity), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as link:
        link.send(_REQUEST.pack(*head, client.family, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + identity)
        answer = link.recv(4096)
    if struct.unpack_from("=H", answer, 4)[0] != _NLMSG_ERROR:
        return answer[_STATE] not in _BEFORE_THE_END
    code = -struct.unpack_from("=i", answer, 16)[0]
    if code != errno.ENOENT:
        raise OSError(code, "the other side's socket cannot be asked about")
    return True
