"""The values in endpoint strings: each key's text, checked and made into what it stands for."""

from __future__ import annotations

import grp
import os
import pwd
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from statsd_tcp.settings.host_name import expand
from statsd_tcp.wire.grammar import DIALECTS, FRAMINGS, LONGEST_LINE, TAG_STYLES, TagStyle

__all__ = ["CHECKS", "PRIVATE", "EndpointError", "check_path", "check_port"]

_LABEL = re.compile(r"[A-Za-z0-9_.:\-\[\]/@]+\Z")
_HIGHEST_PORT = 65535
_MOST_PERMISSIONS = 0o777
_LARGEST_BUFFER = 1 << 30
_SMALLEST_BUFFER = 4096
_SHORTEST_LIMIT = 64

_LONGEST_PATH = 107
"""Bytes: what sockaddr_un has room for, with a zero at its end."""


PRIVATE = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10")
"""The networks from which a header of the PROXY protocol is taken unless ``trust=`` names others: those of this
machine and of private networks, from which nothing comes over the internet."""

_MOST_NETWORKS = 64


class EndpointError(ValueError):
    """An endpoint string that cannot be used; the text says what is wrong with it and what would be right."""


def check_port(text: str) -> int:
    """Return a port's number; raises `EndpointError`."""
    if not (text.isascii() and text.isdigit() and int(text) <= _HIGHEST_PORT):
        raise EndpointError(f"{text!r} is not a port (0 to {_HIGHEST_PORT})")
    return int(text)


def check_path(text: str) -> str:
    """Return the absolute path of a Unix socket; one that starts with ``@`` is a name in Linux's abstract namespace."""
    path = text if text.startswith("@") else os.path.abspath(text)  # noqa: PTH100  (a Path cannot tell "" from ".")
    if not text or text == "@" or "\0" in text or text.endswith("/"):
        raise EndpointError(f"{text!r} is not a path of a socket")
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise EndpointError(f"{path} is longer than the {_LONGEST_PATH} bytes that the path of a socket may have")
    return path


def _interface(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        raise EndpointError(f"interface={value} is not an IP address (a colon in it is written \\:)") from None


def _one_of(key: str, *allowed: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in allowed:
            raise EndpointError(f"{key}={value} is not one of {', '.join(allowed)}")
        return value

    return check


def _name(value: str) -> str:
    try:
        name = expand(value)
    except ValueError as error:
        raise EndpointError(f"name={value}: {error}") from None
    if not _LABEL.match(name):
        raise EndpointError(f"name={value} may have letters, digits and _ . : - / @ only, and {{hostname}}")
    return name


def _mode(value: str) -> int:
    try:
        mode = int(value, 8)
    except ValueError:
        mode = -1
    if not (value.isascii() and value.isdigit() and 0 <= mode <= _MOST_PERMISSIONS):
        raise EndpointError(f"mode={value} is not an octal mode of three digits, such as 660")
    return mode


def _user(value: str) -> int:
    try:
        return int(value) if value.isdigit() else pwd.getpwnam(value).pw_uid
    except KeyError:
        raise EndpointError(f"user={value}: there is no such user") from None


def _group(value: str) -> int:
    try:
        return int(value) if value.isdigit() else grp.getgrnam(value).gr_gid
    except KeyError:
        raise EndpointError(f"group={value}: there is no such group") from None


def _buffer(value: str) -> int:
    if not (value.isascii() and value.isdigit() and _SMALLEST_BUFFER <= int(value) <= _LARGEST_BUFFER):
        raise EndpointError(f"rcvbuf={value} is not a number of bytes from {_SMALLEST_BUFFER} to {_LARGEST_BUFFER}")
    return int(value)


def _tags(value: str) -> frozenset[TagStyle]:
    given = {"all": list(TAG_STYLES), "none": []}.get(value, [style.strip() for style in value.split(",")])
    if wrong := [style for style in given if style not in TAG_STYLES]:
        raise EndpointError(
            f"tags={value}: {wrong[0]!r} is not one of {', '.join(TAG_STYLES)}; or write tags=all or tags=none"
        )
    return frozenset(style for style in TAG_STYLES if style in given)


def _max_line(value: str) -> int:
    if not (value.isascii() and value.isdigit() and _SHORTEST_LIMIT <= int(value) <= LONGEST_LINE):
        raise EndpointError(f"max-line={value} is not a number of bytes from {_SHORTEST_LIMIT} to {LONGEST_LINE}")
    return int(value)


def _trust(value: str) -> tuple[str, ...]:
    networks = []
    for text in value.split(","):
        try:
            networks.append(str(ip_network(text.strip())))
        except ValueError:
            raise EndpointError(
                f"trust={value}: {text!r} is not a network, such as 10.0.0.0/8 (a colon in it is written \\:)"
            ) from None
    if len(networks) > _MOST_NETWORKS:
        raise EndpointError(f"trust= has {len(networks)} networks; there may be at most {_MOST_NETWORKS}")
    return tuple(networks)


def _file(key: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if not value or "\0" in value:
            raise EndpointError(f"{key}={value} is not the path of a file")
        return os.path.abspath(value)  # noqa: PTH100  (as in check_path)

    return check


CHECKS: Mapping[str, Callable[[str], Any]] = {
    "interface": _interface,
    "dialect": _one_of("dialect", *DIALECTS),
    "framing": _one_of("framing", *FRAMINGS),
    "tags": _tags,
    "container": _one_of("container", "label", "ignore"),
    "max-line": _max_line,
    "name": _name,
    "proxy": _one_of("proxy", "v1", "v2", "any"),
    "trust": _trust,
    "confirm": _one_of("confirm", "read", "stored"),
    "mode": _mode,
    "user": _user,
    "group": _group,
    "rcvbuf": _buffer,
    "privateKey": _file("privateKey"),
    "certKey": _file("certKey"),
    "clientCA": _file("clientCA"),
}
"""The check of each key, which gives its value or raises `EndpointError`."""
