"""Server-sent events, from lines to names and data: what the service uses of the HTML standard's section 9.2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

__all__ = ["Event", "events"]


class Event(NamedTuple):
    """One event, and its data as JSON."""

    name: str
    data: bytes


def events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Yield the events of a stream as they end; one that the stream's end has cut off is none."""
    name, data = "", b""
    for line in lines:
        field, _, value = line.rstrip(b"\r\n").partition(b": ")
        if not field:
            if name and data:
                yield Event(name, data)
            name, data = "", b""
        elif field == b"event":
            name = value.decode("utf-8", "replace")
        elif field == b"data":
            data = value
