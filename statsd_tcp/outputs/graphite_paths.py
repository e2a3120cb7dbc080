r"""Series as parts of Graphite's paths: the characters that it takes, and tags as its tags.

| identity | hits\ncode\n200   | a page/one   | by bare tag\nblue\n   | hits\naddr\n10.0.0.1:443   |
| path     | hits;code=200     | a_page-one   | by_bare_tag;blue=true | hits;addr=10.0.0.1:443     |

A name is cleaned as etsy's server does it. Of a tag only what carbon cannot take is replaced (`TaggedSeries` in its
``util.py``): it wants no ``;``, ``!``, ``^`` and ``=`` in a key, no ``;`` in a value and no ``~`` at its beginning; its
lines are split at blanks, and ``name`` is its own key for what stands before the tags.
"""

from __future__ import annotations

import re

from statsd_tcp.aggregate.collisions import PathNames
from statsd_tcp.wire.series import series_identity, split_identity

__all__ = ["PATH_NAMES", "as_value", "clean", "name_and_tags"]

_CLEAN = re.compile(r"[a-zA-Z0-9_\-.=]*\Z")
_BLANKS = re.compile(r"\s+")
_DROPPED = re.compile(r"[^a-zA-Z_\-0-9.;=]")

_NOT_IN_KEYS = re.compile(r"[\s\x00-\x1f\x7f;!^=]")
_NOT_IN_VALUES = re.compile(r"^~|[\s\x00-\x1f\x7f;]|(?<=\")}$")
"""What ends in a quotation mark and a brace is another way of writing tags for carbon."""

_TAG = re.compile(r"(?!name=)[^\s\x00-\x1f\x7f;!^=]+=[^\s\x00-\x1f\x7f;~][^\s\x00-\x1f\x7f;]*(?<!\"})\Z")

_PLAIN = re.compile(
    r"[a-zA-Z0-9_\-.=]*"
    r"(?:\n(?!name\n)[^\s\x00-\x1f\x7f;!^=]+\n[^\s\x00-\x1f\x7f;~][^\s\x00-\x1f\x7f;]*(?<!\"}))*\Z"
)
"""An identity that its path can be turned back into."""

_BARE = "true"
"""The value of a tag that has none: carbon takes no tag without."""

_OWN_KEY = "name"


def clean(name: str) -> str:
    """Leave in a name what etsy leaves: blanks become ``_``, slashes ``-``, and what else is odd goes."""
    if _CLEAN.match(name):
        return name
    return _DROPPED.sub("", _BLANKS.sub("_", name).replace("/", "-"))


def name_and_tags(identity: str) -> tuple[str, str]:
    """Return a series' name and, with the semicolon before each, its tags.

    A name that has Graphite's tags in it, because its listener does not read them, has them here too.
    """
    raw, pairs = split_identity(identity)
    name, *tags = raw.split(";")
    if pairs or not all(map(_TAG.match, tags)):
        return clean(raw).replace(";", "_"), "".join(f";{_key(key)}={as_value(value)}" for key, value in pairs)
    return clean(name), "".join(f";{tag}" for tag in tags)


def _key(text: str) -> str:
    key = _NOT_IN_KEYS.sub("_", text)
    return key + "_" if key == _OWN_KEY else key


def as_value(text: str) -> str:
    """Leave in the value of a tag what carbon takes."""
    return _NOT_IN_VALUES.sub("_", text) or _BARE


def _path(identity: str) -> str:
    return "".join(name_and_tags(identity))


def _identity(path: str) -> str:
    name, *tags = path.split(";")
    return series_identity(name, [tag.partition("=")[::2] for tag in tags])


PATH_NAMES = PathNames(_PLAIN.match, _path, _identity)
"""What makes two series one for Graphite."""
