"""The accepted lines, as they arrived, for sending them on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

__all__ = ["AcceptedLines"]


class AcceptedLines:
    r"""Gets the same lines as a digest does, right after it, and leaves out those that the digest has ``rejected``.

    ``take`` is called with a block of lines, each as often as it came, and each ended by a newline (one ``\r`` before
    it is dropped). What changes gauges comes at once and in its order; the others, for which order means nothing, come
    when their table is read, about once a second.
    """

    __slots__ = ("_take", "rejected")

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self.rejected: set[bytes] = set()

    def pass_on(self, lines: Iterable[tuple[bytes, int]]) -> None:
        """Pass on lines that the digest has just read, none of them empty, each as often as its number says."""
        rejected = self.rejected
        block = b"".join([(line.removesuffix(b"\r") + b"\n") * times for line, times in lines if line not in rejected])
        rejected.clear()
        if block:
            self._take(block)
