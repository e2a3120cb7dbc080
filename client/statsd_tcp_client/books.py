"""What became of every call: the client's own books. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["Books", "Stats"]


class Stats(NamedTuple):
    """What became of the calls until now; calls are those of `incr` and its like, except those that a rate left out.

    ``made`` is always the sum of ``waiting``, ``under_way``, ``confirmed``, ``in_doubt`` and all of ``dropped``. After
    a fork the child begins with zeros.
    """

    made: int
    waiting: int
    """Not yet handed to a connection."""
    under_way: int
    """Handed to a connection, or sent and not yet confirmed."""
    sent: int
    """Taken by the kernel, whatever became of it then."""
    confirmed: int
    """Confirmed at the client's level. At ``sent`` that is the same as sent."""
    in_doubt: int
    """Sent, and never confirmed: the connection broke, or the batch is too old to be sent again."""
    dropped: dict[str, int]
    """By reason, see `statsd_tcp_client.numbers.REASONS`."""
    examples: dict[str, str]
    """For each of these reasons the first name that was dropped."""
    batches: int
    """Batches that were handed to a connection for the first time."""
    repeated: int
    """Batches that were sent again after a break."""
    bad_lines: int
    """Lines that the server found bad. It says so only at the level ``stored``."""
    connections: int
    """Connections that were established."""
    reconnects: int
    """Those of them that took the place of one that had broken."""
    failures: int
    """Attempts to connect that failed."""
    last_error: str
    """What ended the last connection or attempt that ended badly."""


@dataclass
class Books:
    """Numbers of calls, batches and connections, as in `Stats`."""

    under_way: int = 0
    sent: int = 0
    confirmed: int = 0
    in_doubt: int = 0
    refused: int = 0
    batches: int = 0
    repeated: int = 0
    bad_lines: int = 0
    connections: int = 0
    reconnects: int = 0
    failures: int = 0
    last_error: str = ""

    def confirm(self, made: int) -> None:
        """Close the books on calls that were confirmed."""
        self.under_way -= made
        self.confirmed += made

    def doubt(self, made: int) -> None:
        """Close the books on calls of which it cannot be known whether they were counted."""
        self.under_way -= made
        self.in_doubt += made

    def refuse(self, made: int) -> None:
        """Close the books on calls that the server refused."""
        self.under_way -= made
        self.refused += made
