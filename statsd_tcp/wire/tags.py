"""Tags, in the five ways in which clients write them.

::

    DogStatsD   name:1|c|#key:value,bare
    InfluxDB    name,key=value,key=value:1|c
    Librato     name#key=value,key=value:1|c
    Graphite    name;key=value;key=value:1|c
    SignalFX    na[key=value,key=value]me:1|c

A bad tag (nothing between two commas, no key, no value) costs only itself: it is left out and counted. Only
DogStatsD has bare tags. The first delimiter in a name decides its style; the delimiters of the others are
then ordinary characters of its tags.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from statsd_tcp.wire.series import Tag

__all__ = ["NO_TAGS", "TaggedName", "Tags", "read_section", "split_name"]


class Tags(NamedTuple):
    """The tags of one place in a line, in the order written, and how many there were bad."""

    good: tuple[Tag, ...] = ()
    bad: int = 0


class TaggedName(NamedTuple):
    """A name freed from its tags. ``mixed``: what is left of it would begin tags once more."""

    name: str
    tags: Tags
    mixed: bool = False


NO_TAGS: Final = Tags()


def read_section(text: str) -> Tags:
    """Return the tags of a DogStatsD section; ``text`` is what follows ``|#``. An empty section is fine."""
    if not text:
        return NO_TAGS
    good = []
    written = text.split(",")
    for tag in written:
        key, colon, value = tag.partition(":")
        if key and (value or not colon):
            good.append((key, value))
    return Tags(tuple(good), len(written) - len(good))


def split_name(text: str, delimiter: re.Pattern[str]) -> TaggedName:
    """Return the name in ``text`` freed from its tags. ``delimiter`` is the grammar's ``name_delimiters``."""
    found = delimiter.search(text)
    if found is None:
        return TaggedName(text, NO_TAGS)
    start, written = found.start(), found.group()
    if written == "[":
        return _bracketed(text, start, delimiter)
    return TaggedName(text[:start], _pairs(text[start + 1 :], ";" if written == ";" else ","))


def _bracketed(text: str, start: int, delimiter: re.Pattern[str]) -> TaggedName:
    end = text.find("]", start)
    if end < 0:
        # Without its end it is no list of tags: the bracket stays in the name, where it can be seen.
        return TaggedName(text, Tags(bad=1))
    after = text[end + 1 :]
    return TaggedName(
        text[:start] + after, _pairs(text[start + 1 : end], ","), mixed=delimiter.search(after) is not None
    )


def _pairs(text: str, separator: str) -> Tags:
    if not text:
        return NO_TAGS
    good = []
    written = text.split(separator)
    for tag in written:
        key, _, value = tag.partition("=")
        if key and value:
            good.append((key, value))
    return Tags(tuple(good), len(written) - len(good))
