"""Streams that begin with a header of the PROXY protocol: where one has to come, and where none was asked for."""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.ingest.proxy_header import V2, BadHeaderError, ProxyHeader, read_header
from statsd_tcp.ingest.stream import LineStream
from statsd_tcp.kernel.peers import Source, network_of
from statsd_tcp.ledger.cells import ListenerCells
from statsd_tcp.wire.framing import BEGINNING
from statsd_tcp.wire.reasons import PROXY_HEADER

__all__ = ["Awaited", "ProxiedStream", "UnaskedStream"]


class Awaited(NamedTuple):
    """What the streams of a listener begin with: ``versions`` are those of `proxy_header`.

    ``indexes`` say where the listener counts why connections end.
    """

    versions: int
    indexes: ListenerCells


class _HeadedStream(LineStream):
    """A stream whose first bytes are a header. They are received, but no lines."""

    __slots__ = ("_head", "awaits_header", "source")

    awaits_header: bool
    source: Source | None

    def __init__(self, stream: LineStream) -> None:
        """Wait for the header of a stream of which nothing was taken."""
        self._go_on_from(stream)
        self.source = None
        self.awaits_header = True
        self._head: bytes | None = b""

    @property
    def is_between_lines(self) -> bool:
        """Return whether what comes next begins a line, and needs nothing but its end to be taken."""
        return self._head is None and super().is_between_lines

    def feed(self, data: bytes) -> bool:
        """Take what one read brought; return whether more can be taken: False after a bad header, too."""
        rest = data if self._head is None else self.strip(data)
        return rest is not None and super().feed(rest)

    def strip(self, data: bytes) -> bytes | None:
        """Take of ``data`` what belongs to the header and return the rest; None if it is a bad one."""
        if self._head is None:
            return data
        if self._broken:
            return None
        before, self._head = len(self._head), self._head + data
        try:
            header = read_header(self._head, self._versions())
        except BadHeaderError:
            self._broken = True
            self.intake.take(self.index, b"", len(data))
            self._refuse(self._head)
            return None
        if header is None:
            self.intake.take(self.index, b"", len(data))
            return b""
        rest = data[header.length - before :]
        self.intake.take(self.index, b"", len(data) - len(rest))
        self._head = None
        self.awaits_header = False
        self._read(header)
        if self.is_limited:
            self.intake.take(self.index, b"", len(rest))
            self._head, self._broken = b"", True
            return None
        return rest

    @property
    def is_limited(self) -> bool:
        """Return whether the connection is over a limit of its source, and is not to be served."""
        return False

    def _versions(self) -> int:
        """Return the versions of headers that there may be."""
        raise NotImplementedError

    def _read(self, header: ProxyHeader) -> None:
        """Take what the header says."""
        raise NotImplementedError

    def _refuse(self, beginning: bytes) -> None:
        """Note a header that is not good."""
        raise NotImplementedError


class ProxiedStream(_HeadedStream):
    """A stream of a listener with ``proxy=``: without a good header there is no client.

    ``source`` is where the client comes from, None while it is not known, or if the balancer does not say.
    """

    __slots__ = ("_awaited", "_limited", "_local", "_stays", "is_admitted")

    def __init__(self, stream: LineStream, awaited: Awaited) -> None:
        super().__init__(stream)
        self._awaited = awaited
        self._local = self._limited = self._stays = False
        self.is_admitted = False
        """Whether the connection was taken from its source's rate before, where the header was read."""

    def finish(self, *, clean: bool) -> None:
        """End the stream. What came of a header that was not whole is an example; nothing would be none."""
        if self._head and not self._broken:
            self._broken = True
            self._refuse(self._head)
        super().finish(clean=clean)

    def counted_as(self, reason: int) -> int:
        """Return the cell under which the end of the connection is counted, given that of what happened."""
        indexes = self._awaited.indexes
        if self._local:
            return indexes.proxy_check
        if self._limited:
            return indexes.limited
        if self.awaits_header and reason in {indexes.eof, indexes.reset, indexes.error, indexes.idle}:
            return indexes.bad_proxy_header
        return reason

    @property
    def is_limited(self) -> bool:
        """Return whether the connection is over a limit of its source, and is not to be served."""
        return self._limited

    @property
    def is_reset(self) -> bool:  # type: ignore[override]
        """Return whether the end of the connection is to be a reset, as that of one over a limit may be."""
        limits = self.intake.limits[self.index]
        return self._limited and limits is not None and limits.resets

    def _versions(self) -> int:
        return self._awaited.versions

    def _read(self, header: ProxyHeader) -> None:
        self._local = header.local
        if header.address is not None:
            self.source = network_of(header.address)
            self.origin = self.intake.arrived(header.address, self.index)
            self._limited = not self._is_within()

    def _is_within(self) -> bool:
        limits = self.intake.limits[self.index]
        if limits is None or self.origin is None:
            return True
        admitted = self.is_admitted or limits.admits(self.origin)
        return admitted and (not self._stays or super().stay())

    def stay(self) -> bool:
        """Count the connection as an open one of its source, also if that is not known before the header comes."""
        self._stays = True
        return super().stay()

    def _refuse(self, beginning: bytes) -> None:
        self.intake.note_bad_header(self.index, beginning)


class UnaskedStream(_HeadedStream):
    """A stream of a listener without ``proxy=`` that begins with the signature of version 2.

    No line can begin so. The header is left out and counted as one bad line, and nothing that it says is used.
    """

    __slots__ = ()

    def __init__(self, stream: LineStream, beginning: bytes) -> None:
        """Count the header, which is not read yet."""
        super().__init__(stream)
        self.awaits_header = False
        self.intake.reject(self.index, PROXY_HEADER, 1, beginning[:BEGINNING], self.origin)

    def _versions(self) -> int:
        return V2

    def _read(self, header: ProxyHeader) -> None:
        """Use nothing of it."""

    def _refuse(self, beginning: bytes) -> None:
        """It is counted already."""
