"""The protocol of one connection, without the connection: bytes in, bytes out, events. Pure.

    level      client                                   server
    sent       lines                                    (nothing)
    read       lines, then the end of its side          ok, then its end
    stored     !hello 1 ID                              !node UUID
               lines, then !batch SEQ LINES CRC32       !stored SEQ GOOD BAD   or   !refused SEQ REASON, then its end

The levels `read` and `stored` need a statscounter listener with ``confirm=read`` or ``confirm=stored``.
"""

from __future__ import annotations

import re
import zlib
from typing import Literal, NamedTuple, Union

__all__ = ["LEVELS", "MOST_BYTES", "MOST_UNDER_WAY", "Event", "Fault", "Greeted", "Level", "Read", "Refused", "Session"]

Level = Literal["sent", "read", "stored"]
LEVELS: tuple[Level, ...] = ("sent", "read", "stored")

MOST_BYTES = 256 * 1024
"""Bytes of a batch's lines at most: the server journals it as one frame."""

MOST_UNDER_WAY = 8
"""Batches that are sent and not yet answered, at most, of one connection."""

_LONGEST_ANSWER = 200
"""Bytes. The server's lines are shorter."""

_ANSWER = re.compile(rb"!node ([0-9A-Za-z-]{1,64})|!stored (\d{1,19}) (\d+) (\d+)|!refused (\d{1,19}) ([a-z_]{1,40})")


class Greeted(NamedTuple):
    """The server has said which store it writes to."""

    node: str


class Stored(NamedTuple):
    """A batch is in a committed transaction, with the numbers of its good and bad lines."""

    seq: int
    good: int
    bad: int


class Refused(NamedTuple):
    """A batch was refused: nothing of it was counted. The server ends the connection."""

    seq: int
    reason: str


class Read(NamedTuple):
    """Everything that was sent is in a journal."""


class Fault(NamedTuple):
    """The server sent what it should not have."""

    text: str


Event = Union[Greeted, Stored, Refused, Read, Fault]


class Session:
    """One connection at one level.

    Raises nothing for what a server may send: that is a `Fault`, after which it reads no more.
    """

    def __init__(self, level: Level, client_id: str) -> None:
        """``client_id`` has 32 hexadecimal digits in small letters."""
        self._level = level
        self._client_id = client_id
        self._buffer = b""
        self._broken = False

    def begin(self) -> bytes:
        """Return what goes first."""
        return f"!hello 1 {self._client_id}\n".encode() if self._level == "stored" else b""

    def frame(self, seq: int, data: bytes, lines: int) -> bytes:
        """Return a batch as it is sent; with `read` the end of the client's side follows it."""
        if self._level != "stored":
            return data
        return b"%b!batch %d %d %08x\n" % (data, seq, lines, zlib.crc32(data))

    def receive(self, data: bytes) -> list[Event]:
        """Return what the server's bytes say. They may come in any pieces."""
        if self._level == "sent" or self._broken:
            # Some servers answer a line that they do not understand; no answer is expected.
            return []
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        events: list[Event] = []
        for line in lines:
            events.append(self._event(line))
            if isinstance(events[-1], Fault):
                return events
        if len(self._buffer) > _LONGEST_ANSWER:
            events.append(self._fault(self._buffer))
        return events

    def _event(self, line: bytes) -> Event:
        if self._level == "read":
            return Read() if line == b"ok" else self._fault(line)
        found = _ANSWER.fullmatch(line)
        if found is None:
            return self._fault(line)
        node, stored, good, bad, refused, reason = found.groups()
        if node:
            return Greeted(node.decode())
        if stored:
            return Stored(int(stored), int(good), int(bad))
        return Refused(int(refused), reason.decode())

    def _fault(self, line: bytes) -> Fault:
        self._broken = True
        self._buffer = b""
        return Fault(line[:_LONGEST_ANSWER].decode("ascii", "backslashreplace"))
