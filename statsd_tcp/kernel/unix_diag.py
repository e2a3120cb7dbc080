"""The accept queue of a listening Unix socket, asked for over netlink: getsockopt(2) does not tell it.

    request   nlmsghdr (16)  unix_diag_req: family, protocol, pad (4)  states (4)  inode (4)  show (4)  cookie (8)
    answer    nlmsghdr (16)  unix_diag_msg: family, type, state, pad (4)  inode (4)  cookie (8)  attributes...

The attribute RQLEN holds two numbers: the connections that wait, and how many may (include/uapi/linux/unix_diag.h).
"""

from __future__ import annotations

import os
import socket
import struct

__all__ = ["unix_queue"]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST = 1
_SHOW_RQLEN = 0x10
_RQLEN = 4
_ANY = 0xFFFFFFFF

_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBHIIIII")
_ANSWER_SIZE = 16
_ATTRIBUTE = struct.Struct("=HH")
_LENGTHS = struct.Struct("=II")
_BUFFER = 8192


def unix_queue(listener: socket.socket) -> tuple[int, int]:
    """Return how many connections wait in a listening Unix socket's queue, and how many may.

    Raises `OSError` where the kernel will not tell: where netlink is forbidden, or there is no module for this.
    """
    inode = os.fstat(listener.fileno()).st_ino
    question = _QUESTION.pack(socket.AF_UNIX, 0, 0, _ANY, inode & _ANY, _SHOW_RQLEN, _ANY, _ANY)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        link.send(_HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST, 1, 0) + question)
        answer = link.recv(_BUFFER)
    length, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY:
        code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
        raise OSError(code, os.strerror(code))
    return _lengths(answer[_HEADER.size + _ANSWER_SIZE : length])


def _lengths(attributes: bytes) -> tuple[int, int]:
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _RQLEN:
            waiting, most = _LENGTHS.unpack_from(attributes, _ATTRIBUTE.size)
            return waiting, most
        attributes = attributes[max(_ATTRIBUTE.size, -(-length // 4) * 4) :]
    raise OSError(0, "the kernel does not tell a queue's length")
