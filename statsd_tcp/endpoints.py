r"""The endpoint strings of the command line and the configuration file, parsed and validated.

An endpoint reads as Twisted's server endpoint strings do: ``scheme:PORT[:key=value...]``, where a colon inside a value
is written ``\:``.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal

import msgspec

__all__ = ["Endpoint", "EndpointError", "parse_count", "parse_http", "parse_listen"]

Dialect = Literal["etsy", "dogstatsd"]

_FIELD = re.compile(r"(?:[^:\\]|\\.)*")
_LABEL = re.compile(r"[A-Za-z0-9_.:\-\[\]]+\Z")
_HIGHEST_PORT = 65535


class EndpointError(ValueError):
    """An endpoint string that can't be used; the text says what is wrong with it and what would be right."""


class Endpoint(msgspec.Struct, frozen=True):
    """One place to listen, as asked for.

    ``port`` 0 lets the kernel choose. ``interface`` None is every address of the machine, IPv4 and IPv6. ``count_only``
    marks a port whose connections are accepted, counted and closed.
    """

    scheme: Literal["tcp", "udp"]
    port: int
    interface: str | None = None
    dialect: Dialect = "etsy"
    name: str | None = None
    count_only: bool = False

    def label(self, port: int) -> str:
        """Give the value of the metrics' ``listener`` label, once the real port is known."""
        if self.name is not None:
            return self.name
        if self.interface is None:
            return f"{self.scheme}:{port}"
        host = f"[{self.interface}]" if ":" in self.interface else self.interface
        return f"{self.scheme}:{host}:{port}"

    def __str__(self) -> str:
        """Write the endpoint as the command line takes it."""
        parts = [self.scheme, str(self.port)]
        if self.interface is not None:
            parts.append("interface=" + self.interface.replace(":", "\\:"))
        if self.dialect != "etsy":
            parts.append(f"dialect={self.dialect}")
        if self.name is not None:
            parts.append("name=" + self.name.replace(":", "\\:"))
        return ":".join(parts)


def parse_listen(text: str) -> Endpoint:
    """Parse a value of ``--listen``."""
    return _parse(text, ("tcp", "udp"), {"interface", "dialect", "name"})


def parse_count(text: str) -> Endpoint:
    """Parse a value of ``--count``."""
    endpoint = _parse(text, ("tcp",), {"interface", "name"})
    return msgspec.structs.replace(endpoint, count_only=True)


def parse_http(text: str) -> Endpoint:
    """Parse the value of ``--http``."""
    return _parse(text, ("tcp",), {"interface"})


def _split(text: str) -> list[str]:
    fields, position = [], 0
    while True:
        match = _FIELD.match(text, position)
        end = match.end() if match else position
        fields.append(re.sub(r"\\(.)", r"\1", text[position:end]))
        if end >= len(text):
            return fields
        if text[end] != ":":
            raise EndpointError("a backslash at the end escapes nothing")
        position = end + 1


def _parse(text: str, schemes: tuple[str, ...], keys: set[str]) -> Endpoint:
    scheme, *rest = _split(text)
    if scheme not in schemes:
        raise EndpointError(f"{scheme!r} is not one of {', '.join(schemes)}; write {schemes[0]}:PORT")
    if not rest:
        raise EndpointError(f"the port is missing; write {scheme}:PORT")
    arguments = _arguments(rest[1:], keys)
    return msgspec.convert(
        {"scheme": scheme, "port": _port(rest[0]), **arguments},
        Endpoint,
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= _HIGHEST_PORT):
        raise EndpointError(f"{text!r} is not a port (0 to {_HIGHEST_PORT})")
    return int(text)


def _arguments(fields: list[str], keys: set[str]) -> dict[str, str]:
    arguments: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if not equals or key not in keys:
            raise EndpointError(f"{field!r} is not one of {', '.join(sorted(k + '=' for k in keys))}")
        if key in arguments:
            raise EndpointError(f"{key}= is given twice")
        arguments[key] = _CHECKS[key](value)
    return arguments


def _interface(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise EndpointError(f"interface={value} is not an IP address (a colon in it is written \\:)") from None


def _dialect(value: str) -> str:
    if value not in {"etsy", "dogstatsd"}:
        raise EndpointError(f"dialect={value} is not one of etsy, dogstatsd")
    return value


def _name(value: str) -> str:
    if not _LABEL.match(value):
        raise EndpointError(f"name={value} may have letters, digits and _ . : - only")
    return value


_CHECKS = {"interface": _interface, "dialect": _dialect, "name": _name}
