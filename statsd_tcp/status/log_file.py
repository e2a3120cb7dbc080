"""The log in a file of its own, which USR1 has opened again: what rotates logs moves the file away and sends that.

Twisted's own log file, which twistd would use, goes on writing to the file that was moved, and moves files itself.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from statsd_tcp.status.outlet import Outlet
from statsd_tcp.words import in_words

__all__ = ["LogFile"]

_MODE = 0o644


class LogFile:
    """A stream of text that adds to a file; the file is opened, and USR1 listened to, when something is written first.

    That is when twistd begins to log: before it goes into another folder, and before it gives up root's rights.
    """

    _log = Logger()

    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self.path = Path(path).absolute()
        self._descriptor = -1
        self._outlet: Outlet | None = None

    def write(self, text: str) -> None:
        """Add text, at once."""
        if self._outlet is None:
            self._descriptor = self._open()
            self._outlet = Outlet(self._descriptor)
            signal.signal(signal.SIGUSR1, self._asked)
        self._outlet.write(text)

    def flush(self) -> None:
        """Do nothing: no text waits here."""

    def reopen(self) -> None:
        """Open the file at the path, which is another one by now; go on with the old one if that is not possible."""
        try:
            opened = self._open()
        except OSError as error:
            self._log.error("the log {path} cannot be opened again: {why}", path=self.path, why=in_words(error))
            return
        os.dup2(opened, self._descriptor, inheritable=False)
        os.close(opened)
        self._log.info("the log was opened again")

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, _MODE)

    def _asked(self, *_: object) -> None:
        # Not in the middle of whatever the signal has interrupted, which may be a line of the log.
        self._reactor.callFromThread(self.reopen)
