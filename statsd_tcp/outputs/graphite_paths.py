r"""Series as parts of Graphite's paths: the characters that it takes, and tags as its tags.

| identity | hits\ncode\n200   | a page/one   | by bare tag\nblue\n   |
| path     | hits;code=200     | a_page-one   | by_bare_tag;blue=true |
"""

from __future__ import annotations

import re

from statsd_tcp.aggregate.collisions import PathNames
from statsd_tcp.wire.series import series_identity, split_identity

__all__ = ["PATH_NAMES", "clean", "name_and_tags"]

_CLEAN = re.compile(r"[a-zA-Z0-9_\-.;=]*\Z")
_BLANKS = re.compile(r"\s+")
_DROPPED = re.compile(r"[^a-zA-Z_\-0-9.;=]")

_PLAIN = re.compile(r"[a-zA-Z0-9_\-.=]*(?:\n[a-zA-Z0-9_\-.]+\n[a-zA-Z0-9_\-.=]+)*\Z")
"""An identity that its path can be turned back into."""

_BARE = "true"
"""The value of a tag that has none: carbon takes no tag without."""


def clean(name: str) -> str:
    """Leave in a name what etsy leaves: blanks become ``_``, slashes ``-``, and what else is odd goes."""
    if _CLEAN.match(name):
        return name
    return _DROPPED.sub("", _BLANKS.sub("_", name).replace("/", "-"))


def name_and_tags(identity: str) -> tuple[str, str]:
    """Give a series' name and, with the semicolon before each, its tags."""
    if "\n" not in identity:
        name, mark, tags = clean(identity).partition(";")
        return name, mark + tags
    raw, pairs = split_identity(identity)
    return _part(raw), "".join(f";{_part(key)}={_part(value) or _BARE}" for key, value in pairs)


def _part(text: str) -> str:
    return clean(text).replace(";", "_")


def _path(identity: str) -> str:
    return "".join(name_and_tags(identity))


def _identity(path: str) -> str:
    name, *tags = path.split(";")
    return series_identity(name, [tag.partition("=")[::2] for tag in tags])


PATH_NAMES = PathNames(_PLAIN.match, _path, _identity)
"""What makes two series one for Graphite."""
