"""Tags, in the five ways in which clients write them.

::

    DogStatsD   name:1|c|#key:value,bare
    InfluxDB    name,key=value,key=value:1|c
    Librato     name#key=value,key=value:1|c
    Graphite    name;key=value;key=value:1|c
    SignalFX    na[key=value,key=value]me:1|c

A delimiter in a name begins tags only if there is a ``key=value`` after it; otherwise it is a character of the name
like any other, so that ``posts#index`` and ``posts#show`` are two names. A bad tag next to a good one (nothing between
two commas, no key, no value) costs only itself: it is left out and counted. Only DogStatsD has bare tags.

Nor does it begin tags if a key after it had a blank. That is text, as in Flink's ``Join(on=[id], select=[id])``, and
all of it tells one series from another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from statsd_tcp.wire.grammar import Grammar
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

_BLANKS: Final = frozenset(" \t\r\v\f")


def read_section(text: str) -> Tags:
    """Return the tags of DogStatsD sections; ``text`` is what follows ``|#``. An empty section is fine.

    Datadog's client for PHP writes ``#`` before each key. A tag without a colon may have an equals sign instead, as
    etsy's server and Graphite read it.
    """
    if not text:
        return NO_TAGS
    good = []
    written = text.split(",")
    for tag in written:
        key, sign, value = tag.lstrip("#").partition(":" if ":" in tag else "=")
        if key and (value or not sign):
            good.append((key, value))
    return Tags(tuple(good), len(written) - len(good))


def split_name(text: str, grammar: Grammar) -> TaggedName:
    """Return the name in ``text`` freed from its tags."""
    if "=" not in text or grammar.delimiters.isdisjoint(text):
        return TaggedName(text, NO_TAGS)
    if "]" in grammar.delimiters and ("[" in text) != ("]" in text):
        # As statsd_exporter has it: half a pair of brackets makes all of it a name, where it can be seen.
        return TaggedName(text, Tags(bad=1))
    found = _find_tags(text, grammar)
    return TaggedName(text, NO_TAGS) if found is None else _untagged(text, found, grammar)


class _Found(NamedTuple):
    """Tags in ``text[start:end]``. ``at_once``: the first of them is a good one."""

    at_once: bool
    start: int
    end: int
    tags: Tags


def _untagged(text: str, found: _Found, grammar: Grammar) -> TaggedName:
    after = text[found.end :]
    mixed = bool(after) and _find_tags(after, grammar) is not None
    return TaggedName(text[: found.start] + after, found.tags, mixed)


def _find_tags(text: str, grammar: Grammar) -> _Found | None:
    """Find the tags that begin first, and rather those that do so with a good one: ``Foo#bar,k=v`` has one tag."""
    found = [*_in_brackets(text, grammar), *_to_the_end(text, grammar)]
    return min(found, key=lambda each: (not each.at_once, each.start)) if found else None


def _in_brackets(text: str, grammar: Grammar) -> Iterator[_Found]:
    """Find the first pair of brackets with tags inside."""
    before, end = 0, text.find("]") if "]" in grammar.delimiters else -1
    while end >= 0:
        start = text.rfind("[", before, end)
        found = _read(text[start + 1 : end].split(","), start, end + 1, grammar) if start >= 0 else None
        if found is not None:
            yield found
            return
        before = end + 1
        end = text.find("]", before)


def _to_the_end(text: str, grammar: Grammar) -> Iterator[_Found]:
    """Find tags from the first delimiter of each other style to the end."""
    for delimiter in grammar.delimiters - {"[", "]"}:
        start = text.find(delimiter)
        written = text[start + 1 :].split(";" if delimiter == ";" else ",")
        found = _read(written, start, len(text), grammar) if start >= 0 else None
        if found is not None:
            yield found


def _read(written: list[str], start: int, end: int, grammar: Grammar) -> _Found | None:
    pairs = [grammar.pair.fullmatch(tag) for tag in written]
    good = tuple([(pair[1], pair[2]) for pair in pairs if pair is not None])
    if not good or any(not _BLANKS.isdisjoint(key) for key, _ in good):
        return None
    return _Found(pairs[0] is not None, start, end, Tags(good, len(pairs) - len(good)))
