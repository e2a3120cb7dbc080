"""The lines of the log: for people time, level and text, for programs all of an event as one line of JSON."""

from __future__ import annotations

from typing import IO, Any, Protocol, cast

from twisted.logger import (
    FileLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsJSON,
    eventAsText,
    formatEvent,
    formatTime,
    textFileLogObserver,
)
from twisted.python.components import Componentized

from statsd_tcp.status.outlet import outlet_of

__all__ = ["Stream", "make_observer", "observe", "plain_text", "plain_under_twist"]

_LEFT_OUT = frozenset({"reactor class: {reactor}."})
"""Formats of events that name only a class of Python's: Twisted's first words under twistd."""


def plain_text(event: LogEvent) -> str | None:
    """Return the line of an event, with the traceback of its failure; None for one that names only a class."""
    if event.get("log_format") in _LEFT_OUT:
        return None
    text = eventAsText(event, includeTraceback=True, includeTimestamp=False, includeSystem=False)
    if not text:
        return None
    level = event.get("log_level", LogLevel.info).name
    # Further lines stand in from the first ones, as Twisted's own observer writes them.
    indented = text.rstrip("\n").replace("\n", "\n\t")
    return f"{formatTime(event.get('log_time'))} {level:<5} {indented}\n"


def _json_line(event: LogEvent) -> str:
    # Programs that read lines want none of the control characters of RFC 7464, and the text ready made.
    return f"{eventAsJSON({**event, 'text': formatEvent(event)})}\n"


class Stream(Protocol):
    """Where text goes: standard output, or a file of the log."""

    def write(self, text: str, /) -> object:
        """Add text."""

    def flush(self) -> object:
        """Do nothing: no text waits here."""


def make_observer(form: str, stream: Stream) -> ILogObserver:
    """Make what writes events in that form to a stream."""
    # The observer needs no more of a file than that.
    file = cast("IO[str]", stream)
    return FileLogObserver(file, _json_line if form == "json" else plain_text)


def observe(application: object, observer: ILogObserver) -> None:
    """Make twistd write the log of an application by an observer, unless the application has one of its own."""
    if isinstance(application, Componentized) and application.getComponent(ILogObserver, None) is None:
        application.setComponent(ILogObserver, observer)


def plain_under_twist(options: dict[str, Any]) -> None:
    """Make twist, given its options, write plain lines where it would write Twisted's text."""
    if options.get("fileLogObserverFactory") is textFileLogObserver:
        options["fileLogObserverFactory"] = lambda stream: make_observer("text", outlet_of(stream))
