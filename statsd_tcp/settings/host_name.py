"""The names of this machine and of this node in prefixes, suffixes and labels: ``{hostname}`` and so on."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

__all__ = ["expand", "has_node", "node_name"]

_PART = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_NODE = "{node}"
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,255}")


def expand(text: str, hostname: Callable[[], str] = socket.gethostname, *, node: str | None = None) -> str:
    """Put the machine's name into a text, whole or up to its first dot, and the node's; ``{{`` and ``}}`` are braces.

    Raises ``ValueError`` for anything else in braces, and for a brace alone. With None there is no ``{node}``.
    """
    return _PART.sub(lambda match: _meant(match[0], hostname, node), text)


def has_node(text: str) -> bool:
    """Return whether the name of the node stands in a text."""
    return _NODE in _PART.findall(text)


def node_name(text: str) -> str:
    """Read the name of a node; raises ``ValueError``."""
    name = expand(text)
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a name of 1 to 255 characters without blanks")
    return name


def _meant(part: str, hostname: Callable[[], str], node: str | None) -> str:
    if part in ("{{", "}}"):
        return part[0]
    if part == "{hostname}":
        return hostname()
    if part == "{short_hostname}":
        return hostname().partition(".")[0]
    if part == _NODE and node is not None:
        return node
    known = "{hostname} or {short_hostname}" if node is None else "{node}, {hostname} or {short_hostname}"
    raise ValueError(f"{part} is not {known}; a brace itself is written twice, {{{{ or }}}}")
