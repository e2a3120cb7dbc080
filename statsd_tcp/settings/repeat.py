"""The value of ``--repeat``: another StatsD server."""

from __future__ import annotations

from typing import Literal, cast

import msgspec

from statsd_tcp.settings.fields import network_port, split_fields

__all__ = ["Scheme", "Target", "parse_repeat"]

Scheme = Literal["udp", "tcp"]

_FORM = "udp:HOST:PORT or tcp:HOST:PORT"


class Target(msgspec.Struct, frozen=True):
    """Another server: its protocol, its name or address, and its port."""

    scheme: Scheme
    host: str
    port: int

    def __str__(self) -> str:
        """Write it as people do, with an IPv6 address in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}:{host}:{self.port}"

    @property
    def label(self) -> str:
        """Return its name among the outputs."""
        return f"repeat:{self}"


def parse_repeat(text: str) -> Target:
    r"""Read ``udp:HOST:PORT`` or ``tcp:HOST:PORT``, with ``\:`` for a colon in the host; raises ``ValueError``."""
    fields = split_fields(text)
    if len(fields) != 3 or not fields[1]:  # noqa: PLR2004  (as in the form)
        raise ValueError(f"{text!r} is not of the form {_FORM}; a colon in an address is written \\:")
    scheme, host, port = fields
    if scheme not in ("udp", "tcp"):
        raise ValueError(f"{scheme!r} is not one of udp, tcp; write {_FORM}")
    return Target(cast("Scheme", scheme), host, network_port(port))
