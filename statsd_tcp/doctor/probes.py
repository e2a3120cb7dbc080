"""Where facts come from: the mounts of proc and sysfs, and the questions that system calls answer."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, Protocol

from statsd_tcp.kernel import rings, sock_diag
from statsd_tcp.kernel.rings import Ring
from statsd_tcp.kernel.sock_diag import Listener

__all__ = ["KernelProbes", "Probes", "Roots", "Unread"]


class Unread(Exception):  # noqa: N818  (a state of knowledge, not an error)
    """Something cannot be known here; the text is the reason."""


class Probes(Protocol):
    """The questions that are answered by system calls and not by files."""

    def listeners(self) -> list[Listener]:
        """List the listening TCP sockets; raises OSError."""

    def ring(self, card: str) -> Ring:
        """Return a card's receive ring; raises OSError."""


class KernelProbes:
    """The probes of the running kernel."""

    def listeners(self) -> list[Listener]:
        """List the listening TCP sockets of our network namespace; raises OSError."""
        return sock_diag.listeners()

    def ring(self, card: str) -> Ring:
        """Return a card's receive ring; raises OSError."""
        return rings.receive_ring(card)


class Roots(NamedTuple):
    """Where to look: the mounts of proc and sysfs, and the process (a pid, or ``self``) whose limits count.

    ``shut`` is the reason why the process's network namespace, which is not ours, cannot be entered; "" if we are in
    it.
    """

    proc: Path = Path("/proc")
    sys: Path = Path("/sys")
    process: str = "self"
    shut: str = ""
