"""What one service tells about itself: its stream, read by a thread, and the newest of it."""

from __future__ import annotations

import http.client
import threading
import urllib.request
from collections import deque
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError

import msgspec

from statsd_tcp.commands.arguments import why_not
from statsd_tcp.commands.top.events import Event, events
from statsd_tcp.status.moments import Moment
from statsd_tcp.status.who_table import SourceRow

__all__ = ["SHOWN", "Feed", "Node"]

SHOWN = 60
"""Moments that are shown: those of a minute."""

_AGAIN = 2.0
"""Seconds until a stream that has ended is asked for again."""

_SILENT = 10.0
"""Seconds after which a stream that says nothing has ended: it has an event each second."""

_LONGEST_LINE = 16 << 20


class Node:
    """What is known of a service. ``error`` is one line, empty while all is well."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.error = "no answer yet"
        self.status: dict[str, Any] = {}
        self.moments: deque[Moment] = deque(maxlen=SHOWN)
        self.sources: tuple[SourceRow, ...] = ()

    @property
    def name(self) -> str:
        """Return its name; before it is known, where it is."""
        return str(self.status.get("node") or self.url)

    def take(self, event: Event) -> None:
        """Note what an event says; raises msgspec's errors."""
        if event.name == "past":
            self.moments.clear()
            self.moments.extend(msgspec.json.decode(event.data, type=list[Moment]))
        elif event.name == "moment":
            self.moments.append(msgspec.json.decode(event.data, type=Moment))
        elif event.name == "status":
            self.status = msgspec.json.decode(event.data, type=dict[str, Any])
        elif event.name == "sources":
            self.sources = msgspec.json.decode(event.data, type=tuple[SourceRow, ...])
        self.error = ""


class Feed:
    """Reads the stream of a service into ``node``, again and again. ``changed`` is called after each event."""

    def __init__(self, node: Node, changed: Callable[[], None]) -> None:
        self._node = node
        self._changed = changed
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin, in a thread that does not keep the process alive."""
        threading.Thread(target=self._go_on, daemon=True).start()

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()

    def _go_on(self) -> None:
        while not self._ended.is_set():
            try:
                self._read()
                self._node.error = "the stream has ended"
            except HTTPError as error:
                with error:
                    said = error.read(200).decode("utf-8", "replace").strip()
                self._node.error = f"it answers {error.code}: {said.partition(chr(10))[0]}"
            except (OSError, http.client.HTTPException, msgspec.MsgspecError) as error:
                self._node.error = why_not(error)
            self._changed()
            self._ended.wait(_AGAIN)

    def _read(self) -> None:
        url = f"{self._node.url}/api/v1/live"
        with urllib.request.urlopen(url, timeout=_SILENT) as answer:  # noqa: S310  (service_url)
            for event in events(iter(lambda: answer.readline(_LONGEST_LINE), b"")):
                if self._ended.is_set():
                    return
                self._node.take(event)
                if event.name != "parts":
                    self._changed()
