"""Lines that wait to be sent, up to a limit, with an account of what became of them."""

from __future__ import annotations

import msgspec

__all__ = ["MOST_BYTES", "LineQueue", "Repeated"]


class Repeated(msgspec.Struct, frozen=True, array_like=True):
    """What one worker has to say about one target.

    ``sent`` and ``dropped`` are lines and ``failed`` attempts, all since it was last asked; ``queued`` are the lines
    that wait now. ``error`` is why nothing can be sent, empty while all is well.
    """

    label: str
    sent: int
    failed: int
    dropped: int
    queued: int
    error: str = ""


MOST_BYTES = 8 << 20
"""So much waits for one target in one worker: some seconds of much traffic."""


class LineQueue:
    """Blocks of lines, each line of which ends in a newline. What comes when it is full is dropped.

    Repeated lines are a copy: they are counted here already. So a target that does not take them must never slow the
    clients down, and the newest are dropped, because the older ones may be half sent.

    ``sent`` and ``lost`` say what became of lines that were taken out. ``error`` is why they cannot be sent.
    """

    __slots__ = ("_blocks", "_dropped", "_failed", "_label", "_most", "_sent", "_waiting", "error", "size")

    def __init__(self, label: str, most: int = MOST_BYTES) -> None:
        """Hold up to ``most`` bytes for the output called ``label``."""
        self._label = label
        self._most = most
        self._blocks: list[bytes] = []
        self._sent = self._failed = self._dropped = self._waiting = 0
        self.size = 0
        self.error = ""

    def put(self, lines: bytes) -> None:
        """Take in a block, or drop it."""
        number = lines.count(b"\n")
        if self.size + len(lines) > self._most:
            self._dropped += number
            return
        self._blocks.append(lines)
        self.size += len(lines)
        self._waiting += number

    def take(self) -> bytes:
        """Take out all blocks. Their bytes count as waiting until `sent` or `lost` says what became of them."""
        blocks, self._blocks = self._blocks, []
        return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    def sent(self, lines: int, size: int) -> None:
        """Note that lines of that size, with their newlines, have been sent."""
        self._sent += lines
        self._waiting -= lines
        self.size -= size

    def lost(self, lines: int, size: int) -> None:
        """Note that lines of that size could not be sent, and will not be."""
        self._dropped += lines
        self._waiting -= lines
        self.size -= size

    def failed(self) -> None:
        """Note that an attempt has failed."""
        self._failed += 1

    def report(self) -> Repeated:
        """Return what has happened since the last call."""
        news = Repeated(self._label, self._sent, self._failed, self._dropped, self._waiting, self.error)
        self._sent = self._failed = self._dropped = 0
        return news
