"""Running a classic BPF program by hand: the few instructions that are used here, as linux/bpf_common.h has them."""

from __future__ import annotations

from collections.abc import Sequence

from statsd_tcp.sockets.bpf import Instruction

__all__ = ["run"]

LONGEST = 4096
"""Instructions that the kernel takes (BPF_MAXINSNS)."""

_EXTENSIONS = 0xFFFFF000


def run(program: Sequence[Instruction], *, cpu: int = 0, random: int = 0, packet: bytes = b"") -> int:
    """Return what the program answers on that processor, for that packet, when the kernel's random number is that one.

    Fails on what the kernel would refuse: an unknown instruction, a jump out of the program or too far for eight bits.
    """
    assert len(program) <= LONGEST
    loads = {_EXTENSIONS + 36: cpu, _EXTENSIONS + 56: random}
    at = accumulator = 0
    while True:
        code, if_true, if_false, operand = program[at]
        assert max(if_true, if_false) < 1 << 8
        at += 1
        match code:
            case 0x20:
                accumulator = loads[operand]
            case 0x30:
                accumulator = packet[operand]
            case 0x54:
                accumulator &= operand
            case 0x04:
                accumulator += operand
            case 0x24:
                accumulator *= operand
            case 0x94:
                accumulator %= operand
            case 0x15:
                at += if_true if accumulator == operand else if_false
            case 0x35:
                at += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case 0x16:
                return accumulator
            case _:
                raise AssertionError(f"no such instruction: {code:#x}")
