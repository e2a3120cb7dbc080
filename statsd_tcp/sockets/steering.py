"""How the connections of a group are shared out: by the kernel's hash, or (``--steer cpu``) by processor."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from twisted.logger import Logger

from statsd_tcp.sockets import bpf
from statsd_tcp.sockets.bpf import Instruction, attach, detach
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.words import in_words

__all__ = ["Steering", "program_by_cpu"]


class Steering:
    """The usual way for new connections. ``cpus`` has the processor of each worker; empty: the kernel's hash decides.

    Datagrams always go by the hash: what one client says of a gauge must stay in order, and clients change processors.
    """

    _log = Logger()

    def __init__(self, cpus: Sequence[int] = ()) -> None:
        self._program = program_by_cpu(cpus) if len(cpus) > 1 else []

    def begin(self, listeners: Sequence[BoundListener], *, inherited: bool) -> None:
        """Steer all listeners, once they listen; an earlier image's ``inherited`` groups may be steered otherwise."""
        for listener in listeners:
            if listener.in_groups and not listener.ordered:
                self._log.warn(
                    "the order of the sockets that systemd passed for {label} is not known: connections go by hash, and"
                    " also to a worker that gives no sign of life",
                    label=listener.label,
                )
        if not self._program and not inherited:
            return
        members = [group[0] for listener in listeners for group in listener.groups]
        for member in members:
            try:
                self.restore(member)
            except OSError as error:
                # Else there was nothing to detach.
                if self._program and member.type == socket.SOCK_STREAM:
                    self._log.error(
                        "connections cannot be steered by processor, but by hash: {error}", error=in_words(error)
                    )
                    return

    def restore(self, member: socket.socket) -> None:
        """Go back to the usual way in the group of ``member``; raises `OSError`."""
        if self._program and member.type == socket.SOCK_STREAM:
            attach(member, self._program)
        else:
            detach(member)


def program_by_cpu(cpus: Sequence[int]) -> list[Instruction]:
    """Write a program that gives a connection to the socket whose worker is on the processor that received it.

    ``cpus[index]`` is the processor of each. Where several share one it draws among them: they must have been dealt out
    in turn, else it raises `ValueError`. From a processor without any, socket number processor modulo size gets it.
    """
    order = list(dict.fromkeys(cpus))
    if not order or any(cpu != order[index % len(order)] for index, cpu in enumerate(cpus)):
        raise ValueError("the processors were not dealt out in turn")
    program = [Instruction(bpf.LOAD_WORD, 0, 0, bpf.CPU)]
    if list(cpus) != list(range(len(cpus))):
        for first, cpu in enumerate(order):
            answer = _one_of(range(first, len(cpus), len(order)))
            program += [Instruction(bpf.JUMP_EQUAL, 0, len(answer), cpu), *answer]
    return [*program, Instruction(bpf.MODULO, 0, 0, len(cpus)), Instruction(bpf.RETURN_A, 0, 0, 0)]


def _one_of(indexes: range) -> list[Instruction]:
    if len(indexes) == 1:
        return [Instruction(bpf.RETURN, 0, 0, indexes.start)]
    return [
        Instruction(bpf.LOAD_WORD, 0, 0, bpf.RANDOM),
        Instruction(bpf.MODULO, 0, 0, len(indexes)),
        Instruction(bpf.MULTIPLY, 0, 0, indexes.step),
        Instruction(bpf.ADD, 0, 0, indexes.start),
        Instruction(bpf.RETURN_A, 0, 0, 0),
    ]
