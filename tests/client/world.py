"""An engine with servers in memory: bytes are delivered, answers swallowed and connections broken as a test says."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Callable
from random import Random

from statsd_tcp_client.engine import Engine
from statsd_tcp_client.lane import Lane
from statsd_tcp_client.numbers import Numbers
from statsd_tcp_client.settings import Settings

__all__ = ["Node", "Wire", "World"]


class Node:
    """A server's books: what it counted, and the last number of each client that it stored."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.totals: Counter[str] = Counter()
        self.last: dict[str, int] = {}
        self.repeated = 0

    def count(self, lines: list[bytes]) -> None:
        """Count lines of counters."""
        for line in lines:
            name, _, rest = line.decode().partition(":")
            self.totals[name] += int(rest.partition("|")[0])

    def store(self, client: str, seq: int, lines: list[bytes]) -> None:
        """Count a batch, unless one of its number or a later one was counted before."""
        if seq > self.last.get(client, 0):
            self.last[client] = seq
            self.count(lines)
        else:
            self.repeated += 1


class Wire:
    """A connection: bytes under way in both directions, and what the server made of those that arrived."""

    def __init__(self, node: Node, level: str) -> None:
        self.node = node
        self.level = level
        self.to_server = b""
        self.to_client = b""
        self.half_closed = False
        self.ended = False
        self._client = ""
        self._tail = b""
        self._lines: list[bytes] = []

    def deliver(self, most: int) -> None:
        """Let the server read some bytes."""
        data, self.to_server = self.to_server[:most], self.to_server[most:]
        *lines, self._tail = (self._tail + data).split(b"\n")
        for line in lines:
            self._read(line)
        if self.half_closed and not self.to_server and self.level == "read" and not self.ended:
            self.to_client += b"ok\n"
            self.ended = True

    def _read(self, line: bytes) -> None:
        if self.level != "stored":
            self.node.count([line])
        elif line.startswith(b"!hello 1 "):
            self._client = line[9:].decode()
            self.to_client += f"!node {self.node.name}\n".encode()
        elif line.startswith(b"!batch "):
            _, seq, number, checksum = line.split()
            assert int(number) == len(self._lines)
            assert checksum == b"%08x" % zlib.crc32(b"".join(b"%b\n" % each for each in self._lines))
            self.node.store(self._client, int(seq), self._lines)
            self._lines = []
            self.to_client += b"!stored %b %b 0\n" % (seq, number)
        else:
            self._lines.append(line)


class World:
    """An engine, a clock, and the nodes; ``place`` chooses the node for a connection, None: it is refused."""

    def __init__(self, place: Callable[[], Node | None], **settings: object) -> None:
        self.now = 1000.0
        self.settings = Settings(own_lines=False, **settings)  # type: ignore[arg-type]
        self.numbers = Numbers(self.settings.max_bytes, dialect=self.settings.dialect)
        ids = iter(f"{number:032x}" for number in range(100))
        self.engine = Engine(
            self.settings, self.numbers, self.numbers.take, random=Random(1), make_id=lambda: next(ids)
        )
        self.place = place
        self.wires: dict[Lane, Wire] = {}
        self.dialled = 0

    def turn(self) -> None:
        """Do what a driver does between two waits, at one moment."""
        for lane in list(self.wires):
            error = lane.check(self.now)
            if error or lane.finished:
                self.end(lane, error)
        chosen = self.engine.turn(self.now)
        if chosen is not None:
            self.dialled += 1
            chosen.resolve()
            chosen.dial(self.now)
            node = self.place()
            if node is None:
                self.engine.end(chosen, "refused", self.now)
            else:
                self.wires[chosen] = Wire(node, self.settings.level)
                chosen.connected(self.now)
                self.engine.turn(self.now)

    def send(self, most: int) -> None:
        """Let the kernel take some bytes of each connection."""
        for lane, wire in list(self.wires.items()):
            taken = bytes(lane.outgoing[:most])
            wire.to_server += taken
            if taken:
                lane.taken(len(taken), self.now)
            if lane.half_closes and not lane.outgoing:
                lane.half_closes, wire.half_closed = False, True

    def deliver(self, most: int) -> None:
        """Let servers read some bytes of each connection."""
        for wire in self.wires.values():
            wire.deliver(most)

    def answer(self, most: int) -> None:
        """Let clients read some bytes of each connection."""
        for lane, wire in list(self.wires.items()):
            data, wire.to_client = wire.to_client[:most], wire.to_client[most:]
            if data and lane.received(data, self.now):
                self.engine.succeeded()
            elif wire.ended and not wire.to_client and lane in self.wires:
                self.end(lane, "")

    def break_off(self) -> None:
        """Lose all connections, and the bytes under way."""
        for lane in list(self.wires):
            self.end(lane, "reset")

    def end(self, lane: Lane, error: str) -> None:
        """Close a connection: what the kernel has taken may still arrive, what the server said does not."""
        wire = self.wires.pop(lane)
        if not error:
            wire.deliver(len(wire.to_server))
        self.engine.end(lane, error, self.now)

    def settle(self, rounds: int = 200) -> None:
        """Let everything go well until nothing waits."""
        lot = self.engine.force()
        for _ in range(rounds):
            if self.engine.is_settled(lot) and not self.numbers:
                return
            self.now += 1.0
            self.turn()
            for step in (self.send, self.deliver, self.answer):
                step(10**9)
        raise AssertionError(f"not settled: {self.engine.stats()}")
