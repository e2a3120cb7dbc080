"""What a client of a listener with ``confirm=stored`` sends: batches, or lines like those of any other client."""

from __future__ import annotations

from typing import Protocol

from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.kernel.peers import Source
from statsd_tcp.wire.batches import CONTROL, Batch, BatchFramer, Hello, Refusal, control_line_in

__all__ = ["BatchStream", "BatchTaker"]

_SHOWN = 100
"""Bytes of what is at fault that are kept."""


class BatchTaker(Protocol):
    """What gets what is found in such a stream."""

    def hello(self) -> None:
        """A client has said who it is."""

    def take(self, batch: Batch) -> None:
        """A batch has come whole."""

    def refuse(self, refusal: Refusal) -> None:
        """What has come is no batch; nothing more is taken."""


class BatchStream(LineStream):
    """What a client sends: batches, or lines if its first line is no control line. ``protocol`` gets the former.

    ``inner`` is the stream of the lines, and of a header before them.
    """

    is_between_lines = False

    __slots__ = ("_at_start", "_framer_of_batches", "_inner", "_protocol", "_stopped", "is_bare")

    def __init__(self, inner: LineStream, protocol: BatchTaker) -> None:
        self._go_on_from(inner)
        self._inner = inner
        self._protocol = protocol
        self._framer_of_batches: BatchFramer | None = None
        self._at_start = True
        self._stopped = False
        self.is_bare = False

    @property
    def source(self) -> Source | None:  # type: ignore[override]
        """Where the client comes from, if the stream says it."""
        return self._inner.source

    @property
    def awaits_header(self) -> bool:  # type: ignore[override]
        """Whether a header has to come before the lines, and has not."""
        return self._inner.awaits_header

    @property
    def is_reset(self) -> bool:  # type: ignore[override]
        """Whether the end of the connection is to be a reset."""
        return self._inner.is_reset

    def leave(self) -> None:
        """Count the connection as open no longer."""
        self._inner.leave()

    def strip(self, data: bytes) -> bytes | None:
        """Return what of ``data`` is not a header's; None if it is a bad one."""
        return self._inner.strip(data)

    def counted_as(self, reason: int) -> int:
        """Return the cell under which the end of the connection is counted, given that of what happened."""
        return self._inner.counted_as(reason)

    def feed(self, data: bytes) -> bool:
        """Take what one read brought; return whether more can be taken: False after a bad header."""
        rest = self._inner.strip(data)
        self.origin = self._inner.origin
        if not rest:
            return rest is not None
        if self._stopped:
            self.intake.take(self.index, b"", len(rest), origin=self.origin)
        elif self._framer_of_batches is not None:
            self._take(self._framer_of_batches, rest)
        elif self.is_bare or rest[:1] != CONTROL:
            self._take_bare(rest)
        else:
            self._framer_of_batches = BatchFramer(self.intake.tails, self._protocol.refuse)
            self._take(self._framer_of_batches, rest)
        return True

    def finish(self, *, clean: bool) -> None:
        """End the stream. What belongs to no batch was received, and is dropped."""
        self.stop()
        self._inner.finish(clean=clean)

    def stop(self) -> None:
        """Take nothing more."""
        self._stopped = True
        framer, self._framer_of_batches = self._framer_of_batches, None
        if framer is not None:
            framer.end()
            self.intake.take(self.index, b"", framer.take_received(), origin=self.origin)

    def _take(self, framer: BatchFramer, data: bytes) -> None:
        for event in framer.feed(data):
            if isinstance(event, Batch):
                self._protocol.take(event)
            elif isinstance(event, Hello):
                self._protocol.hello()
            else:
                self._protocol.refuse(event)

    def _take_bare(self, data: bytes) -> None:
        self.is_bare = True
        at = control_line_in(data, at_start=self._at_start)
        self._at_start = data.endswith(b"\n")
        self._inner.feed(data if at < 0 else data[:at])
        if at >= 0:
            self.intake.take(self.index, b"", len(data) - at, origin=self.origin)
            self._protocol.refuse(Refusal(0, "syntax", data[at : at + _SHOWN]))
