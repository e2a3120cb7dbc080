r"""What makes two samples belong to the same series: the name and the tags, in one canonical string.

The identity is the raw name followed, for each tag in the order of the keys, by ``"\n" + key + "\n" +
value``. A line cannot contain a newline, so the string can be taken apart again without doubt, and the
order in which a client names its tags makes no difference. Names and tags stay raw: each output writes them
its own way.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

__all__ = ["Tag", "series_identity", "split_identity"]

Tag = tuple[str, str]
"""One tag: its key and its value. A bare tag has the empty string as its value."""


def series_identity(name: str, tags: Collection[Tag] = ()) -> str:
    """Return the identity of the series ``name`` with ``tags``. Of a repeated key the last one counts."""
    if not tags:
        return name
    return "\n".join((name, *chain.from_iterable(sorted(dict(tags).items()))))


def split_identity(identity: str) -> tuple[str, tuple[Tag, ...]]:
    """Return the name and the tags (in the order of their keys) that ``series_identity`` put together."""
    name, *rest = identity.split("\n")
    return name, tuple(zip(rest[::2], rest[1::2], strict=True))
