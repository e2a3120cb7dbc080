"""Which socket of an SO_REUSEPORT group the kernel gives a new connection to, when its own hash will not do.

A program in classic BPF, attached to any socket of the group, answers with an index into the group. It needs no
privilege. Indexes follow the order in which the sockets began to listen; closing one moves the last into its place
(socket(7), SO_ATTACH_REUSEPORT_CBPF).

Another one, attached to a single socket, answers how much of a packet the socket gets (SO_ATTACH_FILTER).
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection, Sequence
from typing import NamedTuple

__all__ = ["NO_HANDSHAKES", "Instruction", "attach", "detach", "let_in", "program_without", "turn_away"]

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_DETACH_REUSEPORT_BPF = 68

# linux/bpf_common.h and linux/filter.h
LOAD_WORD = 0x20
LOAD_BYTE = 0x30
AND = 0x54
MODULO = 0x94
MULTIPLY = 0x24
ADD = 0x04
JUMP_AT_LEAST = 0x35
JUMP_EQUAL = 0x15
RETURN = 0x06
RETURN_A = 0x16
CPU = 0xFFFFF000 + 36
RANDOM = 0xFFFFF000 + 56


class Instruction(NamedTuple):
    """One instruction: its code, how many instructions to skip if true and if false, and its operand."""

    code: int
    if_true: int
    if_false: int
    operand: int


_FLAGS = 13
_SYN, _ACK = 0x02, 0x10

NO_HANDSHAKES = (
    Instruction(LOAD_BYTE, 0, 0, _FLAGS),
    Instruction(AND, 0, 0, _SYN | _ACK),
    Instruction(JUMP_EQUAL, 0, 1, _SYN),
    Instruction(RETURN, 0, 0, 0),
    Instruction(RETURN, 0, 0, (1 << 32) - 1),
)
"""Drops the first packet of a handshake, and no other. For a TCP socket a packet begins with TCP's header, which has
its flags behind two ports, two numbers and its length."""


def program_without(excluded: Collection[int], size: int) -> list[Instruction]:
    """Write a program that chooses at random among the sockets of a group of ``size`` that are not ``excluded``.

    Raises `ValueError` when none is left. It draws a number below the count of those that remain, and then steps over
    the excluded ones, the lowest first.
    """
    left = size - len(set(excluded))
    if left < 1:
        raise ValueError("no socket is left to choose")
    program = [Instruction(LOAD_WORD, 0, 0, RANDOM), Instruction(MODULO, 0, 0, left)]
    for index in sorted(set(excluded)):
        program.append(Instruction(JUMP_AT_LEAST, 0, 1, index))
        program.append(Instruction(ADD, 0, 0, 1))
    program.append(Instruction(RETURN_A, 0, 0, 0))
    return program


def attach(member: socket.socket, program: Sequence[Instruction]) -> None:
    """Let the program choose for the whole group of ``member``; raises `OSError`."""
    _attach(member, _SO_ATTACH_REUSEPORT_CBPF, program)


def detach(member: socket.socket) -> None:
    """Let the kernel's hash choose again, if it does not; raises `OSError` on kernels before 5.3, which cannot."""
    _detach(member, _SO_DETACH_REUSEPORT_BPF)


def turn_away(one: socket.socket) -> None:
    """Let no further handshake begin at a listening TCP socket; raises `OSError`.

    Those that have begun are completed. The client of a dropped packet sends it again after a second, and is refused
    then if the socket has been closed. It would be reset if its connection were in the queue.
    """
    _attach(one, _SO_ATTACH_FILTER, NO_HANDSHAKES)


def let_in(one: socket.socket) -> None:
    """Let handshakes begin again, if they do not; raises `OSError`."""
    _detach(one, _SO_DETACH_FILTER)


def _attach(one: socket.socket, option: int, program: Sequence[Instruction]) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    one.setsockopt(socket.SOL_SOCKET, option, struct.pack("HP", len(program), ctypes.addressof(buffer)))


def _detach(one: socket.socket, option: int) -> None:
    try:
        one.setsockopt(socket.SOL_SOCKET, option, 0)
    except FileNotFoundError:
        # There is no program.
        pass
