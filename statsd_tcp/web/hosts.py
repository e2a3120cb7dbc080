"""Who may ask for what: a local port is not a private one, because browsers reach it.

A page from anywhere can have a browser send requests to any port of its machine. If the name it came from is made to
point at this machine, it may read the answers too. The name is in the request then, as its ``Host``.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from twisted.web.server import Request

from statsd_tcp.settings.hosts import EVERY_HOST

__all__ = ["Hosts", "is_of_another_site"]


class Hosts:
    """The names under which the service may be asked for: ``own``, what ``allowed`` has, and all addresses."""

    def __init__(self, own: Iterable[str], allowed: Iterable[str]) -> None:
        allowed = tuple(allowed)
        self._every = EVERY_HOST in allowed
        self._domains = tuple(name for name in allowed if name.startswith("."))
        self._names = {"localhost", *own, *allowed}

    def accept(self, host: str) -> bool:
        """Return whether the value of a ``Host`` field is one of the names; an empty one is no name of another's."""
        name = _name(host)
        return self._every or not name or _is_address(name) or name in self._names or name.endswith(self._domains)


def is_of_another_site(request: Request) -> bool:
    """Return whether a browser says that a page from elsewhere had it send this request."""
    if _field(request, "sec-fetch-site") not in ("", "none", "same-origin"):
        return True
    origin = _field(request, "origin")
    # Our own pages' origin is the very host that they ask; "null" is that of a page that hides its own.
    return bool(origin) and origin.split("://")[1:] != [_field(request, "host")]


def _field(request: Request, name: str) -> str:
    return (request.getHeader(name) or "").lower()


def _name(host: str) -> str:
    """Take the port off, and the brackets off an IPv6 address."""
    host = host.strip().lower()
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
