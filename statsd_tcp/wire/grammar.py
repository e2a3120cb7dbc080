"""Which variant of the grammar a listener speaks: tag styles, packed values, signs, and how long a line may be."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cached_property
from typing import Final, Literal, get_args

import msgspec

from statsd_tcp.wire.samples import KINDS, Kind

__all__ = [
    "DEFAULT_MAX_LINE",
    "DIALECTS",
    "FRAMINGS",
    "LARGEST_PACKET",
    "LONGEST_LINE",
    "TAG_STYLES",
    "Dialect",
    "Framing",
    "Grammar",
    "TagStyle",
    "named",
    "write_name",
]

DEFAULT_MAX_LINE: Final = 8192
"""Bytes of a line of a stream, unless its listener says otherwise: DogStatsD's default for a whole datagram, and little
enough for an idle connection to hold."""

LONGEST_LINE: Final = 1 << 20
"""The most bytes that a listener may allow a line of a stream to have."""

LARGEST_PACKET: Final = 65535
"""Bytes of a datagram, or of a packet with its length before it. It is bounded by itself, and so are its lines."""

Dialect = Literal["etsy", "dogstatsd", "statsd_exporter"]
"""The grammars that a listener can be given by name (``dialect=``)."""

TagStyle = Literal["dogstatsd", "influx", "librato", "signalfx", "graphite"]
"""The ways in which clients write tags: ``|#k:v,bare``, ``name,k=v``, ``name#k=v``, ``name[k=v]``, ``name;k=v``."""

TAG_STYLES: Final[tuple[TagStyle, ...]] = get_args(TagStyle)

Framing = Literal["lines", "length"]
"""How a stream says where a line ends: by a newline, or by a length in front of each packet (``framing=``)."""

FRAMINGS: Final[tuple[Framing, ...]] = get_args(Framing)

_DELIMITERS: Final[dict[TagStyle, str]] = {"influx": ",", "librato": "#", "signalfx": "[", "graphite": ";"}


class Grammar(msgspec.Struct, frozen=True, dict=True):
    """The grammar of one listener. Equal grammars parse every line alike and may share what they have learnt.

    ``tags``: the styles that are understood. The delimiter of a style that is off is an ordinary character of names; a
    ``|#`` section is then ignored, as unknown sections are. ``packed``: the types whose values may be packed
    (``1:2:3``) in a line that shows no other sign of DogStatsD. ``signed_gauges``: ``+5|g`` and ``-5|g`` change a
    gauge; if False, they set it as unsigned values do. ``container``: the section ``|c:ID`` becomes the tag
    ``container_id``. ``max_line``: the most bytes that a line may have, its newline not counted.
    """

    tags: frozenset[TagStyle] = frozenset(TAG_STYLES)
    packed: frozenset[Kind] = frozenset({"h", "d"})
    signed_gauges: bool = True
    container: bool = False
    max_line: int = DEFAULT_MAX_LINE

    @cached_property
    def delimiters(self) -> frozenset[str]:
        """The characters that may begin tags inside a name, and the one that closes them."""
        found = {delimiter for style, delimiter in _DELIMITERS.items() if style in self.tags}
        return frozenset(found | {"]"} if "[" in found else found)

    @cached_property
    def pair(self) -> re.Pattern[str]:
        """A pattern of a tag's key and value inside a name: a key has no delimiter of any style that is on."""
        ordinary = "[^=" + re.escape("".join(sorted(self.delimiters))) + "]"
        return re.compile(f"({ordinary}+)=(.+)", re.DOTALL)


DIALECTS: Final[dict[Dialect, Grammar]] = {
    "etsy": Grammar(),
    "dogstatsd": Grammar(tags=frozenset({"dogstatsd"}), packed=frozenset(KINDS) - {"s"}, signed_gauges=False),
    "statsd_exporter": Grammar(
        tags=frozenset(TAG_STYLES) - {"graphite"}, packed=frozenset({"ms", "h", "d"}), container=True
    ),
}


def write_name(
    dialect: Dialect, tags: Collection[TagStyle] | None = None, *, container: bool | None = None, max_line: int
) -> str:
    """Name a grammar in one word that `named` understands: a dialect, and where it differs from it.

    ``tags`` and ``container`` None: as the dialect has it.
    """
    parts: list[str] = [dialect]
    if tags is not None:
        parts.append("tags=" + ",".join(style for style in TAG_STYLES if style in tags))
    if container is not None:
        parts.append(f"container={container:d}")
    if max_line != DEFAULT_MAX_LINE:
        parts.append(f"max-line={max_line}")
    return ":".join(parts)


def named(name: str) -> Grammar:
    """Return the grammar of a name that `write_name` has made. Raises ``KeyError`` if it is of a later version."""
    dialect, *parts = name.split(":")
    grammar = {str(known): of for known, of in DIALECTS.items()}[dialect]
    for part in parts:
        key, _, value = part.partition("=")
        grammar = _CHANGES[key](grammar, value)
    return grammar


def _with_tags(grammar: Grammar, value: str) -> Grammar:
    return msgspec.structs.replace(grammar, tags=frozenset(style for style in TAG_STYLES if style in value.split(",")))


_CHANGES: Final = {
    "tags": _with_tags,
    "container": lambda grammar, value: msgspec.structs.replace(grammar, container=value == "1"),
    "max-line": lambda grammar, value: msgspec.structs.replace(grammar, max_line=int(value)),
}
