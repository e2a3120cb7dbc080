"""Flushes on the terminal: for people, or as one line of JSON each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any, TextIO

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.outputs.interfaces import IOutput
from statsd_tcp.settings.outputs import ConsoleForm
from statsd_tcp.wire.notation import as_text

__all__ = ["TerminalOutput", "as_json", "as_table"]


@implementer(IOutput)
class TerminalOutput:
    """Writes flushes to a stream, in a thread: who reads it may be slow."""

    def __init__(self, reactor: Any, stream: TextIO, form: ConsoleForm) -> None:
        self._reactor = reactor
        self._stream = stream
        self._write = as_json if form == "json" else as_table

    def deliver(self, flush: FlushResult) -> Deferred[None]:
        """Write a flush."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._print, flush)

    def stop(self) -> None:
        """Do nothing: the stream is not ours."""

    def _print(self, flush: FlushResult) -> None:
        self._stream.write(self._write(flush))
        self._stream.flush()


def as_json(flush: FlushResult) -> str:
    """Write a flush as a line of JSON, with the series written as clients write them: ``name;key=value``."""
    document = {
        "timestamp": flush.timestamp,
        "seconds": flush.seconds,
        "counters": _object(flush.counters),
        "counter_rates": _object({series: value / flush.seconds for series, value in flush.counters.items()}),
        "gauges": _object(flush.gauges),
        "sets": _object(flush.sets),
        "timers": _object(flush.timers),
        "lines": flush.lines,
        "bad_lines": flush.bad_lines,
        "datagrams": flush.datagrams,
    }
    return msgspec.json.encode(document).decode() + "\n"


def as_table(flush: FlushResult) -> str:
    """Write a flush for people."""
    return "\n".join(_rows(flush)) + "\n"


def _rows(flush: FlushResult) -> Iterator[str]:
    when = datetime.fromtimestamp(flush.timestamp, UTC)
    yield f"{when:%Y-%m-%d %H:%M:%S}Z  {flush.seconds} s, {flush.lines} lines, {flush.bad_lines} of them bad"
    for name, total in _named(flush.counters):
        yield f"  counter  {name}  {total:g}  ({total / flush.seconds:g}/s)"
    for name, value in _named(flush.gauges):
        yield f"  gauge    {name}  {value:g}"
    for name, members in _named(flush.sets):
        yield f"  set      {name}  {members}"
    for name, fields in _named(flush.timers):
        yield f"  timer    {name}  {' '.join(f'{field}={number:g}' for field, number in fields.items())}"


def _object(series: Mapping[str, Any]) -> msgspec.Raw:
    # No dictionary: two series may have one text, a name with a semicolon in it and a name with a tag.
    encode = msgspec.json.encode
    members = b",".join([b"%b:%b" % (encode(name), encode(value)) for name, value in _named(series)])
    return msgspec.Raw(b"{%b}" % members)


def _named(series: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the series by their names as text, in the order of these."""
    return sorted([(as_text(identity), value) for identity, value in series.items()], key=itemgetter(0))
