"""Where the text of the log goes out: if it is not read there, lines are left out, and nothing waits for them.

A pipe, a terminal or the socket of a log daemon takes only so much that is not read. To write more would stop the
reactor until it is: no commit, no health check, and nothing in the log to say why.
"""

from __future__ import annotations

import os
import select
from typing import Any

from twisted.logger import Logger

__all__ = ["PATIENCE", "Outlet", "outlet_of"]

PATIENCE = 1.0
"""Seconds that a reader has for a line, once: after that, lines are left out until there is room."""

_AT_ONCE = 4096
"""Bytes that a pipe takes without waiting when poll(2) says that it can be written: PIPE_BUF."""


def outlet_of(stream: Any) -> Any:
    """Return an outlet to where a stream writes, or the stream itself if it has no descriptor."""
    try:
        return Outlet(_not_waiting(stream.fileno()))
    except (OSError, AttributeError):
        # Python has no standard output where the descriptor was closed before the start.
        return stream


class Outlet:
    """A stream of text into a descriptor, which stays the caller's."""

    _log = Logger()

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._left_out = 0
        self._is_cut = False

    def write(self, text: str) -> None:
        """Write text, unless it is not read. Raise `OSError`."""
        if not self._has_room():
            self._left_out += 1
            return
        number, self._left_out = self._left_out, 0
        if number:
            # It goes through here too.
            self._log.warn("{number} lines of the log were left out before this one: they were not read", number=number)
            if self._left_out:
                self._left_out += number
                return
        data = (b"\n" if self._is_cut else b"") + text.encode("utf-8", "backslashreplace")
        done = 0 if number and not self._has_room() else self._put(data)
        if done < len(data):
            self._left_out = 1
            self._is_cut = self._is_cut or done > 0
        else:
            self._is_cut = False

    def _put(self, data: bytes) -> int:
        """Write as much as there is room for, of which there is some now; return how many bytes that is."""
        done = 0
        while True:
            try:
                done += os.write(self._descriptor, data[done : done + _AT_ONCE])
            except BlockingIOError:
                return done
            if done == len(data) or not self._has_room():
                return done

    def flush(self) -> None:
        """Do nothing: no text waits here."""

    def _has_room(self) -> bool:
        return bool(self._poll.poll(0 if self._left_out else PATIENCE * 1000))


def _not_waiting(descriptor: int) -> int:
    """Return a descriptor at which a terminal takes what it has room for: that may be less than poll(2) has it seem.

    It is opened again, because others that write there, such as a shell, are to wait as before.
    """
    try:
        if os.isatty(descriptor):
            return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        # It belongs to another user.
        pass
    return descriptor
