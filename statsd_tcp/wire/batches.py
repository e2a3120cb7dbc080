"""Batches of lines with control lines between them: what a client says on a listener with ``confirm=stored``.

::

    !hello 1 CLIENT             first of all; CLIENT is 32 hexadecimal digits
    lines ...
    !batch SEQ LINES CRC32      what the lines since the last control line are

Such lines begin with ``!`` and are the project's own protocol, docs/confirm.md. A batch is known to be whole only by
its last line. What comes before it is held here, within bounds.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final, Literal, NamedTuple, get_args

from statsd_tcp.wire.tails import Tails

__all__ = [
    "CONTROL",
    "LARGEST_BATCH",
    "MOST_UNDER_WAY",
    "REFUSALS",
    "Batch",
    "BatchFramer",
    "BatchKey",
    "Hello",
    "Refusal",
    "RefusalReason",
    "control_line_in",
]

CONTROL: Final = b"!"
"""What a control line begins with."""

_AFTER_LINE: Final = b"\n" + CONTROL

VERSION: Final = 1

LARGEST_BATCH: Final = 1 << 18
"""Bytes of lines that a batch may have."""

MOST_UNDER_WAY: Final = 8
"""Batches of a connection that may wait for the answer."""

LARGEST_SEQUENCE: Final = (1 << 63) - 1
"""The largest number of a batch: what an integer of SQLite holds."""

_LONGEST_CONTROL: Final = 100
"""Bytes that a control line may have. The longest good one has fewer."""

_HELLO: Final = re.compile(rb"!hello ([1-9][0-9]{0,8}) ([0-9a-f]{32})")
_ANY_HELLO: Final = re.compile(rb"!hello ([1-9][0-9]{0,8})(?: .*)?", re.DOTALL)
_BATCH: Final = re.compile(rb"!batch ([1-9][0-9]{0,18}) ([1-9][0-9]{0,5}) ([0-9a-f]{8})")

RefusalReason = Literal["version", "syntax", "size", "lines", "crc", "order", "window", "memory"]
"""Why a batch is refused, as docs/confirm.md has it."""

REFUSALS: Final[tuple[RefusalReason, ...]] = get_args(RefusalReason)


class BatchKey(NamedTuple):
    """Which batch it is: the client's id, 16 bytes, and the number that the client has given it."""

    client: bytes
    sequence: int


class Hello(NamedTuple):
    """A client says who it is, in 16 bytes."""

    client: bytes


class Batch(NamedTuple):
    """A whole batch: which one, its lines, each with its newline, and how many bytes of the network it was."""

    key: BatchKey
    lines: bytes
    received: int


class Refusal(NamedTuple):
    """What was received is no batch, and nothing after it can be. ``sequence`` is 0 if it has no number that is known.

    ``beginning`` is that of what is at fault.
    """

    sequence: int
    reason: RefusalReason
    beginning: bytes


Event = Hello | Batch | Refusal


class BatchFramer:
    """The batches of one connection, the first line of which is a control line.

    ``received`` are the bytes that belong to no batch that was given away. Of what is held there may be so much in a
    process, see `Tails`: ``dropped`` is called when it has to go, and then nothing is a batch from then on.
    """

    __slots__ = ("_client", "_dropped", "_held", "_kept", "_last", "_searched", "_tails", "is_broken", "received")

    def __init__(self, tails: Tails, dropped: Callable[[Refusal], object]) -> None:
        self._tails = tails
        self._dropped = dropped
        self._held = bytearray()
        self._searched = 0
        self._kept = 0
        self._client: bytes | None = None
        self._last = 0
        self.received = 0
        self.is_broken = False

    def feed(self, data: bytes) -> Iterator[Event]:
        """Take what was received, and yield what it completes. After a `Refusal` nothing more comes."""
        self.received += len(data)
        if self.is_broken:
            return
        self._held += data
        while (event := self._next()) is not None:
            if isinstance(event, Refusal):
                self.end()
            yield event
        self._note_kept()

    def end(self) -> None:
        """Forget what is held: nothing more will be a batch."""
        self.is_broken = True
        self._held.clear()
        self._note_kept()

    def take_received(self) -> int:
        """Return the bytes that belong to no batch, and begin again with 0."""
        received, self.received = self.received, 0
        return received

    def __len__(self) -> int:
        """Return how many bytes are held."""
        return self._kept

    def drop(self) -> None:
        """Give up what is held: there is too much of it in the process."""
        refusal = Refusal(0, "memory", bytes(self._held[:_LONGEST_CONTROL]))
        self.end()
        self._dropped(refusal)

    def _next(self) -> Event | None:
        held = self._held
        if self.is_broken:
            return None
        at = 0 if held[:1] == CONTROL else held.find(_AFTER_LINE, max(0, self._searched - 1)) + 1
        if not at and held[:1] != CONTROL:
            self._searched = len(held)
            return self._too_large(len(held))
        self._searched = at
        end = held.find(b"\n", at, at + _LONGEST_CONTROL + 1)
        if end < 0:
            return self._unfinished(at)
        line = bytes(held[at:end])
        lines = bytes(held[:at])
        del held[: end + 1]
        self._searched = 0
        return self._read(line, lines)

    def _unfinished(self, at: int) -> Refusal | None:
        """Judge a control line that has not ended, which begins there."""
        if len(self._held) - at > _LONGEST_CONTROL:
            return Refusal(0, "syntax", bytes(self._held[at : at + _LONGEST_CONTROL]))
        return self._too_large(at)

    def _too_large(self, size: int) -> Refusal | None:
        return Refusal(0, "size", bytes(self._held[:_LONGEST_CONTROL])) if size > LARGEST_BATCH else None

    def _read(self, line: bytes, lines: bytes) -> Event:
        if self._client is None:
            return self._greeted(line, lines)
        found = _BATCH.fullmatch(line)
        sequence = int(found[1]) if found else 0
        if found is None or sequence > LARGEST_SEQUENCE:
            return Refusal(0, "syntax", line)
        reason = self._fault(sequence, int(found[2]), found[3], lines)
        if reason is not None:
            return Refusal(sequence, reason, line)
        self._last = sequence
        return Batch(BatchKey(self._client, sequence), lines, self._given_away())

    def _greeted(self, line: bytes, lines: bytes) -> Hello | Refusal:
        found = _HELLO.fullmatch(line)
        if lines or found is None or int(found[1]) != VERSION:
            other = _ANY_HELLO.fullmatch(line)
            is_newer = not lines and other is not None and int(other[1]) != VERSION
            return Refusal(0, "version" if is_newer else "syntax", line)
        self._client = bytes.fromhex(found[2].decode())
        return Hello(self._client)

    def _fault(self, sequence: int, number: int, checksum: bytes, lines: bytes) -> RefusalReason | None:
        if len(lines) > LARGEST_BATCH:
            return "size"
        if sequence <= self._last:
            return "order"
        if lines.count(b"\n") != number:
            return "lines"
        return None if b"%08x" % zlib.crc32(lines) == checksum else "crc"

    def _given_away(self) -> int:
        """Return the bytes of a batch with those before it that belong to none."""
        received, self.received = self.received - len(self._held), len(self._held)
        return received

    def _note_kept(self) -> None:
        """Note how much is held: the longest of all may have to go for it."""
        size, before = len(self._held), self._kept
        self._kept = size
        if size > before:
            self._tails.grow(self, size - before)
        elif size < before:
            self._tails.shrink(self, before)
            if size:
                self._tails.grow(self, size)


def control_line_in(data: bytes, *, at_start: bool) -> int:
    """Return where the first control line in a stream of lines begins, -1 if there is none.

    ``at_start``: the data is the beginning of a line.
    """
    if at_start and data.startswith(CONTROL):
        return 0
    return data.find(_AFTER_LINE) + 1 or -1
