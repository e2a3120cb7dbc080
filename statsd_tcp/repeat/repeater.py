"""All targets of one worker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, gatherResults

from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.settings.repeat import Target

__all__ = ["Repeater", "Sender", "make_repeater"]


class Sender(Protocol):
    """Sends lines to one target. None of it waits or raises: what cannot be sent is counted as dropped."""

    def send(self, lines: bytes) -> None:
        """Send lines, each of which ends in a newline."""

    def flush(self) -> None:
        """Send what waits, as far as that can be done at once."""

    def report(self) -> Repeated:
        """Return what has happened since the last call."""

    def close(self) -> Deferred[None]:
        """Send the last lines if possible, and let go of everything."""


class Repeater:
    """Sends every line to every target."""

    def __init__(self, senders: Sequence[Sender]) -> None:
        self._senders = senders

    def send(self, lines: bytes) -> None:
        """Send lines, each of which ends in a newline."""
        for sender in self._senders:
            sender.send(lines)

    def flush(self) -> None:
        """Send what waits, as far as that can be done at once."""
        for sender in self._senders:
            sender.flush()

    def report(self) -> tuple[Repeated, ...]:
        """Return what has happened since the last call, target by target."""
        return tuple(sender.report() for sender in self._senders)

    def close(self) -> Deferred[Any]:
        """Send the last lines if possible, and let go of everything; fires soon, in any case."""
        return gatherResults([sender.close() for sender in self._senders], consumeErrors=True)


def make_repeater(reactor: Any, targets: Sequence[Target]) -> Repeater | None:
    """Make the repeater for these targets; None if there are none."""
    if not targets:
        return None
    return Repeater([_make_sender(reactor, target) for target in targets])


def _make_sender(reactor: Any, target: Target) -> Sender:
    # Imported for who needs them: most workers have no targets, and should not be larger for it.
    if target.scheme == "udp":
        from statsd_tcp.repeat.datagrams import DatagramSender

        return DatagramSender(reactor, target)
    from statsd_tcp.repeat.stream import StreamSender

    return StreamSender(reactor, target)
