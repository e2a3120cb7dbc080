"""The values of ``--http-host``: names under which the HTTP server may be asked for."""

from __future__ import annotations

import re

__all__ = ["EVERY_HOST", "parse_host"]

EVERY_HOST = "*"

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?"
_NAME = re.compile(rf"\.?{_LABEL}(?:\.{_LABEL})*")


def parse_host(text: str) -> str:
    """Return a name in small letters, ``.DOMAIN`` for all names below one, or ``*``; raises `ValueError`."""
    name = text.lower().removesuffix(".")
    if name != EVERY_HOST and not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not a host name without scheme and port, .DOMAIN for all names below it, or *")
    return name
