"""What systemd wants to hear: readiness, reloads, the watchdog, and descriptors to keep (sd_notify(3))."""

from __future__ import annotations

import array
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from twisted.logger import Logger

from statsd_tcp.words import in_words

__all__ = ["Notifier"]

_MICROSECONDS = 1e-6


class Notifier:
    """Speaks to the socket that systemd named in the environment; without one it does nothing.

    ``monotonic`` gives nanoseconds of CLOCK_MONOTONIC. ``watchdog`` is how often, in seconds, a sign of life is due;
    None when systemd waits for none.
    """

    _log = Logger()

    def __init__(self, environ: Mapping[str, str], pid: int, monotonic: Callable[[], int] = time.monotonic_ns) -> None:
        self._monotonic = monotonic
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._failure = ""
        self.watchdog = _watchdog(environ, pid)

    @property
    def listens(self) -> bool:
        """Return whether systemd wants to be told, and so may keep what it is given."""
        return bool(self._address)

    def ready(self, status: str) -> None:
        """Report that the service works, or works again after a reload."""
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}")

    def reloading(self) -> None:
        """Report that a reload has begun; `ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={self._monotonic() // 1000}")

    def stopping(self) -> None:
        """Report that the service is stopping."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Send a sign of life."""
        if self.watchdog is not None:
            self._send("WATCHDOG=1")

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        """Let systemd keep sockets under a name, and return them to the next start.

        It does if the unit has FileDescriptorStoreMax=, and knows a socket that it has already. The name may have no
        colon.
        """
        if descriptors:
            self._send(f"FDSTORE=1\nFDPOLL=0\nFDNAME={name}", descriptors)

    def forget(self, name: str) -> None:
        """Let systemd keep the sockets of that name no longer."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={name}")

    def _send(self, state: str, descriptors: Sequence[int] = ()) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                # Not waiting: a systemd that reads nothing must not hold us up.
                sender.sendmsg([state.encode()], rights, socket.MSG_DONTWAIT, address)
        except OSError as error:
            self._failed(in_words(error))
        else:
            self._failure = ""

    def _failed(self, error: str) -> None:
        """Log it, though not at every sign of life."""
        if error != self._failure:
            self._failure = error
            self._log.error("systemd cannot be told: {error}", error=error)


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """Return half of the time after which systemd considers us dead, in seconds, as sd_watchdog_enabled(3) advises."""
    text = environ.get("WATCHDOG_USEC", "")
    if not text.isdigit() or int(text) == 0 or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(text) * _MICROSECONDS / 2
