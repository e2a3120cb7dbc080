"""Packets on a stream, each with its length before it, as DogStatsD clients send them over Unix stream sockets.

    | length: 4 bytes, little-endian | packet ... | length | packet ... |

A packet is what would have been a datagram: lines, of which the last needs no newline. Unlike a line it cannot be found
again once a length was wrong: the stream is broken then, and nothing more can be taken from it.
"""

from __future__ import annotations

from typing import Final

from statsd_tcp.wire.framing import BEGINNING, frame_datagram
from statsd_tcp.wire.grammar import LARGEST_PACKET
from statsd_tcp.wire.tails import Tails

__all__ = ["LengthFramer"]

_HEAD: Final = 4


class LengthFramer:
    """The packets of one stream, passed on as chunks of complete lines.

    ``broken``: a length was impossible. ``truncated`` counts packets that were begun and not finished. A packet cannot
    be too long by itself: ``line_too_long`` counts those that went because all together had too much waiting.
    ``beginning`` is that of the last packet of these, or of what broke the stream, and not there before there was one.
    """

    beginning: bytes

    is_between_lines: Final = False
    """Whether the next bytes begin a line: here they begin a length, at best."""

    __slots__ = ("_left_out", "_tail", "_tails", "_wanted", "beginning", "broken", "line_too_long", "truncated")

    def __init__(self, tails: Tails) -> None:
        """``tails`` bounds what waits on all streams together."""
        self._tail = bytearray()
        self._tails = tails
        # Bytes that must have come before there is anything to do: the length, then the packet too.
        self._wanted = _HEAD
        # Bytes to come of a packet that was dropped.
        self._left_out = 0
        self.broken = False
        self.line_too_long = 0
        self.truncated = 0

    def feed(self, data: bytes) -> bytes:
        """Take what was received and return the lines of the packets that it completes; ``b""`` if there is none."""
        if self.broken:
            return b""
        if self._left_out:
            data = self._leave_out(data)
        if self._tail or len(data) < self._wanted:
            if len(self._tail) + len(data) < self._wanted:
                self._wait_with(data)
                return b""
            data = bytes(self._tail + data)
            self._forget()
        return self._take_packets(data)

    def finish(self, *, clean: bool) -> bytes:
        """End the stream. A packet that is not whole is dropped, however the stream ended."""
        if self._tail:
            self.truncated += 1
            self._note_beginning()
            self._forget()
        return b""

    def __len__(self) -> int:
        """Return how many bytes wait for the rest of their packet."""
        return len(self._tail)

    def drop(self) -> None:
        """Leave the packet out of which there is something; of its length alone nothing is left out."""
        if self._wanted > _HEAD:
            self.line_too_long += 1
            self._note_beginning()
            self._left_out = self._wanted - len(self._tail)
            self._wanted = _HEAD
            self._forget()

    def _leave_out(self, data: bytes) -> bytes:
        """Return what comes after the packet that is left out."""
        rest = data[self._left_out :]
        self._left_out -= len(data) - len(rest)
        return rest

    def _wait_with(self, data: bytes) -> None:
        if data:
            self._tail += data
            self._tails.grow(self, len(data))

    def _note_beginning(self) -> None:
        self.beginning = bytes(self._tail[_HEAD : _HEAD + BEGINNING])

    def _forget(self) -> None:
        if self._tail:
            self._tails.shrink(self, len(self._tail))
            self._tail.clear()

    def _take_packets(self, data: bytes) -> bytes:
        packets: list[bytes] = []
        at, size = 0, len(data)
        self._wanted = _HEAD
        while size - at >= _HEAD:
            length = int.from_bytes(data[at : at + _HEAD], "little")
            if length > LARGEST_PACKET:  # as four letters taken for a length always are
                self.broken = True
                self.beginning = data[at : at + BEGINNING]
                return b"".join(packets)
            end = at + _HEAD + length
            if end > size:
                self._wanted = _HEAD + length
                break
            packets.append(frame_datagram(data[at + _HEAD : end]))
            at = end
        self._wait_with(data[at:])
        return b"".join(packets)
