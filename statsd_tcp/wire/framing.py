"""From bytes to complete lines: the unterminated tail of a stream waits here, within bounds.

A line ends in a newline. What is passed on is always one chunk of complete lines, so that it can be written
to a journal and split in one go. The state of a connection is its tail, or the knowledge that it is in the
middle of a line that is too long.
"""

from __future__ import annotations

from typing import Final

from statsd_tcp.wire.tails import Tails

__all__ = ["BEGINNING", "LineFramer", "frame_datagram"]

BEGINNING: Final = 256
"""Bytes that are kept of a line that was dropped: enough to find the client that sends such lines."""


class LineFramer:
    """The lines of one stream.

    ``line_too_long`` and ``truncated`` count the lines that were dropped here, for their reasons; each is a
    line of the stream that nothing else sees. ``beginning`` is that of the last one, and not there before there was
    one. A line that is too long but arrives complete in one piece with others may be passed on: the grammar rejects it
    for the same reason. ``broken``: no stream of lines ever is; there is a framer for which that can be so.
    """

    broken: Final = False
    beginning: bytes

    __slots__ = ("_discarding", "_max_line", "_open", "_tail", "_tails", "beginning", "line_too_long", "truncated")

    def __init__(self, max_line: int, tails: Tails) -> None:
        """``max_line``: the most bytes that a line may have, its newline not counted. ``tails`` bounds all together."""
        self._max_line = max_line
        self._tails = tails
        # A bytearray grows in place: a line that trickles in byte by byte is not copied each time.
        self._tail = bytearray()
        self._discarding = False
        # Is a line begun and not ended? Kept apart so that the common case needs only one look.
        self._open = False
        self.line_too_long = 0
        self.truncated = 0

    def feed(self, data: bytes) -> bytes:
        """Take what was received and return the lines that it completes; ``b""`` if there is none."""
        if not self._open and data.endswith(b"\n"):
            return data
        end = data.rfind(b"\n") + 1
        if not end:
            self._wait_with(data)
            return b""
        lines = self._close(data, end) if self._open else data[:end]
        if end < len(data):
            self._wait_with(data[end:])
        return lines

    @property
    def is_between_lines(self) -> bool:
        """Return whether no line is begun and not ended."""
        return not self._open

    def finish(self, *, clean: bool) -> bytes:
        """End the stream and return its last line, which had no newline, with one; ``b""`` if there is none.

        Only a clean end makes a line of it. After a reset or a timeout half a number must not become a
        value: ``truncated`` counts it.
        """
        tail = bytes(self._tail)
        self._forget()
        if not tail or clean:
            return tail and tail + b"\n"
        self.truncated += 1
        self.beginning = tail[:BEGINNING]
        return b""

    def __len__(self) -> int:
        """Return how many bytes wait for their newline."""
        return len(self._tail)

    def drop(self, more: bytes = b"") -> None:
        """Take the unterminated line, of which there is something or ``more`` has come, for one that is too long."""
        self.line_too_long += 1
        self.beginning = bytes(self._tail[:BEGINNING] + more[:BEGINNING])[:BEGINNING]
        self._forget()
        self._discarding = self._open = True

    def _wait_with(self, data: bytes) -> None:
        """Keep ``data``, which has no newline, as more of the unterminated line."""
        if self._discarding or not data:
            return
        self._open = True
        if len(self._tail) + len(data) > self._max_line:
            self.drop(data)
        else:
            self._tail += data
            self._tails.grow(self, len(data))

    def _close(self, data: bytes, end: int) -> bytes:
        """Return the lines in ``data[:end]``, the first of which began earlier."""
        first = data.find(b"\n")
        if not self._discarding and len(self._tail) + first > self._max_line:
            self.drop(data[:first])
        lines = data[first + 1 : end] if self._discarding else bytes(self._tail + data[:end])
        self._forget()
        return lines

    def _forget(self) -> None:
        if self._tail:
            self._tails.shrink(self, len(self._tail))
            self._tail.clear()
        self._discarding = self._open = False


def frame_datagram(data: bytes) -> bytes:
    """Return the lines of a datagram, each with a newline: a datagram is complete, so its last needs none."""
    return data if not data or data.endswith(b"\n") else data + b"\n"
