"""One client's stream of lines, on whichever lane it is read: framed, and given to the intake."""

from __future__ import annotations

from statsd_tcp.ingest.intake import Intake
from statsd_tcp.kernel.peers import Source
from statsd_tcp.who.limits import NOT_HELD
from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.grammar import Framing
from statsd_tcp.wire.length_framing import LengthFramer
from statsd_tcp.wire.reasons import LINE_TOO_LONG, MALFORMED_LINE, TRUNCATED

__all__ = ["LineStream"]


class LineStream:
    """The lines of one connection to the listener ``index``."""

    __slots__ = ("_broken", "_framer", "held", "index", "intake", "origin")

    source: Source | None = None
    """Where the client comes from, if the stream says it."""

    is_reset = False
    """Whether the end of the connection is to be a reset."""

    awaits_header = False
    """Whether a header has to come before the lines, and has not."""

    def __init__(
        self,
        intake: Intake,
        index: int,
        max_line: int,
        framing: Framing = "lines",
        origin: bytes | None = None,
    ) -> None:
        """Start with nothing received. ``max_line`` is in bytes, ``origin`` as `statsd_tcp.ingest.sources` has it."""
        self.intake = intake
        self.index = index
        self._framer: LineFramer | LengthFramer = (
            LineFramer(max_line, intake.tails) if framing == "lines" else LengthFramer(intake.tails)
        )
        self._broken = False
        self.origin = origin
        self.held = NOT_HELD

    @property
    def is_between_lines(self) -> bool:
        """Return whether what comes next begins a line, and needs nothing but its end to be taken."""
        return self._framer.is_between_lines and not self._broken

    def _go_on_from(self, stream: LineStream) -> None:
        """Be in the state of another stream, in its place."""
        self.intake, self.index = stream.intake, stream.index
        self._framer, self._broken = stream._framer, stream._broken
        self.origin = stream.origin
        self.held = stream.held

    def strip(self, data: bytes) -> bytes | None:
        """Return what of ``data`` is not a header's; None if it is a bad one."""
        return data

    def feed(self, data: bytes) -> bool:
        """Take what one read brought; return whether more can be taken: False if the stream is broken."""
        framer = self._framer
        self.intake.take(self.index, framer.feed(data), len(data), origin=self.origin)
        if framer.line_too_long:
            self._reject_too_long()
        return not framer.broken or self._reject_broken()

    def finish(self, *, clean: bool) -> None:
        """End the stream: after a clean end what is left counts as a line, otherwise it is dropped as truncated."""
        framer = self._framer
        self.intake.take(self.index, framer.finish(clean=clean), 0, origin=self.origin)
        if framer.truncated:
            self._reject(TRUNCATED, framer.truncated)
            framer.truncated = 0
        if framer.line_too_long:
            self._reject_too_long()

    def counted_as(self, reason: int) -> int:
        """Return the cell under which the end of the connection is counted, given that of what happened."""
        return reason

    def note_end(self, *, reset: bool = False, evicted: bool = False) -> None:
        """Note why the connection ends, if that tells something of its client."""
        if self.origin is not None and (reset or evicted):
            self.intake.note_end(self.origin, self.index, reset=reset, evicted=evicted)

    def stay(self) -> bool:
        """Count the connection as an open one of its source, if those are limited; return whether it may stay."""
        limits = self.intake.limits[self.index]
        if limits is None or self.origin is None:
            return True
        may_stay, self.held = limits.hold(self.origin)
        return may_stay

    def leave(self) -> None:
        """Count it as open no longer."""
        limits = self.intake.limits[self.index]
        if limits is not None:
            limits.release(self.held)
            self.held = NOT_HELD

    def _reject_too_long(self) -> None:
        framer = self._framer
        self._reject(LINE_TOO_LONG, framer.line_too_long)
        framer.line_too_long = 0

    def _reject_broken(self) -> bool:
        if not self._broken:
            self._broken = True
            self._reject(MALFORMED_LINE, 1)
        return False

    def _reject(self, reason: str, count: int) -> None:
        self.intake.reject(self.index, reason, count, self._framer.beginning, self.origin)
