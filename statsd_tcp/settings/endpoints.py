r"""The endpoint strings of the command line and the configuration file, parsed and validated.

An endpoint reads as Twisted's server endpoint strings do: ``scheme:PORT[:key=value...]`` or
``scheme:PATH[:key=value...]``, where a colon inside a value is written ``\:``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from statsd_tcp.settings.endpoint_values import CHECKS, PRIVATE, EndpointError, check_path, check_port
from statsd_tcp.settings.fields import arguments_of, split_fields
from statsd_tcp.wire.grammar import (
    DEFAULT_MAX_LINE,
    LARGEST_PACKET,
    TAG_STYLES,
    Dialect,
    Framing,
    TagStyle,
    write_name,
)

__all__ = ["Endpoint", "EndpointError", "TlsFiles", "parse_count", "parse_http", "parse_listen"]

Scheme = Literal["tcp", "udp", "unix", "unixgram", "ssl"]

_LINES = {"dialect", "tags", "container", "name"}
_INTERNET = _LINES | {"interface"}
_PATH = _LINES | {"mode", "user", "group"}
_PROXY = {"proxy", "trust"}
_TLS = {"privateKey", "certKey", "clientCA"}
_LISTEN: dict[Scheme, set[str]] = {
    "tcp": _INTERNET | _PROXY | {"max-line", "confirm"},
    "udp": _INTERNET | {"rcvbuf"},
    "unix": _PATH | {"framing", "max-line", "proxy", "confirm"},
    "unixgram": _PATH,
    "ssl": _INTERNET | _TLS | _PROXY | {"max-line", "confirm"},
}
"""The schemes of ``--listen`` with their keys."""

_AT_A_PATH = ("unix", "unixgram")


class TlsFiles(msgspec.Struct, frozen=True):
    """The files of a TLS endpoint, in PEM: our key, our certificate with its chain, and who signs our clients'.

    ``client_ca`` None: clients need no certificate.
    """

    private_key: str
    cert_key: str
    client_ca: str | None = None


class Endpoint(msgspec.Struct, frozen=True):
    """One place to listen, as asked for.

    ``port`` 0 lets the kernel choose. ``interface`` None is every address of the machine, IPv4 and IPv6. ``count_only``
    marks a port whose connections are accepted, counted and closed. ``rcvbuf``, in bytes, 0: the kernel's default.

    ``tags`` are the styles of tags that are understood, and ``container`` is what becomes of DogStatsD's container;
    None is what the dialect has. ``max_line``, in bytes, is of a stream of lines.

    ``proxy`` is the version of the PROXY protocol whose header comes before a client's first byte, None: none does.
    ``trust`` are the networks that it may come from, None: those that are private. ``confirm``: with "read" a client
    that has ended its side is told that all that it sent was read, with "stored" one that sends batches which of them
    are stored.

    A Unix socket has a ``path`` instead of a port; one that begins with ``@`` is an abstract name, which has no mode
    and no owner. ``user`` and ``group`` are numbers, None: those of the service.
    """

    scheme: Scheme
    port: int = 0
    interface: str | None = None
    dialect: Dialect = "etsy"
    tags: frozenset[TagStyle] | None = None
    container: Literal["label", "ignore"] | None = None
    max_line: int = DEFAULT_MAX_LINE
    name: str | None = None
    count_only: bool = False
    rcvbuf: int = 0
    path: str = ""
    framing: Framing = "lines"
    mode: int = 0o660
    user: int | None = None
    group: int | None = None
    tls: TlsFiles | None = None
    proxy: Literal["v1", "v2", "any"] | None = None
    trust: tuple[str, ...] | None = None
    confirm: Literal["read", "stored"] | None = None

    @property
    def trusted(self) -> tuple[str, ...]:
        """Return the networks that a header may come from; on a Unix socket all that can use it may send one."""
        if self.proxy is None or self.path:
            return ()
        return PRIVATE if self.trust is None else self.trust

    @property
    def stream(self) -> bool:
        """Return whether it takes connections, and not datagrams."""
        return self.scheme in ("tcp", "ssl", "unix")

    @property
    def abstract(self) -> bool:
        """Return whether it is a Unix socket without a file."""
        return self.path.startswith("@")

    @property
    def grammar(self) -> str:
        """Name the grammar of its lines, as `wire.grammar.named` understands it."""
        packets = not self.stream or self.framing == "length"
        container = None if self.container is None else self.container == "label"
        return write_name(
            self.dialect, self.tags, container=container, max_line=LARGEST_PACKET if packets else self.max_line
        )

    def label(self, port: int) -> str:
        """Return the value of the metrics' ``listener`` label, once the real port is known."""
        if self.name is not None:
            return self.name
        if self.path:
            return f"{self.scheme}:{self.path}"
        if self.interface is None:
            return f"{self.scheme}:{port}"
        host = f"[{self.interface}]" if ":" in self.interface else self.interface
        return f"{self.scheme}:{host}:{port}"

    def __str__(self) -> str:
        """Write the endpoint as the command line takes it."""
        parts = [self.scheme, _escaped(self.path) or str(self.port)]
        given = {"interface": self.interface, "name": self.name, "user": self.user, "group": self.group}
        given |= {"dialect": self.dialect if self.dialect != "etsy" else None, "rcvbuf": self.rcvbuf or None}
        given |= {"framing": self.framing if self.framing != "lines" else None, "container": self.container}
        given |= {"max-line": self.max_line if self.max_line != DEFAULT_MAX_LINE else None}
        given |= {"proxy": self.proxy, "confirm": self.confirm}
        given |= {"trust": None if self.trust is None else ",".join(self.trust)}
        if self.tags is not None:
            given["tags"] = ",".join(style for style in TAG_STYLES if style in self.tags) or "none"
        if self.path and not self.abstract:
            given["mode"] = f"{self.mode:o}"
        if self.tls is not None:
            names = ("privateKey", "certKey", "clientCA")
            given |= dict(zip(names, msgspec.structs.astuple(self.tls), strict=True))
        parts += [f"{key}={_escaped(str(value))}" for key, value in given.items() if value is not None]
        return ":".join(parts)


def parse_listen(text: str) -> Endpoint:
    """Parse a value of ``--listen``."""
    return _parse(text, _LISTEN)


def parse_count(text: str) -> Endpoint:
    """Parse a value of ``--count``."""
    endpoint = _parse(text, {"tcp": {"interface", "name"}})
    return msgspec.structs.replace(endpoint, count_only=True)


def parse_http(text: str) -> Endpoint:
    """Parse the value of ``--http``."""
    return _parse(text, {"tcp": {"interface"}})


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _parse(text: str, schemes: dict[Scheme, set[str]]) -> Endpoint:
    try:
        scheme, *rest = split_fields(text)
    except ValueError as error:
        raise EndpointError(str(error)) from None
    keys = dict(schemes.items()).get(scheme)  # type: ignore[call-overload]
    if keys is None:
        first = next(iter(schemes))
        raise EndpointError(f"{scheme!r} is not one of {', '.join(schemes)}; write {first}:PORT")
    at_a_path = scheme in _AT_A_PATH
    if not rest:
        what = "path" if at_a_path else "port"
        raise EndpointError(f"the {what} is missing; write {scheme}:{what.upper()}")
    try:
        given = arguments_of(rest[1:], sorted(keys))
    except ValueError as error:
        raise EndpointError(str(error)) from None
    fields: dict[str, Any] = {key: CHECKS[key](value) for key, value in given.items()}
    if scheme == "ssl":
        fields = _tls(fields)
    place = {"path": check_path(rest[0])} if at_a_path else {"port": check_port(rest[0])}
    named = {key.replace("-", "_"): value for key, value in fields.items()}
    endpoint = msgspec.convert({"scheme": scheme, **place, **named}, Endpoint)
    if endpoint.framing == "length" and "max-line" in fields:
        raise EndpointError("max-line= is for lines: a packet with its length before it is bounded by itself")
    if endpoint.confirm == "read" and endpoint.tls is not None:
        raise EndpointError(
            "confirm=read is for clients that end one side, which TLS does not have: use confirm=stored"
        )
    if endpoint.confirm == "stored" and endpoint.framing == "length":
        raise EndpointError("confirm=stored is for batches of lines: leave out framing=length")
    if endpoint.trust is not None and endpoint.proxy is None:
        raise EndpointError("trust= says where headers may come from: write proxy=v1, proxy=v2 or proxy=any too")
    if endpoint.abstract and (kept := fields.keys() & {"mode", "user", "group"}):
        raise EndpointError(f"{', '.join(sorted(kept))}: an abstract name has no file that could have that")
    return endpoint


def _tls(fields: dict[str, Any]) -> dict[str, Any]:
    """Put the files together. One file may hold both the key and the certificate."""
    if "privateKey" not in fields:
        raise EndpointError("privateKey= is missing: the file with the key, and certKey= that with the certificate")
    key = fields.pop("privateKey")
    files = TlsFiles(key, fields.pop("certKey", key), fields.pop("clientCA", None))
    return {**fields, "tls": files}
