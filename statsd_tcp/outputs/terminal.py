"""Slots on the terminal: for people, or as one line of JSON each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from statsd_tcp.aggregate.slots import SlotResult
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.settings.outputs import ConsoleForm
from statsd_tcp.wire.notation import as_text

__all__ = ["TerminalOutput", "as_json", "as_table"]


@implementer(IOutput)
class TerminalOutput:
    """Writes slots to a stream, in a thread: who reads it may be slow."""

    def __init__(self, reactor: Any, stream: TextIO, form: ConsoleForm) -> None:
        self._reactor = reactor
        self._stream = stream
        self._write = as_json if form == "json" else as_table

    def deliver(self, slot: SlotResult) -> Deferred[None]:
        """Write a slot."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._print, slot)

    def stop(self) -> None:
        """Do nothing: the stream is not ours."""

    def _print(self, slot: SlotResult) -> None:
        self._stream.write(self._write(slot))
        self._stream.flush()


def as_json(slot: SlotResult) -> str:
    """Write a slot as a line of JSON, with the series as_text as clients write them: ``name;key=value``."""
    document = {
        "timestamp": slot.timestamp,
        "seconds": slot.seconds,
        "counters": _named(slot.counters),
        "counter_rates": {name: value / slot.seconds for name, value in _named(slot.counters).items()},
        "gauges": _named(slot.gauges),
        "sets": _named(slot.sets),
        "timers": _named(slot.timers),
        "lines": slot.lines,
        "bad_lines": slot.bad_lines,
        "datagrams": slot.datagrams,
    }
    return msgspec.json.encode(document).decode() + "\n"


def as_table(slot: SlotResult) -> str:
    """Write a slot for people."""
    return "\n".join(_rows(slot)) + "\n"


def _rows(slot: SlotResult) -> Iterator[str]:
    when = datetime.fromtimestamp(slot.timestamp, UTC)
    yield f"{when:%Y-%m-%d %H:%M:%S}Z  {slot.seconds} s, {slot.lines} lines, {slot.bad_lines} of them bad"
    for name, total in sorted(_named(slot.counters).items()):
        yield f"  counter  {name}  {total:g}  ({total / slot.seconds:g}/s)"
    for name, value in sorted(_named(slot.gauges).items()):
        yield f"  gauge    {name}  {value:g}"
    for name, members in sorted(_named(slot.sets).items()):
        yield f"  set      {name}  {members}"
    for name, fields in sorted(_named(slot.timers).items()):
        yield f"  timer    {name}  {' '.join(f'{field}={number:g}' for field, number in fields.items())}"


def _named(series: Mapping[str, Any]) -> dict[str, Any]:
    return {as_text(identity): value for identity, value in series.items()}
