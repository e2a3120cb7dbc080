"""The kernel's listening TCP sockets, asked for over netlink: needs no privilege and touches no socket.

    request   nlmsghdr (16)  inet_diag_req_v2: family, protocol, extensions, pad (4)  states (4)  sockid (48)
    answer    nlmsghdr (16)  inet_diag_msg: family, state, timer, retrans (4)  sockid (48)  expires (4)
              rqueue (4)  wqueue (4)  uid (4)  inode (4)  attributes...

Of a listening socket ``rqueue`` is its accept queue and ``wqueue`` that queue's limit; the attribute SKMEMINFO holds
nine numbers, the last of which counts what was dropped for want of room (include/uapi/linux/inet_diag.h).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import msgspec

from statsd_tcp.kernel.accept_queue import AcceptQueue

__all__ = ["Listener", "listeners"]

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_DONE, _ERROR = 3, 2
_SKMEMINFO = 7
_LISTEN = 1 << 10

_HEADER = struct.Struct("=IHHII")
_QUESTION = struct.Struct("=BBBBI48x")
_ANSWER = struct.Struct("=BBBB48sIIIII")
_ATTRIBUTE = struct.Struct("=HH")
_DROPS = struct.Struct("=32xI")
_BUFFER = 1 << 16


class Listener(msgspec.Struct, frozen=True):
    """A listening socket: its port, accept queue, owner's uid and inode."""

    port: int
    queue: AcceptQueue
    uid: int
    inode: int


def listeners() -> list[Listener]:
    """Return all listening TCP sockets of our network namespace; raises OSError where the kernel will not tell."""
    found: list[Listener] = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        for family in (socket.AF_INET, socket.AF_INET6):
            question = _QUESTION.pack(family, socket.IPPROTO_TCP, 1 << (_SKMEMINFO - 1), 0, _LISTEN)
            link.send(_HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0) + question)
            found += _answers(link)
    return found


def _answers(link: socket.socket) -> Iterator[Listener]:
    while True:
        data = link.recv(_BUFFER)
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            if kind == _ERROR:
                code = -struct.unpack_from("=i", data, _HEADER.size)[0]
                raise OSError(code, "the kernel does not list sockets")
            yield _listener(data[_HEADER.size : length])
            data = data[-(-length // 4) * 4 :]


def _listener(message: bytes) -> Listener:
    _, _, _, _, place, _, length, limit, uid, inode = _ANSWER.unpack_from(message)
    port = int.from_bytes(place[:2], "big")
    queue = AcceptQueue(length, limit, _drops(message[_ANSWER.size :]))
    return Listener(port, queue, uid, inode)


def _drops(attributes: bytes) -> int:
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _SKMEMINFO and length >= _ATTRIBUTE.size + _DROPS.size:
            return int(_DROPS.unpack_from(attributes, _ATTRIBUTE.size)[0])
        if length < _ATTRIBUTE.size:
            break
        attributes = attributes[-(-length // 4) * 4 :]
    return 0
