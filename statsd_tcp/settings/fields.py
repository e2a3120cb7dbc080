r"""The values of options taken apart: fields between colons, where ``\:`` is a colon."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["arguments_of", "network_port", "split_fields"]

_FIELD = re.compile(r"(?:[^:\\]|\\.)*")
_ESCAPED = re.compile(r"\\(.)")
_HIGHEST_PORT = 65535


def split_fields(text: str) -> list[str]:
    """Return the fields of a text; raises ``ValueError`` for a backslash at the end."""
    fields, position = [], 0
    while True:
        match = _FIELD.match(text, position)
        end = match.end() if match else position
        fields.append(_ESCAPED.sub(r"\1", text[position:end]))
        if end >= len(text):
            return fields
        if text[end] != ":":
            raise ValueError("a backslash at the end escapes nothing")
        position = end + 1


def arguments_of(fields: Collection[str], known: Collection[str] | None = None) -> dict[str, str]:
    """Return fields like ``key=value`` as a mapping; raises ``ValueError`` for others, and for keys not ``known``."""
    arguments: dict[str, str] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if known is not None and not (equals and key in known):
            raise ValueError(f"{field!r} is not one of {', '.join(f'{name}=' for name in known)}")
        if not equals or not key:
            raise ValueError(f"{field!r} is not of the form key=value")
        if key in arguments:
            raise ValueError(f"{key}= is given twice")
        arguments[key] = value
    return arguments


def network_port(text: str) -> int:
    """Read the port of another server; raises ``ValueError``."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= _HIGHEST_PORT):
        raise ValueError(f"{text!r} is not a port (1 to {_HIGHEST_PORT})")
    return int(text)
