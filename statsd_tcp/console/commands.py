"""What a line on the console means. Knows nothing of connections."""

from __future__ import annotations

import re
from typing import NamedTuple

from statsd_tcp.aggregate.collisions import GROUPS

__all__ = ["Command", "bare", "is_http", "is_statsd", "is_text", "is_whole", "read_command"]

# A name with blanks in it can only be given in quotes.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")

_BLANK = b" \t\r\n\0"
_NO_TEXT = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]")
_HTTP = re.compile(rb"(?:[A-Z]+ \S+ HTTP/\d|Host:)", re.IGNORECASE)
_STATSD = re.compile(rb"[^ |]*:[^ |]*\|[a-z]")


_WHOLE = frozenset((*GROUPS, "help", "stats", "health", "workers", "badlines", "conflicts", "config", "who", "quit"))


class Command(NamedTuple):
    """A command's name, empty for an empty line, and its arguments."""

    name: str
    arguments: tuple[str, ...] = ()


def read_command(line: bytes) -> Command:
    r"""Take a line apart at its blanks, outside of ``"..."``, where ``\"`` is a quote."""
    text = line.decode(errors="replace")
    words = [_ESCAPED.sub(r"\1", quoted) if quoted else word for quoted, word in _WORD.findall(text)]
    return Command(words[0], tuple(words[1:])) if words else Command("")


def bare(line: bytes) -> bytes:
    """Take off what clients send around a command: blanks, a carriage return, a NUL. Of many lines nothing is left."""
    return line.strip(_BLANK)


def is_text(line: bytes) -> bool:
    """Return whether this can be part of a command line: other protocols, such as TLS, send control characters."""
    return _NO_TEXT.search(bare(line)) is None


def is_whole(line: bytes) -> bool:
    """Return whether this is a whole command without arguments that changes nothing, with or without a newline."""
    return bare(line).decode(errors="replace") in _WHOLE


def is_http(line: bytes) -> bool:
    """Return whether this is the beginning of an HTTP request.

    A page in a browser can have requests sent to any port of the machine, and write into their bodies what it likes.
    """
    return _HTTP.match(line) is not None


def is_statsd(line: bytes) -> bool:
    """Return whether this is a sample that was meant for another port."""
    return _STATSD.match(line) is not None
