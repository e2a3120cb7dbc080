"""What a client is told when it is made, checked at once. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from statsd_tcp_client.session import LEVELS, Level
from statsd_tcp_client.text import Tags, is_name, is_sections, tag_section

__all__ = ["Dialect", "Settings"]

Dialect = Literal["etsy", "dogstatsd"]

_MOST_CONNECTIONS = 4


@dataclass(frozen=True)
class Settings:
    """The settings of a client. All times are in seconds, all sizes in bytes. Raises `ValueError`."""

    host: str = "localhost"
    port: int = 8125
    path: str = ""
    """A Unix socket, instead of host and port."""
    ipv6: bool = False
    """Take the host's addresses of IPv6, and not those of IPv4."""
    prefix: str = ""
    tags: Tags = ()
    dialect: Dialect = "etsy"
    level: Level = "sent"
    interval: float = 1.0
    """Between two batches: for so long numbers are added up."""
    pool: int = 1
    """Connections at most, 1 to 4."""
    max_bytes: int = 1024 * 1024
    """Room for what is not yet in a batch."""
    max_strays: int = 2 * 1024 * 1024
    """Room, for each connection of the pool, for batches that belong to a node of a fleet that is away."""
    connect_timeout: float = 0.25
    answer_timeout: float = 30.0
    """Without an answer for so long, or with bytes that the kernel does not take, a connection is given up."""
    backoff: tuple[float, float] = (0.1, 30.0)
    """The longest pause after the first failure, and after any number of them."""
    age: tuple[float, float] = (60.0, 90.0)
    """A connection is replaced at an age by chance between these."""
    idle: float = 30.0
    """A connection is closed after so long without a batch."""
    resend: float = 86400.0
    """A batch that is older is not sent again: the server forgets clients."""
    own_lines: bool = True
    """Send ``statscounter.client.*`` when something was dropped, is in doubt, or a connection was lost."""
    section: str = field(init=False, default="")
    """The tags as a section of a line."""
    start: str = field(init=False, default="")
    """The prefix with its dot."""

    def __post_init__(self) -> None:
        """Check everything, and write prefix and tags as lines have them."""
        object.__setattr__(self, "section", tag_section(self.tags))
        object.__setattr__(self, "start", f"{self.prefix}." if self.prefix else "")
        if self.level not in LEVELS:
            raise ValueError(f"level={self.level!r}: one of {', '.join(LEVELS)}")
        if self.dialect not in {"etsy", "dogstatsd"}:
            raise ValueError(f"dialect={self.dialect!r}: etsy or dogstatsd")
        if self.start and not is_name(self.start):
            raise ValueError(f"prefix={self.prefix!r}: it cannot begin a name")
        if not is_sections(self.section):
            raise ValueError(f"tags={self.tags!r}: they cannot stand in a line")
        if not 1 <= self.pool <= _MOST_CONNECTIONS:
            raise ValueError(f"pool={self.pool}: 1 to {_MOST_CONNECTIONS} connections")
        if not self.path and not 0 < self.port < 2**16:
            raise ValueError(f"port={self.port}: 1 to 65535")
        for name in ("interval", "connect_timeout", "answer_timeout", "idle", "resend", "max_bytes", "max_strays"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)}: more than 0")
        for name in ("backoff", "age"):
            low, high = getattr(self, name)
            # Nothing is by chance between a number and infinity.
            if not 0 < low <= high < float("inf"):
                raise ValueError(f"{name}=({low}, {high}): from a number above 0 to a finite one that is not less")
